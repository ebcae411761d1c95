//! A lesson on a lab host: performs steps by calls, evaluates checks, makes the lab host anew for every way back.

use std::sync::Arc;

use super::verdicts::{by_hand, expected_answers};
use super::{Mode, StepReport};
use crate::agent::client::{Keeper, Lab};
use crate::agent::protocol::Sample;
use crate::explain::Explanation;
use crate::lesson::{Lesson, Step, Verdict};
use crate::probe::processes::VISIBLE_PIDS;
use crate::probe::{Change, ChangeKind, Row};
use crate::runtime::action::Action;
use crate::session::{How, Position, Session};

/// A walk through one lesson.
#[derive(Debug)]
pub struct Walker {
    keeper: Keeper,
    lab: Option<Lab>,
    /// The lesson.
    pub lesson: Arc<Lesson>,
    /// Where the learner is.
    pub session: Session,
    /// How many steps, from the first on, have been performed by calls in this lab host.
    pub(super) performed: usize,
    /// What was performed by calls in this lab host, in that order.
    pub(super) history: Vec<Arc<StepReport>>,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) answer: Option<(String, bool, String)>,
    pub(super) sample: Sample,
    pub(super) rows: Arc<Vec<Row>>,
    pub(super) start: Vec<Row>,
    pub(super) before_step: Vec<Row>,
    /// Whether the check of the current step was seen not to hold by hand: only then can hands make it true.
    pub(super) hands_can_pass: bool,
}

/// What performing a step came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// The actions with their calls.
    pub report: Arc<StepReport>,
    /// What was claimed and seen.
    pub verdicts: Vec<Verdict>,
}

impl Done {
    /// Whether everything that the step claims was seen.
    pub fn held(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.holds)
    }
}

impl Walker {
    /// Opens a lesson where `session` left it, and builds the kernel state of that place.
    ///
    /// # Errors
    /// Why the lab host could not be made; the keeper is given back so that the person can go on.
    pub fn open(keeper: Keeper, lesson: Arc<Lesson>, session: Session) -> Result<Self, (Keeper, Explanation)> {
        let mut walker = Self {
            keeper,
            lab: None,
            lesson,
            session,
            performed: 0,
            history: Vec::new(),
            verdicts: Vec::new(),
            answer: None,
            sample: Sample::default(),
            rows: Arc::default(),
            start: Vec::new(),
            before_step: Vec::new(),
            hands_can_pass: false,
        };
        match walker.rebuild() {
            Ok(()) => Ok(walker),
            Err(explanation) => Err((walker.keeper, explanation)),
        }
    }

    /// Ends the lab host and gives the keeper back.
    pub fn close(mut self) -> Keeper {
        self.lab = None;
        let _ = self.keeper.end_lab();
        self.keeper
    }

    /// Whether the keeper lives.
    pub fn keeper_lives(&self) -> bool {
        self.keeper.lives()
    }

    /// How ids are mapped.
    pub fn mode(&self) -> Mode {
        self.keeper.offer().mode
    }

    /// The lab host.
    ///
    /// # Errors
    /// Where there is none.
    pub fn lab(&mut self) -> Result<&mut Lab, Explanation> {
        self.lab.as_mut().ok_or_else(|| {
            Explanation::new("There is no lab host", "it has ended", "start the lesson again: your progress is kept")
        })
    }

    /// The current step.
    pub fn step(&self) -> &Step {
        &self.lesson.steps[self.session.position.step]
    }

    /// Why a step can not be done here.
    pub fn skipped(&self, step: usize) -> Option<String> {
        self.lesson.steps[step].needs.iter().find_map(|need| need.unmet(&self.keeper.offer()))
    }

    /// For each step, why it can not be done here; none where it can.
    pub fn all_skipped(&self) -> Vec<Option<String>> {
        (0..self.lesson.steps.len()).map(|step| self.skipped(step)).collect()
    }

    /// Makes a new lab host and performs, by calls, all steps before the learner's place.
    ///
    /// # Errors
    /// Where the lab host can not be made, or a step that worked before does not work now.
    pub fn rebuild(&mut self) -> Result<(), Explanation> {
        self.rebuild_to(self.session.wanted())
    }

    /// Makes a new lab host and performs so many steps in it.
    fn rebuild_to(&mut self, steps: usize) -> Result<(), Explanation> {
        self.lab = None;
        self.performed = 0;
        self.history.clear();
        self.keeper.hand_down(self.lesson.needs_controllers());
        self.keeper.provide(&self.lesson.controllers_v1());
        let lesson = Arc::clone(&self.lesson);
        self.keeper.announce(lesson.actions());
        self.lab = Some(self.keeper.start_lab()?);
        self.observe()?;
        self.start = self.rows.to_vec();
        self.catch_up(steps)?;
        self.arrive()
    }

    /// Makes the lab host one in which the current step's lines, and those of the steps before them, can be typed into a new
    /// shell. What calls have made of those steps would be in their way, so that takes a new one.
    ///
    /// # Errors
    /// As [`Walker::rebuild`].
    pub fn ready_for_hands(&mut self) -> Result<(), Explanation> {
        if self.hands_fit() {
            return Ok(());
        }
        let step = self.session.position.step;
        self.session.go(Position { step, done: false });
        self.rebuild_to(self.lesson.hands_begin(step))
    }

    /// The lines that bring a new shell to where the current step begins.
    pub fn lines_before(&self) -> Vec<String> {
        self.lesson.lines_before(self.session.position.step, &self.all_skipped())
    }

    /// Whether the current step's lines can be typed as things are: calls have done neither it nor any of the steps that hands have
    /// to go through before it.
    pub fn hands_fit(&self) -> bool {
        let mut by_calls = self.lesson.hands_begin(self.session.position.step)..self.performed;
        !by_calls.any(|step| self.lesson.builds(step) && self.skipped(step).is_none())
    }

    /// Whether the current step can be done by calls only in a new lab host: hands have done earlier ones in this one, or have begun
    /// this one, and what they made would be in the way.
    pub fn next_is_anew(&self) -> bool {
        let Position { step, done } = self.session.position;
        let makes_calls = !self.step().actions.is_empty() && self.skipped(step).is_none();
        !done && makes_calls && self.any_once(self.performed..step + usize::from(self.hands_have_begun()))
    }

    /// Whether something has come or gone since the current step began, with a learner's shell there. What only has another value
    /// may have it by itself.
    fn hands_have_begun(&self) -> bool {
        let made = |change: &Change| !matches!(change.kind, ChangeKind::Changed { .. });
        self.sample.names.shell.is_some() && self.since_step().iter().any(made)
    }

    /// Whether any of these steps can be performed only once in a lab host.
    fn any_once(&self, steps: std::ops::Range<usize>) -> bool {
        let once = |step: &Step| step.actions.iter().any(|action| action.mechanism().once());
        steps.into_iter().any(|step| self.skipped(step).is_none() && once(&self.lesson.steps[step]))
    }

    /// Goes to another place: on in the same lab host where that leads there, else in a new one.
    ///
    /// # Errors
    /// As [`Walker::rebuild`].
    pub fn go(&mut self, to: Position) -> Result<(), Explanation> {
        self.session.go(to);
        // What a learner's hands have made is not undone otherwise, and would be in the way of calls.
        let hands = self.sample.names.shell.is_some();
        if self.lab.is_none() || hands || self.performed > self.session.wanted() {
            return self.rebuild();
        }
        self.catch_up(self.session.wanted())?;
        self.arrive()
    }

    /// Performs, by calls, those of the first so many steps that this lab host has not seen yet.
    fn catch_up(&mut self, steps: usize) -> Result<(), Explanation> {
        while self.performed < steps {
            let step = self.performed;
            if self.skipped(step).is_none() {
                let report = self.perform_actions(step, |action| !action.mechanism().only_asks())?;
                self.history.push(Arc::new(report));
            }
            self.performed += 1;
        }
        Ok(())
    }

    /// Stands before the effect of a step without having the steps before it performed: for walks by hand.
    ///
    /// # Errors
    /// Where the lab host is gone.
    pub fn stand_before(&mut self, step: usize) -> Result<(), Explanation> {
        self.session.go(Position { step, done: false });
        self.arrive()
    }

    /// The learner stands before (or, resumed, after) a step: from here on differences are counted.
    fn arrive(&mut self) -> Result<(), Explanation> {
        self.verdicts.clear();
        self.answer = None;
        self.hands_can_pass = false;
        self.come_nearer()
    }

    /// A line has led the shell nearer to the step: differences are counted from here on. The step's own line may have been typed
    /// already, so it is enough that the check was seen not to hold on the way.
    pub(super) fn come_nearer(&mut self) -> Result<(), Explanation> {
        self.observe()?;
        self.hands_can_pass |= !self.evaluate(&by_hand(&self.sample.names)).iter().all(|verdict| verdict.holds);
        self.mark();
        Ok(())
    }

    /// The learner's shell has come up: it was there before, as far as differences are concerned. Its own rows join what
    /// they are counted from; so do the pids in `/proc`, unless that would hide what the step has done to them.
    pub fn shell_came_up(&mut self) {
        let pid = self.sample.names.shell.unwrap_or(0);
        let own = format!("shell (pid {pid})");
        let theirs = |row: &&Row| row.subject == own || (row.key == VISIBLE_PIDS && !self.session.position.done);
        let fresh: Vec<Row> = self.rows.iter().filter(theirs).cloned().collect();
        for base in [&mut self.start, &mut self.before_step] {
            base.retain(|row| !fresh.iter().any(|new| new.identity() == row.identity()));
            base.extend(fresh.iter().cloned());
        }
    }

    /// Counts the differences of this step from now on.
    pub fn mark(&mut self) {
        self.before_step = self.rows.to_vec();
    }

    /// Does the current step by calls.
    ///
    /// # Errors
    /// Where an action could not be tried. An action that failed, or a check that does not hold, is in the result.
    pub fn perform_step(&mut self) -> Result<Done, Explanation> {
        let step = self.session.position.step;
        self.session.position.done = false;
        let mut verdicts = Vec::new();
        let report = if self.looks_at_hands() {
            self.mark();
            verdicts.extend(self.wait_for_check(&by_hand)?);
            Arc::new(StepReport { step, actions: Vec::new() })
        } else {
            let hands = self.sample.names.shell.is_some();
            // Steps that were done by hand: the box has not been through them yet.
            if self.next_is_anew() {
                self.rebuild()?;
            }
            let mut report = self.perform_calls(step)?;
            if hands && expected_answers(&report).iter().any(|verdict| !verdict.holds) {
                // What hands have made does not all show: a directory, say.
                self.rebuild()?;
                report = self.perform_calls(step)?;
            }
            verdicts.extend(expected_answers(&report));
            verdicts.extend(self.wait_for_check(&|names| names.clone())?);
            report
        };
        self.history.push(Arc::clone(&report));
        self.verdicts.clone_from(&verdicts);
        let done = Done { report, verdicts };
        if done.held() {
            self.session.did(How::Calls);
            self.reveal();
        }
        Ok(done)
    }

    /// Performs the steps before this one that this lab host has not seen, and then, with its differences counted, this one.
    fn perform_calls(&mut self, step: usize) -> Result<Arc<StepReport>, Explanation> {
        self.catch_up(step)?;
        match self.step().actions.iter().any(|action| action.mechanism().only_asks()) {
            // It takes a second: what the steps before have begun would come to its end meanwhile, and pass for a change of this one.
            true => self.settle()?,
            false => drop(self.observe()?),
        }
        self.mark();
        let report = Arc::new(self.perform_actions(step, |_| true)?);
        self.performed = step + 1;
        Ok(report)
    }

    /// Whether the current step only looks, and what it looks at was made by hand.
    fn looks_at_hands(&self) -> bool {
        let by_calls = self.performed >= self.session.position.step;
        self.step().actions.is_empty() && !by_calls && self.sample.names.shell.is_some()
    }

    /// Performs those actions of a step that are wanted; stops at the first that fails.
    fn perform_actions(&mut self, step: usize, wanted: impl Fn(&Action) -> bool) -> Result<StepReport, Explanation> {
        let actions: Vec<Action> = self.lesson.steps[step].actions.iter().filter(|it| wanted(it)).cloned().collect();
        let performed = if actions.is_empty() { Vec::new() } else { self.lab()?.perform(&actions)? };
        Ok(StepReport { step, actions: actions.into_iter().zip(performed).collect() })
    }

    /// One hint more, where there is one.
    pub fn hint(&mut self) -> bool {
        let available = self.step().hints.len();
        let record = &mut self.session.records[self.session.position.step];
        let more = record.hints < available;
        record.hints += usize::from(more);
        more
    }
}

//! Lessons without a screen: each step done by calls or typed into a shell, each with its verdicts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::hands::{Ended, Hands};
use super::look::{CHECK_DEADLINE, LOOK_AGAIN};
use super::script::Scripted;
use super::verdicts::failure_verdict;
use super::walker::Walker;
use crate::agent::client::Keeper;
use crate::explain::Explanation;
use crate::kernel::trace::Call;
use crate::lesson::{Kind, Lesson, Value, Verdict};
use crate::runtime::action::{Action, Effect};
use crate::session::{How, Position, Session};

/// How long a typed line may take.
pub(super) const LINE_DEADLINE: Duration = Duration::from_secs(15);

/// How steps are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// By hardway's own system calls.
    Calls,
    /// By lines typed into a shell.
    Shell,
    /// By the lesson's exported script.
    Script,
}

/// One step, done or skipped.
#[derive(Clone, Debug, Serialize)]
pub struct StepLine {
    /// The lesson's name.
    pub lesson: String,
    /// The step's short name.
    pub step: String,
    /// What it proves.
    pub kind: Kind,
    /// How it was done.
    pub via: Via,
    /// Whether everything that it claims was seen. False for a skipped step.
    pub held: bool,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// What was claimed and seen.
    pub verdicts: Vec<Verdict>,
    /// The calls made; none by hand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Call>,
    /// What the actions that succeeded have created or changed; none by hand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
    /// The lines typed, with how each ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub typed: Vec<Typed>,
    /// How many rows of the live state changed.
    pub changes: usize,
    /// How long it took, in microseconds.
    pub micros: u64,
}

/// One typed line.
#[derive(Clone, Debug, Serialize)]
pub struct Typed {
    /// The line.
    pub line: String,
    /// Its exit status; none where it holds the foreground.
    pub status: Option<i32>,
    /// What the terminal showed.
    pub output: String,
}

/// Walks a lesson up to and with the step `until`, and tells of each step. The keeper is given back.
///
/// # Errors
/// Why the lab host could not be made, or was lost. Steps that do not hold are no errors: their lines say so.
pub fn walk(
    keeper: Keeper,
    lesson: &Arc<Lesson>,
    via: Via,
    until: Option<usize>,
    tell: &mut dyn FnMut(StepLine),
) -> (Keeper, Result<(), Explanation>) {
    if via == Via::Script && keeper.offer().real_host {
        let why = "it is written into a lab host that has files of its own";
        let fix = "leave --real-host out; the script makes its own lab host: hardway lesson script";
        return (keeper, Err(Explanation::new("A script is not proved on the machine itself", why, fix)));
    }
    let session = Session::new(lesson.steps.len());
    let mut walk = match Walker::open(keeper, Arc::clone(lesson), session) {
        Ok(walker) => Walk { until, ..Walk::new(walker) },
        Err((keeper, explanation)) => return (keeper, Err(explanation)),
    };
    let last = until.unwrap_or(usize::MAX).min(lesson.steps.len().saturating_sub(1));
    let result = (0..=last).try_for_each(|step| {
        let mut line = walk.step(step, via)?;
        if via == Via::Script && step == last {
            let ended = walk.script_end()?;
            line.held &= ended.holds;
            line.verdicts.push(ended);
        }
        tell(line);
        Ok(())
    });
    drop(walk.hands);
    (walk.walker.close(), result)
}

/// A walk with its shell.
pub struct Walk {
    /// The lab host and the lesson.
    pub walker: Walker,
    pub(super) hands: Option<Hands>,
    /// Whether the shell waits for a line.
    at_prompt: bool,
    /// How long a typed line may stay in the foreground.
    pub(super) patience: Duration,
    /// The last step of the script.
    pub(super) until: Option<usize>,
    /// What the script has told, once it runs.
    pub(super) scripted: Option<Scripted>,
}

impl Walk {
    /// A walk that has not begun.
    pub fn new(walker: Walker) -> Self {
        Self { walker, hands: None, at_prompt: false, patience: LINE_DEADLINE, until: None, scripted: None }
    }

    /// Does one step.
    ///
    /// # Errors
    /// Where the lab host is lost.
    pub fn step(&mut self, step: usize, via: Via) -> Result<StepLine, Explanation> {
        let start = Instant::now();
        self.walker.stand_before(step)?;
        let mut line = StepLine {
            lesson: self.walker.lesson.name.clone(),
            step: self.walker.step().id.clone(),
            kind: self.walker.step().kind,
            via,
            held: false,
            skipped: self.walker.skipped(step),
            verdicts: Vec::new(),
            calls: Vec::new(),
            effects: Vec::new(),
            typed: Vec::new(),
            changes: 0,
            micros: 0,
        };
        if line.skipped.is_some() {
            if via == Via::Script {
                self.script_step()?;
            }
            self.walker.session.position = Position { step, done: true };
            return Ok(line);
        }
        line.verdicts.extend(self.claim_before(via));
        match via {
            Via::Calls => {
                let done = self.walker.perform_step()?;
                line.calls = done.report.actions.iter().flat_map(|(_, performed)| performed.calls.clone()).collect();
                let succeeded = done.report.actions.iter().filter(|(_, performed)| performed.result.is_ok());
                line.effects = succeeded.flat_map(|(action, _)| action.mechanism().effects()).collect();
                line.verdicts.extend(done.verdicts);
                line.verdicts.extend(self.value_read());
            }
            Via::Shell | Via::Script => {
                line.typed = if via == Via::Shell { self.type_step()? } else { vec![self.script_step()?] };
                line.verdicts.extend(self.judge_hands(&line.typed)?);
                self.walker.session.did(How::Hands);
            }
        }
        line.held = line.verdicts.iter().all(|verdict| verdict.holds);
        line.changes = self.walker.since_step().len();
        line.micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(line)
    }

    /// The check of a *change* step must be false before it: else it would prove nothing.
    fn claim_before(&self, via: Via) -> Option<Verdict> {
        if self.walker.step().kind != Kind::Change {
            return None;
        }
        let names = if via == Via::Calls { self.walker.sample().names.clone() } else { self.names() };
        let already = self.walker.evaluate(&names).iter().all(|verdict| verdict.holds);
        already.then(|| Verdict {
            claim: "the check does not hold before the step".into(),
            holds: false,
            seen: "it held already".into(),
        })
    }

    /// An *observe* step needs a probe that knows the answer.
    fn value_read(&self) -> Option<Verdict> {
        let question = self.walker.step().question.as_ref()?;
        let read = self.walker.read_value(&self.walker.sample().names);
        Some(Verdict {
            claim: format!("a probe answers: {}", question.ask),
            holds: read.is_some(),
            seen: read.unwrap_or_else(|| "nothing".into()),
        })
    }

    /// Types the lines of the current step.
    fn type_step(&mut self) -> Result<Vec<Typed>, Explanation> {
        let step = self.walker.step().clone();
        if self.hands.is_none() || self.walker.lesson.begins_anew(self.walker.session.position.step) {
            self.new_shell()?;
            self.walker.observe()?;
            self.walker.mark();
        }
        step.by_hand.iter().map(|line| self.type_line(line)).collect()
    }

    /// Types lines that are not the lesson's own: the known wrong ones.
    ///
    /// # Errors
    /// Where the shell is lost.
    pub fn type_lines(&mut self, lines: &[String]) -> Result<Vec<Typed>, Explanation> {
        if self.hands.is_none() {
            self.new_shell()?;
        }
        lines.iter().map(|line| self.type_line(line)).collect()
    }

    /// Ends the shell that there is, and starts another.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn new_shell(&mut self) -> Result<(), Explanation> {
        self.hands = None;
        self.walker.lab()?.end_shell()?;
        let mut hands = Hands::new(self.walker.lab()?.open_shell(50, 250)?);
        if hands.prompt(LINE_DEADLINE).is_none() {
            return Err(no_prompt("starting the shell"));
        }
        self.hands = Some(hands);
        self.at_prompt = true;
        Ok(())
    }

    fn type_line(&mut self, line: &str) -> Result<Typed, Explanation> {
        let (Some(hands), is_key) = (&mut self.hands, line.starts_with('^')) else {
            return Err(no_prompt(line));
        };
        // What an earlier step left in the foreground has done its part. What ends by itself just now is let end: of a Ctrl-C at
        // the prompt the terminal may take the beginning of the next line along.
        if !self.at_prompt && !is_key && hands.prompt(LOOK_AGAIN * 3).is_none() {
            hands.type_line("^C")?;
            hands.prompt(LINE_DEADLINE).ok_or_else(|| no_prompt("^C"))?;
        }
        hands.type_line(line)?;
        let deadline = Instant::now() + self.patience;
        let mut stays = Stays::default();
        let ended = loop {
            let ended = self.hands.as_mut().and_then(|hands| hands.prompt(LOOK_AGAIN * 3));
            if ended.is_some() || Instant::now() > deadline || stays.long_enough(self.foreground_holds()?) {
                break ended;
            }
        };
        self.at_prompt = ended.is_some();
        let Ended { status, output } = ended.unwrap_or(Ended { status: -1, output: String::new() });
        Ok(Typed { line: line.to_owned(), status: self.at_prompt.then_some(status), output })
    }

    /// The program in the foreground, while the check of a *change* step holds: a line that stays there has then done its
    /// part. None for a shell, whose prompt is still to come, and where calls wait for the end of a program: so do hands.
    fn foreground_holds(&mut self) -> Result<Option<String>, Explanation> {
        let step = self.walker.step();
        if step.kind != Kind::Change || matches!(step.actions.last(), Some(Action::Run(_))) {
            return Ok(None);
        }
        self.walker.observe()?;
        let sample = self.walker.sample();
        let leader = sample.names.foreground.and_then(|group| sample.observation.process(group));
        let program = leader.map(|leader| leader.comm.clone()).filter(|comm| comm != "bash");
        let holds = self.walker.evaluate(&self.names()).iter().all(|verdict| verdict.holds);
        Ok(program.filter(|_| holds))
    }

    /// What the step claims, judged on what hands made.
    fn judge_hands(&mut self, typed: &[Typed]) -> Result<Vec<Verdict>, Explanation> {
        let mut verdicts = self.wait_for_hands()?;
        let (status, output) = typed.last().map_or((-1, ""), |line| (line.status.unwrap_or(-1), line.output.as_str()));
        if let Some(expected) = &self.walker.step().by_hand_fails {
            verdicts.push(failure_verdict(expected, status, output));
        }
        if let Some(question) = &self.walker.step().question {
            let read = self.walker.read_value(&self.names());
            // The first line is the echo of what was typed.
            let said = output.split_once('\n').map_or("", |(_, said)| said);
            verdicts.push(Verdict {
                claim: format!("the shell prints what the probe reads: {}", question.ask),
                holds: read.as_ref().is_some_and(|read| Value::is_word_of(read, said)),
                seen: format!("probe {}, shell {:?}", read.as_deref().unwrap_or("nothing"), output.trim()),
            });
        }
        Ok(verdicts)
    }

    /// Looks until the check holds on what hands made, or the time is up.
    ///
    /// # Errors
    /// Where the lab host is lost.
    pub fn wait_for_hands(&mut self) -> Result<Vec<Verdict>, Explanation> {
        let deadline = Instant::now() + CHECK_DEADLINE;
        loop {
            self.walker.observe()?;
            let verdicts = self.walker.evaluate(&self.names());
            if verdicts.iter().all(|verdict| verdict.holds) || Instant::now() > deadline {
                return Ok(verdicts);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// How long the same program must have been in the foreground to count as one that stays: on its way to a shell,
/// `unshare` is there for a moment as well.
const STAYS: Duration = Duration::from_millis(300);

/// The program that was seen in the foreground, and since when.
#[derive(Default)]
struct Stays(Option<(String, Instant)>);

impl Stays {
    fn long_enough(&mut self, seen: Option<String>) -> bool {
        self.0 = match (self.0.take(), seen) {
            (Some((program, since)), Some(seen)) if program == seen => Some((program, since)),
            (_, seen) => seen.map(|program| (program, Instant::now())),
        };
        self.0.as_ref().is_some_and(|(_, since)| since.elapsed() >= STAYS)
    }
}

pub(super) fn no_prompt(line: &str) -> Explanation {
    Explanation::new(
        "The shell did not come back to its prompt",
        format!("after {line:?}, within {LINE_DEADLINE:?}"),
        "is bash installed? the shell pane needs it",
    )
}

//! What a screen shows of a walk.

use std::sync::Arc;

use super::verdicts::by_hand;
use super::walker::Walker;
use super::{Mode, StepReport};
use crate::lesson::{Lesson, Verdict};
use crate::probe::{Change, Names, Observation, Row, diff};
use crate::session::{Position, Record};

/// Everything that a screen shows of a lesson. Plain data.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The lesson.
    pub lesson: Arc<Lesson>,
    /// Ids mapped how.
    pub mode: Mode,
    /// Where the learner is.
    pub position: Position,
    /// What is remembered of each step.
    pub records: Vec<Record>,
    /// For each step, why it can not be done here; none where it can.
    pub skipped: Vec<Option<String>>,
    /// The current step as it was performed by calls; none before, or when it was done by hand alone.
    pub report: Option<Arc<StepReport>>,
    /// Everything that was performed by calls in this lab host, in that order.
    pub history: Vec<Arc<StepReport>>,
    /// The last evaluation of the current step's check.
    pub verdicts: Vec<Verdict>,
    /// The learner's answer to the step's question, and whether the probe agrees, with what the probe read.
    pub answer: Option<(String, bool, String)>,
    /// The hints shown so far.
    pub hints: Vec<String>,
    /// The live state.
    pub observation: Arc<Observation>,
    /// Who is who in it.
    pub names: Names,
    /// The live state as rows.
    pub rows: Arc<Vec<Row>>,
    /// What changed since before this step.
    pub since_step: Arc<Vec<Change>>,
    /// What changed since the lesson began.
    pub since_start: Arc<Vec<Change>>,
    /// Whether the learner's shell holds something that would be lost when the lab host is made anew.
    pub shell_at_stake: bool,
    /// Whether the next step by calls makes the lab host anew, because hands have done the steps before it.
    pub next_is_anew: bool,
    /// Whether the step's lines can be typed as things are; else a new lab host and the lines before them come first.
    pub hands_fit: bool,
}

impl Walker {
    /// The hints shown so far: those whose condition holds now.
    fn hints(&self) -> Vec<String> {
        let shown = self.session.records[self.session.position.step].hints;
        let names = by_hand(&self.sample.names);
        self.step().hints.iter().filter_map(|hint| hint.text(&self.sample.observation, &names)).take(shown).collect()
    }

    /// Everything that a screen shows.
    pub fn view(&self) -> View {
        let step = self.session.position.step;
        let processes = &self.sample.observation.processes;
        let shell = self.sample.names.shell;
        View {
            lesson: Arc::clone(&self.lesson),
            mode: self.mode(),
            position: self.session.position,
            records: self.session.records.clone(),
            skipped: self.all_skipped(),
            report: self.history.iter().rfind(|report| report.step == step).cloned(),
            history: self.history.clone(),
            verdicts: self.verdicts.clone(),
            answer: self.answer.clone(),
            hints: self.hints(),
            observation: Arc::new(self.sample.observation.clone()),
            names: self.sample.names.clone(),
            rows: Arc::clone(&self.rows),
            since_step: Arc::new(self.since_step()),
            since_start: Arc::new(diff(&self.start, &self.rows)),
            shell_at_stake: shell.is_some_and(|shell| processes.iter().any(|process| process.ppid == shell)),
            next_is_anew: self.next_is_anew(),
            hands_fit: self.hands_fit(),
        }
    }
}

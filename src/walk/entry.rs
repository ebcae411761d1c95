//! A lesson as it stands for a learner on this machine.

use std::sync::Arc;

use crate::lesson::Lesson;
use crate::session::Record;

/// One lesson in the list.
#[derive(Clone, Debug, PartialEq)]
pub struct CourseEntry {
    /// The name of its file without `.yaml`.
    pub name: String,
    /// Short name.
    pub id: String,
    /// Title.
    pub title: String,
    /// What the learner can do afterwards.
    pub goal: String,
    /// How long it takes.
    pub minutes: u32,
    /// How many steps it has.
    pub steps: usize,
    /// How many of them were done.
    pub done: usize,
    /// Why it can not be walked here; none where it can.
    pub unavailable: Option<String>,
    /// The lesson itself.
    pub lesson: Arc<Lesson>,
    /// What is remembered of each step; nothing where it was never opened.
    pub records: Vec<Record>,
    /// For each step, why it can not be done here; none where it can.
    pub skipped: Vec<Option<String>>,
}

impl CourseEntry {
    /// Takes over what is remembered of each step.
    pub fn remember(&mut self, records: &[Record]) {
        self.done = records.iter().filter(|record| record.how.is_some()).count();
        self.records = records.to_vec();
    }

    /// Whether every step was done.
    pub fn finished(&self) -> bool {
        self.steps > 0 && self.done == self.steps
    }
}

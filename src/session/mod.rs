//! The progress of one learner through one lesson: a pure machine, and the store that keeps it.
//!
//! The machine knows nothing of the kernel. It says which steps the lab host must have had performed ([`Session::wanted`]);
//! `walk` makes it so.

pub mod store;

use serde::{Deserialize, Serialize};

/// Where the learner is: before or after the effect of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Index of the step, from 0.
    pub step: usize,
    /// Whether it has been done, by calls or by hand.
    pub done: bool,
}

/// How a step was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// By hardway's system calls.
    Calls,
    /// By the learner's own hands in the shell.
    Hands,
}

/// What is remembered of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// How it was done last; none where it never was.
    pub how: Option<How>,
    /// Index of the choice that the learner predicted.
    pub predicted: Option<usize>,
    /// How many hints were shown.
    pub hints: usize,
}

/// The progress through one lesson.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Where the learner is.
    pub position: Position,
    /// One record for each step.
    pub records: Vec<Record>,
}

impl Session {
    /// A session before the first of `steps` steps.
    pub fn new(steps: usize) -> Self {
        Self { position: Position::default(), records: vec![Record::default(); steps] }
    }

    /// How many steps, from the first on, the lab host must have had performed.
    pub fn wanted(&self) -> usize {
        self.position.step + usize::from(self.position.done)
    }

    /// Whether the last step has been done.
    pub fn finished(&self) -> bool {
        self.position.done && self.position.step + 1 == self.records.len()
    }

    /// The current step was done.
    pub fn did(&mut self, how: How) {
        self.position.done = true;
        if let Some(record) = self.records.get_mut(self.position.step) {
            record.how = Some(how);
        }
    }

    /// Goes on to the next step, where there is one and the current one is done.
    pub fn advance(&mut self) -> bool {
        let can = self.position.done && self.position.step + 1 < self.records.len();
        if can {
            self.position = Position { step: self.position.step + 1, done: false };
        }
        can
    }

    /// Where one step back leads: before the effect of this step, or else before that of the one before.
    pub fn before(&self) -> Position {
        match self.position {
            Position { step, done: true } => Position { step, done: false },
            Position { step, done: false } => Position { step: step.saturating_sub(1), done: false },
        }
    }

    /// Goes to a position; one beyond the end leads to the last step.
    pub fn go(&mut self, to: Position) {
        let last = self.records.len().saturating_sub(1);
        self.position = if to.step > last { Position { step: last, done: true } } else { to };
    }
}

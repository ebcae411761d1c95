//! What can be in front of the panes: texts, questions, lists.

use super::command::Command;
use crate::course::search;
use crate::explain::Explanation;
use crate::probe::Row;

/// A question that must be confirmed before something is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The next step by calls, in a new lab host.
    Next,
    /// One step back.
    Back,
    /// Start the lesson again.
    Reset,
    /// Go to a step.
    Goto(usize),
    /// Go to another lesson's list.
    Close,
    /// Open another lesson, by its index, at a step of it or where it was left.
    Open(usize, Option<usize>),
    /// A new shell for the one that runs.
    NewShell,
    /// End everything.
    Quit,
}

/// What choosing an item of a list does.
#[derive(Clone, Debug, PartialEq)]
pub enum Pick {
    /// Go to this step.
    Step(usize),
    /// Explain this row.
    Row(Box<Row>),
    /// Do this command.
    Command(Command),
    /// Go to this place of the course.
    Place(search::Place),
    /// Take this theme.
    Theme(&'static str),
}

/// Which list is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// The steps.
    Steps,
    /// The whole course, and the rows.
    Everything,
    /// The commands.
    Commands,
    /// The words of the glossary, those of the step first.
    Words,
    /// The themes.
    Themes,
}

/// Something in front of the panes.
#[derive(Clone, Debug, PartialEq)]
pub enum Popup {
    /// All keys.
    Help {
        /// First line shown.
        scroll: usize,
    },
    /// Where a value comes from and what it means.
    Explain {
        /// The rows that can be looked at.
        rows: Vec<Row>,
        /// Which of them is.
        at: usize,
    },
    /// Trouble, in three sentences.
    Trouble(Explanation),
    /// A text: the instructor's notes, a word of the glossary, the timeline.
    Text {
        /// Its title.
        title: String,
        /// Markdown.
        text: String,
        /// First line shown.
        scroll: usize,
    },
    /// Something would be lost.
    Confirm {
        /// What, and what then.
        text: String,
        /// What is done after yes.
        deed: Deed,
    },
    /// A list that narrows while one types.
    Picker {
        /// Which.
        list: List,
        /// What was typed.
        query: String,
        /// The chosen item among those that match.
        at: usize,
    },
}

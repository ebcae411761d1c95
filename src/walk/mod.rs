//! Walking a lesson over a lab host: what the screen, the plain mode, `hardway run` and the gate have in common.
//!
//! [`Order`]s go in, [`News`] come out. The screen runs the walker on a thread of its own ([`actor`]) so that no key waits
//! for the kernel; the others call it directly.

pub mod actor;
pub mod entry;
pub mod gate;
pub mod hands;
mod judge;
mod look;
pub mod run;
pub mod script;
pub mod verdicts;
pub mod view;
pub mod walker;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::explain::Explanation;
pub use crate::kernel::host::Mode;
use crate::probe::cgroups::gauges::Gauged;
use crate::runtime::action::{Action, Performed};
pub use view::View;

/// What a look at the lab host has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Everything is as it was.
    Same,
    /// Something is not.
    Different,
    /// What is not makes the check of the step hold: hands have done it.
    Passed,
}

/// What the learner wants.
#[derive(Debug)]
pub enum Order {
    /// Open a lesson, by name or id, at a step (by short name or number from 1) or where progress left it.
    Open {
        /// The lesson.
        lesson: String,
        /// The step.
        step: Option<String>,
    },
    /// Leave the lesson for the course; the lab host ends.
    Close,
    /// Do the step by calls; or, when it is done, go on to the next.
    Next,
    /// One step back.
    Back,
    /// Start the lesson again.
    Reset,
    /// Go before the effect of this step (index from 0), with the state of all steps before it built.
    Goto(usize),
    /// Evaluate the step's check, on the box and on what was made by hand.
    Check,
    /// Show one more hint.
    Hint,
    /// Predict: index of the choice.
    Predict(usize),
    /// Answer the question of an *observe* step.
    Answer(String),
    /// Make sure that there is a shell in the lab host, of this size (rows, columns).
    OpenShell(u16, u16),
    /// Start a new shell in which the step can be done by hand: the lines before it are typed into it first, and what they
    /// change is not the step's. Makes a new lab host where calls have done those steps in this one.
    ShellForHands(u16, u16),
    /// End the shell, whatever it runs, and start a new one.
    NewShell(u16, u16),
    /// The shell pane has another size now (rows, columns).
    Resize(u16, u16),
    /// A command ended in the shell (its prompt's mark arrived): look whether the step was done by hand.
    ShellPrompt {
        /// Its exit status.
        status: i32,
        /// What the terminal was sent since the prompt before, at most some kilobytes.
        output: String,
        /// Where the command was typed to bring the shell to where the step begins: how many such lines are still to come.
        leads: Option<usize>,
    },
    /// Take a sample of the live state now.
    Sample,
    /// Read these files of groups, which are drawn as graphs, by their paths in the lab host; nothing else is looked at.
    Gauge(Vec<String>),
    /// Tell when something happens in these directories of groups, as far as the kernel tells; of none: no more.
    Watch(Vec<String>),
    /// Tell when something happens to links, addresses and routes; or no more.
    WatchNetworks(bool),
    /// End everything.
    Quit,
}

/// What happened.
#[derive(Debug)]
pub enum News {
    /// The state of things after an order or a sample. Sent only when something differs from the last one sent.
    View(Arc<View>),
    /// A shell was opened: the master of its pty, to read, write and draw.
    Shell(OwnedFd),
    /// The shell has ended.
    ShellEnded,
    /// A lasting order began (lab host start, replay): what is being done.
    Busy(String),
    /// The state at the shell's last prompt has been looked at: what is typed next can not take away what was to be seen.
    Looked,
    /// What the files of graphs said; nothing where the lab host is gone.
    Gauged(Gauged),
    /// These descriptors become ready when something happens in a group ([`crate::agent::client::Lab::watch`]).
    Watching(Vec<OwnedFd>),
    /// These become ready when something happens to a network ([`crate::agent::client::Lab::watch_networks`]).
    WatchingNetworks(Vec<OwnedFd>),
    /// An order could not be carried out.
    Trouble(Explanation),
    /// A short word to the learner: "done by hand: check passed".
    Notice(String),
    /// Everything has ended; the machine is as before. The last news.
    Ended,
}

/// One performed step: both truths.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Index of the step.
    pub step: usize,
    /// Each action with what came of it.
    pub actions: Vec<(Action, Performed)>,
}

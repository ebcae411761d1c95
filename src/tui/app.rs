//! The model: everything that the screen is drawn from. Plain data; [`super::update`] alone changes it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::derived::{Derived, Index};
use super::keymap::Chord;
use super::pty::{self, Marks};
use super::theme::Theme;
use super::{CourseEntry, Setup};
use crate::explain::Explanation;
use crate::lesson::Step;
use crate::probe::{Change, Panel, Row};
use crate::walk::View;
use crate::walk::hands::Endings;

/// A pane of the lesson screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    /// The list of steps.
    Steps,
    /// The step: text, prediction, checks, hints, debrief.
    Text,
    /// The calls, and the same as shell lines.
    Trace,
    /// The learner's shell.
    Shell,
    /// The live kernel state.
    State,
    /// What changed.
    Diff,
}

impl Pane {
    /// All panes, in the order in which Tab visits them.
    pub const ALL: [Self; 6] = [Self::Steps, Self::Text, Self::Trace, Self::Shell, Self::State, Self::Diff];
}

/// What changes are counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The state before this step.
    Step,
    /// The state when the lesson began.
    Start,
}

/// Whether the state panels scroll to what changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// As soon as they are shown.
    Wanted,
    /// They have, and will again when something else changes.
    Done,
    /// Not before the next step: the learner has scrolled them.
    Never,
}

/// How far the shell pane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShellState {
    /// None was asked for.
    Closed,
    /// One was ordered and has not come yet.
    Asked,
    /// It runs.
    Open,
    /// It has ended; its last screen is still there.
    Ended,
}

/// The shell pane.
pub struct Shell {
    /// How far it is.
    pub state: ShellState,
    /// The terminal that its output is drawn on.
    pub parser: vt100::Parser<Marks>,
    /// What is to be typed, one entry at each prompt.
    pub pending: VecDeque<Vec<u8>>,
    /// For so many seconds its end means that the lab host was made anew, and that another is opened.
    pub reopen: u8,
    /// Finds the ends of commands in its output.
    pub endings: Endings,
}

impl Shell {
    /// A terminal of this size with nothing on it.
    pub fn new(state: ShellState, rows: u16, columns: u16) -> Self {
        Self {
            state,
            parser: pty::terminal(rows, columns),
            pending: VecDeque::new(),
            reopen: 0,
            endings: Endings::default(),
        }
    }
}

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
    Command(super::command::Command),
}

/// Which list is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// The steps.
    Steps,
    /// Steps and rows.
    Everything,
    /// The commands.
    Commands,
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
    /// A text of the lesson, such as the instructor's notes.
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

/// A short word that goes away by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The word.
    pub text: String,
    /// How many seconds are left.
    pub left: u8,
}

/// Everything that the screen is drawn from.
pub struct Model {
    /// The lessons.
    pub course: Vec<CourseEntry>,
    /// The chosen lesson.
    pub at: usize,
    /// How ids are mapped, in words.
    pub mode: String,
    /// Colours.
    pub theme: Theme,
    /// The key that leaves the shell pane.
    pub leave: Chord,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// The lesson that is open or being opened.
    pub open: Option<String>,
    /// What the walker last told of it.
    pub view: Option<Arc<View>>,
    /// What is worked out of it once.
    pub derived: Derived,
    /// The pane that keys scroll.
    pub focus: Pane,
    /// Whether every key goes to the shell.
    pub capture: bool,
    /// Whether the focused pane has the whole screen.
    pub zoom: bool,
    /// Bigger and calmer, for a projector.
    pub presenter: bool,
    /// Whether sampling is stopped.
    pub frozen: bool,
    /// Whether panels show also what is as on the lab host.
    pub unfolded: bool,
    /// What changes are counted from.
    pub base: Base,
    /// First line shown, by pane.
    pub scroll: [usize; Pane::ALL.len()],
    /// Whether the state panels scroll to what changed.
    pub follow: Follow,
    /// The section of the step's text that was asked for and is to be seen as soon as it is there.
    pub reveal: Option<&'static str>,
    /// The chosen row of the state: panel, subject, key.
    pub selected: Option<(Panel, String, String)>,
    /// The chosen change.
    pub change_at: usize,
    /// What is in front.
    pub popup: Option<Popup>,
    /// The lasting order that is being carried out.
    pub busy: Option<String>,
    /// A short word.
    pub notice: Option<Notice>,
    /// The answer while it is being written.
    pub answer: Option<String>,
    /// The shell pane.
    pub shell: Shell,
    /// How many of the step's lines were typed for the learner.
    pub typed: usize,
    /// Everything is being taken back; the screen closes when that is done.
    pub ending: bool,
}

impl Model {
    /// The model before anything has happened.
    pub fn new(setup: &Setup, theme: Theme, leave: Chord, size: (u16, u16)) -> Self {
        let first = setup.course.iter().position(|entry| entry.done < entry.steps && entry.unavailable.is_none());
        let started = setup
            .start
            .as_ref()
            .and_then(|(name, _)| setup.course.iter().position(|entry| entry.name == *name || entry.id == *name));
        Self {
            course: setup.course.clone(),
            at: started.or(first).unwrap_or(0),
            mode: setup.mode.clone(),
            theme,
            leave,
            size,
            open: setup.start.as_ref().map(|(lesson, _)| lesson.clone()),
            view: None,
            derived: Derived::default(),
            focus: Pane::Text,
            capture: false,
            zoom: false,
            presenter: setup.present,
            frozen: false,
            unfolded: false,
            base: Base::Step,
            scroll: [0; Pane::ALL.len()],
            follow: Follow::Wanted,
            reveal: None,
            selected: None,
            change_at: 0,
            popup: setup.notice.clone().map(Popup::Trouble),
            busy: setup.start.as_ref().map(|(lesson, _)| format!("opening {lesson}")),
            notice: None,
            answer: None,
            shell: Shell::new(ShellState::Closed, 24, 80),
            typed: 0,
            ending: false,
        }
    }

    /// Takes over what the walker tells.
    pub fn set_view(&mut self, view: Arc<View>) {
        self.derived = Derived::of(&view);
        self.view = Some(view);
    }

    /// The current step.
    pub fn step(&self) -> Option<&Step> {
        let view = self.view.as_ref()?;
        view.lesson.steps.get(view.position.step)
    }

    /// The changes that are shown.
    pub fn changes(&self) -> &[Change] {
        match (&self.view, self.base) {
            (Some(view), Base::Step) => &view.since_step,
            (Some(view), Base::Start) => &view.since_start,
            (None, _) => &[],
        }
    }

    /// What was worked out of the changes that are shown.
    pub fn index(&self) -> &Index {
        self.derived.since(self.base)
    }

    /// First line shown of a pane.
    pub fn scroll_of(&self, pane: Pane) -> usize {
        self.scroll[pane as usize]
    }

    /// What changed is another thing now, or is seen in another way.
    pub fn follow_again(&mut self) {
        if self.follow == Follow::Done {
            self.follow = Follow::Wanted;
        }
    }

    /// Says a short word.
    pub fn say(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), left: 6 });
    }
}

/// The pid that a row's subject names: `box (pid 12)`, `pid 14 bash`.
pub fn pid_of(subject: &str) -> Option<i32> {
    let (_, rest) = subject.split_once("pid ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

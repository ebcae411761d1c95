//! The model: everything that the screen is drawn from. Plain data; [`super::update`] alone changes it.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use super::derived::{Derived, Index};
pub use super::front::{Deed, List, Pick, Popup};
use super::graphs::Graphs;
use super::keys::Keys;
use super::pty::{self, Marks};
use super::settings::Settings;
use super::theme::{Depth, Theme};
use super::{CourseEntry, Setup};
use crate::course::search::Index as Texts;
use crate::explain::Explanation;
use crate::lesson::Step;
use crate::probe::{Change, Panel};
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
    /// How many of those only bring the shell to where the step begins: the first ones.
    pub leading: usize,
    /// Whether the line that was typed last is such a one, and no prompt has come since the last of them.
    pub led: bool,
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
            leading: 0,
            led: false,
            reopen: 0,
            endings: Endings::default(),
        }
    }
}

/// The state panels stand still.
#[derive(Clone, Debug, Default)]
pub struct Frozen {
    /// For how many seconds.
    pub seconds: u32,
    /// What the walker told meanwhile.
    latest: Option<Arc<View>>,
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
    /// The chosen step of that lesson, where one is being chosen.
    pub step_at: Option<usize>,
    /// Whether the course is shown although a lesson is open.
    pub map: bool,
    /// The texts of the course, gathered when they are first searched.
    texts: OnceLock<Texts>,
    /// How ids are mapped, in words.
    pub mode: String,
    /// Colours.
    pub theme: Theme,
    /// How many colours the terminal has.
    pub depth: Depth,
    /// Which keys mean what.
    pub keys: Keys,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// The lesson that is open or being opened.
    pub open: Option<String>,
    /// What the walker last told of it.
    pub view: Option<Arc<View>>,
    /// What is worked out of it once.
    pub derived: Derived,
    /// Values over time, of what is seen.
    pub graphs: Graphs,
    /// The pane that keys scroll.
    pub focus: Pane,
    /// Whether every key goes to the shell.
    pub capture: bool,
    /// Whether the focused pane has the whole screen.
    pub zoom: bool,
    /// Bigger and calmer, for a projector.
    pub presenter: bool,
    /// Whether the state panels stand still.
    pub frozen: Option<Frozen>,
    /// Whether panels show also what is as on the lab host.
    pub unfolded: bool,
    /// What changes are counted from.
    pub base: Base,
    /// Whether changes are shown side by side, before and after.
    pub beside: bool,
    /// The step whose calls are shown, where that is not the current one.
    pub trace_of: Option<usize>,
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
    /// Trouble that is told when nothing else is in front.
    pub troubles: VecDeque<Explanation>,
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
    pub fn new(setup: &Setup, settings: Settings, size: (u16, u16)) -> Self {
        let first = setup.course.iter().position(|entry| entry.done < entry.steps && entry.unavailable.is_none());
        let started = setup
            .start
            .as_ref()
            .and_then(|(name, _)| setup.course.iter().position(|entry| entry.name == *name || entry.id == *name));
        let mut model = Self {
            course: setup.course.clone(),
            at: started.or(first).unwrap_or(0),
            step_at: None,
            map: false,
            texts: OnceLock::new(),
            mode: setup.mode.clone(),
            theme: settings.theme,
            depth: settings.depth,
            keys: settings.keys,
            troubles: setup.notice.iter().cloned().chain(settings.troubles).collect(),
            size,
            open: setup.start.as_ref().map(|(lesson, _)| lesson.clone()),
            view: None,
            derived: Derived::default(),
            graphs: Graphs::default(),
            focus: Pane::Text,
            capture: false,
            zoom: false,
            presenter: setup.present,
            frozen: None,
            unfolded: false,
            base: Base::Step,
            beside: false,
            trace_of: None,
            scroll: [0; Pane::ALL.len()],
            follow: Follow::Wanted,
            reveal: None,
            selected: None,
            change_at: 0,
            popup: None,
            busy: setup.start.as_ref().map(|(lesson, _)| format!("opening {lesson}")),
            notice: None,
            answer: None,
            shell: Shell::new(ShellState::Closed, 24, 80),
            typed: 0,
            ending: false,
        };
        model.tell_trouble();
        model
    }

    /// Brings the next trouble to the front, where nothing is there.
    pub fn tell_trouble(&mut self) {
        if self.popup.is_none() {
            self.popup = self.troubles.pop_front().map(Popup::Trouble);
        }
    }

    /// The key of a command, as people write it.
    pub fn key(&self, command: super::command::Command) -> String {
        self.keys.shown(command)
    }

    /// Takes over what the walker tells. Frozen panels keep what they show.
    pub fn set_view(&mut self, mut view: Arc<View>) {
        if let (Some(frozen), Some(had)) = (&mut self.frozen, &self.view) {
            frozen.latest = Some(Arc::clone(&view));
            let shown = Arc::make_mut(&mut view);
            shown.observation = Arc::clone(&had.observation);
            shown.names.clone_from(&had.names);
            shown.rows = Arc::clone(&had.rows);
            shown.since_step = Arc::clone(&had.since_step);
            shown.since_start = Arc::clone(&had.since_start);
        }
        self.derived = Derived::of(&view);
        self.view = Some(view);
    }

    /// Lets the state panels go on, with what came meanwhile.
    pub fn thaw(&mut self) {
        if let Some(latest) = self.frozen.take().and_then(|frozen| frozen.latest) {
            self.set_view(latest);
        }
    }

    /// Whether the course is shown, and not a lesson.
    pub fn on_course(&self) -> bool {
        self.view.is_none() || self.map
    }

    /// The index of the lesson that is open.
    pub fn lesson_at(&self) -> Option<usize> {
        let lesson = &self.view.as_ref()?.lesson;
        self.course.iter().position(|entry| entry.name == lesson.name)
    }

    /// The step whose calls are shown.
    pub fn traced(&self) -> usize {
        let current = self.view.as_ref().map_or(0, |view| view.position.step);
        self.trace_of.unwrap_or(current)
    }

    /// The texts of the course.
    pub fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| Texts::of(self.course.iter().map(|entry| &entry.lesson)))
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

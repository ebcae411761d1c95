//! Where everything is: a function of the model's size and state alone, so that a click can be traced back.

use ratatui::layout::Rect;

use super::app::{Model, Pane, ShellState};
use super::doc::Doc;
use super::view;
use crate::walk::View;

/// The smallest screen, columns and rows.
pub const SMALLEST: (u16, u16) = (80, 24);
/// From here on all panes are side by side.
pub const WIDE: (u16, u16) = (120, 32);

/// One pane's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which.
    pub pane: Pane,
    /// With its frame. Neighbouring frames share a line.
    pub outer: Rect,
    /// What it can draw on.
    pub inner: Rect,
    /// Whether a frame is drawn around it.
    pub framed: bool,
}

/// The places of a screen.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// The top line.
    pub header: Rect,
    /// The line of tabs, on small screens.
    pub tabs: Option<Rect>,
    /// The panes that are shown.
    pub panes: Vec<Place>,
    /// The line that says what one can do now.
    pub prompt: Rect,
    /// The line of keys.
    pub help: Rect,
}

/// The tabs of a small screen.
pub const TABS: [(Pane, &str); 4] =
    [(Pane::Text, "Step"), (Pane::Trace, "Calls"), (Pane::Shell, "Shell"), (Pane::State, "State")];

impl Layout {
    /// The place of a pane, where it is shown.
    pub fn place(&self, pane: Pane) -> Option<&Place> {
        self.panes.iter().find(|place| place.pane == pane)
    }
}

/// Whether the screen is large enough for anything.
pub fn fits(size: (u16, u16)) -> bool {
    size.0 >= SMALLEST.0 && size.1 >= SMALLEST.1
}

/// Whether all panes are side by side.
pub fn wide(model: &Model) -> bool {
    model.size.0 >= WIDE.0 && model.size.1 >= WIDE.1
}

/// Whether the step's text stands alone, without calls and changes beside it.
pub fn alone(model: &Model) -> bool {
    model.zoom || !wide(model)
}

/// The layout of the lesson screen.
pub fn layout(model: &Model) -> Layout {
    // On a screen that is too small nothing is drawn of this, but keys still have their meaning.
    let (columns, rows) = (model.size.0.max(SMALLEST.0), model.size.1.max(SMALLEST.1));
    let mut layout = Layout {
        header: Rect::new(0, 0, columns, 1),
        prompt: Rect::new(0, rows.saturating_sub(2), columns, 1),
        help: Rect::new(0, rows.saturating_sub(1), columns, 1),
        ..Layout::default()
    };
    let content = Rect::new(0, 1, columns, rows.saturating_sub(3));
    if model.zoom && wide(model) {
        layout.panes.push(framed(model.focus, content, 1));
    } else if model.zoom {
        // Every line counts: neither a frame nor the first line.
        layout.header = Rect::default();
        let whole = Rect { y: 0, height: content.height + 1, ..content };
        layout.panes.push(bare(model.focus, whole, 1));
    } else if !wide(model) {
        layout.tabs = Some(Rect { height: 1, ..content });
        tabbed(model, Rect { y: 2, height: content.height.saturating_sub(1), ..content }, &mut layout.panes);
    } else if model.presenter {
        presented(model, content, &mut layout.panes);
    } else {
        side_by_side(model, content, &mut layout.panes);
    }
    layout
}

fn framed(pane: Pane, outer: Rect, padding: u16) -> Place {
    let padding = if pane == Pane::Shell { 0 } else { padding };
    let inner = Rect::new(
        outer.x + 1 + padding,
        outer.y + 1,
        outer.width.saturating_sub(2 + 2 * padding),
        outer.height.saturating_sub(2),
    );
    Place { pane, outer, inner, framed: true }
}

fn bare(pane: Pane, outer: Rect, title: u16) -> Place {
    let padding = u16::from(pane != Pane::Shell);
    let inner = Rect::new(
        outer.x + padding,
        outer.y + title,
        outer.width.saturating_sub(2 * padding),
        outer.height.saturating_sub(title),
    );
    Place { pane, outer, inner, framed: false }
}

fn tabbed(model: &Model, content: Rect, panes: &mut Vec<Place>) {
    match model.focus {
        Pane::State | Pane::Diff => {
            let below = diff_height(model, content.width - 2, content.height) - 1;
            let above = content.height - below;
            panes.push(bare(Pane::State, Rect { height: above, ..content }, 0));
            panes.push(bare(Pane::Diff, Rect { y: content.y + above, height: below, ..content }, 1));
        }
        Pane::Steps => panes.push(bare(Pane::Text, content, 0)),
        pane => panes.push(bare(pane, content, 0)),
    }
}

/// Rows of the list of changes with its frame: what it needs, but not more than its share of `available`.
fn diff_height(model: &Model, columns: u16, available: u16) -> u16 {
    rows_of(&view::diff::doc(model, columns)).clamp(3, (available * 2 / 5).max(3))
}

fn state_column(model: &Model, column: Rect, padding: u16, panes: &mut Vec<Place>) {
    let below = diff_height(model, column.width.saturating_sub(2 + 2 * padding), column.height);
    let above = column.height - below + 1;
    panes.push(framed(Pane::State, Rect { height: above, ..column }, padding));
    panes.push(framed(Pane::Diff, Rect { y: column.y + above - 1, height: below, ..column }, padding));
}

fn side_by_side(model: &Model, content: Rect, panes: &mut Vec<Place>) {
    let steps = (content.width / 6).clamp(20, 34);
    let state = (content.width - steps) * 21 / 50;
    let middle = content.width - steps - state + 2;
    panes.push(framed(Pane::Steps, Rect { width: steps, ..content }, 1));
    let column = Rect { x: steps - 1, width: middle, ..content };
    let mut shell = match model.shell.state {
        ShellState::Closed => 4,
        _ => (content.height / 3).max(10),
    };
    let mut trace = trace_height(model, column, content.height - shell + 1);
    if waits_for_a_guess(model) {
        // All choices are to be seen: first the trace makes room for them, then the shell.
        let wanted = rows_of(&view::doc(model, Pane::Text, column.width.saturating_sub(4)).unwrap_or_default());
        let mut lacking = wanted.saturating_sub(content.height + 2 - shell - trace);
        for (height, least) in [(&mut trace, 4), (&mut shell, 6)] {
            let given = lacking.min(height.saturating_sub(least));
            (*height, lacking) = (*height - given, lacking - given);
        }
    }
    let rest = content.height - shell + 1;
    let text = rest - trace + 1;
    panes.push(framed(Pane::Text, Rect { height: text, ..column }, 1));
    panes.push(framed(Pane::Trace, Rect { y: column.y + text - 1, height: trace, ..column }, 1));
    panes.push(framed(Pane::Shell, Rect { y: column.y + rest - 1, height: shell, ..column }, 1));
    let x = column.x + column.width - 1;
    state_column(model, Rect { x, width: content.width - x, ..content }, 1, panes);
}

/// Rows of the trace with its frame: what it needs, but not more than its share of `available`.
fn trace_height(model: &Model, column: Rect, available: u16) -> u16 {
    let doc = view::trace::doc(model, column.width.saturating_sub(4));
    rows_of(&doc).clamp(4, (available * 9 / 20).max(4))
}

/// Rows of a document with its frame.
fn rows_of(doc: &Doc) -> u16 {
    u16::try_from(doc.len()).unwrap_or(u16::MAX).saturating_add(2)
}

/// Whether the learner reads, and has a guess to make.
fn waits_for_a_guess(model: &Model) -> bool {
    let guessed = |view: &View| view.records[view.position.step].predicted.is_some() || view.position.done;
    let asks = model.step().is_some_and(|step| step.predict.is_some());
    asks && !model.capture && model.view.as_deref().is_some_and(|view| !guessed(view))
}

fn presented(model: &Model, content: Rect, panes: &mut Vec<Place>) {
    let left = content.width * 11 / 20;
    let column = Rect { width: left, ..content };
    if model.focus == Pane::Shell {
        panes.push(framed(Pane::Shell, column, 0));
    } else {
        let trace = trace_height(model, Rect { width: left.saturating_sub(4), ..column }, content.height);
        let text = content.height - trace + 1;
        panes.push(framed(Pane::Text, Rect { height: text, ..column }, 3));
        panes.push(framed(Pane::Trace, Rect { y: content.y + text - 1, height: trace, ..column }, 3));
    }
    let state = Rect { x: left - 1, width: content.width - left + 1, ..content };
    state_column(model, state, 2, panes);
}

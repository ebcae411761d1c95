//! The live kernel state: the panels that the step watches, one below the other.

use ratatui::text::{Line, Span};

use super::{cgroups, grid, mounts, network, table, tree};
use crate::probe::{ChangeKind, Panel, Row};
use crate::tui::app::{Frozen, Model, Pane};
use crate::tui::command::Command;
use crate::tui::doc::{Doc, Target, clean};
use crate::tui::theme::Theme;
use crate::walk::View;

/// The panels of a step that names none.
const USUAL: [Panel; 2] = [Panel::Processes, Panel::Namespaces];

/// What the panels are drawn from.
pub(super) struct State<'a> {
    pub model: &'a Model,
    pub view: &'a View,
    pub theme: &'a Theme,
}

impl<'a> State<'a> {
    /// The indices of the rows of a panel that are about a process.
    pub fn rows_of(&self, panel: Panel, pid: i32) -> &[usize] {
        self.model.derived.rows_of(panel, pid)
    }

    /// How a row changed.
    pub fn kind(&self, row: usize) -> Option<&'a ChangeKind> {
        let change = self.model.index().change(row)?;
        self.model.changes().get(change).map(|change| &change.kind)
    }

    /// The mark of a line that stands for several rows: new where any of them is.
    pub fn mark(&self, rows: &[usize]) -> Span<'static> {
        let kinds: Vec<&ChangeKind> = rows.iter().filter_map(|index| self.kind(*index)).collect();
        let new = kinds.iter().find(|kind| **kind == &ChangeKind::Added);
        mark(new.or(kinds.first()).copied(), self.theme)
    }

    /// Adds a line that stands for rows; the chosen one stands out.
    pub fn line(&self, doc: &mut Doc, spans: Vec<Span<'static>>, target: Target) {
        let line = self.chosen(spans, &target);
        doc.cut(line, Some(target));
    }

    /// As [`State::line`], with what does not fit on lines below, from this column on.
    pub fn wrapped(&self, doc: &mut Doc, spans: Vec<Span<'static>>, hang: usize, target: Target) {
        let line = self.chosen(spans, &target);
        doc.wrap(&line, hang, Some(target));
    }

    fn chosen(&self, spans: Vec<Span<'static>>, target: &Target) -> Line<'static> {
        let line = Line::from(spans);
        let chosen = self.model.focus == Pane::State && is_selected(self.model, target);
        if chosen { line.style(self.theme.selected) } else { line }
    }
}

/// All panels of the step.
pub fn doc(model: &Model, columns: u16) -> Doc {
    let theme = &model.theme;
    let mut doc = Doc::new(columns);
    let Some(view) = &model.view else { return doc };
    let state = State { model, view, theme };
    let watch = model.step().map_or(&USUAL[..], |step| if step.watch.is_empty() { &USUAL } else { &step.watch });
    for panel in watch {
        let mut body = Doc::new(columns);
        let aside = if view.observation.processes.is_empty() {
            body.text("nothing sampled yet: the first sample is taken when the lab host stands", theme.dim);
            String::new()
        } else {
            add(&mut body, &state, *panel)
        };
        if body.is_empty() {
            body.text("the last sample holds nothing of this kind", theme.dim);
        }
        doc.heading_with(&panel.to_string(), Span::styled(aside, theme.dim), theme.heading, theme.border);
        doc.lines.extend(body.lines);
    }
    doc
}

/// That the panels stand still, and since when.
pub(super) fn frozen(frozen: &Frozen) -> String {
    let since = match frozen.seconds {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    };
    format!("frozen for {since}")
}

/// One panel, in its own shape or else as a table; what stands beside its heading.
fn add(doc: &mut Doc, state: &State<'_>, panel: Panel) -> String {
    let foldable = match panel {
        Panel::Processes => {
            tree::add(doc, state);
            false
        }
        Panel::Namespaces => {
            grid::add(doc, state);
            return "inodes, last digits".to_owned();
        }
        Panel::Mounts => {
            mounts::add(doc, state);
            true
        }
        Panel::Cgroups => cgroups::add(doc, state),
        Panel::Network => network::add(doc, state),
        _ => table::add(doc, state, panel),
    };
    match (foldable, state.model.unfolded) {
        (false, _) => String::new(),
        (true, false) => format!("{} unfolds", state.model.key(Command::Unfold)),
        (true, true) => format!("{} folds", state.model.key(Command::Unfold)),
    }
}

/// The rows of a panel that are gone: of each subject one line.
pub(super) fn removed(doc: &mut Doc, state: &State<'_>, panel: Panel) {
    let changes = state.model.changes();
    for group in &state.model.index().groups {
        let first = &changes[group.changes[0]];
        if first.row.panel == panel && first.kind == ChangeKind::Removed {
            let told = Span::styled(group.told.clone(), state.theme.removed);
            let spans = vec![mark(Some(&first.kind), state.theme), told];
            state.line(doc, spans, Target::Changes(group.changes.clone()));
        }
    }
}

/// The first and the last line with the sign of a change.
pub fn changed_lines(doc: &Doc) -> Option<(usize, usize)> {
    let is_sign = |span: &Span<'_>| span.content.ends_with(' ') && SIGNS.contains(&span.content.trim_end());
    let signed = |(line, target): &(Line<'_>, Option<Target>)| match target {
        // In a picture it stands behind the edge of a box.
        Some(Target::Beside(_)) => line.spans.iter().any(is_sign),
        _ => line.spans.first().is_some_and(is_sign),
    };
    Some((doc.lines.iter().position(signed)?, doc.lines.iter().rposition(signed)?))
}

/// The signs of what came, became another, and went.
const SIGNS: [&str; 3] = ["+", "~", "−"];

/// The sign of a change, two columns wide.
pub(super) fn mark(kind: Option<&ChangeKind>, theme: &Theme) -> Span<'static> {
    match kind {
        None => Span::raw("  "),
        Some(ChangeKind::Added) => Span::styled("+ ", theme.added),
        Some(ChangeKind::Changed { .. }) => Span::styled("~ ", theme.changed),
        Some(ChangeKind::Removed) => Span::styled("− ", theme.removed),
    }
}

/// A value in the colour of its change, with the value before.
pub(super) fn value(kind: Option<&ChangeKind>, value: &str, theme: &Theme) -> Vec<Span<'static>> {
    if value.is_empty() {
        return self::value(kind, "(empty)", theme);
    }
    match kind {
        None => vec![Span::raw(clean(value))],
        Some(ChangeKind::Added) => vec![Span::styled(clean(value), theme.added)],
        Some(ChangeKind::Removed) => vec![Span::styled(clean(value), theme.removed)],
        Some(ChangeKind::Changed { before }) => vec![
            Span::styled(clean(before), theme.dim),
            Span::styled(" → ", theme.changed),
            Span::styled(clean(value), theme.changed),
        ],
    }
}

/// Whether the chosen row is among those of a line.
pub fn is_selected(model: &Model, target: &Target) -> bool {
    let (Some(view), Some((panel, subject, key))) = (&model.view, &model.selected) else { return false };
    let is = |row: &Row| row.identity() == (*panel, subject, key);
    match target {
        Target::Rows(rows) => rows.iter().filter_map(|(_, index)| view.rows.get(*index)).any(is),
        Target::Changes(list) => {
            list.iter().filter_map(|index| model.changes().get(*index)).any(|change| is(&change.row))
        }
        Target::Beside(targets) => targets.iter().any(|(_, target)| is_selected(model, target)),
        _ => false,
    }
}

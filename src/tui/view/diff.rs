//! What changed, as a list.

use ratatui::text::{Line, Span};

use super::state::{mark, value};
use crate::probe::{Change, ChangeKind, Panel};
use crate::tui::app::{Base, Model, Pane, pid_of};
use crate::tui::doc::{Doc, Target, clean, cut};

/// One entry a change: what, and the value before and now. What came or went whole is one entry.
pub fn doc(model: &Model, columns: u16) -> Doc {
    let theme = &model.theme;
    let mut doc = Doc::new(columns);
    let changes = model.changes();
    if changes.is_empty() {
        let text = match (model.base, model.view.as_ref().is_some_and(|view| view.position.done)) {
            (Base::Step, false) => "nothing: the step has not been done",
            (Base::Step, true) => "nothing: all is as it was before",
            (Base::Start, _) => "nothing yet",
        };
        doc.wrap(&Line::styled(text, theme.dim), 0, None);
        return doc;
    }
    for group in &model.index().groups {
        let change = &changes[group[0]];
        let mut spans = vec![mark(Some(&change.kind), theme)];
        if group.len() > 1 {
            let style = if change.kind == ChangeKind::Removed { theme.removed } else { theme.added };
            spans.push(Span::styled(told(model, group), style));
        } else {
            spans.extend([
                Span::styled(clean(&change.row.subject), theme.dim),
                Span::raw(" "),
                Span::raw(clean(&change.row.key)),
                Span::raw("  "),
            ]);
            // A value of many words is told in part; e tells the whole.
            let kind = match &change.kind {
                ChangeKind::Changed { before } => ChangeKind::Changed { before: cut(before, doc.width) },
                other => other.clone(),
            };
            spans.extend(value(Some(&kind), &cut(&change.row.value, doc.width), theme));
        }
        let mut line = Line::from(spans);
        if model.focus == Pane::Diff && group.contains(&model.change_at) {
            line = line.style(theme.selected);
        }
        doc.wrap(&line, 4, Some(Target::Changes(group.clone())));
    }
    doc
}

/// How many entries the list has.
pub fn count(model: &Model) -> usize {
    model.index().groups.len()
}

/// A group in a few words: `pid 17 ls  has ended`, or the one value that it is.
pub(super) fn told(model: &Model, group: &[usize]) -> String {
    let changes = model.changes();
    let Change { kind, row } = &changes[group[0]];
    let pid = pid_of(&row.subject);
    let alive =
        || pid.is_some_and(|pid| model.view.as_ref().is_some_and(|view| view.observation.process(pid).is_some()));
    // A process that goes by another name now is neither new nor gone.
    let other = |change: &Change| {
        change.kind != *kind && change.row.panel == Panel::Processes && pid_of(&change.row.subject) == pid
    };
    let words = match (group.len(), row.panel, kind) {
        (1, ..) => format!("{}  {}", row.key, row.value),
        (count, Panel::Mounts, _) => format!(" {count} mounts"),
        (_, Panel::Processes, ChangeKind::Removed) if !alive() => " has ended".to_owned(),
        (_, Panel::Processes, ChangeKind::Added) if !changes.iter().any(other) => " is a new process".to_owned(),
        (count, panel, _) => format!(" {panel}: {count} values"),
    };
    clean(&format!("{} {words}", row.subject))
}

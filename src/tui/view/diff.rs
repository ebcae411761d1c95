//! What changed, as a list.

use ratatui::text::{Line, Span};

use super::state::{mark, value};
use crate::probe::{Change, ChangeKind};
use crate::tui::app::{Base, Model, Pane};
use crate::tui::doc::{Doc, Target, clean};

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
    for group in ordered(model) {
        let change = &changes[group[0]];
        let mut spans = vec![mark(Some(&change.kind), theme)];
        if group.len() > 1 {
            let style = if change.kind == ChangeKind::Removed { theme.removed } else { theme.added };
            spans.push(Span::styled(told(changes, &group), style));
        } else {
            spans.extend([
                Span::styled(clean(&change.row.subject), theme.dim),
                Span::raw(" "),
                Span::raw(clean(&change.row.key)),
                Span::raw("  "),
            ]);
            spans.extend(value(Some(&change.kind), &change.row.value, theme));
        }
        let mut line = Line::from(spans);
        if model.focus == Pane::Diff && group.contains(&model.change_at) {
            line = line.style(theme.selected);
        }
        doc.wrap(&line, 4, Some(Target::Changes(group)));
    }
    doc
}

/// How many entries the list has.
pub fn count(model: &Model) -> usize {
    groups(model.changes()).len()
}

/// The groups as they are shown: first what the step watches, and there first what has another value than before.
fn ordered(model: &Model) -> Vec<Vec<usize>> {
    let changes = model.changes();
    let watch = model.step().map_or(&[][..], |step| &step.watch);
    let mut groups = groups(changes);
    groups.sort_by_key(|group| {
        let change = &changes[group[0]];
        (!watch.contains(&change.row.panel), !matches!(change.kind, ChangeKind::Changed { .. }))
    });
    groups
}

/// The changes that are told together: all rows of one subject in one panel that came, or that went.
pub(super) fn groups(changes: &[Change]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        let together = |group: &Vec<usize>| {
            let first = &changes[group[0]];
            !matches!(change.kind, ChangeKind::Changed { .. })
                && first.kind == change.kind
                && first.row.panel == change.row.panel
                && first.row.subject == change.row.subject
        };
        match groups.last_mut().filter(|group| together(group)) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}

/// A group in a few words: `pid 17 ls  namespaces: 10 values`, or the one value that it is.
pub(super) fn told(changes: &[Change], group: &[usize]) -> String {
    let row = &changes[group[0]].row;
    clean(&match group.len() {
        1 => format!("{} {}  {}", row.subject, row.key, row.value),
        count => format!("{}  {}: {count} values", row.subject, row.panel),
    })
}

//! What changed, as a list.

use ratatui::text::{Line, Span};

use super::state::{mark, value};
use crate::probe::{Change, ChangeKind};
use crate::tui::app::{Base, Model, Pane};
use crate::tui::derived::Group;
use crate::tui::doc::{Doc, Target, clean, cut, wrap};

/// One entry a change: what, and the value before and now. What came or went whole is one entry.
pub fn doc(model: &Model, columns: u16) -> Doc {
    let theme = &model.theme;
    let mut doc = Doc::new(columns);
    let changes = model.changes();
    if changes.is_empty() {
        let text = match (model.base, model.view.as_ref().is_some_and(|view| view.position.done)) {
            (Base::Step, false) => "nothing: the step has not been done",
            (Base::Step, true) => "nothing of what the panels show has changed",
            (Base::Start, _) => "nothing yet",
        };
        doc.wrap(&Line::styled(text, theme.dim), 0, None);
        return doc;
    }
    let groups = &model.index().groups;
    let panel_of = |group: &Group| changes[group.changes[0]].row.panel;
    let several = groups.windows(2).any(|two| panel_of(&two[0]) != panel_of(&two[1]));
    let mut last = None;
    for group in groups {
        if several && last.replace(panel_of(group)) != Some(panel_of(group)) {
            doc.cut(Line::styled(panel_of(group).to_string(), theme.dim), None);
        }
        if model.beside {
            for index in &group.changes {
                beside(&mut doc, model, *index);
            }
        } else {
            entry(&mut doc, model, group);
        }
    }
    doc
}

fn chosen(model: &Model, group: &[usize], line: Line<'static>) -> Line<'static> {
    let chosen = model.focus == Pane::Diff && group.contains(&model.change_at);
    if chosen { line.style(model.theme.selected) } else { line }
}

/// Changes that are told together, in a line.
fn entry(doc: &mut Doc, model: &Model, group: &Group) {
    let theme = &model.theme;
    let change = &model.changes()[group.changes[0]];
    let mut spans = vec![mark(Some(&change.kind), theme)];
    if group.changes.len() > 1 {
        let style = if change.kind == ChangeKind::Removed { theme.removed } else { theme.added };
        spans.push(Span::styled(group.told.clone(), style));
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
    let line = chosen(model, &group.changes, Line::from(spans));
    doc.wrap(&line, 4, Some(Target::Changes(group.changes.clone())));
}

/// One change: what it is, and below it the values before and now, beside each other.
fn beside(doc: &mut Doc, model: &Model, index: usize) {
    let theme = &model.theme;
    let Change { kind, row } = &model.changes()[index];
    let target = || Some(Target::Changes(vec![index]));
    let what = vec![
        mark(Some(kind), theme),
        Span::styled(clean(&row.subject), theme.dim),
        Span::raw(format!(" {}", clean(&row.key))),
    ];
    doc.cut(chosen(model, &[index], Line::from(what)), target());
    let none = || Span::styled("nothing", theme.dim);
    let (before, now) = match kind {
        ChangeKind::Added => (none(), Span::styled(clean(&row.value), theme.added)),
        ChangeKind::Removed => (Span::styled(clean(&row.value), theme.removed), none()),
        ChangeKind::Changed { before } => (Span::raw(clean(before)), Span::styled(clean(&row.value), theme.changed)),
    };
    let half = doc.width.saturating_sub(7) / 2;
    let (before, now) = (wrap(&Line::from(before), half, 0), wrap(&Line::from(now), half, 0));
    for at in 0..before.len().max(now.len()) {
        let mut spans = vec![Span::raw("    ")];
        let left = before.get(at).cloned().unwrap_or_default();
        let gap = half.saturating_sub(left.width());
        spans.extend(left.spans);
        spans.extend([Span::raw(" ".repeat(gap)), Span::styled(" │ ", theme.border)]);
        spans.extend(now.get(at).cloned().unwrap_or_default().spans);
        doc.cut(chosen(model, &[index], Line::from(spans)), target());
    }
}

/// How many entries the list has.
pub fn count(model: &Model) -> usize {
    model.index().groups.len()
}

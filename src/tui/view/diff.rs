//! What changed, as a list.

use ratatui::text::{Line, Span};

use super::state::{mark, value};
use crate::tui::app::{Base, Model, Pane};
use crate::tui::doc::{Doc, Target, clean};

/// One line a change: what, and the value before and now.
pub fn doc(model: &Model, columns: u16) -> Doc {
    let theme = &model.theme;
    let mut doc = Doc::new(columns);
    if model.changes().is_empty() {
        let text = match (model.base, model.view.as_ref().is_some_and(|view| view.position.done)) {
            (Base::Step, false) => "nothing yet: the step has not been done",
            (Base::Step, true) => "nothing: the step left the kernel's state as it was",
            (Base::Start, _) => "nothing yet",
        };
        doc.cut(Line::styled(text, theme.dim), None);
        return doc;
    }
    for (index, change) in model.changes().iter().enumerate() {
        let row = &change.row;
        let mut spans = vec![
            mark(Some(&change.kind), theme),
            Span::styled(clean(&row.subject), theme.dim),
            Span::raw(" "),
            Span::raw(clean(&row.key)),
            Span::raw("  "),
        ];
        spans.extend(value(Some(&change.kind), &row.value, theme));
        let mut line = Line::from(spans);
        if model.focus == Pane::Diff && model.change_at == index {
            line = line.style(theme.selected);
        }
        doc.cut(line, Some(Target::Change(index)));
    }
    doc
}

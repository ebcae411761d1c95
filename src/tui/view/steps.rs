//! The list of steps.

use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::lesson::Depth;
use crate::session::How;
use crate::tui::app::Model;
use crate::tui::doc::{Doc, Target, clean};

/// One entry a step: done by calls or by hand, the current one, those that can not be done here.
pub fn doc(model: &Model, columns: u16) -> Doc {
    let theme = &model.theme;
    let mut doc = Doc::new(columns);
    let Some(view) = &model.view else { return doc };
    for (index, step) in view.lesson.steps.iter().enumerate() {
        let here = index == view.position.step;
        let record = view.records.get(index);
        let skipped = view.skipped.get(index).is_some_and(Option::is_some);
        let (mark, mark_style) = match record.and_then(|record| record.how) {
            _ if skipped => ("–", theme.dim),
            Some(How::Calls | How::Hands) => ("✓", theme.good),
            None if here => ("▸", theme.heading),
            None => ("·", theme.dim),
        };
        let style = if here {
            theme.heading
        } else if skipped || step.depth == Depth::Deep {
            theme.dim
        } else {
            theme.text
        };
        let mut spans = vec![Span::styled(format!("{mark} "), mark_style), Span::styled(clean(&step.title), style)];
        if record.and_then(|record| record.how) == Some(How::Hands) && !step.actions.is_empty() {
            spans.push(Span::styled(" by hand", theme.dim));
        }
        let mut line = Line::from(spans);
        if here {
            line = line.style(theme.selected);
        }
        doc.wrap(&line, 2, Some(Target::Step(index)));
    }
    doc
}

/// The first line shown, so that the current step and the one after it are visible.
pub fn top(model: &Model, area: Rect) -> usize {
    let doc = doc(model, area.width);
    let height = usize::from(area.height);
    let step = model.view.as_ref().map_or(0, |view| view.position.step);
    let at = doc.lines.iter().rposition(|(_, target)| *target == Some(Target::Step(step))).unwrap_or(0);
    (at + 4).saturating_sub(height).min(doc.len().saturating_sub(height))
}

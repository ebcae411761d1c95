//! The top line, and the line of tabs on small screens.

use std::ops::Range;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{diff, title, trace};
use crate::tui::app::{Model, Pane};
use crate::tui::doc::{cut, width};
use crate::tui::layout::TABS;

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let theme = &model.theme;
    let mut right: Vec<Span<'static>> = Vec::new();
    if model.frozen.is_some() {
        right.push(Span::styled("FROZEN  ", theme.warn));
    }
    if let Some(busy) = &model.busy {
        right.push(Span::styled(format!("◌ {}  ", cut(busy, usize::from(area.width) / 3)), theme.warn));
    }
    right.push(Span::styled(cut(&model.mode, 32), theme.dim));
    right.push(Span::raw(" "));
    let room = usize::from(area.width).saturating_sub(right.iter().map(Span::width).sum::<usize>() + 2);
    let mut left = vec![Span::raw(" "), Span::styled("hardway", theme.heading)];
    if let (Some(view), Some(step), false) = (&model.view, model.step(), model.map) {
        let at = format!("step {}/{}", view.position.step + 1, view.lesson.steps.len());
        let title = cut(&view.lesson.title, room.saturating_sub(14 + at.len()));
        let rest = room.saturating_sub(20 + width(&title) + at.len());
        left.extend([Span::styled(" · ", theme.dim), Span::styled(title, theme.strong)]);
        left.extend([Span::styled(" · ", theme.dim), Span::raw(at)]);
        if rest >= 12 {
            left.extend([Span::styled(" · ", theme.dim), Span::styled(cut(&step.title, rest), theme.dim)]);
        }
    } else {
        left.extend([Span::styled(" · ", theme.dim), Span::styled("course", theme.strong)]);
    }
    let buffer = frame.buffer_mut();
    buffer.set_style(area, theme.header);
    frame.render_widget(Line::from(left).style(theme.header), area);
    frame.render_widget(Line::from(right).right_aligned().style(theme.header), area);
}

/// The columns of each tab.
pub fn tabs(model: &Model) -> Vec<(Range<u16>, Pane)> {
    let mut x = 1;
    TABS.iter()
        .map(|(pane, name)| {
            let end = x + u16::try_from(width(&label(model, *pane, name)) + 2).unwrap_or(0);
            let range = x..end;
            x = end + 1;
            (range, *pane)
        })
        .collect()
}

fn label(model: &Model, pane: Pane, name: &str) -> String {
    let calls = model.view.as_ref().map_or(0, |view| trace::counts(view).0);
    match (pane, calls, diff::count(model)) {
        (Pane::State, _, changes) if changes > 0 => format!("{name} Δ{changes}"),
        (Pane::Trace, calls, _) if calls > 0 => format!("{name} {calls}"),
        _ => name.to_owned(),
    }
}

pub(super) fn draw_tabs(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let theme = &model.theme;
    let shown = match model.focus {
        Pane::Diff => Pane::State,
        Pane::Steps => Pane::Text,
        pane => pane,
    };
    for ((range, pane), (_, name)) in tabs(model).into_iter().zip(TABS) {
        let style = if pane == shown { theme.heading.patch(theme.selected) } else { theme.dim };
        let place = Rect { x: range.start, width: range.end - range.start, ..area };
        frame.render_widget(Line::styled(format!(" {} ", label(model, pane, name)), style), place);
    }
    let (_, aside) = title(model, shown);
    let from = tabs(model).last().map_or(0, |(range, _)| range.end + 1);
    let place = Rect { x: from, width: area.width.saturating_sub(from), ..area };
    frame.render_widget(Line::from(aside).right_aligned(), place);
}

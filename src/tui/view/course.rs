//! The list of lessons.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{header, help, lines, prompt};
use crate::tui::app::Model;
use crate::tui::doc::{Doc, Target, clean, fit, width};

/// Where the list stands.
pub fn area(size: (u16, u16)) -> Rect {
    let width = size.0.saturating_sub(4).min(110);
    let x = (size.0 - width) / 2;
    Rect::new(x, 2, width, size.1.saturating_sub(4))
}

/// The list as a document; each lesson's lines carry it.
pub fn doc(model: &Model, columns: u16) -> Doc {
    let theme = &model.theme;
    let mut doc = Doc::new(columns);
    let (lessons, done) =
        (model.course.len(), model.course.iter().filter(|entry| entry.steps > 0 && entry.done == entry.steps).count());
    doc.cut(Line::styled("Build a Linux container, one kernel feature at a time", theme.strong), None);
    let minutes: u32 = model.course.iter().map(|entry| entry.minutes).sum();
    let told = format!(
        "{lessons} lessons, about {minutes} minutes, {done} of them done. Everything you see is read from this kernel, now."
    );
    doc.wrap(&Line::styled(told, theme.dim), 0, None);
    if model.course.is_empty() {
        doc.gap();
        doc.cut(
            Line::raw("There is no lesson: none is built in, and --lessons named no directory that has one."),
            None,
        );
    }
    for (index, entry) in model.course.iter().enumerate() {
        doc.lines.push((Line::default(), None));
        let chosen = index == model.at;
        let right = format!("{:>3} min  {}", entry.minutes, progress(entry.done, entry.steps));
        let room = doc.width.saturating_sub(width(&right) + 8);
        let (number, title_style) = (format!("{:>2}", index + 1), if chosen { theme.heading } else { theme.strong });
        let status = if entry.unavailable.is_some() {
            theme.warn
        } else if entry.done == entry.steps && entry.steps > 0 {
            theme.good
        } else {
            theme.dim
        };
        let mut head = Line::from(vec![
            Span::styled(if chosen { "▸ " } else { "  " }, theme.heading),
            Span::styled(number, theme.dim),
            Span::raw("  "),
            Span::styled(fit(&entry.title, room), if entry.unavailable.is_some() { theme.dim } else { title_style }),
            Span::raw("  "),
            Span::styled(right, status),
        ]);
        let mut goal = Line::from(vec![Span::raw("      "), Span::styled(clean(&entry.goal), theme.dim)]);
        if chosen {
            head = head.style(theme.selected);
            goal = goal.style(theme.selected);
        }
        doc.cut(head, Some(Target::Lesson(index)));
        doc.wrap(&goal, 6, Some(Target::Lesson(index)));
        if let Some(reason) = &entry.unavailable {
            let line = Line::from(vec![
                Span::raw("      "),
                Span::styled("not available here: ", theme.warn),
                Span::styled(clean(reason), theme.dim),
            ]);
            doc.wrap(&line, 6, Some(Target::Lesson(index)));
        }
    }
    doc
}

fn progress(done: usize, steps: usize) -> String {
    let cells = 8;
    let full = (done * cells).checked_div(steps).unwrap_or(0).min(cells);
    let mark = if steps > 0 && done == steps { "✓" } else { " " };
    format!("{}{} {mark} {done:>2}/{steps:<2}", "━".repeat(full), "·".repeat(cells - full))
}

/// The first line shown, so that the chosen lesson is visible.
pub fn top(model: &Model, area: Rect) -> usize {
    let doc = doc(model, area.width);
    let height = usize::from(area.height);
    let last = doc.lines.iter().rposition(|(_, target)| *target == Some(Target::Lesson(model.at))).unwrap_or(0);
    (last + 2).saturating_sub(height).min(doc.len().saturating_sub(height))
}

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let whole = frame.area();
    header::draw(frame, model, Rect { height: 1, ..whole });
    let place = area((whole.width, whole.height));
    lines(frame.buffer_mut(), place, &doc(model, place.width), top(model, place));
    prompt::draw(frame, model, Rect { y: whole.height - 2, height: 1, ..whole });
    help::draw(frame, model, Rect { y: whole.height - 1, height: 1, ..whole });
}

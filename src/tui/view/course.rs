//! The course: its parts with their lessons, and the steps of the lesson that is chosen.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use super::{header, help, lines, prompt, rule};
use crate::course::{heading, part_of};
use crate::lesson::{Depth, Kind};
use crate::tui::app::Model;
use crate::tui::doc::{Doc, Target, clean, fit, width};
use crate::walk::entry::CourseEntry;

/// From this many columns on lessons and steps are side by side.
const WIDE: u16 = 140;

/// Where the lessons stand, and the steps of the one that is chosen.
pub fn places(size: (u16, u16)) -> (Rect, Rect) {
    let (columns, rows) = (size.0.min(184), size.1.saturating_sub(4));
    let x = (size.0 - columns) / 2 + 1;
    if columns >= WIDE {
        let left = columns * 11 / 20;
        let right = columns - left - 6;
        return (Rect::new(x, 2, left, rows), Rect::new(x + left + 4, 3, right, rows - 1));
    }
    let below = rows * 9 / 20;
    let above = rows - below;
    (Rect::new(x, 1, columns - 2, above), Rect::new(x, above + 2, columns - 2, below))
}

/// The lessons as a document, part by part; each lesson's lines carry it.
pub fn doc(model: &Model, columns: u16) -> Doc {
    let theme = &model.theme;
    let mut doc = Doc::new(columns);
    let done = model.course.iter().filter(|entry| entry.finished()).count();
    doc.cut(Line::styled("Build a Linux container, one kernel feature at a time", theme.strong), None);
    let minutes: u32 = model.course.iter().map(|entry| entry.minutes).sum();
    let told = format!(
        "{} lessons, about {minutes} minutes, {done} done. All is read from this kernel, now.",
        model.course.len()
    );
    doc.wrap(&Line::styled(told, theme.dim), 0, None);
    if model.course.is_empty() {
        doc.gap();
        doc.cut(
            Line::raw("There is no lesson: none is built in, and --lessons named no directory that has one."),
            None,
        );
    }
    let mut last = None;
    for (index, entry) in model.course.iter().enumerate() {
        let part = part_of(&entry.name);
        if last.replace(part) != Some(part) {
            let of_part = || model.course.iter().filter(|other| part_of(&other.name) == part);
            let (done, steps) = of_part().fold((0, 0), |sum, entry| (sum.0 + entry.done, sum.1 + entry.steps));
            let aside = Span::styled(format!("{done} of {steps} steps"), theme.dim);
            doc.heading_with(&heading(part), aside, theme.heading, theme.border);
        }
        lesson(&mut doc, model, index, entry);
    }
    doc
}

fn lesson(doc: &mut Doc, model: &Model, index: usize, entry: &CourseEntry) {
    let theme = &model.theme;
    let chosen = index == model.at;
    let right = format!("{:>3} min  {}", entry.minutes, progress(entry));
    let name = fit(&entry.name, 13);
    let room = doc.width.saturating_sub(width(&right) + width(&name) + 4);
    let (title, status) = match (&entry.unavailable, entry.finished()) {
        (Some(_), _) => (theme.dim, theme.warn),
        (None, finished) => {
            (if chosen { theme.heading } else { theme.strong }, if finished { theme.good } else { theme.dim })
        }
    };
    let mut head = Line::from(vec![
        Span::styled(if chosen { "▸ " } else { "  " }, theme.heading),
        Span::styled(name, theme.dim),
        Span::styled(fit(&entry.title, room), title),
        Span::raw("  "),
        Span::styled(right, status),
    ]);
    if chosen && model.step_at.is_none() {
        head = head.style(theme.selected);
    }
    doc.cut(head, Some(Target::Lesson(index)));
    if let Some(reason) = &entry.unavailable {
        let reason = Span::styled(clean(reason), theme.dim);
        let line = Line::from(vec![Span::raw("               "), Span::styled("not here: ", theme.warn), reason]);
        doc.wrap(&line, 15, Some(Target::Lesson(index)));
    }
}

fn progress(entry: &CourseEntry) -> String {
    let cells = 8;
    let (done, steps) = (entry.done, entry.steps);
    let full = (done * cells).checked_div(steps).unwrap_or(0).min(cells);
    let mark = if entry.finished() { "✓" } else { " " };
    format!("{}{} {mark} {done:>2}/{steps:<2}", "━".repeat(full), "·".repeat(cells - full))
}

/// The lesson that is chosen: what it is for, and its steps. What can not be done here says why.
pub fn details(model: &Model, columns: u16) -> Doc {
    let theme = &model.theme;
    let mut doc = Doc::new(columns);
    let Some(entry) = model.course.get(model.at) else {
        doc.text("no lesson is chosen", theme.dim);
        return doc;
    };
    doc.text(&entry.goal, theme.text);
    if let Some(reason) = &entry.unavailable {
        doc.wrap(&Line::from(vec![Span::styled("Not here: ", theme.warn), Span::raw(clean(reason))]), 0, None);
    }
    doc.gap();
    for (index, step) in entry.lesson.steps.iter().enumerate() {
        let skipped = entry.skipped.get(index).and_then(Option::as_ref);
        let done = entry.records.get(index).is_some_and(|record| record.how.is_some());
        let (mark, mark_style) = match (skipped, done) {
            (Some(_), _) => ("–", theme.warn),
            (None, true) => ("✓", theme.good),
            (None, false) => ("·", theme.dim),
        };
        let mut words = vec![match step.kind {
            Kind::Change => "",
            Kind::Fail => "fails",
            Kind::Observe => "look",
        }];
        words.extend((step.depth == Depth::Deep).then_some("deep"));
        words.retain(|word| !word.is_empty());
        let title = if skipped.is_some() || step.depth == Depth::Deep { theme.dim } else { theme.text };
        let mut line = Line::from(vec![
            Span::styled(format!("{mark} "), mark_style),
            Span::styled(format!("{:>2}  ", index + 1), theme.dim),
            Span::styled(clean(&step.title), title),
        ]);
        if !words.is_empty() {
            line.push_span(Span::styled(format!("  {}", words.join(" · ")), theme.dim));
        }
        if model.step_at == Some(index) {
            line = line.style(theme.selected.patch(theme.strong));
        }
        doc.wrap(&line, 6, Some(Target::Step(index)));
        if let Some(reason) = skipped {
            let reason = Span::styled(format!("not here: {}", clean(reason)), theme.dim);
            doc.wrap(&Line::from(vec![Span::raw("      "), reason]), 6, Some(Target::Step(index)));
        }
    }
    doc
}

/// The first line shown, so that the chosen one is visible.
fn top(doc: &Doc, area: Rect, chosen: &Target) -> usize {
    let height = usize::from(area.height);
    let last = doc.lines.iter().rposition(|(_, target)| target.as_ref() == Some(chosen)).unwrap_or(0);
    (last + 2).saturating_sub(height).min(doc.len().saturating_sub(height))
}

/// Both documents, with their places and the first lines that are shown.
fn shown(model: &Model) -> [(Rect, Doc, usize); 2] {
    let (list, steps) = places(model.size);
    let (lessons, details) = (doc(model, list.width), details(model, steps.width));
    let first = top(&lessons, list, &Target::Lesson(model.at));
    let second = model.step_at.map_or(0, |step| top(&details, steps, &Target::Step(step)));
    [(list, lessons, first), (steps, details, second)]
}

/// What stands under the pointer.
pub fn target_at(model: &Model, at: Position) -> Option<Target> {
    let (area, doc, top) = shown(model).into_iter().find(|(area, ..)| area.contains(at))?;
    doc.lines.into_iter().nth(usize::from(at.y - area.y) + top)?.1
}

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let whole = frame.area();
    let theme = &model.theme;
    header::draw(frame, model, Rect { height: 1, ..whole });
    let title = model.course.get(model.at).map_or("", |entry| &entry.title);
    let style = if model.step_at.is_some() { theme.heading } else { theme.dim };
    let [list, steps] = shown(model);
    rule(frame.buffer_mut(), Rect { y: steps.0.y - 1, height: 1, ..steps.0 }, (title, style), Vec::new(), theme);
    for (area, doc, top) in [list, steps] {
        lines(frame.buffer_mut(), area, &doc, top);
    }
    prompt::draw(frame, model, Rect { y: whole.height - 2, height: 1, ..whole });
    help::draw(frame, model, Rect { y: whole.height - 1, height: 1, ..whole });
}

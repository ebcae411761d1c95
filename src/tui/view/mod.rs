//! Drawing: a function of the model alone. One file a panel; this one places them.

pub mod course;
pub mod diff;
pub mod header;
pub mod help;
pub mod popup;
pub mod prompt;
pub mod shell;
pub mod state;
pub mod steps;
pub mod text;
pub mod trace;

mod cgroups;
mod graph;
mod grid;
mod markdown;
mod mounts;
mod network;
mod table;
mod tree;
mod wires;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Alignment, Rect};
use ratatui::style::Style;
use ratatui::symbols::merge::MergeStrategy;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph, Widget};

use super::app::{Base, Model, Pane};
use super::command::Command;
use super::doc::Doc;
use super::layout::{self, Place, SMALLEST};
use super::theme::Theme;

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, model: &Model) {
    let area = frame.area();
    if (area.width, area.height) != model.size {
        // The terminal was resized a moment ago and the model does not know yet: its message is on the way.
        return;
    }
    frame.buffer_mut().set_style(area, model.theme.ground);
    if !layout::fits((area.width, area.height)) {
        return too_small(frame, model, area);
    }
    if model.on_course() {
        course::draw(frame, model);
    } else {
        lesson(frame, model);
    }
    popup::draw(frame, model);
}

fn too_small(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let lines = vec![
        Line::styled("hardway needs a larger terminal", model.theme.strong),
        Line::raw(format!("at least {} × {}", SMALLEST.0, SMALLEST.1)),
        Line::styled(format!("this one is {} × {}", area.width, area.height), model.theme.dim),
    ];
    let top = area.height.saturating_sub(3) / 2;
    let place = Rect { y: area.y + top, height: area.height - top, ..area };
    frame.render_widget(Paragraph::new(lines).alignment(Alignment::Center), place);
}

fn lesson(frame: &mut Frame<'_>, model: &Model) {
    let layout = layout::layout(model);
    header::draw(frame, model, layout.header);
    if let Some(tabs) = layout.tabs {
        header::draw_tabs(frame, model, tabs);
    }
    // The focused pane comes last, so that its frame is whole.
    let (focused, others): (Vec<&Place>, Vec<&Place>) =
        layout.panes.iter().partition(|place| place.pane == model.focus);
    let thumbs: Vec<Rect> = others.into_iter().chain(focused).filter_map(|place| pane(frame, model, place)).collect();
    // After all frames: that of a neighbour would hide them.
    for row in thumbs.iter().flat_map(|thumb| thumb.rows()) {
        frame.buffer_mut().set_string(row.x, row.y, "┃", model.theme.focus);
    }
    prompt::draw(frame, model, layout.prompt);
    help::draw(frame, model, layout.help);
}

/// The document of a pane; none for the shell, which is a terminal.
pub fn doc(model: &Model, pane: Pane, width: u16) -> Option<Doc> {
    match pane {
        Pane::Steps => Some(steps::doc(model, width)),
        Pane::Text => Some(text::doc(model, width)),
        Pane::Trace => Some(trace::doc(model, width)),
        Pane::State => Some(state::doc(model, width)),
        Pane::Diff => Some(diff::doc(model, width)),
        Pane::Shell => None,
    }
}

/// Draws a pane. Gives the place of its thumb, at the right edge, where there is more than fits.
fn pane(frame: &mut Frame<'_>, model: &Model, place: &Place) -> Option<Rect> {
    let theme = &model.theme;
    let focused = model.focus == place.pane;
    let (mut title, aside) = title(model, place.pane);
    if let (true, false, Some(view)) = (model.zoom, place.framed, &model.view) {
        // In the place of the first line.
        title = format!("{title} · step {}/{}", view.position.step + 1, view.lesson.steps.len());
    }
    let title_style = if focused { theme.heading } else { theme.dim };
    let border = if focused { theme.focus } else { theme.border };
    if place.framed {
        let block = Block::bordered()
            .border_type(BorderType::Plain)
            .merge_borders(MergeStrategy::Exact)
            .border_style(border)
            .title(Line::from(vec![Span::styled(format!(" {title} "), title_style)]))
            .title(Line::from(aside).right_aligned());
        block.render(place.outer, frame.buffer_mut());
    } else if place.inner.y > place.outer.y {
        rule(frame.buffer_mut(), place.outer, (&title, title_style), aside, theme);
    }
    if place.pane == Pane::Shell {
        shell::draw(frame, model, place);
    }
    let doc = doc(model, place.pane, place.inner.width)?;
    let from = if place.pane == Pane::Steps { steps::top(model, place.inner) } else { model.scroll_of(place.pane) };
    lines(frame.buffer_mut(), place.inner, &doc, from);
    thumb(place, doc.len(), from)
}

/// Draws the lines of a document from one on.
fn lines(buffer: &mut Buffer, area: Rect, doc: &Doc, from: usize) {
    let from = from.min(doc.len().saturating_sub(usize::from(area.height)));
    for (row, (line, _)) in (area.y..area.bottom()).zip(doc.lines.iter().skip(from)) {
        // A line of one style, such as the chosen one, has it up to the edge.
        let place = Rect { y: row, height: 1, ..area };
        buffer.set_style(place, line.style);
        line.render(place, buffer);
    }
}

/// How much of a document's `rows` is shown, from which on, as a part of the pane's right edge.
fn thumb(place: &Place, rows: usize, from: usize) -> Option<Rect> {
    let height = usize::from(place.inner.height);
    let hidden = rows.checked_sub(height).filter(|hidden| *hidden > 0 && height > 0)?;
    let thumb = (height * height / rows).max(1);
    let top = (from * (height - thumb) / hidden).min(height - thumb);
    Some(Rect {
        x: place.outer.right() - 1,
        y: place.inner.y + u16::try_from(top).unwrap_or(0),
        width: 1,
        height: u16::try_from(thumb).unwrap_or(0),
    })
}

/// A rule with a title, in the place of a frame.
fn rule(buffer: &mut Buffer, area: Rect, (title, style): (&str, Style), aside: Vec<Span<'static>>, theme: &Theme) {
    let place = Rect { height: 1, ..area };
    Line::styled("─".repeat(usize::from(area.width)), theme.border).render(place, buffer);
    Line::from(aside).right_aligned().render(Rect { width: area.width - 1, ..place }, buffer);
    Line::styled(format!(" {title} "), style).render(Rect { x: area.x + 1, width: area.width - 1, ..place }, buffer);
}

/// What stands on a pane's frame: its title, and a word at the right.
pub fn title(model: &Model, pane: Pane) -> (String, Vec<Span<'static>>) {
    let theme = &model.theme;
    let aside = |text: String| vec![Span::styled(format!(" {text} "), theme.dim)];
    match pane {
        Pane::Steps => ("Steps".to_owned(), Vec::new()),
        Pane::Text => ("Step".to_owned(), Vec::new()),
        Pane::Trace if model.trace_of.is_some() => {
            let keys = format!("{} {}", model.key(Command::EarlierCalls), model.key(Command::LaterCalls));
            (format!("System calls of step {}", model.traced() + 1), aside(format!("{keys} page")))
        }
        Pane::Trace => {
            let called = model.view.as_ref().is_some_and(|view| view.report.is_some());
            let done = model.view.as_ref().is_some_and(|view| view.position.done);
            let acts = model.step().is_some_and(|step| !step.actions.is_empty());
            let aside = match (called, acts) {
                (true, true) => aside("as the kernel answered them".to_owned()),
                (false, true) if !done => aside(format!("what {} will do", model.key(Command::Next))),
                _ => Vec::new(),
            };
            ("System calls".to_owned(), aside)
        }
        Pane::Shell => ("Shell".to_owned(), shell::aside(model)),
        Pane::State => {
            let aside = match &model.frozen {
                Some(frozen) => vec![Span::styled(format!(" {} ", state::frozen(frozen)), theme.warn)],
                None => aside("live".to_owned()),
            };
            ("Kernel state".to_owned(), aside)
        }
        Pane::Diff => {
            let since = if model.base == Base::Step { "Changed by this step" } else { "Changed since the start" };
            let beside = if model.beside { ", before │ now" } else { "" };
            let keys = format!("{} {} switch", model.key(Command::Diff), model.key(Command::Beside));
            // Both do not fit into a narrow pane.
            let aside = if model.beside { Vec::new() } else { aside(keys) };
            (format!("{since}: {}{beside}", diff::count(model)), aside)
        }
    }
}

/// Clears a place in front of the panes and draws a frame around it.
fn popup_frame(frame: &mut Frame<'_>, area: Rect, title: &str, foot: Line<'static>, theme: &Theme) -> Rect {
    // A column of nothing at each side sets it apart from what is behind.
    let around = Rect { x: area.x.saturating_sub(1), width: area.width + 2, ..area };
    frame.render_widget(Clear, around.intersection(frame.area()));
    frame.buffer_mut().set_style(around, theme.ground);
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.focus)
        .title(Span::styled(format!(" {title} "), theme.heading))
        .title_bottom(foot.right_aligned());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}

/// A centred message in an area.
fn message(frame: &mut Frame<'_>, area: Rect, text: Text<'static>) {
    let height = u16::try_from(text.lines.len()).unwrap_or(u16::MAX).min(area.height);
    let place = Rect { y: area.y + (area.height - height) / 2, height, ..area };
    frame.render_widget(Paragraph::new(text).alignment(Alignment::Center), place);
}

#[cfg(test)]
mod tests;

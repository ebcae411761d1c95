//! The line of keys at the bottom, and the popup with all of them.

use std::ops::Range;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::tui::app::Model;
use crate::tui::command::{COMMANDS, Command, Place};
use crate::tui::doc::{Doc, fit, width};

/// One key in the line.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where it stands.
    pub columns: Range<u16>,
    /// What a click on it does.
    pub command: Option<Command>,
    key: String,
    word: String,
}

/// The keys that are valid now, as many as fit; help and quit always.
pub fn line(model: &Model, columns: u16) -> Vec<Item> {
    let pair = |key: String, word: &str, command| Item { columns: 0..0, command, key, word: word.to_owned() };
    let mut items: Vec<Item> = if model.capture {
        vec![
            pair(model.keys.leave.name(), "leave the shell", None),
            pair("Shift+mouse".to_owned(), "select text", None),
        ]
    } else if model.answer.is_some() {
        vec![pair("Enter".to_owned(), "send", None), pair("Esc".to_owned(), "leave", None)]
    } else {
        COMMANDS
            .iter()
            .filter(|spec| !spec.short.is_empty() && spec.valid(model))
            .map(|spec| pair(spec.key(model), spec.short, Some(spec.command)))
            .collect()
    };
    let size = |item: &Item| width(&item.key) + width(&item.word) + 3;
    let fixed = |item: &Item| matches!(item.command, Some(Command::Help | Command::Quit));
    let mut room = usize::from(columns).saturating_sub(1);
    room = room.saturating_sub(items.iter().filter(|item| fixed(item)).map(size).sum());
    let mut full = false;
    items.retain(|item| {
        full = full || (!fixed(item) && size(item) > room);
        if !full && !fixed(item) {
            room -= size(item);
        }
        fixed(item) || !full
    });
    let mut x = 1;
    for item in &mut items {
        let end = x + u16::try_from(size(item)).unwrap_or(0);
        item.columns = x..end - 2;
        x = end;
    }
    items
}

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let theme = &model.theme;
    let mut spans = vec![Span::raw(" ")];
    for item in line(model, area.width) {
        spans.push(Span::styled(item.key, theme.key));
        spans.push(Span::styled(format!(" {}", item.word), theme.dim));
        spans.push(Span::raw("  "));
    }
    frame.buffer_mut().set_style(area, theme.header);
    frame.render_widget(Line::from(spans).style(theme.header), area);
}

/// All commands with their keys, in two columns where they fit.
pub fn doc(model: &Model, columns: u16) -> Doc {
    let theme = &model.theme;
    let mut doc = Doc::new(columns);
    let mut groups =
        [(Place::Lesson, "In a lesson"), (Place::Course, "In the course"), (Place::Anywhere, "Everywhere")];
    if model.view.is_none() {
        groups.swap(0, 1);
    }
    for (place, title) in groups {
        doc.heading(title, theme.heading, theme.border);
        for spec in COMMANDS.iter().filter(|spec| spec.place == place) {
            let line = Line::from(vec![
                Span::styled(fit(&spec.all_keys(&model.keys), 10), theme.key),
                Span::raw(" "),
                Span::raw(fit(spec.name, 17)),
                Span::styled(spec.help, theme.dim),
            ]);
            doc.wrap(&line, 28, None);
        }
    }
    doc.heading("In the shell pane", theme.heading, theme.border);
    let line = Line::from(vec![
        Span::styled(fit(&model.keys.leave.name(), 10), theme.key),
        Span::raw(fit(" leave", 18)),
        Span::styled("Every other key goes to the shell", theme.dim),
    ]);
    doc.wrap(&line, 28, None);
    doc.heading("With the mouse", theme.heading, theme.border);
    for (what, does) in [
        ("$ command", "A click types it into the shell"),
        ("a row", "A click explains it: value, source, command, meaning"),
        ("a step", "A click offers to go there"),
        ("wheel", "Scrolls; with Shift, the mouse is your terminal's own"),
    ] {
        doc.wrap(&Line::from(vec![Span::raw(fit(what, 28)), Span::styled(does, theme.dim)]), 28, None);
    }
    doc
}

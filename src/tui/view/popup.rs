//! What is in front of the panes: help, an explanation, trouble, a question, a list.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use super::{help, lines, markdown, popup_frame};
use crate::probe::Row;
use crate::tui::app::{Deed, List, Model, Popup};
use crate::tui::doc::{Doc, cut, fit, width};
use crate::tui::update;

/// Where the popup stands.
pub fn area(model: &Model) -> Rect {
    let (columns, rows) = model.size;
    let (width, height) = match &model.popup {
        Some(Popup::Help { .. }) => (84, rows.saturating_sub(4)),
        Some(Popup::Text { .. }) => (88, 0),
        Some(Popup::Picker { .. }) => (90, (rows * 2 / 3).max(12)),
        Some(Popup::Explain { .. } | Popup::Trouble(_) | Popup::Confirm { .. }) | None => (76, 0),
    };
    let width = width.min(columns.saturating_sub(4));
    let height = if height > 0 {
        height
    } else {
        let lines = content(model, width.saturating_sub(4)).len();
        u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(2).min(rows.saturating_sub(2))
    };
    Rect::new((columns - width) / 2, (rows - height) / 2, width, height)
}

/// How far the text in front can be scrolled.
pub fn last_scroll(model: &Model) -> usize {
    let place = area(model);
    content(model, place.width.saturating_sub(4)).len().saturating_sub(usize::from(place.height.saturating_sub(2)))
}

/// The document of the popups that are one.
fn content(model: &Model, columns: u16) -> Doc {
    let theme = &model.theme;
    let mut doc = Doc::new(columns);
    match &model.popup {
        Some(Popup::Help { .. }) => doc = help::doc(model, columns),
        Some(Popup::Text { text, .. }) => markdown::add(&mut doc, text, theme),
        Some(Popup::Explain { rows, at }) => explain(&mut doc, model, rows, *at),
        Some(Popup::Trouble(trouble)) => {
            doc.text(&trouble.what, theme.strong);
            for (name, text) in [("Why", &trouble.why), ("What to do", &trouble.fix)] {
                if !text.is_empty() {
                    doc.gap();
                    doc.text(name, theme.heading);
                    doc.text(text, theme.text);
                }
            }
        }
        Some(Popup::Confirm { text, .. }) => doc.text(text, theme.text),
        Some(Popup::Picker { .. }) | None => {}
    }
    if matches!(model.popup, Some(Popup::Confirm { .. } | Popup::Trouble(_))) {
        // Room to breathe: these must be read.
        doc.lines.insert(0, (Line::default(), None));
        doc.gap();
    }
    doc
}

fn explain(doc: &mut Doc, model: &Model, rows: &[Row], at: usize) {
    let theme = &model.theme;
    let Some(row) = rows.get(at) else { return };
    let heading = Line::from(vec![
        Span::styled(cut(&row.subject, doc.width / 2), theme.strong),
        Span::styled(format!("  {}", cut(&row.key, doc.width / 2)), theme.heading),
    ]);
    doc.cut(heading, None);
    doc.gap();
    let fields = [
        ("value", &row.value, theme.strong),
        ("read from", &row.source, theme.code),
        ("prints it", &row.command, theme.shell),
    ];
    for (name, text, style) in fields {
        let text = if text.is_empty() { "not said by the probe" } else { text };
        let line =
            Line::from(vec![Span::styled(fit(name, 11), theme.dim), Span::styled(crate::tui::doc::clean(text), style)]);
        doc.wrap(&line, 11, None);
    }
    doc.gap();
    doc.text(&row.meaning, theme.text);
    if rows.len() > 1 {
        doc.gap();
        let from = at.saturating_sub(7).min(rows.len().saturating_sub(10));
        for (index, other) in rows.iter().enumerate().skip(from).take(10) {
            let chosen = index == at;
            let mut line = Line::from(vec![
                Span::styled(if chosen { "▸ " } else { "  " }, theme.heading),
                Span::styled(fit(&other.key, 18), if chosen { theme.heading } else { theme.dim }),
                Span::raw(" "),
                Span::raw(cut(&other.value, doc.width.saturating_sub(22))),
            ]);
            if chosen {
                line = line.style(theme.selected);
            }
            doc.cut(line, None);
        }
    }
}

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let Some(popup) = &model.popup else { return };
    let theme = &model.theme;
    let place = area(model);
    let key = |key: &str, word: &str| {
        vec![Span::styled(format!(" {key}"), theme.key), Span::styled(format!(" {word} "), theme.dim)]
    };
    let (title, foot, scroll) = match popup {
        Popup::Help { scroll } => ("Keys".to_owned(), [key("↑↓", "scroll"), key("Esc", "close")].concat(), *scroll),
        Popup::Text { title, scroll, .. } => {
            (title.clone(), [key("↑↓", "scroll"), key("Esc", "close")].concat(), *scroll)
        }
        Popup::Explain { rows, .. } => {
            let mut foot = key("y", "copy the command");
            if rows.len() > 1 {
                foot.extend(key("↑↓", "other values"));
            }
            foot.extend(key("Esc", "close"));
            ("Explained".to_owned(), foot, 0)
        }
        Popup::Trouble(_) => ("That did not work".to_owned(), key("Esc", "close"), 0),
        Popup::Confirm { deed, .. } => (asked(*deed), [key("y", "yes"), key("Esc", "no")].concat(), 0),
        Popup::Picker { list, .. } => {
            let title = match list {
                List::Steps => "Go to",
                List::Everything => "Search",
                List::Commands => "Commands",
                List::Words => "Words",
                List::Themes => "Theme",
            };
            (title.to_owned(), [key("↑↓", "choose"), key("Enter", "do"), key("Esc", "close")].concat(), 0)
        }
    };
    let inner = popup_frame(frame, place, &cut(&title, usize::from(place.width) - 6), Line::from(foot), theme);
    if let Popup::Picker { list, query, at } = popup {
        return picker(frame, model, inner, *list, query, *at);
    }
    lines(frame.buffer_mut(), inner, &content(model, inner.width), scroll);
}

/// What is to be confirmed.
fn asked(deed: Deed) -> String {
    match deed {
        Deed::Next => "Do this step by calls?".to_owned(),
        Deed::Back => "One step back?".to_owned(),
        Deed::Reset => "Start the lesson again?".to_owned(),
        Deed::Goto(step) => format!("Go to step {}?", step + 1),
        Deed::Close | Deed::Open(..) => "Leave the lesson?".to_owned(),
        Deed::NewShell => "A new shell?".to_owned(),
        Deed::Quit => "Leave hardway?".to_owned(),
    }
}

fn picker(frame: &mut Frame<'_>, model: &Model, inner: Rect, list: List, query: &str, at: usize) {
    let theme = &model.theme;
    let mut doc = Doc::new(inner.width);
    let prompt = Line::from(vec![
        Span::styled("› ", theme.key),
        Span::raw(cut(query, doc.width - 4)),
        Span::styled("▏", theme.key),
    ]);
    doc.cut(prompt, None);
    doc.lines.push((Line::styled("─".repeat(doc.width), theme.border), None));
    let items = update::matches(model, list, query);
    if items.is_empty() {
        doc.cut(Line::styled("nothing matches", theme.dim), None);
    }
    let room = usize::from(inner.height.saturating_sub(2));
    let from = first_item(at, room);
    for (index, (what, more, _)) in items.iter().enumerate().skip(from).take(room) {
        let more = cut(more, if list == List::Everything { doc.width * 9 / 20 } else { doc.width / 3 });
        let left = fit(what, doc.width.saturating_sub(width(&more) + 1));
        let mut line = Line::from(vec![Span::raw(left), Span::raw(" "), Span::styled(more, theme.dim)]);
        if index == at {
            line = line.style(theme.selected.patch(theme.strong));
        }
        doc.cut(line, None);
    }
    lines(frame.buffer_mut(), inner, &doc, 0);
}

fn first_item(at: usize, room: usize) -> usize {
    (at + 1).saturating_sub(room)
}

/// The item of a list under the pointer.
pub fn picker_item(area: Rect, at: usize, count: usize, pointer: Position) -> Option<usize> {
    let first_row = area.y + 3;
    if pointer.y < first_row || pointer.y + 1 >= area.bottom() {
        return None;
    }
    let room = usize::from(area.height.saturating_sub(4));
    let index = usize::from(pointer.y - first_row) + first_item(at, room);
    (index < count).then_some(index)
}

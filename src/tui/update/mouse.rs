//! The mouse: clicks focus, choose, type and explain; the wheel scrolls.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};
use vt100::{MouseProtocolEncoding, MouseProtocolMode};

use super::shell::type_line;
use super::{Effect, commands, course, doc, popup, rows_of, scroll, telling};
use crate::tui::app::{List, Model, Pane, Popup, ShellState};
use crate::tui::command::Command;
use crate::tui::doc::Target;
use crate::tui::layout::{self, Place};
use crate::tui::view;

/// Lines that one turn of the wheel scrolls.
const WHEEL: isize = 3;

pub(super) fn on_mouse(model: &mut Model, event: MouseEvent, effects: &mut Vec<Effect>) {
    if !layout::fits(model.size) {
        return;
    }
    let at = Position::new(event.column, event.row);
    let wheel = match event.kind {
        MouseEventKind::ScrollDown => Some(WHEEL),
        MouseEventKind::ScrollUp => Some(-WHEEL),
        _ => None,
    };
    let click = event.kind == MouseEventKind::Down(MouseButton::Left);
    if model.popup.is_some() {
        return on_popup(model, at, wheel, click, effects);
    }
    if model.on_course() {
        return on_course(model, at, wheel, click, effects);
    }
    let places = layout::layout(model);
    let place = places.panes.iter().find(|place| place.outer.contains(at)).copied();
    if let Some(place) = place.filter(|place| place.pane == Pane::Shell && place.inner.contains(at))
        && model.capture
        && forward(model, &event, place.inner, effects)
    {
        return;
    }
    match (wheel, place) {
        (Some(by), Some(place)) if place.pane == Pane::Shell => wheel_shell(model, by, effects),
        (Some(by), Some(place)) => scroll(model, place.pane, by),
        (None, Some(place)) if click => on_pane(model, &place, at, effects),
        (None, None) if click && places.tabs.is_some_and(|tabs| tabs.contains(at)) => {
            let tab = view::header::tabs(model).into_iter().find(|(range, _)| range.contains(&at.x));
            if let Some((_, pane)) = tab {
                commands::focus(model, pane, effects);
            }
        }
        (None, None) if click && places.help.contains(at) => {
            on_help(model, at, places.help.width, effects);
        }
        _ => {}
    }
}

fn on_course(model: &mut Model, at: Position, wheel: Option<isize>, click: bool, effects: &mut Vec<Effect>) {
    if let Some(by) = wheel {
        course::vertical(model, by.signum());
    } else if click && at.y + 1 == model.size.1 {
        on_help(model, at, model.size.0, effects);
    } else if click {
        // What was chosen already is opened.
        match view::course::target_at(model, at) {
            Some(Target::Lesson(lesson)) => {
                let again = model.at == lesson && model.step_at.is_none();
                (model.at, model.step_at) = (lesson, None);
                if again {
                    course::open(model, effects);
                }
            }
            Some(Target::Step(step)) => {
                let again = model.step_at == Some(step);
                model.step_at = Some(step);
                if again {
                    course::open(model, effects);
                }
            }
            _ => {}
        }
    }
}

/// A click into the line of keys does what stands there.
fn on_help(model: &mut Model, at: Position, columns: u16, effects: &mut Vec<Effect>) {
    let hit = view::help::line(model, columns).into_iter().find(|item| item.columns.contains(&at.x));
    if let Some(command) = hit.and_then(|item| item.command) {
        commands::perform(model, command, effects);
    }
}

fn on_pane(model: &mut Model, place: &Place, at: Position, effects: &mut Vec<Effect>) {
    let pane = place.pane;
    if pane == Pane::Shell {
        return commands::focus(model, pane, effects);
    }
    let target = place.inner.contains(at).then(|| target_at(model, place, at)).flatten();
    if pane == Pane::Steps {
        if let Some((_, Target::Step(step))) = target {
            model.popup = Some(Popup::Picker { list: List::Steps, query: String::new(), at: step });
        }
        return;
    }
    commands::show(model, pane);
    match target {
        Some((_, Target::Type(line))) => type_line(model, &line, effects),
        Some((_, Target::Choice(choice))) => commands::predict(model, choice, effects),
        Some((_, Target::Unfold)) => commands::perform(model, Command::Unfold, effects),
        Some((_, Target::Words)) => commands::perform(model, Command::Words, effects),
        Some((_, Target::Answer)) => commands::perform(model, Command::Answer, effects),
        Some((line, target @ (Target::Rows(_) | Target::Changes(_)))) => {
            commands::choose(model, pane, line, &target);
            let rows = rows_of(model, &target);
            // In the grid a column is a namespace: the one under the pointer is explained first.
            let column = at.x - place.inner.x;
            let first = match &target {
                Target::Rows(columns) if columns.iter().any(|(from, _)| *from > 0) => {
                    columns.iter().rposition(|(from, _)| *from <= column).unwrap_or_else(|| telling(model, &rows))
                }
                _ => telling(model, &rows),
            };
            if !rows.is_empty() {
                model.popup = Some(Popup::Explain { at: first.min(rows.len() - 1), rows });
            }
        }
        _ => {}
    }
}

fn target_at(model: &Model, place: &Place, at: Position) -> Option<(usize, Target)> {
    let (doc, _) = doc(model, place.pane)?;
    let line = usize::from(at.y - place.inner.y) + model.scroll_of(place.pane);
    let column = at.x - place.inner.x;
    let target = match doc.lines.get(line)?.1.clone()? {
        Target::Beside(targets) => targets.into_iter().rfind(|(from, _)| *from <= column)?.1,
        target => target,
    };
    Some((line, target))
}

fn on_popup(model: &mut Model, at: Position, wheel: Option<isize>, click: bool, effects: &mut Vec<Effect>) {
    let area = view::popup::area(model);
    let inside = area.contains(at);
    let Some(mut shown) = model.popup.take() else { return };
    match (&mut shown, wheel) {
        (Popup::Help { scroll } | Popup::Text { scroll, .. }, Some(by)) => *scroll = scroll.saturating_add_signed(by),
        (Popup::Picker { list, query, at: chosen }, Some(by)) => {
            let last = popup::matches(model, *list, query).len().saturating_sub(1);
            *chosen = chosen.saturating_add_signed(by.signum()).min(last);
        }
        (Popup::Picker { list, query, at: chosen }, None) if click && inside => {
            let count = popup::matches(model, *list, query).len();
            if let Some(index) = view::popup::picker_item(area, *chosen, count, at) {
                return popup::picked(model, *list, query, index, effects);
            }
        }
        _ if click && !inside => return,
        _ => {}
    }
    model.popup = Some(shown);
    popup::clamp(model);
}

/// The wheel over the shell: arrows for a full-screen program, else its past.
fn wheel_shell(model: &mut Model, by: isize, effects: &mut Vec<Effect>) {
    let screen = model.shell.parser.screen();
    if screen.alternate_screen() && model.shell.state == ShellState::Open {
        let key: &[u8] = match (by < 0, screen.application_cursor()) {
            (true, true) => b"\x1bOA",
            (true, false) => b"\x1b[A",
            (false, true) => b"\x1bOB",
            (false, false) => b"\x1b[B",
        };
        effects.push(Effect::Write(key.repeat(by.unsigned_abs())));
    } else {
        commands::scroll_shell(model, -by);
    }
}

/// Passes the mouse on to a program that asked for it (SGR form), and says whether it did.
fn forward(model: &Model, event: &MouseEvent, inner: Rect, effects: &mut Vec<Effect>) -> bool {
    let screen = model.shell.parser.screen();
    let mode = screen.mouse_protocol_mode();
    if mode == MouseProtocolMode::None || screen.mouse_protocol_encoding() != MouseProtocolEncoding::Sgr {
        return false;
    }
    let number = |button| match button {
        MouseButton::Left => 0,
        MouseButton::Middle => 1,
        MouseButton::Right => 2,
    };
    let (code, end) = match event.kind {
        MouseEventKind::Down(button) => (number(button), 'M'),
        MouseEventKind::Up(button) if mode != MouseProtocolMode::Press => (number(button), 'm'),
        MouseEventKind::ScrollUp => (64, 'M'),
        MouseEventKind::ScrollDown => (65, 'M'),
        _ => return false,
    };
    let (column, row) = (event.column - inner.x + 1, event.row - inner.y + 1);
    effects.push(Effect::Write(format!("\x1b[<{code};{column};{row}{end}").into_bytes()));
    true
}

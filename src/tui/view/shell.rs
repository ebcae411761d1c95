//! The shell pane: the terminal of the learner's shell.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::Widget;
use tui_term::widget::{Cursor, PseudoTerminal};

use super::message;
use crate::tui::app::{Model, ShellState};
use crate::tui::command::Command;
use crate::tui::layout::Place;

/// What stands at the right of the pane's frame.
pub fn aside(model: &Model) -> Vec<Span<'static>> {
    let theme = &model.theme;
    let back = model.shell.parser.screen().scrollback();
    let text = match model.shell.state {
        _ if back > 0 => format!(" {back} lines back "),
        ShellState::Ended if model.capture => {
            format!(" ended · Enter opens a new one · {} leaves ", model.keys.leave.name())
        }
        ShellState::Ended => format!(" ended · {} opens a new one ", model.key(Command::Shell)),
        ShellState::Asked | ShellState::Open if model.capture => {
            let key = model.keys.leave.name();
            return vec![
                Span::styled(" every key goes here · ", theme.warn),
                Span::styled(key, theme.key),
                Span::styled(" leaves ", theme.warn),
            ];
        }
        ShellState::Asked => " opening ".to_owned(),
        ShellState::Open => format!(" {} to type here ", model.key(Command::Shell)),
        ShellState::Closed => return Vec::new(),
    };
    vec![Span::styled(text, theme.dim)]
}

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, place: &Place) {
    let theme = &model.theme;
    match model.shell.state {
        ShellState::Closed => {
            let text = Text::from(vec![Line::from(vec![
                Span::styled(model.key(Command::Shell), theme.key),
                Span::styled(" opens a shell in the lab host · ", theme.dim),
                Span::styled(model.key(Command::Type), theme.key),
                Span::styled(" types for you", theme.dim),
            ])]);
            return message(frame, place.inner, text);
        }
        ShellState::Asked if model.shell.parser.screen().contents().is_empty() => {
            return message(frame, place.inner, Text::styled("the shell is being opened", theme.dim));
        }
        _ => {}
    }
    let screen = model.shell.parser.screen();
    let mut cursor = Cursor::default();
    cursor.hide();
    PseudoTerminal::new(screen).cursor(cursor).render(place.inner, frame.buffer_mut());
    on_ground(frame.buffer_mut(), place.inner, theme.ground);
    if model.shell.state == ShellState::Ended {
        frame.buffer_mut().set_style(place.inner, theme.dim);
    }
    // The terminal's own cursor, so that it blinks and is read aloud as the user's terminal does it.
    if model.capture && !screen.hide_cursor() && screen.scrollback() == 0 && model.popup.is_none() {
        let (row, column) = screen.cursor_position();
        let at = Position::new(place.inner.x + column, place.inner.y + row);
        if place.inner.contains(at) {
            frame.set_cursor_position(at);
        }
    }
}

/// What a program wrote without a colour has the theme's, as if they were the terminal's own.
fn on_ground(buffer: &mut Buffer, area: Rect, ground: Style) {
    for position in area.positions() {
        let Some(cell) = buffer.cell_mut(position) else { continue };
        if let (Color::Reset, Some(colour)) = (cell.fg, ground.fg) {
            cell.fg = colour;
        }
        if let (Color::Reset, Some(colour)) = (cell.bg, ground.bg) {
            cell.bg = colour;
        }
    }
}

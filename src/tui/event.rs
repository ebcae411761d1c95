//! What can happen to the screen.

use crossterm::event::{Event, KeyEvent, KeyEventKind, MouseEvent, MouseEventKind};

use crate::walk::News;

/// Something happened.
#[derive(Debug)]
pub enum Message {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The mouse was pressed, released or turned.
    Mouse(MouseEvent),
    /// The terminal has another size: columns, rows.
    Resized(u16, u16),
    /// The walker says something; never [`News::Shell`], [`News::Watching`] nor [`News::WatchingNetworks`], whose descriptors the loop keeps.
    News(News),
    /// A shell was opened.
    ShellOpened,
    /// The shell wrote something.
    Output(Vec<u8>),
    /// A second has passed.
    Tick,
    /// What is drawn over time is to be sampled.
    Beat,
    /// The kernel says that something happened in a group.
    Notified {
        /// Whether a group came or went.
        groups: bool,
    },
    /// The process was asked to end.
    Terminate,
}

impl Message {
    /// What a terminal's event means; none for those that mean nothing.
    pub fn from_terminal(event: Event) -> Option<Self> {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => Some(Self::Key(key)),
            Event::Paste(text) => Some(Self::Paste(text)),
            Event::Mouse(mouse) if mouse.kind != MouseEventKind::Moved => Some(Self::Mouse(mouse)),
            Event::Resize(columns, rows) => Some(Self::Resized(columns, rows)),
            _ => None,
        }
    }
}

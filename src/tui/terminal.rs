//! The terminal's modes: set at the start, taken back at the end, after a panic, and around a suspension.

use std::io::{self, BufWriter, Stdout, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crossterm::cursor::Show;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{Command, execute, queue};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;

use super::app::Model;
use super::{pty, view};

/// Buttons and wheel, in SGR form. Not motion, which would wake the screen for nothing and take selecting away from people.
struct Mouse(bool);

impl Command for Mouse {
    fn write_ansi(&self, f: &mut impl std::fmt::Write) -> std::fmt::Result {
        f.write_str(if self.0 { "\x1b[?1000h\x1b[?1006h" } else { "\x1b[?1006l\x1b[?1000l" })
    }
}

/// Whether the terminal may turn around what is written from right to left (mode BDSM of ECMA-48). It would do so through
/// frames and columns.
struct TurnAround(bool);

impl Command for TurnAround {
    fn write_ansi(&self, f: &mut impl std::fmt::Write) -> std::fmt::Result {
        f.write_str(if self.0 { "\x1b[8h" } else { "\x1b[8l" })
    }
}

/// The terminal while the screen is shown. Dropping it gives the terminal back.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// Those of tcsetattr(3) and of writing: standard output is not a terminal.
    pub fn enter() -> io::Result<Self> {
        let previous = std::panic::take_hook();
        let own = std::thread::current().id();
        std::panic::set_hook(Box::new(move |info| {
            if pty::emulating() {
                return;
            }
            // Another thread's panic does not end the screen.
            if std::thread::current().id() == own {
                leave();
            }
            previous(info);
        }));
        take()?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(64 * 1024, io::stdout()));
        // Full screen, and no question to the terminal: the event stream would steal the answer.
        let terminal = Terminal::new(backend).inspect_err(|_| leave())?;
        Ok(Self { terminal })
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// Those of the ioctl.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        crossterm::terminal::size()
    }

    /// Draws a frame, which the terminal shows at once.
    ///
    /// # Errors
    /// Those of writing.
    pub fn draw(&mut self, model: &Model) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| view::draw(frame, model))?;
        queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        Write::flush(self.terminal.backend_mut())
    }

    /// Forgets what is on the terminal; the next frame is drawn whole.
    ///
    /// # Errors
    /// Those of writing.
    pub fn forget(&mut self) -> io::Result<()> {
        let (columns, rows) = self.size()?;
        // Not `Terminal::clear`, which asks where the cursor is.
        self.terminal.resize(Rect::new(0, 0, columns, rows))
    }

    /// Puts text into the clipboard (OSC 52), where the terminal allows that.
    ///
    /// # Errors
    /// Those of writing.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        let sequence = format!("\x1b]52;c;{}\x07", STANDARD.encode(text));
        self.terminal.backend_mut().write_all(sequence.as_bytes())?;
        Write::flush(self.terminal.backend_mut())
    }

    /// Gives the terminal back, runs `meanwhile`, and takes it again.
    ///
    /// # Errors
    /// As [`Screen::enter`].
    pub fn aside(&mut self, meanwhile: impl FnOnce()) -> io::Result<()> {
        leave();
        meanwhile();
        take()?;
        self.forget()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, TurnAround(false), Mouse(true), EnableBracketedPaste)
        .inspect_err(|_| leave())
}

/// Every mode back, in the opposite order. Errors have nowhere to go: the terminal may be gone.
fn leave() {
    let _ = execute!(
        io::stdout(),
        EndSynchronizedUpdate,
        DisableBracketedPaste,
        Mouse(false),
        TurnAround(true),
        LeaveAlternateScreen,
        Show
    );
    let _ = disable_raw_mode();
}

//! The shell pane's pty: one thread reads its master, another writes to it, so that the screen waits for neither.

use std::cell::Cell;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

/// How many lines of the shell pane's past are kept.
const SCROLLBACK: usize = 2000;

/// What the program in the pane says to its terminal beyond what is drawn. Collected by the parser's callbacks.
#[derive(Debug, Default)]
pub struct Marks {
    /// Answers that the program waits for.
    pub replies: Vec<u8>,
}

impl vt100::Callbacks for Marks {
    fn unhandled_csi(
        &mut self,
        screen: &mut vt100::Screen,
        intermediate: Option<u8>,
        _: Option<u8>,
        params: &[&[u16]],
        end: char,
    ) {
        match (intermediate, params.first().and_then(|first| first.first()), end) {
            // Where is the cursor? (DSR 6) and: what are you? (DA1; a VT102). A program that asks waits for the answer.
            (None, Some(6), 'n') => {
                let (row, column) = screen.cursor_position();
                self.replies.extend_from_slice(format!("\x1b[{};{}R", row + 1, column + 1).as_bytes());
            }
            (None, None | Some(0), 'c') => self.replies.extend_from_slice(b"\x1b[?6c"),
            _ => {}
        }
    }
}

thread_local! {
    /// Whether this thread is in the emulator, whose panics end nothing.
    static EMULATING: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread is the emulator's, and is dealt with where it was called.
pub fn emulating() -> bool {
    EMULATING.get()
}

/// Runs the emulator on what a program wrote. vt100 0.16 panics on some sequences (a wide character in the last column of a
/// changed size, found by a property test); whatever is typed in the lab must not end the screen. False when that
/// happened: the terminal is then an empty one of the same size.
pub fn emulate(parser: &mut vt100::Parser<Marks>, deed: impl FnOnce(&mut vt100::Parser<Marks>)) -> bool {
    let size = parser.screen().size();
    EMULATING.set(true);
    let survived = std::panic::catch_unwind(AssertUnwindSafe(|| deed(parser))).is_ok();
    EMULATING.set(false);
    if !survived {
        *parser = terminal(size.0, size.1);
    }
    survived
}

/// Gives a terminal another size. What stands above the cursor and has no room any more goes where one can scroll back to: vt100 0.16 cuts
/// rows off at the bottom, the cursor's with them.
pub fn resize(parser: &mut vt100::Parser<Marks>, rows: u16, columns: u16) {
    let screen = parser.screen();
    let ((row, column), last) = (screen.cursor_position(), screen.size().0);
    let excess = (row + 1).saturating_sub(rows);
    if excess > 0 && !screen.alternate_screen() {
        let feeds = "\n".repeat(usize::from(excess));
        parser.process(format!("\x1b[{last};1H{feeds}\x1b[{};{}H", row + 1 - excess, column + 1).as_bytes());
    }
    parser.screen_mut().set_size(rows, columns);
}

/// An empty terminal.
pub fn terminal(rows: u16, columns: u16) -> vt100::Parser<Marks> {
    vt100::Parser::new_with_callbacks(rows.max(1), columns.max(1), SCROLLBACK, Marks::default())
}

/// What the reader sends.
#[derive(Debug)]
pub enum FromPty {
    /// Bytes that the shell wrote; the number tells which shell.
    Bytes(u64, Vec<u8>),
    /// The other side is closed.
    End(u64),
}

/// The open master of the pane's pty.
#[derive(Debug)]
pub struct Pty {
    to_writer: mpsc::Sender<Vec<u8>>,
}

impl Pty {
    /// Starts the two threads. `number` tells the bytes of this shell from those of another.
    ///
    /// # Errors
    /// Those of dup(2) and of making a thread.
    pub fn start(master: OwnedFd, number: u64, output: Sender<FromPty>) -> std::io::Result<Self> {
        let reader = File::from(master.try_clone()?);
        let writer = File::from(master);
        let (to_writer, from_screen) = mpsc::channel();
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        thread("pty reader").spawn(move || read(reader, number, &output))?;
        thread("pty writer").spawn(move || write(writer, &from_screen))?;
        Ok(Self { to_writer })
    }

    /// Types bytes; they are lost where the shell has ended.
    pub fn write(&self, bytes: Vec<u8>) {
        let _ = self.to_writer.send(bytes);
    }
}

fn read(mut master: File, number: u64, output: &Sender<FromPty>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match master.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                // Blocks while the screen is behind: the shell then waits for us, as for a slow terminal.
                if output.blocking_send(FromPty::Bytes(number, buffer[..n].to_vec())).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(5)),
            // EIO is how Linux says that no slave is open any more (pty(7)).
            Err(_) => break,
        }
    }
    let _ = output.blocking_send(FromPty::End(number));
}

fn write(mut master: File, from_screen: &mpsc::Receiver<Vec<u8>>) {
    while let Ok(bytes) = from_screen.recv() {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match master.write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(5)),
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_answered_and_marks_not_drawn() {
        let mut parser = vt100::Parser::new_with_callbacks(5, 20, 0, Marks::default());
        parser.process(b"\x1b]133;D;1\x07$ \x1b]133;D;0\x1b\\ab\x1b[6n");
        assert_eq!(parser.callbacks().replies, b"\x1b[1;5R");
        assert_eq!(parser.screen().contents(), "$ ab");
    }

    #[test]
    fn what_a_smaller_terminal_has_no_room_for_can_be_scrolled_back_to() {
        let mut parser = terminal(6, 10);
        parser.process(b"one\r\ntwo\r\nthree\r\nfour\r\n$ ");
        resize(&mut parser, 2, 10);
        assert_eq!(parser.screen().contents(), "four\n$ ");
        assert_eq!(parser.screen().cursor_position(), (1, 2));
        parser.screen_mut().set_scrollback(3);
        assert_eq!(parser.screen().contents(), "one\ntwo");
        parser.screen_mut().set_scrollback(0);
        // Nothing is lost where there is room.
        resize(&mut parser, 5, 10);
        parser.process(b"x");
        assert_eq!(parser.screen().contents(), "four\n$ x");
    }

    #[test]
    fn the_emulators_panics_are_survived() {
        let mut parser = terminal(5, 10);
        assert!(emulate(&mut parser, |parser| parser.process("\x1b[1;9H漢".as_bytes())));
        assert!(emulate(&mut parser, |parser| parser.screen_mut().set_size(5, 9)));
        // Half of the wide character is beyond the last column now, and is written over.
        emulate(&mut parser, |parser| parser.process(b"\x1b[1;9Hx"));
        assert_eq!(parser.screen().size(), (5, 9));
        assert!(!emulating());
        assert!(emulate(&mut parser, |parser| parser.process(b"\x1bcgoes on")));
        assert_eq!(parser.screen().contents(), "goes on");
    }
}

//! Hands: types lines into the learner's shell as a person would, and knows when a command has ended.
//!
//! The prompt carries the mark `OSC 133 ; D ; status BEL` (shell integration), nested shells included, so that the end of
//! a command and its exit status are read from the terminal itself.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::explain::Explanation;
use crate::kernel::children::readable;

/// How much of the output of one command is kept, in bytes.
const MAX_OUTPUT: usize = 64 * 1024;

/// The end of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// `$?`.
    pub status: i32,
    /// What the terminal was sent since the line was typed, echo included, without control sequences.
    pub output: String,
}

/// Finds the ends of commands in what a terminal is sent.
#[derive(Debug, Default)]
pub struct Endings {
    received: Vec<u8>,
}

impl Endings {
    /// More of what the terminal was sent.
    pub fn push(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
        let excess = self.received.len().saturating_sub(MAX_OUTPUT);
        self.received.drain(..excess);
    }

    /// The next command that has ended, oldest first.
    pub fn next_ended(&mut self) -> Option<Ended> {
        let (end, status) = find_mark(&self.received)?;
        let output = plain(&self.received[..end]);
        self.received.drain(..end);
        Some(Ended { status, output })
    }

    /// Forgets what came so far.
    pub fn clear(&mut self) {
        self.received.clear();
    }
}

/// A shell's terminal, with somebody typing.
#[derive(Debug)]
pub struct Hands {
    master: File,
    endings: Endings,
}

impl Hands {
    /// Takes over a terminal.
    pub fn new(master: OwnedFd) -> Self {
        Self { master: master.into(), endings: Endings::default() }
    }

    /// Types one line: text and Enter, or the key that `^C` or `^D` stands for.
    ///
    /// # Errors
    /// Where the terminal is gone.
    pub fn type_line(&mut self, line: &str) -> Result<(), Explanation> {
        self.endings.clear();
        self.master.write_all(&keys(line)).map_err(|error| {
            Explanation::new(
                "The line could not be typed",
                format!("write to the terminal: {error}"),
                "open a new shell",
            )
        })
    }

    /// Waits for the next prompt; none when the time is up or the shell has ended.
    pub fn prompt(&mut self, at_most: Duration) -> Option<Ended> {
        let deadline = Instant::now() + at_most;
        loop {
            if let Some(ended) = self.endings.next_ended() {
                return Some(ended);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let [ready] = readable([self.master.as_fd()], Some(left));
            if !ready {
                return None;
            }
            let mut chunk = [0; 4096];
            match self.master.read(&mut chunk) {
                // EIO: the last process on the terminal has ended.
                Ok(0) | Err(_) => return None,
                Ok(n) => self.endings.push(&chunk[..n]),
            }
        }
    }
}

/// The bytes that a line of a lesson stands for.
pub fn keys(line: &str) -> Vec<u8> {
    match line {
        "^C" => vec![3],
        "^D" => vec![4],
        text => [text.as_bytes(), b"\r"].concat(),
    }
}

/// The first complete mark: where it ends, and the status that it carries.
fn find_mark(bytes: &[u8]) -> Option<(usize, i32)> {
    const MARK: &[u8] = b"\x1b]133;D;";
    let start = bytes.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let length = bytes[start..].iter().position(|byte| *byte == 7)?;
    let status = std::str::from_utf8(&bytes[start..start + length]).ok()?.parse().unwrap_or(-1);
    Some((start + length + 1, status))
}

/// Text without control sequences: CSI … letter, OSC … BEL or ST, and other escapes of two bytes.
pub fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut chars = text.chars().peekable();
    let mut out = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => match chars.next() {
                Some('[') => while chars.next().is_some_and(|c| !('\x40'..='\x7e').contains(&c)) {},
                Some(']') => {
                    while let Some(c) = chars.next() {
                        if c == '\x07' || (c == '\x1b' && chars.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                _ => {}
            },
            '\r' => {}
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_mark_ends_a_command_and_carries_its_status() {
        let bytes = b"true\r\nout\r\n\x1b]133;D;254\x07$ ";
        let (end, status) = find_mark(bytes).expect("a mark");
        assert_eq!((&bytes[end..], status), (&b"$ "[..], 254));
        assert_eq!(plain(&bytes[..end]), "true\nout\n");
        assert!(find_mark(b"\x1b]133;D;25").is_none());
    }

    #[test]
    fn keys_have_names() {
        assert_eq!(keys("^C"), [3]);
        assert_eq!(keys("ls"), b"ls\r");
    }

    proptest! {
        #[test]
        fn any_output_is_survived(bytes: Vec<u8>) {
            let _ = find_mark(&bytes);
            prop_assert!(!plain(&bytes).contains('\x1b'));
        }
    }
}

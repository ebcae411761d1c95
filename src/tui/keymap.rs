//! Keys: how they are written, how the terminal sends them, and what bytes they are for a program in the shell pane.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key with its modifiers, in one canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chord {
    code: KeyCode,
    modifiers: KeyModifiers,
}

impl Chord {
    /// The key that leaves the shell pane, where nobody wants another.
    pub const LEAVE: Self = Self { code: KeyCode::Char(']'), modifiers: KeyModifiers::CONTROL };

    /// The canonical form of what the terminal sent. Control-\ to Control-_ arrive as Control-4 to Control-7, because the
    /// bytes are the same; Shift is part of a printed character.
    pub fn of(key: &KeyEvent) -> Self {
        let mut modifiers = key.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        let mut code = key.code;
        if let KeyCode::Char(c) = code {
            modifiers -= KeyModifiers::SHIFT;
            if modifiers.contains(KeyModifiers::CONTROL) {
                code = KeyCode::Char(match c {
                    '4' => '\\',
                    '5' => ']',
                    '6' => '^',
                    '7' | '/' => '_',
                    '@' | '2' => ' ',
                    other => other.to_ascii_lowercase(),
                });
            }
        }
        if code == KeyCode::BackTab {
            modifiers -= KeyModifiers::SHIFT;
        }
        Self { code, modifiers }
    }

    /// Reads `n`, `enter`, `ctrl-]`, `shift-tab`, `alt-x`, `f5`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        loop {
            let lower = rest.to_ascii_lowercase();
            let (modifier, length) = if lower.starts_with("ctrl-") {
                (KeyModifiers::CONTROL, 5)
            } else if lower.starts_with("alt-") {
                (KeyModifiers::ALT, 4)
            } else if lower.starts_with("shift-") {
                (KeyModifiers::SHIFT, 6)
            } else {
                break;
            };
            modifiers |= modifier;
            rest = &rest[length..];
        }
        let mut characters = rest.chars();
        let code = match (characters.next(), characters.next()) {
            (Some(c), None) => KeyCode::Char(c),
            _ => match rest.to_ascii_lowercase().as_str() {
                "enter" => KeyCode::Enter,
                "esc" => KeyCode::Esc,
                "backspace" => KeyCode::Backspace,
                "delete" => KeyCode::Delete,
                "insert" => KeyCode::Insert,
                "tab" if modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
                "tab" => KeyCode::Tab,
                "space" => KeyCode::Char(' '),
                "up" => KeyCode::Up,
                "down" => KeyCode::Down,
                "left" => KeyCode::Left,
                "right" => KeyCode::Right,
                "home" => KeyCode::Home,
                "end" => KeyCode::End,
                "pgup" => KeyCode::PageUp,
                "pgdn" => KeyCode::PageDown,
                "f1" => KeyCode::F(1),
                name => KeyCode::F(name.strip_prefix('f')?.parse().ok().filter(|n| (1..=12).contains(n))?),
            },
        };
        Some(Self::of(&KeyEvent::new(code, modifiers)))
    }

    /// The event that a terminal sends for it.
    pub fn event(&self) -> KeyEvent {
        KeyEvent::new(self.code, self.modifiers)
    }

    /// Whether it writes a character, or is what one types with: such a key can not be taken from a shell.
    pub fn is_typed(&self) -> bool {
        let alone = !self.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        let keys = [KeyCode::Enter, KeyCode::Tab, KeyCode::Backspace];
        alone && (matches!(self.code, KeyCode::Char(_)) || keys.contains(&self.code))
    }

    /// The digit that was pressed, alone.
    pub fn digit(&self) -> Option<usize> {
        match self.code {
            KeyCode::Char(c) if self.modifiers.is_empty() => {
                c.to_digit(10).and_then(|digit| usize::try_from(digit).ok())
            }
            _ => None,
        }
    }

    /// As it is written for people: `Ctrl-]`, `Enter`, `n`.
    pub fn name(&self) -> String {
        let mut text = String::new();
        if self.modifiers.contains(KeyModifiers::CONTROL) {
            text.push_str("Ctrl-");
        }
        if self.modifiers.contains(KeyModifiers::ALT) {
            text.push_str("Alt-");
        }
        match self.code {
            KeyCode::Char(' ') => text.push_str("Space"),
            KeyCode::Char(c) if self.modifiers.contains(KeyModifiers::CONTROL) => text.push(c.to_ascii_uppercase()),
            KeyCode::Char(c) => text.push(c),
            KeyCode::BackTab => text.push_str("Shift-Tab"),
            KeyCode::PageUp => text.push_str("PgUp"),
            KeyCode::PageDown => text.push_str("PgDn"),
            KeyCode::Up => text.push('↑'),
            KeyCode::Down => text.push('↓'),
            KeyCode::Left => text.push('←'),
            KeyCode::Right => text.push('→'),
            KeyCode::F(n) => text.push_str(&format!("F{n}")),
            other => text.push_str(&format!("{other:?}")),
        }
        text
    }
}

/// The bytes that a terminal sends for this key (xterm's, ctlseqs). None for a key that no terminal sends alone.
pub fn bytes(key: &KeyEvent, application_cursor: bool) -> Option<Vec<u8>> {
    let Chord { code, modifiers } = Chord::of(key);
    let alt = modifiers.contains(KeyModifiers::ALT);
    let control = modifiers.contains(KeyModifiers::CONTROL);
    let plain = match code {
        KeyCode::Char(c) if control => vec![control_byte(c)?],
        KeyCode::Char(c) => c.to_string().into_bytes(),
        KeyCode::Enter => vec![b'\r'],
        KeyCode::Tab => vec![b'\t'],
        KeyCode::Backspace if control => vec![0x08],
        KeyCode::Backspace => vec![0x7f],
        KeyCode::Esc => vec![0x1b],
        KeyCode::Null => vec![0],
        KeyCode::BackTab => b"\x1b[Z".to_vec(),
        _ => return special(code, modifiers, application_cursor),
    };
    Some(if alt { [vec![0x1b], plain].concat() } else { plain })
}

/// The control character of a key, as ASCII has it.
fn control_byte(c: char) -> Option<u8> {
    match c {
        ' ' => Some(0),
        'a'..='z' | '[' | '\\' | ']' | '^' | '_' => u8::try_from(c).ok().map(|byte| byte & 0x1f),
        '?' | '8' => Some(0x7f),
        '3' => Some(0x1b),
        _ => None,
    }
}

/// Cursor, editing and function keys. With modifiers they carry a parameter: 1 + shift + 2·alt + 4·control.
fn special(code: KeyCode, modifiers: KeyModifiers, application_cursor: bool) -> Option<Vec<u8>> {
    let parameter = 1
        + u8::from(modifiers.contains(KeyModifiers::SHIFT))
        + 2 * u8::from(modifiers.contains(KeyModifiers::ALT))
        + 4 * u8::from(modifiers.contains(KeyModifiers::CONTROL));
    let letter = |letter: char, ss3: bool| match (parameter, ss3) {
        (1, true) => format!("\x1bO{letter}"),
        (1, false) => format!("\x1b[{letter}"),
        (n, _) => format!("\x1b[1;{n}{letter}"),
    };
    let tilde = |number: u8| match parameter {
        1 => format!("\x1b[{number}~"),
        n => format!("\x1b[{number};{n}~"),
    };
    let text = match code {
        KeyCode::Up => letter('A', application_cursor),
        KeyCode::Down => letter('B', application_cursor),
        KeyCode::Right => letter('C', application_cursor),
        KeyCode::Left => letter('D', application_cursor),
        KeyCode::Home => letter('H', application_cursor),
        KeyCode::End => letter('F', application_cursor),
        KeyCode::Insert => tilde(2),
        KeyCode::Delete => tilde(3),
        KeyCode::PageUp => tilde(5),
        KeyCode::PageDown => tilde(6),
        KeyCode::F(n @ 1..=4) => letter(char::from(b'P' + n - 1), true),
        KeyCode::F(5) => tilde(15),
        KeyCode::F(n @ 6..=10) => tilde(11 + n),
        KeyCode::F(n @ 11..=12) => tilde(12 + n),
        _ => return None,
    };
    Some(text.into_bytes())
}

/// The bytes of a pasted text: bracketed where the program asked for that, and never able to end the bracket itself.
pub fn paste(text: &str, bracketed: bool) -> Vec<u8> {
    let clean: String = text.replace("\r\n", "\r").replace('\n', "\r").chars().filter(|c| *c != '\x1b').collect();
    if bracketed { format!("\x1b[200~{clean}\x1b[201~").into_bytes() } else { clean.into_bytes() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn key(text: &str) -> KeyEvent {
        Chord::parse(text).unwrap().event()
    }

    #[test]
    fn leave_key_is_recognised_as_terminals_send_it() {
        let sent = KeyEvent::new(KeyCode::Char('5'), KeyModifiers::CONTROL);
        assert_eq!(Chord::of(&sent), Chord::parse("ctrl-]").unwrap());
        assert_eq!(Chord::parse("ctrl-]").unwrap().name(), "Ctrl-]");
        assert_eq!(Chord::parse("Ctrl-G"), Chord::parse("ctrl-g"));
        assert!(Chord::parse("hyper-x").is_none());
    }

    #[test]
    fn keys_become_the_bytes_of_a_terminal() {
        let cases: [(&str, &[u8]); 14] = [
            ("n", b"n"),
            ("q", b"q"),
            ("ctrl-c", b"\x03"),
            ("ctrl-\\", b"\x1c"),
            ("esc", b"\x1b"),
            ("tab", b"\t"),
            ("shift-tab", b"\x1b[Z"),
            ("alt-b", b"\x1bb"),
            ("up", b"\x1b[A"),
            ("ctrl-right", b"\x1b[1;5C"),
            ("f1", b"\x1bOP"),
            ("f5", b"\x1b[15~"),
            ("f6", b"\x1b[17~"),
            ("f12", b"\x1b[24~"),
        ];
        for (name, expected) in cases {
            assert_eq!(bytes(&key(name), false).as_deref(), Some(expected), "{name}");
        }
        assert_eq!(bytes(&key("up"), true).unwrap(), b"\x1bOA");
        assert_eq!(bytes(&key("é"), false).unwrap(), "é".as_bytes());
    }

    #[test]
    fn a_paste_can_not_leave_its_bracket() {
        assert_eq!(paste("a\x1b[201~\nb", true), b"\x1b[200~a[201~\rb\x1b[201~");
        assert_eq!(paste("a\r\nb", false), b"a\rb");
    }
}

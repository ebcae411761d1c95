//! Which keys mean what: those of the command table, or what the learner's own file says instead.
//!
//! The file is `keys` in the configuration directory. Each line is `command = key`, with more keys behind spaces; a `#` in
//! front makes it a remark. Commands go by their names in the palette; `leave` is the key that leaves the shell pane.

use super::command::{COMMANDS, Command, Place, Spec};
use super::keymap::Chord;

/// The name by which the file calls the key that leaves the shell pane.
const LEAVE: &str = "leave";

/// The keys of every command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// In the order of [`COMMANDS`].
    of: Vec<Vec<Chord>>,
    /// The key that leaves the shell pane.
    pub leave: Chord,
}

/// A line that is not used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its number, from 1.
    pub line: usize,
    /// Why.
    pub why: String,
}

/// A line that gives a command keys.
struct Wish {
    line: usize,
    /// The index of the command in [`COMMANDS`].
    at: usize,
    chords: Vec<Chord>,
}

impl Default for Keys {
    fn default() -> Self {
        Self { of: COMMANDS.iter().map(usual).collect(), leave: Chord::LEAVE }
    }
}

impl Keys {
    /// Reads the learner's file. What can not be used is told, and leaves the command with its usual keys.
    pub fn read(text: &str) -> (Self, Vec<Fault>) {
        let mut keys = Self::default();
        let mut faults = Vec::new();
        let mut wishes: Vec<Wish> = Vec::new();
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        for (line, text) in lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#')) {
            match keys.line(line, text) {
                Ok(Some(wish)) if wishes.iter().any(|other| other.at == wish.at) => {
                    let why = format!("{} has keys already, from a line above", COMMANDS[wish.at].name);
                    faults.push(Fault { line, why });
                }
                Ok(Some(wish)) => wishes.push(wish),
                Ok(None) => {}
                Err(why) => faults.push(Fault { line, why }),
            }
        }
        // A line that is dropped gives its command the usual keys back, which may be in the way of another line.
        while let Some((index, why)) = conflict(&wishes) {
            faults.push(Fault { line: wishes.remove(index).line, why });
        }
        for wish in wishes {
            keys.of[wish.at] = wish.chords;
        }
        faults.sort_by_key(|fault| fault.line);
        (keys, faults)
    }

    /// One line: what it wishes for a command, or nothing more where it is about the key that leaves the shell pane.
    fn line(&mut self, line: usize, text: &str) -> Result<Option<Wish>, String> {
        let (name, keys) = text.split_once('=').ok_or_else(|| format!("{text:?} is not `command = key`"))?;
        let name = name.trim().to_lowercase();
        let read = |key: &str| Chord::parse(key).ok_or_else(|| format!("{key:?} is no key"));
        let chords = keys.split_whitespace().map(read).collect::<Result<Vec<Chord>, String>>()?;
        if chords.is_empty() {
            return Err(format!("no key is given for {name:?}"));
        }
        if name == LEAVE {
            match chords.as_slice() {
                [chord] if !chord.is_typed() => self.leave = *chord,
                [_] => return Err("the key that leaves the shell pane could not be typed there any more".to_owned()),
                _ => return Err("one key leaves the shell pane, not several".to_owned()),
            }
            return Ok(None);
        }
        let at = COMMANDS.iter().position(|spec| spec.name == name);
        let at = at.ok_or_else(|| format!("there is no command {name:?}"))?;
        if COMMANDS[at].command == Command::Predict {
            return Err("a guess is made by its number, and by no other key".to_owned());
        }
        Ok(Some(Wish { line, at, chords }))
    }

    /// The keys of a command; the first is the one that is shown.
    pub fn of(&self, command: Command) -> &[Chord] {
        COMMANDS.iter().position(|spec| spec.command == command).map_or(&[], |at| &self.of[at])
    }

    /// The key of a command that is shown, as people write it.
    pub fn shown(&self, command: Command) -> String {
        self.of(command).first().map_or_else(String::new, Chord::name)
    }
}

fn usual(spec: &Spec) -> Vec<Chord> {
    spec.keys.iter().filter_map(|key| Chord::parse(key)).collect()
}

/// The first wish whose key would mean two things in one place, and what is in its way.
fn conflict(wishes: &[Wish]) -> Option<(usize, String)> {
    let keys_of = |at: usize| {
        let wish = wishes.iter().find(|wish| wish.at == at);
        wish.map_or_else(|| usual(&COMMANDS[at]), |wish| wish.chords.clone())
    };
    // What was wished last gives way.
    for (index, wish) in wishes.iter().enumerate().rev() {
        for (at, spec) in COMMANDS.iter().enumerate().filter(|(at, _)| *at != wish.at) {
            let theirs = keys_of(at);
            let digit = |chord: &Chord| spec.command == Command::Predict && chord.digit().is_some();
            let taken = wish.chords.iter().find(|chord| theirs.contains(chord) || digit(chord));
            if let Some(chord) = taken.filter(|_| !apart(COMMANDS[wish.at].place, spec.place)) {
                return Some((
                    index,
                    format!("{} belongs to {:?}; give that another key too", chord.name(), spec.name),
                ));
            }
        }
    }
    None
}

/// Whether two commands never make sense in the same place.
pub fn apart(one: Place, other: Place) -> bool {
    matches!((one, other), (Place::Course, Place::Lesson) | (Place::Lesson, Place::Course))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<(usize, String)> {
        Keys::read(text).1.into_iter().map(|fault| (fault.line, fault.why)).collect()
    }

    fn names(keys: &Keys, command: Command) -> Vec<String> {
        keys.of(command).iter().map(Chord::name).collect()
    }

    #[test]
    fn a_file_gives_commands_other_keys() {
        let (keys, faults) = Keys::read("# mine\n\nnext = f5 ctrl-e\nZoom In = Z\nleave = ctrl-g\n");
        assert_eq!(faults, []);
        assert_eq!(names(&keys, Command::Next), ["F5", "Ctrl-E"]);
        assert_eq!(names(&keys, Command::Zoom), ["Z"]);
        assert_eq!(names(&keys, Command::Back), ["b"]);
        assert_eq!(Some(keys.leave), Chord::parse("ctrl-g"));
        assert_eq!(Keys::read("").0, Keys::default());
    }

    #[test]
    fn two_commands_can_change_places() {
        let (keys, faults) = Keys::read("next = b\nback = n");
        assert_eq!(faults, []);
        assert_eq!((keys.shown(Command::Next), keys.shown(Command::Back)), ("b".to_owned(), "n".to_owned()));
    }

    #[test]
    fn what_can_not_be_used_is_told_with_its_line() {
        let text =
            "next\nnxt = n\nback = hyper-x\nhint =\npredict = p\nleave = g\nzoom in = q\nzoom in = Z\ncheck = 3\n";
        let found = faults(text);
        let told = [
            (1, "is not `command = key`"),
            (2, "there is no command \"nxt\""),
            (3, "\"hyper-x\" is no key"),
            (4, "no key is given"),
            (5, "by its number"),
            (6, "could not be typed"),
            (7, "q belongs to \"quit\""),
            (8, "from a line above"),
            (9, "3 belongs to \"predict\""),
        ];
        assert_eq!(found.len(), told.len(), "{found:?}");
        for ((line, why), (at, words)) in found.iter().zip(told) {
            assert!(*line == at && why.contains(words), "{line}: {why}");
        }
    }

    #[test]
    fn a_line_that_is_dropped_drops_those_that_counted_on_it() {
        // back keeps b, because x folds; so next can not have b.
        let (keys, faults) = Keys::read("next = b\nback = x");
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(keys, Keys::default());
    }

    #[test]
    fn places_that_never_meet_may_share_a_key() {
        assert_eq!(faults("open = o\nnext = o"), []);
    }
}

//! The id maps of user namespaces (user_namespaces(7), newuidmap(1)).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, HOST, Home, Mechanism, Misuse, Outcome, Perform, PerformOn};
use super::process::{Run, shell_words};
use crate::kernel::errno::Errno;
use crate::kernel::sys;
use crate::kernel::trace::{CallError, Trace};

/// The most lines of a map (user_namespaces(7): 340 since Linux 4.15, 5 before).
const MAX_LINES: usize = 5;

/// The word for the id that the process had outside before it made its user namespace.
const OWN: &str = "own";

/// The shell variable in which the lines of lessons keep that id; afterwards a shell can not find it out any more.
const OWN_IN_SHELL: &str = "$me";

/// Writes the map of user ids of the user namespace that the process is in, from inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteUidMap {
    /// Who.
    pub r#in: String,
    /// The lines: first id inside, first id outside, how many.
    pub map: Vec<Line>,
    /// The expected errno: of openat, or of write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for WriteUidMap {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} writes the map of user ids of its user namespace: {}", self.r#in, words(&self.map))
    }

    fn shell(&self) -> Option<String> {
        Some(shell_write(&self.map, "uid_map"))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("the user ids in the user namespace of {}", self.r#in), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused_map("map", &self.map)
    }
}

impl Perform for WriteUidMap {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::write_file(trace, "/proc/self/uid_map", &text(&self.map, sys::own_ids().0))?;
        Ok(Outcome::default())
    }
}

/// Writes the map of group ids of the user namespace that the process is in, from inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteGidMap {
    /// Who.
    pub r#in: String,
    /// The lines: first id inside, first id outside, how many.
    pub map: Vec<Line>,
    /// The expected errno: of openat, or of write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for WriteGidMap {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} writes the map of group ids of its user namespace: {}", self.r#in, words(&self.map))
    }

    fn shell(&self) -> Option<String> {
        Some(shell_write(&self.map, "gid_map"))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("the group ids in the user namespace of {}", self.r#in), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused_map("map", &self.map)
    }
}

impl Perform for WriteGidMap {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::write_file(trace, "/proc/self/gid_map", &text(&self.map, sys::own_ids().1))?;
        Ok(Outcome::default())
    }
}

/// The lab host maps ranges of ids for the user namespace of a box, by newuidmap(1) and newgidmap(1): a set-uid program may
/// map what `/etc/subuid` and `/etc/subgid` give to whoever calls it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewIdMap {
    /// Whose user namespace.
    pub of: String,
    /// The lines, for users and groups alike.
    pub map: Vec<Line>,
}

impl Mechanism for NewIdMap {
    fn actor(&self) -> &str {
        HOST
    }

    fn sentence(&self) -> String {
        format!("the lab host has newuidmap and newgidmap write the maps of {}: {}", self.of, words(&self.map))
    }

    fn shell(&self) -> Option<String> {
        let map = shell_words(&helper_words(&self.map));
        Some(format!("newgidmap PID {map}; newuidmap PID {map}"))
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("the ids in the user namespace of {}", self.of), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        let mut misuses = misused_map("map", &self.map);
        if self.map.iter().any(|line| line.outside.is_none()) {
            misuses.push(Misuse::new("map", "`own` is nobody's for the lab host", "write the ids as numbers"));
        }
        if self.of == HOST {
            misuses.push(Misuse::new("of", "the ids of the lab host are mapped already", "name a box"));
        }
        misuses
    }
}

impl PerformOn for NewIdMap {
    fn whom(&self) -> &str {
        &self.of
    }

    /// Groups first, as the other maps here; the order of these two does not matter.
    fn perform_on(&self, trace: &mut Trace, pid: i32) -> Result<Outcome, CallError> {
        let mut last = Outcome::default();
        for program in ["newgidmap", "newuidmap"] {
            let mut argv = vec![program.to_owned(), pid.to_string()];
            argv.extend(helper_words(&self.map));
            last = Run { r#in: HOST.to_owned(), argv, root: None, ends_with: None, fails_with: None }.perform(trace)?;
            if last.status != Some(0) {
                break;
            }
        }
        Ok(last)
    }
}

fn helper_words(map: &[Line]) -> Vec<String> {
    let numbers = map.iter().flat_map(|line| [line.inside, line.outside.unwrap_or(0), line.count]);
    numbers.map(|number| number.to_string()).collect()
}

/// One line of an id map, written `INSIDE OUTSIDE COUNT`. OUTSIDE may be `own`: the id that the writer had before it made its
/// user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Line {
    /// First id inside.
    inside: u32,
    /// First id outside; none for the writer's own.
    outside: Option<u32>,
    /// How many.
    count: u32,
}

impl TryFrom<String> for Line {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bad = || format!("`{}` is not a line of an id map, as `0 1000 1` or `0 {OWN} 1` is", text.escape_debug());
        let words: Vec<&str> = text.split(' ').collect();
        let [inside, outside, count] = words[..] else { return Err(bad()) };
        let number = |word: &str| word.parse::<u32>().map_err(|_| bad());
        let outside = if outside == OWN { None } else { Some(number(outside)?) };
        Ok(Self { inside: number(inside)?, outside, count: number(count)? })
    }
}

impl From<Line> for String {
    fn from(line: Line) -> Self {
        line.to_string()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outside {
            Some(outside) => write!(f, "{} {outside} {}", self.inside, self.count),
            None => write!(f, "{} {OWN} {}", self.inside, self.count),
        }
    }
}

fn words(map: &[Line]) -> String {
    map.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The map as the kernel wants it.
fn text(map: &[Line], own: u32) -> String {
    map.iter().map(|it| format!("{} {} {}\n", it.inside, it.outside.unwrap_or(own), it.count)).collect()
}

/// The line that writes a map in one write(2), as the kernel demands.
fn shell_write(map: &[Line], file: &str) -> String {
    let lines: Vec<String> = map.iter().map(|line| line.to_string().replace(OWN, OWN_IN_SHELL)).collect();
    match &lines[..] {
        [line] => format!("echo \"{line}\" > /proc/self/{file}"),
        lines => format!("printf '%s\\n' \"{}\" > /proc/self/{file}", lines.join("\" \"")),
    }
}

fn misused_map(field: &'static str, map: &[Line]) -> Vec<Misuse> {
    if map.is_empty() || map.len() > MAX_LINES {
        let what = format!("an id map has 1 to {MAX_LINES} lines");
        return vec![Misuse::new(field, what, "write them: `[\"0 own 1\"]`")];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::{Line, OWN, shell_write, text};

    fn line(text: &str) -> Line {
        Line::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn own_is_the_id_from_before() {
        let map = [line("0 own 1"), line("1 10000 1000")];
        assert_eq!(text(&map, 1000), "0 1000 1\n1 10000 1000\n");
        assert_eq!(shell_write(&map[..1], "uid_map"), "echo \"0 $me 1\" > /proc/self/uid_map");
        let two = "printf '%s\\n' \"0 $me 1\" \"1 10000 1000\" > /proc/self/gid_map";
        assert_eq!(shell_write(&map, "gid_map"), two);
    }

    #[test]
    fn only_three_numbers_are_a_line() {
        for text in ["", "0", "0 0", "0  0 1", "own 0 1", "0 0 own", "0 -1 1", "0 0 1 1", "0 4294967296 1", "a b c"] {
            assert!(Line::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn lines_round_trip(inside: u32, outside: Option<u32>, count: u32) {
            let outside = outside.map_or(OWN.to_owned(), |it| it.to_string());
            let text = format!("{inside} {outside} {count}");
            prop_assert_eq!(line(&text).to_string(), text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = Line::try_from(text);
        }
    }
}

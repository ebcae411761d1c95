//! What checks and values look at: an observation, and who is who in it.

use crate::kernel::namespace::Namespace;
use crate::probe::{Names, Observation, Process, Reading};
use crate::runtime::action::HOST;

/// A value, or in words why there is none.
pub(in crate::lesson) type Seen<T> = Result<T, String>;

/// An observation, and who is who in it.
pub(in crate::lesson) struct View<'a> {
    pub observation: &'a Observation,
    pub names: &'a Names,
}

impl<'a> View<'a> {
    /// The living process that a word stands for.
    pub fn living(&self, word: &str) -> Seen<&'a Process> {
        let pid = match word {
            HOST => Some(self.names.host).filter(|pid| *pid != 0),
            _ => self.names.boxes.get(word).copied(),
        };
        let pid = pid.ok_or_else(|| format!("there is no {word}"))?;
        match self.observation.process(pid) {
            Some(process) if lives(process) => Ok(process),
            Some(_) => Err(format!("{word}, pid {pid}, has ended; its parent has not asked how yet (a zombie)")),
            None => Err(format!("{word}, pid {pid}, is not in /proc any more")),
        }
    }

    /// The inode behind a namespace link of the process that a word stands for. Where none does, a network namespace may: by hand
    /// `ip netns add` makes one that has a name and no process (ip-netns(8)).
    pub fn namespace(&self, word: &str, kind: Namespace) -> Seen<u64> {
        let named = || self.observation.pins.iter().rfind(|pin| pin.is_net_of_name(word)).map(|pin| pin.inode);
        if let (Namespace::Net, false, Some(inode)) =
            (kind, word == HOST || self.names.boxes.contains_key(word), named())
        {
            return Ok(inode);
        }
        let process = self.living(word)?;
        inode(process, kind).map_err(|why| format!("{kind} of {word}: {why}"))
    }
}

/// Whether a process lives: a zombie does not.
pub(in crate::lesson) fn lives(process: &Process) -> bool {
    !matches!(process.state, 'Z' | 'X')
}

/// The inode behind a namespace link.
pub(in crate::lesson) fn inode(process: &Process, kind: Namespace) -> Seen<u64> {
    value(process.namespaces.0.get(&kind)).copied()
}

/// What a reader gave, or in words why it gave nothing.
pub(in crate::lesson) fn value<T>(reading: Option<&Reading<T>>) -> Seen<&T> {
    match reading {
        Some(Reading::Value(value)) => Ok(value),
        Some(missing) => Err(missing.text(|_| String::new())),
        None => Err("it was not read".to_owned()),
    }
}

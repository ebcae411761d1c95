//! Observations as rows: what is shown, explained and compared.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Names, Observation, Process};
use crate::kernel::namespace::Namespace;

/// A state panel. A step's `watch` chooses among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Panel {
    /// The process tree.
    Processes,
    /// Process × namespace.
    Namespaces,
    /// Host name of each UTS namespace.
    Hostname,
    /// Root and working directories.
    Root,
    /// mountinfo of each mount namespace.
    Mounts,
    /// User and group ids, capabilities, id maps.
    Credentials,
    /// Clocks and offsets of each time namespace.
    Clocks,
    /// System V objects, message queues and limits of each IPC namespace.
    Ipc,
    /// The groups of each process, and the groups below the lab host's own.
    Cgroups,
    /// Links, addresses and routes of each network namespace.
    Network,
    /// The layers of overlays, and which of them has what.
    Overlay,
    /// What images are made of.
    Image,
    /// Requests of HTTP and their answers.
    Exchanges,
    /// What is in the layers of images.
    Layers,
}

impl Panel {
    /// All panels, in the order of the tabs.
    pub const ALL: [Self; 14] = [
        Self::Processes,
        Self::Namespaces,
        Self::Hostname,
        Self::Root,
        Self::Mounts,
        Self::Overlay,
        Self::Image,
        Self::Layers,
        Self::Ipc,
        Self::Network,
        Self::Credentials,
        Self::Cgroups,
        Self::Clocks,
        Self::Exchanges,
    ];
}

impl fmt::Display for Panel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Processes => "processes",
            Self::Namespaces => "namespaces",
            Self::Hostname => "hostname",
            Self::Root => "root",
            Self::Mounts => "mounts",
            Self::Credentials => "credentials",
            Self::Clocks => "clocks",
            Self::Ipc => "ipc",
            Self::Cgroups => "cgroups",
            Self::Network => "network",
            Self::Overlay => "overlay",
            Self::Image => "image",
            Self::Exchanges => "exchanges",
            Self::Layers => "layers",
        })
    }
}

/// One value with its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The panel it belongs to.
    pub panel: Panel,
    /// What is described: `box (pid 12)`, `host (pid 1)`, `pid 14 bash`, `mnt:[4026532201]`.
    pub subject: String,
    /// Which property of it: `uts`, `NSpid`, `/proc`.
    pub key: String,
    /// The value, or why there is none.
    pub value: String,
    /// The file or message that it was read from.
    pub source: String,
    /// The command that prints it inside the lab.
    pub command: String,
    /// What it means, in a sentence.
    pub meaning: String,
    /// Whether it comes and goes by itself, as packets pass and time goes by: no change of it is anybody's deed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passing: bool,
}

impl Row {
    /// What makes two rows of two observations the same thing.
    pub fn identity(&self) -> (Panel, &str, &str) {
        (self.panel, &self.subject, &self.key)
    }
}

/// All rows of an observation, panel by panel, each in the order of pids. No two have the same identity.
///
/// A process is called by the word that lessons have for it and its pid, `box (pid 12)`, or else by pid and program. What
/// changes all the time without meaning anything (running or sleeping, clocks) is not in the values.
pub fn rows(observation: &Observation, names: &Names) -> Vec<Row> {
    let mut sheet = Sheet { observation, names, rows: Vec::new() };
    super::processes::rows(&mut sheet);
    super::namespaces::rows(&mut sheet);
    super::hostname::rows(&mut sheet);
    super::root::rows(&mut sheet);
    super::mounts::rows(&mut sheet);
    super::overlay::rows(&mut sheet);
    super::image::rows(&mut sheet);
    super::layers::rows(&mut sheet);
    super::credentials::rows(&mut sheet);
    super::clocks::rows(&mut sheet);
    super::ipc::rows(&mut sheet);
    super::cgroups::rows(&mut sheet);
    super::network::rows(&mut sheet);
    super::exchange::rows(&mut sheet);
    sheet.rows
}

/// Rows in the making.
pub(super) struct Sheet<'a> {
    /// What they tell of.
    pub observation: &'a Observation,
    /// The words for pids.
    pub names: &'a Names,
    rows: Vec<Row>,
}

/// Rows of one panel about one process.
pub(super) struct About<'s, 'a> {
    sheet: &'s mut Sheet<'a>,
    panel: Panel,
    subject: String,
}

impl<'a> Sheet<'a> {
    /// Begins rows about a process.
    pub fn about<'s>(&'s mut self, panel: Panel, process: &Process) -> About<'s, 'a> {
        let subject = printable(self.subject(process));
        About { sheet: self, panel, subject }
    }

    /// How a process is called: `box (pid 12)`, or by pid and program.
    pub fn subject(&self, process: &Process) -> String {
        match self.names.of(process.pid) {
            Some(word) => format!("{word} (pid {})", process.pid),
            None => format!("pid {} {}", process.pid, process.comm),
        }
    }

    /// Begins rows about something that is no process.
    pub fn about_thing<'s>(&'s mut self, panel: Panel, subject: String) -> About<'s, 'a> {
        About { sheet: self, panel, subject: printable(subject) }
    }

    /// Who looks at each of these namespaces: all processes with a word of their own, and one where a namespace has none.
    pub fn viewers<'k>(&self, kind: Namespace, inodes: impl Iterator<Item = &'k u64>) -> Vec<(u64, &'a Process)> {
        let mut viewers = Vec::new();
        for inode in inodes {
            let before = viewers.len();
            let members = self.observation.members(kind, *inode);
            viewers.extend(members.filter(|it| self.names.of(it.pid).is_some()).map(|it| (*inode, it)));
            if viewers.len() == before {
                viewers.extend(self.member(kind, *inode).map(|it| (*inode, it)));
            }
        }
        viewers.sort_by_key(|(_, process)| process.pid);
        viewers
    }

    /// The process whose name stands for a namespace: the host, a box, the shell, what the learner made, or any.
    pub fn member(&self, kind: Namespace, inode: u64) -> Option<&'a Process> {
        let named = |pid: i32| self.observation.members(kind, inode).find(|it| it.pid == pid);
        let names = self.names;
        std::iter::once(names.host)
            .chain(names.boxes.values().copied())
            .chain(names.shell)
            .chain(names.subject)
            .find_map(named)
            .or_else(|| self.observation.representative(kind, inode))
    }
}

impl About<'_, '_> {
    /// Adds a row. Characters that would confuse a terminal are escaped in every field.
    pub fn row(&mut self, key: &str, value: String, source: String, command: String, meaning: impl Into<String>) {
        self.sheet.rows.push(Row {
            panel: self.panel,
            subject: self.subject.clone(),
            key: printable(key.to_owned()),
            value: printable(value),
            source: printable(source),
            command: printable(command),
            meaning: printable(meaning.into()),
            passing: false,
        });
    }

    /// Adds a row of what comes and goes by itself.
    pub fn passing(&mut self, key: &str, value: String, source: String, command: String, meaning: &str) {
        self.row(key, value, source, command, meaning);
        self.sheet.rows.last_mut().into_iter().for_each(|row| row.passing = true);
    }
}

/// Pids in one line.
pub(super) fn pids(pids: &[i32]) -> String {
    if pids.is_empty() {
        return "none".to_owned();
    }
    pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it: plain, or in quotes where that is needed (sh(1)).
pub(super) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The text with characters escaped that act on a terminal: control characters, and those that turn the direction of
/// writing. Names of processes and mounts may hold any byte.
fn printable(text: String) -> String {
    let acts = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.chars().any(acts) {
        return text;
    }
    text.chars().flat_map(|c| if acts(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests;

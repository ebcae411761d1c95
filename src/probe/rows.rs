//! Observations as rows: what is shown, explained and compared.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Names, Observation};

/// A state panel. A step's `watch` chooses among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Panel {
    /// The process tree.
    Processes,
    /// Process × namespace.
    Namespaces,
    /// Host name of each UTS namespace.
    Hostname,
    /// mountinfo of each mount namespace.
    Mounts,
    /// User and group ids, capabilities, id maps.
    Credentials,
}

impl Panel {
    /// All panels, in the order of the tabs.
    pub const ALL: [Self; 5] = [Self::Processes, Self::Namespaces, Self::Hostname, Self::Mounts, Self::Credentials];
}

impl fmt::Display for Panel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Processes => "processes",
            Self::Namespaces => "namespaces",
            Self::Hostname => "hostname",
            Self::Mounts => "mounts",
            Self::Credentials => "credentials",
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
}

impl Row {
    /// What makes two rows of two observations the same thing.
    pub fn identity(&self) -> (Panel, &str, &str) {
        (self.panel, &self.subject, &self.key)
    }
}

/// All rows of an observation, panel by panel.
pub fn rows(observation: &Observation, names: &Names) -> Vec<Row> {
    let _ = (observation, names);
    Vec::new()
}

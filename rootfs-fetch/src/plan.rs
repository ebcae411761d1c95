//! A plan: all that a rootfs will hold, as plain data. Whoever has it needs neither to look at the machine nor to follow
//! a link to make the rootfs.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a rootfs will hold, in the order in which it can be made.
///
/// What holds of every plan: each path is absolute, counts from the rootfs, and has neither `.` nor `..`; the directory that
/// an entry is in comes before it, and is a directory and no link; no path occurs twice; the text of each link is relative
/// and leads to no place outside of the rootfs, from wherever it is looked at. So a plan is performed by one call or two for
/// each entry, beneath any empty directory, without following a link.
///
/// A path that is not UTF-8 can be planned and made; serialising it is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What the rootfs is made of.
    pub source: Source,
    /// What it will hold.
    pub entries: Vec<Entry>,
    /// Its programs, as paths within it: those that were asked for.
    pub programs: Vec<PathBuf>,
    /// Its loaders and libraries, as paths within it, without links.
    pub libraries: Vec<PathBuf>,
    /// Programs that it should have and has not.
    pub missing: Vec<Missing>,
    /// Files that would have been preferred, and why they were passed over.
    pub notes: Vec<String>,
}

/// One thing in a rootfs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where, as an absolute path within the rootfs.
    pub path: PathBuf,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What is at a path of a rootfs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A directory.
    Directory {
        /// Its permission bits.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Its text, relative.
        to: PathBuf,
    },
    /// A copy of a file of the machine.
    Copy {
        /// The file, as a path of the machine without links. In a chroot lesson that is the file to `cp`.
        from: PathBuf,
        /// The copy's permission bits, without setuid, setgid and sticky.
        mode: u32,
        /// How long the file was when it was looked at.
        bytes: u64,
    },
    /// A file with this text.
    Text {
        /// What is in it.
        text: String,
        /// Its permission bits.
        mode: u32,
    },
}

/// What a rootfs is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// One static busybox, with a link for each applet.
    Busybox {
        /// The file on the machine.
        path: PathBuf,
        /// Where the names of the links come from.
        applets: Applets,
    },
    /// The machine's programs, with loader and libraries.
    Programs,
}

/// How the names of the applets were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Applets {
    /// By `busybox --list`: the file belongs to root and nobody else can write to it.
    Listed,
    /// Common names that occur in the file, which was not run.
    Common,
}

/// A program that a rootfs has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Missing {
    /// Its name.
    pub program: String,
    /// Why it is not there.
    pub why: String,
    /// What can not be done without it.
    pub lost: String,
}

/// How much of what a program needs comes along with it. Each has all that the one before has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// The program's file alone. Unless it is static, execve(2) of it fails with ENOENT: its loader is not there.
    Program,
    /// And its loader (PT_INTERP), or for a script the program that runs it. The loader starts, and says which library it
    /// can not find.
    Loader,
    /// And all libraries: it runs.
    #[default]
    Libraries,
}

impl Plan {
    /// What this plan has and `earlier` has not: what is left to do where `earlier` was performed already.
    #[must_use]
    pub fn beyond(mut self, earlier: &Self) -> Self {
        let done: HashSet<&Path> = earlier.entries.iter().map(|entry| entry.path.as_path()).collect();
        self.entries.retain(|entry| !done.contains(entry.path.as_path()));
        self
    }

    /// The sum of the lengths of its files.
    pub fn bytes(&self) -> u64 {
        let length = |entry: &Entry| match &entry.what {
            What::Copy { bytes, .. } => *bytes,
            What::Text { text, .. } => text.len() as u64,
            What::Directory { .. } | What::Link { .. } => 0,
        };
        self.entries.iter().map(length).fold(0, u64::saturating_add)
    }
}

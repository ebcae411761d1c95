//! Everything that can go wrong, with the operation and the path.
//!
//! Paths and names are printed quoted and escaped: some of them come out of files that nobody has vouched for.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The longest text of somebody else that is passed on, in characters.
pub(crate) const MAX_SAID: usize = 400;

/// Why something could not be done. Where it was the making of a root file system, nothing of that is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error("can not {operation} {path:?}: {source}")]
    Io {
        /// What was being done, as a verb.
        operation: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file is not the ELF file that it should be.
    #[error("{path:?} is not a usable ELF file: {fault}")]
    Elf {
        /// The file, as a path of the machine.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: Fault,
    },
    /// A program that was asked for, or that no root file system can do without, is not on the machine.
    #[error("no program {name:?} on this machine (looked in {looked})")]
    NoProgram {
        /// Its name, or its path.
        name: OsString,
        /// The directories that were searched.
        looked: String,
    },
    /// The loader that a program or script names is not on the machine.
    #[error("{path:?} is to be started by {interpreter:?}, which is not on this machine")]
    NoInterpreter {
        /// The program or script.
        path: PathBuf,
        /// PT_INTERP, or what follows `#!`.
        interpreter: PathBuf,
    },
    /// A library is not where the loader would look for it.
    #[error("{needed_by:?} needs the library {name:?}, which is in none of the loader's directories")]
    NoLibrary {
        /// DT_NEEDED.
        name: OsString,
        /// The file whose DT_NEEDED it is.
        needed_by: PathBuf,
    },
    /// A file of the machine can not be used as it is.
    #[error("{path:?} can not be used: {why}")]
    Unusable {
        /// The file, as a path of the machine.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The directory that was given is not one in which a root file system may be made.
    #[error("no root file system can be made in {path:?}: {why}")]
    Target {
        /// The directory.
        path: PathBuf,
        /// Why not, and what would do.
        why: String,
    },
    /// The cache can not be used.
    #[error("the cache {path:?} can not be used: {why}")]
    Cache {
        /// Its directory.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

/// What is wrong with an ELF file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Not ELF at all.
    #[error("it does not begin with the four bytes 7f 45 4c 46")]
    Magic,
    /// An offset or a length points outside the file, or the file was cut off.
    #[error("{what} reaches beyond the end of the file")]
    Outside {
        /// The part of the file.
        what: &'static str,
    },
    /// A value that elf(5) does not give a meaning here.
    #[error("{what} has the value {found}, which has no meaning there")]
    Unknown {
        /// The field, as elf(5) names it.
        what: &'static str,
        /// Its value.
        found: u64,
    },
    /// More than is reasonable.
    #[error("{what} is {found}; no more than {limit} is taken")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// How much the file says.
        found: u64,
        /// How much is taken.
        limit: u64,
    },
    /// A string has no end.
    #[error("{what} does not end with a zero byte")]
    Endless {
        /// The string's field.
        what: &'static str,
    },
    /// A string that must name something is empty.
    #[error("{what} is empty")]
    Empty {
        /// The string's field.
        what: &'static str,
    },
    /// The file can not be read.
    #[error("it can not be read: {0}")]
    Io(#[from] io::Error),
}

impl Error {
    pub(crate) fn unusable(path: impl Into<PathBuf>, why: impl Into<String>) -> Self {
        Self::Unusable { path: path.into(), why: why.into() }
    }

    pub(crate) fn target(path: impl Into<PathBuf>, why: impl Into<String>) -> Self {
        Self::Target { path: path.into(), why: why.into() }
    }
}

/// Adds operation and path to what the kernel answered.
pub(crate) trait During<T> {
    fn during(self, operation: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, operation: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { operation, path: path.to_owned(), source })
    }
}

/// The beginning of a foreign text, with whatever could move a cursor escaped.
pub(crate) fn quoted(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    let begin: String = text.chars().take(MAX_SAID).flat_map(escaped).collect();
    if text.chars().nth(MAX_SAID).is_some() { format!("{begin}…") } else { begin }
}

fn escaped(char: char) -> impl Iterator<Item = char> {
    let harmless = char == ' ' || (!char.is_control() && !char.is_whitespace());
    let escape = (!harmless).then(|| char.escape_default());
    let same = harmless.then_some(char);
    escape.into_iter().flatten().chain(same)
}

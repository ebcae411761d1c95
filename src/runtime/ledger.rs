//! The ledger: an append-only record of what outlives a process of hardway, written before it is made.
//!
//! Each session has a directory with one file, one entry a line. The keeper holds a lock on it while it lives, so a ledger
//! that can be locked belongs to a session that has died, and whoever finds it reverts it: newest entry first, by identity,
//! never by name.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::explain::Explanation;
use crate::kernel::host::effective_uid;
use crate::kernel::identity::ProcessIdentity;
use crate::kernel::sys::{self, Signal};

/// One line of a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A lab host is about to be started.
    Intent,
    /// A lab host was started: its init. With it everything in its namespaces ends.
    Lab(ProcessIdentity),
}

/// What reverting an entry came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reverted {
    /// What it was, for people.
    pub what: String,
    /// Whether it is gone now.
    pub gone: bool,
}

/// The ledger of a session that lives.
#[derive(Debug)]
pub struct Ledger {
    directory: PathBuf,
    file: File,
}

const FILE: &str = "ledger";

impl Ledger {
    /// Begins a ledger in a directory of its own below `base`.
    ///
    /// # Errors
    /// Where it can not be written: a full disk, a directory that is not ours.
    pub fn begin(base: &Path) -> Result<Self, Explanation> {
        let trouble = |deed: &str, path: &Path, error: &io::Error| {
            Explanation::new(
                "hardway could not write down what it is about to do",
                format!("{deed} {}: {error}", path.display()),
                "make room there, or set XDG_RUNTIME_DIR to a directory of your own",
            )
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(base)
            .map_err(|error| trouble("make", base, &error))?;
        let own = effective_uid();
        let owner = fs::symlink_metadata(base).map_err(|error| trouble("look at", base, &error))?;
        if owner.uid() != own || !owner.is_dir() {
            let error = io::Error::new(io::ErrorKind::PermissionDenied, format!("it belongs to user {}", owner.uid()));
            return Err(trouble("use", base, &error));
        }
        let directory = base.join(format!("session-{}", std::process::id()));
        // Left by a session that died under this pid, and already reverted at start: only an empty one can be in the way.
        let _ = fs::remove_dir(&directory);
        fs::DirBuilder::new().mode(0o700).create(&directory).map_err(|error| trouble("make", &directory, &error))?;
        let path = directory.join(FILE);
        let file = File::options()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| trouble("make", &path, &error))?;
        file.lock().map_err(|error| trouble("lock", &path, &error))?;
        Ok(Self { directory, file })
    }

    /// Adds an entry. When this returns, a SIGKILL does not lose it.
    ///
    /// # Errors
    /// Where it can not be written; what it announces must then not be done.
    pub fn write(&mut self, entry: &Entry) -> Result<(), Explanation> {
        let mut line = serde_json::to_string(entry).unwrap_or_default();
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(|error| {
            Explanation::new(
                "hardway could not write down what it is about to do, so it did not do it",
                format!("write {}: {error}", self.directory.join(FILE).display()),
                "make room there, or set XDG_RUNTIME_DIR to another directory",
            )
        })
    }

    /// Ends the session: reverts every entry and takes the ledger away.
    pub fn end(self) -> Vec<Reverted> {
        revert(&self.directory)
    }
}

/// Ledgers below `base` whose sessions have died.
pub fn dead(base: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(base) else { return Vec::new() };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|directory| match File::open(directory.join(FILE)) {
            // Locked by nobody: whoever wrote it is gone.
            Ok(file) => match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
            },
            // Died between making the directory and the file.
            Err(error) => error.kind() == io::ErrorKind::NotFound && directory.is_dir(),
        })
        .collect()
}

/// What a ledger says, oldest first. A line cut short by a crash is left out: what it announced was not done.
pub fn entries(directory: &Path) -> Vec<Entry> {
    let text = fs::read_to_string(directory.join(FILE)).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Takes back what a ledger says, newest first, past failures; then, if all is gone, the ledger itself.
pub fn revert(directory: &Path) -> Vec<Reverted> {
    let reverted: Vec<Reverted> = entries(directory)
        .iter()
        .rev()
        .filter_map(|entry| match entry {
            Entry::Intent => None,
            Entry::Lab(identity) => {
                let pidfd = identity.open()?;
                let _ = sys::pidfd_kill(&pidfd, Signal::SIGKILL);
                let gone = sys::wait_for_end(&pidfd, Duration::from_secs(5));
                Some(Reverted { what: format!("the lab host whose init is process {}", identity.pid), gone })
            }
        })
        .collect();
    if reverted.iter().all(|one| one.gone) {
        let _ = fs::remove_file(directory.join(FILE));
        let _ = fs::remove_dir(directory);
    }
    reverted
}

/// Where ledgers are kept: a directory that does not outlive the boot.
pub fn base() -> PathBuf {
    let uid = effective_uid();
    if uid == 0 {
        return PathBuf::from("/run/hardway");
    }
    if let Some(dir) = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir()) {
        return dir.join("hardway");
    }
    PathBuf::from(format!("/tmp/hardway-{uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child() -> std::process::Child {
        std::process::Command::new("sleep").arg("60").spawn().expect("sleep runs")
    }

    #[test]
    fn a_ledger_is_dead_only_when_nobody_holds_it() {
        let base = tempfile::tempdir().expect("a directory");
        let ledger = Ledger::begin(base.path()).expect("begun");
        assert!(dead(base.path()).is_empty());
        drop(ledger);
        let found = dead(base.path());
        assert_eq!(found.len(), 1);
        revert(&found[0]);
        assert!(fs::read_dir(base.path()).expect("still there").next().is_none());
    }

    #[test]
    fn reverting_ends_the_process_it_names_and_no_other_of_that_pid() {
        let base = tempfile::tempdir().expect("a directory");
        let mut ledger = Ledger::begin(base.path()).expect("begun");
        let mut right = child();
        let mut spared = child();
        let identity = |child: &std::process::Child| {
            ProcessIdentity::of(i32::try_from(child.id()).expect("a pid")).expect("it lives")
        };
        ledger.write(&Entry::Intent).expect("written");
        ledger.write(&Entry::Lab(identity(&right))).expect("written");
        let another = ProcessIdentity { start_time: 1, ..identity(&spared) };
        ledger.write(&Entry::Lab(another)).expect("written");
        let reverted = ledger.end();
        assert_eq!(reverted.len(), 1);
        assert!(reverted[0].gone);
        assert!(!right.wait().expect("waited").success());
        assert!(spared.try_wait().expect("asked").is_none());
        spared.kill().expect("killed");
        spared.wait().expect("waited");
    }

    #[test]
    fn a_torn_line_is_left_out() {
        let base = tempfile::tempdir().expect("a directory");
        let mut ledger = Ledger::begin(base.path()).expect("begun");
        ledger.write(&Entry::Intent).expect("written");
        ledger.file.write_all(b"{\"lab\":{\"pid\":1,").expect("written");
        assert_eq!(entries(&ledger.directory), [Entry::Intent]);
    }
}

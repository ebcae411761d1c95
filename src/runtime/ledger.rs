//! The ledger: an append-only record of what outlives a process of hardway, written before it is made.
//!
//! Each session has a file of its own, one entry a line. The keeper holds a lock on it while it lives, so a ledger
//! that can be locked belongs to a session that has died, and whoever finds it reverts it: newest entry first, by identity,
//! never by name.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::explain::Explanation;
use crate::kernel::cgroup;
use crate::kernel::delegation;
use crate::kernel::hierarchy::{self, Private};
use crate::kernel::host::effective_uid;
use crate::kernel::identity::ProcessIdentity;
use crate::kernel::sys::{self, Signal};

use super::lasting::Noted;

/// One line of a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A lab host is about to be started.
    Intent,
    /// A cgroup is about to be made, for lab hosts. Its name holds the keeper's pid and start time, and so is nobody else's.
    Cgroup(PathBuf),
    /// A cgroup of that name is about to be made in a hierarchy that is mounted nowhere.
    Private {
        /// The controller of version 1 by which the hierarchy is found again.
        controller: String,
        /// The group.
        group: String,
    },
    /// hardway is about to move to this leaf of the cgroup that it runs in, and to hand that group's controllers down. Nothing in
    /// it is ended: what is there goes back to where it came from.
    Leaf(PathBuf),
    /// A directory is about to be made, for a mount point. It is taken away only while it is empty.
    Directory(PathBuf),
    /// Something is about to be made in the machine's network, which is the lab host's.
    Network(Noted),
    /// All that was announced so far of the machine's network has been taken away: what is there under these names is somebody else's.
    NetworkIsClear,
    /// A lab host was started: its init. With it everything in its namespaces ends.
    Lab(ProcessIdentity),
    /// Something that another version of hardway wrote. It is left alone, and its ledger with it.
    #[serde(skip)]
    Foreign(String),
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
    path: PathBuf,
    file: File,
}

/// What the names of ledgers begin with; the pid of the keeper follows.
const PREFIX: &str = "session-";

impl Ledger {
    /// Begins a ledger below `base`.
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
        let path = own_path(base);
        // Twice: a session that ends just now may take the empty base away.
        let file = make_locked(base, &path).or_else(|_| make_locked(base, &path));
        Ok(Self { file: file.map_err(|error| trouble("make", &path, &error))?, path })
    }

    /// Takes a ledger over from the process that this one was forked from. The lock belongs to both, until that one lets go of it.
    pub fn take_over(mut self) -> Self {
        let path = own_path(self.path.parent().unwrap_or(Path::new("/")));
        if fs::rename(&self.path, &path).is_ok() {
            self.path = path;
        }
        self
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
                format!("write {}: {error}", self.path.display()),
                "make room there, or set XDG_RUNTIME_DIR to another directory",
            )
        })
    }

    /// Ends the session: reverts every entry and takes the ledger away.
    pub fn end(self) -> Vec<Reverted> {
        revert(&self.path)
    }
}

/// Where this process has its ledger.
fn own_path(base: &Path) -> PathBuf {
    base.join(format!("{PREFIX}{}", std::process::id()))
}

/// Makes a ledger that is locked from the moment on at which others can find it, in a base that is this user's own.
fn make_locked(base: &Path, path: &Path) -> io::Result<File> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(base)?;
    let owner = fs::symlink_metadata(base)?;
    if owner.uid() != effective_uid() || !owner.is_dir() {
        let whose = format!("{} belongs to user {}", base.display(), owner.uid());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, whose));
    }
    let unfinished = base.join(format!("new-{}", std::process::id()));
    let _ = fs::remove_file(&unfinished);
    let file = File::options().append(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.lock()?;
    fs::rename(&unfinished, path)?;
    Ok(file)
}

/// Ledgers below `base` whose sessions have died.
pub fn dead(base: &Path) -> Vec<PathBuf> {
    // Locked by nobody: whoever wrote it is gone.
    all(base).filter(|path| File::open(path).is_ok_and(|file| file.try_lock().is_ok())).collect()
}

/// Ledgers below `base` whose sessions live.
pub fn living(base: &Path) -> Vec<PathBuf> {
    all(base).filter(|path| File::open(path).is_ok_and(|file| file.try_lock_shared().is_err())).collect()
}

fn all(base: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(base).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    entries.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX)))
}

/// What a ledger says, oldest first. A line cut short by a crash is left out: what it announced was not done.
pub fn entries(ledger: &Path) -> Vec<Entry> {
    let text = fs::read_to_string(ledger).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _torn)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| Entry::Foreign(line.to_owned()))).collect()
}

/// Takes back what a ledger says, newest first, past failures; then, if all is gone, the ledger itself.
pub fn revert(ledger: &Path) -> Vec<Reverted> {
    let entries = entries(ledger);
    for entry in &entries {
        if let Entry::Cgroup(directory) = entry {
            // What is frozen in version 1 can not end, and a lab host with it.
            cgroup::thaw(directory);
        }
    }
    let clear = entries.iter().rposition(|entry| *entry == Entry::NetworkIsClear).unwrap_or(0);
    let reverted: Vec<Reverted> = entries
        .iter()
        .enumerate()
        .rev()
        .filter_map(|(at, entry)| match entry {
            Entry::Intent | Entry::NetworkIsClear => None,
            Entry::Network(_) if at < clear => None,
            Entry::Cgroup(directory) => remove_cgroup(directory),
            Entry::Private { controller, group } => remove_from(controller, group),
            Entry::Leaf(leaf) => leave(leaf),
            Entry::Directory(directory) => remove_directory(directory),
            Entry::Network(noted) => noted.revert().map(|gone| Reverted { what: noted.what().to_string(), gone }),
            Entry::Foreign(line) => Some(Reverted { what: format!("unknown to this version: {line}"), gone: false }),
            Entry::Lab(identity) => {
                let pidfd = identity.open()?;
                let _ = sys::pidfd_kill(&pidfd, Signal::SIGKILL);
                let gone = sys::wait_for_end(&pidfd, Duration::from_secs(5));
                Some(Reverted { what: format!("the lab host whose init is process {}", identity.pid), gone })
            }
        })
        .collect();
    if reverted.iter().all(|one| one.gone) {
        let _ = fs::remove_file(ledger);
        // The directory of all sessions goes with the last one: rmdir refuses while there is another.
        let _ = ledger.parent().map(fs::remove_dir);
    }
    reverted
}

/// Takes the cgroup of a session away, with all that lessons made below it; its last processes may take a moment to leave it.
pub fn remove_cgroup(directory: &Path) -> Option<Reverted> {
    if !directory.exists() {
        return None;
    }
    let gone = wait_until(|| {
        cgroup::kill(directory);
        cgroup::remove(directory).is_ok()
    });
    Some(Reverted { what: format!("the cgroup {}", directory.display()), gone })
}

/// Takes the cgroup of a session away from a hierarchy that is mounted nowhere, and lets go of that.
pub fn remove_private(hierarchy: Private, group: &str) -> Option<Reverted> {
    let what = format!("the cgroup {group} of {}", hierarchy.controller);
    let reverted = remove_cgroup(&hierarchy.group(group));
    let controller = hierarchy.controller.clone();
    if !hierarchy.leave() {
        return Some(Reverted { what: format!("the hierarchy of {controller}"), gone: false });
    }
    reverted.map(|one| Reverted { what, ..one })
}

/// The same for one that is to be found first. Where there is no such hierarchy, or one with other controllers, the group is gone.
fn remove_from(controller: &str, group: &str) -> Option<Reverted> {
    let is_there = hierarchy::known().iter().any(|one| one.name == controller && one.hierarchy != 0);
    match is_there.then(|| Private::open(controller))? {
        Ok(hierarchy) => remove_private(hierarchy, group),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => None,
        Err(_) => Some(Reverted { what: format!("the cgroup {group} of {controller}"), gone: false }),
    }
}

/// Takes back that a cgroup was divided.
fn leave(leaf: &Path) -> Option<Reverted> {
    if !leaf.exists() {
        return None;
    }
    let gone = wait_until(|| delegation::rejoin(leaf).is_ok());
    Some(Reverted { what: format!("the cgroup {}", leaf.display()), gone })
}

/// Takes an empty directory away.
fn remove_directory(directory: &Path) -> Option<Reverted> {
    if !directory.exists() {
        return None;
    }
    let gone = wait_until(|| fs::remove_dir(directory).is_ok());
    Some(Reverted { what: format!("the directory {}", directory.display()), gone })
}

/// Tries until it is done, for at most two seconds; whether it was.
pub fn wait_until(mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        if done() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
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
    use crate::runtime::lasting::Lasting;

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
        assert!(!base.path().exists(), "an empty base goes with its last session");
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
    fn what_another_version_wrote_keeps_its_ledger() {
        let base = tempfile::tempdir().expect("a directory");
        let mut ledger = Ledger::begin(base.path()).expect("begun");
        ledger.file.write_all(b"{\"firewall\":7}\n").expect("written");
        let path = ledger.path.clone();
        assert!(ledger.end().iter().all(|one| !one.gone));
        assert!(path.exists());
    }

    /// Any file will do for a setting.
    #[test]
    fn what_was_taken_back_already_is_not_taken_back_again() {
        let base = tempfile::tempdir().expect("a directory");
        let setting = base.path().join("setting");
        let lasting = Lasting::Setting(setting.display().to_string());
        for (clear, left) in [(false, "before"), (true, "somebody else's")] {
            fs::write(&setting, "before").expect("written");
            let ledgers = base.path().join("ledgers");
            let mut ledger = Ledger::begin(&ledgers).expect("begun");
            ledger.write(&Entry::Network(lasting.note().expect("noted"))).expect("written");
            if clear {
                ledger.write(&Entry::NetworkIsClear).expect("written");
            }
            fs::write(&setting, "somebody else's").expect("written");
            assert_eq!(ledger.end().len(), usize::from(!clear));
            assert_eq!(fs::read_to_string(&setting).expect("read"), left);
        }
    }

    #[test]
    fn a_torn_line_is_left_out() {
        let base = tempfile::tempdir().expect("a directory");
        let mut ledger = Ledger::begin(base.path()).expect("begun");
        ledger.write(&Entry::Intent).expect("written");
        ledger.file.write_all(b"{\"lab\":{\"pid\":1,").expect("written");
        assert_eq!(entries(&ledger.path), [Entry::Intent]);
    }
}

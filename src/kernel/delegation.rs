//! Delegation of cgroups of version 2: whether a group is this process's to divide among groups below it, and doing so.
//!
//! A group that hands controllers down may have no processes of its own (cgroups(7), "no internal processes"), so whoever is in
//! it moves to a leaf below first, and back when it is over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::cgroup::{self, Version, controllers, handed_down};
use super::storage::has_attribute;

/// This process's group of version 2; none where it can not be seen.
pub fn own_group() -> Option<PathBuf> {
    cgroup::hierarchies().into_iter().find(|one| one.version == Version::V2).map(|one| one.own)
}

/// Whether the groups below one have all of its controllers already, and this process may make such groups.
pub fn is_divided(group: &Path) -> bool {
    let there = controllers(group);
    let given = handed_down(group);
    cgroup::may_make(group) && !there.is_empty() && there.iter().all(|name| given.contains(name))
}

/// Whether a group is this process's own, to be divided: it may be written, nobody else is in it, and no service manager
/// has plans of its own for it.
pub fn is_ours(group: &Path) -> bool {
    let alone = || fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|text| is_only(&text, std::process::id()));
    cgroup::may_make(group) && !controllers(group).is_empty() && alone() && (!systemd_runs() || is_delegated(group))
}

/// Whether systemd has left a group to who is in it. It says so by an attribute (systemd.resource-control(5), `Delegate=`);
/// where it does not, the group's parent tells: a user who may change a group and not the one above got it from somebody.
fn is_delegated(group: &Path) -> bool {
    let said = [c"user.delegate", c"trusted.delegate"].iter().any(|name| has_attribute(group, name));
    said || group.parent().is_some_and(|above| above.join("cgroup.procs").exists() && !cgroup::may_make(above))
}

/// Whether systemd is the init of this machine (sd_booted(3)), and counts processes as this one does: what it is told of a pid
/// must be about the same process.
pub fn systemd_runs() -> bool {
    let init = fs::read_to_string("/proc/1/comm").unwrap_or_default();
    Path::new("/run/systemd/system").is_dir() && init.trim() == "systemd"
}

/// Whether a list of processes has this one and no other. One that can not be seen from here is listed as 0.
fn is_only(procs: &str, pid: u32) -> bool {
    let mut lines = procs.lines();
    lines.next().is_some_and(|line| line == pid.to_string()) && lines.next().is_none()
}

/// Moves this process to a new leaf of its group, and hands all controllers of the group down.
///
/// # Errors
/// Those of mkdir(2) and of the group's files; then something of it may have been done, which [`rejoin`] takes back.
pub fn divide(group: &Path, leaf: &Path) -> io::Result<()> {
    fs::create_dir(leaf)?;
    fs::write(leaf.join("cgroup.procs"), "0")?;
    cgroup::hand_down(group)
}

/// Takes that back: the controllers, and then the leaf, whose processes go back to where they came from. A leaf that is not
/// there any more is no error.
///
/// # Errors
/// `EBUSY` while a group beside the leaf hands controllers further down.
pub fn rejoin(leaf: &Path) -> io::Result<()> {
    let Some(group) = leaf.parent().filter(|_| leaf.exists()) else { return Ok(()) };
    cgroup::take_back(group)?;
    for pid in fs::read_to_string(leaf.join("cgroup.procs"))?.lines() {
        // It may have ended meanwhile.
        let _ = fs::write(group.join("cgroup.procs"), pid);
    }
    fs::remove_dir(leaf)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_group_is_ones_own_only_without_others() {
        assert!(is_only("7\n", 7));
        for others in ["", "7\n8\n", "8\n", "0\n7\n", "7\n0\n"] {
            assert!(!is_only(others, 7), "{others:?}");
        }
    }

    /// A directory with the files of a group.
    fn group(controllers: &str, handed_down: &str, procs: &str) -> tempfile::TempDir {
        let group = tempfile::tempdir().unwrap();
        fs::write(group.path().join("cgroup.controllers"), controllers).unwrap();
        fs::write(group.path().join("cgroup.subtree_control"), handed_down).unwrap();
        fs::write(group.path().join("cgroup.procs"), procs).unwrap();
        group
    }

    #[test]
    fn a_group_is_divided_when_all_it_has_is_handed_down() {
        assert!(is_divided(group("cpu memory pids\n", "pids cpu memory\n", "").path()));
        assert!(!is_divided(group("cpu memory pids\n", "pids\n", "").path()));
        assert!(!is_divided(group("\n", "\n", "").path()), "there is nothing to hand down");
    }

    #[test]
    fn what_is_taken_back_is_where_it_was() {
        let group = group("cpu pids\n", "", "");
        let leaf = group.path().join("leaf");
        assert!(rejoin(&leaf).is_ok(), "it never was");
        divide(group.path(), &leaf).unwrap();
        assert_eq!(handed_down(group.path()), ["+cpu", "+pids"], "as the kernel would be told");
        // In the kernel's file system no files keep a directory from being removed.
        fs::write(leaf.join("cgroup.procs"), "41\n42\n").unwrap();
        assert!(rejoin(&leaf).is_err(), "a directory with files in it");
        assert_eq!(handed_down(group.path()), ["-cpu", "-pids"]);
        assert_eq!(fs::read_to_string(group.path().join("cgroup.procs")).unwrap(), "42");
    }
}

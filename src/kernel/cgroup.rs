//! Cgroups: the place where this process may make groups of its own, and making and removing them (cgroups(7)).
//!
//! A machine has the hierarchy of version 2, or several of version 1, or both side by side ("hybrid").

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::AtFlags;
use nix::unistd::{AccessFlags, faccessat};
use serde::{Deserialize, Serialize};

use super::hierarchy;

/// The version of a hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Version {
    /// One of the hierarchies of version 1, each with controllers of its own.
    V1,
    /// The unified hierarchy.
    V2,
}

/// How cgroups are mounted on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Not at all.
    None,
    /// Version 1 only.
    V1,
    /// Version 1 with controllers, and version 2 beside it.
    Hybrid,
    /// Version 2 only.
    V2,
}

impl Layout {
    /// The layout of a machine on which these versions are mounted.
    pub fn of(v1: bool, v2: bool) -> Self {
        match (v1, v2) {
            (false, false) => Self::None,
            (true, false) => Self::V1,
            (true, true) => Self::Hybrid,
            (false, true) => Self::V2,
        }
    }
}

/// A hierarchy, as mountinfo and `/proc/self/cgroup` tell of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchy {
    /// Its version.
    pub version: Version,
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Its controllers or name, as mount(8) takes them: `pids`, `cpu,cpuacct`, `name=systemd`; empty for version 2.
    pub options: String,
    /// The directory of this process's group in it.
    pub own: PathBuf,
}

impl Hierarchy {
    /// Whether it is of version 1 and has this controller.
    pub fn has(&self, controller: &str) -> bool {
        self.options.split(',').any(|name| name == controller)
    }

    /// Whether a line of a cgroup file that names these controllers is about this hierarchy: in any order.
    pub fn is_called(&self, version: Version, controllers: &str) -> bool {
        self.version == version && same_words(controllers, &self.options)
    }
}

/// The version of the hierarchy that a mount of this type shows, and what names it; none for other file systems.
pub fn called(fstype: &str, super_options: &str) -> Option<(Version, String)> {
    match fstype {
        "cgroup2" => Some((Version::V2, String::new())),
        "cgroup" => Some((Version::V1, hierarchy_options(super_options))),
        _ => None,
    }
}

/// All hierarchies in which this process's group can be seen, in the order in which they are mounted.
pub fn hierarchies() -> Vec<Hierarchy> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut found: Vec<Hierarchy> = Vec::new();
    for one in parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup")) {
        let known = found.iter().any(|other| other.is_called(one.version, &one.options));
        if !known && is_visible(&one) {
            found.push(one);
        }
    }
    found
}

/// Whether a mount is not covered by another one: mountinfo lists those as well.
fn is_visible(hierarchy: &Hierarchy) -> bool {
    let magic = match hierarchy.version {
        Version::V1 => nix::sys::statfs::CGROUP_SUPER_MAGIC,
        Version::V2 => nix::sys::statfs::CGROUP2_SUPER_MAGIC,
    };
    nix::sys::statfs::statfs(&hierarchy.mount).is_ok_and(|seen| seen.filesystem_type() == magic)
}

/// How cgroups are mounted here.
pub fn layout() -> Layout {
    let all = hierarchies();
    let has = |version: Version| all.iter().any(|one| one.version == version);
    Layout::of(has(Version::V1), has(Version::V2))
}

/// Where this process may make groups below its own: all hierarchies with controllers. First the one in which all groups are made
/// that have nothing to do with a controller: version 2 where it can be, else that of version 1 with the least that could happen
/// by being in a group. systemd's own hierarchy is left alone.
pub fn places() -> Vec<Hierarchy> {
    let rank = |one: &Hierarchy| match (one.version, one.options.as_str()) {
        (Version::V2, _) => 0,
        (Version::V1, "pids") => 1,
        (Version::V1, "freezer") => 2,
        (Version::V1, "perf_event") => 3,
        (Version::V1, _) => 4,
    };
    let is_named = |one: &Hierarchy| one.options.starts_with("name=");
    let mut all: Vec<Hierarchy> =
        hierarchies().into_iter().filter(|one| !is_named(one) && may_make(&one.own)).collect();
    all.sort_by_key(rank);
    all
}

/// The controller that does in a version what this one does in either; `/proc/cgroups` has the names of version 1.
pub fn name_in(version: Version, controller: &str) -> &str {
    match (version, controller) {
        (Version::V1, "io") => "blkio",
        (Version::V2, "blkio") => "io",
        (Version::V2, "cpuacct") => "cpu",
        _ => controller,
    }
}

/// The hierarchy among these whose groups have a controller, under either version's name for it: the one of version 1, else version
/// 2 where its groups are handed that controller.
pub fn home_of<'a>(controller: &str, places: &'a [Hierarchy]) -> Option<&'a Hierarchy> {
    places.iter().find(|one| {
        let name = name_in(one.version, controller);
        match one.version {
            Version::V1 => one.has(name),
            // Every group of version 2 has that one, where it is in no other hierarchy, and its root hands nothing down.
            Version::V2 if name == "perf_event" => {
                hierarchy::known().iter().any(|one| one.name == name && one.hierarchy == 0 && one.enabled)
            }
            Version::V2 => handed_down(&one.own).iter().any(|other| other == name),
        }
    })
}

fn words(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// The controllers that a group of version 2 has.
pub fn controllers(directory: &Path) -> Vec<String> {
    words(&directory.join("cgroup.controllers"))
}

/// The controllers that the groups below one have.
pub fn handed_down(directory: &Path) -> Vec<String> {
    words(&directory.join("cgroup.subtree_control"))
}

/// Hands all controllers that a group of version 2 has down to the groups below it.
///
/// # Errors
/// `EBUSY` while a process is in it, unless it is the root.
pub fn hand_down(directory: &Path) -> io::Result<()> {
    control(directory, '+')
}

/// Takes them back, so that processes may be in the group itself again.
///
/// # Errors
/// `EBUSY` while a group below it hands one further down.
pub fn take_back(directory: &Path) -> io::Result<()> {
    control(directory, '-')
}

fn control(directory: &Path, sign: char) -> io::Result<()> {
    let names = controllers(directory);
    let words: Vec<String> = names.iter().map(|name| format!("{sign}{name}")).collect();
    if words.is_empty() { Ok(()) } else { fs::write(directory.join("cgroup.subtree_control"), words.join(" ")) }
}

/// Why there is no such place, and the way on.
pub fn obstacle() -> (&'static str, &'static str) {
    let all = hierarchies();
    if all.is_empty() {
        return ("no cgroup file system is mounted here", "as root: mount -t cgroup2 cgroup2 /sys/fs/cgroup");
    }
    let read_only = |one: &Hierarchy| {
        let flags = nix::sys::statvfs::statvfs(&one.mount).map(|seen| seen.flags());
        flags.is_ok_and(|flags| flags.contains(nix::sys::statvfs::FsFlags::ST_RDONLY))
    };
    if all.iter().all(read_only) {
        return (
            "the cgroup file systems are mounted read-only, as engines do it in containers",
            "run hardway outside of the container, or give the container a writable cgroup",
        );
    }
    (
        "this user may make none below the group that hardway runs in",
        "with sudo it works; on a machine with systemd and cgroup v2 also once your own service manager runs: sudo loginctl enable-linger $USER",
    )
}

/// Whether this process may make a group there, and move itself from this one into it.
pub fn may_make(directory: &Path) -> bool {
    let may = |path: &Path, how| faccessat(nix::fcntl::AT_FDCWD, path, how, AtFlags::AT_EACCESS).is_ok();
    may(directory, AccessFlags::W_OK | AccessFlags::X_OK) && may(&directory.join("cgroup.procs"), AccessFlags::W_OK)
}

/// The mounts of hierarchies in the texts of mountinfo and of a cgroup file, in which this process's group is.
fn parse(mountinfo: &str, cgroup: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((mount, system)) = line.split_once(" - ") else { continue };
        let mut fields = mount.split(' ').skip(3);
        let (Some(root), Some(target)) = (fields.next(), fields.next()) else { continue };
        let mut fields = system.split(' ');
        let (fstype, super_options) = (fields.next(), fields.nth(1).unwrap_or_default());
        let Some((version, options)) = called(fstype.unwrap_or_default(), super_options) else { continue };
        let path = cgroup.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let same = match version {
                Version::V2 => number == "0" && controllers.is_empty(),
                Version::V1 => !controllers.is_empty() && same_words(controllers, &options),
            };
            same.then_some(path)
        });
        // Where only a part of the hierarchy is mounted (in a container), the path still counts from its root.
        let below = path.and_then(|path| Path::new(path).strip_prefix(root).ok());
        let Some(below) = below else { continue };
        let mount = PathBuf::from(target);
        found.push(Hierarchy { version, own: mount.join(below), mount, options });
    }
    found
}

/// What of the super block's options names the hierarchy.
fn hierarchy_options(options: &str) -> String {
    let general = ["rw", "ro", "xattr", "noprefix", "clone_children", "nsdelegate"];
    let names: Vec<&str> =
        options.split(',').filter(|one| !general.contains(one) && !one.starts_with("release_agent=")).collect();
    names.join(",")
}

/// Whether two lists have the same words, in any order.
fn same_words(one: &str, other: &str) -> bool {
    let sorted = |list: &str| {
        let mut words: Vec<String> = list.split(',').map(str::to_owned).collect();
        words.sort();
        words
    };
    sorted(one) == sorted(other)
}

/// Makes a group and opens its directory, for clone3's CLONE_INTO_CGROUP. One that exists is somebody else's.
///
/// # Errors
/// Those of mkdir(2): `EROFS` and `EACCES` inside of containers, `EEXIST`.
pub fn make(directory: &Path) -> io::Result<File> {
    fs::create_dir(directory)?;
    // In version 1 a new group of this controller has no processor and no memory node, and so can have no process (cpuset(7)).
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let parent = directory.parent().and_then(|parent| fs::read_to_string(parent.join(file)).ok());
        if let Some(all) =
            parent.filter(|_| fs::read_to_string(directory.join(file)).is_ok_and(|own| own.trim().is_empty()))
        {
            let _ = fs::write(directory.join(file), all);
        }
    }
    File::open(directory)
}

/// Takes a group away, with the groups below it. One that is not there any more is no error.
///
/// # Errors
/// `EBUSY` while a process is in one of them.
pub fn remove(directory: &Path) -> io::Result<()> {
    remove_below(directory)?;
    match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Lets frozen processes in a group and below it go on, so that they can end. In version 2 a signal that kills needs no thaw.
pub fn thaw(directory: &Path) {
    let _ = fs::write(directory.join("freezer.state"), "THAWED");
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            thaw(&entry.path());
        }
    }
}

/// Ends every process in a group and below it: at once by `cgroup.kill` where the kernel has that (version 2, Linux 5.14), else
/// one by one. What is born meanwhile is found by calling again until [`remove`] succeeds.
pub fn kill(directory: &Path) {
    if fs::write(directory.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    let _ = fs::write(directory.join("freezer.state"), "THAWED");
    let processes = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            kill(&entry.path());
        }
    }
}

/// Takes all groups below one away, the deepest first.
///
/// # Errors
/// As [`remove`].
pub fn remove_below(directory: &Path) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(()) };
    for entry in entries.flatten() {
        // A cgroup's directory holds its own files and the groups below it, and nothing else can be made there.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const HYBRID: &str = "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n\
        42 31 0:39 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        43 31 0:40 /pod /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";

    #[test]
    fn hierarchies_of_both_versions_are_found_with_the_own_group() {
        let cgroup = "4:cpuacct,cpu:/a\n3:pids:/pod/b\n1:name=systemd:/\n0::/user.slice\n";
        let all = parse(HYBRID, cgroup);
        let seen: Vec<(Version, &str, &str)> =
            all.iter().map(|one| (one.version, one.options.as_str(), one.own.to_str().unwrap())).collect();
        let expected = [
            (Version::V1, "name=systemd", "/sys/fs/cgroup/systemd/"),
            (Version::V2, "", "/sys/fs/cgroup/unified/user.slice"),
            (Version::V1, "cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/a"),
            (Version::V1, "pids", "/sys/fs/cgroup/pids/b"),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_is_not_mounted_or_not_below_the_mount_is_left_out() {
        assert_eq!(parse(HYBRID, "3:pids:/other\n"), []);
        assert_eq!(parse("", "0::/\n"), []);
        assert_eq!(parse("30 23 0:26 /../.. /x rw - cgroup2 cgroup2 rw\n", "0::/\n"), []);
    }
}

//! Hierarchies of version 1 that are mounted nowhere: for controllers that the kernel has and the machine does not use (cgroups(7)).
//!
//! Such a controller has groups only while it is in a hierarchy, and that is made by mounting it. A detached mount is enough, which no
//! process sees, held by a descriptor. A second one of the same controller leads to the same hierarchy. It ends with its last mount,
//! but not while it has groups: those are found again by the next mount.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::cgroup::{self, Hierarchy};
use super::{host, mount};
use nix::errno::Errno;

/// The controllers for which such a hierarchy is made: those that version 2 does not have, or that hardly any machine hands down to
/// its groups there. What others can do, version 2 can as well.
const WANTED: [&str; 5] = ["devices", "hugetlb", "net_cls", "net_prio", "perf_event"];

/// The cgroup namespace that the machine began with: `PROC_CGROUP_INIT_INO` of <linux/proc_ns.h>. In others the kernel makes no
/// hierarchy.
const FIRST_NAMESPACE: &str = "cgroup:[4026531835]";

/// Before this kernel the first group of net_cls or net_prio kept nft and BPF on the whole machine from seeing the groups of
/// version 2, until the next boot.
const SAFE: (u32, u32) = (5, 15);

/// How long is waited for a hierarchy that is just ending.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long is waited for groups that are gone and not yet forgotten: they stay in their hierarchy until the last of their processes
/// has been reaped, and there are machines whose process 1 looks for orphans every other second.
const REAPED: Duration = Duration::from_secs(4);

/// A controller, as a line of `/proc/cgroups` tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name: `net_cls`.
    pub name: String,
    /// The number of its hierarchy of version 1; 0 while it is in none, and so in version 2.
    pub hierarchy: u32,
    /// How many groups that hierarchy has, the root included.
    pub groups: u32,
    /// Whether it was not switched off when the machine was started (`cgroup_disable=`).
    pub enabled: bool,
}

/// The controllers that the kernel was built with.
pub fn known() -> Vec<Known> {
    parse(&fs::read_to_string("/proc/cgroups").unwrap_or_default())
}

fn parse(table: &str) -> Vec<Known> {
    let line = |line: &str| {
        let mut fields = line.split_whitespace();
        let name = fields.next()?.to_owned();
        let mut number = || fields.next()?.parse().ok();
        Some(Known { name, hierarchy: number()?, groups: number()?, enabled: number()? == 1 })
    };
    table.lines().filter(|text| !text.starts_with('#')).filter_map(line).collect()
}

/// The controllers for which root can make a hierarchy here, where groups can be made in these places without it.
pub fn possible(places: &[Hierarchy]) -> Vec<String> {
    let is_first = fs::read_link("/proc/self/ns/cgroup").is_ok_and(|link| link.as_os_str() == FIRST_NAMESPACE);
    if !is_first || host::release() < SAFE {
        return Vec::new();
    }
    let visible = cgroup::hierarchies();
    let known = known();
    let alone = |one: &Known| known.iter().filter(|other| other.hierarchy == one.hierarchy).count() == 1;
    // In a hierarchy that is visible nowhere: another hardway has made it.
    let free =
        |one: &&Known| one.hierarchy == 0 || (alone(one) && !visible.iter().any(|hierarchy| hierarchy.has(&one.name)));
    let wanted = known.iter().filter(|one| one.enabled && WANTED.contains(&one.name.as_str())).filter(free);
    wanted.map(|one| one.name.clone()).filter(|name| cgroup::home_of(name, places).is_none()).collect()
}

/// A hierarchy of version 1 with one controller, mounted nowhere.
#[derive(Debug)]
pub struct Private {
    /// Its controller.
    pub controller: String,
    root: OwnedFd,
}

impl Private {
    /// Makes it, or finds the one that there is.
    ///
    /// # Errors
    /// `EPERM` without CAP_SYS_ADMIN, and where there is none, in a cgroup namespace of one's own; `EBUSY` where the controller is
    /// in another hierarchy, with groups.
    pub fn open(controller: &str) -> io::Result<Self> {
        let option = CString::new(controller)?;
        let begin = Instant::now();
        loop {
            match mount::detached(c"cgroup", &[&option]) {
                Ok(root) => return Ok(Self { controller: controller.to_owned(), root }),
                // One that is just ending has to be waited for.
                Err(Errno::EBUSY) if begin.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(10)),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// The directory of a group below its root: for this process, as long as this lives.
    pub fn group(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn root(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.root.as_raw_fd().to_string())
    }

    /// Lets go of it. If this was the last one, and no group is left, the hierarchy ends: whether it may. Otherwise it stays as it is
    /// until somebody opens it and leaves it once more.
    #[must_use]
    pub fn leave(self) -> bool {
        let is_group = |entry: fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        let begin = Instant::now();
        loop {
            // Whose groups those are will wait for theirs, and for what is left of ours.
            let others = fs::read_dir(self.root()).into_iter().flatten().flatten().any(is_group);
            let groups = known().iter().find(|one| one.name == self.controller).map_or(0, |one| one.groups);
            // Were its last mount to end before they are forgotten, nothing would end it then.
            if others || groups <= 1 {
                return true;
            }
            if begin.elapsed() > REAPED {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Makes a group and opens its directory. One that exists is somebody else's.
    ///
    /// # Errors
    /// As [`cgroup::make`].
    pub fn make(&self, name: &str) -> io::Result<File> {
        cgroup::make(&self.group(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_controllers_is_read() {
        let table = "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t4\t135\t1\nnet_cls\t0\t2\t0\nodd\n";
        let known = parse(table);
        let memory = Known { name: "memory".into(), hierarchy: 4, groups: 135, enabled: true };
        assert_eq!(known, [memory, Known { name: "net_cls".into(), hierarchy: 0, groups: 2, enabled: false }]);
    }
}

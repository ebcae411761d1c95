//! The kinds of namespace (namespaces(7)).

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use nix::sched::CloneFlags;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One link of `/proc/PID/ns`, under the kernel's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // each is documented by what `meaning` returns
pub enum Namespace {
    Mnt,
    Uts,
    Ipc,
    Pid,
    PidForChildren,
    Net,
    User,
    Cgroup,
    Time,
    TimeForChildren,
}

/// Whether a path leads to a namespace: a link of `/proc/PID/ns`, or a file on which one is mounted (ioctl_nsfs(2)).
pub fn is_namespace(path: &std::path::Path) -> bool {
    nix::sys::statfs::statfs(path).is_ok_and(|seen| seen.filesystem_type() == nix::sys::statfs::NSFS_MAGIC)
}

/// A namespace by its inode, as long as a process is in it: a file that leads there. One that nothing but a mount or a descriptor keeps is
/// not found.
pub fn held_by_a_process(kind: Namespace, inode: u64) -> Option<File> {
    let links = fs::read_dir("/proc").ok()?.filter_map(|entry| Some(entry.ok()?.path().join("ns").join(kind.link())));
    let is_it = |file: &File| file.metadata().is_ok_and(|metadata| metadata.ino() == inode);
    links.filter_map(|link| File::open(link).ok()).find(is_it)
}

impl Namespace {
    /// All links, in the order in which the course teaches them.
    pub const ALL: [Self; 10] = [
        Self::Mnt,
        Self::Uts,
        Self::Ipc,
        Self::Pid,
        Self::PidForChildren,
        Self::Net,
        Self::User,
        Self::Cgroup,
        Self::Time,
        Self::TimeForChildren,
    ];

    /// The name of the link in `/proc/PID/ns`.
    pub fn link(self) -> &'static str {
        match self {
            Self::Mnt => "mnt",
            Self::Uts => "uts",
            Self::Ipc => "ipc",
            Self::Pid => "pid",
            Self::PidForChildren => "pid_for_children",
            Self::Net => "net",
            Self::User => "user",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
            Self::TimeForChildren => "time_for_children",
        }
    }

    /// The flag of unshare(2), clone(2) and setns(2) that stands for this kind.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Mnt => "CLONE_NEWNS",
            Self::Uts => "CLONE_NEWUTS",
            Self::Ipc => "CLONE_NEWIPC",
            Self::Pid | Self::PidForChildren => "CLONE_NEWPID",
            Self::Net => "CLONE_NEWNET",
            Self::User => "CLONE_NEWUSER",
            Self::Cgroup => "CLONE_NEWCGROUP",
            Self::Time | Self::TimeForChildren => "CLONE_NEWTIME",
        }
    }

    /// The option of unshare(1) and nsenter(1).
    pub fn option(self) -> &'static str {
        match self {
            Self::Mnt => "--mount",
            Self::Uts => "--uts",
            Self::Ipc => "--ipc",
            Self::Pid | Self::PidForChildren => "--pid",
            Self::Net => "--net",
            Self::User => "--user",
            Self::Cgroup => "--cgroup",
            Self::Time | Self::TimeForChildren => "--time",
        }
    }

    /// What a namespace of this kind gives a process of its own.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Mnt => "which file systems are mounted where",
            Self::Uts => "the host name and the NIS domain name",
            Self::Ipc => "System V IPC objects and POSIX message queues",
            Self::Pid => "the numbering of processes",
            Self::PidForChildren => "the pid namespace that children will be born into",
            Self::Net => "network devices, addresses, routes, rules and ports",
            Self::User => "user and group ids, and what capabilities count for",
            Self::Cgroup => "which cgroup is seen as the root of the tree",
            Self::Time => "offsets of the monotonic and boot-time clocks",
            Self::TimeForChildren => "the time namespace that children will be born into",
        }
    }

    pub(super) fn bits(self) -> CloneFlags {
        match self {
            Self::Mnt => CloneFlags::CLONE_NEWNS,
            Self::Uts => CloneFlags::CLONE_NEWUTS,
            Self::Ipc => CloneFlags::CLONE_NEWIPC,
            Self::Pid | Self::PidForChildren => CloneFlags::CLONE_NEWPID,
            Self::Net => CloneFlags::CLONE_NEWNET,
            Self::User => CloneFlags::CLONE_NEWUSER,
            Self::Cgroup => CloneFlags::CLONE_NEWCGROUP,
            // nix has no name for it; the value is CLONE_NEWTIME of <linux/sched.h>.
            Self::Time | Self::TimeForChildren => CloneFlags::from_bits_retain(0x80),
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.link())
    }
}

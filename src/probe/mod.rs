//! Readers of kernel state, and the plain data that they return: every value with where it was read, or why it is missing.
//!
//! One file a kind. Each reader takes the root of the tree it reads, `/proc` in life and a made-up one in tests. The
//! typed data serve checks and the panels' shapes; [`rows::rows`] gives the same data as rows that can be shown, explained
//! and compared, and [`diff::diff`] compares them.

pub mod capabilities;
pub mod cgroups;
pub mod clocks;
pub mod credentials;
pub mod diff;
pub mod exchange;
pub mod hostname;
pub mod ids;
pub mod image;
pub mod ipc;
pub mod layers;
mod layout;
pub mod mounts;
pub mod namespaces;
pub mod network;
pub mod overlay;
pub mod ownership;
pub mod peers;
pub mod picture;
pub mod processes;
pub mod reader;
pub mod reading;
pub mod root;
pub mod rows;
pub mod sysctl;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::kernel::netlink::{Address, Route};
pub use crate::kernel::overlay::Mark;
pub use cgroups::Cgroups;
pub use clocks::Clocks;
pub use credentials::{Credentials, IdMap};
pub use diff::{Change, ChangeKind, diff};
pub use exchange::{Content, Exchange};
pub use ids::{Overflow, Owner};
pub use image::Layout;
pub use ipc::Ipc;
pub use layers::Layers;
pub use mounts::Mount;
pub use namespaces::Namespaces;
pub use network::{Network, Pin};
pub use overlay::Overlay;
pub use ownership::Ownership;
pub use picture::Picture;
pub use processes::Process;
pub use reader::{Reader, Wanted};
pub use reading::Reading;
pub use root::Root;
pub use rows::{Panel, Row, rows};
pub use sysctl::Sysctl;

use crate::kernel::namespace::Namespace;

/// What was read in one go, as seen from the process that read it: every pid and path can be typed there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The processes that `/proc` shows, in ascending order of pid; the reader itself is left out.
    pub processes: Vec<Process>,
    /// Host name by inode of the UTS namespace.
    pub hostnames: BTreeMap<u64, Reading<String>>,
    /// Mounts by inode of the mount namespace, in the order of mountinfo.
    #[serde(with = "mounts::shared")]
    pub mounts: BTreeMap<u64, Reading<Vec<Mount>>>,
    /// The overlays whose layers lessons have made.
    pub overlays: Vec<Overlay>,
    /// The image layouts that lessons have made.
    pub layouts: Vec<Layout>,
    /// The layers of images in the layouts that lessons have made.
    pub layers: Vec<Layers>,
    /// The pids that a process finds in its own `/proc`, by inode of the mount namespace.
    pub visible_pids: BTreeMap<u64, Reading<Vec<i32>>>,
    /// The root directories that there are.
    pub roots: Vec<Root>,
    /// Links, addresses and routes by inode of the network namespace, of those too that only a mount holds.
    pub networks: BTreeMap<u64, Reading<Network>>,
    /// The namespaces that are mounted on files where the reader is.
    pub pins: Vec<Pin>,
    /// What each namespace belongs to, by its inode; no two namespaces of any kind have the same one.
    pub ownership: BTreeMap<u64, Reading<Ownership>>,
    /// What the kernel shows for an id without a map; none where it was not asked.
    pub overflow: Option<Reading<Overflow>>,
    /// Clocks by inode of the time namespace, those that children will be born into included.
    pub clocks: BTreeMap<u64, Clocks>,
    /// The owners of the files that were asked for, by path.
    pub files: BTreeMap<String, Owner>,
    /// What IPC namespaces hold, by their inodes.
    pub ipc: BTreeMap<u64, Reading<Ipc>>,
    /// `/dev/mqueue` and `/dev/shm`, by inode of the mount namespace.
    pub ipc_directories: BTreeMap<u64, ipc::Directories>,
    /// Requests of HTTP with their answers, by the path that their files begin with.
    pub exchanges: BTreeMap<String, Exchange>,
    /// The files that came with them, by path.
    pub contents: BTreeMap<String, Content>,
    /// In which cgroups processes are, and which there are.
    pub cgroups: Cgroups,
}

impl Observation {
    /// The process with this pid, as the reader numbers it.
    pub fn process(&self, pid: i32) -> Option<&Process> {
        self.processes.iter().find(|process| process.pid == pid)
    }

    /// The processes in a namespace, in ascending order of pid.
    pub fn members(&self, kind: Namespace, inode: u64) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(move |process| process.namespaces.inode(kind) == Some(inode))
    }

    /// The process through which the reader looked into a namespace: the one with the lowest pid among those whose root is
    /// `/`, else the one with the lowest pid (a chroot hides mounts from the mountinfo of a process).
    pub fn representative(&self, kind: Namespace, inode: u64) -> Option<&Process> {
        let whole = |process: &&Process| process.root.value().is_some_and(|root| root == "/");
        self.members(kind, inode).find(whole).or_else(|| self.members(kind, inode).next())
    }
}

/// Who is who in an observation: the words of lessons for pids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// The init of the lab host; 0 where there is none.
    pub host: i32,
    /// The boxes that live, by name.
    pub boxes: BTreeMap<String, i32>,
    /// The first process of the learner's shell pane.
    pub shell: Option<i32>,
    /// The subject of a by-hand check: the deepest descendant in the foreground group of the shell pane, where that is not
    /// the shell itself as it was started.
    pub subject: Option<i32>,
    /// Whether the foreground group of the shell pane waits at a prompt (the leader is a shell) or runs something.
    pub foreground: Option<i32>,
}

impl Names {
    /// The word for a pid: `host`, the name of a box, `shell`, or none.
    pub fn of(&self, pid: i32) -> Option<&str> {
        if pid == self.host && pid != 0 {
            return Some("host");
        }
        if let Some((name, _)) = self.boxes.iter().find(|(_, at)| **at == pid) {
            return Some(name);
        }
        (self.shell == Some(pid)).then_some("shell")
    }
}

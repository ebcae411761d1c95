//! Reading mount namespaces: their mounts, and what the `/proc` among these lists.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::files::link;
use super::{Reader, each, nothing, numbers};
use crate::kernel::namespace::Namespace;
use crate::probe::{Mount, Observation, Process, Reading};

impl Reader {
    /// The mounts of every mount namespace, as its representative sees them. Called when nobody asks for them any more: what
    /// was kept is moved, not copied.
    pub(super) fn mounts(&mut self, observation: &Observation) -> BTreeMap<u64, Reading<Vec<Mount>>> {
        let mounts = each(observation, Namespace::Mnt, |process| self.mountinfo(process));
        self.mountinfo.clear();
        mounts.into_iter().map(|(inode, mounts)| (inode, mounts.map(Rc::unwrap_or_clone))).collect()
    }

    /// The mounts that a process sees, read from its cgroup namespace where that may be entered: of a mount of cgroups the kernel
    /// tells the root as it is called there (cgroup_namespaces(7)).
    pub(super) fn mountinfo(&mut self, process: &Process) -> Reading<Rc<Vec<Mount>>> {
        let pid = process.pid.to_string();
        if !self.mountinfo.contains_key(&pid) {
            let _ = self.enter_cgroup(process);
        }
        self.mountinfo_of(&pid)
    }

    /// The mounts that this thread itself sees. They are those of a process with the same namespaces and root directory, whose
    /// mounts are wanted later in any case.
    pub(super) fn own_mountinfo(&mut self, observation: &Observation) -> Reading<Rc<Vec<Mount>>> {
        let [mounts, cgroup] = [Namespace::Mnt, Namespace::Cgroup].map(|kind| self.own_inode(kind));
        let other = mounts.and_then(|inode| observation.representative(Namespace::Mnt, inode));
        let same = other.filter(|it| {
            it.root.value().is_some_and(|root| root == "/") && it.namespaces.inode(Namespace::Cgroup) == cgroup
        });
        let known = same.map(|it| self.mountinfo(it)).filter(|mounts| mounts.value().is_some());
        known.unwrap_or_else(|| self.mountinfo_of(self.own))
    }

    /// The mounts of whoever has this name in `/proc`, as they are told to this thread.
    pub(super) fn mountinfo_of(&mut self, name: &str) -> Reading<Rc<Vec<Mount>>> {
        if let Some(known) = self.mountinfo.get(name) {
            return known.clone();
        }
        let mut known = std::mem::take(&mut self.mounted);
        let mounts =
            self.parsed_to_its_end(&self.proc.join(name).join("mountinfo"), |text| known.mountinfo(text)).map(Rc::new);
        self.mounted = known;
        self.mountinfo.insert(name.to_owned(), mounts.clone());
        mounts
    }

    /// The pids in the `/proc` of every mount namespace, the reader's own left out. `ENOENT` where none is mounted there.
    pub(super) fn visible_pids(
        &mut self,
        observation: &Observation,
        without: Option<i32>,
    ) -> BTreeMap<u64, Reading<Vec<i32>>> {
        // A file system lists the same wherever it is mounted; and copies of one mount are what most namespaces have.
        let mut known: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        each(observation, Namespace::Mnt, |process| {
            let mounts = match self.mountinfo(process) {
                Reading::Value(mounts) => mounts,
                Reading::Missing(errno) => return Reading::Missing(errno),
                Reading::Unreadable(text) => return Reading::Unreadable(text),
            };
            // The last mount at a place covers the others.
            let device = match mounts.iter().rfind(|mount| mount.target == "/proc") {
                Some(mount) if mount.fstype == "proc" && mount.root == "/" => &mount.device,
                _ => return Reading::Missing(nothing()),
            };
            if let Some(list) = known.get(device) {
                return Reading::Value(list.clone());
            }
            let proc = self.proc.join(format!("{}/root/proc", process.pid));
            // What this process is called there: `self` answers in the pid namespace that the proc belongs to.
            let own = without.and_then(|_| link(&proc.join("self")).value().and_then(|text| text.parse().ok()));
            Reading::from(numbers(&proc)).map(|mut list| {
                list.retain(|pid| Some(*pid) != own);
                known.insert(device.clone(), list.clone());
                list
            })
        })
    }
}

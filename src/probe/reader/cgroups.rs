//! Reading cgroups: as the reader sees them, then as the members of each foreign cgroup namespace do, by entering it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Reader, each, link};
use crate::kernel::cgroup::{self, Hierarchy, Layout};
use crate::kernel::enter;
use crate::kernel::namespace::Namespace;
use crate::probe::cgroups::{Cgroups, Inside, Membership, parse};
use crate::probe::{Mount, Observation, Process, Reading};

/// The most groups that are read.
const MAX_GROUPS: usize = 256;

/// Where the lab host's own group is, below the root directory.
const LAB: &str = "lab/cgroup";

impl Reader {
    /// Everything about cgroups. This thread enters every foreign cgroup namespace, one after the other, **for good**.
    pub(super) fn cgroups(&mut self, observation: &Observation, without: Option<i32>) -> Cgroups {
        let mounts = self.mountinfo_of(self.own());
        let layout = mounts.value().map(|mounts| layout(mounts));
        let mounts = mounts.value().map_or(&[][..], |mounts| mounts.as_slice());
        let root = self.proc.join("self/root");
        let own = link(&root.join(LAB)).value().and_then(|target| own(mounts, target));
        let mut groups = BTreeMap::new();
        if let Some(own) = &own {
            let directory = root.join(own.mount.strip_prefix("/").unwrap_or(&own.mount));
            self.groups(&directory, String::new(), without, &mut groups);
        }
        let memberships = observation.processes.iter().map(|it| (it.pid, self.membership(it))).collect();
        let mut cgroups = Cgroups { layout, own, memberships, groups, inside: BTreeMap::new() };
        cgroups.inside = self.cgroups_inside(observation, &cgroups);
        cgroups
    }

    fn membership(&mut self, process: &Process) -> Reading<Vec<Membership>> {
        self.parsed(&self.proc.join(format!("{}/cgroup", process.pid)), parse)
    }

    /// The members of the groups below a directory, by their paths.
    fn groups(
        &mut self,
        directory: &Path,
        path: String,
        without: Option<i32>,
        groups: &mut BTreeMap<String, Reading<Vec<i32>>>,
    ) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            if groups.len() >= MAX_GROUPS {
                return;
            }
            let path = format!("{path}/{}", entry.file_name().to_string_lossy());
            let members = self.parsed(&entry.path().join("cgroup.procs"), |text| {
                let text = String::from_utf8_lossy(text);
                let mut pids: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
                pids.retain(|pid| Some(*pid) != without);
                pids.sort_unstable();
                Ok(pids)
            });
            groups.insert(path.clone(), members);
            self.groups(&entry.path(), path, without, groups);
        }
    }

    /// Enters the cgroup namespace of a process, unless this thread is in it.
    pub(super) fn enter_cgroup(&mut self, process: &Process) -> io::Result<()> {
        let inode = process.namespaces.inode(Namespace::Cgroup);
        let own = self.cgroup_namespace.or_else(|| self.own_inode(Namespace::Cgroup));
        if inode.is_none() || inode != own {
            enter::namespace(&self.proc.join(format!("{}/ns/cgroup", process.pid)), Namespace::Cgroup)?;
        }
        self.cgroup_namespace = inode;
        Ok(())
    }

    /// What the members of each cgroup namespace see: those of the reader's own first.
    fn cgroups_inside(&mut self, observation: &Observation, cgroups: &Cgroups) -> BTreeMap<u64, Reading<Inside>> {
        let own = self.own_inode(Namespace::Cgroup);
        let one = own.and_then(|own| observation.representative(Namespace::Cgroup, own));
        let here = one.map(|one| self.inside_of(observation, one, cgroups));
        each(observation, Namespace::Cgroup, |process| match &here {
            Some(here) if process.namespaces.inode(Namespace::Cgroup) == own => Reading::Value(here.clone()),
            _ => Reading::from(self.enter_cgroup(process)).map(|()| self.inside_of(observation, process, cgroups)),
        })
    }

    /// What the members of the cgroup namespace see that this process and this thread are in; the mounts are those of the process.
    fn inside_of(&mut self, observation: &Observation, process: &Process, cgroups: &Cgroups) -> Inside {
        let first = observation.processes.first();
        let members = observation.members(Namespace::Cgroup, process.namespaces.inode(Namespace::Cgroup).unwrap_or(0));
        let memberships = first.into_iter().chain(members).map(|it| (it.pid, self.membership(it))).collect();
        let is_own = |mount: &Mount| {
            let called = cgroup::called(&mount.fstype, &mount.super_options);
            called.zip(cgroups.own.as_ref()).is_some_and(|((version, options), own)| own.is_called(version, &options))
        };
        let mounts = self.mountinfo(process).map(|list| {
            let own = list.iter().filter(|mount| is_own(mount));
            own.map(|it| (it.target.clone(), it.root.clone())).collect()
        });
        Inside { memberships, mounts }
    }
}

/// How cgroups are mounted.
fn layout(mounts: &[Mount]) -> Layout {
    let has = |fstype: &str| mounts.iter().any(|mount| mount.fstype == fstype);
    Layout::of(has("cgroup"), has("cgroup2"))
}

/// The hierarchy that is mounted there, last.
fn own(mounts: &[Mount], target: &str) -> Option<Hierarchy> {
    let mount = mounts.iter().rfind(|mount| mount.target == target)?;
    let (version, options) = cgroup::called(&mount.fstype, &mount.super_options)?;
    Some(Hierarchy { version, mount: PathBuf::from(target), options, own: PathBuf::from(target) })
}

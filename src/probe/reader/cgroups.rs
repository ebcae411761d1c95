//! Reading cgroups: as the reader sees them, then as the members of each foreign cgroup namespace do, by entering it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::link;
use super::{Reader, each};
use crate::kernel::cgroup::{self, Hierarchy, Layout, Version};
use crate::kernel::device;
use crate::kernel::errno::Errno;
use crate::kernel::namespace::Namespace;
use crate::kernel::sys::bpf::Info;
use crate::kernel::trace::Trace;
use crate::probe::cgroups::{Cgroups, Group, Inside, Membership, files};
use crate::probe::{Mount, Observation, Process, Reading};

/// The most groups that are read.
const MAX_GROUPS: usize = 256;

/// Where the lab host's own group is, below the root directory.
const LAB: &str = "lab/cgroup";

/// The group of a lab host's first processes, in version 2.
const LEAF: &str = "/init";

/// What is shown of the lab host's own group in version 2.
const HANDED_DOWN: [&str; 2] = ["cgroup.controllers", "cgroup.subtree_control"];

/// Where groups are looked for, and how they are called.
struct Walk {
    /// The lab host's own group, as this thread finds it.
    root: PathBuf,
    /// The same, as the lab host calls it.
    shown: String,
    /// What goes before the paths of groups.
    prefix: String,
    /// Who is no member: the reader itself.
    without: Option<i32>,
    /// Whether groups there can have BPF programs: in version 2.
    has_programs: bool,
}

impl Reader {
    /// Everything about cgroups. This thread enters every foreign cgroup namespace, one after the other, **for good**.
    pub(super) fn cgroups(&mut self, observation: &Observation, without: Option<i32>) -> Cgroups {
        let mounts = self.own_mountinfo(observation);
        let layout = mounts.value().map(|mounts| layout(mounts));
        let mounts = mounts.value().map_or(&[][..], |mounts| mounts.as_slice());
        let root = self.proc.join("self/root");
        let own = link(&root.join(LAB)).value().and_then(|target| own(mounts, target));
        let others = if own.is_some() { others(mounts, own.as_ref()) } else { Vec::new() };
        let mut groups = BTreeMap::new();
        for hierarchy in own.iter().chain(&others) {
            let is_own = Some(hierarchy) == own.as_ref();
            let prefix = if is_own { String::new() } else { format!("{}:", hierarchy.options) };
            let shown = if is_own { LAB.to_owned() } else { hierarchy.mount.display().to_string() };
            let walk = Walk {
                root: root.join(hierarchy.mount.strip_prefix("/").unwrap_or(&hierarchy.mount)),
                shown,
                prefix,
                without,
                has_programs: hierarchy.version == Version::V2,
            };
            if is_own && hierarchy.version == Version::V2 {
                let files = self.files(&walk.root, HANDED_DOWN.map(str::to_owned));
                let members = self.members(&walk.root, without);
                let group = Group { directory: format!("/{LAB}"), members, files, device_programs: None };
                groups.insert("/".to_owned(), group);
            }
            self.groups(&walk, "", &mut groups);
        }
        let memberships = observation.processes.iter().map(|it| (it.pid, self.membership(it))).collect();
        let mut cgroups = Cgroups { layout, own, others, memberships, groups, inside: BTreeMap::new() };
        cgroups.inside = self.cgroups_inside(observation, &cgroups);
        cgroups
    }

    fn membership(&mut self, process: &Process) -> Reading<Arc<[Membership]>> {
        let mut known = std::mem::take(&mut self.memberships);
        let path = self.proc.join(format!("{}/cgroup", process.pid));
        let list = self.parsed(&path, |text| known.parse(text));
        self.memberships = known;
        list
    }

    /// The groups below a directory, by their paths.
    fn groups(&mut self, walk: &Walk, above: &str, groups: &mut BTreeMap<String, Group>) {
        let directory = walk.root.join(above.trim_start_matches('/'));
        // Most have none, and to list a directory is to list all its files. Its links are its name, its `.`, and a `..` of each
        // directory in it (inode(7)).
        if fs::metadata(&directory).is_ok_and(|it| it.nlink() == 2) {
            return;
        }
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            if groups.len() >= MAX_GROUPS {
                return;
            }
            let path = format!("{above}/{}", entry.file_name().to_string_lossy());
            // Those use a little of everything, all the time, and that is nobody's lesson.
            if walk.prefix.is_empty() && path == LEAF {
                continue;
            }
            let names = fs::read_dir(entry.path()).into_iter().flatten().flatten();
            let names = names.filter_map(|file| file.file_name().into_string().ok());
            let files = self.files(&entry.path(), names.filter(|name| files::is_shown(name)));
            let directory = format!("/{}{path}", walk.shown.trim_start_matches('/'));
            let device_programs = walk.has_programs.then(|| device_programs(&entry.path()));
            let members = self.members(&entry.path(), walk.without);
            let group = Group { directory, members, files, device_programs };
            groups.insert(format!("{}{path}", walk.prefix), group);
            self.groups(walk, &path, groups);
        }
    }

    fn members(&mut self, directory: &Path, without: Option<i32>) -> Reading<Vec<i32>> {
        self.parsed(&directory.join("cgroup.procs"), |text| {
            let text = String::from_utf8_lossy(text);
            let mut pids: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
            pids.retain(|pid| Some(*pid) != without);
            pids.sort_unstable();
            Ok(pids)
        })
    }

    fn files(
        &mut self,
        directory: &Path,
        names: impl IntoIterator<Item = String>,
    ) -> BTreeMap<String, Reading<String>> {
        let read = |name: String| {
            let text =
                self.parsed(&directory.join(&name), |text| Ok(String::from_utf8_lossy(text).trim_end().to_owned()));
            (name, text)
        };
        names.into_iter().map(read).collect()
    }

    /// Enters the cgroup namespace of a process, unless this thread is in it.
    pub(super) fn enter_cgroup(&mut self, process: &Process) -> io::Result<()> {
        let inode = process.namespaces.inode(Namespace::Cgroup);
        let own = self.cgroup_namespace.or_else(|| self.own_inode(Namespace::Cgroup));
        if inode.is_none() || inode != own {
            self.enter(process, Namespace::Cgroup)?;
        }
        self.cgroup_namespace = inode;
        Ok(())
    }

    /// What the members of each cgroup namespace see: those of the reader's own first.
    fn cgroups_inside(&mut self, observation: &Observation, cgroups: &Cgroups) -> BTreeMap<u64, Reading<Inside>> {
        let own = self.own_inode(Namespace::Cgroup);
        let one = own.and_then(|own| observation.representative(Namespace::Cgroup, own));
        // That is how all of them have been read a moment ago.
        let here =
            one.map(|one| self.inside_of(observation, one, cgroups, |_, it| cgroups.memberships.get(&it.pid).cloned()));
        each(observation, Namespace::Cgroup, |process| match &here {
            Some(here) if process.namespaces.inode(Namespace::Cgroup) == own => Reading::Value(here.clone()),
            _ => Reading::from(self.enter_cgroup(process))
                .map(|()| self.inside_of(observation, process, cgroups, |reader, it| Some(reader.membership(it)))),
        })
    }

    /// What the members of the cgroup namespace see that this process and this thread are in; `membership` reads the groups of one.
    fn inside_of(
        &mut self,
        observation: &Observation,
        process: &Process,
        cgroups: &Cgroups,
        membership: impl Fn(&mut Self, &Process) -> Option<Reading<Arc<[Membership]>>>,
    ) -> Inside {
        let first = observation.processes.first();
        let members = observation.members(Namespace::Cgroup, process.namespaces.inode(Namespace::Cgroup).unwrap_or(0));
        let memberships =
            first.into_iter().chain(members).filter_map(|it| Some((it.pid, membership(self, it)?))).collect();
        let is_own = |mount: &Mount| {
            let called = cgroup::called(&mount.fstype, &mount.super_options);
            called.zip(cgroups.own.as_ref()).is_some_and(|((version, options), own)| own.is_called(version, &options))
        };
        let mut mounts = BTreeMap::new();
        for member in observation.members(Namespace::Cgroup, process.namespaces.inode(Namespace::Cgroup).unwrap_or(0)) {
            let Some(inode) = member.namespaces.inode(Namespace::Mnt).filter(|inode| !mounts.contains_key(inode))
            else {
                continue;
            };
            let own = self.mountinfo(member).map(|list| {
                let own = list.iter().filter(|mount| is_own(mount));
                own.map(|it| (it.target.clone(), it.root.clone())).collect()
            });
            mounts.insert(inode, own);
        }
        Inside { memberships, mounts }
    }
}

/// The BPF programs of a group that decide on devices: one call where there are none.
fn device_programs(directory: &Path) -> Reading<Vec<Info>> {
    // Housekeeping, which no learner is shown.
    let programs = |group| device::programs(&mut Trace::new("probe"), &group);
    match File::open(directory).map(programs) {
        Ok(Ok(programs)) => Reading::Value(programs),
        Ok(Err(error)) => Reading::Missing(error.errno),
        Err(error) => Reading::Missing(Errno::from(&error)),
    }
}

/// How cgroups are mounted.
fn layout(mounts: &[Mount]) -> Layout {
    let has = |fstype: &str| mounts.iter().any(|mount| mount.fstype == fstype);
    Layout::of(has("cgroup"), has("cgroup2"))
}

/// The hierarchies of version 1 in which the lab host has groups besides its own one: it may write there, and sees its group as
/// the root.
fn others(mounts: &[Mount], own: Option<&Hierarchy>) -> Vec<Hierarchy> {
    let is_its = |mount: &&Mount| {
        mount.fstype == "cgroup" && mount.root == "/" && mount.options.split(',').any(|one| one == "rw")
    };
    let hierarchy = |mount: &Mount| {
        let (version, options) = cgroup::called(&mount.fstype, &mount.super_options)?;
        let mount = PathBuf::from(&mount.target);
        Some(Hierarchy { version, own: mount.clone(), mount, options })
    };
    let mut found: Vec<Hierarchy> = mounts.iter().filter(is_its).filter_map(hierarchy).collect();
    found.retain(|one| {
        !one.options.starts_with("name=") && own.is_none_or(|own| !own.is_called(one.version, &one.options))
    });
    found
}

/// The hierarchy that is mounted there, last.
fn own(mounts: &[Mount], target: &str) -> Option<Hierarchy> {
    let mount = mounts.iter().rfind(|mount| mount.target == target)?;
    let (version, options) = cgroup::called(&mount.fstype, &mount.super_options)?;
    Some(Hierarchy { version, mount: PathBuf::from(target), options, own: PathBuf::from(target) })
}

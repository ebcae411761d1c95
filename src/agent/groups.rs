//! The cgroups of a session: one in each hierarchy in which this person may make groups, with the same name everywhere. Lab hosts
//! live in them, one after the other; lessons make theirs below.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use super::protocol::LabSpec;
use super::systemd;
use crate::explain::Explanation;
use crate::kernel::cgroup::{self, Hierarchy, Version};
use crate::kernel::guard;
use crate::kernel::hierarchy::{self, Private};
use crate::kernel::host::Mode;
use crate::kernel::identity::ProcessIdentity;
use crate::runtime::ledger::{self, Entry, Ledger};

/// The group below the session's own, in version 2, in which a lab host's first process is: a group that hands controllers down
/// may have no processes of its own (cgroups(7), "no internal processes"). systemd has `init.scope` for the same reason.
pub const LEAF: &str = "init";

/// The groups of a session.
pub(super) struct Groups {
    all: Vec<Group>,
    /// Those in hierarchies that the machine has mounted nowhere.
    private: Vec<Private>,
    /// What they are called.
    name: String,
    /// Whether they keep their processes from the machine's sysctls and devices.
    pub guarded: bool,
}

/// One of them.
struct Group {
    /// Its hierarchy, with the group's directory as the own one.
    hierarchy: Hierarchy,
    directory: File,
}

impl Groups {
    /// Makes them. There is none where there is no place for one: then root's lab hosts have only read-only mounts between them
    /// and the machine's sysctls.
    pub fn make(spec: &LabSpec, ledger: &mut Ledger) -> Result<Self, Explanation> {
        let keeper = ProcessIdentity::of(i32::try_from(std::process::id()).unwrap_or(0));
        let mut groups = Self { all: Vec::new(), private: Vec::new(), name: String::new(), guarded: false };
        let Some(keeper) = keeper else { return Ok(groups) };
        groups.name = format!("hardway-{}-{}", keeper.pid, keeper.start_time);
        for place in &spec.cgroups {
            let own = place.own.join(&groups.name);
            ledger.write(&Entry::Cgroup(own.clone()))?;
            let Ok(directory) = cgroup::make(&own) else { continue };
            let to_guard = spec.mode == Mode::Root && !spec.real_host && place.version == Version::V2;
            groups.guarded |= to_guard && guard::attach(&directory).is_ok();
            groups.all.push(Group { hierarchy: Hierarchy { own, ..place.clone() }, directory });
        }
        Ok(groups)
    }

    /// Makes those that the next lab host is to have in hierarchies of its own, and lets go of the others.
    pub fn fit(&mut self, spec: &LabSpec, ledger: &mut Ledger) -> Result<(), Explanation> {
        let (kept, dropped) = self.private.drain(..).partition(|one| spec.private.contains(&one.controller));
        self.private = kept;
        for one in dropped {
            ledger::remove_private(one, &self.name);
        }
        for controller in &spec.private {
            if self.private.iter().any(|one| one.controller == *controller) {
                continue;
            }
            ledger.write(&Entry::Private { controller: controller.clone(), group: self.name.clone() })?;
            let hierarchy = Private::open(controller).and_then(|one| one.make(&self.name).map(|_| one));
            self.private.push(hierarchy.map_err(|error| {
                let fix = "see in /proc/cgroups and /proc/mounts who has mounted it, and try again";
                Explanation::new(format!("The lab host could get no group of {controller}"), error.to_string(), fix)
            })?);
        }
        Ok(())
    }

    /// The controllers of those hierarchies, of which each has its own.
    pub fn private(&self) -> Vec<&str> {
        self.private.iter().map(|one| one.controller.as_str()).collect()
    }

    /// The directories of all groups, those that are this process's to see included.
    fn directories(&self) -> impl Iterator<Item = PathBuf> {
        let private = self.private.iter().map(|one| one.group(&self.name));
        self.all.iter().map(|one| one.hierarchy.own.clone()).chain(private)
    }

    /// The hierarchies, with the groups' directories as the own ones.
    pub fn hierarchies(&self) -> Vec<Hierarchy> {
        self.all.iter().map(|one| one.hierarchy.clone()).collect()
    }

    /// The group in which a lab host's first process is to be born, so that a cgroup namespace made with it has that group for
    /// its root. In version 1 there is no such way.
    pub fn birthplace(&self) -> Option<&File> {
        self.of(Version::V2).next().map(|one| &one.directory)
    }

    /// Moves a lab host's first process into those in which it could not be born.
    pub fn admit(&self, pid: i32) -> io::Result<()> {
        let visible = self.of(Version::V1).map(|one| one.hierarchy.own.clone());
        let private = self.private.iter().map(|one| one.group(&self.name));
        visible.chain(private).try_for_each(|own| fs::write(own.join("cgroup.procs"), pid.to_string()))
    }

    /// Called by a lab host's first process, while it still sees the machine's files: makes the groups the roots of all that it
    /// sees; and moves it to the leaf, where groups below are to have controllers.
    pub fn settle(&self, controllers: bool) -> io::Result<()> {
        if self.of(Version::V1).next().is_some() || !self.private.is_empty() {
            // The keeper moved this process just now; only a namespace made after that has the new groups for its roots.
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP)?;
        }
        self.of(Version::V2).filter(|_| controllers).try_for_each(|one| {
            let leaf = one.hierarchy.own.join(LEAF);
            fs::create_dir(&leaf)?;
            fs::write(leaf.join("cgroup.procs"), "0")
        })
    }

    /// Hands all controllers of version 2 that there are down to the groups of lessons; not before [`Groups::settle`].
    pub fn hand_down(&self) {
        for one in self.of(Version::V2) {
            let _ = cgroup::hand_down(&one.hierarchy.own);
        }
    }

    /// Lets what lessons have frozen go on: a killed process that is frozen in version 1 does not end, and keeps its pid namespace
    /// from ending.
    pub fn thaw(&self) {
        self.directories().for_each(|own| cgroup::thaw(&own));
    }

    /// After the end of a lab host: takes away what lessons made, so that the next one can be born here.
    pub fn clear(&self) {
        for own in self.directories() {
            ledger::wait_until(|| cgroup::remove_below(&own).is_ok());
            let _ = cgroup::take_back(&own);
        }
    }

    /// Ends all processes in them, and takes them away.
    pub fn remove(self) {
        for one in self.all {
            ledger::remove_cgroup(&one.hierarchy.own);
        }
        for one in self.private {
            ledger::remove_private(one, &self.name);
        }
    }

    fn of(&self, version: Version) -> impl Iterator<Item = &Group> {
        self.all.iter().filter(move |one| one.hierarchy.version == version)
    }
}

/// Moves this process into the groups of a session, which are these directories: to where processes may be. Where this user may not
/// leave the own group for one in a scope, systemd is asked.
pub(super) fn join(directories: &[PathBuf]) -> io::Result<()> {
    let leaf = |group: &PathBuf| Some(group.join(LEAF)).filter(|leaf| leaf.exists()).unwrap_or_else(|| group.clone());
    let there = directories.iter().filter(|group| group.exists());
    there.map(leaf).try_for_each(|group| {
        let moved = fs::write(group.join("cgroup.procs"), "0");
        moved.or_else(|refused| systemd::attach(&group).map_err(|_| refused))
    })
}

/// The same for its groups in hierarchies that are mounted nowhere. Such a group may be gone, with the lab host that wanted it.
pub(super) fn join_private(groups: &[(String, String)]) -> io::Result<()> {
    let is_there = |controller: &str| hierarchy::known().iter().any(|one| one.name == controller && one.hierarchy != 0);
    for (controller, group) in groups.iter().filter(|(controller, _)| is_there(controller)) {
        let hierarchy = Private::open(controller)?;
        let own = hierarchy.group(group);
        if own.exists() {
            fs::write(own.join("cgroup.procs"), "0")?;
        }
    }
    Ok(())
}

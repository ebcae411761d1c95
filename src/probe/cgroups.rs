//! Cgroups: in which groups processes are, as the reader and as they themselves see it, and which groups there are below the
//! lab host's own (cgroups(7), cgroup_namespaces(7)).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub mod files;
pub mod gauges;
pub mod membership;

pub use self::membership::{Membership, Memberships};
use super::rows::{About, Sheet, pids, quote};
use super::{Panel, Process, Reading};
use crate::kernel::cgroup::{Hierarchy, Layout, Version};
use crate::kernel::namespace::Namespace;
use crate::kernel::sys::bpf::Info;

/// What was read of cgroups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroups {
    /// How they are mounted.
    pub layout: Option<Layout>,
    /// The hierarchy in which the lab host has the group at `/lab/cgroup`, where it has one.
    pub own: Option<Hierarchy>,
    /// The hierarchies of version 1 in which it has groups besides.
    pub others: Vec<Hierarchy>,
    /// The groups of each process, by pid, from the root of the reader's cgroup namespace.
    #[serde(with = "membership")]
    pub memberships: Memberships,
    /// What members of a cgroup namespace see, by its inode.
    pub inside: BTreeMap<u64, Reading<Inside>>,
    /// The groups below the lab host's own ones: those of [`Cgroups::own`] by their paths from there, `/web`, and those of the
    /// others with the controllers before that, `memory:/web`.
    pub groups: BTreeMap<String, Group>,
}

/// A group: who is in it, and what its files say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Where its directory is, as the lab host sees it.
    pub directory: String,
    /// The processes in it, not counting those in groups below it.
    pub members: Reading<Vec<i32>>,
    /// Those of its files that [`files::ALL`] names, without the last line end.
    pub files: BTreeMap<String, Reading<String>>,
    /// The BPF programs on it that decide on devices, in the order in which the kernel asks them. None where it was not asked for
    /// them: in version 1, and of the lab host's own group, where hardway's guard is.
    pub device_programs: Option<Reading<Vec<Info>>>,
}

impl Group {
    /// A number in one of its files: behind this word, or the first where none is given.
    pub fn number(&self, file: &str, key: Option<&str>) -> Option<u64> {
        files::number(self.files.get(file)?.value()?, key)
    }
}

/// What members of a cgroup namespace see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// The groups of its members, and of the first process of all, by pid.
    #[serde(with = "membership")]
    pub memberships: Memberships,
    /// For each mount namespace of its members, the mounts of the lab host's hierarchy by their places, the uppermost of each: which
    /// group is its root, as mountinfo tells it there.
    pub mounts: BTreeMap<u64, Reading<BTreeMap<String, String>>>,
}

impl Cgroups {
    /// A group by its path from the lab host's own: in the hierarchy at `/lab/cgroup`, or in that of version 1 which has this
    /// controller.
    pub fn group(&self, path: &str, v1: Option<&str>) -> Option<&Group> {
        let Some(controller) = v1 else { return self.groups.get(path) };
        let own =
            self.own.iter().filter(|own| own.version == Version::V1 && own.has(controller)).map(|_| path.to_owned());
        let others = self.others.iter().filter(|one| one.has(controller)).map(|one| format!("{}:{path}", one.options));
        own.chain(others).find_map(|key| self.groups.get(&key))
    }

    /// The hierarchy of a group, by its name among [`Cgroups::groups`], in words: `version 2, at /lab/cgroup`.
    pub fn hierarchy_of(&self, name: &str) -> Option<String> {
        let (hierarchy, place) = if name.starts_with('/') {
            (self.own.as_ref()?, "/lab/cgroup".to_owned())
        } else {
            let options = name.split_once(':')?.0;
            let one = self.others.iter().find(|one| one.options == options)?;
            (one, one.mount.display().to_string())
        };
        Some(match hierarchy.version {
            Version::V2 => format!("version 2, at {place}"),
            Version::V1 => format!("version 1, {}, at {place}", hierarchy.options),
        })
    }

    /// The path of a group among others, in the hierarchy of version 1 that has a controller, or in the one at `/lab/cgroup`.
    pub fn path_in<'a>(&self, memberships: &'a [Membership], v1: Option<&str>) -> Option<&'a str> {
        let Some(controller) = v1 else { return self.own_path(memberships) };
        let has =
            |one: &&Membership| one.version == Version::V1 && one.controllers.split(',').any(|it| it == controller);
        memberships.iter().find(has).map(|one| one.path.as_str())
    }

    /// The path of a group among others, in the lab host's own hierarchy.
    pub fn own_path<'a>(&self, memberships: &'a [Membership]) -> Option<&'a str> {
        let own = self.own.as_ref()?;
        let found = memberships.iter().find(|one| own.is_called(one.version, &one.controllers));
        found.map(|one| one.path.as_str())
    }
}

/// The rows of the cgroup panel.
pub(super) fn rows(sheet: &mut Sheet<'_>) {
    let cgroups = &sheet.observation.cgroups;
    let host = sheet.observation.process(sheet.names.host);
    for process in &sheet.observation.processes {
        let Some(seen) = cgroups.memberships.get(&process.pid) else { continue };
        if host.is_some_and(|host| host.pid == process.pid) {
            machine(sheet, process);
        }
        let pid = process.pid;
        let file = format!("/proc/{pid}/cgroup");
        let mut about = sheet.about(Panel::Cgroups, process);
        let Some(list) = seen.value() else {
            let reason = seen.text(|_| String::new());
            about.row("groups", reason, file.clone(), format!("cat {file}"), "Its groups, one line a hierarchy.");
            continue;
        };
        for one in list.iter() {
            let command = format!("grep {} {file}", pattern(one));
            about.row(&one.hierarchy(), one.path.clone(), file.clone(), command, meaning(one));
        }
        let inode = process.namespaces.inode(Namespace::Cgroup);
        if inode != host.and_then(|host| host.namespaces.inode(Namespace::Cgroup)) {
            inside(sheet, process, inode.and_then(|inode| cgroups.inside.get(&inode)));
        }
    }
    for (name, group) in &cgroups.groups {
        let mut about = sheet.about_thing(Panel::Cgroups, format!("group {name}"));
        let mut row = |file: &str, value: String, meaning: &str| {
            let path = format!("{}/{file}", group.directory);
            about.row(
                file.strip_prefix("cgroup.procs").map_or(file, |_| "members"),
                value,
                path.clone(),
                format!("cat {}", quote(&path)),
                meaning,
            );
        };
        // The lab host's own first processes are in that one, or in a leaf of it, and come and go.
        if name != "/" {
            row(
                "cgroup.procs",
                group.members.text(|list| pids(list)),
                "The processes in this group, not counting those in groups below it. A group is removed by rmdir, when it has neither.",
            );
        }
        for (file, text) in &group.files {
            row(file, text.text(|text| files::on_one_line(text)), files::meaning(file));
        }
        device_programs(&mut about, group);
    }
}

/// The BPF programs of a group. Where there are none, or nobody may ask, there is no row: most groups have none.
fn device_programs(about: &mut About<'_, '_>, group: &Group) {
    for (at, one) in group.device_programs.iter().filter_map(Reading::value).flatten().enumerate() {
        let number = if at == 0 { String::new() } else { format!(" {}", at + 1) };
        about.row(
            &format!("device program{number}"),
            format!("id {}, {}, tag {}, {} instructions", one.id, one.name, one.tag, one.instructions.len()),
            format!("bpf(BPF_PROG_QUERY) of {}", group.directory),
            format!("/lab/work programs {}", quote(&group.directory)),
            "Version 2: a BPF program that is asked whenever a process of this group or below opens or makes a device. Those of the \
             groups above are asked as well, and all must allow it. Version 1: devices.list.",
        );
    }
}

/// How cgroups are mounted, and where the lab host's own group is.
fn machine(sheet: &mut Sheet<'_>, host: &Process) {
    let cgroups = &sheet.observation.cgroups;
    let mut about = sheet.about(Panel::Cgroups, host);
    let (layout, meaning) = match cgroups.layout {
        Some(Layout::None) | None => {
            ("not mounted", "No cgroup file system is mounted: groups can neither be seen nor made.")
        }
        Some(Layout::V1) => (
            "version 1",
            "Several hierarchies side by side, each with controllers of its own; a process has a group in each.",
        ),
        Some(Layout::Hybrid) => (
            "hybrid: version 1 with controllers, version 2 beside it",
            "Controllers are in hierarchies of version 1; version 2 has those that version 1 left, and often none.",
        ),
        Some(Layout::V2) => ("version 2", "One hierarchy for all controllers; a process is in one group."),
    };
    let mounts = format!("/proc/{}/mountinfo", host.pid);
    about.row("layout", layout.to_owned(), mounts.clone(), format!("grep cgroup {mounts}"), meaning);
    let own = cgroups.own.as_ref().map_or("none".to_owned(), |own| own.mount.display().to_string());
    about.row(
        "own group",
        own,
        "/lab/cgroup".to_owned(),
        "readlink /lab/cgroup".to_owned(),
        "Where the lab host's own group is mounted, and lessons may make others below it; none where this user may not.",
    );
}

/// What a process in a cgroup namespace of its own sees.
fn inside(sheet: &mut Sheet<'_>, process: &Process, inside: Option<&Reading<Inside>>) {
    let (pid, cgroups) = (process.pid, &sheet.observation.cgroups);
    let enter = format!("nsenter --target {pid} --cgroup");
    let within = |file: &str| format!("{file} in the cgroup namespace of pid {pid}");
    let file = format!("/proc/{pid}/cgroup");
    let Some(reading) = inside else { return };
    let above = sheet.observation.processes.first().and_then(|first| {
        let seen = reading.value()?.memberships.get(&first.pid)?.value()?;
        let word = sheet.names.of(first.pid).map_or_else(|| format!("pid {}", first.pid), str::to_owned);
        Some((word, first.pid, cgroups.own_path(seen)?.to_owned()))
    });
    let mut about = sheet.about(Panel::Cgroups, process);
    let Some(inside) = reading.value() else {
        let reason = reading.text(|_| String::new());
        let meaning = "Only a member of the namespace, or whoever may become one (setns(2)), sees paths from its root.";
        about.row("inside", reason, within(&file), format!("{enter} cat {file}"), meaning);
        return;
    };
    for one in inside.memberships.get(&pid).and_then(Reading::value).into_iter().flat_map(|list| list.iter()) {
        about.row(
            &format!("{}, inside", one.hierarchy()),
            one.path.clone(),
            within(&file),
            format!("{enter} grep {} {file}", pattern(one)),
            "The same group, as the process itself sees it: from the root of its cgroup namespace.",
        );
    }
    if let Some((word, first, path)) = above {
        let file = format!("/proc/{first}/cgroup");
        about.row(
            &format!("{word}, inside"),
            path,
            within(&file),
            format!("{enter} cat {file}"),
            "The group of the first process, as this one sees it: `..` leads above the root of its cgroup namespace.",
        );
    }
    let mounts = process.namespaces.inode(Namespace::Mnt).and_then(|inode| inside.mounts.get(&inode));
    for (target, root) in mounts.and_then(Reading::value).into_iter().flatten() {
        let file = format!("/proc/{pid}/mountinfo");
        about.row(
            &format!("root of {target}, inside"),
            root.clone(),
            within(&file),
            format!("{enter} grep ' {target} ' {file}"),
            "Which group is the root of this mount. A mount keeps the one that it was made with, whoever unshares what later.",
        );
    }
}

/// What finds the line of a hierarchy in a cgroup file.
fn pattern(one: &Membership) -> String {
    match one.version {
        Version::V1 => quote(&format!(":{}:", one.controllers)),
        Version::V2 => "^0::".to_owned(),
    }
}

fn meaning(one: &Membership) -> String {
    match one.version {
        Version::V2 => {
            "Its group in the hierarchy of version 2, from the root of the lab's cgroup namespace.".to_owned()
        }
        Version::V1 if one.controllers.starts_with("name=") => {
            format!(
                "Its group in a hierarchy of version 1 without controllers, {}: only to keep track of processes.",
                one.controllers
            )
        }
        Version::V1 => format!("Its group in the hierarchy of version 1 that has the controllers {}.", one.controllers),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::probe::{Names, Observation, rows};

    #[test]
    fn the_own_hierarchy_is_found_among_others() {
        let all = membership::parse(b"4:cpuacct,cpu:/c\n3:pids:/p\n0::/u\n").unwrap();
        let path = |version, options: &str| {
            let own = Hierarchy { version, mount: "/x".into(), options: options.to_owned(), own: "/x".into() };
            Cgroups { own: Some(own), ..Cgroups::default() }.own_path(&all).map(str::to_owned)
        };
        assert_eq!(path(Version::V2, "").unwrap(), "/u");
        assert_eq!(path(Version::V1, "pids").unwrap(), "/p");
        assert_eq!(path(Version::V1, "cpu,cpuacct").unwrap(), "/c");
        assert_eq!(path(Version::V1, "memory"), None);
        assert_eq!(Cgroups::default().own_path(&all), None);
    }

    #[test]
    fn programs_have_rows_and_their_absence_has_none() {
        let keys = |device_programs| {
            let members = Reading::Value(Vec::new());
            let group = Group { directory: "/lab/cgroup/web".into(), members, files: BTreeMap::new(), device_programs };
            let mut observation = Observation::default();
            observation.cgroups.groups.insert("/web".into(), group);
            let rows = rows(&observation, &Names::default());
            rows.into_iter()
                .filter(|row| row.key != "members")
                .map(|row| (row.key, row.value, row.command))
                .collect::<Vec<_>>()
        };
        for none in [None, Some(Reading::Value(Vec::new())), Some(Reading::Missing("EPERM".parse().unwrap()))] {
            assert_eq!(keys(none), []);
        }
        let one = |id| Info { id, name: "device_rules".into(), tag: "00ff".into(), instructions: vec![0; 3] };
        let told = keys(Some(Reading::Value(vec![one(7), one(9)])));
        let told: Vec<(&str, &str, &str)> =
            told.iter().map(|(key, value, command)| (key.as_str(), value.as_str(), command.as_str())).collect();
        let command = "/lab/work programs /lab/cgroup/web";
        assert_eq!(
            told,
            [
                ("device program", "id 7, device_rules, tag 00ff, 3 instructions", command),
                ("device program 2", "id 9, device_rules, tag 00ff, 3 instructions", command),
            ]
        );
    }
}

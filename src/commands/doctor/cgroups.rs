//! Cgroups: how they are mounted, where each controller lives, and where a lab host may have a group of its own.

use std::path::Path;

use hardway::agent::scope::Scope;
use hardway::kernel::cgroup::{self, Hierarchy, Layout, Version};
use hardway::kernel::hierarchy::{self, Known};
use hardway::kernel::host::{Mode, Offer};
use hardway::lesson::Need;

use super::{Finding, State, Topic};

const MOUNTS: &str = "/proc/self/mountinfo";

const TABLE: &str = "/proc/cgroups";

/// Everything about cgroups: with the places where this person may make some, the controllers for which the keeper can make
/// hierarchies, and the group that hardway runs in.
pub(super) fn findings(places: &[Hierarchy], unmounted: &[String], scope: Option<&Scope>) -> Vec<Finding> {
    let layout = cgroup::layout();
    let words = match layout {
        Layout::None => "not mounted",
        Layout::V1 => "version 1",
        Layout::Hybrid => "hybrid: version 1 with controllers, version 2 beside it",
        Layout::V2 => "version 2",
    };
    let mut findings = vec![Finding::new(Topic::Cgroups, "mode", State::Note, words, MOUNTS)];
    findings.push(own(places));
    if layout == Layout::V2 {
        findings.extend(places.first().map(|place| below(&place.own, scope)));
        if let Some(why) = scope.and_then(Scope::refused) {
            let value = format!("asked for a group of hardway's own, it made none: {why}");
            findings.push(Finding::new(Topic::Cgroups, "systemd", State::Note, value, "StartTransientUnit, on D-Bus"));
        }
    }
    findings.extend(controllers(places, unmounted));
    findings.extend(newer());
    findings
}

/// The group below which lab hosts get theirs.
fn own(places: &[Hierarchy]) -> Finding {
    let source = "/proc/self/cgroup; access of the group's directory and cgroup.procs";
    match places.first() {
        Some(place) => {
            let group = place.own.to_string_lossy();
            let value = format!("{} is yours: lab hosts get a group below it", group.trim_end_matches('/'));
            Finding::new(Topic::Cgroups, "own group", State::Good, value, source)
        }
        None => {
            // The mode is of no matter to this need.
            let why = Need::OwnCgroup
                .unmet(&Offer {
                    mode: Mode::Root,
                    cgroups: Vec::new(),
                    unmounted: Vec::new(),
                    real_host: false,
                    network: None,
                    device_programs: false,
                    nf_tables: false,
                })
                .unwrap_or_default();
            Finding::new(Topic::Cgroups, "own group", State::Limited, "none in which you may make others", source)
                .fix(format!("a step that needs one says: {why}"))
        }
    }
}

/// The controllers that groups of lessons have, and who saw to that.
fn below(group: &Path, scope: Option<&Scope>) -> Finding {
    let source = "cgroup.subtree_control of that group";
    let given = cgroup::handed_down(group).join(" ");
    if given.is_empty() {
        let fix = "start hardway alone in a group that has controllers, or where systemd can make it one";
        let value = "groups have no controllers";
        return Finding::new(Topic::Cgroups, "below it", State::Limited, value, source).fix(fix);
    }
    let how = match scope {
        Some(scope) if scope.is_by_systemd() => "; systemd, asked for it, made that group for hardway alone",
        Some(scope) if scope.group().is_some() => "; hardway is alone in that group, and moves to a leaf of it",
        _ => "",
    };
    Finding::new(Topic::Cgroups, "below it", State::Good, format!("groups have {given}{how}"), source)
}

/// A controller of version 1, and what became of it in version 2.
struct Controller {
    /// The kernel's name for it in version 1.
    name: &'static str,
    /// Its name in version 2, or how every group there does the same.
    v2: V2,
    /// With what the kernel must be built.
    option: &'static str,
}

enum V2 {
    Named(&'static str),
    Everywhere(&'static str),
    None(&'static str),
}

const BPF: &str = "nft (socket cgroupv2) and BPF look at the group itself";

/// All controllers of version 1 (cgroups(7)).
const ALL: [Controller; 12] = [
    Controller { name: "cpu", v2: V2::Named("cpu"), option: "CONFIG_CGROUP_SCHED" },
    Controller { name: "cpuacct", v2: V2::Everywhere("cpu.stat of every group"), option: "CONFIG_CGROUP_CPUACCT" },
    Controller { name: "cpuset", v2: V2::Named("cpuset"), option: "CONFIG_CPUSETS" },
    Controller { name: "memory", v2: V2::Named("memory"), option: "CONFIG_MEMCG" },
    Controller { name: "pids", v2: V2::Named("pids"), option: "CONFIG_CGROUP_PIDS" },
    Controller { name: "blkio", v2: V2::Named("io"), option: "CONFIG_BLK_CGROUP" },
    Controller {
        name: "devices",
        v2: V2::Everywhere("a BPF program on the group decides, there is no file"),
        option: "CONFIG_CGROUP_DEVICE",
    },
    Controller { name: "freezer", v2: V2::Everywhere("cgroup.freeze of every group"), option: "CONFIG_CGROUP_FREEZER" },
    Controller { name: "net_cls", v2: V2::None(BPF), option: "CONFIG_CGROUP_NET_CLASSID" },
    Controller { name: "net_prio", v2: V2::None(BPF), option: "CONFIG_CGROUP_NET_PRIO" },
    Controller {
        name: "perf_event",
        v2: V2::Everywhere("perf_event_open takes the directory of any group, there is no file"),
        option: "CONFIG_CGROUP_PERF",
    },
    Controller { name: "hugetlb", v2: V2::Named("hugetlb"), option: "CONFIG_CGROUP_HUGETLB" },
];

/// A finding for each of them: in which version it is and where, or why it is in none and how to get it.
fn controllers(places: &[Hierarchy], unmounted: &[String]) -> Vec<Finding> {
    let visible = cgroup::hierarchies();
    let v2 = visible.iter().find(|one| one.version == Version::V2);
    let known = hierarchy::known();
    ALL.iter()
        .map(|one| controller(one, &visible, v2, places, known.iter().find(|it| it.name == one.name), unmounted))
        .collect()
}

fn controller(
    one: &Controller,
    visible: &[Hierarchy],
    v2: Option<&Hierarchy>,
    places: &[Hierarchy],
    known: Option<&Known>,
    unmounted: &[String],
) -> Finding {
    let finding = |state, value: String, source: &str| Finding::new(Topic::Cgroups, one.name, state, value, source);
    if let Some(v1) = visible.iter().find(|it| it.version == Version::V1 && it.has(one.name)) {
        return finding(State::Note, format!("version 1, {}", v1.mount.display()), MOUNTS);
    }
    let makes = unmounted.iter().any(|name| name == one.name);
    let ours = if makes { "; a lesson that wants it gets a hierarchy of version 1 for its lab host alone" } else { "" };
    match (&one.v2, v2) {
        (V2::Named(name), Some(v2)) if cgroup::controllers(&v2.mount).iter().any(|it| it == name) => {
            let file = v2.mount.join("cgroup.controllers");
            let called = if *name == one.name { String::new() } else { format!(" as {name}") };
            let given = cgroup::home_of(name, places).is_some();
            let rest = if given || makes { ours } else { ", not given to your group" };
            let value = format!("version 2{called}, {}{rest}", v2.mount.display());
            return finding(State::Note, value, &file.display().to_string());
        }
        (V2::Everywhere(how), Some(_)) if known.is_none_or(|known| known.hierarchy == 0) => {
            return finding(State::Note, format!("version 2: {how}{ours}"), TABLE);
        }
        _ => {}
    }
    match known {
        None => finding(State::Limited, "this kernel was built without it".to_owned(), TABLE)
            .fix(format!("a kernel with {}, as distributions build it", one.option)),
        Some(known) if !known.enabled => {
            finding(State::Limited, "switched off when the machine was started".to_owned(), TABLE)
                .fix(format!("start the machine without cgroup_disable={}", one.name))
        }
        Some(_) if makes => finding(State::Good, format!("in the kernel, mounted nowhere{ours}"), TABLE),
        Some(_) => match &one.v2 {
            V2::None(instead) if !visible.iter().any(|it| it.version == Version::V1) => {
                finding(State::Note, format!("not in version 2: {instead}"), TABLE)
            }
            _ => finding(State::Limited, "in the kernel, mounted nowhere".to_owned(), TABLE)
                .fix("with sudo, on Linux 5.15 and later, hardway makes a hierarchy for lab hosts that want it"),
        },
    }
}

/// A finding for each controller that version 2 alone has: rdma, misc.
fn newer() -> Vec<Finding> {
    let visible = cgroup::hierarchies();
    let Some(v2) = visible.iter().find(|one| one.version == Version::V2) else { return Vec::new() };
    let is_old = |name: &String| ALL.iter().any(|one| matches!(one.v2, V2::Named(old) if old == name));
    let value = format!("version 2, {}", v2.mount.display());
    let source = v2.mount.join("cgroup.controllers").display().to_string();
    let names = cgroup::controllers(&v2.mount).into_iter().filter(|name| !is_old(name));
    names.map(|name| Finding::new(Topic::Cgroups, name, State::Note, value.clone(), &source)).collect()
}

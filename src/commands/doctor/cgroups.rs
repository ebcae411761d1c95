//! Cgroups: how they are mounted, where each controller lives, and where a lab host may have a group of its own.

use std::path::Path;

use hardway::agent::scope::Scope;
use hardway::kernel::cgroup::{self, Hierarchy, Layout, Version};
use hardway::kernel::host::{Mode, Offer};
use hardway::lesson::Need;

use super::machine::text;
use super::{Finding, State, Topic};

const MOUNTS: &str = "/proc/self/mountinfo";

/// Everything about cgroups: with the places where this person may make some, and the group that hardway runs in.
pub(super) fn findings(places: &[Hierarchy], scope: Option<&Scope>) -> Vec<Finding> {
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
    for hierarchy in cgroup::hierarchies() {
        findings.extend(controllers(&hierarchy));
    }
    let not_mounted = not_mounted(&findings);
    if !not_mounted.is_empty() {
        let value = format!("in the kernel, but in no hierarchy: {}", not_mounted.join(", "));
        findings.push(Finding::new(Topic::Cgroups, "not mounted", State::Note, value, "/proc/cgroups"));
    }
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
                .unmet(&Offer { mode: Mode::Root, cgroups: Vec::new(), unmounted: Vec::new(), real_host: false })
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

/// A finding for each controller of a hierarchy.
fn controllers(hierarchy: &Hierarchy) -> Vec<Finding> {
    let finding =
        |name: &str, value: String, source: &str| Finding::new(Topic::Cgroups, name, State::Note, value, source);
    let mount = hierarchy.mount.display();
    if hierarchy.version == Version::V1 {
        let names = hierarchy.options.split(',').filter(|name| !name.starts_with("name="));
        return names.map(|name| finding(name, format!("version 1, {mount}"), MOUNTS)).collect();
    }
    let file = hierarchy.mount.join("cgroup.controllers");
    let own = text(hierarchy.own.join("cgroup.controllers")).unwrap_or_default();
    let all = text(&file).unwrap_or_default();
    let given = |name: &str| if own.split(' ').any(|one| one == name) { "" } else { ", not given to your group" };
    all.split_whitespace()
        .map(|name| finding(name, format!("version 2, {mount}{}", given(name)), &file.display().to_string()))
        .collect()
}

/// Controllers that the kernel has and that are in no hierarchy.
fn not_mounted(found: &[Finding]) -> Vec<String> {
    let table = text("/proc/cgroups").unwrap_or_default();
    let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            (fields.get(3) == Some(&"1")).then(|| fields[0].to_owned())
        })
        // On version 2 these have become BPF programs, or are always there.
        .filter(|name| {
            !(v2 && ["devices", "freezer", "cpuacct", "perf_event", "net_cls", "net_prio"].contains(&name.as_str()))
        })
        // The table calls by another name what version 2 calls io.
        .filter(|name| !found.iter().any(|one| one.name == *name || (name == "blkio" && one.name == "io")))
        .collect()
}

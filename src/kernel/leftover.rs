//! What a run has left on the machine: the comparison behind the promise that nothing is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// What this process can see of the machine: its mounts, its network links, and the roles of hardway that run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footprint {
    mounts: BTreeSet<String>,
    links: BTreeSet<String>,
    roles: BTreeSet<String>,
}

impl Footprint {
    /// Looks at the machine now.
    pub fn take() -> Self {
        Self { mounts: lines("/proc/self/mountinfo"), links: names("/sys/class/net"), roles: roles() }
    }

    /// What is there now and was not when this was taken. Another session of hardway may have begun meanwhile: what lives
    /// under a keeper that is not this process's child belongs to it.
    pub fn compare(&self) -> Vec<String> {
        let now = Self::take();
        let new = |kind: &str, now: &BTreeSet<String>, before: &BTreeSet<String>| {
            now.difference(before).map(|one| format!("{kind}: {one}")).collect::<Vec<_>>()
        };
        let mut left = new("mount", &now.mounts, &self.mounts);
        left.extend(new("link", &now.links, &self.links));
        left.extend(new("process", &now.roles, &self.roles));
        left
    }
}

/// Processes that are roles of hardway, by the names that they give themselves, and have no keeper but this process's.
fn roles() -> BTreeSet<String> {
    let processes: BTreeMap<i32, Role> = names("/proc")
        .into_iter()
        .filter_map(|name| {
            let pid = name.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, role(&stat)?))
        })
        .collect();
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    processes
        .iter()
        .filter(|(pid, role)| role.comm.starts_with("hw-") && !of_another_keeper(&processes, **pid, own))
        .map(|(pid, role)| format!("{pid} {}", role.comm))
        .collect()
}

/// What `/proc/PID/stat` says of a process: its name and its parent.
struct Role {
    comm: String,
    parent: i32,
}

fn role(stat: &str) -> Option<Role> {
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let parent = stat.get(close + 1..)?.split_whitespace().nth(1)?.parse().ok()?;
    Some(Role { comm: stat.get(open + 1..close)?.to_owned(), parent })
}

/// Whether a process is, or descends from, a keeper that another process than `own` has started.
fn of_another_keeper(processes: &BTreeMap<i32, Role>, pid: i32, own: i32) -> bool {
    let mut next = Some(pid);
    // As many turns as there are processes: what was read one by one need not be a tree.
    for _ in 0..processes.len() {
        let Some(role) = next.and_then(|pid| processes.get(&pid)) else { return false };
        if role.comm == "hw-keeper" {
            return role.parent != own;
        }
        next = Some(role.parent);
    }
    false
}

fn lines(path: &str) -> BTreeSet<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn names(path: &str) -> BTreeSet<String> {
    fs::read_dir(path).map_or_else(
        |_| BTreeSet::new(),
        |entries| entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_told_apart_by_their_keepers() {
        let of =
            |text: &str, parent| role(&format!("7 ({text}) S {parent} 1 1 0")).map(|role| (role.comm, role.parent));
        assert_eq!(of("a) (b", 4), Some(("a) (b".into(), 4)));
        assert!(role("7 (no").is_none());
        let process = |pid: i32, comm: &str, parent: i32| (pid, Role { comm: comm.into(), parent });
        let processes = BTreeMap::from([
            process(10, "hardway", 1),
            process(11, "hw-keeper", 10),
            process(12, "hw-agent", 11),
            process(20, "hardway", 1),
            process(21, "hw-keeper", 20),
            process(22, "hw-agent", 21),
            process(23, "hw-worker", 22),
            process(32, "hw-agent", 1),
        ]);
        for (pid, other) in [(11, false), (12, false), (21, true), (23, true), (32, false)] {
            assert_eq!(of_another_keeper(&processes, pid, 10), other, "{pid}");
        }
    }
}

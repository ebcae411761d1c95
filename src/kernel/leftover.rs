//! What a run has left on the machine: the comparison behind the promise that nothing is.

use std::collections::BTreeSet;
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

    /// What is there now and was not when this was taken. Processes of other sessions of hardway that began meanwhile are
    /// not told apart from this one's.
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

/// Processes that are roles of hardway, by the names that they give themselves.
fn roles() -> BTreeSet<String> {
    names("/proc")
        .into_iter()
        .filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|pid| {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            comm.starts_with("hw-").then(|| format!("{pid} {}", comm.trim()))
        })
        .collect()
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

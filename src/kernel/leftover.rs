//! What a run has left on the machine: the comparison behind the promise that nothing is.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::identity::ProcessIdentity;

/// What this process can see of the machine that a lab host must not change: its mounts and its network links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footprint {
    mounts: BTreeSet<String>,
    links: BTreeSet<String>,
}

impl Footprint {
    /// Looks at the machine now.
    pub fn take() -> Self {
        Self { mounts: lines("/proc/self/mountinfo"), links: names("/sys/class/net") }
    }

    /// What is there now and was not when this was taken.
    pub fn compare(&self) -> Vec<String> {
        let now = Self::take();
        let new = |kind: &str, now: &BTreeSet<String>, before: &BTreeSet<String>| {
            now.difference(before).map(|one| format!("{kind}: {one}")).collect::<Vec<_>>()
        };
        let mut left = new("mount", &now.mounts, &self.mounts);
        left.extend(new("link", &now.links, &self.links));
        left
    }
}

/// By what the remains of one lab host could be told: its init, and the pid namespace that everything in it is below of. A lab
/// host that is the machine itself has only its init; what was below that is the affair of its cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabMark {
    init: Option<ProcessIdentity>,
    pid_namespace: Option<PathBuf>,
}

impl LabMark {
    /// The mark of the lab host that this process is the init of.
    pub fn of(init: i32) -> Self {
        let namespace = |of: &str| fs::read_link(format!("/proc/{of}/ns/pid")).ok();
        let foreign = namespace(&init.to_string()).filter(|it| Some(it) != namespace("self").as_ref());
        Self { init: ProcessIdentity::of(init), pid_namespace: foreign }
    }

    /// Its init and all others in its pid namespace, as long as that init is there: it is not gone before all of them are
    /// (pid_namespaces(7)). After that the namespace's number says nothing: the kernel gives it to the next one.
    pub fn left(&self) -> Vec<String> {
        let Some(init) = self.init.as_ref().filter(|init| init.open().is_some()) else { return Vec::new() };
        let members = names("/proc").into_iter().filter(|pid| {
            let namespace = fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
            namespace.is_some() && namespace == self.pid_namespace
        });
        let mut left = vec![format!("process: {}, init of a lab host", init.pid)];
        left.extend(members.map(|pid| format!("process: {pid}, in a lab host")));
        left
    }
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
    fn what_lives_is_told_and_what_ended_is_not() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep runs");
        let mark = LabMark::of(i32::try_from(child.id()).expect("a pid"));
        assert!(mark.left().iter().any(|one| one.contains("init of a lab host")));
        // Its pid namespace is not one of a lab host: what else is in it does not count.
        assert_eq!(mark.left().len(), 1);
        child.kill().expect("killed");
        child.wait().expect("waited");
        assert!(!mark.left().iter().any(|one| one.contains("init of a lab host")));
    }
}

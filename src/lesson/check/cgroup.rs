//! In which cgroups processes are, seen from outside and from inside, and which groups there are below the lab host's own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Predicate, Probe, Seen, View, inode, value};
use crate::kernel::namespace::Namespace;
use crate::probe::cgroups::Inside;

/// A process is in this group, as the lab host sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// Who.
    pub of: String,
    /// The group's path from the lab host's own group: `/web`; `/` for that one.
    pub is: String,
    /// The controller whose hierarchy of version 1 is meant; none for that at `/lab/cgroup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v1: Option<String>,
}

impl Predicate for In {
    fn claim(&self) -> String {
        format!("the lab host sees {} in the cgroup {}{}", self.of, self.is, of(self.v1.as_deref()))
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let seen = outside(view, &self.of, self.v1.as_deref())?;
        Ok((seen == self.is, format!("it is in {seen}")))
    }
}

/// The path of a process's group, as the lab host sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Path {
    /// Whose.
    pub of: String,
}

impl Probe for Path {
    fn words(&self) -> String {
        format!("the cgroup in which the lab host sees {}", self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        outside(view, &self.of, None)
    }
}

/// A process sees itself in this group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InsideIs {
    /// Who.
    pub of: String,
    /// The group's path from the root of its cgroup namespace.
    pub is: String,
}

impl Predicate for InsideIs {
    fn claim(&self) -> String {
        format!("{} sees itself in the cgroup {}", self.of, self.is)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let seen = by(view, &self.of, &self.of)?;
        Ok((seen == self.is, format!("it sees {seen}")))
    }
}

/// The path of a process's group, as a process sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathSeen {
    /// Whose: the host's, or that of the process itself.
    pub of: String,
    /// By whom.
    pub by: String,
}

impl Probe for PathSeen {
    fn words(&self) -> String {
        format!("the cgroup in which {} sees {}", self.by, self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        by(view, &self.of, &self.by)
    }
}

/// There is a group below the lab host's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exists {
    /// Its path from there: `/web`.
    pub path: String,
    /// The controller whose hierarchy of version 1 is meant; none for that at `/lab/cgroup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v1: Option<String>,
}

impl Predicate for Exists {
    fn claim(&self) -> String {
        format!("there is a cgroup {}", self.path)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        groups(view, &self.path, self.v1.as_deref())
    }
}

/// There is no such group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gone {
    /// Its path: `/web`.
    pub path: String,
    /// The controller whose hierarchy of version 1 is meant; none for that at `/lab/cgroup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v1: Option<String>,
}

impl Predicate for Gone {
    fn claim(&self) -> String {
        format!("there is no cgroup {}", self.path)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        groups(view, &self.path, self.v1.as_deref()).map(|(there, seen)| (!there, seen))
    }
}

/// A mount of the lab host's hierarchy has this group for its root, as a process sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mounted {
    /// Who sees it.
    pub of: String,
    /// Where it is mounted; left out: where `/lab/cgroup` leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The root, as mountinfo has it.
    pub root: String,
}

impl Predicate for Mounted {
    fn claim(&self) -> String {
        let at = self.at.as_deref().unwrap_or("/lab/cgroup");
        format!("{} sees a cgroup mount on {at}, whose root is {}", self.of, self.root)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let seen = root(view, &self.of, self.at.as_deref())?;
        Ok((seen == self.root, format!("its root is {seen}")))
    }
}

/// Which group is the root of the lab host's cgroup mount, as a process sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MountRoot {
    /// Who sees it.
    pub of: String,
}

impl Probe for MountRoot {
    fn words(&self) -> String {
        format!("the root of the mount that /lab/cgroup leads to, as {} sees it", self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        root(view, &self.of, None)
    }
}

/// How many hierarchies a process is in: the lines of its cgroup file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hierarchies {
    /// Who.
    pub of: String,
}

impl Probe for Hierarchies {
    fn words(&self) -> String {
        format!("the number of cgroup hierarchies that {} is in", self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        let pid = view.living(&self.of)?.pid;
        Ok(value(view.observation.cgroups.memberships.get(&pid))?.len().to_string())
    }
}

pub(super) const NO_GROUP: &str = "the lab host has no cgroup of its own here";

/// The path of a process's group in the lab host's hierarchy, as the lab host sees it.
fn outside(view: &View<'_>, of: &str, v1: Option<&str>) -> Seen<String> {
    let cgroups = &view.observation.cgroups;
    let list = value(cgroups.memberships.get(&view.living(of)?.pid))?;
    cgroups.path_in(list, v1).map(str::to_owned).ok_or_else(|| NO_GROUP.to_owned())
}

/// What the members of a process's cgroup namespace see.
fn inside<'a>(view: &View<'a>, by: &str) -> Seen<&'a Inside> {
    value(view.observation.cgroups.inside.get(&inode(view.living(by)?, Namespace::Cgroup)?))
}

fn by(view: &View<'_>, of: &str, by: &str) -> Seen<String> {
    let list = value(inside(view, by)?.memberships.get(&view.living(of)?.pid))?;
    view.observation.cgroups.own_path(list).map(str::to_owned).ok_or_else(|| NO_GROUP.to_owned())
}

/// The root of the uppermost mount at a place.
fn root(view: &View<'_>, of: &str, at: Option<&str>) -> Seen<String> {
    let own = view.observation.cgroups.own.as_ref().ok_or(NO_GROUP)?;
    let at = at.map_or_else(|| own.mount.display().to_string(), str::to_owned);
    let mounts = value(inside(view, of)?.mounts.get(&view.namespace(of, Namespace::Mnt)?))?;
    mounts.get(&at).cloned().ok_or_else(|| format!("no mount of this hierarchy is on {at}"))
}

/// Whether there is a group, and which there are.
fn groups(view: &View<'_>, path: &str, v1: Option<&str>) -> Seen<(bool, String)> {
    let cgroups = &view.observation.cgroups;
    cgroups.own.as_ref().ok_or(NO_GROUP)?;
    let all = cgroups.groups.keys().cloned().collect::<Vec<_>>().join(" ");
    let seen = if all.is_empty() { "there are none".to_owned() } else { format!("there are {all}") };
    Ok((cgroups.group(path, v1).is_some(), seen))
}

/// The words for the hierarchy of a controller.
pub(super) fn of(v1: Option<&str>) -> String {
    v1.map_or_else(String::new, |controller| format!(" of {controller}"))
}

//! What groups get: their files, how many processes they have, and on which processors these may run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cgroup::{NO_GROUP, of};
use super::{Predicate, Probe, Seen, View, value};
use crate::probe::cgroups::{Group, files};

/// A file of a group says this, or has this number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileIs {
    /// The group's path from the lab host's own: `/web`.
    pub cgroup: String,
    /// The controller whose hierarchy of version 1 is meant; none for that at `/lab/cgroup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v1: Option<String>,
    /// The file: `memory.max`.
    pub file: String,
    /// The word before the number that is meant: `rbps`; `MAJ:MIN` for the one behind that of the first disk. Without it the whole
    /// text is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its text, one line, without the line end; or the number.
    pub is: String,
}

impl Predicate for FileIs {
    fn claim(&self) -> String {
        let key = self.key.as_ref().map_or_else(String::new, |key| format!("{key} in "));
        format!("{key}{} of the cgroup {}{} is {}", self.file, self.cgroup, of(self.v1.as_deref()), self.is)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let seen = say(view, &self.cgroup, self.v1.as_deref(), &self.file, self.key.as_deref())?;
        Ok((seen == self.is, format!("it is {seen}")))
    }
}

/// A number in a file of a group is at least this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AtLeast {
    /// The group's path from the lab host's own: `/web`.
    pub cgroup: String,
    /// The controller whose hierarchy of version 1 is meant; none for that at `/lab/cgroup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v1: Option<String>,
    /// The file: `memory.events`.
    pub file: String,
    /// The word before the number, where the file has several: `oom_kill`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The least that it must be.
    pub is: u64,
}

impl Predicate for AtLeast {
    fn claim(&self) -> String {
        let key = self.key.as_ref().map_or_else(String::new, |key| format!("{key} in "));
        format!("{key}{} of the cgroup {}{} is at least {}", self.file, self.cgroup, of(self.v1.as_deref()), self.is)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let seen = number(view, &self.cgroup, self.v1.as_deref(), &self.file, self.key.as_deref())?;
        Ok((seen >= self.is, format!("it is {seen}")))
    }
}

/// A number in a file of one group is so many times that of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// The group with more.
    pub more: String,
    /// The group with less.
    pub less: String,
    /// The controller whose hierarchy of version 1 is meant; none for that at `/lab/cgroup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v1: Option<String>,
    /// The file: `cpu.stat`.
    pub file: String,
    /// The word before the number, where the file has several: `usage_usec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The least that the one must be of the other, in percent.
    pub percent: u64,
}

impl Predicate for Times {
    fn claim(&self) -> String {
        let Self { more, less, file, percent, .. } = self;
        format!("{file} of the cgroup {more} counts at least {percent} % of that of {less}{}", of(self.v1.as_deref()))
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let of = |group: &str| number(view, group, self.v1.as_deref(), &self.file, self.key.as_deref());
        let (more, less) = (of(&self.more)?, of(&self.less)?);
        let holds = less > 0 && u128::from(more) * 100 >= u128::from(less) * u128::from(self.percent);
        Ok((holds, format!("they count {more} and {less}")))
    }
}

/// So many processes are in a group, not counting those in groups below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Members {
    /// The group's path from the lab host's own: `/web`.
    pub cgroup: String,
    /// The controller whose hierarchy of version 1 is meant; none for that at `/lab/cgroup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v1: Option<String>,
    /// How many.
    pub is: usize,
}

impl Predicate for Members {
    fn claim(&self) -> String {
        format!("{} processes are in the cgroup {}{}", self.is, self.cgroup, of(self.v1.as_deref()))
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let seen = value(Some(&group(view, &self.cgroup, self.v1.as_deref())?.members))?.len();
        Ok((seen == self.is, format!("there are {seen}")))
    }
}

/// What a file of a group says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The group's path from the lab host's own: `/web`.
    pub cgroup: String,
    /// The controller whose hierarchy of version 1 is meant; none for that at `/lab/cgroup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v1: Option<String>,
    /// The file: `pids.current`.
    pub file: String,
    /// The word before the number, where the file has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Probe for File {
    fn words(&self) -> String {
        let key = self.key.as_ref().map_or_else(String::new, |key| format!("{key} in "));
        format!("{key}{} of the cgroup {}{}", self.file, self.cgroup, of(self.v1.as_deref()))
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        say(view, &self.cgroup, self.v1.as_deref(), &self.file, self.key.as_deref())
    }
}

/// The processors on which a process may run (`Cpus_allowed_list` of proc_pid_status(5)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpusAllowed {
    /// Who.
    pub of: String,
    /// The list: `0`, `0-3`.
    pub is: String,
}

impl Predicate for CpusAllowed {
    fn claim(&self) -> String {
        format!("{} may run on the processors {}", self.of, self.is)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let seen = &view.living(&self.of)?.cpus_allowed;
        Ok((*seen == self.is, format!("it may run on {seen}")))
    }
}

pub(super) fn group<'a>(view: &View<'a>, path: &str, v1: Option<&str>) -> Seen<&'a Group> {
    view.observation.cgroups.own.as_ref().ok_or(NO_GROUP)?;
    view.observation.cgroups.group(path, v1).ok_or_else(|| format!("there is no cgroup {path}{}", of(v1)))
}

fn text(view: &View<'_>, path: &str, v1: Option<&str>, file: &str) -> Seen<String> {
    let text = group(view, path, v1)?.files.get(file).ok_or_else(|| format!("the cgroup {path} has no file {file}"))?;
    value(Some(text)).cloned()
}

/// What a file says: all of it, or the number behind a word.
fn say(view: &View<'_>, path: &str, v1: Option<&str>, file: &str, key: Option<&str>) -> Seen<String> {
    match key {
        None => text(view, path, v1, file),
        Some(_) => number(view, path, v1, file, key).map(|it| it.to_string()),
    }
}

fn number(view: &View<'_>, path: &str, v1: Option<&str>, file: &str, key: Option<&str>) -> Seen<u64> {
    let text = text(view, path, v1, file)?;
    files::number(&text, key).ok_or_else(|| format!("{file} says {text}"))
}

//! Devices of a cgroup of version 2: the BPF programs on it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limit::group;
use super::{Predicate, Probe, Seen, View, value};
use crate::runtime::device::{Rule, told};

/// One BPF program decides on the devices of a group, and its instructions are those of these rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The group's path from the lab host's own: `/web`.
    pub cgroup: String,
    /// What may be used: `c 1:3 rwm`. With none, no device.
    pub allow: Vec<Rule>,
}

impl Predicate for Rules {
    fn claim(&self) -> String {
        format!("by a BPF program, the cgroup {} may use {}", self.cgroup, told(&self.allow))
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let programs = value(group(view, &self.cgroup, None)?.device_programs.as_ref())?;
        Ok(match programs.as_slice() {
            [] => (false, "it has no program of its own".to_owned()),
            [one] if one.allows_just(&self.allow) => (true, format!("program {} does that", one.id)),
            [one] => (false, format!("the instructions of program {} are others", one.id)),
            several => (false, format!("it has {} programs", several.len())),
        })
    }
}

/// The id of the one BPF program on a group that decides on its devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Id {
    /// The group's path from the lab host's own: `/web`.
    pub cgroup: String,
}

impl Probe for Id {
    fn words(&self) -> String {
        format!("the id of the device program on the cgroup {}", self.cgroup)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        let programs = value(group(view, &self.cgroup, None)?.device_programs.as_ref())?;
        match programs.as_slice() {
            [one] => Ok(one.id.to_string()),
            several => Err(format!("the cgroup {} has {} programs", self.cgroup, several.len())),
        }
    }
}

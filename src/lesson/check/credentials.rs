//! Who a process is: ids outside and inside, id maps, capabilities, and whose files are.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Predicate, Probe, Seen, View, value};
use crate::kernel::namespace::Namespace;
use crate::probe::ids::seen_inside;
use crate::probe::{IdMap, Process, Reading, capabilities};
use crate::runtime::action::HOST;

/// The user id of a process, as the lab host knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UidIs {
    /// Whose.
    pub of: String,
    /// The id.
    pub is: u32,
}

impl Predicate for UidIs {
    fn claim(&self) -> String {
        format!("for the lab host {} is user {}", self.of, self.is)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let seen = effective(view.living(&self.of)?);
        Ok((seen == self.is, format!("{} is user {seen}", self.of)))
    }
}

/// The user id itself, as the lab host knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Uid {
    /// Whose.
    pub of: String,
}

impl Probe for Uid {
    fn words(&self) -> String {
        format!("the user id of {}, as the lab host knows it", self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        Ok(effective(view.living(&self.of)?).to_string())
    }
}

/// The user id of a process, as it is told itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UidInsideIs {
    /// Whose.
    pub of: String,
    /// The id.
    pub is: u32,
}

impl Predicate for UidInsideIs {
    fn claim(&self) -> String {
        format!("{} is told that it is user {}", self.of, self.is)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let seen = inside(view, &self.of)?;
        Ok((seen == self.is, format!("{} is told {seen}", self.of)))
    }
}

/// The user id itself, as the process is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UidInside {
    /// Whose.
    pub of: String,
}

impl Probe for UidInside {
    fn words(&self) -> String {
        format!("the user id that {} is told", self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        Ok(inside(view, &self.of)?.to_string())
    }
}

/// The user id outside for one inside a user namespace: for a process of the lab host's own, the id on the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdOutside {
    /// In whose user namespace.
    pub of: String,
    /// The id inside.
    pub id: u32,
}

impl Probe for IdOutside {
    fn words(&self) -> String {
        format!("the user id outside that stands behind {} in the user namespace of {}", self.id, self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        let map = value(Some(&view.living(&self.of)?.credentials.uid_map))?;
        let line = map.iter().find(|it| self.id >= it.inside && self.id - it.inside < it.count);
        let line = line.ok_or_else(|| format!("{} is not mapped", self.id))?;
        Ok((u64::from(line.outside) + u64::from(self.id - line.inside)).to_string())
    }
}

/// Users or groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ids {
    /// User ids, `uid_map`.
    Users,
    /// Group ids, `gid_map`.
    Groups,
}

impl Ids {
    fn word(self) -> &'static str {
        match self {
            Self::Users => "user",
            Self::Groups => "group",
        }
    }

    fn map(self, process: &Process) -> &Reading<Vec<IdMap>> {
        match self {
            Self::Users => &process.credentials.uid_map,
            Self::Groups => &process.credentials.gid_map,
        }
    }
}

/// An id inside has a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Maps {
    /// In whose user namespace.
    pub of: String,
    /// Users or groups.
    pub ids: Ids,
    /// The id inside.
    pub inside: u32,
}

impl Predicate for Maps {
    fn claim(&self) -> String {
        format!("in the user namespace of {} the {} id {} is mapped", self.of, self.ids.word(), self.inside)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let map = value(Some(self.ids.map(view.living(&self.of)?)))?;
        let holds = map.iter().any(|it| self.inside >= it.inside && self.inside - it.inside < it.count);
        Ok((holds, lines(map)))
    }
}

/// No id has a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoMap {
    /// In whose user namespace.
    pub of: String,
    /// Users or groups.
    pub ids: Ids,
}

impl Predicate for NoMap {
    fn claim(&self) -> String {
        format!("in the user namespace of {} no {} id is mapped", self.of, self.ids.word())
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let map = value(Some(self.ids.map(view.living(&self.of)?)))?;
        Ok((map.is_empty(), lines(map)))
    }
}

/// What `/proc/PID/setgroups` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setgroups {
    /// Whose.
    pub of: String,
    /// `allow` or `deny`.
    pub is: String,
}

impl Predicate for Setgroups {
    fn claim(&self) -> String {
        format!("setgroups says `{}` in the user namespace of {}", self.is, self.of)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let seen = value(Some(&view.living(&self.of)?.credentials.setgroups))?;
        Ok((*seen == self.is, format!("`{seen}`")))
    }
}

/// A capability is effective.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capable {
    /// Who.
    pub of: String,
    /// Its name: `CAP_SYS_ADMIN`.
    #[serde(deserialize_with = "known")]
    pub capability: String,
}

fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if capabilities::number(&name).is_none() {
        let what = format!("`{}` is not the name of a capability, as `CAP_SYS_ADMIN` is", name.escape_debug());
        return Err(de::Error::custom(what));
    }
    Ok(name)
}

impl Predicate for Capable {
    fn claim(&self) -> String {
        format!("{} has {}", self.of, self.capability)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let number = capabilities::number(&self.capability).ok_or("there is no such capability")?;
        let effective = view.living(&self.of)?.credentials.caps[2];
        Ok((effective >> number & 1 == 1, format!("CapEff of {}: {}", self.of, capabilities::words(effective))))
    }
}

/// A file belongs to the user that a process is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileOwnedBy {
    /// The file, in `/tmp`.
    pub path: String,
    /// Who.
    pub of: String,
}

impl Predicate for FileOwnedBy {
    fn claim(&self) -> String {
        format!("{} belongs to the user that {} is", self.path, self.of)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let uid = effective(view.living(&self.of)?);
        let owner = view.observation.files.get(&self.path).ok_or_else(|| format!("there is no {}", self.path))?;
        let seen = format!("for the lab host it belongs to {}, and {} is {uid}", owner.uid, self.of);
        Ok((owner.uid == uid, seen))
    }
}

fn effective(process: &Process) -> u32 {
    process.credentials.uid[1]
}

fn inside(view: &View<'_>, of: &str) -> Seen<u32> {
    let process = view.living(of)?;
    if view.namespace(of, Namespace::User)? == view.namespace(HOST, Namespace::User)? {
        return Ok(effective(process));
    }
    let told = seen_inside(view.observation, view.names, process);
    told.map(|(uid, _)| uid.number).ok_or_else(|| format!("the id maps of {of} could not be read"))
}

fn lines(map: &[IdMap]) -> String {
    let lines: Vec<String> = map.iter().map(|it| format!("{} {} {}", it.inside, it.outside, it.count)).collect();
    if lines.is_empty() { "the map is empty".to_owned() } else { lines.join(", ") }
}

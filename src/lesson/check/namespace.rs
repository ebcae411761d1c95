//! Which namespaces processes are in, and whether they share them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Predicate, Probe, Seen, View, value};
use crate::kernel::namespace::Namespace;
use crate::probe::{Process, Reading};

/// Two processes are in different namespaces of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Differs {
    /// Who.
    pub of: String,
    /// Which link.
    pub kind: Namespace,
    /// From whom.
    pub from: String,
}

impl Predicate for Differs {
    fn claim(&self) -> String {
        let Self { of, kind, from } = self;
        match for_children(*kind) {
            Some(kind) => format!("children of {of} are born into another {kind} namespace than those of {from}"),
            None => format!("{of} is in another {kind} namespace than {from}"),
        }
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let Self { of, kind, from } = self;
        let (one, other) = (view.namespace(of, *kind)?, view.namespace(from, *kind)?);
        Ok((one != other, format!("{of} {one}, {from} {other}")))
    }
}

/// Two processes are in the same namespace of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Same {
    /// Who.
    pub of: String,
    /// Which link.
    pub kind: Namespace,
    /// As whom.
    pub r#as: String,
}

impl Predicate for Same {
    fn claim(&self) -> String {
        let Self { of, kind, r#as } = self;
        match for_children(*kind) {
            Some(kind) => format!("children of {of} are born into the same {kind} namespace as those of {as}"),
            None => format!("{of} is in the same {kind} namespace as {as}"),
        }
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let Self { of, kind, r#as } = self;
        let (one, other) = (view.namespace(of, *kind)?, view.namespace(r#as, *kind)?);
        Ok((one == other, format!("{of} {one}, {as} {other}")))
    }
}

/// A namespace of a process is owned by the user namespace of a process: rights over the one are rights in the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnedBy {
    /// Whose namespace.
    pub of: String,
    /// Which link.
    pub kind: Namespace,
    /// Whose user namespace.
    pub by: String,
}

impl Predicate for OwnedBy {
    fn claim(&self) -> String {
        let Self { of, kind, by } = self;
        format!("the {kind} namespace of {of} is owned by the user namespace of {by}")
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let Self { of, kind, by } = self;
        let (namespace, user) = (view.namespace(of, *kind)?, view.namespace(by, Namespace::User)?);
        let owner = value(Some(&value(view.observation.ownership.get(&namespace))?.owner))?;
        Ok((*owner == user, format!("its owner is {owner}, {by} is in {user}")))
    }
}

/// How many namespace links of two processes differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HowManyDiffer {
    /// Who.
    pub of: String,
    /// From whom.
    pub from: String,
}

impl Probe for HowManyDiffer {
    fn words(&self) -> String {
        format!("the number of namespaces in which {} differs from {}", self.of, self.from)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        let (one, other) = (view.living(&self.of)?, view.living(&self.from)?);
        let mut count = 0;
        for kind in Namespace::ALL {
            count += usize::from(state(one, kind)? != state(other, kind)?);
        }
        Ok(count.to_string())
    }
}

/// The inode behind a link, or that there is none: `ENOENT` is a state of its own (`pid_for_children` before the first
/// fork). Any other reason for a missing link means that it can not be known.
fn state(process: &Process, kind: Namespace) -> Seen<Option<u64>> {
    match process.namespaces.0.get(&kind) {
        Some(Reading::Value(inode)) => Ok(Some(*inode)),
        Some(Reading::Missing(errno)) if errno.name() == "ENOENT" => Ok(None),
        None => Ok(None),
        Some(unknown @ (Reading::Missing(_) | Reading::Unreadable(_))) => Err(unknown.text(|_| String::new())),
    }
}

/// The kind of namespace behind a `…_for_children` link.
fn for_children(kind: Namespace) -> Option<&'static str> {
    kind.link().strip_suffix("_for_children")
}

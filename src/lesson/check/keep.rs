//! What keeps a namespace: a mount of its file, or another process (namespaces(7)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Predicate, Seen, View, inode, lives};
use crate::kernel::namespace::Namespace;
use crate::probe::Process;

/// A namespace is mounted on a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// Which kind.
    pub kind: Namespace,
    /// The file.
    pub at: String,
}

impl Predicate for Pinned {
    fn claim(&self) -> String {
        format!("a {} namespace is mounted on {}", self.kind, self.at)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let pin = pin(view, &self.at)?;
        Ok((pin.0 == self.kind.link(), format!("{}:[{}]", pin.0, pin.1)))
    }
}

/// A process is in the namespace that is mounted on a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InPinned {
    /// Who.
    pub of: String,
    /// Which kind.
    pub kind: Namespace,
    /// The file.
    pub at: String,
}

impl Predicate for InPinned {
    fn claim(&self) -> String {
        format!("{} is in the {} namespace that is mounted on {}", self.of, self.kind, self.at)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let (own, pin) = (view.namespace(&self.of, self.kind)?, pin(view, &self.at)?.1);
        Ok((own == pin, format!("{} is in {own}, mounted is {pin}", self.of)))
    }
}

/// No namespace of a kind is left but that of a process: neither held by another process nor by a mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoOther {
    /// Which kind.
    pub kind: Namespace,
    /// But whose.
    pub than: String,
}

impl Predicate for NoOther {
    fn claim(&self) -> String {
        format!("no {} namespace is left but that of {}", self.kind, self.than)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let own = view.namespace(&self.than, self.kind)?;
        let is_other = |it: &&Process| lives(it) && inode(it, self.kind).is_ok_and(|inode| inode != own);
        if let Some(other) = view.observation.processes.iter().find(is_other) {
            return Ok((false, format!("pid {} {} holds another one", other.pid, other.comm)));
        }
        let pins = &view.observation.pins;
        let pinned = pins.iter().find(|pin| pin.kind == self.kind.link() && pin.inode != own);
        Ok(pinned.map_or((true, "none".to_owned()), |pin| (false, format!("{} holds another one", pin.at))))
    }
}

/// A process shares a namespace with a program of this name, and not with the lab host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SharesWith {
    /// Who.
    pub of: String,
    /// Which kind.
    pub kind: Namespace,
    /// The name of the other's program.
    pub comm: String,
}

impl Predicate for SharesWith {
    fn claim(&self) -> String {
        let Self { of, kind, comm } = self;
        format!("{of} shares its {kind} namespace with `{comm}`, and not with the host")
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let Self { of, kind, comm } = self;
        let (own, host) = (view.namespace(of, *kind)?, view.namespace(crate::runtime::action::HOST, *kind)?);
        let me = view.living(of)?.pid;
        let is_other = |it: &&Process| lives(it) && it.pid != me && it.comm == *comm && inode(it, *kind) == Ok(own);
        let other = view.observation.processes.iter().find(is_other);
        let seen = match other {
            _ if own == host => format!("{of} is in the host's"),
            Some(other) => format!("`{comm}` is pid {}", other.pid),
            None => format!("`{comm}` is not in it"),
        };
        Ok((own != host && other.is_some(), seen))
    }
}

/// Kind and inode of the namespace that is mounted on a file.
fn pin<'a>(view: &View<'a>, at: &str) -> Seen<(&'a str, u64)> {
    // The last mount at a place covers the others.
    let pin = view.observation.pins.iter().rfind(|pin| pin.at == at);
    pin.map(|pin| (pin.kind.as_str(), pin.inode)).ok_or_else(|| format!("no namespace is mounted on {at}"))
}

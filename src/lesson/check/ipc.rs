//! What IPC namespaces hold, and what `/dev/shm` holds besides.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Predicate, Probe, Seen as Known, View, inode, value};
use crate::kernel::namespace::Namespace;
use crate::probe::Ipc;
use crate::probe::ipc::{SysvKind, plural};

/// Something that an IPC namespace holds any number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Segments of shared memory.
    Shm,
    /// Sets of semaphores.
    Sem,
    /// System V message queues.
    Msg,
    /// POSIX message queues.
    Posix,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::Shm => plural(SysvKind::Shm),
            Self::Sem => plural(SysvKind::Sem),
            Self::Msg => plural(SysvKind::Msg),
            Self::Posix => "POSIX message queues",
        }
    }

    fn count(self, view: &View<'_>, of: &str) -> Known<usize> {
        let ipc = held(view, of)?;
        let sysv = |kind: SysvKind| Ok(value(ipc.objects.get(&kind))?.len());
        match self {
            Self::Shm => sysv(SysvKind::Shm),
            Self::Sem => sysv(SysvKind::Sem),
            Self::Msg => sysv(SysvKind::Msg),
            Self::Posix => Ok(value(Some(&ipc.queues))?.len()),
        }
    }
}

/// So many objects of a kind are in the IPC namespace of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// Whose namespace.
    pub of: String,
    /// Of what.
    pub kind: Kind,
    /// How many.
    pub is: usize,
}

impl Predicate for Count {
    fn claim(&self) -> String {
        format!("the number of {} in the ipc namespace of {} is {}", self.kind.words(), self.of, self.is)
    }

    fn judge(&self, view: &View<'_>) -> Known<(bool, String)> {
        let count = self.kind.count(view, &self.of)?;
        Ok((count == self.is, format!("{count} {}", self.kind.words())))
    }
}

/// How many objects of a kind there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HowMany {
    /// Whose namespace.
    pub of: String,
    /// Of what.
    pub kind: Kind,
}

impl Probe for HowMany {
    fn words(&self) -> String {
        format!("the number of {} in the ipc namespace of {}", self.kind.words(), self.of)
    }

    fn read(&self, view: &View<'_>) -> Known<String> {
        Ok(self.kind.count(view, &self.of)?.to_string())
    }
}

/// There is a segment of this id and size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// In whose namespace.
    pub of: String,
    /// Its id there.
    pub id: i32,
    /// Its size.
    pub bytes: u64,
}

impl Predicate for Segment {
    fn claim(&self) -> String {
        let Self { of, id, bytes } = self;
        format!("shm segment {id} in the ipc namespace of {of} has {bytes} bytes")
    }

    fn judge(&self, view: &View<'_>) -> Known<(bool, String)> {
        let segments = value(held(view, &self.of)?.objects.get(&SysvKind::Shm))?;
        let size = segments.iter().find(|it| it.id == self.id).and_then(|it| it.number(SysvKind::Shm, "size"));
        Ok(match size {
            Some(bytes) => (bytes == self.bytes, format!("it has {bytes} bytes")),
            None => (false, format!("there is no segment {} in it", self.id)),
        })
    }
}

/// There is a POSIX message queue of this name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// In whose namespace.
    pub of: String,
    /// Its name, without the slash.
    pub name: String,
}

impl Predicate for Queue {
    fn claim(&self) -> String {
        format!("the ipc namespace of {} holds the POSIX message queue /{}", self.of, self.name)
    }

    fn judge(&self, view: &View<'_>) -> Known<(bool, String)> {
        let queues = value(Some(&held(view, &self.of)?.queues))?;
        let seen = if queues.is_empty() { "none".to_owned() } else { queues.join(" ") };
        Ok((queues.contains(&self.name), format!("POSIX queues: {seen}")))
    }
}

/// A limit of the IPC namespace has this value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Of whose namespace.
    pub of: String,
    /// The sysctl: `kernel.shmmni`.
    pub name: String,
    /// Its value, its numbers parted by one space.
    pub is: String,
}

impl Predicate for Limit {
    fn claim(&self) -> String {
        format!("{} is {} in the ipc namespace of {}", self.name, self.is, self.of)
    }

    fn judge(&self, view: &View<'_>) -> Known<(bool, String)> {
        let seen = value(held(view, &self.of)?.limits.get(&self.name))?;
        Ok((seen.split_whitespace().eq(self.is.split(' ')), format!("it is {}", seen.trim())))
    }
}

/// How many files `/dev/shm` shows to a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DevShm {
    /// To whom.
    pub of: String,
}

impl Probe for DevShm {
    fn words(&self) -> String {
        format!("the number of files in the /dev/shm that {} sees", self.of)
    }

    fn read(&self, view: &View<'_>) -> Known<String> {
        let mnt = inode(view.living(&self.of)?, Namespace::Mnt)?;
        let seen = view.observation.ipc_directories.get(&mnt).ok_or("it was not read")?;
        Ok(value(Some(&seen.shm))?.len().to_string())
    }
}

/// What the IPC namespace of a process holds.
fn held<'a>(view: &View<'a>, of: &str) -> Known<&'a Ipc> {
    value(view.observation.ipc.get(&inode(view.living(of)?, Namespace::Ipc)?))
}

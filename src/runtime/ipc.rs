//! System V IPC objects and POSIX message queues: what an IPC namespace holds (ipc_namespaces(7), sysvipc(7), mq_overview(7)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use crate::kernel::errno::Errno;
use crate::kernel::sys::ipc::{self as sys, SysvKind};
use crate::kernel::trace::{CallError, Trace};

/// The longest name of a POSIX message queue, in bytes (NAME_MAX).
const MAX_NAME: usize = 255;

/// The most bytes of a segment that a lesson makes: room enough, and no harm to the machine's memory.
const MAX_BYTES: u64 = 1 << 24;

/// Makes a segment of shared memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShmCreate {
    /// Who.
    pub r#in: String,
    /// The key by which programs find it.
    pub key: u32,
    /// Its size.
    pub bytes: u64,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for ShmCreate {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} makes a segment of {} bytes of shared memory in its ipc namespace", self.r#in, self.bytes)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("ipcmk --shmem {}", self.bytes))
    }

    fn once(&self) -> bool {
        true
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![held("a segment of shared memory", &self.r#in)]
    }

    fn misuses(&self) -> Vec<Misuse> {
        let what = format!("a segment of {} bytes", self.bytes);
        let odd = Misuse::new("bytes", what, format!("write 1 to {MAX_BYTES}"));
        if (1..=MAX_BYTES).contains(&self.bytes) { Vec::new() } else { vec![odd] }
    }
}

impl Perform for ShmCreate {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::shm_create(trace, self.key, self.bytes)?;
        Ok(Outcome::default())
    }
}

/// Looks for a segment of shared memory by its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShmFind {
    /// Who.
    pub r#in: String,
    /// The key.
    pub key: u32,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for ShmFind {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} asks its ipc namespace for the segment with the key {:#010x}", self.r#in, self.key)
    }

    fn shell(&self) -> Option<String> {
        // ipcrm finds the segment by its key; without any it says that the key is invalid.
        Some(format!("ipcrm --shmem-key {:#010x}", self.key))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        Vec::new()
    }
}

impl Perform for ShmFind {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::shm_find(trace, self.key)?;
        Ok(Outcome::default())
    }
}

/// Makes a set of semaphores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SemCreate {
    /// Who.
    pub r#in: String,
    /// The key by which programs find it.
    pub key: u32,
    /// How many semaphores it has.
    pub count: u16,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for SemCreate {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} makes a set of {} semaphores in its ipc namespace", self.r#in, self.count)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("ipcmk --semaphore {}", self.count))
    }

    fn once(&self) -> bool {
        true
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![held("a set of semaphores", &self.r#in)]
    }
}

impl Perform for SemCreate {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::sem_create(trace, self.key, self.count)?;
        Ok(Outcome::default())
    }
}

/// Makes a System V message queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MsgCreate {
    /// Who.
    pub r#in: String,
    /// The key by which programs find it.
    pub key: u32,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for MsgCreate {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} makes a message queue in its ipc namespace", self.r#in)
    }

    fn shell(&self) -> Option<String> {
        Some("ipcmk --queue".to_owned())
    }

    fn once(&self) -> bool {
        true
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![held("a message queue", &self.r#in)]
    }
}

impl Perform for MsgCreate {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::msg_create(trace, self.key)?;
        Ok(Outcome::default())
    }
}

/// Takes a System V IPC object away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IpcRemove {
    /// Who.
    pub r#in: String,
    /// Of which kind.
    pub kind: SysvKind,
    /// Its id.
    pub id: i32,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for IpcRemove {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} takes {} {} away", self.r#in, name(self.kind), self.id)
    }

    fn shell(&self) -> Option<String> {
        let option = match self.kind {
            SysvKind::Shm => "--shmem-id",
            SysvKind::Sem => "--semaphore-id",
            SysvKind::Msg => "--queue-id",
        };
        Some(format!("ipcrm {option} {}", self.id))
    }

    fn once(&self) -> bool {
        true
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect {
            what: format!("{} {} is gone from the ipc namespace of {}", name(self.kind), self.id, self.r#in),
            home: Home::Lab,
        }]
    }
}

impl Perform for IpcRemove {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::ipc_remove(trace, self.kind, self.id)?;
        Ok(Outcome::default())
    }
}

/// What a person calls an object of this kind.
fn name(kind: SysvKind) -> &'static str {
    match kind {
        SysvKind::Shm => "the segment of shared memory",
        SysvKind::Sem => "the set of semaphores",
        SysvKind::Msg => "the message queue",
    }
}

/// Makes a POSIX message queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MqCreate {
    /// Who.
    pub r#in: String,
    /// Its name, without the slash that programs write before it.
    pub name: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for MqCreate {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} makes the POSIX message queue /{} in its ipc namespace", self.r#in, self.name)
    }

    fn shell(&self) -> Option<String> {
        // The same queue only where the file system on /dev/mqueue was mounted from the actor's own ipc namespace.
        Some(format!("touch /dev/mqueue/{}", self.name))
    }

    fn once(&self) -> bool {
        true
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![held("a POSIX message queue", &self.r#in)]
    }

    fn misuses(&self) -> Vec<Misuse> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let good = !["", ".", ".."].contains(&self.name.as_str()) && self.name.len() <= MAX_NAME;
        if good && self.name.chars().all(plain) {
            return Vec::new();
        }
        let fix = "write letters, digits, hyphens and dots, without the slash: `jobs`";
        vec![Misuse::new("name", "this is no name of a queue", fix)]
    }
}

impl Perform for MqCreate {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        // Closed at once: the queue stays.
        drop(sys::mq_create(trace, &self.name)?);
        Ok(Outcome::default())
    }
}

/// An object in an ipc namespace.
fn held(what: &str, who: &str) -> Effect {
    Effect { what: format!("{what} in the ipc namespace of {who}"), home: Home::Lab }
}

//! Mounts (mount(2), mount_namespaces(7)).

use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Outcome, Perform};
use crate::kernel::errno::Errno;
use crate::kernel::sys::{self, MsFlags};
use crate::kernel::trace::{CallError, Trace};

/// Mounts a new proc on `/proc`: it shows the pid namespace of the process that mounts it (pid_namespaces(7)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountProc {
    /// Who.
    pub r#in: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for MountProc {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} mounts a new proc over /proc, which lists the processes of its own pid namespace", self.r#in)
    }

    fn shell(&self) -> Option<String> {
        Some("mount -t proc proc /proc".to_owned())
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("a mount on /proc in the mount namespace of {}", self.r#in), home: Home::Lab }]
    }
}

impl Perform for MountProc {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::mount(trace, "proc", "/proc", Some("proc"), MsFlags::empty(), None)?;
        Ok(Outcome::default())
    }
}

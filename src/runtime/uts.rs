//! The host name, a value of the UTS namespace (uts_namespaces(7), sethostname(2)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use super::process;
use crate::kernel::errno::Errno;
use crate::kernel::sys;
use crate::kernel::trace::{CallError, Trace};

/// The longest host name, in bytes (`__NEW_UTS_LEN` of the kernel).
const MAX_HOSTNAME: usize = 64;

/// Longer names are not even worth a try.
const MAX_TRIED: usize = 1024;

/// Sets the host name of the UTS namespace that the actor is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetHostname {
    /// Who.
    pub r#in: String,
    /// The name: at most 64 bytes.
    pub name: String,
    /// Try it in a child that has become this ordinary user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_user: Option<u32>,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for SetHostname {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let Self { r#in, name, .. } = self;
        match self.as_user {
            Some(id) => format!("a child of {in} becomes user {id} and tries to set the host name to {name:?}"),
            None => format!("{in} sets the host name of its uts namespace to {name:?}"),
        }
    }

    fn shell(&self) -> Option<String> {
        let name = &self.name;
        Some(match self.as_user {
            Some(id) => format!("setpriv --reuid {id} --regid {id} --clear-groups hostname {name}"),
            None => format!("hostname {name}"),
        })
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect {
            what: format!("the host name {:?} in the uts namespace of {}", self.name, self.r#in),
            home: Home::Lab,
        }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        let length = self.name.len();
        if length == 0 || length > MAX_TRIED || self.name.contains('\0') {
            return vec![Misuse::new("name", "this is no host name", "write one of 1 to 64 bytes")];
        }
        if length > MAX_HOSTNAME && self.fails_with.is_none() {
            let what = format!("a host name has at most {MAX_HOSTNAME} bytes; this one has {length}");
            return vec![Misuse::new("name", what, "shorten it, or say that it must fail: `fails_with: EINVAL`")];
        }
        Vec::new()
    }
}

impl Perform for SetHostname {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        match self.as_user {
            // In a child, because there is no way back from setresuid.
            Some(id) => process::in_child(trace, |trace| {
                sys::become_user(trace, id)?;
                sys::sethostname(trace, &self.name)
            })?,
            None => sys::sethostname(trace, &self.name)?,
        }
        Ok(Outcome::default())
    }
}

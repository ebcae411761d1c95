//! Whether somebody is there at all: an echo request (ping(8)).

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Mechanism, Outcome, Perform};
use crate::kernel::errno::Errno;
use crate::kernel::ping;
use crate::kernel::trace::{CallError, Trace};

/// Sends one echo request and waits for the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// Who.
    pub r#in: String,
    /// Whom: `10.0.0.2`.
    pub to: IpAddr,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for Ping {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} asks {} for an echo", self.r#in, self.to)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("/lab/work ping {}", self.to))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn only_asks(&self) -> bool {
        true
    }

    fn effects(&self) -> Vec<Effect> {
        Vec::new()
    }
}

impl Perform for Ping {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        ping::ping(trace, self.to)?;
        Ok(Outcome::default())
    }
}

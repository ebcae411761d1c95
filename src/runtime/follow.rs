//! A TCP connection, and where each of its packets was seen on its way (packet(7)).

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Mechanism, Outcome, Perform};
use super::process::in_child;
use crate::kernel::errno::Errno;
use crate::kernel::follow;
use crate::kernel::trace::{CallError, Trace};

/// Opens a TCP connection, closes it again, and tells where its packets were seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Follow {
    /// Who.
    pub r#in: String,
    /// Where to: `203.0.113.7:80`.
    pub to: SocketAddr,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for Follow {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} connects to {}, and each hop on the way is watched", self.r#in, self.to)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("/lab/work follow {}", self.to))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        Vec::new()
    }
}

impl Perform for Follow {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        // In a child, because it goes through the namespaces of others.
        let Some(followed) = in_child(trace, |trace| follow::follow(trace, self.to).map(Some))? else {
            let output = "the process that followed it has ended early".to_owned();
            return Ok(Outcome { output, status: Some(1) });
        };
        let output = followed.lines.join("\n");
        match followed.failed {
            Some(error) => {
                trace.tell(output);
                Err(error)
            }
            None => Ok(Outcome { output, status: None }),
        }
    }
}

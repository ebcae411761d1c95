//! Names of hosts: a server that knows some, and who asks one, as /etc/resolv.conf says (resolv.conf(5)).

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, HOST, Home, Mechanism, Misuse, Outcome, Perform};
use super::process::shell_words;
use crate::kernel::errno::Errno;
use crate::kernel::names::{self, Names};
use crate::kernel::sys::{self, Forked};
use crate::kernel::trace::{CallError, Trace};
use crate::kernel::{end_with_parent, stdio};

/// Serves names by DNS, for as long as the actor's program runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServeNames {
    /// Who: a box.
    pub r#in: String,
    /// Where: `10.12.0.1:53`.
    pub at: SocketAddr,
    /// The address of each name: `{ db: 10.12.0.3 }`.
    pub names: Names,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for ServeNames {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let known = self.names.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        format!("{} is a name server at {}, which knows {known}", self.r#in, self.at)
    }

    fn shell(&self) -> Option<String> {
        let names = self.names.iter().map(|(name, address)| format!("{name}={address}"));
        let words: Vec<String> = [self.at.to_string()].into_iter().chain(names).collect();
        Some(format!("/lab/work names {} &", shell_words(&words)))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let Self { r#in, at, .. } = self;
        vec![Effect { what: format!("a name server at {at}, a child of {in}"), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        if self.r#in == HOST {
            let what = "the lab host does each of its deeds in a process that ends, and the server with it";
            return vec![Misuse::new("in", what, "let a box be the name server")];
        }
        Vec::new()
    }
}

impl Perform for ServeNames {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        // Before the fork: from here on questions wait in the socket, so nobody has to wait for the child.
        let socket = sys::bind_udp(trace, self.at)?;
        match sys::clone3(trace, &[])? {
            Forked::Child => {
                end_with_parent();
                stdio::close_all_but(&[socket.as_fd()]);
                names::serve(&UdpSocket::from(socket), &self.names, None);
                stdio::exit_now(0)
            }
            Forked::Parent { .. } => Ok(Outcome::default()),
        }
    }
}

/// Asks for the addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// Who: its `/etc/resolv.conf` is read, and its network namespace is used.
    pub r#in: String,
    /// The name.
    pub name: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for Resolve {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} asks for the address of {}", self.r#in, self.name)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("/lab/work resolve {}", shell_words(std::slice::from_ref(&self.name))))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        Vec::new()
    }
}

impl Perform for Resolve {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let said = names::resolve(trace, &self.name).map_err(|unanswered| {
            trace.tell(unanswered.words());
            unanswered.error
        })?;
        Ok(Outcome { output: said.words(&self.name), status: said.addresses().is_empty().then_some(1) })
    }
}

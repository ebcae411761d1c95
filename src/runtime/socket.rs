//! TCP, as much of it as shows what a network namespace is: who can be reached, and who has a port (tcp(7)).

use std::net::SocketAddr;
use std::os::fd::IntoRawFd;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, HOST, Home, Mechanism, Misuse, Outcome, Perform};
use crate::kernel::errno::Errno;
use crate::kernel::sys::{self, BACKLOG};
use crate::kernel::trace::{CallError, Trace};

/// Opens a TCP connection, and closes it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// Who.
    pub r#in: String,
    /// Where to: `127.0.0.1:80`.
    pub to: SocketAddr,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for Connect {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} connects to {}", self.r#in, self.to)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("echo > /dev/tcp/{}/{}", self.to.ip(), self.to.port()))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        Vec::new()
    }
}

impl Perform for Connect {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        // Closed at once: only that there is a way counts.
        drop(sys::connect(trace, self.to)?);
        Ok(Outcome::default())
    }
}

/// Listens on a TCP port, for as long as the actor's program runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Who: a box.
    pub r#in: String,
    /// Where: `0.0.0.0:8080`, on every address.
    pub at: SocketAddr,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for Listen {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} listens on TCP port {}", self.r#in, self.at.port())
    }

    fn shell(&self) -> Option<String> {
        let port = self.at.port();
        let address = match self.at.ip() {
            ip if ip.is_unspecified() => String::new(),
            ip => format!(", LocalAddr => \"{ip}\""),
        };
        let listen = format!("IO::Socket::IP->new(Listen => {BACKLOG}, LocalPort => {port}{address})");
        Some(format!("perl -MIO::Socket::IP -e '{listen} && sleep' &"))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let Self { r#in, at, .. } = self;
        vec![Effect { what: format!("a listening socket at {at}, held by {in}"), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        if self.r#in == HOST {
            let what = "the lab host does each of its deeds in a process that ends, and the socket with it";
            return vec![Misuse::new("in", what, "let a box listen")];
        }
        Vec::new()
    }
}

impl Perform for Listen {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let socket = sys::listen(trace, self.at)?;
        // Nobody accepts: the socket only has to be there. It closes with the program, at an exec or an exit.
        let _ = socket.into_raw_fd();
        Ok(Outcome::default())
    }
}

//! The door of a lab host: where a process that has come in from another terminal asks who is who.
//!
//! An abstract socket (unix(7)), because it belongs to the network namespace: only who is in the lab host can knock.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::Duration;

use super::protocol::{Reply, Sample};
use crate::kernel::channel::{Channel, FrameError};

/// How long an answer may take: a sample is taken for it.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// The agent's side.
#[derive(Debug)]
pub struct Door(UnixListener);

impl Door {
    /// Opens the door of the lab host that this process is the agent of.
    ///
    /// # Errors
    /// Those of bind(2).
    pub fn open() -> io::Result<Self> {
        let door = UnixListener::bind_addr(&address(std::process::id())?)?;
        door.set_nonblocking(true)?;
        Ok(Self(door))
    }

    /// The channel to whoever knocks; none where nobody does any more.
    pub fn knocked(&self) -> Option<Channel> {
        let (stream, _) = self.0.accept().ok()?;
        stream.set_nonblocking(false).ok()?;
        Some(Channel::from_fd(OwnedFd::from(stream)))
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Asks the agent, whose pid is this in the lab host, for a sample. The caller is in the lab host's network namespace.
///
/// # Errors
/// Where nobody answers.
pub fn knock(agent: u32) -> Result<Sample, FrameError> {
    let stream = UnixStream::connect_addr(&address(agent)?)?;
    match Channel::from_fd(OwnedFd::from(stream)).receive::<Reply>(Some(ANSWER_DEADLINE))? {
        Reply::Observed(sample) => Ok(*sample),
        other => Err(FrameError::Malformed(format!("{other:?}"))),
    }
}

fn address(agent: u32) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("hardway-agent-{agent}"))
}

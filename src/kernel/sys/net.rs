//! System calls on sockets.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, setsockopt, sockopt::ReuseAddr, sockopt::SendTimeout,
};
use nix::sys::time::TimeVal;

use super::namespace::opened;
use crate::kernel::trace::{CallError, Trace};

/// How long a connection may take, in seconds: somebody waits for the step.
const PATIENCE: i64 = 2;

/// socket(2) for TCP, and connect(2). The connection is closed again.
///
/// # Errors
/// `ENETUNREACH` where no route leads there, `ECONNREFUSED` where nobody listens, `EINPROGRESS` where nobody answers within
/// two seconds.
pub fn connect(trace: &mut Trace, to: SocketAddr) -> Result<(), CallError> {
    let fd = stream(trace, to)?;
    // Housekeeping, and no part of what is shown: without it an answer that never comes is waited for for minutes.
    let _ = setsockopt(&fd, SendTimeout, &TimeVal::new(PATIENCE, 0));
    let args = vec![fd.as_raw_fd().to_string(), address(to)];
    trace
        .call("connect", args, || nix::sys::socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(to)).map(|()| 0))
        .map(drop)
}

/// socket(2) for TCP, bind(2) and listen(2).
///
/// # Errors
/// `EADDRINUSE` where somebody else in this network namespace has the port, `EADDRNOTAVAIL` for an address that is not here,
/// `EACCES` for a low port without CAP_NET_BIND_SERVICE.
pub fn listen(trace: &mut Trace, at: SocketAddr) -> Result<OwnedFd, CallError> {
    let fd = stream(trace, at)?;
    // As programs that listen do (socket(7)): the last moments of an old connection must not keep the port.
    let _ = setsockopt(&fd, ReuseAddr, &true);
    let number = fd.as_raw_fd().to_string();
    trace.call("bind", vec![number.clone(), address(at)], || {
        nix::sys::socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(at)).map(|()| 0)
    })?;
    let backlog = Backlog::new(1).unwrap_or(Backlog::MAXCONN);
    trace.call("listen", vec![number, "1".to_owned()], || nix::sys::socket::listen(&fd, backlog).map(|()| 0))?;
    Ok(fd)
}

fn stream(trace: &mut Trace, with: SocketAddr) -> Result<OwnedFd, CallError> {
    let (family, name) = match with {
        SocketAddr::V4(_) => (AddressFamily::Inet, "AF_INET"),
        SocketAddr::V6(_) => (AddressFamily::Inet6, "AF_INET6"),
    };
    let args = vec![name.to_owned(), "SOCK_STREAM|SOCK_CLOEXEC".to_owned(), "0".to_owned()];
    opened(trace, "socket", args, || nix::sys::socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None))
}

/// An address as it is shown for a `struct sockaddr`.
fn address(of: SocketAddr) -> String {
    match of {
        SocketAddr::V4(_) => format!("{{AF_INET, {of}}}"),
        SocketAddr::V6(_) => format!("{{AF_INET6, {of}}}"),
    }
}

//! System calls on sockets.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrStorage, getsockname, setsockopt,
    sockopt::ReuseAddr, sockopt::TcpUserTimeout,
};

use super::namespace::opened;
use crate::kernel::trace::{CallError, Trace};

/// How long a connection may take, in milliseconds: somebody waits for the step. The kernel sends the first packet once more after a
/// second (RFC 6298), and only then looks at how long it has been.
const PATIENCE: u32 = 1000;

/// How many connections may wait to be accepted: those of a lesson, which nobody accepts.
pub const BACKLOG: i32 = 16;

/// socket(2) for TCP, and connect(2). The connection lasts as long as the descriptor.
///
/// # Errors
/// `ENETUNREACH` where no route leads there, `ECONNREFUSED` where nobody listens, `ETIMEDOUT` where nobody answers within a
/// second.
pub fn connect(trace: &mut Trace, to: SocketAddr) -> Result<OwnedFd, CallError> {
    let fd = stream(trace, to)?;
    reach(trace, &fd, to)?;
    Ok(fd)
}

/// [`connect`] from a port that is known, even of a connection that came to nothing: bind(2) lets the kernel choose one before. The
/// connection is given back together with the port.
///
/// # Errors
/// Those of socket(2) and bind(2); how connect(2) ended is told beside the port.
pub fn connect_from_port(trace: &mut Trace, to: SocketAddr) -> Result<(u16, Result<OwnedFd, CallError>), CallError> {
    let fd = stream(trace, to)?;
    let any = match to {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    trace.call("bind", vec![fd.as_raw_fd().to_string(), address(any)], || {
        nix::sys::socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(any)).map(|()| 0)
    })?;
    let own: Option<SockaddrStorage> = getsockname(fd.as_raw_fd()).ok();
    let port = own.and_then(|own| {
        let v6 = || own.as_sockaddr_in6().map(SockaddrIn6::port);
        own.as_sockaddr_in().map(SockaddrIn::port).or_else(v6)
    });
    let reached = reach(trace, &fd, to);
    Ok((port.unwrap_or(0), reached.map(|()| fd)))
}

fn reach(trace: &mut Trace, fd: &OwnedFd, to: SocketAddr) -> Result<(), CallError> {
    // Housekeeping, and no part of what is shown: without it an answer that never comes is waited for for minutes (tcp(7)).
    let _ = setsockopt(fd, TcpUserTimeout, &PATIENCE);
    let args = vec![fd.as_raw_fd().to_string(), address(to)];
    let made = || nix::sys::socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(to)).map(|()| 0);
    trace.call("connect", args, made).map(drop)
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
    let backlog = Backlog::new(BACKLOG).unwrap_or(Backlog::MAXCONN);
    trace.call("listen", vec![number, BACKLOG.to_string()], || nix::sys::socket::listen(&fd, backlog).map(|()| 0))?;
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

//! System calls on sockets.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrStorage, getsockname,
    setsockopt, sockopt::ReceiveTimeout, sockopt::ReuseAddr, sockopt::TcpUserTimeout,
};
use nix::sys::time::TimeVal;

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
    bind(trace, &fd, any)?;
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
    bind(trace, &fd, at)?;
    let backlog = Backlog::new(BACKLOG).unwrap_or(Backlog::MAXCONN);
    let args = vec![fd.as_raw_fd().to_string(), BACKLOG.to_string()];
    trace.call("listen", args, || nix::sys::socket::listen(&fd, backlog).map(|()| 0))?;
    Ok(fd)
}

/// socket(2) for UDP, and bind(2): what is sent to this port can be received from now on (udp(7)).
///
/// # Errors
/// Those of [`listen`].
pub fn bind_udp(trace: &mut Trace, at: SocketAddr) -> Result<OwnedFd, CallError> {
    let fd = socket(trace, at, SockType::Datagram)?;
    bind(trace, &fd, at)?;
    Ok(fd)
}

/// socket(2) for UDP, and connect(2): no packet is sent by that. The kernel looks for a route, and from now on takes packets of this one
/// peer only.
///
/// # Errors
/// `ENETUNREACH` where no route leads there.
pub fn connect_udp(trace: &mut Trace, to: SocketAddr) -> Result<OwnedFd, CallError> {
    let fd = socket(trace, to, SockType::Datagram)?;
    // Housekeeping, as with TCP: of a packet that was lost nobody ever hears.
    let _ = setsockopt(&fd, ReceiveTimeout, &TimeVal::new(i64::from(PATIENCE / 1000), 0));
    let args = vec![fd.as_raw_fd().to_string(), address(to)];
    let made = || nix::sys::socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(to)).map(|()| 0);
    trace.call("connect", args, made)?;
    Ok(fd)
}

/// sendto(2) on a connected socket.
///
/// # Errors
/// `ECONNREFUSED` where the peer's kernel has said that nobody has that port (udp(7)).
pub fn send(trace: &mut Trace, fd: &OwnedFd, bytes: &[u8]) -> Result<(), CallError> {
    let args = [&fd.as_raw_fd().to_string(), "buffer", &bytes.len().to_string(), "0", "NULL", "0"];
    trace.call("sendto", args.map(str::to_owned).to_vec(), || {
        let sent = nix::sys::socket::send(fd.as_raw_fd(), bytes, MsgFlags::empty())?;
        Ok(i64::try_from(sent).unwrap_or(i64::MAX))
    })?;
    Ok(())
}

/// recvfrom(2) on a connected socket: the next packet, cut to so many bytes.
///
/// # Errors
/// `EAGAIN` where none comes within a second (socket(7), SO_RCVTIMEO), `ECONNREFUSED` as [`send`].
pub fn receive(trace: &mut Trace, fd: &OwnedFd, most: usize) -> Result<Vec<u8>, CallError> {
    let mut bytes = vec![0; most];
    let args = [&fd.as_raw_fd().to_string(), "buffer", &most.to_string(), "0", "NULL", "NULL"];
    let count = trace.call("recvfrom", args.map(str::to_owned).to_vec(), || {
        let received = nix::sys::socket::recv(fd.as_raw_fd(), &mut bytes, MsgFlags::empty())?;
        Ok(i64::try_from(received).unwrap_or(i64::MAX))
    })?;
    bytes.truncate(usize::try_from(count).unwrap_or(0));
    Ok(bytes)
}

fn bind(trace: &mut Trace, fd: &OwnedFd, at: SocketAddr) -> Result<(), CallError> {
    let made = || nix::sys::socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(at)).map(|()| 0);
    trace.call("bind", vec![fd.as_raw_fd().to_string(), address(at)], made).map(drop)
}

fn stream(trace: &mut Trace, with: SocketAddr) -> Result<OwnedFd, CallError> {
    socket(trace, with, SockType::Stream)
}

fn socket(trace: &mut Trace, with: SocketAddr, kind: SockType) -> Result<OwnedFd, CallError> {
    let (family, name) = match with {
        SocketAddr::V4(_) => (AddressFamily::Inet, "AF_INET"),
        SocketAddr::V6(_) => (AddressFamily::Inet6, "AF_INET6"),
    };
    let of_kind = if kind == SockType::Stream { "SOCK_STREAM|SOCK_CLOEXEC" } else { "SOCK_DGRAM|SOCK_CLOEXEC" };
    let args = vec![name.to_owned(), of_kind.to_owned(), "0".to_owned()];
    opened(trace, "socket", args, || nix::sys::socket::socket(family, kind, SockFlag::SOCK_CLOEXEC, None))
}

/// An address as it is shown for a `struct sockaddr`.
fn address(of: SocketAddr) -> String {
    match of {
        SocketAddr::V4(_) => format!("{{AF_INET, {of}}}"),
        SocketAddr::V6(_) => format!("{{AF_INET6, {of}}}"),
    }
}

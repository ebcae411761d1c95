//! Being told of changes to networks: the kernel sends to groups of sockets what it does to links, addresses and routes (rtnetlink(7)).

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use rtnetlink::sys::Socket;
use rtnetlink::sys::protocols::NETLINK_ROUTE;

/// The groups of links, and of addresses and routes of both versions (<linux/rtnetlink.h>, `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR`,
/// `RTNLGRP_IPV4_ROUTE`, `RTNLGRP_IPV6_IFADDR`, `RTNLGRP_IPV6_ROUTE`). Not that of numbers of namespaces: the kernel gives those when
/// links are first looked at, so that to look would be news.
const GROUPS: [u32; 5] = [1, 5, 7, 9, 11];

/// A socket that can be read when something has changed in the network namespace of the calling thread; where the kernel allows
/// it, also in those to which a cable leads from there (netlink(7), `NETLINK_LISTEN_ALL_NSID`).
///
/// # Errors
/// Those of socket(2), bind(2) and setsockopt(2).
pub fn notices() -> io::Result<OwnedFd> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.set_non_blocking(true)?;
    for group in GROUPS {
        socket.add_membership(group)?;
    }
    // EPERM without CAP_NET_BROADCAST: then those of other namespaces are seen a second later.
    let _ = socket.set_listen_all_namespaces(true);
    // SAFETY: the number of a descriptor that is owned by nobody else any more.
    Ok(unsafe { OwnedFd::from_raw_fd(socket.into_raw_fd()) })
}

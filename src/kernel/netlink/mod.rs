//! Netlink sockets, and route netlink on them: links, addresses and routes of a network namespace (netlink(7), rtnetlink(7)).
//!
//! rtnetlink and its packet crates build the requests; sending and receiving is done here. Its own connection needs an async
//! runtime, whose descriptors would stay in a box (a socket keeps the network namespace in which it was made), and it drops
//! without a word what it can not decode, such as a link whose name is not UTF-8. The kernel has answered a request before
//! sendto(2) returns, so there is nothing that a runtime could do meanwhile.
//!
//! A socket belongs for ever to the network namespace of the thread that made it.

mod answer;
mod decision;
mod diag;
mod neighbour;
mod notices;
mod plug;
mod queue;
mod raw;
mod request;
mod rule;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use rtnetlink::packet_core::{
    ErrorBuffer, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::protocols::{NETLINK_ROUTE, NETLINK_SOCK_DIAG};
use rtnetlink::sys::{Socket, SocketAddr as Port};
use serde::{Deserialize, Serialize};

// For those who speak another protocol over this socket.
pub(super) use rtnetlink::packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST, NetlinkSerializable,
};
pub(super) use rtnetlink::sys::protocols::NETLINK_NETFILTER;

pub use self::answer::{Address, Link, Route, Table};
pub(super) use self::answer::{each, text};
pub use self::decision::Decision;
pub use self::diag::{Connection, Listener};
pub use self::neighbour::{Forwarding, Neighbour};
pub use self::notices::notices;
pub use self::plug::{NewLink, NewVeth, Path};
pub use self::rule::SourceRule;
use super::children::readable;
use super::trace::{CallError, Trace};

/// How long an answer may take. The kernel needs microseconds; this only keeps a wait from being without end.
const ANSWER_DEADLINE: Duration = Duration::from_secs(1);

/// Room for one datagram: the kernel fills at most so much when it dumps (`NLMSG_GOODSIZE`, 32 KiB where there is room).
const DATAGRAM: usize = 32 * 1024;

/// A netlink socket of one network namespace.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    /// For one datagram at a time.
    buffer: Vec<u8>,
}

impl Netlink {
    /// A socket in the network namespace that the calling thread is in now.
    ///
    /// # Errors
    /// Those of socket(2) and connect(2).
    pub fn open() -> io::Result<Self> {
        Self::of(NETLINK_ROUTE)
    }

    /// [`Self::open`] for another protocol than that of routes.
    ///
    /// # Errors
    /// As [`Self::open`]; `EPROTONOSUPPORT` where the kernel has no such protocol.
    pub(super) fn of(protocol: isize) -> io::Result<Self> {
        let socket = Socket::new(protocol)?;
        // Port 0 is the kernel: from here on only it can send to this socket.
        socket.connect(&Port::new(0, 0))?;
        Ok(Self { socket, sequence: 0, buffer: Vec::with_capacity(DATAGRAM) })
    }

    /// [`Self::open`] for an action, in its trace.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_traced(trace: &mut Trace) -> Result<Self, CallError> {
        Self::traced(trace, NETLINK_ROUTE, "NETLINK_ROUTE")
    }

    /// [`Self::of`] for an action, in its trace.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(super) fn traced(trace: &mut Trace, protocol: isize, name: &str) -> Result<Self, CallError> {
        let args = ["AF_NETLINK", "SOCK_DGRAM|SOCK_CLOEXEC", name].map(str::to_owned).to_vec();
        let number = |netlink: &Self| i64::from(netlink.socket.as_raw_fd());
        trace.made("socket", args, || Self::of(protocol).map_err(errno), number)
    }

    /// Sets a link up or down (`ip link set NAME up`).
    ///
    /// # Errors
    /// `ENODEV` where there is no link of this name, `EPERM` without CAP_NET_ADMIN in the user namespace that owns the network
    /// namespace.
    pub fn set_link(&mut self, trace: &mut Trace, name: &str, up: bool) -> Result<(), CallError> {
        self.change(trace, request::set_link(name, up), 0)
    }

    /// Makes a pair of links, each the other's peer (`ip link add NAME type veth peer name PEER`).
    ///
    /// # Errors
    /// `EEXIST` where there is a link of either name, `EOPNOTSUPP` where the kernel has no veth, `EPERM` as [`Self::set_link`].
    pub fn add_veth(&mut self, trace: &mut Trace, name: &str, peer: &str) -> Result<(), CallError> {
        self.change(trace, request::add_veth(name, peer), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Makes a bridge without ports (`ip link add NAME type bridge`).
    ///
    /// # Errors
    /// `EEXIST` where there is a link of this name, `EOPNOTSUPP` where the kernel has no bridges, `EPERM` as [`Self::set_link`].
    pub fn add_bridge(&mut self, trace: &mut Trace, name: &str) -> Result<(), CallError> {
        self.change(trace, request::add_bridge(name), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Makes a link a port of a bridge (`ip link set NAME master MASTER`).
    ///
    /// # Errors
    /// As [`Self::set_link`]; `EINVAL` for a link that can be no port, as `lo`; `ELOOP` for a bridge; `EOPNOTSUPP` where the master
    /// takes no ports.
    pub fn set_master(&mut self, trace: &mut Trace, name: &str, master: &str) -> Result<(), CallError> {
        let index = self.index(trace, master)?;
        self.change(trace, request::set_master(name, index), 0)
    }

    /// Lets a port of a bridge send back what came in by it, or not (`ip link set NAME type bridge_slave hairpin on`).
    ///
    /// # Errors
    /// As [`Self::set_link`]; `EINVAL` for a link that is no port of a bridge.
    pub fn set_hairpin(&mut self, trace: &mut Trace, name: &str, on: bool) -> Result<(), CallError> {
        self.change(trace, request::set_hairpin(name, on), 0)
    }

    /// Moves a link into the network namespace of a process, by its number in the caller's pid namespace
    /// (`ip link set NAME netns PID`).
    ///
    /// # Errors
    /// As [`Self::set_link`], and over both network namespaces; `ESRCH` where there is no such process, `EEXIST` where a link there
    /// has that name, `EINVAL` for one that may not leave, as `lo`.
    pub fn move_link(&mut self, trace: &mut Trace, name: &str, pid: i32) -> Result<(), CallError> {
        self.change(trace, request::move_link(name, pid.unsigned_abs()), 0)
    }

    /// Takes a link away (`ip link delete NAME`). The peer of a veth goes with it, wherever that is.
    ///
    /// # Errors
    /// As [`Self::set_link`]; `EOPNOTSUPP` for one that can not be deleted, as `lo`.
    pub fn delete_link(&mut self, trace: &mut Trace, name: &str) -> Result<(), CallError> {
        self.change(trace, request::delete_link(name), 0)
    }

    /// Gives a link an address (`ip address add ADDRESS/PREFIX dev NAME`, for IPv6 with `nodad`).
    ///
    /// # Errors
    /// As [`Self::set_link`]; `EEXIST` where it has this address, `EADDRNOTAVAIL` or `EINVAL` for one that can be none.
    pub fn add_address(&mut self, trace: &mut Trace, name: &str, address: IpAddr, prefix: u8) -> Result<(), CallError> {
        let index = self.index(trace, name)?;
        self.change(trace, request::add_address(index, address, prefix), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Takes an address from a link (`ip address delete ADDRESS/PREFIX dev NAME`), and with it the routes that came with it.
    ///
    /// # Errors
    /// As [`Self::set_link`]; `EADDRNOTAVAIL` where it has no such address.
    pub fn delete_address(
        &mut self,
        trace: &mut Trace,
        name: &str,
        address: IpAddr,
        prefix: u8,
    ) -> Result<(), CallError> {
        let index = self.index(trace, name)?;
        self.change(trace, request::delete_address(index, address, prefix), 0)
    }

    /// Makes a route to a network by a neighbour (`ip route add TO/PREFIX via VIA`); prefix 0 is the default route.
    ///
    /// # Errors
    /// `ENETUNREACH` where no route leads to the neighbour itself, `EEXIST` where there is this route, `EINVAL` for a destination that
    /// has bits beyond its prefix, `EPERM` as [`Self::set_link`].
    pub fn add_route(&mut self, trace: &mut Trace, to: IpAddr, prefix: u8, via: IpAddr) -> Result<(), CallError> {
        self.change(trace, request::add_route(to, prefix, via), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Takes a route away (`ip route delete TO/PREFIX via VIA`).
    ///
    /// # Errors
    /// `ESRCH` where there is no such route, `EPERM` as [`Self::set_link`].
    pub fn delete_route(&mut self, trace: &mut Trace, to: IpAddr, prefix: u8, via: IpAddr) -> Result<(), CallError> {
        self.change(trace, request::delete_route(to, prefix, via), 0)
    }

    /// The index of a link. It is what the kernel's other requests name a link by.
    fn index(&mut self, trace: &mut Trace, name: &str) -> Result<u32, CallError> {
        let message = request::get_link(name);
        let (call, args) = request::words(&message);
        let index = trace.call(call, args, || {
            let mut index = 0;
            self.exchange(message, NLM_F_REQUEST, |payload| {
                index = Link::parse(payload).map_or(0, |link| link.index);
            })?;
            Ok(i64::from(index))
        })?;
        Ok(u32::try_from(index).unwrap_or(0))
    }

    /// Sends a request that changes something, and waits for the kernel's word on it.
    fn change(&mut self, trace: &mut Trace, message: RouteNetlinkMessage, flags: u16) -> Result<(), CallError> {
        let (call, args) = request::words(&message);
        let send = || self.exchange(message, NLM_F_REQUEST | NLM_F_ACK | flags, |_| {}).map(|()| 0);
        trace.call(call, args, send).map(drop)
    }

    /// All links of the namespace.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        self.dump(request::all_links(), Link::parse)
    }

    /// All addresses of the namespace, of both families.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn addresses(&mut self) -> io::Result<Vec<Address>> {
        self.dump(request::all_addresses(), Address::parse)
    }

    /// The routes of the namespace, of both families. Left out are those to broadcast and multicast addresses, which the
    /// kernel makes beside every address.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn routes(&mut self) -> io::Result<Vec<Route>> {
        self.dump(request::all_routes(), Route::parse)
    }

    /// The number by which this namespace knows another one, of which this is an open file (`ip netns list-id`); none where it has
    /// none.
    ///
    /// # Errors
    /// The kernel's errno: `EINVAL` for a file that is no network namespace.
    pub fn namespace_id(&mut self, other: BorrowedFd<'_>) -> io::Result<Option<i32>> {
        let mut id = None;
        let message = request::namespace_id(other.as_raw_fd().unsigned_abs());
        self.exchange(message, NLM_F_REQUEST, |payload| id = answer::namespace_id(payload))?;
        Ok(id)
    }

    fn dump<T>(&mut self, message: impl NetlinkSerializable, parse: impl Fn(&[u8]) -> Option<T>) -> io::Result<Vec<T>> {
        let mut all = Vec::new();
        self.exchange(message, NLM_F_REQUEST | NLM_F_DUMP, |payload| all.extend(parse(payload)))?;
        Ok(all)
    }

    /// A dump; `false` where what it tells of changed meanwhile, and it may be in pieces (`NLM_F_DUMP_INTR`).
    pub(super) fn dump_whole(
        &mut self,
        message: impl NetlinkSerializable,
        take: impl FnMut(&[u8]),
    ) -> nix::Result<bool> {
        self.next();
        self.append(message, NLM_F_REQUEST | NLM_F_DUMP);
        self.converse(true, take)
    }

    /// Sends requests in one datagram, and waits for the kernel's word on it: one of them must ask for that (`NLM_F_ACK`). They have
    /// one number, so that an error of any is the answer.
    pub(super) fn batch<M: NetlinkSerializable>(&mut self, messages: Vec<(M, u16)>) -> nix::Result<()> {
        self.next();
        for (message, flags) in messages {
            self.append(message, flags);
        }
        self.converse(true, |_| {}).map(drop)
    }

    /// One request, and the messages that answer it, up to the last one.
    pub(super) fn exchange(
        &mut self,
        message: impl NetlinkSerializable,
        flags: u16,
        take: impl FnMut(&[u8]),
    ) -> nix::Result<()> {
        self.next();
        self.append(message, flags);
        self.converse(flags & (NLM_F_DUMP | NLM_F_ACK) != 0, take).map(drop)
    }

    /// Begins a datagram whose messages have the next number.
    fn next(&mut self) {
        self.sequence += 1;
        self.buffer.clear();
    }

    /// Adds a message to the datagram.
    fn append(&mut self, message: impl NetlinkSerializable, flags: u16) {
        let mut request = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(message));
        request.header.flags = flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let start = self.buffer.len();
        self.buffer.resize(start + request.buffer_len(), 0);
        request.serialize(&mut self.buffer[start..]);
    }

    /// Sends the datagram and takes what answers it: up to the message that says that it is the last one where there will be one, or
    /// else one message. `false` where one of them says that the dump was interrupted.
    fn converse(&mut self, has_last: bool, mut take: impl FnMut(&[u8])) -> nix::Result<bool> {
        self.socket.send(&self.buffer, 0).map_err(errno)?;
        let mut whole = true;
        loop {
            self.buffer.clear();
            self.buffer.reserve(DATAGRAM);
            // The answer is there already, but for what the kernel does later.
            match self.socket.recv(&mut self.buffer, libc::MSG_DONTWAIT).map_err(errno) {
                Err(Errno::EAGAIN) if readable([self.socket.as_fd()], Some(ANSWER_DEADLINE)) == [true] => continue,
                Err(Errno::EAGAIN) => return Err(Errno::ETIMEDOUT),
                received => received?,
            };
            let mut rest = self.buffer.as_slice();
            while let Ok(message) = NetlinkBuffer::new_checked(rest) {
                let length = usize::try_from(message.length()).unwrap_or(rest.len());
                let is_mine = message.sequence_number() == self.sequence;
                whole &= !is_mine || message.flags() & NLM_F_DUMP_INTR == 0;
                match message.message_type() {
                    _ if !is_mine => {}
                    NLMSG_DONE => return Ok(whole),
                    NLMSG_ERROR => {
                        let code = ErrorBuffer::new_checked(message.payload()).ok().and_then(|error| error.code());
                        return code.map_or(Ok(whole), |code| Err(Errno::from_raw(-code.get())));
                    }
                    _ => {
                        take(message.payload());
                        if !has_last {
                            return Ok(whole);
                        }
                    }
                }
                // Messages begin at multiples of four (netlink(3), NLMSG_ALIGN).
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}

/// The TCP sockets of a network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpSockets {
    /// Where somebody listens, sorted.
    pub listeners: Vec<Listener>,
    /// Who is connected to their ports, sorted.
    pub connections: Vec<Connection>,
}

impl TcpSockets {
    /// Those of the network namespace that the calling thread is in now.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where the kernel was built without sock_diag(7) for TCP, and those of [`Netlink::open`].
    pub fn read() -> io::Result<Self> {
        let mut netlink = Netlink::of(NETLINK_SOCK_DIAG)?;
        let mut listeners = netlink.dump(diag::Sockets::LISTENING, diag::listener)?;
        listeners.sort_unstable();
        listeners.dedup();
        // The kernel looks through the connections of the whole machine for them. What a client's own end tells its user knows; the
        // other end tells from which address it seems to come.
        let mut connections = match listeners.is_empty() {
            true => Vec::new(),
            false => netlink.dump(diag::Sockets::CONNECTED, diag::connection)?,
        };
        let is_listened_on = |port| listeners.iter().any(|one: &Listener| one.address.port() == port);
        connections.retain(|one: &Connection| is_listened_on(one.local.port()));
        connections.sort_unstable();
        Ok(Self { listeners, connections })
    }
}

fn errno(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

//! Connections that the kernel keeps track of: what translates the addresses of answers back, and what `ct state` asks (conntrack(8),
//! <linux/netfilter/nfnetlink_conntrack.h>).
//!
//! No timeouts: they count down by themselves.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use netlink_packet_netfilter::conntrack::ConntrackMessage;
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};
use serde::{Deserialize, Serialize};

use super::netlink::{NETLINK_NETFILTER, Netlink, each};

/// The connections of a network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conntrack {
    /// The first of them, sorted.
    pub connections: Vec<Tracked>,
    /// How many there are beyond those.
    pub more: usize,
}

/// A connection, which may also be no more than packets to and fro.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tracked {
    /// As conntrack(8) calls it: `tcp`, `udp`, `icmp`, `unknown 2`.
    pub protocol: String,
    /// Its first packet, as it came.
    pub original: Tuple,
    /// A packet that answers it, as it comes: where nothing is translated, the other way round.
    pub reply: Tuple,
    /// The state of a TCP connection: `SYN_SENT`, `ESTABLISHED`, `TIME_WAIT` …
    pub state: Option<String>,
    /// Whether an answer has come.
    pub replied: bool,
    /// Whether it is not the first to go where there is no room for more.
    pub assured: bool,
}

/// What packets of one direction have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tuple {
    /// From where.
    pub source: IpAddr,
    /// To where.
    pub destination: IpAddr,
    /// What tells them from others between the same two.
    pub kind: TupleKind,
}

/// What tells packets from others between the same two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TupleKind {
    /// Ports, of TCP, UDP and the like.
    Ports {
        /// The sender's.
        source: u16,
        /// The receiver's.
        destination: u16,
    },
    /// ICMP.
    Icmp {
        /// `8` asks for an echo, of IPv4.
        kind: u8,
        /// What belongs to the type.
        code: u8,
        /// Chosen by who asks.
        id: u16,
    },
    /// Nothing.
    Plain,
}

impl Tracked {
    /// Whether answers come to another end than the one that the first packet came from.
    pub fn has_other_source(&self) -> bool {
        let moved = match (self.original.kind, self.reply.kind) {
            (TupleKind::Ports { source, .. }, TupleKind::Ports { destination, .. }) => source != destination,
            (TupleKind::Icmp { id, .. }, TupleKind::Icmp { id: answered, .. }) => id != answered,
            _ => false,
        };
        moved || self.original.source != self.reply.destination
    }

    /// Whether answers come from another end than the one that the first packet was sent to.
    pub fn has_other_destination(&self) -> bool {
        let moved = match (self.original.kind, self.reply.kind) {
            (TupleKind::Ports { destination, .. }, TupleKind::Ports { source, .. }) => destination != source,
            _ => false,
        };
        moved || self.original.destination != self.reply.source
    }

    /// From the body of a message: `struct nfgenmsg` and attributes.
    fn parse(message: &[u8]) -> Option<Self> {
        const SEEN_REPLY: u32 = 0x2;
        const ASSURED: u32 = 0x4;
        let attributes = message.get(4..)?;
        let (mut original, mut reply, mut status, mut state) = (None, None, 0, None);
        each(attributes, |kind, value| match kind {
            1 => original = tuple(value),
            2 => reply = tuple(value),
            3 => status = value.try_into().map_or(0, u32::from_be_bytes),
            // CTA_PROTOINFO, in it CTA_PROTOINFO_TCP, and in that CTA_PROTOINFO_TCP_STATE.
            4 => each(value, |kind, value| {
                if kind == 1 {
                    each(value, |kind, value| {
                        if let (1, [number]) = (kind, value) {
                            state = Some(tcp_state(*number));
                        }
                    });
                }
            }),
            _ => {}
        });
        let ((number, original), (_, reply)) = (original?, reply?);
        let (replied, assured) = (status & SEEN_REPLY != 0, status & ASSURED != 0);
        Some(Self { protocol: protocol(number), original, reply, state, replied, assured })
    }
}

/// Protocol and ends, from the attributes of a tuple.
fn tuple(attributes: &[u8]) -> Option<(u8, Tuple)> {
    let (mut source, mut destination, mut protocol) = (None, None, None);
    let (mut ports, mut icmp) = ([None; 2], [None; 2]);
    let mut id = None;
    let v4 = |value: &[u8]| <[u8; 4]>::try_from(value).ok().map(IpAddr::from);
    let v6 = |value: &[u8]| <[u8; 16]>::try_from(value).ok().map(IpAddr::from);
    let short = |value: &[u8]| value.try_into().ok().map(u16::from_be_bytes);
    let byte = |value: &[u8]| value.first().copied();
    each(attributes, |kind, value| match kind {
        1 => each(value, |kind, value| match kind {
            1 => source = v4(value),
            2 => destination = v4(value),
            3 => source = v6(value),
            4 => destination = v6(value),
            _ => {}
        }),
        2 => each(value, |kind, value| match kind {
            1 => protocol = byte(value),
            2 => ports[0] = short(value),
            3 => ports[1] = short(value),
            // Those of ICMP, and then of ICMPv6.
            4 | 7 => id = short(value),
            5 | 8 => icmp[0] = byte(value),
            6 | 9 => icmp[1] = byte(value),
            _ => {}
        }),
        _ => {}
    });
    let kind = match (ports, icmp, id) {
        ([Some(source), Some(destination)], _, _) => TupleKind::Ports { source, destination },
        (_, [Some(kind), Some(code)], Some(id)) => TupleKind::Icmp { kind, code, id },
        _ => TupleKind::Plain,
    };
    Some((protocol?, Tuple { source: source?, destination: destination?, kind }))
}

/// As conntrack(8) calls protocols, from their number (protocols(5)).
fn protocol(number: u8) -> String {
    let name = match number {
        1 => "icmp",
        6 => "tcp",
        17 => "udp",
        33 => "dccp",
        47 => "gre",
        58 => "icmpv6",
        132 => "sctp",
        136 => "udplite",
        other => return format!("unknown {other}"),
    };
    name.to_owned()
}

/// `enum tcp_conntrack` (<linux/netfilter/nf_conntrack_tcp.h>).
fn tcp_state(number: u8) -> String {
    const STATES: [&str; 10] = [
        "NONE",
        "SYN_SENT",
        "SYN_RECV",
        "ESTABLISHED",
        "FIN_WAIT",
        "CLOSE_WAIT",
        "LAST_ACK",
        "TIME_WAIT",
        "CLOSE",
        "SYN_SENT2",
    ];
    STATES.get(usize::from(number)).map_or_else(|| number.to_string(), |name| (*name).to_owned())
}

impl Tuple {
    /// Where from, with the port where there is one: `10.0.0.2:4711`.
    pub fn from(&self) -> String {
        match self.kind {
            TupleKind::Ports { source, .. } => SocketAddr::new(self.source, source).to_string(),
            TupleKind::Icmp { .. } | TupleKind::Plain => self.source.to_string(),
        }
    }

    /// Where to, the same way.
    pub fn to(&self) -> String {
        match self.kind {
            TupleKind::Ports { destination, .. } => SocketAddr::new(self.destination, destination).to_string(),
            TupleKind::Icmp { .. } | TupleKind::Plain => self.destination.to_string(),
        }
    }
}

impl fmt::Display for Tuple {
    /// As conntrack(8) prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src={} dst={}", self.source, self.destination)?;
        match self.kind {
            TupleKind::Ports { source, destination } => write!(f, " sport={source} dport={destination}"),
            TupleKind::Icmp { kind, code, id } => write!(f, " type={kind} code={code} id={id}"),
            TupleKind::Plain => Ok(()),
        }
    }
}

impl Conntrack {
    /// The most connections that are kept, and shown.
    pub const MOST: usize = 64;

    /// Those of the network namespace that the calling thread is in now. The kernel looks through the connections of the whole machine
    /// for them.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_ADMIN in the user namespace that owns the network namespace; `EINVAL` where the kernel does not tell
    /// (CONFIG_NF_CT_NETLINK); and those of [`Netlink::open`].
    pub fn read() -> io::Result<Self> {
        let message = NetfilterMessage::new(
            NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, 0),
            ConntrackMessage::Get(Vec::new()),
        );
        let mut connections = Vec::new();
        // Whether it is whole does not matter: it is of no one moment anyway.
        Netlink::of(NETLINK_NETFILTER)?.dump_whole(message, |body| connections.extend(Tracked::parse(body)))?;
        Ok(Self::of(connections))
    }

    /// The kernel tells them in the order of its hashes, and one of them twice where it moves meanwhile.
    fn of(mut connections: Vec<Tracked>) -> Self {
        connections.sort_unstable();
        connections.dedup();
        let more = connections.len().saturating_sub(Self::MOST);
        connections.truncate(Self::MOST);
        Self { connections, more }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An attribute as the kernel writes it: length, type, value, padding.
    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = u16::try_from(value.len() + 4).expect("short").to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// The kernel marks attributes that hold others.
    const NESTED: u16 = 0x8000;

    fn v4(kind: u16, ends: [[u8; 4]; 2], protocol: &[Vec<u8>]) -> Vec<u8> {
        let addresses = [attribute(1, &ends[0]), attribute(2, &ends[1])].concat();
        let inner = [attribute(1 | NESTED, &addresses), attribute(2 | NESTED, &protocol.concat())];
        attribute(kind | NESTED, &inner.concat())
    }

    fn tcp(from: u16, to: u16) -> [Vec<u8>; 3] {
        [attribute(1, &[6]), attribute(2, &from.to_be_bytes()), attribute(3, &to.to_be_bytes())]
    }

    const INSIDE: [u8; 4] = [10, 0, 0, 2];
    const OUTSIDE: [u8; 4] = [192, 0, 2, 2];
    const SERVER: [u8; 4] = [203, 0, 113, 7];

    #[test]
    fn a_connection_has_two_tuples_that_differ_where_addresses_are_translated() {
        let state = attribute(4 | NESTED, &attribute(1 | NESTED, &attribute(1, &[3])));
        let message = |answered: [u8; 4]| {
            [
                vec![2, 0, 0, 0],
                v4(1, [INSIDE, SERVER], &tcp(4711, 80)),
                v4(2, [SERVER, answered], &tcp(80, 4711)),
                attribute(3, &0x18e_u32.to_be_bytes()),
                state.clone(),
                attribute(7, &[0, 0, 0, 9]),
            ]
            .concat()
        };
        let seen = Tracked::parse(&message(OUTSIDE)).expect("a connection");
        assert_eq!(seen.original.to_string(), "src=10.0.0.2 dst=203.0.113.7 sport=4711 dport=80");
        assert_eq!(seen.reply.to_string(), "src=203.0.113.7 dst=192.0.2.2 sport=80 dport=4711");
        assert_eq!((seen.protocol.as_str(), seen.state.as_deref()), ("tcp", Some("ESTABLISHED")));
        assert!(seen.replied && seen.assured && seen.has_other_source() && !seen.has_other_destination());
        let plain = Tracked::parse(&message(INSIDE)).expect("a connection");
        assert!(!plain.has_other_source() && !plain.has_other_destination());
    }

    #[test]
    fn what_has_no_ports_has_other_marks() {
        let ask = |kind: u8| {
            let id = attribute(4, &7_u16.to_be_bytes());
            [attribute(1, &[1]), id, attribute(5, &[kind]), attribute(6, &[0])]
        };
        let message = [vec![2, 0, 0, 0], v4(1, [INSIDE, SERVER], &ask(8)), v4(2, [SERVER, INSIDE], &ask(0))].concat();
        let seen = Tracked::parse(&message).expect("a connection");
        assert_eq!(seen.original.to_string(), "src=10.0.0.2 dst=203.0.113.7 type=8 code=0 id=7");
        assert!(!seen.replied && !seen.has_other_source() && seen.state.is_none());
        let other = [attribute(1, &[2])];
        let message = [vec![2, 0, 0, 0], v4(1, [INSIDE, SERVER], &other), v4(2, [SERVER, INSIDE], &other)].concat();
        let seen = Tracked::parse(&message).expect("a connection");
        assert_eq!((seen.protocol.as_str(), seen.original.kind), ("unknown 2", TupleKind::Plain));
        assert_eq!(Tracked::parse(&message[..40]), None, "without an answer's tuple");
    }

    #[test]
    fn of_many_the_first_are_kept_and_the_others_counted() {
        let tuple = |port| {
            let kind = TupleKind::Ports { source: port, destination: 80 };
            Tuple { source: INSIDE.into(), destination: SERVER.into(), kind }
        };
        let one = |port| Tracked {
            protocol: "tcp".to_owned(),
            original: tuple(port),
            reply: tuple(port),
            state: None,
            replied: true,
            assured: false,
        };
        let told = Conntrack::of((0..100).rev().chain([7]).map(one).collect());
        assert_eq!((told.connections.len(), told.more), (64, 36));
        assert_eq!(told.connections[7], one(7));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Tracked::parse(&bytes);
        }

        #[test]
        fn no_bytes_in_the_right_places_make_it_panic(
            kinds in proptest::collection::vec((0_u16..10, proptest::collection::vec(any::<u8>(), 0..20)), 0..8),
        ) {
            let inner: Vec<u8> = kinds.iter().flat_map(|(kind, value)| attribute(*kind, value)).collect();
            let tuples = [1, 2].map(|kind| attribute(kind, &[attribute(1, &inner), attribute(2, &inner)].concat()));
            let info = attribute(4, &attribute(1, &inner));
            let _ = Tracked::parse(&[vec![0; 4], tuples.concat(), info, inner].concat());
        }
    }
}

//! What the kernel answers: links, addresses and routes, as much of each as is shown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::packet_core::NlasIterator;
use serde::{Deserialize, Serialize};

/// A link: a network interface (RTM_NEWLINK).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its number in the namespace.
    pub index: u32,
    /// Its name; bytes that are not UTF-8 are escaped.
    pub name: String,
    /// What it is: `loopback`, `veth`, `bridge` …
    pub kind: String,
    /// Flags, as netdevice(7) numbers them.
    pub flags: u32,
    /// The state of RFC 2863: `UNKNOWN`, `DOWN`, `UP` …
    pub state: String,
    /// The longest packet.
    pub mtu: u32,
    /// The hardware address; none where it is all zeroes.
    pub address: Option<String>,
    /// The index of the bridge (or the like) that it is a port of.
    pub master: Option<u32>,
    /// Whether, as a port of a bridge, it may send back what came in by it.
    pub hairpin: bool,
    /// The index of the link behind it, such as the other end of a veth pair.
    pub peer: Option<u32>,
    /// The number under which this namespace knows the one where that link is, where it is another one.
    pub peer_namespace: Option<i32>,
}

/// An address of a link (RTM_NEWADDR).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Whose.
    pub link: u32,
    /// The address.
    pub ip: IpAddr,
    /// How many bits of it name the network.
    pub prefix: u8,
    /// How far it is valid: `host`, `link`, `global`.
    pub scope: String,
    /// Whether it is still being asked whether somebody else has it (IPv6).
    pub tentative: bool,
}

impl Address {
    /// Whether it is one that the kernel makes of the link's hardware address (RFC 4291, link-local), which is another each time for
    /// links that are made up.
    pub fn is_link_local(&self) -> bool {
        matches!(self.ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
    }
}

/// A routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// What is on this machine: the kernel keeps it.
    Local,
    /// Where everything else is.
    Main,
    /// Another one, for rules.
    Other(u32),
}

/// A route (RTM_NEWROUTE).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// In which table.
    pub table: Table,
    /// Where to; an unspecified address with prefix 0 is the default route.
    pub to: IpAddr,
    /// How many bits of it count.
    pub prefix: u8,
    /// What becomes of packets: `unicast`, `local`, `unreachable` …
    pub kind: String,
    /// By which neighbour.
    pub via: Option<IpAddr>,
    /// By which link.
    pub link: Option<u32>,
    /// The source address of packets that have none yet.
    pub source: Option<IpAddr>,
    /// Who made it: `kernel`, `static` …
    pub protocol: String,
    /// Which of several is tried first: the lowest.
    pub metric: u32,
}

/// Names of flags with their bits, in the order in which ip(8) prints them (netdevice(7)).
const FLAGS: [(&str, u32); 11] = [
    ("LOOPBACK", 0x8),
    ("BROADCAST", 0x2),
    ("POINTOPOINT", 0x10),
    ("MULTICAST", 0x1000),
    ("NOARP", 0x80),
    ("ALLMULTI", 0x200),
    ("PROMISC", 0x100),
    ("UP", UP),
    ("LOWER_UP", LOWER_UP),
    ("DORMANT", 0x2_0000),
    ("ECHO", 0x4_0000),
];

const UP: u32 = 0x1;

/// There is somebody at the other end of the cable (IFF_LOWER_UP).
const LOWER_UP: u32 = 0x1_0000;

impl Link {
    /// Whether it has been set up.
    pub fn is_up(&self) -> bool {
        self.flags & UP != 0
    }

    /// Whether frames could go by it: it is up, and so is what it is plugged into.
    pub fn carries(&self) -> bool {
        self.is_up() && self.flags & LOWER_UP != 0
    }

    /// The names of its flags.
    pub fn flag_names(&self) -> impl Iterator<Item = &'static str> {
        FLAGS.into_iter().filter(|(_, bit)| self.flags & bit != 0).map(|(name, _)| name)
    }

    /// From the body of a message: `struct ifinfomsg` and attributes (<linux/if_link.h>).
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let (header, attributes) = message.split_at_checked(16)?;
        let hardware = u16::from_ne_bytes(header[2..4].try_into().ok()?);
        let mut link = Self {
            index: number(&header[4..8])?,
            name: String::new(),
            kind: hardware_kind(hardware),
            flags: number(&header[8..12])?,
            state: String::new(),
            mtu: 0,
            address: None,
            master: None,
            hairpin: false,
            peer: None,
            peer_namespace: None,
        };
        each(attributes, |kind, value| match kind {
            1 => link.address = hardware_address(value),
            3 => link.name = text(value),
            4 => link.mtu = number(value).unwrap_or(0),
            5 => link.peer = number(value).filter(|peer| *peer != 0),
            10 => link.master = number(value),
            16 => link.state = state(value.first().copied().unwrap_or(0)),
            // IFLA_LINKINFO, and in it IFLA_INFO_KIND, and IFLA_INFO_SLAVE_DATA with IFLA_BRPORT_MODE.
            18 => each(value, |kind, value| match kind {
                1 => link.kind = text(value),
                5 => each(value, |kind, value| link.hairpin |= kind == 4 && value == [1]),
                _ => {}
            }),
            37 => link.peer_namespace = number(value).map(u32::cast_signed),
            _ => {}
        });
        Some(link)
    }
}

impl Address {
    /// From the body of a message: `struct ifaddrmsg` and attributes (<linux/if_addr.h>).
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let (header, attributes) = message.split_at_checked(8)?;
        let (mut local, mut address, mut flags) = (None, None, u32::from(header[2]));
        each(attributes, |kind, value| match kind {
            1 => address = ip(value),
            2 => local = ip(value),
            8 => flags = number(value).unwrap_or(flags),
            _ => {}
        });
        Some(Self {
            link: number(&header[4..8])?,
            // On a link between two points IFA_ADDRESS is the other end.
            ip: local.or(address)?,
            prefix: header[1],
            scope: scope(header[3]),
            tentative: flags & 0x40 != 0,
        })
    }
}

impl Route {
    /// Whether it is the one to an address that the kernel makes by itself ([`Address::is_link_local`]). It comes a while after that.
    pub fn is_to_link_local(&self) -> bool {
        self.table == Table::Local && matches!(self.to, IpAddr::V6(v6) if v6.is_unicast_link_local())
    }

    /// From the body of a message: `struct rtmsg` and attributes (<linux/rtnetlink.h>). None for a route to broadcast or
    /// multicast addresses, and for one that is only remembered.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        const REMEMBERED: u32 = 0x200;
        let (header, attributes) = message.split_at_checked(12)?;
        let kind = route_kind(header[7])?;
        if number(&header[8..12])? & REMEMBERED != 0 {
            return None;
        }
        let anywhere = match header[0] {
            2 => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            10 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
            _ => return None,
        };
        let mut table = u32::from(header[4]);
        let mut route = Self {
            table: Table::Main,
            to: anywhere,
            prefix: header[1],
            kind: kind.to_owned(),
            via: None,
            link: None,
            source: None,
            protocol: protocol(header[5]),
            metric: 0,
        };
        each(attributes, |kind, value| match kind {
            1 => route.to = ip(value).unwrap_or(anywhere),
            4 => route.link = number(value),
            5 => route.via = ip(value),
            6 => route.metric = number(value).unwrap_or(0),
            7 => route.source = ip(value),
            15 => table = number(value).unwrap_or(table),
            _ => {}
        });
        route.table = match table {
            255 => Table::Local,
            254 => Table::Main,
            other => Table::Other(other),
        };
        Some(route)
    }
}

/// From the body of RTM_NEWNSID: `struct rtgenmsg`, padded to four bytes, and attributes (<linux/net_namespace.h>). −1 is no number
/// (`NETNSA_NSID_NOT_ASSIGNED`).
pub(super) fn namespace_id(message: &[u8]) -> Option<i32> {
    let mut id = None;
    each(message.get(4..)?, |kind, value| {
        if kind == 1 {
            id = number(value).map(u32::cast_signed).filter(|id| *id >= 0);
        }
    });
    id
}

/// Calls `take` with type and value of each attribute, up to the first that is cut off.
pub(in crate::kernel) fn each(attributes: &[u8], mut take: impl FnMut(u16, &[u8])) {
    for attribute in NlasIterator::new(attributes).map_while(Result::ok) {
        take(attribute.kind(), attribute.value());
    }
}

pub(super) fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

pub(super) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// A string of the kernel's, which ends at its NUL. A name may hold any byte but `/`, `:` and white space (`dev_valid_name` of
/// the kernel).
pub(in crate::kernel) fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

pub(super) fn hardware_address(bytes: &[u8]) -> Option<String> {
    let all = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    bytes.iter().any(|byte| *byte != 0).then_some(all)
}

/// What kind of hardware a link pretends to be (<linux/if_arp.h>): all that one without a kind of its own tells.
fn hardware_kind(number: u16) -> String {
    match number {
        1 => "ether".to_owned(),
        772 => "loopback".to_owned(),
        other => format!("hardware type {other}"),
    }
}

fn state(number: u8) -> String {
    let names = ["UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP"];
    names.get(usize::from(number)).map_or_else(|| number.to_string(), |name| (*name).to_owned())
}

fn scope(number: u8) -> String {
    match number {
        0 => "global".to_owned(),
        200 => "site".to_owned(),
        253 => "link".to_owned(),
        254 => "host".to_owned(),
        other => other.to_string(),
    }
}

fn route_kind(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "unicast",
        2 => "local",
        6 => "blackhole",
        7 => "unreachable",
        8 => "prohibit",
        9 => "throw",
        10 => "nat",
        _ => return None,
    })
}

fn protocol(number: u8) -> String {
    match number {
        1 => "redirect".to_owned(),
        2 => "kernel".to_owned(),
        3 => "boot".to_owned(),
        4 => "static".to_owned(),
        9 => "ra".to_owned(),
        16 => "dhcp".to_owned(),
        other => other.to_string(),
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

    fn link(attributes: &[Vec<u8>]) -> Link {
        let mut message = vec![0, 0];
        message.extend(772_u16.to_ne_bytes());
        message.extend(7_u32.to_ne_bytes());
        message.extend(0x1_0009_u32.to_ne_bytes());
        message.extend([0; 4]);
        message.extend(attributes.concat());
        Link::parse(&message).expect("a link")
    }

    #[test]
    fn a_link_is_what_its_attributes_say() {
        let seen = link(&[
            attribute(3, b"lo\0"),
            attribute(4, &65536_u32.to_ne_bytes()),
            attribute(16, &[6]),
            attribute(18, &attribute(1, b"veth\0")),
            attribute(1, &[2, 0, 0, 0, 0, 255]),
        ]);
        assert_eq!((seen.index, seen.name.as_str(), seen.kind.as_str(), seen.mtu), (7, "lo", "veth", 65536));
        assert_eq!(seen.flag_names().collect::<Vec<_>>(), ["LOOPBACK", "UP", "LOWER_UP"]);
        assert_eq!((seen.state.as_str(), seen.address.as_deref()), ("UP", Some("02:00:00:00:00:ff")));
        assert!(seen.is_up() && !seen.hairpin);
        assert!(link(&[attribute(18, &attribute(5, &attribute(4, &[1])))]).hairpin);
    }

    #[test]
    fn a_name_of_any_bytes_is_kept() {
        assert_eq!(link(&[attribute(3, b"\xff\x1bo\0")]).name, "\\xff\\x1bo");
        assert_eq!(link(&[]).kind, "loopback");
    }

    #[test]
    fn routes_to_broadcast_addresses_are_left_out() {
        let route = |kind: u8| {
            let mut message = vec![2, 8, 0, 0, 255, 2, 254, kind, 0, 0, 0, 0];
            message.extend(attribute(1, &[127, 0, 0, 0]));
            Route::parse(&message)
        };
        let local = route(2).expect("a route");
        assert_eq!((local.table, local.to.to_string(), local.prefix), (Table::Local, "127.0.0.0".to_owned(), 8));
        assert_eq!(route(3), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (Link::parse(&bytes), Address::parse(&bytes), Route::parse(&bytes), namespace_id(&bytes));
        }
    }
}

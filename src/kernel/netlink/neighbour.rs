//! Neighbours: which hardware address an address on the same link has, as the kernel has asked for it or was told (arp(7),
//! rtnetlink(7), ip-neighbour(8)); and which hardware addresses are behind which port, as a bridge has seen them (bridge(8)).

use std::io;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::answer::{hardware_address, ip, number};
use super::raw::{Attributes, Raw};
use super::{Netlink, each};

const GETNEIGH: u16 = 30;
const AF_BRIDGE: u8 = 7;
/// The length of `struct ndmsg`.
const HEADER: usize = 12;
/// `NUD_NOARP`: an entry that needs no asking. For a bridge: one that somebody made, and that does not grow old.
const NOARP: u16 = 0x40;
/// `NUD_PERMANENT`: an entry that somebody made. For a bridge: an address of the bridge itself or of a port.
const PERMANENT: u16 = 0x80;

/// Names of states as ip(8) writes them (<linux/neighbour.h>). Without those of no state, and of NOARP, which it leaves out.
const STATES: [(&str, u16); 7] = [
    ("INCOMPLETE", 0x1),
    ("REACHABLE", 0x2),
    ("STALE", 0x4),
    ("DELAY", 0x8),
    ("PROBE", 0x10),
    ("FAILED", 0x20),
    ("PERMANENT", PERMANENT),
];

/// An address on a link, and who has it there (RTM_NEWNEIGH).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Neighbour {
    /// The link.
    pub link: u32,
    /// The address.
    pub ip: IpAddr,
    /// The hardware address; none as long as nobody has answered.
    pub mac: Option<String>,
    /// What the kernel thinks of it: `REACHABLE`, `STALE`, `FAILED` …
    pub state: String,
}

impl Neighbour {
    /// Whether somebody made it, and no packet or time takes it away.
    pub fn is_permanent(&self) -> bool {
        self.state == "PERMANENT"
    }

    /// From the body of a message: `struct ndmsg` and attributes (<linux/neighbour.h>). None for one that is no neighbour that has to be
    /// asked, such as a multicast address.
    fn parse(message: &[u8]) -> Option<Self> {
        let (header, attributes) = message.split_at_checked(HEADER)?;
        let state = u16::from_ne_bytes(header[8..10].try_into().ok()?);
        let (state, _) = STATES.into_iter().find(|(_, bit)| state & bit != 0)?;
        let (mut address, mut mac) = (None, None);
        each(attributes, |kind, value| match kind {
            1 => address = ip(value),
            2 => mac = hardware_address(value),
            _ => {}
        });
        Some(Self { link: number(&header[4..8])?, ip: address?, mac, state: state.to_owned() })
    }
}

/// A hardware address that a bridge sends to one of its ports only (RTM_NEWNEIGH of AF_BRIDGE).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Forwarding {
    /// The index of the bridge.
    pub bridge: u32,
    /// The hardware address.
    pub mac: String,
    /// In which VLAN; none where the bridge does not tell them apart.
    pub vlan: Option<u16>,
    /// The index of the port.
    pub port: u32,
    /// Whether somebody made it; otherwise a frame from there has come by this port.
    pub is_static: bool,
}

impl Forwarding {
    /// From the body of a message, as [`Neighbour`]. None for what is no entry of a bridge but a link's own list of addresses that it listens to
    /// (`self`), and for the addresses of the bridge and its ports (`permanent`): a bridge has learned none of them.
    fn parse(message: &[u8]) -> Option<Self> {
        let (header, attributes) = message.split_at_checked(HEADER)?;
        let state = u16::from_ne_bytes(header[8..10].try_into().ok()?);
        if header[0] != AF_BRIDGE || state & PERMANENT != 0 {
            return None;
        }
        let (mut mac, mut vlan, mut bridge) = (None, None, None);
        each(attributes, |kind, value| match kind {
            2 => mac = hardware_address(value),
            5 => vlan = value.try_into().ok().map(u16::from_ne_bytes),
            9 => bridge = number(value),
            _ => {}
        });
        let (port, is_static) = (number(&header[4..8])?, state & NOARP != 0);
        Some(Self { bridge: bridge?, mac: mac?, vlan, port, is_static })
    }
}

impl Netlink {
    /// All neighbours of the namespace, of both families, sorted. Left out are those that ip-neighbour(8) leaves out: they need no asking
    /// (`NOARP`).
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn neighbours(&mut self) -> io::Result<Vec<Neighbour>> {
        self.neighbours_of(0, Neighbour::parse)
    }

    /// What the bridges of the namespace have learned, or were told, sorted; without their own addresses and those of their ports.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn forwarding(&mut self) -> io::Result<Vec<Forwarding>> {
        self.neighbours_of(AF_BRIDGE, Forwarding::parse)
    }

    /// The kernel tells them in the order of its hashes, which is another each time.
    fn neighbours_of<T: Ord>(&mut self, family: u8, parse: impl Fn(&[u8]) -> Option<T>) -> io::Result<Vec<T>> {
        let mut header = [0; HEADER];
        header[0] = family;
        let mut all = self.dump(Raw::new("RTM_GETNEIGH", GETNEIGH, &header, [], Attributes::default()), parse)?;
        all.sort_unstable();
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(family: u8, link: u32, state: u16, attributes: Attributes) -> Vec<u8> {
        use rtnetlink::packet_core::NetlinkSerializable;
        let mut header = vec![family, 0, 0, 0];
        header.extend(link.to_ne_bytes());
        header.extend(state.to_ne_bytes());
        header.extend([0, 0]);
        let raw = Raw::new("RTM_NEWNEIGH", 28, &header, [], attributes);
        let mut bytes = vec![0; raw.buffer_len()];
        raw.serialize(&mut bytes);
        bytes
    }

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xfe];

    #[test]
    fn a_neighbour_has_an_address_and_a_state() {
        let to = || Attributes::default().bytes(1, "NDA_DST", &[10, 0, 0, 2], "10.0.0.2");
        let told = |state, attributes| Neighbour::parse(&message(2, 7, state, attributes));
        let seen = told(0x4, to().bytes(2, "NDA_LLADDR", &MAC, "")).expect("a neighbour");
        let mac = Some("02:00:00:00:00:fe".to_owned());
        assert_eq!(seen, Neighbour { link: 7, ip: [10, 0, 0, 2].into(), mac, state: "STALE".to_owned() });
        let failed = told(0x20, to()).expect("a neighbour");
        assert_eq!((failed.mac.clone(), failed.state.as_str(), failed.is_permanent()), (None, "FAILED", false));
        assert!(told(0x80, to()).is_some_and(|it| it.is_permanent()));
        assert_eq!([told(0x40, to()), told(0, to()), told(2, Attributes::default())], [None, None, None]);
    }

    #[test]
    fn a_bridge_has_learned_what_is_not_its_own() {
        let told = |state, master: Option<u32>| {
            let attributes = Attributes::default().bytes(2, "NDA_LLADDR", &MAC, "").number_if(9, "NDA_MASTER", master);
            Forwarding::parse(&message(AF_BRIDGE, 7, state, attributes.bytes(5, "NDA_VLAN", &[3, 0], "")))
        };
        let vlan = Some(u16::from_ne_bytes([3, 0]));
        let mac = "02:00:00:00:00:fe".to_owned();
        let learned = Forwarding { bridge: 3, mac, vlan, port: 7, is_static: false };
        assert_eq!(told(0x2, Some(3)), Some(learned.clone()));
        assert_eq!(told(0x4, Some(3)), Some(learned.clone()), "it has not been heard of for a while");
        assert_eq!(told(0x40, Some(3)), Some(Forwarding { is_static: true, ..learned }));
        assert_eq!([told(0x80, Some(3)), told(0x2, None)], [None, None]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = (Neighbour::parse(&bytes), Forwarding::parse(&bytes));
        }
    }
}

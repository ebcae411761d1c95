//! Links that lead into another network namespace, and all that belongs to plugging one in: its hardware address, MTU, addresses without
//! the wait for duplicates, and routes that name their link (rtnetlink(7), <linux/if_link.h>).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};

use super::raw::{Attributes, Raw};
use super::{Link, Netlink, request};
use crate::kernel::trace::{CallError, Trace};

const NEWLINK: u16 = 16;
const NEWADDR: u16 = 20;
const NEWROUTE: u16 = 24;
const DELROUTE: u16 = 25;

/// A link to be made.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewLink<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its hardware address; the kernel takes one at random where none is said.
    pub mac: Option<[u8; 6]>,
    /// Its MTU; the kernel's own where none is said.
    pub mtu: Option<u32>,
}

/// A pair of links, one here and one in another network namespace.
#[derive(Clone, Copy, Debug)]
pub struct NewVeth<'a> {
    /// The one here. It is set up.
    pub here: NewLink<'a>,
    /// The index of the bridge that it is a port of.
    pub master: Option<u32>,
    /// The one there. It is down.
    pub there: NewLink<'a>,
    /// The network namespace there.
    pub namespace: BorrowedFd<'a>,
}

/// A route with all that can be said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Where to.
    pub to: IpAddr,
    /// How many bits of it count; 0 is the default route.
    pub prefix: u8,
    /// By which neighbour.
    pub via: Option<IpAddr>,
    /// By the link with this index.
    pub link: u32,
    /// In which table, where it is not `main`.
    pub table: Option<u32>,
    /// Which of several is tried first: the lowest.
    pub metric: Option<u32>,
    /// The MTU on the way.
    pub mtu: Option<u32>,
    /// The segment size that TCP advertises.
    pub advmss: Option<u32>,
    /// How far it leads: 0 global, 253 link, 254 host; where nothing is said, link for a route without a neighbour.
    pub scope: Option<u8>,
    /// The source address of packets that have none yet.
    pub source: Option<IpAddr>,
}

impl Path {
    /// A route of the table `main` with nothing else said.
    pub fn new(to: IpAddr, prefix: u8, via: Option<IpAddr>, link: u32) -> Self {
        let (table, metric, mtu, advmss, scope, source) = (None, None, None, None, None, None);
        Self { to, prefix, via, link, table, metric, mtu, advmss, scope, source }
    }
}

/// Flags of a link that are changed by themselves (netdevice(7)).
const UP: u32 = 0x1;
const PROMISC: u32 = 0x100;
const ALLMULTI: u32 = 0x200;

/// `struct ifinfomsg` for the link of this index (0: the one that an attribute names), with flags to set among those that change.
fn link_header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&change.to_ne_bytes());
    header
}

fn attributes_of(link: NewLink<'_>) -> Attributes {
    let attributes = Attributes::default().text(3, "IFLA_IFNAME", link.name).number_if(4, "IFLA_MTU", link.mtu);
    match link.mac {
        Some(mac) => attributes.bytes(1, "IFLA_ADDRESS", &mac, &mac_text(mac)),
        None => attributes,
    }
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// `AF_INET` or `AF_INET6`.
pub(super) fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 2 } else { 10 }
}

/// An address as an attribute.
pub(super) fn address(attributes: Attributes, kind: u16, name: &str, ip: IpAddr) -> Attributes {
    attributes.bytes(kind, name, &octets(ip), &ip.to_string())
}

impl Netlink {
    /// The link of this name; none where there is none.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        let mut link = None;
        match self.exchange(request::get_link(name), NLM_F_REQUEST, |payload| link = Link::parse(payload)) {
            Ok(()) => Ok(link),
            Err(Errno::ENODEV) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes a pair of links, one here, up and maybe a port of a bridge, and one in another network namespace
    /// (`ip link add NAME type veth peer name PEER netns …`).
    ///
    /// # Errors
    /// `EEXIST` where there is a link of either name, `EOPNOTSUPP` where the kernel has no veth, `EINVAL` for an MTU or hardware address
    /// that can be none, `EPERM` without CAP_NET_ADMIN over either namespace.
    pub fn add_veth_into(&mut self, trace: &mut Trace, veth: &NewVeth<'_>) -> Result<(), CallError> {
        let fd = veth.namespace.as_raw_fd().unsigned_abs();
        let peer = attributes_of(veth.there).number(28, "IFLA_NET_NS_FD", fd);
        let data = Attributes::default().nest(1, "VETH_INFO_PEER", &link_header(0, 0, 0), peer);
        let info = Attributes::default().text(1, "IFLA_INFO_KIND", "veth").nest(2, "IFLA_INFO_DATA", &[], data);
        let attributes = attributes_of(veth.here).number_if(10, "IFLA_MASTER", veth.master);
        let attributes = attributes.nest(18, "IFLA_LINKINFO", &[], info);
        let raw =
            Raw::new("RTM_NEWLINK", NEWLINK, &link_header(0, UP, UP), ["ifi_flags=IFF_UP".to_owned()], attributes);
        self.change_raw(trace, raw, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Makes a link of a kind that needs nothing else said, such as `bridge` or `ifb`, and sets it up (`ip link add NAME up type KIND`).
    ///
    /// # Errors
    /// `EEXIST` where there is a link of this name, `EOPNOTSUPP` where the kernel has no such kind, `EPERM` as [`Netlink::set_link`].
    pub fn add_link(&mut self, trace: &mut Trace, link: NewLink<'_>, kind: &str) -> Result<(), CallError> {
        let info = Attributes::default().text(1, "IFLA_INFO_KIND", kind);
        let attributes = attributes_of(link).nest(18, "IFLA_LINKINFO", &[], info);
        let raw =
            Raw::new("RTM_NEWLINK", NEWLINK, &link_header(0, UP, UP), ["ifi_flags=IFF_UP".to_owned()], attributes);
        self.change_raw(trace, raw, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Changes a link's hardware address or MTU, whichever is said (`ip link set NAME address MAC mtu MTU`).
    ///
    /// # Errors
    /// As [`Netlink::set_link`]; `EADDRNOTAVAIL` or `EINVAL` for what can be none, `EBUSY` for a link that has to be down for it.
    pub fn change_link(&mut self, trace: &mut Trace, link: NewLink<'_>) -> Result<(), CallError> {
        self.change_raw(trace, Raw::new("RTM_NEWLINK", NEWLINK, &link_header(0, 0, 0), [], attributes_of(link)), 0)
    }

    /// Sets how long the queue of a link is (`ip link set NAME txqueuelen N`).
    ///
    /// # Errors
    /// As [`Netlink::set_link`].
    pub fn set_queue_length(&mut self, trace: &mut Trace, name: &str, length: u32) -> Result<(), CallError> {
        let attributes = Attributes::default().text(3, "IFLA_IFNAME", name).number(13, "IFLA_TXQLEN", length);
        self.change_raw(trace, Raw::new("RTM_NEWLINK", NEWLINK, &link_header(0, 0, 0), [], attributes), 0)
    }

    /// Lets a link take packets that are for others (`ip link set NAME promisc on`), or not.
    ///
    /// # Errors
    /// As [`Netlink::set_link`].
    pub fn set_promisc(&mut self, trace: &mut Trace, name: &str, on: bool) -> Result<(), CallError> {
        self.set_flag(trace, name, PROMISC, "IFF_PROMISC", on)
    }

    /// Lets a link take the packets of every multicast group (`ip link set NAME allmulticast on`), or not.
    ///
    /// # Errors
    /// As [`Netlink::set_link`].
    pub fn set_allmulti(&mut self, trace: &mut Trace, name: &str, on: bool) -> Result<(), CallError> {
        self.set_flag(trace, name, ALLMULTI, "IFF_ALLMULTI", on)
    }

    fn set_flag(&mut self, trace: &mut Trace, name: &str, flag: u32, word: &str, on: bool) -> Result<(), CallError> {
        let told = [format!("ifi_flags={}", if on { word } else { "0" }), format!("ifi_change={word}")];
        let header = link_header(0, if on { flag } else { 0 }, flag);
        let attributes = Attributes::default().text(3, "IFLA_IFNAME", name);
        self.change_raw(trace, Raw::new("RTM_NEWLINK", NEWLINK, &header, told, attributes), 0)
    }

    /// Gives a link an address that can be used at once: nobody is asked whether somebody else has it (`IFA_F_NODAD`). Without `routed` no
    /// route to its network comes with it (`IFA_F_NOPREFIXROUTE`).
    ///
    /// # Errors
    /// As [`Netlink::add_address`]; `ENODEV` where there is no link of this index.
    pub fn give_address(
        &mut self,
        trace: &mut Trace,
        link: u32,
        ip: IpAddr,
        prefix: u8,
        routed: bool,
    ) -> Result<(), CallError> {
        const NODAD: u32 = 0x2;
        const NOPREFIXROUTE: u32 = 0x200;
        let mut header = [family(ip), prefix, 0, 0, 0, 0, 0, 0];
        header[4..].copy_from_slice(&link.to_ne_bytes());
        let mut attributes = address(Attributes::default(), 1, "IFA_ADDRESS", ip);
        attributes = address(attributes, 2, "IFA_LOCAL", ip);
        if let (IpAddr::V4(v4), 0..=30) = (ip, prefix) {
            let all = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            attributes = address(attributes, 4, "IFA_BROADCAST", IpAddr::from((v4.to_bits() | all).to_be_bytes()));
        }
        let flags = if ip.is_ipv6() { NODAD } else { 0 } | if routed { 0 } else { NOPREFIXROUTE };
        let shown = format!("{flags:#x}");
        attributes = attributes.bytes(8, "IFA_FLAGS", &flags.to_ne_bytes(), &shown);
        let told = [format!("ifa_index={link}"), format!("ifa_prefixlen={prefix}")];
        self.change_raw(trace, Raw::new("RTM_NEWADDR", NEWADDR, &header, told, attributes), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Makes a route (`ip route add TO via VIA dev LINK …`).
    ///
    /// # Errors
    /// As [`Netlink::add_route`]; `ENODEV` where there is no link of this index, `ENETDOWN` where it is down.
    pub fn add_path(&mut self, trace: &mut Trace, path: &Path) -> Result<(), CallError> {
        self.change_raw(trace, path_request("RTM_NEWROUTE", NEWROUTE, path), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Takes a route away (`ip route delete TO via VIA dev LINK …`).
    ///
    /// # Errors
    /// As [`Netlink::delete_route`].
    pub fn delete_path(&mut self, trace: &mut Trace, path: &Path) -> Result<(), CallError> {
        self.change_raw(trace, path_request("RTM_DELROUTE", DELROUTE, path), 0)
    }
}

/// `struct rtmsg` and attributes (<linux/rtnetlink.h>): of the protocol `boot`, as ip(8) has them.
fn path_request(name: &'static str, kind: u16, path: &Path) -> Raw {
    const LINK: u8 = 253;
    const MAIN: u32 = 254;
    let scope = path.scope.unwrap_or(if path.via.is_none() && path.to.is_ipv4() { LINK } else { 0 });
    let table = path.table.unwrap_or(MAIN);
    let header = [family(path.to), path.prefix, 0, 0, u8::try_from(table).unwrap_or(0), 3, scope, 1, 0, 0, 0, 0];
    let mut attributes = Attributes::default();
    if path.prefix > 0 {
        attributes = address(attributes, 1, "RTA_DST", path.to);
    }
    attributes = attributes.number(4, "RTA_OIF", path.link);
    if let Some(via) = path.via {
        attributes = address(attributes, 5, "RTA_GATEWAY", via);
    }
    if let Some(source) = path.source {
        attributes = address(attributes, 7, "RTA_PREFSRC", source);
    }
    attributes = attributes.number_if(6, "RTA_PRIORITY", path.metric).number(15, "RTA_TABLE", table);
    if path.mtu.is_some() || path.advmss.is_some() {
        let metrics = Attributes::default().number_if(2, "RTAX_MTU", path.mtu);
        let metrics = metrics.number_if(8, "RTAX_ADVMSS", path.advmss);
        attributes = attributes.nest(8, "RTA_METRICS", &[], metrics);
    }
    Raw::new(name, kind, &header, [format!("rtm_dst_len={}", path.prefix)], attributes)
}

//! The requests that are sent, and the words for them in the trace, which are read off the very message that is sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{
    InfoBridgePort, InfoData, InfoPortData, InfoPortKind, InfoVeth, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo,
    LinkMessage,
};
use rtnetlink::packet_route::nsid::{NsidAttribute, NsidMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol};
use rtnetlink::{AddressMessageBuilder, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

/// Up or down, for the link of this name.
pub(super) fn set_link(name: &str, up: bool) -> RouteNetlinkMessage {
    let link = LinkUnspec::new_with_name(name);
    RouteNetlinkMessage::NewLink(if up { link.up() } else { link.down() }.build())
}

/// A pair of links.
pub(super) fn add_veth(name: &str, peer: &str) -> RouteNetlinkMessage {
    RouteNetlinkMessage::NewLink(LinkVeth::new(name, peer).build())
}

/// A bridge, which has no ports yet, and is down.
pub(super) fn add_bridge(name: &str) -> RouteNetlinkMessage {
    RouteNetlinkMessage::NewLink(LinkMessageBuilder::<LinkBridge>::new(name).build())
}

/// The link of this name, to be a port of the bridge with this index.
pub(super) fn set_master(name: &str, master: u32) -> RouteNetlinkMessage {
    RouteNetlinkMessage::NewLink(LinkUnspec::new_with_name(name).controller(master).build())
}

/// The link of this name, which is a port of a bridge, to send back what came in by it, or not to.
pub(super) fn set_hairpin(name: &str, on: bool) -> RouteNetlinkMessage {
    let port = InfoPortData::BridgePort(vec![InfoBridgePort::HairpinMode(on)]);
    let mut link = LinkUnspec::new_with_name(name).build();
    let infos = vec![LinkInfo::PortKind(InfoPortKind::Bridge), LinkInfo::PortData(port)];
    link.attributes.push(LinkAttribute::LinkInfo(infos));
    RouteNetlinkMessage::NewLink(link)
}

/// The link of this name, for the network namespace of a process.
pub(super) fn move_link(name: &str, pid: u32) -> RouteNetlinkMessage {
    RouteNetlinkMessage::NewLink(LinkUnspec::new_with_name(name).setns_by_pid(pid).build())
}

/// The link of this name, to be deleted.
pub(super) fn delete_link(name: &str) -> RouteNetlinkMessage {
    RouteNetlinkMessage::DelLink(LinkUnspec::new_with_name(name).build())
}

/// One link, by its name.
pub(super) fn get_link(name: &str) -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetLink(LinkUnspec::new_with_name(name).build())
}

/// An address of a link, to be given. One of IPv6 can be used at once: else the kernel asks for a second or two whether somebody has it
/// already (RFC 4862, duplicate address detection), and until then nothing can be sent from it.
pub(super) fn add_address(index: u32, address: IpAddr, prefix: u8) -> RouteNetlinkMessage {
    let mut message = address_of(index, address, prefix);
    if address.is_ipv6() {
        message.header.flags |= AddressHeaderFlags::Nodad;
    }
    RouteNetlinkMessage::NewAddress(message)
}

/// An address of a link, to be taken away.
pub(super) fn delete_address(index: u32, address: IpAddr, prefix: u8) -> RouteNetlinkMessage {
    RouteNetlinkMessage::DelAddress(address_of(index, address, prefix))
}

fn address_of(index: u32, address: IpAddr, prefix: u8) -> AddressMessage {
    match address {
        IpAddr::V4(v4) => AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(v4, prefix).build(),
        IpAddr::V6(v6) => AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(v6, prefix).build(),
    }
}

/// A route to a network, by a neighbour, to be made.
pub(super) fn add_route(to: IpAddr, prefix: u8, via: IpAddr) -> RouteNetlinkMessage {
    RouteNetlinkMessage::NewRoute(route_of(to, prefix, via))
}

/// A route to a network, by a neighbour, to be taken away.
pub(super) fn delete_route(to: IpAddr, prefix: u8, via: IpAddr) -> RouteNetlinkMessage {
    RouteNetlinkMessage::DelRoute(route_of(to, prefix, via))
}

/// The table is `main`, the protocol `boot`, as ip(8) has them where nothing is said. The kernel finds the link: it is the one by
/// which the neighbour is reached.
fn route_of(to: IpAddr, prefix: u8, via: IpAddr) -> RouteMessage {
    let mut route = match to {
        IpAddr::V4(_) => RouteMessageBuilder::<Ipv4Addr>::new().protocol(RouteProtocol::Boot).build(),
        IpAddr::V6(_) => RouteMessageBuilder::<Ipv6Addr>::new().protocol(RouteProtocol::Boot).build(),
    };
    route.header.destination_prefix_length = prefix;
    // The default route is the one without a destination.
    if prefix > 0 {
        route.attributes.push(RouteAttribute::Destination(route_address(to)));
    }
    route.attributes.push(RouteAttribute::Gateway(route_address(via)));
    route
}

fn route_address(ip: IpAddr) -> RouteAddress {
    match ip {
        IpAddr::V4(v4) => RouteAddress::Inet(v4),
        IpAddr::V6(v6) => RouteAddress::Inet6(v6),
    }
}

/// Every link; without its packet counters, which are most of what a link says of itself.
pub(super) fn all_links() -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    RouteNetlinkMessage::GetLink(message)
}

/// The number by which the socket's namespace knows the one that this descriptor is of.
pub(super) fn namespace_id(fd: u32) -> RouteNetlinkMessage {
    let mut message = NsidMessage::default();
    message.attributes.push(NsidAttribute::Fd(fd));
    RouteNetlinkMessage::GetNsId(message)
}

/// Every address.
pub(super) fn all_addresses() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetAddress(AddressMessage::default())
}

/// Every route.
pub(super) fn all_routes() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetRoute(RouteMessage::default())
}

/// The name of a request, and what it carries, field by field, under the kernel's names (<linux/rtnetlink.h>).
pub(super) fn words(message: &RouteNetlinkMessage) -> (&'static str, Vec<String>) {
    match message {
        RouteNetlinkMessage::NewLink(link) => ("RTM_NEWLINK", link_words(link)),
        RouteNetlinkMessage::GetLink(link) => ("RTM_GETLINK", link_words(link)),
        RouteNetlinkMessage::DelLink(link) => ("RTM_DELLINK", link_words(link)),
        RouteNetlinkMessage::NewAddress(address) => ("RTM_NEWADDR", address_words(address)),
        RouteNetlinkMessage::DelAddress(address) => ("RTM_DELADDR", address_words(address)),
        RouteNetlinkMessage::NewRoute(route) => ("RTM_NEWROUTE", route_words(route)),
        RouteNetlinkMessage::DelRoute(route) => ("RTM_DELROUTE", route_words(route)),
        other => ("netlink", vec![format!("{other:?}")]),
    }
}

fn link_words(link: &LinkMessage) -> Vec<String> {
    let flags = |flags: LinkFlags| match flags.iter_names().map(|(name, _)| format!("IFF_{}", name.to_uppercase())) {
        names if flags.is_empty() => names.chain(["0".to_owned()]).collect::<String>(),
        names => names.collect::<Vec<_>>().join("|"),
    };
    let mut words: Vec<String> = link.attributes.iter().map(link_attribute).collect();
    if !link.header.change_mask.is_empty() {
        words.push(format!("ifi_flags={}", flags(link.header.flags)));
        words.push(format!("ifi_change={}", flags(link.header.change_mask)));
    }
    words
}

fn link_attribute(attribute: &LinkAttribute) -> String {
    match attribute {
        LinkAttribute::IfName(name) => format!("IFLA_IFNAME={name:?}"),
        LinkAttribute::Controller(index) => format!("IFLA_MASTER={index}"),
        LinkAttribute::NetNsPid(pid) => format!("IFLA_NET_NS_PID={pid}"),
        LinkAttribute::LinkInfo(infos) => infos.iter().map(link_info).collect::<Vec<_>>().join(", "),
        other => format!("{other:?}"),
    }
}

fn link_info(info: &LinkInfo) -> String {
    match info {
        LinkInfo::Kind(kind) => format!("IFLA_INFO_KIND=\"{kind}\""),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))) => {
            format!("VETH_INFO_PEER={{{}}}", link_words(peer).join(", "))
        }
        LinkInfo::PortKind(InfoPortKind::Bridge) => "IFLA_INFO_SLAVE_KIND=\"bridge\"".to_owned(),
        LinkInfo::PortData(InfoPortData::BridgePort(settings)) => {
            settings.iter().map(port_setting).collect::<Vec<_>>().join(", ")
        }
        other => format!("{other:?}"),
    }
}

fn port_setting(setting: &InfoBridgePort) -> String {
    match setting {
        InfoBridgePort::HairpinMode(on) => format!("IFLA_BRPORT_MODE={}", u8::from(*on)),
        other => format!("{other:?}"),
    }
}

fn address_words(address: &AddressMessage) -> Vec<String> {
    let header = &address.header;
    let fixed = [format!("ifa_index={}", header.index), format!("ifa_prefixlen={}", header.prefix_len)];
    let attribute = |attribute: &AddressAttribute| match attribute {
        AddressAttribute::Address(ip) => format!("IFA_ADDRESS={ip}"),
        AddressAttribute::Local(ip) => format!("IFA_LOCAL={ip}"),
        AddressAttribute::Broadcast(ip) => format!("IFA_BROADCAST={ip}"),
        other => format!("{other:?}"),
    };
    let nodad = header.flags.contains(AddressHeaderFlags::Nodad).then(|| "ifa_flags=IFA_F_NODAD".to_owned());
    fixed.into_iter().chain(nodad).chain(address.attributes.iter().map(attribute)).collect()
}

fn route_words(route: &RouteMessage) -> Vec<String> {
    let address = |address: &RouteAddress| match address {
        RouteAddress::Inet(v4) => v4.to_string(),
        RouteAddress::Inet6(v6) => v6.to_string(),
        other => format!("{other:?}"),
    };
    let attribute = |attribute: &RouteAttribute| match attribute {
        RouteAttribute::Destination(to) => format!("RTA_DST={}", address(to)),
        RouteAttribute::Gateway(via) => format!("RTA_GATEWAY={}", address(via)),
        other => format!("{other:?}"),
    };
    let prefix = format!("rtm_dst_len={}", route.header.destination_prefix_length);
    std::iter::once(prefix).chain(route.attributes.iter().map(attribute)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_in_the_kernels_words() {
        let told = |message| {
            let (name, args) = words(&message);
            format!("{name}({})", args.join(", "))
        };
        assert_eq!(told(set_link("lo", true)), "RTM_NEWLINK(IFLA_IFNAME=\"lo\", ifi_flags=IFF_UP, ifi_change=IFF_UP)");
        assert_eq!(told(set_link("lo", false)), "RTM_NEWLINK(IFLA_IFNAME=\"lo\", ifi_flags=0, ifi_change=IFF_UP)");
        assert_eq!(told(get_link("\u{202e}o")), "RTM_GETLINK(IFLA_IFNAME=\"\\u{202e}o\")");
        assert_eq!(
            told(add_veth("eth0", "v0")),
            "RTM_NEWLINK(IFLA_IFNAME=\"eth0\", IFLA_INFO_KIND=\"veth\", VETH_INFO_PEER={IFLA_IFNAME=\"v0\"})"
        );
        assert_eq!(told(move_link("eth0", 7)), "RTM_NEWLINK(IFLA_IFNAME=\"eth0\", IFLA_NET_NS_PID=7)");
        assert_eq!(told(add_bridge("br0")), "RTM_NEWLINK(IFLA_IFNAME=\"br0\", IFLA_INFO_KIND=\"bridge\")");
        assert_eq!(told(set_master("eth0", 4)), "RTM_NEWLINK(IFLA_IFNAME=\"eth0\", IFLA_MASTER=4)");
        assert_eq!(
            told(set_hairpin("eth0", true)),
            "RTM_NEWLINK(IFLA_IFNAME=\"eth0\", IFLA_INFO_SLAVE_KIND=\"bridge\", IFLA_BRPORT_MODE=1)"
        );
        assert_eq!(told(delete_link("eth0")), "RTM_DELLINK(IFLA_IFNAME=\"eth0\")");
        assert_eq!(
            told(add_address(1, IpAddr::from([10, 0, 0, 1]), 24)),
            "RTM_NEWADDR(ifa_index=1, ifa_prefixlen=24, IFA_ADDRESS=10.0.0.1, IFA_LOCAL=10.0.0.1, IFA_BROADCAST=10.0.0.255)"
        );
        let six: IpAddr = "fd00::2".parse().expect("an address");
        assert_eq!(
            told(add_address(1, six, 64)),
            "RTM_NEWADDR(ifa_index=1, ifa_prefixlen=64, ifa_flags=IFA_F_NODAD, IFA_ADDRESS=fd00::2, IFA_LOCAL=fd00::2)"
        );
        let (any, via) = (IpAddr::from([0, 0, 0, 0]), IpAddr::from([10, 0, 0, 1]));
        assert_eq!(told(add_route(any, 0, via)), "RTM_NEWROUTE(rtm_dst_len=0, RTA_GATEWAY=10.0.0.1)");
        assert_eq!(
            told(delete_route(IpAddr::from([10, 9, 0, 0]), 16, via)),
            "RTM_DELROUTE(rtm_dst_len=16, RTA_DST=10.9.0.0, RTA_GATEWAY=10.0.0.1)"
        );
        assert!(told(delete_address(1, IpAddr::from([10, 0, 0, 1]), 24)).starts_with("RTM_DELADDR(ifa_index=1, "));
    }
}

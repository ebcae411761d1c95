//! Checks on links, and network namespaces that have a name and no process.

use super::*;
use crate::kernel::conntrack::Conntrack;
use crate::kernel::netlink::{Address, Connection, Link, Route, Table, TcpSockets};
use crate::kernel::nftables::Ruleset;
use crate::probe::{Network, Pin, Sysctl};

fn link(index: u32, name: &str, master: Option<u32>) -> Link {
    let [name, kind, state] = [name, "veth", "UP"].map(str::to_owned);
    let (address, peer, peer_namespace) = (None, None, None);
    Link { index, name, kind, flags: 0x1, state, mtu: 1500, address, master, hairpin: index == 3, peer, peer_namespace }
}

fn route(to: [u8; 4], prefix: u8, link: u32) -> Route {
    let [kind, protocol] = ["unicast", "kernel"].map(str::to_owned);
    let (via, source, metric, table) = (None, None, 0, Table::Main);
    Route { to: to.into(), prefix, link: Some(link), via, source, metric, kind, protocol, table }
}

/// Two visitors of one port.
fn sockets() -> TcpSockets {
    let visitor = |peer: &str| Connection {
        local: "10.0.0.1:80".parse().unwrap(),
        peer: peer.parse().unwrap(),
        state: "ESTAB".to_owned(),
    };
    TcpSockets { listeners: Vec::new(), connections: vec![visitor("10.0.0.2:4000"), visitor("10.0.0.3:4000")] }
}

/// A network with a bridge and one port of it.
fn network() -> Reading<Network> {
    let address = |ip: &str, prefix| {
        let scope = "global".to_owned();
        Address { link: 3, ip: ip.parse().unwrap(), prefix, scope, tentative: false }
    };
    Reading::Value(Network {
        links: vec![link(2, "br0", None), link(3, "web0", Some(2)), link(4, "db0", None)],
        addresses: vec![address("fe80::1", 64)],
        routes: vec![route([10, 0, 0, 0], 24, 3), route([10, 0, 0, 0], 24, 4), route([10, 0, 0, 0], 8, 4)],
        neighbours: Vec::new(),
        forwarding: Vec::new(),
        tcp: Reading::Value(sockets()),
        udp: Reading::Value(vec!["10.0.0.1:53".parse().unwrap()]),
        sysctls: [(Sysctl::IpForward, "1".to_owned())].into(),
        ruleset: Reading::Value(Ruleset::default()),
        conntrack: Reading::Value(Conntrack::default()),
        ids: [].into(),
    })
}

#[test]
fn a_port_has_a_master() {
    let mut lab = Lab::new();
    lab.own(1, Namespace::Net, 70).observation.networks.insert(70, network());
    assert!(lab.check("link_master: { of: host, link: web0, is: br0 }").holds);
    let other = lab.check("link_master: { of: host, link: db0, is: br0 }");
    assert_eq!((other.holds, other.seen.as_str()), (false, "it is a port of none"));
    assert!(!lab.check("link_master: { of: host, link: web0, is: br1 }").holds);
    assert!(!lab.check("link_master: { of: host, link: eth0, is: br0 }").holds);
    assert!(lab.check("hairpin: { of: host, link: web0 }").holds);
    assert_eq!(lab.check("hairpin: { of: host, link: db0 }").seen, "hairpin is off");
}

#[test]
fn what_the_kernel_gives_is_no_address_that_was_given() {
    let mut lab = Lab::new();
    lab.own(1, Namespace::Net, 70).observation.networks.insert(70, network());
    assert!(lab.check("no_address: { of: host, link: web0 }").holds);
    let Some(Reading::Value(network)) = lab.observation.networks.get_mut(&70) else { panic!("a network") };
    network.addresses.push(Address { ip: [10, 0, 0, 1].into(), ..network.addresses[0].clone() });
    let check = lab.check("no_address: { of: host, link: web0 }");
    assert_eq!((check.holds, check.seen.as_str()), (false, "it has 10.0.0.1/64"));
    assert!(!lab.check("no_address: { of: host, link: eth0 }").holds, "a link that is not there");
}

#[test]
fn routes_are_counted_by_exactly_their_network() {
    let mut lab = Lab::new();
    lab.own(1, Namespace::Net, 70).observation.networks.insert(70, network());
    assert_eq!(lab.value("routes_to: { of: host, to: 10.0.0.0/24 }").as_deref(), Some("2"));
    assert_eq!(lab.value("routes_to: { of: host, to: 10.0.0.0/16 }").as_deref(), Some("0"));
    assert!(lab.check("route_to: { of: host, to: 10.0.0.0/8 }").holds);
}

#[test]
fn a_route_may_have_to_lead_by_somebody() {
    let mut lab = Lab::new();
    lab.own(1, Namespace::Net, 70).observation.networks.insert(70, network());
    let Some(Reading::Value(network)) = lab.observation.networks.get_mut(&70) else { panic!("a network") };
    network.routes.push(Route { via: Some([10, 0, 0, 9].into()), ..route([0, 0, 0, 0], 0, 3) });
    assert!(lab.check("route_to: { of: host, to: 0.0.0.0/0, via: 10.0.0.9 }").holds);
    assert!(lab.check("no_route: { of: host, to: 10.1.0.0/16 }").holds);
    assert_eq!(lab.value("default_link: { of: host }").as_deref(), Some("web0"));
    let check = lab.check("no_route: { of: host, to: 0.0.0.0/0 }");
    assert!(!check.holds && check.seen.ends_with("1 lead there"), "{check:?}");
    let check = lab.check("route_to: { of: host, to: 0.0.0.0/0, via: 10.0.0.8 }");
    assert_eq!((check.holds, check.seen.as_str()), (false, "of its 4 routes 1 lead there, by 10.0.0.9"));
    assert!(!lab.check("route_to: { of: host, to: 10.0.0.0/8, via: 10.0.0.9 }").holds);
}

#[test]
fn settings_are_those_of_the_namespace() {
    let mut lab = Lab::new();
    lab.own(1, Namespace::Net, 70).observation.networks.insert(70, network());
    assert!(lab.check("sysctl: { of: host, name: net.ipv4.ip_forward, is: '1' }").holds);
    assert!(!lab.check("sysctl: { of: host, name: net.ipv4.ip_forward, is: '0' }").holds);
    let unread = lab.check("sysctl: { of: host, name: net.ipv6.conf.all.forwarding, is: '1' }");
    assert_eq!((unread.holds, unread.seen.as_str()), (false, "it could not be read"));
}

#[test]
fn who_is_connected_is_told_by_the_end_that_listens() {
    let mut lab = Lab::new();
    lab.own(1, Namespace::Net, 70).observation.networks.insert(70, network());
    assert!(lab.check("connected_from: { of: host, port: 80, peer: 10.0.0.3 }").holds);
    let other = lab.check("connected_from: { of: host, port: 80, peer: 10.0.0.4 }");
    assert_eq!((other.holds, other.seen.as_str()), (false, "connected: 10.0.0.2, 10.0.0.3"));
    assert!(!lab.check("connected_from: { of: host, port: 81, peer: 10.0.0.3 }").holds);
    assert_eq!(lab.value("peers_of: { of: host, port: 80 }").as_deref(), Some("10.0.0.2 10.0.0.3"));
}

#[test]
fn a_udp_port_has_an_owner_or_none() {
    let mut lab = Lab::new();
    lab.own(1, Namespace::Net, 70).observation.networks.insert(70, network());
    assert!(lab.check("udp_bound: { of: host, port: 53 }").holds);
    let other = lab.check("udp_bound: { of: host, port: 80 }");
    assert_eq!((other.holds, other.seen.as_str()), (false, "bound: 10.0.0.1:53"));
}

#[test]
fn a_word_that_is_no_box_may_be_a_network_namespace_of_that_name() {
    let mut lab = Lab::new();
    lab.observation.networks.insert(70, network());
    let check = "link_exists: { of: web, link: br0 }";
    assert_eq!(lab.check(check).seen, "there is no web");
    let pin = |kind: &str, inode, at: &str| Pin { kind: kind.into(), inode, at: at.into() };
    lab.observation.pins = vec![pin("net", 70, "/run/netns/a/web"), pin("uts", 70, "/run/netns/web")];
    assert_eq!(lab.check(check).seen, "there is no web");
    lab.observation.pins.push(pin("net", 70, "/run/netns/web"));
    assert!(lab.check(check).holds);
    assert!(lab.check("namespace_differs: { of: web, kind: net, from: host }").holds);
    // It has a network and nothing else.
    assert!(!lab.check("namespace_differs: { of: web, kind: uts, from: host }").holds);
    // A box of that name comes first, and no file is the host.
    lab.names.boxes.insert("web".to_owned(), 7);
    assert!(!lab.check(check).holds);
    lab.observation.pins = vec![pin("net", 70, "/run/netns/host")];
    assert!(!lab.check("link_exists: { of: host, link: br0 }").holds);
}

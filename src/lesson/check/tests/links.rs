//! Checks on links, and network namespaces that have a name and no process.

use super::*;
use crate::kernel::netlink::{Address, Link, Route, Table};
use crate::kernel::nftables::Ruleset;
use crate::probe::{Network, Pin};

fn link(index: u32, name: &str, master: Option<u32>) -> Link {
    let [name, kind, state] = [name, "veth", "UP"].map(str::to_owned);
    let (address, peer, peer_namespace) = (None, None, None);
    Link { index, name, kind, flags: 0x1, state, mtu: 1500, address, master, peer, peer_namespace }
}

fn route(to: [u8; 4], prefix: u8, link: u32) -> Route {
    let [kind, protocol] = ["unicast", "kernel"].map(str::to_owned);
    let (via, source, metric, table) = (None, None, 0, Table::Main);
    Route { to: to.into(), prefix, link: Some(link), via, source, metric, kind, protocol, table }
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
        listeners: Reading::Value(Vec::new()),
        ruleset: Reading::Value(Ruleset::default()),
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

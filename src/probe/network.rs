//! Networks: links, addresses and routes of each network namespace, by route netlink (network_namespaces(7), rtnetlink(7)).

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::rows::{About, Sheet, quote};
use super::{Mount, Panel, Process, Reading};
use crate::kernel::namespace::Namespace;
use crate::kernel::netlink::{Address, Link, Netlink, Route, Table, listeners};

/// What a network namespace holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// In the order of their indices.
    pub links: Vec<Link>,
    /// In the order in which the kernel tells them.
    pub addresses: Vec<Address>,
    /// In the order in which the kernel tells them.
    pub routes: Vec<Route>,
    /// Where somebody listens for TCP.
    pub listeners: Reading<Vec<SocketAddr>>,
}

/// A namespace that is kept by a mount of its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Which kind, as the kernel calls it: `net`.
    pub kind: String,
    /// Its inode.
    pub inode: u64,
    /// The file that it is mounted on.
    pub at: String,
}

impl Network {
    /// Reads the network namespace that the calling thread is in.
    pub(super) fn read() -> Reading<Self> {
        let read = || {
            let mut netlink = Netlink::open()?;
            let (mut links, addresses, routes) = (netlink.links()?, netlink.addresses()?, netlink.routes()?);
            links.sort_by_key(|link| link.index);
            Ok::<_, io::Error>(Self { links, addresses, routes, listeners: listeners().into() })
        };
        Reading::from(read())
    }

    /// The link of this name.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The name of the link with this index; `if5` where it is in another namespace.
    fn name(&self, index: u32) -> String {
        self.links
            .iter()
            .find(|link| link.index == index)
            .map_or_else(|| format!("if{index}"), |link| link.name.clone())
    }
}

impl Pin {
    /// The pins among mounts: the kernel mounts namespaces as files of its own file system nsfs.
    pub(super) fn all(mounts: &[Mount]) -> Vec<Self> {
        let pin = |mount: &Mount| {
            let (kind, _) = mount.root.split_once(":[")?;
            let inode = super::namespaces::parse_link(&mount.root)?;
            Some(Self { kind: kind.to_owned(), inode, at: mount.target.clone() })
        };
        mounts.iter().filter(|mount| mount.fstype == "nsfs").filter_map(pin).collect()
    }
}

/// The rows of the network panel: for each process with a word of its own, for each network namespace without any, and for
/// those that only a mount holds.
pub(super) fn rows(sheet: &mut Sheet<'_>) {
    let observation = sheet.observation;
    for (inode, process) in sheet.viewers(Namespace::Net, observation.networks.keys()) {
        let place = Place::of(inode, process, sheet.names.host);
        let mut about = sheet.about(Panel::Network, process);
        tell(&mut about, &place, &observation.networks, &observation.pins);
    }
    let is_held = |inode: u64| observation.members(Namespace::Net, inode).next().is_some();
    let mut told = HashSet::new();
    for pin in observation.pins.iter().filter(|pin| pin.kind == "net" && !is_held(pin.inode)) {
        if told.insert(pin.inode) {
            let place = Place { inode: pin.inode, enter: format!("nsenter --net={} ", quote(&pin.at)) };
            let mut about = sheet.about_thing(Panel::Network, format!("net:[{}], no process", pin.inode));
            tell(&mut about, &place, &observation.networks, &observation.pins);
        }
    }
}

/// A network namespace, and what to write before a command to run it there.
struct Place {
    inode: u64,
    enter: String,
}

impl Place {
    fn of(inode: u64, process: &Process, host: i32) -> Self {
        let pid = process.pid;
        let enter = if pid == host { String::new() } else { format!("nsenter --target {pid} --net ") };
        Self { inode, enter }
    }

    fn ip(&self, arguments: &str) -> String {
        format!("{}ip {arguments}", self.enter)
    }

    fn source(&self, request: &str) -> String {
        format!("{request} dump in net:[{}]", self.inode)
    }
}

fn tell(about: &mut About<'_, '_>, place: &Place, networks: &BTreeMap<u64, Reading<Network>>, pins: &[Pin]) {
    let network = match networks.get(&place.inode) {
        Some(Reading::Value(network)) => network,
        Some(missing) => {
            let meaning = "To read it, its namespace must be entered; setns(2) says who may.";
            let text = missing.text(|_| String::new());
            return about.row("network", text, place.source("RTM_GETLINK"), place.ip("link"), meaning);
        }
        None => return,
    };
    let mut keys = HashSet::new();
    for link in &network.links {
        let command = place.ip(&format!("-d link show dev {}", quote(&link.name)));
        let key = unique(&mut keys, link.name.clone());
        about.row(&key, link_value(network, link), place.source("RTM_GETLINK"), command, link_meaning(link));
    }
    for address in &network.addresses {
        let name = network.name(address.link);
        let key = unique(&mut keys, format!("{name} {}/{}", address.ip, address.prefix));
        let tentative = if address.tentative { ", tentative" } else { "" };
        let meaning = match address.scope.as_str() {
            "host" => "An address of this namespace alone: packets to it do not leave it.",
            "link" => "An address that counts on this link only.",
            _ => "An address that others may send to.",
        };
        let command = place.ip(&format!("address show dev {}", quote(&name)));
        about.row(&key, format!("scope {}{tentative}", address.scope), place.source("RTM_GETADDR"), command, meaning);
    }
    if network.addresses.is_empty() {
        let meaning = "No link has an address: nothing can be sent from here, and nothing arrives.";
        let key = unique(&mut keys, "addresses".to_owned());
        about.row(&key, "none".to_owned(), place.source("RTM_GETADDR"), place.ip("address"), meaning);
    }
    for route in &network.routes {
        let key = unique(&mut keys, route_key(route));
        let family = if route.to.is_ipv6() { "-6 " } else { "" };
        let table = match route.table {
            Table::Local => "local".to_owned(),
            Table::Main => "main".to_owned(),
            Table::Other(number) => number.to_string(),
        };
        let command = place.ip(&format!("{family}route show table {table}"));
        about.row(&key, route_value(network, route), place.source("RTM_GETROUTE"), command, route_meaning(route));
    }
    if network.routes.is_empty() {
        let meaning = "No route leads anywhere: every connect(2) ends with ENETUNREACH before a packet is made.";
        let key = unique(&mut keys, "routes".to_owned());
        about.row(&key, "none".to_owned(), place.source("RTM_GETROUTE"), place.ip("route show table all"), meaning);
    }
    match &network.listeners {
        Reading::Value(listeners) => {
            for listener in listeners {
                let meaning = "Somebody in this namespace listens on this TCP port. Each network namespace has all 65535 of them.";
                let command =
                    format!("{}ss --no-header --listening --tcp --numeric sport = :{}", place.enter, listener.port());
                let source = place.source("SOCK_DIAG_BY_FAMILY");
                let key = unique(&mut keys, format!("tcp {listener}"));
                about.row(&key, "LISTEN".to_owned(), source, command, meaning);
            }
        }
        missing => {
            let command = format!("{}ss --listening --tcp --numeric", place.enter);
            let meaning = "Which ports have a listener: this kernel does not tell (sock_diag(7), CONFIG_INET_DIAG).";
            let key = unique(&mut keys, "tcp".to_owned());
            about.row(&key, missing.text(|_| String::new()), place.source("SOCK_DIAG_BY_FAMILY"), command, meaning);
        }
    }
    for pin in pins.iter().filter(|pin| pin.inode == place.inode) {
        let meaning = "A mount of the namespace's file: it keeps the namespace alive without any process.";
        let key = unique(&mut keys, "pinned".to_owned());
        let command = "findmnt --noheadings --types nsfs --output TARGET".to_owned();
        about.row(&key, pin.at.clone(), "/proc/1/mountinfo".to_owned(), command, meaning);
    }
}

/// `UP loopback mtu 65536 <LOOPBACK,UP,LOWER_UP> state UNKNOWN`, and what else there is.
fn link_value(network: &Network, link: &Link) -> String {
    let up = if link.is_up() { "UP" } else { "DOWN" };
    let flags = link.flag_names().collect::<Vec<_>>().join(",");
    let mut value = format!("{up} {} mtu {} <{flags}> state {}", link.kind, link.mtu, link.state);
    if let Some(address) = &link.address {
        value.push_str(&format!(" {address}"));
    }
    if let Some(master) = link.master {
        value.push_str(&format!(" master {}", network.name(master)));
    }
    match (link.peer, link.peer_namespace) {
        (Some(peer), Some(namespace)) => value.push_str(&format!(" peer if{peer} in netnsid {namespace}")),
        (Some(peer), None) if peer != link.index => value.push_str(&format!(" peer {}", network.name(peer))),
        _ => {}
    }
    value
}

fn link_meaning(link: &Link) -> &'static str {
    match (link.kind.as_str(), link.is_up()) {
        ("loopback", false) => {
            "The loopback device, which every network namespace has. Down, it has no address: not even 127.0.0.1."
        }
        ("loopback", true) => {
            "The loopback device: what is sent here arrives here, in this namespace. UP counts; UNKNOWN only says that it has no \
             cable to look at."
        }
        (_, false) => "A link that is down: it sends and receives nothing.",
        ("veth", true) => "One end of a pair: what is sent here arrives at the other end.",
        ("bridge", true) => "A switch: links that have it as their master are its ports.",
        (_, true) => "A link that is up.",
    }
}

/// Where a route leads, as ip(8) writes it: `local 127.0.0.0/8`, `default`.
fn route_key(route: &Route) -> String {
    let whole = if route.to.is_ipv4() { 32 } else { 128 };
    let to = match (route.prefix, route.to.is_ipv6()) {
        (0, false) => "default".to_owned(),
        (0, true) => "default (IPv6)".to_owned(),
        (prefix, _) if prefix == whole => route.to.to_string(),
        (prefix, _) => format!("{}/{prefix}", route.to),
    };
    if route.kind == "unicast" { format!("to {to}") } else { format!("{} {to}", route.kind) }
}

fn route_value(network: &Network, route: &Route) -> String {
    let mut words = Vec::new();
    words.extend(route.via.map(|via| format!("via {via}")));
    words.extend(route.link.map(|link| format!("dev {}", network.name(link))));
    words.extend(route.source.map(|source| format!("src {source}")));
    words.push(format!("proto {}", route.protocol));
    if route.metric != 0 {
        words.push(format!("metric {}", route.metric));
    }
    match route.table {
        Table::Main => {}
        Table::Local => words.push("table local".to_owned()),
        Table::Other(number) => words.push(format!("table {number}")),
    }
    words.join(" ")
}

fn route_meaning(route: &Route) -> &'static str {
    match (route.kind.as_str(), route.via, route.prefix) {
        ("local", _, _) => {
            "Packets to there are for this namespace itself. The kernel keeps the table `local` as addresses come and go."
        }
        ("unicast", Some(_), 0) => "Where everything goes that no other route knows: to this neighbour.",
        ("unicast", Some(_), _) => "Packets to there go to this neighbour, which knows more.",
        ("unicast", None, _) => "Packets to there go out by this link, to a neighbour that has the address.",
        _ => "Packets to there are refused.",
    }
}

/// The key, or another one where there was this one already.
fn unique(keys: &mut HashSet<String>, key: String) -> String {
    let mut new = key.clone();
    let mut count = 1;
    while !keys.insert(new.clone()) {
        count += 1;
        new = format!("{key} #{count}");
    }
    new
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::probe::{Names, Observation, mounts::parse_mountinfo, rows};

    fn link(index: u32, name: &str) -> Link {
        Link {
            index,
            name: name.to_owned(),
            kind: "veth".to_owned(),
            flags: 0x1,
            state: "UP".to_owned(),
            mtu: 1500,
            address: Some("02:00:00:00:00:01".to_owned()),
            master: Some(2),
            peer: Some(7),
            peer_namespace: Some(0),
        }
    }

    fn pinned(network: Network) -> Observation {
        let pins = vec![Pin { kind: "net".to_owned(), inode: 7, at: "/run/netns/a b".to_owned() }];
        Observation { pins, networks: [(7, Reading::Value(network))].into(), ..Observation::default() }
    }

    #[test]
    fn what_only_a_mount_holds_is_shown_and_can_be_asked_for() {
        let links = vec![link(1, "eth0"), link(2, "routes")];
        let network =
            Network { links, addresses: Vec::new(), routes: Vec::new(), listeners: Reading::Value(Vec::new()) };
        let rows = rows(&pinned(network), &Names::default());
        let told: Vec<_> = rows.iter().map(|row| (row.key.as_str(), row.value.as_str())).collect();
        assert_eq!(
            told,
            [
                ("eth0", "UP veth mtu 1500 <UP> state UP 02:00:00:00:00:01 master routes peer if7 in netnsid 0"),
                ("routes", "UP veth mtu 1500 <UP> state UP 02:00:00:00:00:01 master routes peer if7 in netnsid 0"),
                ("addresses", "none"),
                ("routes #2", "none"),
                ("pinned", "/run/netns/a b"),
            ]
        );
        assert_eq!(rows[0].subject, "net:[7], no process");
        assert_eq!(rows[0].command, "nsenter --net='/run/netns/a b' ip -d link show dev eth0");
        assert!(rows[3].meaning.contains("ENETUNREACH"));
    }

    #[test]
    fn pins_are_mounts_of_the_file_system_of_namespaces() {
        let text = b"20 1 254:1 / / rw - ext4 /dev/vda1 rw\n\
            21 20 0:4 net:[4026532177] /run/netns/web rw - nsfs nsfs rw\n\
            22 20 0:4 net:[x] /run/netns/odd rw - nsfs nsfs rw\n";
        let pins = Pin::all(&parse_mountinfo(text).expect("mountinfo"));
        assert_eq!(pins, [Pin { kind: "net".to_owned(), inode: 4_026_532_177, at: "/run/netns/web".to_owned() }]);
    }

    proptest! {
        #[test]
        fn no_two_rows_are_the_same_thing(names in proptest::collection::vec("[a-z ]{0,3}|routes|pinned", 0..6)) {
            let links: Vec<Link> = (1..).zip(&names).map(|(index, name)| link(index, name)).collect();
            let address = |link: &Link| Address {
                link: link.index,
                ip: [10, 0, 0, 1].into(),
                prefix: 24,
                scope: "global".to_owned(),
                tentative: false,
            };
            let addresses = links.iter().map(address).collect();
            let network = Network { links, addresses, routes: Vec::new(), listeners: Reading::Value(Vec::new()) };
            let rows = rows(&pinned(network), &Names::default());
            let identities: HashSet<_> = rows.iter().map(crate::probe::Row::identity).collect();
            prop_assert_eq!(identities.len(), rows.len());
        }
    }
}

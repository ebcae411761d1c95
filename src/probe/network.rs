//! Networks: links, addresses and routes of each network namespace, by route netlink (network_namespaces(7), rtnetlink(7)); and
//! the rules for its packets.

mod conntrack;
mod neighbours;
mod ruleset;
mod sockets;
mod udp;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::rows::{About, Sheet, quote};
use super::sysctl::Sysctl;
use super::{Mount, Observation, Panel, Process, Reading};
use crate::kernel::conntrack::Conntrack;
use crate::kernel::namespace::Namespace;
use crate::kernel::netlink::{Address, Forwarding, Link, Neighbour, Netlink, Route, Table, TcpSockets};
use crate::kernel::nftables::{Nftables, Ruleset};

/// What a network namespace holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// In the order of their indices.
    pub links: Vec<Link>,
    /// In the order in which the kernel tells them.
    pub addresses: Vec<Address>,
    /// In the order in which the kernel tells them.
    pub routes: Vec<Route>,
    /// Who has which address on its links, as far as somebody has asked; sorted.
    pub neighbours: Vec<Neighbour>,
    /// What its bridges have learned; sorted.
    pub forwarding: Vec<Forwarding>,
    /// Its TCP sockets.
    pub tcp: Reading<TcpSockets>,
    /// The UDP ports that somebody has without a peer: those of servers; sorted. None where the only link is the loopback device.
    pub udp: Reading<Vec<SocketAddr>>,
    /// The settings that could be read; none where the only link is the loopback device.
    pub sysctls: BTreeMap<Sysctl, String>,
    /// What becomes of packets on their way (nft(8)).
    pub ruleset: Reading<Ruleset>,
    /// The connections that it keeps track of.
    pub conntrack: Reading<Conntrack>,
    /// What the numbers stand for by which it knows other namespaces: their inodes. Of those that some link here is connected to.
    pub ids: BTreeMap<i32, u64>,
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
    /// Reads the network namespace that the calling thread is in; its sysctls by this `/proc`, which shows everybody their own.
    pub(super) fn read(proc: &Path) -> Reading<Self> {
        let read = || {
            let mut netlink = Netlink::open()?;
            let (mut links, addresses, routes) = (netlink.links()?, netlink.addresses()?, netlink.routes()?);
            links.sort_by_key(|link| link.index);
            let sysctls = if links.len() > 1 { Sysctl::read(proc, &links) } else { BTreeMap::new() };
            let (neighbours, forwarding) = neighbours::read(&mut netlink, &links)?;
            let ruleset = Nftables::open().and_then(|mut nftables| nftables.ruleset()).into();
            let conntrack = conntrack::read(proc, &ruleset);
            let (tcp, udp, ids) = (TcpSockets::read().into(), udp::read(proc, &links), BTreeMap::new());
            Ok::<_, io::Error>(Self {
                links,
                addresses,
                routes,
                neighbours,
                forwarding,
                tcp,
                udp,
                sysctls,
                ruleset,
                conntrack,
                ids,
            })
        };
        Reading::from(read())
    }

    /// Whether some link is connected to one of another namespace.
    pub(super) fn is_connected(&self) -> bool {
        self.links.iter().any(|link| link.peer_namespace.is_some())
    }

    /// The link of this name.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// Whether something is on its way that the kernel does by itself a while later: a bridge is told that its first port is up.
    fn is_settling(&self) -> bool {
        let has_port =
            |bridge: &Link| self.links.iter().any(|port| port.master == Some(bridge.index) && port.carries());
        let waits = |link: &Link| link.kind == "bridge" && link.is_up() && link.state != "UP" && has_port(link);
        self.links.iter().any(waits)
    }

    /// The name of the link with this index; `if5` where it is in another namespace.
    fn name(&self, index: u32) -> String {
        self.links
            .iter()
            .find(|link| link.index == index)
            .map_or_else(|| format!("if{index}"), |link| link.name.clone())
    }
}

impl Observation {
    /// Whether some network will look different in a moment, and nobody will have done anything.
    pub fn networks_are_settling(&self) -> bool {
        self.networks.values().any(|network| network.value().is_some_and(Network::is_settling))
    }
}

impl Pin {
    /// The directory where ip(8) keeps network namespaces, each mounted on a file of its name (ip-netns(8)).
    const NAMED: &str = "/run/netns/";

    /// The name of a network namespace that ip(8) would find.
    pub(super) fn name(&self) -> Option<&str> {
        self.at.strip_prefix(Self::NAMED).filter(|name| self.kind == "net" && !name.contains('/'))
    }

    /// Whether it is the network namespace of this name.
    pub fn is_net_of_name(&self, name: &str) -> bool {
        self.name() == Some(name)
    }

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
            let name = pin.name().map(|name| format!("{name}, ")).unwrap_or_default();
            let mut about = sheet.about_thing(Panel::Network, format!("{name}net:[{}], no process", pin.inode));
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
    let mut teller = Teller { about, place, network, keys: HashSet::new() };
    teller.links();
    teller.addresses();
    teller.routes();
    teller.neighbours();
    teller.forwarding();
    teller.sysctls();
    teller.sockets();
    teller.udp();
    teller.ruleset();
    teller.conntrack();
    for pin in pins.iter().filter(|pin| pin.inode == place.inode) {
        let meaning = "A mount of the namespace's file: it keeps the namespace alive without any process.";
        let command = "findmnt --noheadings --types nsfs --output TARGET".to_owned();
        teller.row("pinned".to_owned(), pin.at.clone(), "/proc/1/mountinfo".to_owned(), command, meaning);
    }
}

/// The rows of one network namespace in the making.
struct Teller<'t, 's, 'a> {
    about: &'t mut About<'s, 'a>,
    place: &'t Place,
    network: &'t Network,
    keys: HashSet<String>,
}

impl Teller<'_, '_, '_> {
    /// Adds a row; where there is one with this key already, under another one.
    fn row(&mut self, key: String, value: String, source: String, command: String, meaning: &str) {
        let key = self.unused(key);
        self.about.row(&key, value, source, command, meaning);
    }

    /// The same, for what comes and goes by itself.
    fn passing(&mut self, key: String, value: String, source: String, command: String, meaning: &str) {
        let key = self.unused(key);
        self.about.passing(&key, value, source, command, meaning);
    }

    fn unused(&mut self, key: String) -> String {
        let mut new = key.clone();
        let mut count = 1;
        while !self.keys.insert(new.clone()) {
            count += 1;
            new = format!("{key} #{count}");
        }
        new
    }

    fn links(&mut self) {
        for link in &self.network.links {
            let command = self.place.ip(&format!("-d link show dev {}", quote(&link.name)));
            let source = self.place.source("RTM_GETLINK");
            let value = link_value(self.network, link);
            self.row(link.name.clone(), value, source.clone(), command.clone(), link_meaning(link));
            let meaning = "What the link is and can do. LOWER_UP and the state tell of the cable: a loopback device has none, so \
                           its state stays UNKNOWN.";
            self.row(format!("{} flags", link.name), flags_value(link), source, command, meaning);
        }
    }

    fn addresses(&mut self) {
        let source = self.place.source("RTM_GETADDR");
        for address in &self.network.addresses {
            let name = self.network.name(address.link);
            // What becomes valid by itself is no change that anybody made.
            let meaning = match address.scope.as_str() {
                _ if address.tentative => {
                    "An address that is not valid yet: the kernel asks whether somebody else has it (RFC 4862)."
                }
                "host" => "An address of this namespace alone: packets to it do not leave it.",
                "link" => "An address that counts on this link only.",
                _ => "An address that others may send to.",
            };
            let command = self.place.ip(&format!("address show dev {}", quote(&name)));
            let key = format!("{name} {}/{}", address.ip, address.prefix);
            self.row(key, format!("scope {}", address.scope), source.clone(), command, meaning);
        }
        if self.network.addresses.is_empty() {
            let meaning = "No link has an address: nothing can be sent from here, and nothing arrives.";
            self.row("addresses".to_owned(), "none".to_owned(), source, self.place.ip("address"), meaning);
        }
    }

    fn routes(&mut self) {
        let source = self.place.source("RTM_GETROUTE");
        for route in self.network.routes.iter().filter(|route| !route.is_to_link_local()) {
            let family = if route.to.is_ipv6() { "-6 " } else { "" };
            let table = match route.table {
                Table::Local => "local".to_owned(),
                Table::Main => "main".to_owned(),
                Table::Other(number) => number.to_string(),
            };
            let command = self.place.ip(&format!("{family}route show table {table}"));
            let value = route_value(self.network, route);
            self.row(route_key(route), value, source.clone(), command, route_meaning(route));
        }
        if self.network.routes.is_empty() {
            let meaning = "No route leads anywhere: every connect(2) ends with ENETUNREACH before a packet is made.";
            let command = self.place.ip("route show table all");
            self.row("routes".to_owned(), "none".to_owned(), source, command, meaning);
        }
    }

    /// Whether this namespace is a router: told of one that could be, with links to two sides, and of one that is.
    fn sysctls(&mut self) {
        let sides = self.network.links.iter().filter(|link| link.kind != "loopback" && link.master.is_none()).count();
        for (sysctl, value) in &self.network.sysctls {
            if value == "0" && (sides < 2 || *sysctl != Sysctl::IpForward) {
                continue;
            }
            let source = format!("{} in net:[{}]", sysctl.path(Path::new("/proc")).display(), self.place.inode);
            let command = format!("{}sysctl {}", self.place.enter, quote(&sysctl.name()));
            self.row(sysctl.name(), value.clone(), source, command, sysctl.meaning(value));
        }
    }
}

/// `UP loopback mtu 65536`, and how it hangs together with other links.
fn link_value(network: &Network, link: &Link) -> String {
    let mut value = format!("{} {} mtu {}", if link.is_up() { "UP" } else { "DOWN" }, link.kind, link.mtu);
    if let Some(master) = link.master {
        value.push_str(&format!(" master {}", network.name(master)));
    }
    if link.hairpin {
        value.push_str(" hairpin");
    }
    match (link.peer, link.peer_namespace) {
        (Some(peer), Some(namespace)) => value.push_str(&format!(" peer if{peer} in netnsid {namespace}")),
        (Some(peer), None) if peer != link.index => value.push_str(&format!(" peer {}", network.name(peer))),
        _ => {}
    }
    value
}

/// `<LOOPBACK,UP,LOWER_UP> state UNKNOWN`, and the hardware address.
fn flags_value(link: &Link) -> String {
    let flags = link.flag_names().collect::<Vec<_>>().join(",");
    let address = link.address.as_ref().map(|address| format!(" {address}")).unwrap_or_default();
    format!("<{flags}> state {}{address}", link.state)
}

fn link_meaning(link: &Link) -> &'static str {
    match (link.kind.as_str(), link.is_up()) {
        ("loopback", false) => {
            "The loopback device, which every network namespace has. Down, it has no address: not even 127.0.0.1."
        }
        ("loopback", true) => "The loopback device: what is sent here arrives here, in this namespace.",
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::probe::{Names, mounts::parse_mountinfo, rows};

    pub(super) fn link(index: u32, name: &str) -> Link {
        Link {
            index,
            name: name.to_owned(),
            kind: "veth".to_owned(),
            flags: 0x1,
            state: "UP".to_owned(),
            mtu: 1500,
            address: Some("02:00:00:00:00:01".to_owned()),
            master: Some(2),
            hairpin: false,
            peer: Some(7),
            peer_namespace: Some(0),
        }
    }

    pub(super) fn network() -> Network {
        Network {
            links: Vec::new(),
            addresses: Vec::new(),
            routes: Vec::new(),
            neighbours: Vec::new(),
            forwarding: Vec::new(),
            tcp: Reading::Value(TcpSockets::default()),
            udp: Reading::Value(Vec::new()),
            sysctls: BTreeMap::new(),
            ruleset: Reading::Value(Ruleset::default()),
            conntrack: Reading::Value(Conntrack::default()),
            ids: BTreeMap::new(),
        }
    }

    pub(super) fn pinned(network: Network) -> Observation {
        let pins = vec![Pin { kind: "net".to_owned(), inode: 7, at: "/run/netns/a b".to_owned() }];
        Observation { pins, networks: [(7, Reading::Value(network))].into(), ..Observation::default() }
    }

    #[test]
    fn what_only_a_mount_holds_is_shown_and_can_be_asked_for() {
        let links = vec![link(1, "eth0"), link(2, "routes")];
        let network = Network { links, ..network() };
        let rows = rows(&pinned(network), &Names::default());
        let told: Vec<_> = rows.iter().map(|row| (row.key.as_str(), row.value.as_str())).collect();
        assert_eq!(
            told,
            [
                ("eth0", "UP veth mtu 1500 master routes peer if7 in netnsid 0"),
                ("eth0 flags", "<UP> state UP 02:00:00:00:00:01"),
                ("routes", "UP veth mtu 1500 master routes peer if7 in netnsid 0"),
                ("routes flags", "<UP> state UP 02:00:00:00:00:01"),
                ("addresses", "none"),
                ("routes #2", "none"),
                ("pinned", "/run/netns/a b"),
            ]
        );
        assert_eq!(rows[0].subject, "a b, net:[7], no process");
        assert_eq!(rows[0].command, "nsenter --net='/run/netns/a b' ip -d link show dev eth0");
        assert!(rows[5].meaning.contains("ENETUNREACH"));
    }

    #[test]
    fn a_network_settles_when_the_bridge_knows_its_port() {
        let bridge = Link { kind: "bridge".to_owned(), state: "UNKNOWN".to_owned(), master: None, ..link(2, "br0") };
        let port = Link { flags: 0x1_0001, ..link(3, "web0") };
        let settling = |links: Vec<Link>| pinned(Network { links, ..network() }).networks_are_settling();
        assert!(settling(vec![bridge.clone(), port.clone()]));
        assert!(!settling(vec![bridge.clone(), link(3, "web0")]), "a port that is down");
        assert!(!settling(vec![Link { state: "UP".to_owned(), ..bridge }, port]));
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
            let network = Network { links, addresses, ..network() };
            let rows = rows(&pinned(network), &Names::default());
            let identities: HashSet<_> = rows.iter().map(crate::probe::Row::identity).collect();
            prop_assert_eq!(identities.len(), rows.len());
        }
    }
}

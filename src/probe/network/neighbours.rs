//! Who is on the links, as rows of the network panel: neighbours, and what bridges have learned of whom their ports lead to.

use std::io;

use super::{Teller, quote};
use crate::kernel::netlink::{Forwarding, Link, Neighbour, Netlink};

/// Neighbours, and what bridges have learned. A namespace with nothing but its loopback device has none, and one without a port of a
/// bridge is not asked for what its bridges have learned: each question costs all namespaces the same.
pub(super) fn read(netlink: &mut Netlink, links: &[Link]) -> io::Result<(Vec<Neighbour>, Vec<Forwarding>)> {
    let neighbours = if links.len() > 1 { netlink.neighbours()? } else { Vec::new() };
    let has_port = links.iter().any(|link| link.master.is_some());
    let forwarding = if has_port { netlink.forwarding()? } else { Vec::new() };
    Ok((neighbours, forwarding))
}

impl Teller<'_, '_, '_> {
    /// One row for each neighbour. Those that the kernel has asked for come with the first packet to them, and grow old by themselves.
    pub(super) fn neighbours(&mut self) {
        let network = self.network;
        for neighbour in &network.neighbours {
            let Neighbour { ip, mac, state, .. } = neighbour;
            let link = network.name(neighbour.link);
            let key = format!("neighbour {ip} dev {link}");
            let value = mac.iter().map(|mac| format!("lladdr {mac} ")).chain([state.clone()]).collect();
            let command = self.place.ip(&format!("neighbour show to {ip} dev {}", quote(&link)));
            let (source, meaning) = (self.place.source("RTM_GETNEIGH"), neighbour_meaning(state));
            match neighbour.is_permanent() {
                true => self.row(key, value, source, command, meaning),
                false => self.passing(key, value, source, command, meaning),
            }
        }
    }

    /// One row for each hardware address that a bridge has learned or was told. The addresses of the bridge and of its ports are left out,
    /// and so are the multicast addresses that links listen to: they are there whoever sends, ten for each port, and the links' own rows
    /// tell the addresses.
    pub(super) fn forwarding(&mut self) {
        let network = self.network;
        for one in &network.forwarding {
            let [bridge, port] = [one.bridge, one.port].map(|link| network.name(link));
            let vlan = one.vlan.map(|vlan| format!(" vlan {vlan}")).unwrap_or_default();
            let key = format!("fdb {bridge} {}{vlan}", one.mac);
            let command = format!("{}bridge fdb show br {}", self.place.enter, quote(&bridge));
            let source = self.place.source("RTM_GETNEIGH of AF_BRIDGE");
            if one.is_static {
                let meaning = "Frames to this hardware address leave by this port: somebody has told the bridge so.";
                self.row(key, format!("dev {port} static"), source, command, meaning);
            } else {
                let meaning = "A frame from this hardware address has come by this port: so the bridge sends frames to it by this port \
                               alone, and not by all of them. What is not heard of for five minutes is forgotten.";
                self.passing(key, format!("dev {port} learned"), source, command, meaning);
            }
        }
    }
}

fn neighbour_meaning(state: &str) -> &'static str {
    match state {
        "INCOMPLETE" => {
            "The kernel asks on this link who has the address (ARP for IPv4, neighbour discovery for IPv6); packets wait for the answer."
        }
        "FAILED" => "Nobody on this link has answered for the address: packets to it end with EHOSTUNREACH.",
        "REACHABLE" => {
            "Packets to the address go in frames to this hardware address; not long ago it was seen that they arrive."
        }
        "PERMANENT" => {
            "Packets to the address go in frames to this hardware address: somebody has said so, and nobody is asked."
        }
        "STALE" => {
            "Packets to the address go in frames to this hardware address. That was found out a while ago: with the next packet the kernel \
             begins to make sure."
        }
        _ => {
            "Packets to the address go in frames to this hardware address, and the kernel is about to make sure that it still has it."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Network;
    use super::super::tests::{link, network, pinned};
    use crate::kernel::netlink::{Forwarding, Neighbour};
    use crate::probe::{Names, Row, rows};

    fn told() -> Vec<Row> {
        let neighbour = |ip: &str, mac: Option<&str>, state: &str| Neighbour {
            link: 1,
            ip: ip.parse().expect("an address"),
            mac: mac.map(str::to_owned),
            state: state.to_owned(),
        };
        let mac = "02:00:00:00:00:02";
        let neighbours = vec![
            neighbour("10.0.0.2", Some(mac), "STALE"),
            neighbour("10.0.0.3", None, "FAILED"),
            neighbour("fd00::2", Some(mac), "PERMANENT"),
        ];
        let entry = |vlan, is_static| Forwarding { bridge: 2, mac: mac.to_owned(), vlan, port: 1, is_static };
        let forwarding = vec![entry(None, false), entry(Some(7), true)];
        let links = vec![link(1, "e 0"), link(2, "br0")];
        let rows = rows(&pinned(Network { links, neighbours, forwarding, ..network() }), &Names::default());
        rows.into_iter().filter(|row| row.source.starts_with("RTM_GETNEIGH")).collect()
    }

    #[test]
    fn who_is_on_a_link_is_told_as_ip_and_bridge_tell_it() {
        let rows = told();
        let told: Vec<_> = rows.iter().map(|row| (row.key.as_str(), row.value.as_str(), row.passing)).collect();
        assert_eq!(
            told,
            [
                ("neighbour 10.0.0.2 dev e 0", "lladdr 02:00:00:00:00:02 STALE", true),
                ("neighbour 10.0.0.3 dev e 0", "FAILED", true),
                ("neighbour fd00::2 dev e 0", "lladdr 02:00:00:00:00:02 PERMANENT", false),
                ("fdb br0 02:00:00:00:00:02", "dev e 0 learned", true),
                ("fdb br0 02:00:00:00:00:02 vlan 7", "dev e 0 static", false),
            ]
        );
        assert_eq!(rows[0].command, "nsenter --net='/run/netns/a b' ip neighbour show to 10.0.0.2 dev 'e 0'");
        assert_eq!(rows[3].command, "nsenter --net='/run/netns/a b' bridge fdb show br br0");
        assert_eq!(rows[3].source, "RTM_GETNEIGH of AF_BRIDGE dump in net:[7]");
        assert!(rows[1].meaning.contains("EHOSTUNREACH"));
    }
}

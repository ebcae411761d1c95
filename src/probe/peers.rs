//! Which two links are the ends of one veth pair.
//!
//! A link says by which index its other end is known, and in which namespace that is, by a number that only its own namespace has for
//! the other one (rtnetlink(7), `IFLA_LINK` and `IFLA_LINK_NETNSID`). What the number stands for the kernel tells on request
//! ([`super::Network::ids`]); where it did not, two links that name each other, and no others do, belong together.

use super::{Network, Observation, Reading};
use crate::kernel::netlink::Link;

/// A link: the inode of its namespace, and its index there.
pub type End = (u64, u32);

const VETH: &str = "veth";

impl Observation {
    /// The other end of a veth pair; none where it is in no namespace that was read, or where more than one could be it.
    pub fn peer(&self, inode: u64, link: &Link) -> Option<End> {
        let peer = self.only_candidate(inode, link)?;
        let other = self.networks.get(&peer.0)?.value()?.links.iter().find(|it| it.index == peer.1)?;
        (self.only_candidate(peer.0, other)? == (inode, link.index)).then_some(peer)
    }

    /// The one link that could be the other end of this one.
    fn only_candidate(&self, inode: u64, link: &Link) -> Option<End> {
        let index = link.peer.filter(|_| link.kind == VETH)?;
        let own = self.networks.get(&inode)?.value()?;
        let known = link.peer_namespace.and_then(|id| own.ids.get(&id));
        let could_be = |(at, network): (&u64, &Reading<Network>)| {
            let elsewhere = *at != inode;
            let fits = elsewhere == link.peer_namespace.is_some() && known.is_none_or(|known| known == at);
            let answers = |it: &&Link| {
                it.index == index
                    && it.kind == VETH
                    && it.peer == Some(link.index)
                    && it.peer_namespace.is_some() == elsewhere
            };
            let found = network.value().filter(|_| fits)?.links.iter().find(answers)?;
            Some((*at, found.index))
        };
        let mut all = self.networks.iter().filter_map(could_be);
        all.next().filter(|_| all.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::kernel::conntrack::Conntrack;
    use crate::kernel::netlink::TcpSockets;
    use crate::kernel::nftables::Ruleset;

    fn veth(index: u32, peer: u32, namespace: Option<i32>) -> Link {
        Link {
            index,
            name: format!("v{index}"),
            kind: VETH.to_owned(),
            flags: 1,
            state: "UP".to_owned(),
            mtu: 1500,
            address: None,
            master: None,
            hairpin: false,
            peer: Some(peer),
            peer_namespace: namespace,
        }
    }

    /// A namespace, its links, and what its numbers stand for.
    type One<'a> = (u64, &'a [Link], &'a [(i32, u64)]);

    fn observed(networks: &[One<'_>]) -> Observation {
        let network = |(inode, links, ids): &One<'_>| {
            let tcp = Reading::Value(TcpSockets::default());
            let network = Network {
                links: links.to_vec(),
                addresses: Vec::new(),
                routes: Vec::new(),
                neighbours: Vec::new(),
                forwarding: Vec::new(),
                tcp,
                udp: Reading::Value(Vec::new()),
                sysctls: BTreeMap::new(),
                ruleset: Reading::Value(Ruleset::default()),
                conntrack: Reading::Value(Conntrack::default()),
                ids: ids.iter().copied().collect(),
            };
            (*inode, Reading::Value(network))
        };
        Observation { networks: networks.iter().map(network).collect(), ..Observation::default() }
    }

    #[test]
    fn two_links_that_name_each_other_are_a_pair() {
        let host = [veth(2, 3, Some(0)), veth(4, 3, Some(1)), veth(7, 8, None), veth(8, 7, None)];
        let (web, db) = ([veth(3, 2, Some(0))], [veth(3, 4, Some(0))]);
        let seen = observed(&[(1, &host, &[]), (2, &web, &[]), (3, &db, &[])]);
        assert_eq!(seen.peer(1, &host[0]), Some((2, 3)));
        assert_eq!(seen.peer(1, &host[1]), Some((3, 3)));
        assert_eq!(seen.peer(3, &db[0]), Some((1, 4)));
        assert_eq!(seen.peer(1, &host[2]), Some((1, 8)));
        assert_eq!(seen.peer(1, &Link { kind: "vlan".to_owned(), ..host[2].clone() }), None);
    }

    /// Two pairs between four namespaces, all four with the same indices: only the kernel knows.
    #[test]
    fn what_could_be_either_is_neither_unless_the_kernel_says_which() {
        let one = [veth(2, 2, Some(0))];
        let seen = observed(&[(1, &one, &[]), (2, &one, &[]), (3, &one, &[]), (4, &one, &[])]);
        assert_eq!(seen.peer(1, &one[0]), None);
        let seen = observed(&[(1, &one, &[(0, 3)]), (2, &one, &[(0, 4)]), (3, &one, &[(0, 1)]), (4, &one, &[(0, 2)])]);
        assert_eq!(seen.peer(1, &one[0]), Some((3, 2)));
        assert_eq!(seen.peer(4, &one[0]), Some((2, 2)));
        // One end is in a namespace that could not be read.
        let seen = observed(&[(1, &one, &[(0, 9)]), (2, &one, &[])]);
        assert_eq!((seen.peer(1, &one[0]), seen.peer(2, &one[0])), (None, None));
    }
}

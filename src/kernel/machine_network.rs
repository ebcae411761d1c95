//! The network of the machine itself, as it is before a lesson changes it (`--real-host`): by which link it reaches the world, what it uses
//! already, and who else decides there on what is forwarded.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use super::netlink::Netlink;
use super::nftables::{ChainType, Family, Hook, Nftables, Policy, Ruleset};

/// The setting that makes a machine a router.
const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// What is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineNetwork {
    /// The link of its default route.
    pub uplink: Option<String>,
    /// Whether it forwards packets of others (`net.ipv4.ip_forward`).
    pub forwards: bool,
    /// The networks of IPv4 to which it has routes, each with the length of its prefix; the default route is none.
    pub taken: Vec<(Ipv4Addr, u8)>,
    /// Who may drop what it forwards.
    pub filters: Vec<Filter>,
}

/// Somebody's chain that every forwarded packet has to get through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Who made it, by the names that they are known to use; else where it is.
    pub whose: String,
    /// The family of its table.
    pub family: Family,
    /// The table.
    pub table: String,
    /// The chain in which rules of others belong.
    pub chain: String,
}

impl MachineNetwork {
    /// Reads it, from the network namespace that this process is in.
    ///
    /// # Errors
    /// The errno of netlink.
    pub fn read() -> io::Result<Self> {
        let mut netlink = Netlink::open()?;
        let (links, routes) = (netlink.links()?, netlink.routes()?);
        let of_everything = routes.iter().find(|route| route.prefix == 0 && route.to.is_ipv4());
        let uplink = of_everything.and_then(|route| links.iter().find(|link| Some(link.index) == route.link));
        let taken = routes.iter().filter(|route| route.prefix > 0).filter_map(|route| match route.to {
            IpAddr::V4(to) => Some((to, route.prefix)),
            IpAddr::V6(_) => None,
        });
        Ok(Self {
            uplink: uplink.map(|link| link.name.clone()),
            forwards: fs::read_to_string(FORWARD).is_ok_and(|text| text.trim() == "1"),
            taken: taken.collect(),
            // Where the kernel has no nftables nobody filters by them.
            filters: Nftables::open().and_then(|mut nft| nft.ruleset()).map(|all| filters(&all)).unwrap_or_default(),
        })
    }
}

/// The chains at the hook *forward* that drop what none of their rules accepts: by their policy, or by a last rule for all.
pub fn filters(ruleset: &Ruleset) -> Vec<Filter> {
    let mut found = Vec::new();
    for table in &ruleset.tables {
        for chain in &table.chains {
            let Some(base) = chain.base.as_ref().filter(|it| (it.kind, it.hook) == (ChainType::Filter, Hook::Forward))
            else {
                continue;
            };
            let last = chain.rules.last().map(|rule| rule.bare().to_string()).unwrap_or_default();
            let refuses_all = ["drop", "reject"].iter().any(|word| last.starts_with(word));
            if base.policy != Policy::Drop && !refuses_all {
                continue;
            }
            let has = |part: &str| table.chains.iter().any(|chain| chain.name.starts_with(part));
            let (whose, chain) = match () {
                // The one that Docker leaves to people, and asks first.
                () if has("DOCKER-USER") => ("Docker".to_owned(), "DOCKER-USER"),
                () if has("DOCKER") => ("Docker".to_owned(), chain.name.as_str()),
                () if has("ufw-") => ("ufw".to_owned(), chain.name.as_str()),
                () if table.name == "firewalld" => ("firewalld".to_owned(), chain.name.as_str()),
                () if has("LIBVIRT_") => ("libvirt".to_owned(), chain.name.as_str()),
                () => (format!("{} {} {}", table.family, table.name, chain.name), chain.name.as_str()),
            };
            found.push(Filter { whose, family: table.family, table: table.name.clone(), chain: chain.to_owned() });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::nftables::{Base, Chain, Priority, Rule, Table};

    fn chain(name: &str, policy: Option<Policy>, rules: &[&str]) -> Chain {
        let base = |policy| Base { kind: ChainType::Filter, hook: Hook::Forward, priority: Priority(0), policy };
        let rules = rules.iter().map(|rule| rule.parse::<Rule>().expect("a rule")).collect();
        Chain { name: name.to_owned(), base: policy.map(base), rules }
    }

    fn found(table: &str, chains: Vec<Chain>) -> Vec<(String, String)> {
        let table = Table { family: Family::Ip, name: table.to_owned(), chains };
        filters(&Ruleset { tables: vec![table] }).into_iter().map(|it| (it.whose, it.chain)).collect()
    }

    fn pair(whose: &str, chain: &str) -> Vec<(String, String)> {
        vec![(whose.to_owned(), chain.to_owned())]
    }

    #[test]
    fn who_drops_is_known_by_the_names_of_chains() {
        let forward = |policy| chain("FORWARD", Some(policy), &[]);
        assert_eq!(found("filter", vec![forward(Policy::Accept)]), []);
        assert_eq!(found("filter", vec![forward(Policy::Drop)]), pair("ip filter FORWARD", "FORWARD"));
        let docker = vec![forward(Policy::Drop), chain("DOCKER-USER", None, &[])];
        assert_eq!(found("filter", docker), pair("Docker", "DOCKER-USER"));
        let ufw = vec![forward(Policy::Drop), chain("ufw-user-forward", None, &[])];
        assert_eq!(found("filter", ufw), pair("ufw", "FORWARD"));
        let last = chain("filter_FORWARD", Some(Policy::Accept), &["iifname \"lo\" accept", "reject"]);
        assert_eq!(found("firewalld", vec![last]), pair("firewalld", "filter_FORWARD"));
    }
}

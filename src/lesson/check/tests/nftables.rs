//! Checks on nftables.

use super::*;
use crate::kernel::conntrack::Conntrack;
use crate::kernel::netlink::TcpSockets;
use crate::kernel::nftables::{Base, Chain, ChainType, Family, Hook, Policy, Priority, Rule, Ruleset, Table};
use crate::probe::Network;

/// A lab host with one table, `ip lab`, and in it a chain `post` with these rules.
fn lab(rules: &[&str]) -> Lab {
    let mut lab = Lab::new();
    let rule = |(handle, text): (u64, &&str)| Rule { handle, ..text.parse().unwrap() };
    let chain = Chain { name: "post".to_owned(), base: None, rules: (1..).zip(rules).map(rule).collect() };
    let table = Table { family: Family::Ip, name: "lab".to_owned(), chains: vec![chain] };
    let network = Network {
        links: Vec::new(),
        addresses: Vec::new(),
        routes: Vec::new(),
        neighbours: Vec::new(),
        forwarding: Vec::new(),
        tcp: Reading::Value(TcpSockets::default()),
        udp: Reading::Value(Vec::new()),
        sysctls: [].into(),
        ruleset: Reading::Value(Ruleset { tables: vec![table] }),
        conntrack: Reading::Value(Conntrack::default()),
        ids: [].into(),
    };
    lab.own(1, Namespace::Net, 70).observation.networks.insert(70, Reading::Value(network));
    lab
}

#[test]
fn a_chain_is_asked_at_one_hook() {
    let mut lab = lab(&[]);
    let check = "nft_chain: { of: host, table: lab, chain: post, hook: postrouting }";
    assert_eq!(lab.check(check).seen, "no hook leads to it");
    let Some(Reading::Value(network)) = lab.observation.networks.get_mut(&70) else { panic!("a network") };
    let Reading::Value(ruleset) = &mut network.ruleset else { panic!("a ruleset") };
    let (kind, hook, policy) = (ChainType::Nat, Hook::Postrouting, Policy::Accept);
    ruleset.tables[0].chains[0].base = Some(Base { kind, hook, priority: Priority(100), policy });
    assert!(lab.check(check).holds);
    assert!(!lab.check("nft_chain: { of: host, table: lab, chain: post, hook: input }").holds);
    let other = lab.check("nft_chain: { of: host, table: lab, chain: post, hook: postrouting, policy: drop }");
    assert_eq!(
        (other.holds, other.seen.as_str()),
        (false, "type nat hook postrouting priority srcnat; policy accept;")
    );
}

const RULE: &str = "ip saddr 10.12.0.0/24 counter packets 3 bytes 180 masquerade";

#[test]
fn a_rule_is_the_same_whatever_it_has_counted() {
    let lab = lab(&["drop", RULE]);
    let check = |rule: &str| lab.check(&format!("nft_rule: {{ of: host, table: lab, chain: post, rule: '{rule}' }}"));
    assert!(check("ip saddr 10.12.0.0/24 counter masquerade").holds);
    assert!(check("ip saddr 10.12.0.7/24 counter masquerade").holds, "as nft(8) writes it");
    assert!(check("drop").holds);
    assert!(check("counter ip saddr 10.12.0.0/24 masquerade").holds, "in another order");
    let other = check("ip saddr 10.12.0.0/24 masquerade");
    assert_eq!((other.holds, other.seen.as_str()), (false, format!("its rules: `drop`, `{RULE}`").as_str()));
    assert_eq!(
        other.claim,
        "the chain post of the table ip lab of host has the rule `ip saddr 10.12.0.0/24 masquerade`"
    );
    let elsewhere = lab.check("nft_rule: { of: host, table: lab, chain: pre, rule: drop }");
    assert_eq!((elsewhere.holds, elsewhere.seen.as_str()), (false, "its chains: post"));
    let elsewhere = lab.check("nft_rule: { of: host, family: inet, table: lab, chain: post, rule: drop }");
    assert_eq!((elsewhere.holds, elsewhere.seen.as_str()), (false, "its tables: ip lab"));
    assert!(!lab.check("nft_rule: { of: box, table: lab, chain: post, rule: drop }").holds);
}

#[test]
fn a_rule_has_counted_at_least_so_many_packets() {
    let lab = lab(&["drop", RULE]);
    let check = |rule: &str, packets: u64| {
        lab.check(&format!("nft_counts: {{ of: host, table: lab, chain: post, rule: '{rule}', packets: {packets} }}"))
    };
    let counted = check("ip saddr 10.12.0.0/24 counter masquerade", 3);
    assert_eq!((counted.holds, counted.seen.as_str()), (true, "it has counted 3"));
    assert!(counted.claim.starts_with("at least 3 packets came by the rule `ip saddr"), "{}", counted.claim);
    assert!(!check("ip saddr 10.12.0.0/24 counter masquerade", 4).holds);
    assert_eq!(check("drop", 1).seen, "that rule has no counter");
    assert!(!check("counter accept", 0).holds);
}

#[test]
fn a_table_is_there_or_not_and_without_an_answer_nothing_holds() {
    let mut lab = lab(&[]);
    let seen = lab.check("no_nft_table: { of: host, table: lab }");
    assert_eq!((seen.holds, seen.seen.as_str()), (false, "its tables: ip lab"));
    assert!(lab.check("no_nft_table: { of: host, family: ip6, table: lab }").holds);
    let Some(Reading::Value(network)) = lab.observation.networks.get_mut(&70) else { panic!("a network") };
    network.ruleset = Reading::Missing(errno("EPERM"));
    let seen = lab.check("no_nft_table: { of: host, table: other }");
    assert_eq!((seen.holds, seen.seen.as_str()), (false, "none: EPERM (Operation not permitted)"));
}

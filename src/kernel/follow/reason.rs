//! Why a packet may have gone no further: what the kernel itself says in the network namespace where it was last seen. What is told was read there;
//! where nothing of it speaks against the packet, nothing is told.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Watched;
use super::hop::{Hop, Part};
use crate::kernel::enter;
use crate::kernel::errno::Errno;
use crate::kernel::netlink::Decision;
use crate::kernel::nftables::{Family, Hook, Policy, Ruleset, Statement};
use crate::kernel::packet::Way;

/// What speaks against a packet where it was last seen.
pub(super) fn of(network: &mut Watched, hop: &Hop) -> Vec<String> {
    if hop.way == Way::Out {
        // It is on a cable, or at a bridge's port, and the other end has not seen it.
        return rules(network, hop.to.ip, &[Hook::Postrouting]);
    }
    let link = network.link(hop.link);
    // By loopback a packet keeps the decision that was made when it was sent: none is made anew.
    if link.is_some_and(|link| link.kind == "loopback") {
        return rules(network, hop.to.ip, &[Hook::Prerouting, Hook::Input, Hook::Output]);
    }
    // What comes in by a port is the bridge's to take.
    if let Some(master) = link.and_then(|link| link.master) {
        let bridge = network.links.iter().find(|link| link.index == master && !link.is_up());
        return bridge.map(|bridge| format!("{} is down there", bridge.name.escape_debug())).into_iter().collect();
    }
    let (from, to) = (hop.from.ip, hop.to.ip);
    let setting = if to.is_ipv4() { "net.ipv4.ip_forward" } else { "net.ipv6.conf.all.forwarding" };
    let forwards_nothing = |network: &Watched| network.sysctl(setting).is_some_and(|value| value == "0");
    match network.netlink.decision(Some(from), to, Some(hop.link)).map_err(|error| Errno::from(&error)) {
        Err(errno) if errno.name() == "EHOSTUNREACH" && forwards_nothing(network) => {
            vec![format!("{setting} is 0 there")]
        }
        Err(errno) => vec![format!("the routes there refuse it with {errno}")],
        Ok(Decision::Here) => {
            let mut reasons = Vec::new();
            if hop.part == Part::Syn
                && let Err(error) = network.netlink.decision(Some(to), from, None)
            {
                reasons.push(format!("no answer can leave there, the routes to {from} say {}", Errno::from(&error)));
            }
            reasons.extend(rules(network, to, &[Hook::Prerouting, Hook::Input, Hook::Output]));
            reasons
        }
        // Routes of IPv6 do not know whether anything is forwarded.
        Ok(Decision::Onward) if to.is_ipv6() && forwards_nothing(network) => vec![format!("{setting} is 0 there")],
        Ok(Decision::Onward) => rules(network, to, &[Hook::Prerouting, Hook::Forward, Hook::Postrouting]),
    }
}

/// What speaks against a packet that was not seen at all, in the namespace that it should have left.
pub(super) fn unsent(network: &mut Watched, to: IpAddr) -> Vec<String> {
    match network.netlink.decision(None, to, None) {
        Err(error) => vec![format!("the routes there refuse it with {}", Errno::from(&error))],
        Ok(_) => rules(network, to, &[Hook::Output, Hook::Postrouting]),
    }
}

/// Rules that drop, and have counted something meanwhile; and chains at these hooks that drop what no rule of theirs accepts.
fn rules(network: &mut Watched, to: IpAddr, hooks: &[Hook]) -> Vec<String> {
    let (Some(before), Some(now)) = (&network.rules, network.nftables.as_mut().and_then(|it| it.ruleset().ok())) else {
        return Vec::new();
    };
    let other = if to.is_ipv4() { Family::Ip6 } else { Family::Ip };
    let before = counted(before);
    let mut reasons = Vec::new();
    for table in now.tables.iter().filter(|table| table.family != other) {
        for chain in &table.chains {
            let name = format!("{} {} {}", table.family, table.name, chain.name);
            for rule in &chain.rules {
                let key = (table.family.to_string(), table.name.clone(), rule.handle);
                let drops = rule.statements.iter().any(|it| matches!(it, Statement::Drop | Statement::Reject { .. }));
                let more = rule.packets().unwrap_or(0) > before.get(&key).copied().unwrap_or(0);
                if drops && more {
                    reasons.push(format!("in the chain {name} there `{rule}` has counted meanwhile"));
                }
            }
            if let Some(base) = chain.base.filter(|it| it.policy == Policy::Drop && hooks.contains(&it.hook)) {
                reasons.push(format!("the chain {name} there, at {}, has the policy drop", base.hook));
            }
        }
    }
    reasons
}

/// What each rule with a counter has counted, by family, table and handle.
fn counted(ruleset: &Ruleset) -> BTreeMap<(String, String, u64), u64> {
    let rules = ruleset.tables.iter().flat_map(|table| {
        let rules = table.chains.iter().flat_map(|chain| &chain.rules);
        rules.map(move |rule| ((table.family.to_string(), table.name.clone(), rule.handle), rule.packets()))
    });
    rules.filter_map(|(key, packets)| Some((key, packets?))).collect()
}

impl Watched {
    /// A setting of this network namespace, by its name in sysctl(8).
    fn sysctl(&self, name: &str) -> Option<String> {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let read = || std::fs::read_to_string(&path).ok();
        let text = match &self.file {
            Some(file) => enter::in_network(file, read).ok()?,
            None => read(),
        };
        Some(text?.trim().to_owned())
    }
}

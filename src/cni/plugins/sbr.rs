//! `sbr`: what is sent from an address of the interface goes by that interface, whatever other interfaces the container has: each address
//! has a routing table of its own.

use serde::Deserialize;

use super::frame::{Call, Fault, Plugin, code, fault, same_family};
use super::net::{Net, Sandbox};
use crate::cni::result::{AddResult, Cidr};
use crate::kernel::netlink::{Netlink, Path, Route, SourceRule, Table};

/// Tables from here on are looked at, as the reference does.
const FIRST_TABLE: u32 = 100;

/// Its configuration.
#[derive(Deserialize)]
pub(super) struct Sbr {
    table: Option<u32>,
}

/// The addresses of the interface, with their gateways.
fn own<'a>(call: &'a Call, prev: &'a AddResult) -> impl Iterator<Item = &'a crate::cni::result::Ip> {
    let is_own = |at: u32| prev.interfaces.get(at as usize).is_some_and(|it| it.name == call.ifname);
    prev.ips.iter().filter(move |ip| ip.interface.is_some_and(is_own))
}

impl Sbr {
    fn divert(&self, call: &Call, prev: &AddResult, net: &mut Net) -> Result<(), Fault> {
        let link = net.link(&call.ifname)?.index;
        let all = net.read(Netlink::routes)?;
        let rules = net.read(Netlink::source_rules)?;
        let is_used = |table: u32| {
            all.iter().any(|it| it.table == Table::Other(table)) || rules.iter().any(|it| it.table == table)
        };
        let mut free = (FIRST_TABLE..).filter(|table| !is_used(*table));
        let moved: Vec<&Route> = all.iter().filter(|it| it.table == Table::Main && it.link == Some(link)).collect();
        for ip in own(call, prev) {
            let from = ip.address.address;
            let table = self.table.or_else(|| free.next()).unwrap_or(FIRST_TABLE);
            net.ask(|netlink, trace| netlink.add_rule(trace, SourceRule { from, table }))?;
            let fits = |it: &&&Route| same_family(it.to, from) && it.source.is_none_or(|source| source == from);
            let mut ways: Vec<Path> = moved.iter().filter(fits).map(|it| path(it, link)).collect();
            if let Some(gateway) = ip.gateway.filter(|_| !ways.iter().any(|it| it.prefix == 0)) {
                let everywhere = Cidr { address: gateway, prefix: 0 }.network();
                ways.push(Path::new(everywhere.address, 0, Some(gateway), link));
            }
            // What is on the link first: the others are reached by it.
            ways.sort_by_key(|it| it.via.is_some());
            for way in ways {
                let way = Path { table: Some(table), ..way };
                net.ask_unless(&["EEXIST"], |netlink, trace| netlink.add_path(trace, &way))?;
            }
        }
        // The subnet itself stays known to all; the ways beyond it are for these addresses alone.
        for route in moved.iter().filter(|it| it.source.is_none() && it.protocol != "kernel") {
            net.ask_unless(&["ESRCH"], |netlink, trace| netlink.delete_path(trace, &path(route, link)))?;
        }
        Ok(())
    }
}

fn path(route: &Route, link: u32) -> Path {
    let metric = (route.metric != 0).then_some(route.metric);
    Path { metric, source: route.source, ..Path::new(route.to, route.prefix, route.via, link) }
}

impl Plugin for Sbr {
    fn add(&self, call: &Call) -> Result<AddResult, Fault> {
        let prev = call.prev()?;
        if own(call, prev).next().is_none() {
            return Err(fault(code::CONFIG, format!("prevResult has no address of {}", call.ifname), ""));
        }
        Sandbox::of(call)?.enter(|net| self.divert(call, prev, net))?;
        Ok(prev.clone())
    }

    /// The tables go with the link; rules stay behind it. From 0.4.0 on `prevResult` says whose they are; without it those go that lead to a
    /// table without routes.
    fn del(&self, call: &Call) -> Result<(), Fault> {
        let Some(sandbox) = Sandbox::if_there(call) else { return Ok(()) };
        sandbox.enter(|net| {
            let routes = net.read(Netlink::routes)?;
            let is_left = |rule: &SourceRule| !routes.iter().any(|it| it.table == Table::Other(rule.table));
            let is_own = |rule: &SourceRule| match &call.prev {
                Some(prev) => own(call, prev).any(|ip| ip.address.address == rule.from),
                None => rule.table >= FIRST_TABLE && is_left(rule),
            };
            for rule in net.read(Netlink::source_rules)?.into_iter().filter(is_own) {
                net.ask_unless(&["ENOENT"], |netlink, trace| netlink.delete_rule(trace, rule))?;
            }
            Ok(())
        })
    }

    fn check(&self, call: &Call) -> Result<(), Fault> {
        let prev = call.prev()?;
        let rules = Sandbox::of(call)?.enter(|net| net.read(Netlink::source_rules))?;
        let lost = own(call, prev).find(|ip| !rules.iter().any(|rule| rule.from == ip.address.address));
        lost.map_or(Ok(()), |ip| Err(fault(code::STATE, format!("the rule for {} is gone", ip.address.address), "")))
    }
}

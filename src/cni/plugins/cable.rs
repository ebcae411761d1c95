//! A pair of links between host and container, and what the container's end is given: what `bridge` and `ptp` have in common.

use std::net::IpAddr;

use serde::Deserialize;

use super::frame::{Call, Fault, code, fault, mac, mac_text, same_family};
use super::net::{Net, Sandbox, sysctl};
use super::rules::hash;
use crate::cni::result::{AddResult, Cidr, Interface, Ip, Route};
use crate::kernel::netlink::{self, Link, Netlink, NewLink, NewVeth, Path};

/// A name that is taken is made anew so often.
const ATTEMPTS: usize = 8;

/// Where a runtime may say the hardware address of the container's end.
#[derive(Default, Deserialize)]
pub(super) struct Wished {
    #[serde(default)]
    mac: String,
}

#[derive(Default, Deserialize)]
pub(super) struct Args {
    #[serde(default)]
    cni: Wished,
}

/// The hardware address that is wished for.
pub(super) fn wished_mac(call: &Call, runtime: &Wished, args: &Args) -> Result<Option<[u8; 6]>, Fault> {
    mac([Some(&runtime.mac), Some(&args.cni.mac), call.arg("MAC")])
}

/// Makes the pair: one end in the container, down, and one here, up, whose name is returned.
pub(super) fn plug(
    call: &Call,
    sandbox: &Sandbox,
    net: &mut Net,
    master: Option<u32>,
    mtu: Option<u32>,
    mac: Option<[u8; 6]>,
) -> Result<String, Fault> {
    if sandbox.enter(|there| there.read(|netlink| netlink.link(&call.ifname)))?.is_some() {
        return Err(fault(code::STATE, format!("there is a link {} in the container already", call.ifname), ""));
    }
    for attempt in 0..ATTEMPTS {
        let number = hash(&[&call.network, &call.id, &call.ifname, &attempt.to_string()]);
        let name = format!("veth{:08x}", number >> 32);
        let veth = NewVeth {
            here: NewLink { name: &name, mac: None, mtu },
            master,
            there: NewLink { name: &call.ifname, mac, mtu },
            namespace: sandbox.fd(),
        };
        match net.ask(|netlink, trace| netlink.add_veth_into(trace, &veth)) {
            Ok(()) => return Ok(name),
            Err(error) if error.errno.name() == "EEXIST" => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(fault(code::STATE, format!("no pair of links could be made for {}", call.ifname), "names for it are taken"))
}

/// Takes the container's end away, and with it the one here. Where there is none, or no container, that is well.
pub(super) fn unplug(call: &Call) -> Result<(), Fault> {
    let Some(sandbox) = Sandbox::if_there(call) else { return unplug_here(call) };
    sandbox.enter(|net| net.ask_unless(&["ENODEV"], |netlink, trace| netlink.delete_link(trace, &call.ifname)))
}

/// Takes the end here away, where no path leads to the container's any more: the namespace may live on for minutes, for a process or for a
/// connection that nobody has ended. Only the link that the result tells of is meant, and none that has its name by now.
fn unplug_here(call: &Call) -> Result<(), Fault> {
    let mut net = Net::here()?;
    for told in call.prev.iter().flat_map(|prev| &prev.interfaces).filter(|it| it.sandbox.is_empty()) {
        let found = net.read(|netlink| netlink.link(&told.name))?;
        if found.is_some_and(|link| link.kind == "veth" && link.address.as_ref() == Some(&told.mac)) {
            net.ask_unless(&["ENODEV"], |netlink, trace| netlink.delete_link(trace, &told.name))?;
        }
    }
    Ok(())
}

/// The container's end, once it has its addresses: `routed` says whether the way to their subnet comes with them.
pub(super) fn configure(call: &Call, net: &mut Net, ips: &[Ip], routed: bool) -> Result<Link, Fault> {
    let name = &call.ifname;
    let link = net.link(name)?;
    // Whoever had one of these addresses before had another hardware address, which neighbours may still remember: the kernel tells them
    // when the link comes up. Where the files are missing or may not be written, they find out a little later.
    let _ = sysctl(&format!("net/ipv4/conf/{name}/arp_notify"), "1");
    let _ = sysctl(&format!("net/ipv6/conf/{name}/ndisc_notify"), "1");
    for Cidr { address, prefix } in ips.iter().map(|ip| ip.address) {
        net.ask(|netlink, trace| netlink.give_address(trace, link.index, address, prefix, routed))?;
    }
    net.ask(|netlink, trace| netlink.set_link(trace, name, true))?;
    Ok(link)
}

/// Makes the routes of a result in the container. One without a next hop goes by the gateway of its family.
///
/// A destination to which a container's first network leads already stays as it is, as the reference has it: engines give each network a
/// default route.
pub(super) fn add_routes(net: &mut Net, link: u32, result: &AddResult) -> Result<(), Fault> {
    for route in &result.routes {
        let path = path(route, link, &result.ips);
        net.ask_unless(&["EEXIST"], |netlink, trace| netlink.add_path(trace, &path))?;
    }
    Ok(())
}

/// Whether a route is there, or one of another link for which it was left out.
fn leads(path: &Path, all: &[netlink::Route]) -> bool {
    let same = |it: &&netlink::Route| (it.to, it.prefix) == (path.to, path.prefix);
    all.iter().filter(same).any(|it| it.via == path.via || it.link != Some(path.link))
}

fn path(route: &Route, link: u32, ips: &[Ip]) -> Path {
    let gateway = ips.iter().filter_map(|ip| ip.gateway).find(|gateway| same_family(*gateway, route.dst.address));
    // A destination that is only on the link has no neighbour on the way.
    let via = route.gw.or(gateway).filter(|_| route.scope != Some(253));
    let Route { table, priority: metric, mtu, advmss, scope, .. } = *route;
    Path { table, metric, mtu, advmss, scope, ..Path::new(route.dst.network().address, route.dst.prefix, via, link) }
}

/// As a result names a link here.
pub(super) fn here(link: &Link) -> Interface {
    let mac = link.address.clone().unwrap_or_else(|| mac_text([0; 6]));
    Interface { name: link.name.clone(), mac, mtu: Some(link.mtu), ..Interface::default() }
}

/// As a result names the container's end.
pub(super) fn there(link: &Link, call: &Call) -> Interface {
    Interface { sandbox: call.netns.clone().unwrap_or_default(), ..here(link) }
}

/// The gateway of a subnet where nobody has said another: its first address.
pub(super) fn first_of(subnet: Cidr) -> IpAddr {
    match subnet.network().address {
        IpAddr::V4(v4) => std::net::Ipv4Addr::from_bits(v4.to_bits() | 1).into(),
        IpAddr::V6(v6) => std::net::Ipv6Addr::from_bits(v6.to_bits() | 1).into(),
    }
}

/// Lets this network namespace send on what is for others.
pub(super) fn forward(ips: &[Ip]) -> Result<(), Fault> {
    if ips.iter().any(|ip| ip.address.address.is_ipv4()) {
        sysctl("net/ipv4/ip_forward", "1")?;
    }
    if ips.iter().any(|ip| ip.address.address.is_ipv6()) {
        sysctl("net/ipv6/conf/all/forwarding", "1")?;
    }
    Ok(())
}

/// CHECK of the container's end: it is there and up, with its hardware address, its addresses and its routes.
pub(super) fn check(call: &Call, prev: &AddResult) -> Result<(), Fault> {
    let lost = |what: String| Err(fault(code::STATE, format!("{} of container {}: {what}", call.ifname, call.id), ""));
    let sandbox = call.netns.clone().unwrap_or_default();
    let (at, interface) =
        (0..).zip(&prev.interfaces).find(|(_, it)| it.name == call.ifname && it.sandbox == sandbox).ok_or_else(
            || fault(code::CONFIG, format!("prevResult has no interface {} in {sandbox}", call.ifname), ""),
        )?;
    let (link, addresses, routes) = Sandbox::of(call)?.enter(|net| {
        let link = net.link(&call.ifname)?;
        Ok((link, net.read(Netlink::addresses)?, net.read(Netlink::routes)?))
    })?;
    if !link.is_up() {
        return lost("it is down".to_owned());
    }
    if link.address.as_deref().is_some_and(|mac| !interface.mac.is_empty() && mac != interface.mac) {
        return lost(format!("its hardware address is not {} any more", interface.mac));
    }
    for ip in prev.ips.iter().filter(|ip| ip.interface == Some(at)) {
        let has = |it: &&netlink::Address| {
            it.link == link.index && (it.ip, it.prefix) == (ip.address.address, ip.address.prefix)
        };
        if !addresses.iter().any(|it| has(&it)) {
            return lost(format!("the address {} is missing", ip.address));
        }
    }
    for route in &prev.routes {
        if !leads(&path(route, link.index, &prev.ips), &routes) {
            return lost(format!("the route to {} is missing", route.dst));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_route_is_there_or_that_of_another_network() {
        let route = |to: &str, prefix: u8, via: &str, link: u32| netlink::Route {
            table: netlink::Table::Main,
            to: to.parse().unwrap(),
            prefix,
            kind: "unicast".to_owned(),
            via: Some(via.parse().unwrap()),
            link: Some(link),
            source: None,
            protocol: "boot".to_owned(),
            metric: 0,
        };
        let path = Path::new("0.0.0.0".parse().unwrap(), 0, Some("10.1.0.1".parse().unwrap()), 2);
        assert!(leads(&path, &[route("0.0.0.0", 0, "10.1.0.1", 2)]));
        assert!(leads(&path, &[route("0.0.0.0", 0, "10.2.0.1", 3)]), "the other network was first");
        assert!(!leads(&path, &[route("0.0.0.0", 0, "10.1.0.9", 2)]), "somebody has changed it");
        let others =
            [route("10.0.0.0", 0, "10.1.0.1", 2), route("0.0.0.0", 1, "10.1.0.1", 2), route("::", 0, "fd00::1", 3)];
        assert!(!leads(&path, &others) && !leads(&path, &[]));
    }
}

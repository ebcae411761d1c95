//! `loopback`: sets the link `lo` of the container up.

use serde::Deserialize;

use super::frame::{Call, Fault, Plugin, code, fault};
use super::net::{Net, Sandbox};
use crate::cni::result::{AddResult, Cidr, Interface, Ip};
use crate::kernel::netlink::Netlink;

/// It has no configuration of its own.
#[derive(Deserialize)]
pub(super) struct Loopback {}

/// The loopback link of every network namespace, whatever `CNI_IFNAME` says.
const LO: &str = "lo";

impl Plugin for Loopback {
    fn add(&self, call: &Call) -> Result<AddResult, Fault> {
        let made = Sandbox::of(call)?.enter(|net| {
            net.ask(|netlink, trace| netlink.set_link(trace, LO, true))?;
            ips(net)
        })?;
        let interface = Interface {
            name: LO.to_owned(),
            mac: "00:00:00:00:00:00".to_owned(),
            sandbox: call.netns.clone().unwrap_or_default(),
            ..Interface::default()
        };
        let own = AddResult { interfaces: vec![interface], ips: made, ..AddResult::default() };
        Ok(call.prev.clone().unwrap_or(own))
    }

    fn del(&self, call: &Call) -> Result<(), Fault> {
        match Sandbox::if_there(call) {
            Some(sandbox) => sandbox.enter(|net| Ok(net.ask(|netlink, trace| netlink.set_link(trace, LO, false))?)),
            None => Ok(()),
        }
    }

    fn check(&self, call: &Call) -> Result<(), Fault> {
        let link = Sandbox::of(call)?.enter(|net| net.link(LO))?;
        if link.is_up() { Ok(()) } else { Err(fault(code::STATE, "the link lo is down", "")) }
    }
}

/// The addresses that the kernel gives it.
fn ips(net: &mut Net) -> Result<Vec<Ip>, Fault> {
    let link = net.link(LO)?;
    let all = net.read(Netlink::addresses)?.into_iter();
    let ip = |address: Cidr| Ip { version: None, interface: Some(0), address, gateway: None };
    Ok(all.filter(|it| it.link == link.index).map(|it| ip(Cidr { address: it.ip, prefix: it.prefix })).collect())
}

//! `ptp`: a pair of links from the container to the host, and nothing between: the host is the next hop to everything.

use serde::Deserialize;

use super::cable::{self, Args, Wished};
use super::frame::{Call, Fault, Plugin, code, fault};
use super::ipam::Ipam;
use super::net::{Net, Sandbox};
use super::rules::{Purpose, masquerading};
use crate::cni::result::{AddResult, Cidr, Dns};
use crate::kernel::netlink::Path;

/// The rules that masquerade.
const MASQUERADE: Purpose = Purpose("masq");

/// Its configuration.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ptp {
    #[serde(default)]
    ip_masq: bool,
    #[serde(default)]
    mtu: u32,
    ipam: Ipam,
    #[serde(default)]
    dns: Dns,
    #[serde(rename = "runtimeConfig", default)]
    runtime: Wished,
    #[serde(default)]
    args: Args,
}

impl Ptp {
    fn attach(&self, call: &Call, sandbox: &Sandbox) -> Result<AddResult, Fault> {
        let mut net = Net::here()?;
        let mac = cable::wished_mac(call, &self.runtime, &self.args)?;
        let mtu = (self.mtu != 0).then_some(self.mtu);
        let host = cable::plug(call, sandbox, &mut net, None, mtu, mac)?;
        let host = net.link(&host)?;
        let mut result = self.ipam.add(call)?;
        for ip in &mut result.ips {
            ip.interface = Some(1);
            ip.gateway.get_or_insert_with(|| cable::first_of(ip.address));
        }
        cable::forward(&result.ips)?;
        for (own, gateway) in
            result.ips.iter().filter_map(|ip| Some((Cidr::one(ip.address.address), Cidr::one(ip.gateway?))))
        {
            // Two addresses of one family may have the same gateway.
            net.ask_unless(&["EEXIST"], |netlink, trace| {
                netlink.give_address(trace, host.index, gateway.address, gateway.prefix, true)
            })?;
            let way = Path::new(own.address, own.prefix, None, host.index);
            net.ask(|netlink, trace| netlink.add_path(trace, &way))?;
        }
        let container = sandbox.enter(|there| {
            let link = cable::configure(call, there, &result.ips, false)?;
            for ip in &result.ips {
                let Some(gateway) = ip.gateway.map(Cidr::one) else { continue };
                let source = Some(ip.address.address);
                let near = Path { source, ..Path::new(gateway.address, gateway.prefix, None, link.index) };
                there.ask_unless(&["EEXIST"], |netlink, trace| netlink.add_path(trace, &near))?;
                // What would be a neighbour on a bridge is behind the host here.
                let subnet = ip.address.network();
                let far =
                    Path { source, ..Path::new(subnet.address, subnet.prefix, Some(gateway.address), link.index) };
                there.ask_unless(&["EEXIST"], |netlink, trace| netlink.add_path(trace, &far))?;
            }
            cable::add_routes(there, link.index, &result)?;
            Ok(link)
        })?;
        if self.ip_masq {
            let addresses: Vec<Cidr> = result.ips.iter().map(|ip| ip.address).collect();
            MASQUERADE.put(call, &masquerading(&addresses)?)?;
        }
        result.interfaces = vec![cable::here(&host), cable::there(&container, call)];
        if !self.dns.is_empty() {
            result.dns = self.dns.clone();
        }
        Ok(result)
    }
}

impl Plugin for Ptp {
    fn add(&self, call: &Call) -> Result<AddResult, Fault> {
        if !self.ipam.is_some() {
            return Err(fault(code::CONFIG, "ipam.type is missing", "links between two points need addresses"));
        }
        let sandbox = Sandbox::of(call)?;
        if sandbox.enter(|there| there.read(|netlink| netlink.link(&call.ifname)))?.is_some() {
            return Err(fault(code::STATE, format!("there is a link {} in the container already", call.ifname), ""));
        }
        self.attach(call, &sandbox).inspect_err(|_| drop(self.del(call)))
    }

    fn del(&self, call: &Call) -> Result<(), Fault> {
        [self.ipam.ask(call, "DEL"), cable::unplug(call), MASQUERADE.remove(call)].into_iter().collect()
    }

    fn check(&self, call: &Call) -> Result<(), Fault> {
        let prev = call.prev()?;
        self.ipam.ask(call, "CHECK")?;
        if self.ip_masq {
            let addresses: Vec<Cidr> = prev.ips.iter().map(|ip| ip.address).collect();
            MASQUERADE.check(call, &masquerading(&addresses)?)?;
        }
        cable::check(call, prev)
    }

    fn status(&self, call: &Call) -> Result<(), Fault> {
        Net::here().map_err(|why| fault(code::NOT_AVAILABLE, why.msg, why.details))?;
        self.ipam.ask(call, "STATUS")
    }

    fn gc(&self, call: &Call) -> Result<(), Fault> {
        call.valid()?;
        [self.ipam.ask(call, "GC"), MASQUERADE.collect(call)].into_iter().collect()
    }
}

//! `bridge`: a pair of links from the container to a bridge of the host, which many containers share.

use serde::Deserialize;

use super::cable::{self, Args, Wished};
use super::frame::{Call, Fault, Plugin, code, fault, mac_text, same_family};
use super::ipam::Ipam;
use super::net::{Net, Sandbox};
use super::rules::{Purpose, hash, masquerading};
use crate::cni::result::{AddResult, Cidr, Dns, Ip, Route};
use crate::kernel::netlink::{Link, Netlink, NewLink};

/// The rules that masquerade.
const MASQUERADE: Purpose = Purpose("masq");

/// Its configuration.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bridge {
    #[serde(default = "default_name")]
    bridge: String,
    #[serde(default)]
    is_gateway: bool,
    #[serde(default)]
    is_default_gateway: bool,
    #[serde(default)]
    force_address: bool,
    #[serde(default)]
    ip_masq: bool,
    #[serde(default)]
    mtu: u32,
    #[serde(default)]
    hairpin_mode: bool,
    #[serde(default)]
    promisc_mode: bool,
    #[serde(default)]
    vlan: u32,
    #[serde(default)]
    macspoofchk: bool,
    #[serde(default)]
    ipam: Ipam,
    #[serde(default)]
    dns: Dns,
    #[serde(rename = "runtimeConfig", default)]
    runtime: Wished,
    #[serde(default)]
    args: Args,
}

fn default_name() -> String {
    "cni0".to_owned()
}

impl Bridge {
    /// What is asked for and can not be done is refused, rather than left out.
    fn refuse(&self) -> Result<(), Fault> {
        if let Some(field) = [("vlan", self.vlan != 0), ("macspoofchk", self.macspoofchk)].iter().find(|(_, is)| *is) {
            return Err(fault(code::UNSUPPORTED, format!("{} is not supported", field.0), "leave it out"));
        }
        if self.hairpin_mode && self.promisc_mode {
            return Err(fault(code::CONFIG, "hairpinMode and promiscMode exclude each other", "say one of them"));
        }
        crate::cni::names::interface(&self.bridge).map_err(|why| fault(code::CONFIG, why.what, why.why))
    }

    fn is_gateway(&self) -> bool {
        self.is_gateway || self.is_default_gateway
    }

    fn mtu(&self) -> Option<u32> {
        (self.mtu != 0).then_some(self.mtu)
    }

    /// The bridge, made where there is none. Several may make it at the same time.
    fn ensure(&self, net: &mut Net) -> Result<Link, Fault> {
        // A bridge whose hardware address nobody has set takes that of one of its ports, and changes it as they come and go, so that
        // containers lose their gateway for a moment. This one stays.
        let random = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
        let [.., a, b, c, d, e] = hash(&[&self.bridge, &random]).to_be_bytes();
        let link = NewLink { name: &self.bridge, mac: Some([0x02, a, b, c, d, e]), mtu: self.mtu() };
        net.ask_unless(&["EEXIST"], |netlink, trace| netlink.add_link(trace, link, "bridge"))?;
        let found = net.link(&self.bridge)?;
        if found.kind != "bridge" {
            return Err(fault(code::STATE, format!("{} is a link that is no bridge", self.bridge), found.kind));
        }
        if self.promisc_mode {
            net.ask(|netlink, trace| netlink.set_promisc(trace, &self.bridge, true))?;
        }
        if !found.is_up() {
            net.ask(|netlink, trace| netlink.set_link(trace, &self.bridge, true))?;
        }
        Ok(found)
    }

    /// Gives the bridge the gateways' addresses.
    fn be_gateway(&self, net: &mut Net, bridge: u32, ips: &[Ip]) -> Result<(), Fault> {
        for (gateway, prefix) in ips.iter().filter_map(|ip| Some((ip.gateway?, ip.address.prefix))) {
            let own = Cidr { address: gateway, prefix };
            let all = net.read(Netlink::addresses)?;
            for other in all.iter().filter(|it| it.link == bridge && same_family(it.ip, gateway) && !it.is_link_local())
            {
                let other = Cidr { address: other.ip, prefix: other.prefix };
                // A bridge may have several subnets of IPv6; two that overlap would be one with two gateways.
                let apart = gateway.is_ipv6() && !other.contains(gateway) && !own.contains(other.address);
                if other == own || apart {
                    continue;
                }
                if !self.force_address {
                    let why = format!("{} has {other}, and the gateway is {own}", self.bridge);
                    return Err(fault(code::STATE, "the bridge has another address", why));
                }
                net.ask_unless(&["EADDRNOTAVAIL"], |netlink, trace| {
                    netlink.delete_address(trace, &self.bridge, other.address, other.prefix)
                })?;
            }
            net.ask_unless(&["EEXIST"], |netlink, trace| netlink.give_address(trace, bridge, gateway, prefix, true))?;
        }
        cable::forward(ips)
    }

    /// All of ADD that DEL takes back.
    fn attach(&self, call: &Call, sandbox: &Sandbox) -> Result<AddResult, Fault> {
        let mut net = Net::here()?;
        let bridge = self.ensure(&mut net)?;
        let mac = cable::wished_mac(call, &self.runtime, &self.args)?;
        let host = cable::plug(call, sandbox, &mut net, Some(bridge.index), self.mtu(), mac)?;
        if self.hairpin_mode {
            net.ask(|netlink, trace| netlink.set_hairpin(trace, &host, true))?;
        }
        let mut result = self.ipam.add(call)?;
        self.complete(&mut result);
        if self.is_gateway() {
            self.be_gateway(&mut net, bridge.index, &result.ips)?;
        }
        let container = sandbox.enter(|there| {
            let link = cable::configure(call, there, &result.ips, true)?;
            cable::add_routes(there, link.index, &result)?;
            Ok(link)
        })?;
        if self.ip_masq && !result.ips.is_empty() {
            MASQUERADE.put(call, &masquerading(&addresses(&result))?)?;
        }
        let (bridge, host) = (net.link(&self.bridge)?, net.link(&host)?);
        result.interfaces = vec![cable::here(&bridge), cable::here(&host), cable::there(&container, call)];
        if !self.dns.is_empty() {
            result.dns = self.dns.clone();
        }
        Ok(result)
    }

    /// What the result of addresses leaves to this plugin: whose they are, gateways, and the default route.
    fn complete(&self, result: &mut AddResult) {
        for ip in &mut result.ips {
            ip.interface = Some(2);
            if self.is_gateway() && ip.gateway.is_none() {
                ip.gateway = Some(cable::first_of(ip.address));
            }
        }
        if !self.is_default_gateway {
            return;
        }
        for ip in &result.ips {
            let Some(gateway) = ip.gateway else { continue };
            let is_default = |it: &Route| it.dst.prefix == 0 && same_family(it.dst.address, gateway);
            if !result.routes.iter().any(is_default) {
                let dst = Cidr { prefix: 0, address: gateway }.network();
                result.routes.push(Route {
                    dst,
                    gw: Some(gateway),
                    mtu: None,
                    advmss: None,
                    priority: None,
                    table: None,
                    scope: None,
                });
            }
        }
    }
}

fn addresses(result: &AddResult) -> Vec<Cidr> {
    result.ips.iter().map(|ip| ip.address).collect()
}

impl Plugin for Bridge {
    fn add(&self, call: &Call) -> Result<AddResult, Fault> {
        self.refuse()?;
        let sandbox = Sandbox::of(call)?;
        // The first ADD's link is not taken back by the second's failure.
        if sandbox.enter(|there| there.read(|netlink| netlink.link(&call.ifname)))?.is_some() {
            return Err(fault(code::STATE, format!("there is a link {} in the container already", call.ifname), ""));
        }
        self.attach(call, &sandbox).inspect_err(|_| drop(self.del(call)))
    }

    fn del(&self, call: &Call) -> Result<(), Fault> {
        // All is tried, so that as little as can be is left; the first fault is told.
        let done = [self.ipam.ask(call, "DEL"), cable::unplug(call), MASQUERADE.remove(call)];
        done.into_iter().collect()
    }

    fn check(&self, call: &Call) -> Result<(), Fault> {
        let prev = call.prev()?;
        self.ipam.ask(call, "CHECK")?;
        let mut net = Net::here()?;
        let bridge = net.link(&self.bridge)?;
        let lost = |what: String| Err(fault(code::STATE, what, ""));
        if bridge.kind != "bridge" || !bridge.is_up() {
            return lost(format!("{} is no bridge that is up", self.bridge));
        }
        let zero = mac_text([0; 6]);
        let listed =
            prev.interfaces.iter().filter(|it| it.sandbox.is_empty() && it.name != self.bridge && it.mac != zero);
        for host in listed.take(1) {
            if net.link(&host.name)?.master != Some(bridge.index) {
                return lost(format!("{} is no port of {} any more", host.name, self.bridge));
            }
        }
        if self.ip_masq && !prev.ips.is_empty() {
            MASQUERADE.check(call, &masquerading(&addresses(prev))?)?;
        }
        cable::check(call, prev)
    }

    fn status(&self, call: &Call) -> Result<(), Fault> {
        self.refuse()?;
        Net::here().map_err(|why| fault(code::NOT_AVAILABLE, why.msg, why.details))?;
        self.ipam.ask(call, "STATUS")
    }

    fn gc(&self, call: &Call) -> Result<(), Fault> {
        call.valid()?;
        [self.ipam.ask(call, "GC"), MASQUERADE.collect(call)].into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::super::frame::tests::asked;
    use super::*;

    fn config(more: &str) -> String {
        format!(r#"{{"cniVersion":"1.0.0","name":"n"{more}}}"#)
    }

    #[test]
    fn what_can_not_be_done_is_refused() {
        let code_of = |more: &str| asked::<Bridge>("ADD", &config(more), "").unwrap_err().code;
        assert_eq!([code_of(r#","vlan":5"#), code_of(r#","macspoofchk":true"#)], [code::UNSUPPORTED; 2]);
        assert_eq!(code_of(r#","hairpinMode":true,"promiscMode":true"#), code::CONFIG);
        assert_eq!([code_of(r#","bridge":"a/b""#), code_of(r#","mtu":-1"#)], [code::CONFIG; 2]);
        assert_eq!(code_of(""), code::VARIABLE, "there is no such namespace");
    }

    #[test]
    fn gateways_and_default_routes() {
        let bridge: Bridge = serde_json::from_str(r#"{"isDefaultGateway":true}"#).unwrap();
        let mut result: AddResult =
            serde_json::from_str(r#"{"ips":[{"address":"10.1.2.3/16"},{"address":"fd00::3/64","gateway":"fd00::9"}]}"#)
                .unwrap();
        bridge.complete(&mut result);
        let routes: Vec<String> = result.routes.iter().map(|it| format!("{} {}", it.dst, it.gw.unwrap())).collect();
        assert_eq!(routes, ["0.0.0.0/0 10.1.0.1", "::/0 fd00::9"]);
        assert!(result.ips.iter().all(|ip| ip.interface == Some(2)));
    }

    proptest! {
        #[test]
        fn no_configuration_makes_it_panic(text in any::<String>(), name in any::<String>()) {
            let _ = asked::<Bridge>("ADD", &text, "");
            let _ = asked::<Bridge>("ADD", &config(&format!(r#","bridge":{}"#, serde_json::json!(name))), "");
        }
    }
}

//! `tuning`: sysctls of the container's network namespace, and its interface's hardware address, MTU and flags.
//!
//! What was there before is not kept: the interface goes with the container.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::cable::{Args, Wished, wished_mac};
use super::frame::{Call, Fault, Plugin, code, fault, mac, mac_text};
use super::net::{Net, Sandbox, sysctl};
use crate::cni::result::AddResult;
use crate::kernel::netlink::NewLink;

/// Its configuration.
#[derive(Deserialize)]
pub(super) struct Tuning {
    #[serde(default)]
    sysctl: BTreeMap<String, String>,
    #[serde(default)]
    mac: String,
    #[serde(default)]
    mtu: u32,
    #[serde(default)]
    promisc: bool,
    #[serde(default)]
    allmulti: bool,
    #[serde(rename = "txQLen")]
    queue: Option<u32>,
    #[serde(rename = "runtimeConfig", default)]
    runtime: Wished,
    #[serde(default)]
    args: Args,
}

impl Tuning {
    fn mac(&self, call: &Call) -> Result<Option<[u8; 6]>, Fault> {
        let wished = wished_mac(call, &self.runtime, &self.args)?;
        wished.map_or_else(|| mac([Some(&self.mac), None, None]), |mac| Ok(Some(mac)))
    }

    /// The paths below /proc/sys, and their values.
    fn sysctls(&self, call: &Call) -> Result<Vec<(String, &str)>, Fault> {
        self.sysctl.iter().map(|(name, value)| Ok((key(name, &call.ifname)?, value.as_str()))).collect()
    }

    fn tune(&self, call: &Call, net: &mut Net, mac: Option<[u8; 6]>, sysctls: &[(String, &str)]) -> Result<(), Fault> {
        for (key, value) in sysctls {
            sysctl(key, value)?;
        }
        let name = call.ifname.as_str();
        let mtu = (self.mtu != 0).then_some(self.mtu);
        if mac.is_some() || mtu.is_some() {
            net.ask(|netlink, trace| netlink.change_link(trace, NewLink { name, mac, mtu }))?;
        }
        if self.promisc {
            net.ask(|netlink, trace| netlink.set_promisc(trace, name, true))?;
        }
        if self.allmulti {
            net.ask(|netlink, trace| netlink.set_allmulti(trace, name, true))?;
        }
        if let Some(length) = self.queue {
            net.ask(|netlink, trace| netlink.set_queue_length(trace, name, length))?;
        }
        Ok(())
    }
}

/// The path of a sysctl of the network: others are not the container's alone. `IFNAME` stands for the interface.
fn key(name: &str, ifname: &str) -> Result<String, Fault> {
    let path = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    if !path.starts_with("net/") || !path.split('/').all(is_plain) {
        let why = format!("`{}` is none that begins with net.", name.escape_debug());
        return Err(fault(code::CONFIG, "a sysctl can not be set", why));
    }
    Ok(path.split('/').map(|part| if part == "IFNAME" { ifname } else { part }).collect::<Vec<_>>().join("/"))
}

impl Plugin for Tuning {
    fn add(&self, call: &Call) -> Result<AddResult, Fault> {
        let (mac, sysctls) = (self.mac(call)?, self.sysctls(call)?);
        let mut result = call.prev()?.clone();
        Sandbox::of(call)?.enter(|net| self.tune(call, net, mac, &sysctls))?;
        for interface in result.interfaces.iter_mut().filter(|it| it.name == call.ifname && !it.sandbox.is_empty()) {
            interface.mac = mac.map_or_else(|| interface.mac.clone(), mac_text);
            interface.mtu = if self.mtu != 0 { Some(self.mtu) } else { interface.mtu };
        }
        Ok(result)
    }

    fn del(&self, _call: &Call) -> Result<(), Fault> {
        Ok(())
    }

    fn check(&self, call: &Call) -> Result<(), Fault> {
        let (mac, sysctls) = (self.mac(call)?, self.sysctls(call)?);
        let lost = |what: String| Err(fault(code::STATE, format!("{what} is not as it was set"), ""));
        Sandbox::of(call)?.enter(|net| {
            for (key, value) in &sysctls {
                if std::fs::read_to_string(format!("/proc/sys/{key}"))?.trim() != *value {
                    return lost(format!("the sysctl {key}"));
                }
            }
            let link = net.link(&call.ifname)?;
            match mac.map(mac_text) {
                Some(mac) if link.address.as_ref() != Some(&mac) => lost("the hardware address".to_owned()),
                _ if self.mtu != 0 && link.mtu != self.mtu => lost("the MTU".to_owned()),
                _ => Ok(()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_sysctls_of_the_network() {
        let path = |name: &str| key(name, "eth0.1").ok();
        assert_eq!(path("net.core.somaxconn").as_deref(), Some("net/core/somaxconn"));
        assert_eq!(path("net.ipv4.conf.IFNAME.arp_filter").as_deref(), Some("net/ipv4/conf/eth0.1/arp_filter"));
        assert_eq!(path("net/ipv4/conf/eth0.1/arp_filter").as_deref(), Some("net/ipv4/conf/eth0.1/arp_filter"));
        for bad in ["kernel.hostname", "net", "net/../kernel/hostname", "net..x", "/net/x", "net/x/", ""] {
            assert_eq!(path(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_name_leads_out_of_the_network(name in "(net[./])?[a-z./]{0,12}") {
            if let Ok(path) = key(&name, "eth0") {
                prop_assert!(path.starts_with("net/") && !path.split('/').any(|part| part == ".." || part.is_empty()));
            }
        }
    }
}

//! `portmap`: ports of the host that lead to the container, by rules of nftables.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;

use super::frame::{Call, Fault, Plugin, code, fault};
use super::net::{Net, sysctl};
use super::rules::{Purpose, nat};
use crate::cni::result::{AddResult, Cidr};
use crate::kernel::netlink::{Netlink, Table};
use crate::kernel::nftables::{Hook, NewChain};

const PORTS: Purpose = Purpose("portmap");
/// The most ports of a container.
const MOST: usize = 4096;

/// Its configuration.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Portmap {
    /// Whether packets may seem to come from the host, where the container could not answer them otherwise.
    #[serde(default = "yes")]
    snat: bool,
    #[serde(default)]
    masq_all: bool,
    external_set_mark_chain: Option<Value>,
    #[serde(rename = "conditionsV4")]
    conditions_v4: Option<Value>,
    #[serde(rename = "conditionsV6")]
    conditions_v6: Option<Value>,
    #[serde(default)]
    runtime_config: Runtime,
}

fn yes() -> bool {
    true
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Runtime {
    #[serde(default)]
    port_mappings: Vec<Mapping>,
}

/// A port of the host, and the container's that it leads to.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mapping {
    host_port: u16,
    container_port: u16,
    #[serde(default)]
    protocol: String,
    #[serde(rename = "hostIP", default)]
    host_ip: String,
}

impl Mapping {
    /// The protocol in the words of nft(8).
    fn transport(&self) -> Result<&'static str, Fault> {
        match self.protocol.to_ascii_lowercase().as_str() {
            "" | "tcp" => Ok("tcp"),
            "udp" => Ok("udp"),
            other => Err(fault(code::UNSUPPORTED, "only ports of tcp and udp can be mapped", format!("{other:?}"))),
        }
    }

    /// The only address of the host that it is for; none where it is for all, of one family or of both.
    fn host_ip(&self) -> Result<Option<IpAddr>, Fault> {
        let bad = |_| fault(code::CONFIG, "hostIP is no address", format!("{:?}", self.host_ip));
        if self.host_ip.is_empty() { Ok(None) } else { self.host_ip.parse().map(Some).map_err(bad) }
    }
}

impl Portmap {
    fn refuse(&self) -> Result<(), Fault> {
        let iptables = [
            ("externalSetMarkChain", &self.external_set_mark_chain),
            ("conditionsV4", &self.conditions_v4),
            ("conditionsV6", &self.conditions_v6),
        ];
        if let Some((field, _)) = iptables.iter().find(|(_, value)| value.is_some()) {
            return Err(fault(code::UNSUPPORTED, format!("{field} is not supported"), "it is for rules of iptables"));
        }
        let mappings = &self.runtime_config.port_mappings;
        if mappings.len() > MOST {
            return Err(fault(code::CONFIG, format!("there are more than {MOST} portMappings"), ""));
        }
        if mappings.iter().any(|it| it.host_port == 0 || it.container_port == 0) {
            return Err(fault(code::CONFIG, "a port of portMappings is 0", "ports are 1 to 65535"));
        }
        Ok(())
    }

    /// The rules: where packets for the host's port go, and which of them have to seem to come from the host.
    fn chains(&self, prev: &AddResult) -> Result<Vec<NewChain>, Fault> {
        let (mut to, mut from) = (Vec::new(), Vec::new());
        for container in targets(prev) {
            let (ip, address, subnet) = (word(container.address), container.address, container.network());
            for mapping in &self.runtime_config.port_mappings {
                let (transport, port, inner) = (mapping.transport()?, mapping.host_port, mapping.container_port);
                let host = match mapping.host_ip()? {
                    Some(host) if host.is_ipv4() != address.is_ipv4() => continue,
                    Some(host) if !host.is_unspecified() => format!("{ip} daddr {host}"),
                    _ => {
                        format!("meta nfproto {} fib daddr type local", if address.is_ipv4() { "ipv4" } else { "ipv6" })
                    }
                };
                let target =
                    if address.is_ipv4() { format!("{address}:{inner}") } else { format!("[{address}]:{inner}") };
                to.push(format!("{host} {transport} dport {port} dnat {ip} to {target}"));
                if !self.snat {
                    continue;
                }
                let mut masquerade = |source: &str| {
                    from.push(format!(
                        "{source}{ip} daddr {address} {transport} dport {inner} ct status dnat masquerade"
                    ));
                };
                if self.masq_all {
                    masquerade("");
                    continue;
                }
                // A neighbour on the same bridge, or the container itself, would be answered straight, from an address that it has not asked.
                masquerade(&format!("{ip} saddr {subnet} "));
                if address.is_ipv4() {
                    // Nobody can answer to 127.0.0.1 of somebody else.
                    masquerade("ip saddr 127.0.0.0/8 ");
                }
            }
        }
        Ok(vec![
            nat("prerouting", Hook::Prerouting, &to)?,
            nat("output", Hook::Output, &to)?,
            nat("postrouting", Hook::Postrouting, &from)?,
        ])
    }
}

/// `ip` or `ip6`.
fn word(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "ip" } else { "ip6" }
}

/// Of each family the container's first address.
fn targets(prev: &AddResult) -> Vec<Cidr> {
    let in_container = |at: u32| prev.interfaces.get(at as usize).is_none_or(|it| !it.sandbox.is_empty());
    let all = prev.ips.iter().filter(|ip| ip.interface.is_none_or(in_container)).map(|ip| ip.address);
    let (v4, v6): (Vec<Cidr>, Vec<Cidr>) = all.partition(|cidr| cidr.address.is_ipv4());
    v4.first().into_iter().chain(v6.first()).copied().collect()
}

/// Lets packets from 127.0.0.1 leave by the link that leads to the container.
fn route_localnet(net: &mut Net, container: IpAddr) -> Result<(), Fault> {
    let routes = net.read(Netlink::routes)?;
    let leads = routes
        .iter()
        .filter(|it| it.table == Table::Main && Cidr { address: it.to, prefix: it.prefix }.contains(container));
    let link = leads.max_by_key(|it| it.prefix).and_then(|it| it.link);
    let links = net.read(Netlink::links)?;
    match links.iter().find(|it| Some(it.index) == link) {
        // A `.` in a link's name is a `/` for sysctl(8), and none in a path.
        Some(link) => sysctl(&format!("net/ipv4/conf/{}/route_localnet", link.name), "1"),
        None => Ok(()),
    }
}

impl Plugin for Portmap {
    fn add(&self, call: &Call) -> Result<AddResult, Fault> {
        self.refuse()?;
        let prev = call.prev()?;
        if !self.runtime_config.port_mappings.is_empty() {
            PORTS.put(call, &self.chains(prev)?)?;
            let localhost = targets(prev).into_iter().find(|it| it.address.is_ipv4()).filter(|_| self.snat);
            let done = localhost.map_or(Ok(()), |it| route_localnet(&mut Net::here()?, it.address));
            done.inspect_err(|_| drop(PORTS.remove(call)))?;
        }
        Ok(prev.clone())
    }

    fn del(&self, call: &Call) -> Result<(), Fault> {
        PORTS.remove(call)
    }

    fn check(&self, call: &Call) -> Result<(), Fault> {
        let prev = call.prev()?;
        if self.runtime_config.port_mappings.is_empty() {
            return Ok(());
        }
        PORTS.check(call, &self.chains(prev)?)
    }

    fn status(&self, _call: &Call) -> Result<(), Fault> {
        self.refuse()?;
        match crate::kernel::nftables::Nftables::open().and_then(|mut nftables| nftables.ruleset()) {
            Ok(_) => Ok(()),
            Err(error) => Err(fault(code::NOT_AVAILABLE, "nftables can not be used", error.to_string())),
        }
    }

    fn gc(&self, call: &Call) -> Result<(), Fault> {
        PORTS.collect(call)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::super::frame::tests::asked;
    use super::*;

    fn words(mappings: &str, more: &str) -> Result<Vec<Vec<String>>, Fault> {
        let portmap: Portmap =
            serde_json::from_str(&format!(r#"{{"runtimeConfig":{{"portMappings":[{mappings}]}}{more}}}"#)).unwrap();
        let prev = r#"{"ips":[{"address":"10.1.0.5/24"},{"address":"fd00::5/64"}]}"#;
        portmap.refuse()?;
        let chains = portmap.chains(&serde_json::from_str(prev).unwrap())?;
        Ok(chains.iter().map(|chain| chain.rules.iter().map(ToString::to_string).collect()).collect())
    }

    #[test]
    fn a_port_is_a_rule_for_each_family() {
        let [to, local, from]: [Vec<String>; 3] =
            words(r#"{"hostPort":8080,"containerPort":80,"protocol":"TCP"}"#, "").unwrap().try_into().unwrap();
        assert_eq!(to, local);
        assert_eq!(
            to,
            [
                "meta nfproto ipv4 fib daddr type local tcp dport 8080 dnat ip to 10.1.0.5:80",
                "meta nfproto ipv6 fib daddr type local tcp dport 8080 dnat ip6 to [fd00::5]:80",
            ]
        );
        assert_eq!(
            from,
            [
                "ip saddr 10.1.0.0/24 ip daddr 10.1.0.5 tcp dport 80 ct status dnat masquerade",
                "ip saddr 127.0.0.0/8 ip daddr 10.1.0.5 tcp dport 80 ct status dnat masquerade",
                "ip6 saddr fd00::/64 ip6 daddr fd00::5 tcp dport 80 ct status dnat masquerade",
            ]
        );
        let one = r#"{"hostPort":53,"containerPort":5353,"protocol":"udp","hostIP":"192.0.2.1"}"#;
        let chains = words(one, r#","snat":false"#).unwrap();
        assert_eq!(chains[0], ["ip daddr 192.0.2.1 udp dport 53 dnat ip to 10.1.0.5:5353"]);
        assert!(chains[2].is_empty());
        let all = words(r#"{"hostPort":1,"containerPort":2,"hostIP":"0.0.0.0"}"#, r#","masqAll":true"#).unwrap();
        assert_eq!(
            (all[0].len(), all[2].as_slice()),
            (1, &["ip daddr 10.1.0.5 tcp dport 2 ct status dnat masquerade".to_owned()][..])
        );
    }

    #[test]
    fn what_can_not_be_done_is_refused() {
        let code_of = |mappings: &str, more: &str| words(mappings, more).unwrap_err().code;
        assert_eq!(code_of(r#"{"hostPort":1,"containerPort":2,"protocol":"sctp"}"#, ""), code::UNSUPPORTED);
        assert_eq!(code_of(r#"{"hostPort":1,"containerPort":0}"#, ""), code::CONFIG);
        assert_eq!(code_of(r#"{"hostPort":1,"containerPort":2,"hostIP":"x"}"#, ""), code::CONFIG);
        assert_eq!(code_of("", r#","conditionsV4":["-s","1.2.3.4"]"#), code::UNSUPPORTED);
        let config = r#"{"cniVersion":"1.0.0","name":"n"}"#;
        assert_eq!(asked::<Portmap>("ADD", config, "").unwrap_err().code, code::CONFIG, "prevResult is missing");
    }

    proptest! {
        #[test]
        fn no_mapping_makes_it_panic(host: u16, inner: u16, protocol in "(|tcp|UDP|sctp)", ip in "[0-9a-f.:]{0,9}") {
            let _ = words(&format!(r#"{{"hostPort":{host},"containerPort":{inner},"protocol":"{protocol}","hostIP":"{ip}"}}"#), "");
        }
    }
}

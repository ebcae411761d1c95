//! `static`: addresses that somebody else has decided about.

use std::net::IpAddr;

use serde::Deserialize;

use super::frame::{Call, Fault, Plugin, code, fault};
use crate::cni::result::{AddResult, Cidr, Dns, Ip, Route};

/// Its configuration, and where a runtime may say addresses.
#[derive(Deserialize)]
pub(super) struct Static {
    ipam: Ipam,
    #[serde(rename = "runtimeConfig", default)]
    runtime: Wished,
    #[serde(default)]
    args: Args,
}

#[derive(Deserialize)]
struct Ipam {
    #[serde(default)]
    addresses: Vec<Address>,
    #[serde(default)]
    routes: Vec<Route>,
    #[serde(default)]
    dns: Dns,
}

#[derive(Deserialize)]
struct Address {
    address: Cidr,
    gateway: Option<IpAddr>,
}

#[derive(Default, Deserialize)]
struct Args {
    #[serde(default)]
    cni: Wished,
}

#[derive(Default, Deserialize)]
struct Wished {
    #[serde(default)]
    ips: Vec<Cidr>,
}

impl Static {
    /// What is wished at run time stands for the configuration's addresses; of those, the capability counts before the arguments.
    fn ips(&self, call: &Call) -> Result<Vec<Ip>, Fault> {
        let bad = |why: String| fault(code::CONFIG, "an address can not be used", why);
        let ip = |address, gateway| Ip { version: None, interface: None, address, gateway };
        let of_args = call.arg("IP").unwrap_or_default().split(',').filter(|text| !text.is_empty());
        let of_args: Vec<Cidr> = of_args.map(str::parse).collect::<Result<_, String>>().map_err(bad)?;
        let wished = [&self.runtime.ips, &self.args.cni.ips, &of_args].into_iter().find(|ips| !ips.is_empty());
        let mut ips: Vec<Ip> = match wished {
            Some(wished) => wished.iter().map(|address| ip(*address, None)).collect(),
            None => self.ipam.addresses.iter().map(|it| ip(it.address, it.gateway)).collect(),
        };
        for text in call.arg("GATEWAY").unwrap_or_default().split(',').filter(|text| !text.is_empty()) {
            let gateway: IpAddr = text.parse().map_err(|_| bad(format!("`{}` is none", text.escape_debug())))?;
            let mut of_it = ips.iter_mut().filter(|ip| ip.address.contains(gateway));
            if let Some(ip) = of_it.next() {
                ip.gateway = Some(gateway);
            }
        }
        if ips.is_empty() {
            return Err(bad("ipam.addresses is empty, and none is wished".to_owned()));
        }
        Ok(ips)
    }
}

impl Plugin for Static {
    fn add(&self, call: &Call) -> Result<AddResult, Fault> {
        let Ipam { routes, dns, .. } = &self.ipam;
        Ok(AddResult { ips: self.ips(call)?, routes: routes.clone(), dns: dns.clone(), ..AddResult::default() })
    }

    fn del(&self, _call: &Call) -> Result<(), Fault> {
        Ok(())
    }

    fn check(&self, call: &Call) -> Result<(), Fault> {
        let given = &call.prev()?.ips;
        let missing = self.ips(call)?.into_iter().find(|ip| !given.iter().any(|it| it.address == ip.address));
        missing.map_or(Ok(()), |ip| Err(fault(code::STATE, format!("the address {} is missing", ip.address), "")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::super::frame::tests::{asked, result};
    use super::*;

    #[test]
    fn what_is_wished_counts_before_what_is_written() {
        let config = |more: &str| {
            format!(
                r#"{{"cniVersion":"1.0.0","name":"n","ipam":{{"addresses":[{{"address":"10.2.0.5/24","gateway":"10.2.0.1"}}]}}{more}}}"#
            )
        };
        let first = |text: &str, args: &str| result::<Static>("ADD", text, args).ips.remove(0);
        let ip = first(&config(""), "");
        assert_eq!((ip.address.to_string().as_str(), ip.gateway), ("10.2.0.5/24", Some([10, 2, 0, 1].into())));
        let ip = first(&config(""), "IP=10.3.0.5/24;GATEWAY=10.3.0.9");
        assert_eq!((ip.address.to_string().as_str(), ip.gateway), ("10.3.0.5/24", Some([10, 3, 0, 9].into())));
        let ip = first(&config(r#","runtimeConfig":{"ips":["fd00::5/64"]}"#), "IP=10.3.0.5/24");
        assert_eq!(ip.address.to_string(), "fd00::5/64");
        let none = r#"{"cniVersion":"1.0.0","name":"n","ipam":{}}"#;
        assert_eq!(asked::<Static>("ADD", none, "").unwrap_err().code, code::CONFIG);
        assert_eq!(asked::<Static>("DEL", none, ""), Ok(String::new()));
    }

    proptest! {
        #[test]
        fn no_configuration_makes_it_panic(text in any::<String>(), args in any::<String>()) {
            let _ = asked::<Static>("ADD", &text, &args);
            let config = format!(r#"{{"cniVersion":"1.0.0","name":"n","ipam":{{"addresses":[{{"address":{text:?}}}]}}}}"#);
            let _ = asked::<Static>("ADD", &config, &args);
        }
    }
}

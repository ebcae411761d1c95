//! `firewall`: lets packets from and to the container's addresses pass, where they are sent on.
//!
//! A packet that one table of nftables accepts goes on to the next one. So these rules can not undo what another one drops: where a foreign
//! chain drops by its policy, as firewalls of iptables do, the exception has to be made there.

use serde::Deserialize;

use super::frame::{Call, Fault, Plugin, code, fault};
use super::rules::{Purpose, chain};
use crate::cni::result::AddResult;
use crate::kernel::nftables::{ChainType, Hook, NewChain};

const FIREWALL: Purpose = Purpose("firewall");

/// Its configuration. `backend` is not looked at: there is one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Firewall {
    #[serde(default)]
    ingress_policy: String,
}

impl Firewall {
    fn refuse(&self) -> Result<(), Fault> {
        match self.ingress_policy.as_str() {
            "" | "open" => Ok(()),
            other => {
                Err(fault(code::UNSUPPORTED, "ingressPolicy is not supported", format!("{other:?}; known is open")))
            }
        }
    }

    fn chains(prev: &AddResult) -> Result<Vec<NewChain>, Fault> {
        let mut rules = Vec::new();
        for address in prev.ips.iter().map(|ip| ip.address.address) {
            let ip = if address.is_ipv4() { "ip" } else { "ip6" };
            rules.push(format!("{ip} daddr {address} ct state established,related accept"));
            rules.push(format!("{ip} saddr {address} accept"));
        }
        Ok(vec![chain("forward", ChainType::Filter, Hook::Forward, 0, &rules)?])
    }
}

impl Plugin for Firewall {
    fn add(&self, call: &Call) -> Result<AddResult, Fault> {
        self.refuse()?;
        let prev = call.prev()?;
        FIREWALL.put(call, &Self::chains(prev)?)?;
        Ok(prev.clone())
    }

    fn del(&self, call: &Call) -> Result<(), Fault> {
        FIREWALL.remove(call)
    }

    fn check(&self, call: &Call) -> Result<(), Fault> {
        FIREWALL.check(call, &Self::chains(call.prev()?)?)
    }

    fn gc(&self, call: &Call) -> Result<(), Fault> {
        FIREWALL.collect(call)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frame::tests::asked;
    use super::*;

    proptest! {
        #[test]
        fn only_what_can_be_done_is_taken(policy in any::<String>()) {
            let config = serde_json::json!({ "cniVersion": "1.0.0", "name": "n", "ingressPolicy": policy });
            let code = asked::<Firewall>("ADD", &config.to_string(), "").map_err(|fault| fault.code);
            prop_assert_eq!(code, Err(if policy.is_empty() || policy == "open" { code::CONFIG } else { code::UNSUPPORTED }));
        }
    }
}

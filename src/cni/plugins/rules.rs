//! Rules of nftables that belong to one attachment: a table of its own, in the family inet. It is made and taken away as a whole, whatever
//! is in it, and its name is made of the attachment alone: so DEL needs neither its result nor its namespace, and GC knows whose it is.

use super::frame::{Call, Fault, code, fault};
use crate::cni::config::ValidAttachment;
use crate::cni::result::Cidr;
use crate::kernel::nftables::{Base, ChainType, Family, Hook, NewChain, Nftables, Policy, Priority, Rule};
use crate::kernel::trace::Trace;

/// What the rules of a table are for: a word of its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purpose(pub &'static str);

/// FNV-1a: the same in every release, which the names of tables have to be.
pub(super) fn hash(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A chain of nat, from rules in the words of nft(8).
pub(super) fn nat(name: &'static str, hook: Hook, rules: &[String]) -> Result<NewChain, Fault> {
    // Before, or after, everybody's filters: the numbers of `dstnat` and `srcnat`.
    chain(name, ChainType::Nat, hook, if hook == Hook::Postrouting { 100 } else { -100 }, rules)
}

/// A chain of any type.
pub(super) fn chain(
    name: &'static str,
    kind: ChainType,
    hook: Hook,
    priority: i32,
    rules: &[String],
) -> Result<NewChain, Fault> {
    let base = Base { kind, hook, priority: Priority(priority), policy: Policy::Accept };
    let bad = |words: &str, why: String| fault(code::CONFIG, format!("no rule can be made: {words}"), why);
    let read = |words: &String| {
        let rule: Rule = words.parse().map_err(|why: String| bad(words, why.to_string()))?;
        rule.fault(Family::Inet).map_or(Ok(rule), |why| Err(bad(words, why)))
    };
    Ok(NewChain { name, base, rules: rules.iter().map(read).collect::<Result<_, _>>()? })
}

/// Whether a table of this name has the rules of an attachment to that network, whatever they are for.
pub fn is_of_network(table: &str, network: &str) -> bool {
    table.starts_with("hardway_") && table.contains(&format!("_{:016x}_", hash(&[network])))
}

impl Purpose {
    fn network(self, call: &Call) -> String {
        format!("hardway_{}_{:016x}_", self.0, hash(&[&call.network]))
    }

    fn table(self, call: &Call, attachment: &ValidAttachment) -> String {
        let own = hash(&[&call.network, &attachment.container_id, &attachment.ifname]);
        format!("{}{own:016x}", self.network(call))
    }

    /// Makes the table. What is left of one by that name, of an ADD that was killed, goes first.
    pub fn put(self, call: &Call, chains: &[NewChain]) -> Result<(), Fault> {
        self.remove(call)?;
        let name = self.table(call, &call.attachment());
        Ok(Nftables::open()?.add_whole(&mut Trace::new("plugin"), Family::Inet, &name, chains)?)
    }

    /// Takes it away. Where there is none, and where the kernel has no nftables, that is well.
    pub fn remove(self, call: &Call) -> Result<(), Fault> {
        delete(&self.table(call, &call.attachment()))
    }

    /// Whether it is there, with as many chains and rules as it was made with.
    pub fn check(self, call: &Call, chains: &[NewChain]) -> Result<(), Fault> {
        let name = self.table(call, &call.attachment());
        let gone = |why: &str| {
            Err(fault(code::STATE, format!("the rules of the table inet {name} are not as they were"), why))
        };
        let ruleset = Nftables::open()?.ruleset()?;
        let Some(table) = ruleset.table(Family::Inet, &name) else { return gone("the table is gone") };
        let as_made = |made: &NewChain| {
            let rules =
                |rules: &[Rule]| rules.iter().map(|rule| rule.canonical(Family::Inet).bare()).collect::<Vec<_>>();
            table.chain(made.name).is_some_and(|own| rules(&own.rules) == rules(&made.rules))
        };
        match chains.iter().find(|made| !as_made(made)) {
            Some(chain) => gone(&format!("the chain {}", chain.name)),
            None => Ok(()),
        }
    }

    /// Takes away the tables of this network's attachments that are not valid.
    pub fn collect(self, call: &Call) -> Result<(), Fault> {
        let (valid, ours) = (call.valid()?, self.network(call));
        let kept: Vec<String> = valid.iter().map(|one| self.table(call, one)).collect();
        for name in Nftables::open()?.table_names(Family::Inet)? {
            if name.starts_with(&ours) && !kept.contains(&name) {
                delete(&name)?;
            }
        }
        Ok(())
    }
}

fn delete(name: &str) -> Result<(), Fault> {
    match Nftables::open()?.delete_table(&mut Trace::new("plugin"), Family::Inet, name) {
        Err(error) if !["ENOENT", "EOPNOTSUPP"].contains(&error.errno.name().as_str()) => Err(error.into()),
        _ => Ok(()),
    }
}

/// What makes packets of these addresses leave with the address of the link that they leave by, unless they stay in their subnet or go to
/// everybody.
pub(super) fn masquerading(addresses: &[Cidr]) -> Result<Vec<NewChain>, Fault> {
    let rule = |cidr: &Cidr| {
        let (ip, everybody) = if cidr.address.is_ipv4() { ("ip", "224.0.0.0/4") } else { ("ip6", "ff00::/8") };
        let (own, subnet) = (cidr.address, cidr.network());
        format!("{ip} saddr {own} {ip} daddr != {subnet} {ip} daddr != {everybody} masquerade")
    };
    Ok(vec![nat("postrouting", Hook::Postrouting, &addresses.iter().map(rule).collect::<Vec<_>>())?])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_leaves_the_subnet_is_masqueraded() {
        let addresses = ["10.1.0.5/24", "fd00::5/64"].map(|text| text.parse().unwrap());
        let chains = masquerading(&addresses).unwrap();
        let rules: Vec<String> = chains[0].rules.iter().map(ToString::to_string).collect();
        assert_eq!(
            rules,
            [
                "ip saddr 10.1.0.5 ip daddr != 10.1.0.0/24 ip daddr != 224.0.0.0/4 masquerade",
                "ip6 saddr fd00::5 ip6 daddr != fd00::/64 ip6 daddr != ff00::/8 masquerade",
            ]
        );
    }

    #[test]
    fn a_table_is_of_its_network_alone() {
        let table = "hardway_portmap_f697ed48f7873b4b_fe773b19a61f9d7c";
        assert!(is_of_network(table, "shop"));
        assert!(!is_of_network(table, "lab") && !is_of_network(&table[1..], "shop"));
    }

    #[test]
    fn names_of_tables_do_not_change_from_release_to_release() {
        assert_eq!(hash(&["net", "c1", "eth0"]), hash(&["net", "c1", "eth0"]));
        assert_eq!(hash(&[]), 0xcbf2_9ce4_8422_2325);
        assert_ne!(hash(&["a", "bc"]), hash(&["ab", "c"]));
    }

    proptest! {
        #[test]
        fn every_subnet_has_rules(address: u32, prefix in 0..=32_u8, v6: u128, longer in 0..=128_u8) {
            let addresses = [
                Cidr { address: address.to_be_bytes().into(), prefix },
                Cidr { address: v6.to_be_bytes().into(), prefix: longer },
            ];
            prop_assert!(masquerading(&addresses).is_ok());
        }
    }
}

//! `host-local`: addresses out of ranges, each a file of its own on this machine while somebody has it.

mod range;
mod store;

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::frame::{Call, Fault, Plugin, code, fault};
use crate::cni::result::{AddResult, Cidr, Dns, Ip, Route};
use range::{Range, RangeConfig, Set};
use store::Store;

/// Where leases are kept where the configuration names no place: the reference's own.
const DATA_DIR: &str = "/var/lib/cni/networks";
/// The most sets of ranges, each of which gives an attachment one address.
const MOST_SETS: usize = 64;
/// The longest resolv.conf that is read, in bytes.
const LONGEST_RESOLV_CONF: usize = 64 * 1024;

/// Its configuration, and where a runtime may wish for addresses and ranges.
#[derive(Deserialize)]
pub(super) struct HostLocal {
    ipam: Ipam,
    #[serde(rename = "runtimeConfig", default)]
    runtime: Runtime,
    #[serde(default)]
    args: Args,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ipam {
    /// A single range may be written in the place of `ranges`.
    #[serde(flatten)]
    single: RangeConfig,
    #[serde(default)]
    ranges: Vec<Vec<RangeConfig>>,
    #[serde(default)]
    routes: Vec<Route>,
    data_dir: Option<PathBuf>,
    #[serde(default)]
    resolv_conf: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Runtime {
    #[serde(default)]
    ip_ranges: Vec<Vec<RangeConfig>>,
    #[serde(default)]
    ips: Vec<Wish>,
}

#[derive(Default, Deserialize)]
struct Args {
    #[serde(default)]
    cni: Wished,
}

#[derive(Default, Deserialize)]
struct Wished {
    #[serde(default)]
    ips: Vec<Wish>,
}

/// An address that is wished for; a prefix behind it says nothing that the range does not.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Wish(IpAddr);

impl TryFrom<String> for Wish {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let address = text.parse().ok().or_else(|| text.parse::<Cidr>().ok().map(|cidr| cidr.address));
        address.map(Self).ok_or_else(|| format!("`{}` is no address", text.escape_debug()))
    }
}

impl HostLocal {
    /// The sets of ranges, each looked at, and no two with an address in common. What the runtime says comes first.
    fn sets(&self) -> Result<Vec<Set>, Fault> {
        let bad = |why: String| fault(code::CONFIG, "the ranges can not be used", why);
        let single = self.ipam.single.subnet.is_some().then(|| vec![self.ipam.single.clone()]);
        let all: Vec<&Vec<RangeConfig>> =
            self.runtime.ip_ranges.iter().chain(&single).chain(&self.ipam.ranges).collect();
        if all.is_empty() || all.len() > MOST_SETS {
            return Err(bad(format!("there are {} sets of them, and 1 to {MOST_SETS} may be", all.len())));
        }
        let mut sets: Vec<Set> = Vec::new();
        for config in all {
            let set = Set::new(config).map_err(bad)?;
            let other =
                sets.iter().flat_map(Set::ranges).find(|range| set.ranges().iter().any(|own| own.overlaps(range)));
            if let Some(other) = other {
                return Err(bad(format!("two sets have {other} in common")));
            }
            sets.push(set);
        }
        Ok(sets)
    }

    /// The addresses that are wished for, each once: podman's `network reload` repeats one that it was given itself.
    fn wishes(&self, call: &Call) -> Result<Vec<IpAddr>, Fault> {
        let bad = |why: String| fault(code::CONFIG, "a wished address can not be used", why);
        let of_args = call.arg("IP").filter(|text| !text.is_empty());
        let of_args = of_args.map(|text| Wish::try_from(text.to_owned())).transpose().map_err(bad)?;
        let all = self.runtime.ips.iter().chain(&self.args.cni.ips).chain(&of_args);
        Ok(all.map(|wish| wish.0).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// The store of this network, alone for this process until it is dropped.
    fn store(&self, call: &Call) -> Result<Store, Fault> {
        let directory = self.ipam.data_dir.as_deref().unwrap_or(Path::new(DATA_DIR));
        if !directory.is_absolute() {
            return Err(fault(code::CONFIG, "ipam.dataDir can not be used", "it is not absolute"));
        }
        Ok(Store::open(&directory.join(&call.network))?)
    }
}

impl Plugin for HostLocal {
    fn add(&self, call: &Call) -> Result<AddResult, Fault> {
        let (sets, mut wishes) = (self.sets()?, self.wishes(call)?);
        let dns = dns(&self.ipam.resolv_conf)?;
        let store = self.store(call)?;
        let leases = store.leases()?;
        // Nothing is taken before it is known that there is an address of each set.
        let mut taken: Vec<(usize, Range, IpAddr)> = Vec::new();
        for (number, set) in sets.iter().enumerate() {
            if let Some(lease) = leases.iter().find(|it| it.is_of(&call.attachment()) && set.holding(it.ip).is_some()) {
                let why =
                    format!("{} of container {} has {} of range {number} already", call.ifname, call.id, lease.ip);
                return Err(fault(code::STATE, "duplicate allocation is not allowed", why));
            }
            let wish = wishes.iter().position(|ip| set.holding(*ip).is_some()).map(|at| wishes.swap_remove(at));
            let is_taken = |ip: IpAddr| leases.iter().any(|lease| lease.ip == ip);
            let (range, ip) = match wish {
                Some(ip) => set.wished(ip, is_taken),
                None => set.next_free(store.last(number), &leases.iter().map(|it| it.ip).collect()),
            }
            .map_err(|why| fault(code::STATE, format!("no address of range {number} can be given"), why))?;
            taken.push((number, range, ip));
        }
        if let Some(wish) = wishes.first() {
            return Err(fault(code::STATE, format!("the wished address {wish} can not be given"), "it is in no range"));
        }
        for (at, (number, _, ip)) in taken.iter().enumerate() {
            if let Err(error) = store.take(*number, *ip, &call.attachment()) {
                taken[..at].iter().for_each(|(.., ip)| drop(store.free(*ip)));
                return Err(error.into());
            }
        }
        let ip = |(_, range, ip): &(usize, Range, IpAddr)| Ip {
            version: None,
            interface: None,
            address: Cidr { address: *ip, prefix: range.subnet.prefix },
            gateway: Some(range.gateway),
        };
        let ips = taken.iter().map(ip).collect();
        Ok(AddResult { ips, routes: self.ipam.routes.clone(), dns, ..AddResult::default() })
    }

    fn del(&self, call: &Call) -> Result<(), Fault> {
        let store = self.store(call)?;
        for lease in store.leases()?.iter().filter(|lease| lease.is_of(&call.attachment())) {
            store.free(lease.ip)?;
        }
        Ok(())
    }

    fn check(&self, call: &Call) -> Result<(), Fault> {
        let (sets, store) = (self.sets()?, self.store(call)?);
        let own: Vec<IpAddr> =
            store.leases()?.iter().filter(|lease| lease.is_of(&call.attachment())).map(|lease| lease.ip).collect();
        let given = call.prev.iter().flat_map(|prev| &prev.ips).map(|ip| ip.address.address);
        let ours = given.filter(|ip| sets.iter().any(|set| set.holding(*ip).is_some()));
        let lost = ours.into_iter().find(|ip| !own.contains(ip)).map(|ip| ip.to_string());
        let lost = lost.or_else(|| own.is_empty().then(|| "every address".to_owned()));
        lost.map_or(Ok(()), |what| {
            Err(fault(code::STATE, format!("{what} is not reserved for {} of container {}", call.ifname, call.id), ""))
        })
    }

    fn status(&self, call: &Call) -> Result<(), Fault> {
        let unavailable = |why: Fault| fault(code::NOT_AVAILABLE, why.msg, why.details);
        let store = self.store(call).map_err(unavailable)?;
        let taken = store.leases().map_err(|error| unavailable(error.into()))?.iter().map(|it| it.ip).collect();
        for set in self.sets()? {
            set.next_free(None, &taken).map_err(|why| fault(code::NOT_AVAILABLE, "no address is free", why))?;
        }
        Ok(())
    }

    fn gc(&self, call: &Call) -> Result<(), Fault> {
        let (valid, store) = (call.valid()?, self.store(call)?);
        for lease in store.leases()?.iter().filter(|lease| !valid.iter().any(|one| lease.is_of(one))) {
            store.free(lease.ip)?;
        }
        Ok(())
    }
}

/// What a resolv.conf(5) says; nothing where none is named.
fn dns(path: &str) -> Result<Dns, Fault> {
    if path.is_empty() {
        return Ok(Dns::default());
    }
    let text = fs::read_to_string(path)?;
    if text.len() > LONGEST_RESOLV_CONF {
        return Err(fault(code::CONFIG, "ipam.resolvConf is too long", format!("over {LONGEST_RESOLV_CONF} bytes")));
    }
    let mut dns = Dns::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (keyword, rest) = (words.next(), words.map(str::to_owned));
        match keyword {
            Some("nameserver") => dns.nameservers.extend(rest.take(1)),
            Some("domain") => dns.domain = rest.take(1).collect(),
            Some("search") => dns.search = rest.collect(),
            Some("options") => dns.options.extend(rest),
            _ => {}
        }
    }
    Ok(dns)
}

#[cfg(test)]
mod tests;

//! `bandwidth`: how much the container may send and be sent. Both are limited on the host's end of its pair of links: what leaves by it, which
//! the container receives, in a queue there; what comes by it, in the queue of an ifb that it is led to.

use serde::Deserialize;

use super::frame::{Call, Fault, Plugin, code, fault};
use super::net::{Net, Sandbox};
use super::rules::hash;
use crate::cni::config::ValidAttachment;
use crate::cni::result::AddResult;
use crate::kernel::netlink::{Link, Netlink, NewLink};

/// How long a packet may wait, in milliseconds.
const LATENCY: u64 = 25;

/// Its configuration; what the runtime says counts before it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bandwidth {
    #[serde(flatten)]
    own: Limits,
    #[serde(default)]
    runtime_config: Runtime,
}

#[derive(Default, Deserialize)]
struct Runtime {
    bandwidth: Option<Limits>,
}

/// In bits, and bits a second; 0 is no limit.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Limits {
    ingress_rate: u64,
    ingress_burst: u64,
    egress_rate: u64,
    egress_burst: u64,
}

/// A limit in bytes, as the kernel has it.
struct Bucket {
    rate: u64,
    burst: u32,
    limit: u32,
}

impl Bucket {
    /// None where there is no limit.
    fn of(name: &str, rate: u64, burst: u64) -> Result<Option<Self>, Fault> {
        if rate == 0 && burst == 0 {
            return Ok(None);
        }
        let bad = |why: &str| fault(code::CONFIG, format!("{name}Rate and {name}Burst can not be used"), why);
        if rate < 8 || burst < 8 {
            return Err(bad("both are wanted, in bits, and at least 8"));
        }
        let (rate, burst) =
            (rate / 8, u32::try_from(burst / 8).map_err(|_| bad("the burst has more than 32 gigabits"))?);
        let waiting = u128::from(rate) * u128::from(LATENCY) / 1000;
        let limit = u32::try_from(waiting).unwrap_or(u32::MAX).saturating_add(burst);
        Ok(Some(Self { rate, burst, limit }))
    }

    fn put(&self, net: &mut Net, link: u32) -> Result<(), Fault> {
        Ok(net.ask(|netlink, trace| netlink.add_token_bucket(trace, link, self.rate, self.burst, self.limit))?)
    }
}

impl Bandwidth {
    /// What the container may be sent, and what it may send.
    fn buckets(&self) -> Result<[Option<Bucket>; 2], Fault> {
        let limits = self.runtime_config.bandwidth.unwrap_or(self.own);
        Ok([
            Bucket::of("ingress", limits.ingress_rate, limits.ingress_burst)?,
            Bucket::of("egress", limits.egress_rate, limits.egress_burst)?,
        ])
    }

    fn limit(&self, call: &Call, [to, from]: [Option<Bucket>; 2]) -> Result<(), Fault> {
        let peer = Sandbox::of(call)?.enter(|net| net.link(&call.ifname))?.peer;
        let mut net = Net::here()?;
        let links = net.read(Netlink::links)?;
        let is_peer = |link: &&Link| Some(link.index) == peer && link.kind == "veth";
        let host = links.iter().find(is_peer).ok_or_else(|| {
            fault(code::STATE, format!("{} of container {} has no other end on the host", call.ifname, call.id), "")
        })?;
        if let Some(bucket) = to {
            bucket.put(&mut net, host.index)?;
        }
        if let Some(bucket) = from {
            let name = ifb(call, &call.attachment());
            let link = NewLink { name: &name, mac: None, mtu: Some(host.mtu) };
            net.ask(|netlink, trace| netlink.add_link(trace, link, "ifb"))?;
            let index = net.link(&name)?.index;
            bucket.put(&mut net, index)?;
            net.ask(|netlink, trace| netlink.redirect_incoming(trace, host.index, index))?;
        }
        Ok(())
    }
}

/// What the names of a network's ifbs begin with.
fn prefix(call: &Call) -> String {
    format!("bwp{:04x}", hash(&[&call.network]) >> 48)
}

/// The name of an attachment's ifb: 15 characters.
fn ifb(call: &Call, attachment: &ValidAttachment) -> String {
    let own = hash(&[&call.network, &attachment.container_id, &attachment.ifname]);
    format!("{}{:08x}", prefix(call), own >> 32)
}

fn remove(net: &mut Net, name: &str) -> Result<(), Fault> {
    net.ask_unless(&["ENODEV"], |netlink, trace| netlink.delete_link(trace, name))
}

impl Plugin for Bandwidth {
    fn add(&self, call: &Call) -> Result<AddResult, Fault> {
        let buckets = self.buckets()?;
        let prev = call.prev()?;
        if buckets.iter().any(Option::is_some) {
            self.limit(call, buckets).inspect_err(|_| drop(self.del(call)))?;
        }
        Ok(prev.clone())
    }

    /// The queue of the host's end goes with it.
    fn del(&self, call: &Call) -> Result<(), Fault> {
        remove(&mut Net::here()?, &ifb(call, &call.attachment()))
    }

    fn check(&self, call: &Call) -> Result<(), Fault> {
        call.prev()?;
        match self.buckets()? {
            [_, Some(_)] => Net::here()?.link(&ifb(call, &call.attachment())).map(drop),
            _ => Ok(()),
        }
    }

    fn gc(&self, call: &Call) -> Result<(), Fault> {
        let kept: Vec<String> = call.valid()?.iter().map(|one| ifb(call, one)).collect();
        let mut net = Net::here()?;
        let links = net.read(Netlink::links)?;
        let stale =
            |link: &&Link| link.kind == "ifb" && link.name.starts_with(&prefix(call)) && !kept.contains(&link.name);
        links.iter().filter(stale).try_for_each(|link| remove(&mut net, &link.name))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bits_become_bytes() {
        let bucket = Bucket::of("ingress", 8_000_000, 80_000).unwrap().unwrap();
        assert_eq!((bucket.rate, bucket.burst, bucket.limit), (1_000_000, 10_000, 35_000));
        assert!(Bucket::of("ingress", 0, 0).unwrap().is_none());
        for (rate, burst) in [(0, 8), (8, 0), (7, 8), (8, u64::MAX)] {
            assert_eq!(Bucket::of("ingress", rate, burst).err().unwrap().code, code::CONFIG);
        }
        let config = r#"{"ingressRate":8,"runtimeConfig":{"bandwidth":{"ingressRate":80,"ingressBurst":80}}}"#;
        let bandwidth: Bandwidth = serde_json::from_str(config).unwrap();
        assert_eq!(bandwidth.buckets().unwrap()[0].as_ref().unwrap().rate, 10);
    }

    proptest! {
        #[test]
        fn no_numbers_make_it_panic(rate: u64, burst: u64) {
            let _ = Bucket::of("egress", rate, burst);
        }
    }
}

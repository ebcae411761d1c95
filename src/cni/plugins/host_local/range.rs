//! Ranges of addresses, and which of them is the next.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Deserialize;

use crate::cni::plugins::frame::same_family;
use crate::cni::result::Cidr;

/// A range as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RangeConfig {
    /// The subnet, of which the range is a part.
    pub subnet: Option<Cidr>,
    /// The first address.
    pub range_start: Option<IpAddr>,
    /// The last.
    pub range_end: Option<IpAddr>,
    /// The gateway.
    pub gateway: Option<IpAddr>,
}

/// A range, in which everything is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The subnet.
    pub subnet: Cidr,
    /// Its gateway, which is given to nobody.
    pub gateway: IpAddr,
    first: u128,
    last: u128,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.address(self.first), self.address(self.last))
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Range {
    /// By default all of the subnet but its own address and, of IPv4, the one for broadcasts; the gateway is the first.
    fn new(config: &RangeConfig) -> Result<Self, String> {
        let subnet = config.subnet.ok_or("a range has no `subnet`")?;
        let bits = if subnet.address.is_ipv4() { 32 } else { 128 };
        if subnet.network() != subnet {
            return Err(format!("{subnet} has bits behind its prefix: it would be {}", subnet.network()));
        }
        if subnet.prefix > bits - 2 {
            return Err(format!("{subnet} is too small for a gateway and somebody else"));
        }
        let base = number(subnet.address);
        let all = base | if subnet.prefix == 0 { u128::MAX } else { (1 << (bits - subnet.prefix)) - 1 };
        let all = if bits == 32 { all & u128::from(u32::MAX) } else { all };
        let within = |name: &str, ip: Option<IpAddr>, default: u128| match ip {
            Some(ip) if subnet.contains(ip) => Ok(number(ip)),
            Some(ip) => Err(format!("`{name}` {ip} is not in {subnet}")),
            None => Ok(default),
        };
        let first = within("rangeStart", config.range_start, base + 1)?;
        let last = within("rangeEnd", config.range_end, if bits == 32 { all - 1 } else { all })?;
        if last < first {
            return Err(format!("the range of {subnet} ends before it begins"));
        }
        if config.gateway.is_some_and(|gateway| !same_family(gateway, subnet.address)) {
            return Err(format!("the gateway of {subnet} is of another family"));
        }
        let range = Self { subnet, gateway: subnet.address, first, last };
        Ok(Self { gateway: config.gateway.unwrap_or_else(|| range.address(base + 1)), ..range })
    }

    /// The address of this number.
    fn address(&self, number: u128) -> IpAddr {
        match self.subnet.address {
            IpAddr::V4(_) => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).into(),
            IpAddr::V6(_) => Ipv6Addr::from_bits(number).into(),
        }
    }

    fn has(&self, ip: IpAddr) -> bool {
        same_family(self.subnet.address, ip) && (self.first..=self.last).contains(&number(ip))
    }

    /// Whether two have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        same_family(self.subnet.address, other.subnet.address) && self.first <= other.last && other.first <= self.last
    }

    /// The first from a number on that nobody has. Looks at one more than are taken, and never through all of them.
    fn free_from(&self, start: u128, taken: &HashSet<IpAddr>) -> Option<IpAddr> {
        let mut at = start.max(self.first);
        while at <= self.last {
            let ip = self.address(at);
            if ip != self.gateway && !taken.contains(&ip) {
                return Some(ip);
            }
            at = at.checked_add(1)?;
        }
        None
    }
}

/// Ranges of one family, of which an attachment gets one address.
#[derive(Clone, Debug)]
pub struct Set(Vec<Range>);

impl Set {
    /// The most ranges of one.
    const MOST: usize = 256;

    /// # Errors
    /// What is wrong with one of them, or with all together.
    pub fn new(configs: &[RangeConfig]) -> Result<Self, String> {
        if configs.is_empty() || configs.len() > Self::MOST {
            return Err(format!("a set has {} ranges, and 1 to {} may be", configs.len(), Self::MOST));
        }
        let ranges: Vec<Range> = configs.iter().map(Range::new).collect::<Result<_, _>>()?;
        for (at, range) in ranges.iter().enumerate() {
            if !same_family(range.subnet.address, ranges[0].subnet.address) {
                return Err("a set has ranges of both families".to_owned());
            }
            if let Some(other) = ranges[..at].iter().find(|other| other.overlaps(range)) {
                return Err(format!("{other} and {range} have addresses in common"));
            }
        }
        Ok(Self(ranges))
    }

    /// The ranges.
    pub fn ranges(&self) -> &[Range] {
        &self.0
    }

    /// The range that has this address.
    pub fn holding(&self, ip: IpAddr) -> Option<Range> {
        self.0.iter().find(|range| range.has(ip)).copied()
    }

    /// An address that is wished for.
    ///
    /// # Errors
    /// That it can not be had.
    pub fn wished(&self, ip: IpAddr, is_taken: impl Fn(IpAddr) -> bool) -> Result<(Range, IpAddr), String> {
        let range = self.holding(ip).ok_or_else(|| format!("{ip} is in no range of the set"))?;
        match ip {
            _ if ip == range.gateway => Err(format!("{ip} is the gateway's")),
            _ if is_taken(ip) => Err(format!("somebody has {ip}")),
            _ => Ok((range, ip)),
        }
    }

    /// The next one that nobody has, behind the one that was given last: so one that is given back is not given to another at once, while
    /// others may still send to who had it.
    ///
    /// # Errors
    /// That there is none.
    pub fn next_free(&self, last: Option<IpAddr>, taken: &HashSet<IpAddr>) -> Result<(Range, IpAddr), String> {
        let begun = last.and_then(|last| Some((self.0.iter().position(|range| range.has(last))?, last)));
        let rest = begun.and_then(|(at, last)| {
            self.0[at].free_from(number(last).checked_add(1)?, taken).map(|ip| (self.0[at], ip))
        });
        let turn = begun.map_or(0, |(at, _)| at + 1);
        let mut others = self.0[turn..].iter().chain(&self.0[..turn]);
        let found =
            rest.or_else(|| others.find_map(|range| range.free_from(range.first, taken).map(|ip| (*range, ip))));
        found.ok_or_else(|| {
            let all = self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!("no IP addresses available in range set: {all}; all are taken")
        })
    }
}

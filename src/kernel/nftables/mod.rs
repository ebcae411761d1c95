//! nftables: what the kernel does with packets on their way, rule by rule (nft(8), <linux/netfilter/nf_tables.h>).
//!
//! Requests go over netlink, in batches that the kernel does altogether or not at all; no program is run. A rule is written and
//! shown in the words of nft(8), which the kernel does not know: for it a rule is a program of small instructions. They are made
//! as nft(8) makes them, and what is read back is told as nft(8) tells it.
//!
//! Of nft(8)'s language it is what lessons need. What else a rule has is shown under the kernel's name for it.

mod answer;
mod chain;
mod compile;
mod expression;
mod fold;
mod parse;
mod request;
mod statement;
mod whole;

use std::fmt;
use std::io;

use nix::errno::Errno;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::chain::{Base, ChainType, Hook, Policy, Priority, PriorityWords};
pub use self::parse::is_identifier;
pub use self::statement::{AddressKind, CtKey, End, Network, Rule, Statement, Transport, Version, Way};
pub use self::whole::NewChain;
use super::netlink::{NETLINK_NETFILTER, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST, Netlink};
use super::trace::{CallError, Trace};

/// For which packets a table is (nft(8), "Address families").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Those of IPv4.
    #[default]
    Ip,
    /// Those of IPv6.
    Ip6,
    /// Both.
    Inet,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ip, Self::Ip6, Self::Inet];

    /// Its number (<linux/netfilter.h>).
    fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ip => 2,
            Self::Ip6 => 10,
        }
    }

    /// The name of that number.
    fn nfproto(self) -> &'static str {
        match self {
            Self::Inet => "NFPROTO_INET",
            Self::Ip => "NFPROTO_IPV4",
            Self::Ip6 => "NFPROTO_IPV6",
        }
    }

    /// The version of all packets, where it is one.
    fn version(self) -> Option<Version> {
        match self {
            Self::Ip => Some(Version::Ip),
            Self::Ip6 => Some(Version::Ip6),
            Self::Inet => None,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Inet => "inet",
        })
    }
}

/// All tables of a network namespace, but for those of the families arp, bridge and netdev; without sets and maps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruleset {
    /// In the order in which the kernel tells them, which is that of nft(8): as they were made.
    pub tables: Vec<Table>,
}

/// A table: it holds chains, and does nothing itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// For which packets.
    pub family: Family,
    /// Its name.
    pub name: String,
    /// As they were made.
    pub chains: Vec<Chain>,
}

/// A chain: rules, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// When the kernel asks it; none where only other chains lead to it.
    pub base: Option<Base>,
    /// In their order.
    pub rules: Vec<Rule>,
}

impl Ruleset {
    /// The table of this family and name.
    pub fn table(&self, family: Family, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.family == family && table.name == name)
    }
}

impl Table {
    /// The chain of this name.
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == name)
    }
}

impl fmt::Display for Ruleset {
    /// As `nft list ruleset` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in &self.tables {
            writeln!(f, "table {} {} {{", table.family, table.name)?;
            for (at, chain) in table.chains.iter().enumerate() {
                writeln!(f, "{}\tchain {} {{", if at == 0 { "" } else { "\n" }, chain.name)?;
                if let Some(base) = &chain.base {
                    writeln!(f, "\t\t{base}")?;
                }
                for rule in &chain.rules {
                    writeln!(f, "\t\t{rule}")?;
                }
                writeln!(f, "\t}}")?;
            }
            writeln!(f, "}}")?;
        }
        Ok(())
    }
}

/// A netlink socket for nftables. It belongs for ever to the network namespace of the thread that made it.
pub struct Nftables(Netlink);

/// So often a dump is begun again because somebody has changed the ruleset meanwhile.
const ATTEMPTS: usize = 8;

impl Nftables {
    /// A socket in the network namespace that the calling thread is in now.
    ///
    /// # Errors
    /// As [`Netlink::open`]; `EPROTONOSUPPORT` where the kernel has no netfilter.
    pub fn open() -> io::Result<Self> {
        Netlink::of(NETLINK_NETFILTER).map(Self)
    }

    /// [`Self::open`] for an action, in its trace.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_traced(trace: &mut Trace) -> Result<Self, CallError> {
        Netlink::traced(trace, NETLINK_NETFILTER, "NETLINK_NETFILTER").map(Self)
    }

    /// Makes a table (`nft add table FAMILY NAME`). One that is there stays as it is.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_ADMIN in the user namespace that owns the network namespace, `EOPNOTSUPP` where the kernel has no
    /// nftables, `EINVAL` for a name that is too long.
    pub fn add_table(&mut self, trace: &mut Trace, family: Family, name: &str) -> Result<(), CallError> {
        self.change(trace, request::new_table(family, name), NLM_F_CREATE)
    }

    /// Takes a table away, with its chains and their rules (`nft delete table FAMILY NAME`).
    ///
    /// # Errors
    /// `ENOENT` where there is none, and as [`Self::add_table`].
    pub fn delete_table(&mut self, trace: &mut Trace, family: Family, name: &str) -> Result<(), CallError> {
        self.change(trace, request::delete_table(family, name), 0)
    }

    /// Makes a chain (`nft add chain FAMILY TABLE NAME { type … }`). One that is there and has the same base stays as it is.
    ///
    /// # Errors
    /// `ENOENT` where there is no such table, or no such type of chain; `EEXIST` where a chain of that name has another base;
    /// `EOPNOTSUPP` for a type that is not for this hook or family; and as [`Self::add_table`].
    pub fn add_chain(
        &mut self,
        trace: &mut Trace,
        family: Family,
        table: &str,
        name: &str,
        base: Option<&Base>,
    ) -> Result<(), CallError> {
        self.change(trace, request::new_chain(family, table, name, base), NLM_F_CREATE)
    }

    /// Adds a rule at the end of a chain (`nft add rule FAMILY TABLE CHAIN RULE`).
    ///
    /// # Errors
    /// `ENOENT` where there is no such table or chain, or where the kernel lacks what the rule asks for; `EOPNOTSUPP` for what the
    /// chain is not for, as `masquerade` in one of type filter; `EINVAL` for what makes no sense; and as [`Self::add_table`].
    pub fn add_rule(
        &mut self,
        trace: &mut Trace,
        family: Family,
        table: &str,
        chain: &str,
        rule: &Rule,
    ) -> Result<(), CallError> {
        self.change(trace, request::new_rule(family, table, chain, rule), NLM_F_CREATE | NLM_F_APPEND)
    }

    /// Puts a rule at the beginning of a chain (`nft insert rule FAMILY TABLE CHAIN RULE`).
    ///
    /// # Errors
    /// As [`Self::add_rule`].
    pub fn insert_rule(
        &mut self,
        trace: &mut Trace,
        family: Family,
        table: &str,
        chain: &str,
        rule: &Rule,
    ) -> Result<(), CallError> {
        self.change(trace, request::new_rule(family, table, chain, rule), NLM_F_CREATE)
    }

    /// Takes a rule away, by its number (`nft delete rule FAMILY TABLE CHAIN handle NUMBER`).
    ///
    /// # Errors
    /// `ENOENT` where there is none, and as [`Self::add_table`].
    pub fn delete_rule(
        &mut self,
        trace: &mut Trace,
        family: Family,
        table: &str,
        chain: &str,
        handle: u64,
    ) -> Result<(), CallError> {
        self.change(trace, request::delete_rule(family, table, chain, handle), 0)
    }

    /// Sends a request that changes something, as a batch of its own, and waits for the kernel's word on it.
    fn change(
        &mut self,
        trace: &mut Trace,
        message: netlink_packet_netfilter::NetfilterMessage,
        flags: u16,
    ) -> Result<(), CallError> {
        let (call, args) = request::words(&message);
        let batch = vec![
            (request::begin(), NLM_F_REQUEST),
            (message, NLM_F_REQUEST | NLM_F_ACK | flags),
            (request::end(), NLM_F_REQUEST),
        ];
        trace.call(call, args, || self.0.batch(batch).map(|()| 0)).map(drop)
    }

    /// The ruleset of the network namespace. Where there are no tables that takes two requests.
    ///
    /// # Errors
    /// `EPERM` as [`Self::add_table`]; `EINVAL` where the kernel has netfilter and no nftables; `EAGAIN` where somebody changes the
    /// ruleset all the time.
    pub fn ruleset(&mut self) -> io::Result<Ruleset> {
        for _ in 0..ATTEMPTS {
            if let Some(ruleset) = self.attempt()? {
                return Ok(ruleset);
            }
        }
        Err(Errno::EAGAIN.into())
    }

    /// The ruleset; none where it changed while it was read.
    fn attempt(&mut self) -> io::Result<Option<Ruleset>> {
        let mut generation = Generation::default();
        let mut ruleset = Ruleset::default();
        // Asked for before the first dump: the kernel decides whether a table is of the ruleset, and writes the generation on the message
        // only then. A change between the two would put a table that is gone beside those that took its place.
        self.0.exchange(request::generation(), NLM_F_REQUEST, |body| generation.told(body, |_, _| {}))?;
        // And what does not fit together is of two rulesets, whatever its generation: the kernel counts first, and then turns over.
        let mut fits = true;
        let mut whole = self.0.dump_whole(request::all_tables(), |body| {
            generation.told(body, |family, attributes| {
                let table = answer::table(family, attributes);
                fits &= ruleset.table_mut(family, &table.name).is_none();
                ruleset.tables.push(table);
            });
        })?;
        if ruleset.tables.is_empty() {
            return Ok(whole.then_some(ruleset));
        }
        whole &= self.0.dump_whole(request::all_chains(), |body| {
            generation.told(body, |family, attributes| {
                let (table, chain) = answer::chain(attributes);
                match ruleset.table_mut(family, &table) {
                    Some(table) => table.chains.push(chain),
                    None => fits = false,
                }
            });
        })?;
        whole &= self.0.dump_whole(request::all_rules(), |body| {
            generation.told(body, |family, attributes| {
                let (table, chain, rule) = answer::rule(family, attributes);
                let table = ruleset.table_mut(family, &table);
                match table.and_then(|table| table.chains.iter_mut().find(|it| it.name == chain)) {
                    Some(chain) => chain.rules.push(rule),
                    None => fits = false,
                }
            });
        })?;
        // And once more at the end: a dump in which there is nothing has no message, and so no generation.
        self.0.exchange(request::generation(), NLM_F_REQUEST, |body| generation.told(body, |_, _| {}))?;
        Ok((whole && fits && !generation.changed).then_some(ruleset))
    }
}

impl Ruleset {
    fn table_mut(&mut self, family: Family, name: &str) -> Option<&mut Table> {
        self.tables.iter_mut().find(|table| table.family == family && table.name == name)
    }
}

/// The number of changes so far, of which each message has the lower half: three dumps are of one ruleset only if it stays.
#[derive(Default)]
struct Generation {
    first: Option<u16>,
    changed: bool,
}

impl Generation {
    /// Looks at a message, and hands on what it tells.
    fn told(&mut self, body: &[u8], take: impl FnOnce(Family, &[u8])) {
        let Some((family, generation, attributes)) = answer::message(body) else { return };
        self.changed |= *self.first.get_or_insert(generation) != generation;
        if let Some(family) = family {
            take(family, attributes);
        }
    }
}

#[cfg(test)]
mod tests;

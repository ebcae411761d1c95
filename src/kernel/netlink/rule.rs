//! Rules that say which routing table a packet's way is looked up in (ip-rule(8), <linux/fib_rules.h>).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};

use super::plug::{address, family};
use super::raw::{Attributes, Raw};
use super::{Netlink, each};
use crate::kernel::trace::{CallError, Trace};

const NEWRULE: u16 = 32;
const DELRULE: u16 = 33;
const GETRULE: u16 = 34;

/// Packets from one address are looked up in a table of their own (`from ADDRESS lookup TABLE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceRule {
    /// Their source.
    pub from: IpAddr,
    /// The table.
    pub table: u32,
}

impl SourceRule {
    /// `struct fib_rule_hdr` and attributes.
    fn request(self, name: &'static str, kind: u16) -> Raw {
        const TO_TABLE: u8 = 1;
        let bits = if self.from.is_ipv4() { 32 } else { 128 };
        let table = u8::try_from(self.table).unwrap_or(0);
        let header = [family(self.from), 0, bits, 0, table, 0, 0, TO_TABLE, 0, 0, 0, 0];
        let attributes = address(Attributes::default(), 2, "FRA_SRC", self.from).number(15, "FRA_TABLE", self.table);
        Raw::new(name, kind, &header, ["action=FR_ACT_TO_TBL".to_owned()], attributes)
    }

    /// From the body of a message; none for a rule that asks for something else than one source.
    fn parse(message: &[u8]) -> Option<Self> {
        let (header, attributes) = message.split_at_checked(12)?;
        let (mut from, mut table) = (None, u32::from(header[4]));
        each(attributes, |kind, value| match (kind, value.len()) {
            (2, 4) => from = <[u8; 4]>::try_from(value).ok().map(|octets| IpAddr::V4(Ipv4Addr::from(octets))),
            (2, 16) => from = <[u8; 16]>::try_from(value).ok().map(|octets| IpAddr::V6(Ipv6Addr::from(octets))),
            (15, 4) => table = <[u8; 4]>::try_from(value).map_or(table, u32::from_ne_bytes),
            _ => {}
        });
        let from = from?;
        (header[2] == if from.is_ipv4() { 32 } else { 128 }).then_some(Self { from, table })
    }
}

impl Netlink {
    /// Makes a rule (`ip rule add from ADDRESS lookup TABLE`).
    ///
    /// # Errors
    /// `EEXIST` where there is such a rule, `EAFNOSUPPORT` where the kernel has no rules for this family, `EPERM` as [`Netlink::set_link`].
    pub fn add_rule(&mut self, trace: &mut Trace, rule: SourceRule) -> Result<(), CallError> {
        self.change_raw(trace, rule.request("RTM_NEWRULE", NEWRULE), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Takes a rule away (`ip rule delete from ADDRESS lookup TABLE`).
    ///
    /// # Errors
    /// `ENOENT` where there is no such rule, and as [`Self::add_rule`].
    pub fn delete_rule(&mut self, trace: &mut Trace, rule: SourceRule) -> Result<(), CallError> {
        self.change_raw(trace, rule.request("RTM_DELRULE", DELRULE), 0)
    }

    /// All rules for packets from one address, of both families.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn source_rules(&mut self) -> io::Result<Vec<SourceRule>> {
        self.dump(Raw::new("RTM_GETRULE", GETRULE, &[0; 12], [], Attributes::default()), SourceRule::parse)
    }
}

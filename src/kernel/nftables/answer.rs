//! What the kernel tells of tables, chains and rules: the bodies of its messages, read with the care that bytes of others need.

use super::chain::{Base, ChainType, Hook, Policy, Priority};
use super::expression::Expression;
use super::fold::fold;
use super::statement::Rule;
use super::{Chain, Family, Table};
use crate::kernel::netlink::{each, text};

/// A message: its family, the generation of the ruleset that it tells of, and its attributes (`struct nfgenmsg`,
/// <linux/netfilter/nfnetlink.h>).
pub(super) fn message(body: &[u8]) -> Option<(Option<Family>, u16, &[u8])> {
    let (header, attributes) = body.split_at_checked(4)?;
    let generation = u16::from_be_bytes(header[2..4].try_into().ok()?);
    Some((Family::ALL.into_iter().find(|family| family.number() == header[0]), generation, attributes))
}

/// A table, without its chains.
pub(super) fn table(family: Family, attributes: &[u8]) -> Table {
    let mut table = Table { family, name: String::new(), chains: Vec::new() };
    each(attributes, |kind, value| {
        if kind == 1 {
            table.name = text(value);
        }
    });
    table
}

/// A chain without its rules, and the name of its table.
pub(super) fn chain(attributes: &[u8]) -> (String, Chain) {
    let (mut table, mut name) = (String::new(), String::new());
    let (mut hook, mut priority, mut policy, mut kind_of) = (None, 0, Policy::Accept, None);
    each(attributes, |kind, value| match kind {
        1 => table = text(value),
        3 => name = text(value),
        4 => each(value, |kind, value| match kind {
            1 => hook = number(value).and_then(|it| Hook::ALL.get(usize::try_from(it).ok()?).copied()),
            2 => priority = number(value).unwrap_or(0).cast_signed(),
            _ => {}
        }),
        5 if number(value) == Some(0) => policy = Policy::Drop,
        7 => {
            let word = text(value);
            kind_of = ChainType::ALL.into_iter().find(|it| it.to_string() == word);
        }
        _ => {}
    });
    let base = kind_of.zip(hook).map(|(kind, hook)| Base { kind, hook, priority: Priority(priority), policy });
    (table, Chain { name, base, rules: Vec::new() })
}

/// A rule, and the names of its table and chain.
pub(super) fn rule(family: Family, attributes: &[u8]) -> (String, String, Rule) {
    let (mut table, mut chain) = (String::new(), String::new());
    let mut rule = Rule::default();
    each(attributes, |kind, value| match kind {
        1 => table = text(value),
        2 => chain = text(value),
        3 => rule.handle = long(value).unwrap_or(0),
        4 => rule.statements = fold(&expressions(value), family),
        7 => rule.comment = comment(value),
        _ => {}
    });
    (table, chain, rule)
}

/// The instructions of a rule: elements of a list, each with a name and what belongs to it.
pub(super) fn expressions(list: &[u8]) -> Vec<Expression> {
    let mut all = Vec::new();
    each(list, |_, element| {
        let (mut name, mut data) = (String::new(), Vec::new());
        each(element, |kind, value| match kind {
            1 => name = text(value),
            2 => data = value.to_vec(),
            _ => {}
        });
        all.push(expression(&name, &data).unwrap_or(Expression::Other(name)));
    });
    all
}

/// One instruction; none where it has another name, or more to it than is known here.
fn expression(name: &str, data: &[u8]) -> Option<Expression> {
    let at = |wanted: u16| nested(data, wanted);
    let small = |wanted: u16| number(&at(wanted)?);
    // A verdict's code and chain, or else bytes.
    let value = |wanted: u16| nested(&at(wanted)?, 1);
    Some(match name {
        "payload" => Expression::Payload { register: small(1)?, base: small(2)?, offset: small(3)?, len: small(4)? },
        "meta" => Expression::Meta { register: small(1)?, key: small(2)? },
        // With a direction it is about one side of the connection only.
        "ct" if at(3).is_none() => Expression::Ct { register: small(1)?, key: small(2)? },
        "fib" => Expression::Fib { register: small(1)?, result: small(2)?, flags: small(3)? },
        "bitwise" if small(6).unwrap_or(0) == 0 && value(5)?.iter().all(|byte| *byte == 0) => {
            Expression::Mask { source: small(1)?, register: small(2)?, mask: value(4)? }
        }
        "cmp" => {
            let not = match small(2)? {
                0 => false,
                1 => true,
                _ => return None,
            };
            Expression::Cmp { register: small(1)?, not, data: value(3)? }
        }
        "immediate" => match value(2) {
            Some(data) => Expression::Immediate { register: small(1)?, data },
            None => {
                let verdict = nested(&at(2)?, 2)?;
                let code = number(&nested(&verdict, 1)?)?;
                Expression::Verdict { code, chain: nested(&verdict, 2).map(|chain| text(&chain)) }
            }
        },
        "counter" => {
            let count = |wanted: u16| at(wanted).map_or(Some(0), |value| long(&value));
            Expression::Counter { bytes: count(1)?, packets: count(2)? }
        }
        "masq" if [1, 2, 3].into_iter().all(|kind| at(kind).is_none()) => Expression::Masq,
        "nat" => nat(&small)?,
        "reject" => Expression::Reject { kind: small(1)?, code: *at(2)?.first()? },
        _ => return None,
    })
}

/// A change of addresses: to one address and one port, without further wishes.
fn nat(small: &impl Fn(u16) -> Option<u32>) -> Option<Expression> {
    /// `NF_NAT_RANGE_MAP_IPS` and `NF_NAT_RANGE_PROTO_SPECIFIED`, which say no more than that there is an address or a port.
    const TOLD: u32 = 3;
    let (kind, address, port) = (small(1)?, small(3)?, small(5));
    let is_one = |first: Option<u32>, last: Option<u32>| last.is_none() || last == first;
    let plain = small(7).unwrap_or(0) & !TOLD == 0 && is_one(Some(address), small(4)) && is_one(port, small(6));
    let family = u8::try_from(small(2)?).ok()?;
    (plain && kind <= 1).then_some(Expression::Nat { kind, family, address, port })
}

/// The value of an attribute among others.
fn nested(attributes: &[u8], wanted: u16) -> Option<Vec<u8>> {
    let mut found = None;
    each(attributes, |kind, value| {
        if kind == wanted {
            found = Some(value.to_vec());
        }
    });
    found
}

/// The comment in what nft(8) keeps beside a rule: each entry has a type (0 is a comment), a length, and a text with a NUL.
pub(super) fn comment(mut entries: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = entries {
        let (value, behind) = rest.split_at_checked(usize::from(*length))?;
        if *kind == 0 {
            return Some(text(value));
        }
        entries = behind;
    }
    None
}

/// Numbers are in the order of bytes of the network.
pub(super) fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

pub(super) fn long(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

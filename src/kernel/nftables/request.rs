//! The requests that are sent, and the words for them in the trace, which are read off the very message that is sent.
//!
//! netlink-packet-netfilter builds them. Answers are read in [`super::answer`]: the crate's own readers trust what stands in an
//! attribute, and drop the whole message where they do not know something in it.

use netlink_packet_netfilter::nftables::{
    Bitwise, ChainAttribute, ChainMessage, Cmp, DataAttribute, ExpressionAttribute, Expressions, GenMessage,
    Hook as HookAttribute, HookNumber, Immediate, ListAttribute, Meta, NfTablesMessage, Operator, Payload, Register,
    RuleAttribute, RuleMessage, TableAttribute, TableMessage, Verdict, VerdictAttribute,
};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};

use super::chain::{Base, Hook, Policy};
use super::expression::Expression;
use super::statement::Rule;
use super::{Family, answer};
use crate::kernel::netlink::{DefaultNla, NetlinkSerializable, each, text};

/// `NFNL_SUBSYS_NFTABLES`: to whom a batch goes.
const SUBSYSTEM: u16 = 10;

/// The first message of a batch.
pub(super) fn begin() -> NetfilterMessage {
    control(ControlMessage::BatchBegin)
}

/// The last one: what stands between them is done altogether, or not at all.
pub(super) fn end() -> NetfilterMessage {
    control(ControlMessage::BatchEnd)
}

fn control(message: ControlMessage) -> NetfilterMessage {
    NetfilterMessage::new(NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, SUBSYSTEM), message)
}

/// A table, to be made.
pub(super) fn new_table(family: Family, name: &str) -> NetfilterMessage {
    let attributes = vec![TableAttribute::Name(name.to_owned())];
    of(family, NfTablesMessage::NewTable(TableMessage { attributes }))
}

/// A table, to be taken away with all that is in it.
pub(super) fn delete_table(family: Family, name: &str) -> NetfilterMessage {
    let attributes = vec![TableAttribute::Name(name.to_owned())];
    of(family, NfTablesMessage::DeleteTable(TableMessage { attributes }))
}

/// A chain, to be made.
pub(super) fn new_chain(family: Family, table: &str, chain: &str, base: Option<&Base>) -> NetfilterMessage {
    let mut attributes = vec![ChainAttribute::Table(table.to_owned()), ChainAttribute::Name(chain.to_owned())];
    if let Some(Base { kind, hook, priority, policy }) = base {
        let number = (0..).zip(Hook::ALL).find(|(_, it)| it == hook).map_or(0, |(number, _)| number);
        attributes.push(ChainAttribute::Hook(vec![
            HookAttribute::Number(HookNumber::Other(number)),
            HookAttribute::Priority(priority.0.cast_unsigned()),
        ]));
        attributes.push(ChainAttribute::Policy(u32::from(*policy == Policy::Accept)));
        attributes.push(ChainAttribute::Type(kind.to_string()));
    }
    of(family, NfTablesMessage::NewChain(ChainMessage { attributes }))
}

/// A rule, to be added to a chain.
pub(super) fn new_rule(family: Family, table: &str, chain: &str, rule: &Rule) -> NetfilterMessage {
    let mut attributes = vec![
        RuleAttribute::Table(table.to_owned()),
        RuleAttribute::Chain(chain.to_owned()),
        RuleAttribute::Expressions(rule.compile(family).iter().map(wire).collect()),
    ];
    if let Some(comment) = &rule.comment {
        // As nft(8) notes it: a kind, the length with the NUL, and the text (libnftnl, udata.h: NFTNL_UDATA_RULE_COMMENT is 0).
        let text: Vec<u8> = comment.bytes().take(usize::from(u8::MAX) - 1).chain([0]).collect();
        let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
        attributes.push(RuleAttribute::UserData([vec![0, length], text].concat()));
    }
    of(family, NfTablesMessage::NewRule(RuleMessage { attributes }))
}

/// A rule, to be taken away.
pub(super) fn delete_rule(family: Family, table: &str, chain: &str, handle: u64) -> NetfilterMessage {
    let attributes = vec![
        RuleAttribute::Table(table.to_owned()),
        RuleAttribute::Chain(chain.to_owned()),
        RuleAttribute::Handle(handle),
    ];
    of(family, NfTablesMessage::DeleteRule(RuleMessage { attributes }))
}

/// The number of changes of the ruleset so far.
pub(super) fn generation() -> NetfilterMessage {
    anywhere(NfTablesMessage::GetGen(GenMessage { attributes: Vec::new() }))
}

/// All tables, of all families.
pub(super) fn all_tables() -> NetfilterMessage {
    anywhere(NfTablesMessage::GetTable(TableMessage { attributes: Vec::new() }))
}

/// All chains.
pub(super) fn all_chains() -> NetfilterMessage {
    anywhere(NfTablesMessage::GetChain(ChainMessage { attributes: Vec::new() }))
}

/// All rules.
pub(super) fn all_rules() -> NetfilterMessage {
    anywhere(NfTablesMessage::GetRule(RuleMessage { attributes: Vec::new() }))
}

fn anywhere(message: NfTablesMessage) -> NetfilterMessage {
    NetfilterMessage::new(NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, 0), message)
}

fn of(family: Family, message: NfTablesMessage) -> NetfilterMessage {
    NetfilterMessage::new(NetfilterHeader::new(family.number().into(), 0, 0), message)
}

/// An instruction as it is sent.
fn wire(expression: &Expression) -> ListAttribute<ExpressionAttribute> {
    let bytes = |data: &[u8]| DataAttribute::Value(data.to_vec());
    // Those that the crate has no types for.
    let other = |name: &str, attributes: Vec<(u16, Vec<u8>)>| Expressions::Other {
        expression_type: name.to_owned(),
        attributes: attributes.into_iter().map(|(kind, value)| DefaultNla::new(kind, value)).collect(),
    };
    let small = |number: u32| number.to_be_bytes().to_vec();
    match expression {
        Expression::Payload { base, offset, len, register } => Expressions::Payload(vec![
            Payload::DestinationRegister(Register::from(*register)),
            Payload::Base(*base),
            Payload::Offset(*offset),
            Payload::Len(*len),
        ]),
        Expression::Meta { key, register } => {
            Expressions::Meta(vec![Meta::Key((*key).into()), Meta::DestinationRegister(Register::from(*register))])
        }
        Expression::Ct { key, register } => other("ct", vec![(2, small(*key)), (1, small(*register))]),
        Expression::Fib { flags, result, register } => {
            other("fib", vec![(1, small(*register)), (2, small(*result)), (3, small(*flags))])
        }
        Expression::Mask { source, register, mask } => Expressions::Bitwise(vec![
            Bitwise::SourceRegister(Register::from(*source)),
            Bitwise::DestinationRegister(Register::from(*register)),
            Bitwise::Length(u32::try_from(mask.len()).unwrap_or(u32::MAX)),
            Bitwise::Mask(bytes(mask)),
            Bitwise::Xor(bytes(&vec![0; mask.len()])),
        ]),
        Expression::Cmp { register, not, data } => Expressions::Cmp(vec![
            Cmp::SourceRegister(Register::from(*register)),
            Cmp::Op(if *not { Operator::NotEqual } else { Operator::Equal }),
            Cmp::Data(bytes(data)),
        ]),
        Expression::Immediate { register, data } => Expressions::Immediate(vec![
            Immediate::DestinationRegister(Register::from(*register)),
            Immediate::Data(bytes(data)),
        ]),
        Expression::Verdict { code, chain } => {
            let chain = chain.iter().map(|chain| VerdictAttribute::Chain(chain.clone()));
            let verdict = std::iter::once(VerdictAttribute::Code(Verdict::from(*code))).chain(chain).collect();
            Expressions::Immediate(vec![
                Immediate::DestinationRegister(Register::Verdict),
                Immediate::Data(DataAttribute::Verdict(verdict)),
            ])
        }
        Expression::Counter { packets, bytes } => {
            other("counter", vec![(1, bytes.to_be_bytes().to_vec()), (2, packets.to_be_bytes().to_vec())])
        }
        Expression::Masq => other("masq", Vec::new()),
        Expression::Nat { kind, family, address, port } => {
            let mut attributes = vec![(1, small(*kind)), (2, small((*family).into())), (3, small(*address))];
            attributes.extend(port.map(|port| (5, small(port))));
            other("nat", attributes)
        }
        Expression::Reject { kind, code } => other("reject", vec![(1, small(*kind)), (2, vec![*code])]),
        Expression::Other(name) => other(name, Vec::new()),
    }
    .into()
}

/// The name of a request, and what it carries, attribute by attribute, under the kernel's names (<linux/netfilter/nf_tables.h>).
pub(super) fn words(message: &NetfilterMessage) -> (&'static str, Vec<String>) {
    let mut body = vec![0; message.buffer_len()];
    message.serialize(&mut body);
    let kind = message.message_type() & 0xff;
    let (name, attribute): (_, fn(u16, &[u8]) -> String) = match kind {
        0 => ("NFT_MSG_NEWTABLE", table_word),
        2 => ("NFT_MSG_DELTABLE", table_word),
        3 => ("NFT_MSG_NEWCHAIN", chain_word),
        6 => ("NFT_MSG_NEWRULE", rule_word),
        8 => ("NFT_MSG_DELRULE", rule_word),
        _ => ("NFT_MSG", unknown_word),
    };
    let mut words = Vec::new();
    if let Some((family, _, attributes)) = answer::message(&body) {
        words.extend(family.map(|family| family.nfproto().to_owned()));
        each(attributes, |kind, value| words.push(attribute(kind, value)));
    }
    (name, words)
}

fn table_word(kind: u16, value: &[u8]) -> String {
    match kind {
        1 => format!("NFTA_TABLE_NAME={:?}", text(value)),
        _ => unknown_word(kind, value),
    }
}

fn chain_word(kind: u16, value: &[u8]) -> String {
    match kind {
        1 => format!("NFTA_CHAIN_TABLE={:?}", text(value)),
        3 => format!("NFTA_CHAIN_NAME={:?}", text(value)),
        4 => {
            let mut words = Vec::new();
            each(value, |kind, value| {
                words.push(match (kind, answer::number(value)) {
                    (1, Some(number)) => format!("NFTA_HOOK_HOOKNUM={}", hook_name(number)),
                    (2, Some(number)) => format!("NFTA_HOOK_PRIORITY={}", number.cast_signed()),
                    _ => unknown_word(kind, value),
                });
            });
            format!("NFTA_CHAIN_HOOK={{{}}}", words.join(", "))
        }
        5 => match answer::number(value) {
            Some(0) => "NFTA_CHAIN_POLICY=NF_DROP".to_owned(),
            _ => "NFTA_CHAIN_POLICY=NF_ACCEPT".to_owned(),
        },
        7 => format!("NFTA_CHAIN_TYPE={:?}", text(value)),
        _ => unknown_word(kind, value),
    }
}

/// `enum nf_inet_hooks` (<linux/netfilter.h>).
fn hook_name(number: u32) -> String {
    match number {
        0 => "NF_INET_PRE_ROUTING".to_owned(),
        1 => "NF_INET_LOCAL_IN".to_owned(),
        2 => "NF_INET_FORWARD".to_owned(),
        3 => "NF_INET_LOCAL_OUT".to_owned(),
        4 => "NF_INET_POST_ROUTING".to_owned(),
        5 => "NF_INET_INGRESS".to_owned(),
        other => other.to_string(),
    }
}

fn rule_word(kind: u16, value: &[u8]) -> String {
    match kind {
        1 => format!("NFTA_RULE_TABLE={:?}", text(value)),
        2 => format!("NFTA_RULE_CHAIN={:?}", text(value)),
        3 => format!("NFTA_RULE_HANDLE={}", answer::long(value).unwrap_or(0)),
        4 => {
            let all: Vec<String> = answer::expressions(value).iter().map(ToString::to_string).collect();
            format!("NFTA_RULE_EXPRESSIONS={{{}}}", all.join(", "))
        }
        7 => format!("NFTA_RULE_USERDATA={:?}", answer::comment(value).unwrap_or_default()),
        _ => unknown_word(kind, value),
    }
}

fn unknown_word(kind: u16, value: &[u8]) -> String {
    format!("attribute {kind}, {} bytes", value.len())
}

//! Messages of DNS: a question for the addresses of a name, what answers it, and what a server says to it (RFC 1035, section 4; RFC 3596).

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE};

use super::Names;

/// The longest message over UDP, in bytes (RFC 1035, section 4.2.1).
pub(super) const LONGEST: usize = 512;

/// How long an answer may be kept, in seconds: not at all, since a learner changes things by the second.
const TTL: u32 = 0;

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Those of IPv4: records of the type A.
    V4,
    /// Those of IPv6: AAAA.
    V6,
}

impl Family {
    fn asked(self) -> QTYPE {
        QTYPE::TYPE(if self == Self::V4 { TYPE::A } else { TYPE::AAAA })
    }
}

/// What a server says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The addresses of the name; none where it has only others than were asked for.
    Addresses(Vec<IpAddr>),
    /// There is no such name (`NXDOMAIN`).
    NoSuchName,
    /// Nothing that helps, and why.
    Refused(String),
    /// The question could not even be put: a name has at most 255 bytes, each of its parts 1 to 63.
    CanBeNone,
}

/// As what is said of the name.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addresses(addresses) if addresses.is_empty() => f.write_str("has no address"),
            Self::Addresses(addresses) => {
                let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                write!(f, "is {}", list.join(" and "))
            }
            Self::NoSuchName => f.write_str("is no name (NXDOMAIN)"),
            Self::Refused(why) => write!(f, "is not answered: {why}"),
            Self::CanBeNone => f.write_str("can be no name: it has 1 to 255 bytes, each part of it 1 to 63"),
        }
    }
}

/// A question, and the number by which its answer is known; none for what can be no name.
pub(super) fn question(name: &str, family: Family) -> Option<(u16, Vec<u8>)> {
    let name = Name::new(name).ok().filter(|name| !name.get_labels().is_empty())?;
    // Nobody may guess it (RFC 5452): the keys of a hash are random ones.
    let id = (RandomState::new().hash_one(0) & 0xffff) as u16;
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(name, family.asked(), QCLASS::CLASS(CLASS::IN), false));
    Some((id, packet.build_bytes_vec().ok()?))
}

/// What a message says to the question of this number; none where it is no answer to that.
pub(super) fn reply(message: &[u8], id: u16, name: &str, family: Family) -> Option<Reply> {
    let packet = Packet::parse(message).ok()?;
    let asked = packet.questions.first()?;
    let is_mine = packet.id() == id
        && packet.has_flags(PacketFlag::RESPONSE)
        && asked.qtype == family.asked()
        && same(&asked.qname, name);
    if !is_mine {
        return None;
    }
    Some(match packet.rcode() {
        // Also those of other names, where one stands for another (CNAME).
        RCODE::NoError => Reply::Addresses(packet.answers.iter().filter_map(address).collect()),
        RCODE::NameError => Reply::NoSuchName,
        other => Reply::Refused(format!("it answers with {other:?}")),
    })
}

fn address(record: &ResourceRecord<'_>) -> Option<IpAddr> {
    match &record.rdata {
        RData::A(A { address }) => Some(Ipv4Addr::from(*address).into()),
        RData::AAAA(AAAA { address }) => Some(Ipv6Addr::from(*address).into()),
        _ => None,
    }
}

/// What a server that knows these names says to a message; nothing to what is no question.
pub(super) fn answer(message: &[u8], names: &Names) -> Option<Vec<u8>> {
    let asked = Packet::parse(message).ok().filter(|packet| !packet.has_flags(PacketFlag::RESPONSE))?;
    let mut packet = Packet::new_reply(asked.id());
    packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    if asked.has_flags(PacketFlag::RECURSION_DESIRED) {
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    packet.questions = asked.questions.iter().take(1).cloned().collect();
    match asked.questions.first() {
        _ if asked.opcode() != OPCODE::StandardQuery => *packet.rcode_mut() = RCODE::NotImplemented,
        None => *packet.rcode_mut() = RCODE::FormatError,
        Some(question) => match names.iter().find(|(name, _)| same(&question.qname, name)) {
            None => *packet.rcode_mut() = RCODE::NameError,
            // Nothing of the type that was asked for is an answer as well: no error, and no record.
            Some((_, address)) => packet.answers.extend(record(question, *address)),
        },
    }
    packet.build_bytes_vec().ok()
}

/// The record of an address, where the question is for those of its family.
fn record<'a>(question: &Question<'a>, address: IpAddr) -> Option<ResourceRecord<'a>> {
    let data = match address {
        IpAddr::V4(ip) => RData::A(A { address: ip.into() }),
        IpAddr::V6(ip) => RData::AAAA(AAAA { address: ip.into() }),
    };
    let record = ResourceRecord::new(question.qname.clone(), CLASS::IN, TTL, data);
    (record.match_qtype(question.qtype) && record.match_qclass(question.qclass)).then_some(record)
}

/// Names are the same in capitals and small letters, and with a dot at their end (RFC 4343).
fn same(one: &Name<'_>, other: &str) -> bool {
    one.to_string().trim_end_matches('.').eq_ignore_ascii_case(other.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> Names {
        [
            ("db".to_owned(), "10.0.0.3".parse().expect("an address")),
            ("six.lab".to_owned(), "fd00::6".parse().expect("an address")),
        ]
        .into()
    }

    /// What comes of a question.
    fn asked(name: &str, family: Family) -> Option<Reply> {
        let (id, question) = question(name, family)?;
        let said = answer(&question, &names())?;
        assert_eq!(reply(&said, id ^ 1, name, family), None, "of another question");
        assert_eq!(reply(&question, id, name, family), None, "a question is no answer");
        reply(&said, id, name, family)
    }

    #[test]
    fn a_name_has_the_addresses_of_its_family() {
        let found = |ip: &str| Some(Reply::Addresses(vec![ip.parse().expect("an address")]));
        assert_eq!(asked("db", Family::V4), found("10.0.0.3"));
        assert_eq!(asked("DB.", Family::V4), found("10.0.0.3"));
        assert_eq!(asked("six.lab", Family::V6), found("fd00::6"));
        assert_eq!(asked("db", Family::V6), Some(Reply::Addresses(Vec::new())), "it is there, and has none");
        for none in ["web", "six", "db.lab"] {
            assert_eq!(asked(none, Family::V4), Some(Reply::NoSuchName), "{none}");
        }
        for no_name in ["", ".", &"x".repeat(64), &"x.".repeat(200)] {
            assert_eq!(asked(no_name, Family::V4), None, "{no_name}");
        }
    }

    /// Header of a message with one question, whose name is these bytes.
    fn with_name(name: &[u8]) -> Vec<u8> {
        let header = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        [&header[..], name, &[0, 1, 0, 1]].concat()
    }

    #[test]
    fn what_is_malformed_is_no_question_and_no_answer() {
        assert!(answer(&with_name(&[2, b'd', b'b', 0]), &names()).is_some(), "this is one");
        for (what, name) in [
            ("a pointer to itself", &[0xc0, 12][..]),
            ("two pointers to each other", &[0xc0, 14, 0xc0, 12]),
            ("a name that ends in its own beginning", &[2, b'd', b'b', 0xc0, 12]),
            ("a pointer beyond the end", &[0xff, 0xff]),
            ("a label longer than the message", &[63, b'x']),
        ] {
            let message = with_name(name);
            assert_eq!(answer(&message, &names()), None, "{what}");
            assert_eq!(reply(&message, 0x1234, "db", Family::V4), None, "{what}");
        }
        let whole = question("db", Family::V4).expect("a question").1;
        for length in 0..whole.len() {
            assert_eq!(answer(&whole[..length], &names()), None, "cut at {length}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (answer(&bytes, &names()), reply(&bytes, 7, "db", Family::V4));
        }

        #[test]
        fn nor_does_a_question_with_other_bytes_in_it(at in 0..32_usize, byte: u8) {
            let (id, mut message) = question("six.lab", Family::V6).expect("a question");
            if let Some(one) = message.get_mut(at) {
                *one = byte;
            }
            let said = answer(&message, &names());
            let _ = said.map(|said| reply(&said, id, "six.lab", Family::V6));
        }
    }
}

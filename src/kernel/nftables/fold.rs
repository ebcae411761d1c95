//! From the kernel's instructions back to statements, as nft(8) reads them: what one statement takes for granted is not told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Family;
use super::compile::{ipproto, nfproto};
use super::expression::{self as nf, Expression};
use super::statement::{AddressKind, CtKey, End, Network, Statement, Transport, Version, Way};

/// The statements of a rule in a table of this family.
pub(super) fn fold(expressions: &[Expression], family: Family) -> Vec<Statement> {
    let mut folder = Folder { family, version: family.version(), transport: None, granted: [None; 2], out: Vec::new() };
    let mut rest = expressions;
    while let Some((first, behind)) = rest.split_first() {
        let taken = folder.matched(rest).or_else(|| folder.nat(rest));
        rest = match taken {
            Some(count) => rest.get(count..).unwrap_or_default(),
            None => {
                folder.alone(first);
                behind
            }
        };
    }
    folder.out
}

/// A rule being read.
struct Folder {
    family: Family,
    /// What the rule, up to here, has made sure of.
    version: Option<Version>,
    transport: Option<Transport>,
    /// Where in `out` version and protocol are asked for. The question is not told if the next statement takes it for granted, or one
    /// with only other questions between them.
    granted: [Option<usize>; 2],
    out: Vec<Statement>,
}

/// The places in [`Folder::granted`].
const VERSION: usize = 0;
const TRANSPORT: usize = 1;

/// A question: what was loaded, which bits of it count, and what it is compared with.
struct Question<'a> {
    load: &'a Expression,
    mask: Option<&'a [u8]>,
    not: bool,
    data: &'a [u8],
}

impl Folder {
    /// Reads a question at the beginning; how many instructions it took.
    fn matched(&mut self, rest: &[Expression]) -> Option<usize> {
        let (load, register) = match rest.first()? {
            load @ (Expression::Payload { register, .. }
            | Expression::Meta { register, .. }
            | Expression::Ct { register, .. }
            | Expression::Fib { register, .. }) => (load, *register),
            _ => return None,
        };
        let (mask, at) = match rest.get(1)? {
            Expression::Mask { source, register: to, mask } if *source == register && *to == register => {
                (Some(mask.as_slice()), 2)
            }
            _ => (None, 1),
        };
        let Expression::Cmp { register: compared, not, data } = rest.get(at)? else { return None };
        if *compared != register {
            return None;
        }
        let statement = self.question(&Question { load, mask, not: *not, data })?;
        match &statement {
            Statement::NfProto(version) => {
                self.version = Some(*version);
                self.granted[VERSION] = Some(self.out.len());
            }
            Statement::L4Proto(transport) => {
                self.transport = Some(*transport);
                self.granted[TRANSPORT] = Some(self.out.len());
            }
            Statement::Address { .. } => self.take_for_granted(VERSION),
            Statement::Port { .. } => self.take_for_granted(TRANSPORT),
            _ => {}
        }
        self.out.push(statement);
        Some(at + 1)
    }

    /// Takes the question away that a statement takes for granted.
    fn take_for_granted(&mut self, which: usize) {
        let Some(at) = self.granted[which].take() else { return };
        if at < self.out.len() {
            self.out.remove(at);
        }
        // The other one may have stood behind it.
        for other in self.granted.iter_mut().flatten().filter(|other| **other > at) {
            *other -= 1;
        }
    }

    fn question(&self, question: &Question<'_>) -> Option<Statement> {
        let Question { load, mask, not, data } = *question;
        let statement = match (load, mask) {
            (Expression::Meta { key: nf::NFPROTO, .. }, None) if !not => {
                let version = [Version::Ip, Version::Ip6].into_iter().find(|it| [nfproto(*it)] == data)?;
                Statement::NfProto(version)
            }
            (Expression::Meta { key: nf::L4PROTO, .. }, None) if !not => {
                let transport = [Transport::Tcp, Transport::Udp].into_iter().find(|it| [ipproto(*it)] == data)?;
                Statement::L4Proto(transport)
            }
            (Expression::Meta { key, .. }, None) => {
                let way = match *key {
                    nf::IIFNAME => Way::In,
                    nf::OIFNAME => Way::Out,
                    _ => return None,
                };
                Statement::LinkName { way, not, name: link_name(data)? }
            }
            (Expression::Payload { base: nf::NETWORK, offset, len, .. }, mask) => {
                let (end, network) = address(self.version?, *offset, *len, mask, data)?;
                Statement::Address { end, not, network }
            }
            (Expression::Payload { base: nf::TRANSPORT, offset, len: 2, .. }, None) => {
                let end = match *offset {
                    0 => End::Source,
                    2 => End::Destination,
                    _ => return None,
                };
                let port = u16::from_be_bytes(data.try_into().ok()?);
                Statement::Port { transport: self.transport?, end, not, port }
            }
            (Expression::Fib { flags, result: nf::FIB_ADDRTYPE, .. }, None) => {
                let end = match *flags {
                    nf::FIB_SADDR => End::Source,
                    nf::FIB_DADDR => End::Destination,
                    _ => return None,
                };
                Statement::Fib { end, not, kind: AddressKind(host(data)?) }
            }
            (Expression::Ct { key, .. }, mask) => {
                let key = match *key {
                    nf::CT_STATE => CtKey::State,
                    nf::CT_STATUS => CtKey::Status,
                    _ => return None,
                };
                match (mask, not, host(data)?) {
                    (Some(mask), true, 0) => Statement::Ct { key, not: false, bits: host(mask)? },
                    (None, true, bits) => Statement::Ct { key, not: true, bits },
                    _ => return None,
                }
            }
            _ => return None,
        };
        Some(statement)
    }

    /// Reads a change of addresses at the beginning: constants, and then the instruction that takes them.
    fn nat(&mut self, rest: &[Expression]) -> Option<usize> {
        let constants = rest.iter().take_while(|it| matches!(it, Expression::Immediate { .. })).count();
        let Expression::Nat { kind, family, address, port } = rest.get(constants)? else { return None };
        let constant = |wanted: u32| {
            rest[..constants].iter().rev().find_map(|it| match it {
                Expression::Immediate { register, data } if *register == wanted => Some(data.as_slice()),
                _ => None,
            })
        };
        if constants != 1 + usize::from(port.is_some()) {
            return None;
        }
        let own = [Version::Ip, Version::Ip6].into_iter().find(|it| nfproto(*it) == *family)?;
        let to = ip(own, constant(*address)?)?;
        let port = match port {
            Some(register) => Some(u16::from_be_bytes(constant(*register)?.try_into().ok()?)),
            None => None,
        };
        let end = if *kind == nf::SNAT { End::Source } else { End::Destination };
        let version = (self.family == Family::Inet).then_some(own);
        self.told(Statement::Nat { end, version, to, port });
        Some(constants + 1)
    }

    /// Reads one instruction that stands by itself.
    fn alone(&mut self, expression: &Expression) {
        let statement = match expression {
            Expression::Counter { packets, bytes } => Statement::Counter { packets: *packets, bytes: *bytes },
            Expression::Masq => Statement::Masquerade,
            Expression::Verdict { code, chain } => match (*code, chain) {
                (nf::NF_ACCEPT, _) => Statement::Accept,
                (nf::NF_DROP, _) => Statement::Drop,
                (nf::NFT_RETURN, _) => Statement::Return,
                (nf::NFT_JUMP, Some(chain)) => Statement::Jump(chain.clone()),
                (nf::NFT_GOTO, Some(chain)) => Statement::Goto(chain.clone()),
                _ => Statement::Other("verdict".to_owned()),
            },
            Expression::Reject { kind, code } => self.reject(*kind, *code),
            Expression::Payload { .. } => Statement::Other("payload".to_owned()),
            Expression::Meta { .. } => Statement::Other("meta".to_owned()),
            Expression::Ct { .. } => Statement::Other("ct".to_owned()),
            Expression::Fib { .. } => Statement::Other("fib".to_owned()),
            Expression::Mask { .. } => Statement::Other("bitwise".to_owned()),
            Expression::Cmp { .. } => Statement::Other("cmp".to_owned()),
            Expression::Immediate { .. } => Statement::Other("immediate".to_owned()),
            Expression::Nat { .. } => Statement::Other("nat".to_owned()),
            Expression::Other(name) => Statement::Other(name.clone()),
        };
        // Whose ICMP it is takes the version for granted, as an address does.
        if let Statement::Reject { version: Some(_) } = statement {
            self.take_for_granted(VERSION);
        }
        self.told(statement);
    }

    fn reject(&self, kind: u32, code: u8) -> Statement {
        let [icmp, icmpv6, icmpx] = nf::PORT_UNREACH;
        let is_inet = self.family == Family::Inet;
        match (kind, self.version) {
            (nf::ICMP_UNREACH, Some(version)) if code == if version == Version::Ip { icmp } else { icmpv6 } => {
                Statement::Reject { version: is_inet.then_some(version) }
            }
            (nf::ICMPX_UNREACH, None) if code == icmpx => Statement::Reject { version: None },
            _ => Statement::Other("reject".to_owned()),
        }
    }

    /// Adds what is no question: whatever was asked before it is told.
    fn told(&mut self, statement: Statement) {
        self.granted = [None; 2];
        self.out.push(statement);
    }
}

/// The name of a link: 16 bytes with NULs at their end, or fewer, and then any characters may follow.
fn link_name(data: &[u8]) -> Option<String> {
    let name = data.split(|byte| *byte == 0).next().unwrap_or_default();
    if data[name.len()..].iter().any(|byte| *byte != 0) || name.is_empty() {
        return None;
    }
    let text = match std::str::from_utf8(name) {
        Ok(text) => text.to_owned(),
        Err(_) => name.escape_ascii().to_string(),
    };
    match (data.len(), name.len()) {
        // As nft(8) tells a name that really ends so from one that any characters may follow.
        (16, length) if length < 16 && text.ends_with('*') => Some(text.replace('*', "\\*")),
        (16, length) if length < 16 => Some(text),
        (all, length) if all == length && length < 15 => Some(text + "*"),
        _ => None,
    }
}

/// An address from the header of a packet, with what of it counts.
fn address(version: Version, offset: u32, len: u32, mask: Option<&[u8]>, data: &[u8]) -> Option<(End, Network)> {
    let (source, destination, length) = match version {
        Version::Ip => (12, 16, 4_usize),
        Version::Ip6 => (8, 24, 16),
    };
    let end = match offset {
        it if it == source => End::Source,
        it if it == destination => End::Destination,
        _ => return None,
    };
    let taken = usize::try_from(len).ok()?;
    if taken == 0 || taken > length || data.len() != taken {
        return None;
    }
    let prefix = match mask {
        None => taken * 8,
        Some(mask) if mask.len() == length && taken == length => {
            let ones = |byte: &u8| byte.leading_ones() as usize;
            let whole = mask.iter().take_while(|byte| **byte == u8::MAX).count();
            let prefix = whole * 8 + mask.get(whole).map_or(0, ones);
            let is_prefix = mask.iter().map(|byte| byte.count_ones() as usize).sum::<usize>() == prefix;
            is_prefix.then_some(prefix)?
        }
        Some(_) => return None,
    };
    let mut all = data.to_vec();
    all.resize(length, 0);
    let address = ip(version, &all)?;
    let network = Network::new(address, u8::try_from(prefix).ok()?)?;
    // What does not count has to be 0, or else no packet would do.
    (network.ip() == address).then_some((end, network))
}

fn ip(version: Version, bytes: &[u8]) -> Option<IpAddr> {
    match version {
        Version::Ip => <[u8; 4]>::try_from(bytes).ok().map(|it| Ipv4Addr::from(it).into()),
        Version::Ip6 => <[u8; 16]>::try_from(bytes).ok().map(|it| Ipv6Addr::from(it).into()),
    }
}

/// A number in the order of this machine's bytes.
fn host(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

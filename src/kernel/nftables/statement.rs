//! A rule, statement by statement, in the words of nft(8) as `nft list ruleset` prints them.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A rule of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The number by which the kernel knows it in its table; 0 where it was not read from there.
    pub handle: u64,
    /// What it asks and does, in order.
    pub statements: Vec<Statement>,
    /// What somebody has noted beside it.
    pub comment: Option<String>,
}

/// One thing that a rule asks of a packet or does with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statement {
    /// An address of the packet: `ip saddr != 10.0.0.0/8`, `ip6 daddr fd00::1`.
    Address {
        /// Which of its two.
        end: End,
        /// Whether it has to be another one.
        not: bool,
        /// The address, or the network.
        network: Network,
    },
    /// The link that it came by or leaves by: `oifname != "br0"`. A `*` at the end stands for any characters.
    LinkName {
        /// Which of the two.
        way: Way,
        /// Whether it has to be another one.
        not: bool,
        /// Its name.
        name: String,
    },
    /// A port: `tcp dport 80`.
    Port {
        /// Of which protocol.
        transport: Transport,
        /// Which of its two.
        end: End,
        /// Whether it has to be another one.
        not: bool,
        /// The number.
        port: u16,
    },
    /// What kind of address it is here: `fib daddr type local`.
    Fib {
        /// Which address of the packet.
        end: End,
        /// Whether it has to be of another kind.
        not: bool,
        /// As routes of that kind are called.
        kind: AddressKind,
    },
    /// What is known of its connection: `ct state established,related`, `ct status dnat`.
    Ct {
        /// What is asked.
        key: CtKey,
        /// Whether it has to be different.
        not: bool,
        /// One bit for each word; any of them will do.
        bits: u32,
    },
    /// `meta l4proto tcp`.
    L4Proto(Transport),
    /// `meta nfproto ipv4`.
    NfProto(Version),
    /// Count the packets that come this far: `counter packets 1 bytes 60`.
    Counter {
        /// How many.
        packets: u64,
        /// How many bytes they had.
        bytes: u64,
    },
    /// Let it pass.
    Accept,
    /// Make it disappear.
    Drop,
    /// Make it disappear, and tell the sender that nobody is at that port.
    Reject {
        /// By which version's ICMP, where that is said: in a table for both.
        version: Option<Version>,
    },
    /// Go on behind the rule that led to this chain.
    Return,
    /// Ask the rules of another chain, and come back.
    Jump(String),
    /// Ask the rules of another chain.
    Goto(String),
    /// Give it the address of the link by which it leaves as its source.
    Masquerade,
    /// Give it another address: `dnat to 10.0.0.2:80`, `snat to 192.0.2.1`.
    Nat {
        /// Which of its two: `saddr` is `snat`.
        end: End,
        /// The version, where it is said: in a table for both.
        version: Option<Version>,
        /// The new address.
        to: IpAddr,
        /// The new port.
        port: Option<u16>,
    },
    /// What is not known here: the kernel's name for it.
    Other(String),
}

/// Source or destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// `saddr`, `sport`, `snat`.
    Source,
    /// `daddr`, `dport`, `dnat`.
    Destination,
}

impl End {
    /// The letter with which the words of nft(8) begin.
    fn letter(self) -> char {
        match self {
            Self::Source => 's',
            Self::Destination => 'd',
        }
    }
}

/// In or out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// `iifname`.
    In,
    /// `oifname`.
    Out,
}

/// A protocol with ports, by its number (protocols(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Number 6.
    Tcp,
    /// Number 17.
    Udp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A version of the Internet Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Version {
    /// `ip`.
    Ip,
    /// `ip6`.
    Ip6,
}

impl Version {
    /// That of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ip } else { Self::Ip6 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
        })
    }
}

/// An address, or a network: an address with the number of bits that count. Those that do not are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    ip: IpAddr,
    prefix: u8,
}

impl Network {
    /// None where the address has not so many bits.
    pub fn new(ip: IpAddr, prefix: u8) -> Option<Self> {
        let ip = match ip {
            IpAddr::V4(v4) => {
                let rest = 32_u32.checked_sub(u32::from(prefix))?;
                IpAddr::from((v4.to_bits() & u32::MAX.checked_shl(rest).unwrap_or(0)).to_be_bytes())
            }
            IpAddr::V6(v6) => {
                let rest = 128_u32.checked_sub(u32::from(prefix))?;
                IpAddr::from((v6.to_bits() & u128::MAX.checked_shl(rest).unwrap_or(0)).to_be_bytes())
            }
        };
        Some(Self { ip, prefix })
    }

    /// The address.
    pub fn ip(self) -> IpAddr {
        self.ip
    }

    /// How many bits of it count.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// How many bits it has.
    pub(super) fn bits(self) -> u8 {
        if self.ip.is_ipv4() { 32 } else { 128 }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix == self.bits() {
            true => write!(f, "{}", self.ip),
            false => write!(f, "{}/{}", self.ip, self.prefix),
        }
    }
}

/// Kinds of addresses, as their routes are called; each at the place of its number (`RTN_UNSPEC` …, <linux/rtnetlink.h>).
pub(super) const ADDRESS_KINDS: [&str; 10] = [
    "unspec",
    "unicast",
    "local",
    "broadcast",
    "anycast",
    "multicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
];

/// A kind of address: its number among the kinds of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AddressKind(pub u32);

impl AddressKind {
    /// An address of this network namespace.
    pub const LOCAL: Self = Self(2);
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match usize::try_from(self.0).ok().and_then(|at| ADDRESS_KINDS.get(at)) {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// What can be asked about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CtKey {
    /// How the packet stands to it.
    State,
    /// What has been done to it.
    Status,
}

impl CtKey {
    /// The words for its bits: `NF_CT_STATE_BIT` and `IPS_…` (<linux/netfilter/nf_conntrack_common.h>).
    pub fn words(self) -> &'static [(&'static str, u32)] {
        match self {
            Self::State => &[("invalid", 1), ("established", 2), ("related", 4), ("new", 8), ("untracked", 0x40)],
            Self::Status => &[
                ("expected", 1),
                ("seen-reply", 2),
                ("assured", 4),
                ("confirmed", 8),
                ("snat", 0x10),
                ("dnat", 0x20),
                ("dying", 0x200),
            ],
        }
    }
}

impl fmt::Display for CtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::State => "state",
            Self::Status => "status",
        })
    }
}

impl Rule {
    /// The rule with its counters at zero, without number and comment: what was asked for.
    pub fn bare(&self) -> Self {
        let bare = |statement: &Statement| match statement {
            Statement::Counter { .. } => Statement::Counter { packets: 0, bytes: 0 },
            other => other.clone(),
        };
        Self { handle: 0, statements: self.statements.iter().map(bare).collect(), comment: None }
    }

    /// What its first counter has counted.
    pub fn packets(&self) -> Option<u64> {
        self.statements.iter().find_map(|statement| match statement {
            Statement::Counter { packets, .. } => Some(*packets),
            _ => None,
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, statement) in self.statements.iter().enumerate() {
            write!(f, "{}{statement}", if at == 0 { "" } else { " " })?;
        }
        match &self.comment {
            Some(comment) => write!(f, " comment \"{comment}\""),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let but = |not: &bool| if *not { "!= " } else { "" };
        match self {
            Self::Address { end, not, network } => {
                write!(f, "{} {}addr {}{network}", Version::of(network.ip), end.letter(), but(not))
            }
            Self::LinkName { way, not, name } => {
                let word = if *way == Way::In { "iifname" } else { "oifname" };
                write!(f, "{word} {}\"{name}\"", but(not))
            }
            Self::Port { transport, end, not, port } => {
                write!(f, "{transport} {}port {}{port}", end.letter(), but(not))
            }
            Self::Fib { end, not, kind } => write!(f, "fib {}addr type {}{kind}", end.letter(), but(not)),
            Self::Ct { key, not, bits } => {
                let known = key.words().iter().filter(|(_, bit)| bits & bit != 0);
                let mut words: Vec<String> = known.clone().map(|(word, _)| (*word).to_owned()).collect();
                let rest = bits & !known.fold(0, |all, (_, bit)| all | bit);
                if rest != 0 || words.is_empty() {
                    words.push(format!("{rest:#x}"));
                }
                write!(f, "ct {key} {}{}", but(not), words.join(if *not { " | " } else { "," }))
            }
            Self::L4Proto(transport) => write!(f, "meta l4proto {transport}"),
            Self::NfProto(Version::Ip) => f.write_str("meta nfproto ipv4"),
            Self::NfProto(Version::Ip6) => f.write_str("meta nfproto ipv6"),
            Self::Counter { packets, bytes } => write!(f, "counter packets {packets} bytes {bytes}"),
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Reject { version: None } => f.write_str("reject"),
            Self::Reject { version: Some(Version::Ip) } => f.write_str("reject with icmp port-unreachable"),
            Self::Reject { version: Some(Version::Ip6) } => f.write_str("reject with icmpv6 port-unreachable"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
            Self::Masquerade => f.write_str("masquerade"),
            Self::Nat { end, version, to, port } => {
                let version = version.map(|version| format!("{version} ")).unwrap_or_default();
                write!(f, "{}nat {version}to ", end.letter())?;
                match (to, port) {
                    (IpAddr::V6(to), Some(port)) => write!(f, "[{to}]:{port}"),
                    (to, Some(port)) => write!(f, "{to}:{port}"),
                    (to, None) => write!(f, "{to}"),
                }
            }
            Self::Other(name) => write!(f, "[{name}]"),
        }
    }
}

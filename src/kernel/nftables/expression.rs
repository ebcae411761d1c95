//! What the kernel knows a rule as: a program of small instructions on registers (<linux/netfilter/nf_tables.h>).

use std::fmt;

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// Bytes of the packet.
    Payload { base: u32, offset: u32, len: u32, register: u32 },
    /// What the kernel knows of the packet.
    Meta { key: u32, register: u32 },
    /// What it knows of its connection.
    Ct { key: u32, register: u32 },
    /// What the routes say.
    Fib { flags: u32, result: u32, register: u32 },
    /// `register = (source & mask) ^ 0`.
    Mask { source: u32, register: u32, mask: Vec<u8> },
    /// The rule goes on only if the comparison holds.
    Cmp { register: u32, not: bool, data: Vec<u8> },
    /// A constant.
    Immediate { register: u32, data: Vec<u8> },
    /// A verdict, with the chain of `jump` and `goto`.
    Verdict { code: u32, chain: Option<String> },
    /// A counter.
    Counter { packets: u64, bytes: u64 },
    /// `masquerade`.
    Masq,
    /// Another address, and maybe another port: each from a register.
    Nat { kind: u32, family: u8, address: u32, port: Option<u32> },
    /// An answer that refuses.
    Reject { kind: u32, code: u8 },
    /// Another one, or one of these with more to it than is known here: its name.
    Other(String),
}

/// `NFT_REG_1`: all that is compared goes through it.
pub(super) const FIRST: u32 = 1;
/// `NFT_REG_2`.
pub(super) const SECOND: u32 = 2;

/// `NFT_PAYLOAD_NETWORK_HEADER`.
pub(super) const NETWORK: u32 = 1;
/// `NFT_PAYLOAD_TRANSPORT_HEADER`.
pub(super) const TRANSPORT: u32 = 2;

/// `NFT_META_IIFNAME`.
pub(super) const IIFNAME: u32 = 6;
/// `NFT_META_OIFNAME`.
pub(super) const OIFNAME: u32 = 7;
/// `NFT_META_NFPROTO`.
pub(super) const NFPROTO: u32 = 15;
/// `NFT_META_L4PROTO`.
pub(super) const L4PROTO: u32 = 16;

/// `NFT_CT_STATE`.
pub(super) const CT_STATE: u32 = 0;
/// `NFT_CT_STATUS`.
pub(super) const CT_STATUS: u32 = 2;

/// `NFTA_FIB_F_SADDR`.
pub(super) const FIB_SADDR: u32 = 1;
/// `NFTA_FIB_F_DADDR`.
pub(super) const FIB_DADDR: u32 = 2;
/// `NFT_FIB_RESULT_ADDRTYPE`.
pub(super) const FIB_ADDRTYPE: u32 = 3;

/// `NF_DROP`.
pub(super) const NF_DROP: u32 = 0;
/// `NF_ACCEPT`.
pub(super) const NF_ACCEPT: u32 = 1;
/// `NFT_JUMP`.
pub(super) const NFT_JUMP: u32 = -3_i32 as u32;
/// `NFT_GOTO`.
pub(super) const NFT_GOTO: u32 = -4_i32 as u32;
/// `NFT_RETURN`.
pub(super) const NFT_RETURN: u32 = -5_i32 as u32;

/// `NFT_NAT_SNAT`.
pub(super) const SNAT: u32 = 0;
/// `NFT_NAT_DNAT`.
pub(super) const DNAT: u32 = 1;

/// `NFT_REJECT_ICMP_UNREACH`.
pub(super) const ICMP_UNREACH: u32 = 0;
/// `NFT_REJECT_ICMPX_UNREACH`.
pub(super) const ICMPX_UNREACH: u32 = 2;
/// `ICMP_PORT_UNREACH`, `ICMPV6_PORT_UNREACH` and `NFT_REJECT_ICMPX_PORT_UNREACH`.
pub(super) const PORT_UNREACH: [u8; 3] = [3, 4, 1];

impl fmt::Display for Expression {
    /// In short words, for the trace.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Payload { base, offset, len, .. } => {
                let base = match *base {
                    NETWORK => "network".to_owned(),
                    TRANSPORT => "transport".to_owned(),
                    other => other.to_string(),
                };
                write!(f, "payload({base}+{offset}, {len})")
            }
            Self::Meta { key, .. } => match *key {
                IIFNAME => f.write_str("meta(IIFNAME)"),
                OIFNAME => f.write_str("meta(OIFNAME)"),
                NFPROTO => f.write_str("meta(NFPROTO)"),
                L4PROTO => f.write_str("meta(L4PROTO)"),
                other => write!(f, "meta({other})"),
            },
            Self::Ct { key: CT_STATE, .. } => f.write_str("ct(STATE)"),
            Self::Ct { key: CT_STATUS, .. } => f.write_str("ct(STATUS)"),
            Self::Ct { key, .. } => write!(f, "ct({key})"),
            Self::Fib { flags: FIB_DADDR, result: FIB_ADDRTYPE, .. } => f.write_str("fib(DADDR, ADDRTYPE)"),
            Self::Fib { flags: FIB_SADDR, result: FIB_ADDRTYPE, .. } => f.write_str("fib(SADDR, ADDRTYPE)"),
            Self::Fib { flags, result, .. } => write!(f, "fib({flags:#x}, {result})"),
            Self::Mask { mask, .. } => write!(f, "bitwise(& {})", bytes(mask)),
            Self::Cmp { not, data, .. } => write!(f, "cmp({} {})", if *not { "NEQ" } else { "EQ" }, bytes(data)),
            Self::Immediate { register, data } => write!(f, "immediate(reg {register}, {})", bytes(data)),
            Self::Verdict { code, chain } => {
                let chain = chain.as_ref().map(|chain| format!(" {chain:?}")).unwrap_or_default();
                let name = match *code {
                    NF_DROP => "NF_DROP".to_owned(),
                    NF_ACCEPT => "NF_ACCEPT".to_owned(),
                    NFT_JUMP => "NFT_JUMP".to_owned(),
                    NFT_GOTO => "NFT_GOTO".to_owned(),
                    NFT_RETURN => "NFT_RETURN".to_owned(),
                    other => other.cast_signed().to_string(),
                };
                write!(f, "verdict({name}{chain})")
            }
            Self::Counter { .. } => f.write_str("counter"),
            Self::Masq => f.write_str("masq"),
            Self::Nat { kind, address, port, .. } => {
                let kind = if *kind == SNAT { "SNAT" } else { "DNAT" };
                let port = port.map(|port| format!(", port reg {port}")).unwrap_or_default();
                write!(f, "nat({kind}, address reg {address}{port})")
            }
            Self::Reject { .. } => f.write_str("reject"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// A name where it is one that the kernel has padded to the length of a link's, or else a number in hexadecimal, in the order of
/// its bytes.
fn bytes(data: &[u8]) -> String {
    let name = data.split(|byte| *byte == 0).next().unwrap_or_default();
    let is_name = data.len() == 16 && !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(name) {
        Ok(name) if is_name && data[name.len()..].iter().all(|byte| *byte == 0) => format!("{name:?}"),
        _ => data.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
    }
}

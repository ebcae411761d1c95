//! From statements to the kernel's instructions, as nft(8) makes them: what a statement takes for granted is asked before it.

use std::net::IpAddr;

use super::Family;
use super::expression::{self as nf, Expression, FIRST, SECOND};
use super::fold::fold;
use super::statement::{CtKey, End, Network, Rule, Statement, Transport, Version, Way};

impl Rule {
    /// What nft(8) would say against it in a table of this family: an address of the wrong version, a port without a protocol, two
    /// protocols. None where there is nothing to say.
    pub fn fault(&self, family: Family) -> Option<String> {
        self.compiled(family).fault
    }

    /// The rule as it is read back from a table of this family.
    pub fn canonical(&self, family: Family) -> Self {
        Self { statements: fold(&self.compile(family), family), ..self.clone() }
    }

    /// The instructions for it in a table of this family. Where there is a fault, they say what the rule says, and the kernel decides.
    pub(super) fn compile(&self, family: Family) -> Vec<Expression> {
        self.compiled(family).out
    }

    fn compiled(&self, family: Family) -> Compiler {
        let (version, transport, fault) = (family.version(), None, None);
        let mut compiler = Compiler { family, version, transport, fault, out: Vec::new() };
        for statement in &self.statements {
            compiler.add(statement);
        }
        compiler
    }
}

/// A rule in the making.
struct Compiler {
    family: Family,
    /// What the rule, up to here, has made sure of.
    version: Option<Version>,
    transport: Option<Transport>,
    /// What is wrong first.
    fault: Option<String>,
    out: Vec<Expression>,
}

impl Compiler {
    fn add(&mut self, statement: &Statement) {
        match statement {
            Statement::Address { end, not, network } => self.address(*end, *not, *network),
            Statement::LinkName { way, not, name } => {
                let key = if *way == Way::In { nf::IIFNAME } else { nf::OIFNAME };
                let data = match name.strip_suffix('*') {
                    Some(stem) => stem.as_bytes().to_vec(),
                    None => padded(name.as_bytes()),
                };
                self.out.push(Expression::Meta { key, register: FIRST });
                self.compare(*not, data);
            }
            Statement::Port { transport, end, not, port } => {
                self.transport(*transport);
                let offset = if *end == End::Source { 0 } else { 2 };
                self.out.push(Expression::Payload { base: nf::TRANSPORT, offset, len: 2, register: FIRST });
                self.compare(*not, port.to_be_bytes().to_vec());
            }
            Statement::Fib { end, not, kind } => {
                let flags = if *end == End::Source { nf::FIB_SADDR } else { nf::FIB_DADDR };
                self.out.push(Expression::Fib { flags, result: nf::FIB_ADDRTYPE, register: FIRST });
                self.compare(*not, kind.0.to_ne_bytes().to_vec());
            }
            Statement::Ct { key, not, bits } => {
                let key = if *key == CtKey::State { nf::CT_STATE } else { nf::CT_STATUS };
                self.out.push(Expression::Ct { key, register: FIRST });
                match not {
                    true => self.compare(true, bits.to_ne_bytes().to_vec()),
                    // Any of the bits: those that are left are not none.
                    false => {
                        let mask = bits.to_ne_bytes().to_vec();
                        self.out.push(Expression::Mask { source: FIRST, register: FIRST, mask });
                        self.compare(true, vec![0; 4]);
                    }
                }
            }
            Statement::L4Proto(transport) => self.transport(*transport),
            Statement::NfProto(version) => self.version(*version),
            Statement::Counter { packets, bytes } => {
                self.out.push(Expression::Counter { packets: *packets, bytes: *bytes });
            }
            Statement::Accept => self.verdict(nf::NF_ACCEPT, None),
            Statement::Drop => self.verdict(nf::NF_DROP, None),
            Statement::Return => self.verdict(nf::NFT_RETURN, None),
            Statement::Jump(chain) => self.verdict(nf::NFT_JUMP, Some(chain.clone())),
            Statement::Goto(chain) => self.verdict(nf::NFT_GOTO, Some(chain.clone())),
            Statement::Reject { version } => self.reject(*version),
            Statement::Masquerade => self.out.push(Expression::Masq),
            Statement::Nat { end, version, to, port } => self.nat(*end, *version, *to, *port),
            Statement::Other(name) => {
                self.wrong(|| format!("what `{name}` does is not known here"));
                self.out.push(Expression::Other(name.clone()));
            }
        }
    }

    /// Notes what is wrong, where nothing was before.
    fn wrong(&mut self, what: impl FnOnce() -> String) {
        self.fault.get_or_insert_with(what);
    }

    fn address(&mut self, end: End, not: bool, network: Network) {
        self.version(Version::of(network.ip()));
        let (all, source): (Vec<u8>, u32) = match network.ip() {
            IpAddr::V4(v4) => (v4.octets().to_vec(), 12),
            IpAddr::V6(v6) => (v6.octets().to_vec(), 8),
        };
        let (prefix, length) = (usize::from(network.prefix()), all.len());
        let offset = if end == End::Source { source } else { source + number(length) };
        // Whole bytes are compared as they are; a mask is needed where a byte counts in part, or none does.
        let taken = if prefix.is_multiple_of(8) && prefix != 0 { prefix / 8 } else { length };
        self.out.push(Expression::Payload { base: nf::NETWORK, offset, len: number(taken), register: FIRST });
        if taken * 8 != prefix {
            let bits = |at: usize| match prefix.saturating_sub(at * 8).min(8) {
                0 => 0,
                count => u8::MAX << (8 - count),
            };
            let mask = (0..length).map(bits).collect();
            self.out.push(Expression::Mask { source: FIRST, register: FIRST, mask });
        }
        self.compare(not, all[..taken].to_vec());
    }

    fn reject(&mut self, version: Option<Version>) {
        let [icmp, icmpv6, icmpx] = nf::PORT_UNREACH;
        if let Some(version) = version {
            self.version(version);
        }
        let (kind, code) = match self.version {
            Some(Version::Ip) => (nf::ICMP_UNREACH, icmp),
            Some(Version::Ip6) => (nf::ICMP_UNREACH, icmpv6),
            None => (nf::ICMPX_UNREACH, icmpx),
        };
        self.out.push(Expression::Reject { kind, code });
    }

    fn nat(&mut self, end: End, version: Option<Version>, to: IpAddr, port: Option<u16>) {
        let own = Version::of(to);
        if [version, self.version].iter().flatten().any(|known| *known != own) {
            self.wrong(|| format!("{to} is no address that packets here can have"));
        }
        if self.family == Family::Inet && version.is_none() && self.version.is_none() {
            self.wrong(|| format!("in a table of the family inet it has to be said which packets: `{own} to {to}`"));
        }
        if port.is_some() && self.transport.is_none() {
            self.wrong(|| "a port is given to packets of a protocol only: write `tcp dport 80` before it".to_owned());
        }
        let address = match to {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        self.out.push(Expression::Immediate { register: FIRST, data: address });
        if let Some(port) = port {
            self.out.push(Expression::Immediate { register: SECOND, data: port.to_be_bytes().to_vec() });
        }
        let kind = if end == End::Source { nf::SNAT } else { nf::DNAT };
        self.out.push(Expression::Nat { kind, family: nfproto(own), address: FIRST, port: port.map(|_| SECOND) });
    }

    /// Sees to it that only packets of this version come further.
    fn version(&mut self, version: Version) {
        match self.version {
            Some(known) if known == version => return,
            Some(known) => self.wrong(|| format!("packets of {known} come here, and none of {version}")),
            None => {}
        }
        self.out.push(Expression::Meta { key: nf::NFPROTO, register: FIRST });
        self.compare(false, vec![nfproto(version)]);
        self.version = Some(version);
    }

    /// Sees to it that only packets of this protocol come further.
    fn transport(&mut self, transport: Transport) {
        match self.transport {
            Some(known) if known == transport => return,
            Some(known) => self.wrong(|| format!("packets of {known} come that far, and none of {transport}")),
            None => {}
        }
        self.out.push(Expression::Meta { key: nf::L4PROTO, register: FIRST });
        self.compare(false, vec![ipproto(transport)]);
        self.transport = Some(transport);
    }

    fn compare(&mut self, not: bool, data: Vec<u8>) {
        self.out.push(Expression::Cmp { register: FIRST, not, data });
    }

    fn verdict(&mut self, code: u32, chain: Option<String>) {
        self.out.push(Expression::Verdict { code, chain });
    }
}

/// `NFPROTO_IPV4`, `NFPROTO_IPV6` (<linux/netfilter.h>).
pub(super) fn nfproto(version: Version) -> u8 {
    match version {
        Version::Ip => 2,
        Version::Ip6 => 10,
    }
}

/// `IPPROTO_TCP`, `IPPROTO_UDP`.
pub(super) fn ipproto(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp => 6,
        Transport::Udp => 17,
    }
}

/// The name of a link as the kernel compares it: all 16 bytes (`IFNAMSIZ`).
fn padded(name: &[u8]) -> Vec<u8> {
    let mut name = name.to_vec();
    name.resize(16, 0);
    name
}

/// A length of at most 16 bytes.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

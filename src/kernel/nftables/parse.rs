//! A rule as it is written: the words of nft(8).

use std::net::IpAddr;
use std::str::FromStr;

use super::statement::{ADDRESS_KINDS, AddressKind, CtKey, End, Network, Rule, Statement, Transport, Version, Way};

impl FromStr for Rule {
    type Err = String;

    /// Reads a rule: `ip saddr 10.0.0.0/24 oifname != "br0" counter masquerade`. Of nft(8)'s language it is what [`Statement`] has.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = Words { all: split(text)?, at: 0 };
        let (mut statements, mut comment) = (Vec::new(), None);
        while let Some(word) = words.next() {
            if let Word::Plain("comment") = word {
                comment = Some(words.text("a comment")?.to_owned());
                break;
            }
            if statements.last().is_some_and(is_last) {
                return Err(format!("nothing can stand behind the verdict, and `{}` does", word.text()));
            }
            statements.push(words.statement(word)?);
        }
        match words.next() {
            Some(word) => Err(format!("`{}` stands behind the end of the rule", word.text())),
            None if statements.is_empty() => Err("it asks nothing and does nothing".to_owned()),
            None => Ok(Self { handle: 0, statements, comment }),
        }
    }
}

/// Whether no statement behind it is ever reached.
fn is_last(statement: &Statement) -> bool {
    use Statement::{Accept, Drop, Goto, Jump, Masquerade, Nat, Reject, Return};
    matches!(statement, Accept | Drop | Reject { .. } | Return | Jump(_) | Goto(_) | Masquerade | Nat { .. })
}

/// A word of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word<'a> {
    Plain(&'a str),
    Quoted(&'a str),
}

impl<'a> Word<'a> {
    fn text(self) -> &'a str {
        match self {
            Self::Plain(text) | Self::Quoted(text) => text,
        }
    }
}

/// Words are separated by white space; `,` and `|` are words by themselves.
fn split(text: &str) -> Result<Vec<Word<'_>>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => {
                let (quoted, behind) = rest[1..].split_once('"').ok_or("a quotation mark has no other one")?;
                words.push(Word::Quoted(quoted));
                rest = behind.trim_start();
                continue;
            }
            ',' | '|' => 1,
            _ => rest.find(|c: char| c.is_whitespace() || "\",|".contains(c)).unwrap_or(rest.len()),
        };
        let (word, behind) = rest.split_at(end);
        words.push(Word::Plain(word));
        rest = behind.trim_start();
    }
    Ok(words)
}

struct Words<'a> {
    all: Vec<Word<'a>>,
    at: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<Word<'a>> {
        let word = self.all.get(self.at).copied();
        self.at += 1;
        word
    }

    /// Takes the next word where it is this one.
    fn takes(&mut self, word: &str) -> bool {
        let is = self.all.get(self.at) == Some(&Word::Plain(word));
        self.at += usize::from(is);
        is
    }

    fn text(&mut self, what: &str) -> Result<&'a str, String> {
        self.next().map(Word::text).ok_or_else(|| format!("it ends where {what} is expected"))
    }

    /// The next word, which has to be one of these.
    fn one_of<T: Copy>(&mut self, words: &[(&str, T)]) -> Result<T, String> {
        let list = || words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
        let next = self.next().ok_or_else(|| format!("it ends where {} is expected", list()))?;
        let found = words.iter().find(|(word, _)| next == Word::Plain(word));
        found
            .map(|(_, it)| *it)
            .ok_or_else(|| format!("`{}` stands where {} is expected", next.text().escape_debug(), list()))
    }

    fn number<T: FromStr>(&mut self, what: &str) -> Result<T, String> {
        let text = self.text(what)?;
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.ok_or_else(|| format!("`{}` is not {what}", text.escape_debug()))
    }

    fn statement(&mut self, first: Word<'a>) -> Result<Statement, String> {
        let Word::Plain(word) = first else {
            return Err(format!("\"{}\" stands where a statement is expected", first.text().escape_debug()));
        };
        let ports = [("sport", End::Source), ("dport", End::Destination)];
        let addresses = [("saddr", End::Source), ("daddr", End::Destination)];
        let transports = [("tcp", Transport::Tcp), ("udp", Transport::Udp)];
        Ok(match word {
            "ip" | "ip6" => {
                let (end, not) = (self.one_of(&addresses)?, self.takes("!="));
                Statement::Address { end, not, network: self.network(word)? }
            }
            "iifname" | "oifname" => {
                let way = if word == "iifname" { Way::In } else { Way::Out };
                Statement::LinkName { way, not: self.takes("!="), name: self.link()? }
            }
            "tcp" | "udp" => {
                let transport = if word == "tcp" { Transport::Tcp } else { Transport::Udp };
                let (end, not) = (self.one_of(&ports)?, self.takes("!="));
                Statement::Port { transport, end, not, port: self.number("the number of a port")? }
            }
            "fib" => {
                let end = self.one_of(&addresses)?;
                self.one_of(&[("type", ())])?;
                let kinds: Vec<_> = (0..).zip(ADDRESS_KINDS).map(|(at, word)| (word, AddressKind(at))).collect();
                Statement::Fib { end, not: self.takes("!="), kind: self.one_of(&kinds)? }
            }
            "ct" => {
                let key = self.one_of(&[("state", CtKey::State), ("status", CtKey::Status)])?;
                let not = self.takes("!=");
                let mut bits = self.one_of(key.words())?;
                while self.takes(if not { "|" } else { "," }) {
                    bits |= self.one_of(key.words())?;
                }
                Statement::Ct { key, not, bits }
            }
            "meta" => match self.one_of(&[("l4proto", true), ("nfproto", false)])? {
                true => Statement::L4Proto(self.one_of(&transports)?),
                false => Statement::NfProto(self.one_of(&[("ipv4", Version::Ip), ("ipv6", Version::Ip6)])?),
            },
            "counter" => match self.takes("packets") {
                true => {
                    let packets = self.number("a number of packets")?;
                    self.one_of(&[("bytes", ())])?;
                    Statement::Counter { packets, bytes: self.number("a number of bytes")? }
                }
                false => Statement::Counter { packets: 0, bytes: 0 },
            },
            "accept" => Statement::Accept,
            "drop" => Statement::Drop,
            "reject" => Statement::Reject {
                version: match self.takes("with") {
                    true => {
                        let version = self.one_of(&[("icmp", Version::Ip), ("icmpv6", Version::Ip6)])?;
                        self.one_of(&[("port-unreachable", ())])?;
                        Some(version)
                    }
                    false => None,
                },
            },
            "return" => Statement::Return,
            "jump" => Statement::Jump(self.chain()?),
            "goto" => Statement::Goto(self.chain()?),
            "masquerade" => Statement::Masquerade,
            "snat" | "dnat" => {
                let end = if word == "snat" { End::Source } else { End::Destination };
                let version = match (self.takes("ip"), self.takes("ip6")) {
                    (true, _) => Some(Version::Ip),
                    (_, true) => Some(Version::Ip6),
                    _ => None,
                };
                self.one_of(&[("to", ())])?;
                let (to, port) = endpoint(self.text("an address")?)?;
                Statement::Nat { end, version, to, port }
            }
            other => return Err(format!("`{}` is no statement that is known here", other.escape_debug())),
        })
    }

    fn network(&mut self, version: &str) -> Result<Network, String> {
        let text = self.text("an address")?;
        let (ip, prefix) = match text.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix)),
            None => (text, None),
        };
        let digits = |text: &str| !text.starts_with('+');
        let network = ip.parse::<IpAddr>().ok().and_then(|ip| {
            let prefix = match prefix {
                Some(prefix) => prefix.parse().ok().filter(|_| digits(prefix))?,
                None if ip.is_ipv4() => 32,
                None => 128,
            };
            Network::new(ip, prefix).filter(|_| Version::of(ip).to_string() == version)
        });
        network.ok_or_else(|| {
            let example = if version == "ip" { "10.0.0.1` or `10.0.0.0/24" } else { "fd00::1` or `fd00::/64" };
            format!("`{}` is no address that `{version}` has, as `{example}`", text.escape_debug())
        })
    }

    fn link(&mut self) -> Result<String, String> {
        let name = self.text("the name of a link")?;
        let stem = name.strip_suffix('*').unwrap_or(name);
        // nft(8) takes a backslash as the beginning of something, and no name has the others (`dev_valid_name` of the kernel).
        let odd = |c: char| c.is_whitespace() || c.is_control() || "\\/:*".contains(c);
        if stem.is_empty() || name.len() > 15 || stem.contains(odd) {
            return Err(format!("\"{}\" can not be the name of a link", name.escape_debug()));
        }
        Ok(name.to_owned())
    }

    fn chain(&mut self) -> Result<String, String> {
        let name = self.text("the name of a chain")?;
        match is_identifier(name) {
            true => Ok(name.to_owned()),
            false => Err(format!("`{}` can not be the name of a chain", name.escape_debug())),
        }
    }
}

/// Whether nft(8) takes this as the name of a table or a chain (its "Lexical conventions"), as far as lessons need it: a letter, then
/// letters, digits and `_`.
pub fn is_identifier(name: &str) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.len() <= 127 && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(rest)
}

/// `10.0.0.1`, `10.0.0.1:80`, `fd00::1`, `[fd00::1]:80`.
fn endpoint(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    let refused = || format!("`{}` is no address, nor one with a port, as `10.0.0.2:80`", text.escape_debug());
    if let Ok(ip) = text.parse() {
        return Ok((ip, None));
    }
    let (ip, port) = text.rsplit_once(':').ok_or_else(refused)?;
    let ip = match ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')) {
        Some(v6) => v6.parse().map(IpAddr::V6),
        None => ip.parse().map(IpAddr::V4),
    };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|port| digits && *port != 0).ok_or_else(refused)?;
    Ok((ip.map_err(|_| refused())?, Some(port)))
}

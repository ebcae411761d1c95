//! Names of hosts: whom to ask, by resolv.conf(5), and asking by DNS (RFC 1035, over UDP); and the smallest server that answers.
//!
//! To the kernel a name means nothing: it sends packets to addresses. So all of this is what the C library of each program does.

mod message;
mod serve;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use self::message::Family;
pub use self::message::Reply;
pub use self::serve::{Names, serve};
use super::errno::Errno;
use super::sys;
use super::trace::{CallError, Trace};

/// Where a program looks for the addresses of name servers.
pub const CONF: &str = "/etc/resolv.conf";

/// The port of name servers.
const PORT: u16 = 53;

/// So many name servers are taken from the file (`MAXNS`).
const MOST_SERVERS: usize = 3;

/// So many packets are looked at for an answer: others are late ones, or none.
const MOST_PACKETS: usize = 8;

/// What somebody has said about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Who.
    pub server: SocketAddr,
    /// What.
    pub reply: Reply,
}

impl Said {
    /// The same for people.
    pub fn words(&self, name: &str) -> String {
        match &self.reply {
            Reply::CanBeNone => format!("'{}' {}", name.escape_debug(), self.reply),
            reply => format!("{} {reply}, says {}", name.escape_debug(), self.server),
        }
    }

    /// The addresses that it has given.
    pub fn addresses(&self) -> &[IpAddr] {
        match &self.reply {
            Reply::Addresses(addresses) => addresses,
            Reply::NoSuchName | Reply::Refused(_) | Reply::CanBeNone => &[],
        }
    }
}

/// Nobody has said anything.
#[derive(Debug)]
pub struct Unanswered {
    /// The server that was asked last; none where the file could not be read.
    pub server: Option<SocketAddr>,
    /// The call that failed.
    pub error: CallError,
}

impl Unanswered {
    /// Why, in words for people.
    pub fn words(&self) -> String {
        let words = match self.error.errno {
            silent if silent == Errno::from(nix::errno::Errno::EAGAIN) => "no answer within a second".to_owned(),
            errno => errno.words(),
        };
        let from = self.server.map_or_else(|| CONF.to_owned(), |server| server.to_string());
        format!("{from}: {words}")
    }
}

/// The name servers of a file as resolv.conf(5) describes it: those of its `nameserver` lines, as far as they are plain addresses. Without
/// one it is the machine itself. The first stands by itself: there always is one.
fn servers(conf: &str) -> (IpAddr, Vec<IpAddr>) {
    let address = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    };
    let mut servers = conf.lines().filter_map(address).take(MOST_SERVERS);
    (servers.next().unwrap_or(Ipv4Addr::LOCALHOST.into()), servers.collect())
}

/// Finds the addresses of a name: asks the servers of this mount namespace's `/etc/resolv.conf`, one after the other, until one answers.
/// Each has a second for each question.
///
/// # Errors
/// That of the last server: `ENETUNREACH` where no route leads to it, `ECONNREFUSED` where nobody has port 53 there, `EAGAIN` where no
/// answer comes. Where the file can not be read, the errno of that; one that is not there is an empty one.
pub fn resolve(trace: &mut Trace, name: &str) -> Result<Said, Unanswered> {
    let conf = match sys::read_file(trace, CONF) {
        Err(error) if error.errno == Errno::from(nix::errno::Errno::ENOENT) => String::new(),
        read => read.map_err(|error| Unanswered { server: None, error })?,
    };
    let (first, others) = servers(&conf);
    let asked = ask(trace, first, name);
    others.into_iter().fold(asked, |before, server| before.or_else(|_| ask(trace, server, name)))
}

/// Asks one server.
fn ask(trace: &mut Trace, server: IpAddr, name: &str) -> Result<Said, Unanswered> {
    let server = SocketAddr::from((server, PORT));
    match addresses(trace, server, name) {
        Ok(reply) => Ok(Said { server, reply }),
        Err(error) => Err(Unanswered { server: Some(server), error }),
    }
}

/// Asks it for the addresses of both families.
fn addresses(trace: &mut Trace, server: SocketAddr, name: &str) -> Result<Reply, CallError> {
    let socket = sys::connect_udp(trace, server)?;
    let mut addresses = Vec::new();
    for family in [Family::V4, Family::V6] {
        match exchange(trace, &socket, name, family)? {
            Reply::Addresses(more) => addresses.extend(more),
            // It is the name that is not known, whatever the family.
            other => return Ok(other),
        }
    }
    Ok(Reply::Addresses(addresses))
}

/// One question, and its answer.
fn exchange(trace: &mut Trace, socket: &OwnedFd, name: &str, family: Family) -> Result<Reply, CallError> {
    let Some((id, question)) = message::question(name, family) else {
        return Ok(Reply::CanBeNone);
    };
    sys::send(trace, socket, &question)?;
    for _ in 0..MOST_PACKETS {
        let packet = sys::receive(trace, socket, message::LONGEST)?;
        if let Some(reply) = message::reply(&packet, id, name, family) {
            return Ok(reply);
        }
    }
    Ok(Reply::Refused("what it sends is no answer".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_the_plain_addresses_of_nameserver_lines() {
        let of = |text: &str| {
            let (first, others) = servers(text);
            [first].into_iter().chain(others).map(|it| it.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            of("search lab\n# nameserver 10.0.0.9\nnameserver 10.0.0.1\nnameserver\tfd00::1 x\n"),
            "10.0.0.1 fd00::1"
        );
        assert_eq!(
            of("nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\nnameserver 4.4.4.4"),
            "1.1.1.1 2.2.2.2 3.3.3.3"
        );
        for none in ["", "nameserver", "nameserver fe80::1%eth0", "nameservers 10.0.0.1", "search lab"] {
            assert_eq!(of(none), "127.0.0.1", "{none}");
        }
    }
}

//! UDP sockets, as rows of the network panel. Those that are connected belong to somebody who asks, and come and go with each question.
//!
//! Read from `/proc/net/udp` (proc_pid_net(5)): sock_diag(7) tells them only where the kernel has another module (CONFIG_INET_UDP_DIAG).

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::Teller;
use crate::kernel::netlink::Link;
use crate::probe::Reading;

/// The state of a socket without a peer (`TCP_CLOSE` of <net/tcp_states.h>).
const UNCONNECTED: &str = "07";

/// The sockets of the network namespace that the calling thread is in, by this `/proc`. Nobody pays for them where there is nothing but a
/// loopback device: the kernel looks through those of the whole machine.
pub(super) fn read(proc: &Path, links: &[Link]) -> Reading<Vec<SocketAddr>> {
    if links.len() <= 1 {
        return Reading::Value(Vec::new());
    }
    let of = |file| fs::read_to_string(proc.join("thread-self/net").join(file));
    let both = of("udp").and_then(|v4| match of("udp6") {
        // A kernel without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(v4),
        v6 => Ok(v4 + &v6?),
    });
    Reading::from(both).map(|text| bound(&text))
}

/// The addresses of those without a peer.
fn bound(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        fields.get(3).filter(|state| **state == UNCONNECTED).and_then(|_| address(fields[1]))
    };
    let mut all: Vec<SocketAddr> = text.lines().filter_map(address).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// An address with its port, `0100007F:0035`: words of 32 bits as they lie in memory, and a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::from(word(0)?),
        32 => IpAddr::from(<[u8; 16]>::try_from([word(0)?, word(8)?, word(16)?, word(24)?].concat()).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

impl Teller<'_, '_, '_> {
    /// One row for each.
    pub(super) fn udp(&mut self) {
        let source = format!("/proc/net/udp and udp6 in net:[{}]", self.place.inode);
        let ss = format!("{}ss --no-header --all --udp --numeric", self.place.enter);
        match &self.network.udp {
            Reading::Value(sockets) => {
                let meaning = "Somebody in this namespace has this UDP port, and takes packets of everybody.";
                for address in sockets {
                    let command = format!("{ss} sport = :{}", address.port());
                    self.row(format!("udp {address}"), "UNCONN".to_owned(), source.clone(), command, meaning);
                }
            }
            missing => {
                let meaning = "Which UDP ports have an owner: the file could not be read.";
                self.row("udp".to_owned(), missing.text(|_| String::new()), source, ss, meaning);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_without_a_peer_have_an_address_and_a_port() {
        let text = "   sl  local_address rem_address   st tx_queue rx_queue\n\
            35: 01000C0A:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1 2 0 0\n\
            36: 01000C0A:9C40 0100007F:0035 01 00000000:00000000 00:00000000 00000000 0 0 1 2 0 0\n\
            37: 000000000000000000000000010000FF:0035 00000000000000000000000000000000:0000 07 0\n\
            38: 0100:0035 0:0 07\n 39: xyzäöü:0035 0:0 07\n";
        let little = cfg!(target_endian = "little");
        let all: Vec<String> = bound(text).iter().map(ToString::to_string).collect();
        assert!(!little || all == ["10.12.0.1:53", "[::ff00:1]:53"], "{all:?}");
    }

    #[test]
    fn those_of_this_thread_can_be_read() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let links = [1, 2].map(|index| super::super::tests::link(index, "eth0"));
        assert_eq!(read(Path::new("/proc"), &links[..1]), Reading::Value(Vec::new()));
        let sockets = read(Path::new("/proc"), &links);
        assert!(sockets.value().expect("a file").contains(&socket.local_addr().expect("an address")));
    }
}

//! TCP sockets: on which ports somebody listens, and who is connected to them (sock_diag(7)). `/proc/net/tcp` says the same, and takes milliseconds: it looks through the
//! connections of the whole machine.

use std::net::{IpAddr, SocketAddr};

use rtnetlink::packet_core::NetlinkSerializable;
use serde::{Deserialize, Serialize};

/// A listening TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    /// The mark that it has of its cgroup (`net_cls.classid`); where that is 0, its priority (SO_PRIORITY). Without CAP_NET_ADMIN
    /// it is not told, and 0.
    pub class: u32,
}

/// A TCP connection, as one of its ends knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Connection {
    /// The address of this end.
    pub local: SocketAddr,
    /// The address of the other end, as this one sees it.
    pub peer: SocketAddr,
    /// The state of RFC 9293, as ss(8) writes it: `ESTAB`, `CLOSE-WAIT`.
    pub state: String,
}

/// Names of states as ss(8) writes them, from number 1 on (<net/tcp_states.h>).
const STATES: [&str; 12] = [
    "ESTAB",
    "SYN-SENT",
    "SYN-RECV",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "TIME-WAIT",
    "UNCONN",
    "CLOSE-WAIT",
    "LAST-ACK",
    "LISTEN",
    "CLOSING",
    "NEW-SYN-RECV",
];

/// Asks for the TCP sockets in some states, of all families at once: `struct inet_diag_req` (<linux/inet_diag.h>). Its successor,
/// `inet_diag_req_v2`, is for one family, and the kernel would look through all its buckets for each.
#[derive(Clone, Copy)]
pub(super) struct Sockets {
    /// Bits, by the states' numbers.
    states: u32,
}

impl Sockets {
    /// Those on which somebody listens.
    pub(super) const LISTENING: Self = Self { states: 1 << 10 };

    /// Those with somebody at the other end: all but UNCONN and LISTEN, and TIME-WAIT, which is the memory of one that was.
    pub(super) const CONNECTED: Self = Self { states: 0b1_1011_0011_1110 };
}

/// The length of the message before its attributes.
const MESSAGE: usize = 72;

/// The length of the request, most of which is an address that is not asked for.
const LENGTH: usize = 60;

impl NetlinkSerializable for Sockets {
    fn message_type(&self) -> u16 {
        // TCPDIAG_GETSOCK
        18
    }

    fn buffer_len(&self) -> usize {
        LENGTH
    }

    fn serialize(&self, buffer: &mut [u8]) {
        // For whoever wishes to know that one, the kernel adds the class: a number of its own has no room in the request.
        const INET_DIAG_TCLASS: u8 = 6;
        buffer.fill(0);
        buffer[3] = 1 << (INET_DIAG_TCLASS - 1);
        buffer[52..56].copy_from_slice(&self.states.to_ne_bytes());
    }
}

/// A listening socket, from the body of a message: `struct inet_diag_msg`, and attributes.
pub(super) fn listener(message: &[u8]) -> Option<Listener> {
    let address = socket_address(message, 4, 8)?;
    Some(Listener { address, class: class(message.get(MESSAGE..).unwrap_or_default()) })
}

/// A connection, from the same. An IPv4 address of a socket that is for both families is told as what it is.
pub(super) fn connection(message: &[u8]) -> Option<Connection> {
    let state = usize::from(*message.get(1)?).checked_sub(1).and_then(|index| STATES.get(index))?;
    let end = |port, ip| {
        let address = socket_address(message, port, ip)?;
        Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
    };
    Some(Connection { local: end(4, 8)?, peer: end(6, 24)?, state: (*state).to_owned() })
}

/// The port and the address that begin at these bytes.
fn socket_address(message: &[u8], port: usize, ip: usize) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(message.get(port..port + 2)?.try_into().ok()?);
    let address = message.get(ip..ip + 16)?;
    let ip = match message[0] {
        2 => IpAddr::from(<[u8; 4]>::try_from(&address[..4]).ok()?),
        10 => IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The class among the attributes: each has a length, a type, and a body that is padded to a multiple of four.
fn class(mut attributes: &[u8]) -> u32 {
    const INET_DIAG_CLASS_ID: u16 = 17;
    let number = |at: usize, of: &[u8]| Some(u16::from_ne_bytes(of.get(at..at + 2)?.try_into().ok()?));
    while let (Some(length), Some(kind)) = (number(0, attributes), number(2, attributes)) {
        let length = usize::from(length);
        if kind == INET_DIAG_CLASS_ID {
            return attributes.get(4..8).and_then(|body| body.try_into().ok()).map_or(0, u32::from_ne_bytes);
        }
        if length < 4 {
            break;
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_listener_is_an_address_with_a_port() {
        let mut message = vec![2, 10, 0, 0, 0x1f, 0x90, 0, 0, 127, 0, 0, 1];
        message.resize(72, 0);
        let address = "127.0.0.1:8080".parse().expect("an address");
        assert_eq!(listener(&message), Some(Listener { address, class: 0 }));
        message.extend([5, 0, 8, 0, 0, 0, 0, 0, 8, 0, 17, 0]);
        message.extend(0x0010_0001_u32.to_ne_bytes());
        assert_eq!(listener(&message), Some(Listener { address, class: 0x0010_0001 }));
        message[0] = 10;
        assert_eq!(listener(&message).map(|it| it.address.port()), Some(8080));
    }

    #[test]
    fn a_connection_has_two_ends() {
        let mut message = vec![10, 8, 0, 0, 0, 80, 0x1f, 0x90];
        for last in [1, 2] {
            message.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last]);
        }
        let [local, peer] = ["10.0.0.1:80", "10.0.0.2:8080"].map(|text| text.parse().expect("an address"));
        assert_eq!(connection(&message), Some(Connection { local, peer, state: "CLOSE-WAIT".to_owned() }));
        message[1] = 0;
        assert_eq!(connection(&message), None);
        let asked: Vec<_> = (1..).zip(STATES).filter(|(bit, _)| Sockets::CONNECTED.states & (1 << bit) != 0).collect();
        assert!(asked.iter().all(|(_, state)| !["LISTEN", "UNCONN", "TIME-WAIT"].contains(state)) && asked.len() == 9);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = (listener(&bytes), connection(&bytes));
        }
    }
}

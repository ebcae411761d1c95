//! Which TCP ports have a listener (sock_diag(7)). `/proc/net/tcp` says the same, and takes milliseconds: it looks through the
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

/// Asks for the listening TCP sockets of all families at once: `struct inet_diag_req` (<linux/inet_diag.h>). Its successor,
/// `inet_diag_req_v2`, is for one family, and the kernel would look through all its buckets for each.
#[derive(Clone, Copy)]
pub(super) struct Listeners;

/// The length of the message before its attributes.
const MESSAGE: usize = 72;

/// The length of the request, most of which is an address that is not asked for.
const LENGTH: usize = 60;

impl NetlinkSerializable for Listeners {
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
        const LISTEN: u32 = 1 << 10;
        buffer.fill(0);
        buffer[3] = 1 << (INET_DIAG_TCLASS - 1);
        buffer[52..56].copy_from_slice(&LISTEN.to_ne_bytes());
    }
}

/// A listening socket, from the body of a message: `struct inet_diag_msg`, and attributes.
pub(super) fn parse(message: &[u8]) -> Option<Listener> {
    let port = u16::from_be_bytes(message.get(4..6)?.try_into().ok()?);
    let address = message.get(8..24)?;
    let ip = match message[0] {
        2 => IpAddr::from(<[u8; 4]>::try_from(&address[..4]).ok()?),
        10 => IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
        _ => return None,
    };
    Some(Listener { address: SocketAddr::new(ip, port), class: class(message.get(MESSAGE..).unwrap_or_default()) })
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
        assert_eq!(parse(&message), Some(Listener { address, class: 0 }));
        message.extend([5, 0, 8, 0, 0, 0, 0, 0, 8, 0, 17, 0]);
        message.extend(0x0010_0001_u32.to_ne_bytes());
        assert_eq!(parse(&message), Some(Listener { address, class: 0x0010_0001 }));
        message[0] = 10;
        assert_eq!(parse(&message).map(|it| it.address.port()), Some(8080));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&bytes);
        }
    }
}

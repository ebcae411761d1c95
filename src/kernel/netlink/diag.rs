//! Which TCP ports have a listener (sock_diag(7)). `/proc/net/tcp` says the same, and takes milliseconds: it looks through the
//! connections of the whole machine.

use std::net::{IpAddr, SocketAddr};

use rtnetlink::packet_core::NetlinkSerializable;

/// Asks for the listening TCP sockets of one family: `struct inet_diag_req_v2` (<linux/inet_diag.h>).
#[derive(Clone, Copy)]
pub(super) enum Listeners {
    V4,
    V6,
}

/// The length of the request, most of which is an address that is not asked for.
const LENGTH: usize = 56;

impl NetlinkSerializable for Listeners {
    fn message_type(&self) -> u16 {
        // SOCK_DIAG_BY_FAMILY
        20
    }

    fn buffer_len(&self) -> usize {
        LENGTH
    }

    fn serialize(&self, buffer: &mut [u8]) {
        const IPPROTO_TCP: u8 = 6;
        const LISTEN: u32 = 1 << 10;
        buffer.fill(0);
        buffer[0] = match self {
            Self::V4 => 2,
            Self::V6 => 10,
        };
        buffer[1] = IPPROTO_TCP;
        buffer[4..8].copy_from_slice(&LISTEN.to_ne_bytes());
    }
}

/// The address of a listening socket, from the body of a message: `struct inet_diag_msg`.
pub(super) fn parse(message: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(message.get(4..6)?.try_into().ok()?);
    let address = message.get(8..24)?;
    let ip = match message[0] {
        2 => IpAddr::from(<[u8; 4]>::try_from(&address[..4]).ok()?),
        10 => IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_listener_is_an_address_with_a_port() {
        let mut message = vec![2, 10, 0, 0, 0x1f, 0x90, 0, 0, 127, 0, 0, 1];
        message.resize(72, 0);
        assert_eq!(parse(&message), Some("127.0.0.1:8080".parse().expect("an address")));
        message[0] = 10;
        assert_eq!(parse(&message).map(|it| it.port()), Some(8080));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&bytes);
        }
    }
}

//! One echo request, and its answer: the oldest question of all (RFC 792; RFC 4443 for IPv6), by a raw socket (raw(7)).

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recv, sendto, setsockopt, socket,
    sockopt::ReceiveTimeout,
};
use nix::sys::time::TimeVal;

use super::trace::{CallError, Trace};

/// How long an answer is waited for. The kernel asks for a neighbour's hardware address once a second (arp(7), `retrans_time_ms`), and of a
/// link that has come up just now the first question may be lost: this is long enough for the second.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What the two protocols call the same.
struct Types {
    request: u8,
    reply: u8,
    unreachable: u8,
}

const ICMP: Types = Types { request: 8, reply: 0, unreachable: 3 };
const ICMPV6: Types = Types { request: 128, reply: 129, unreachable: 1 };

/// Asks, and waits for the answer; how long that took.
///
/// # Errors
/// `EPERM` without CAP_NET_RAW; `ENETUNREACH` where no route leads there; `EHOSTUNREACH` where a router, or this host, says that the other
/// is not to be reached; `ETIMEDOUT` where nobody answers within a second and a half.
pub fn ping(trace: &mut Trace, to: IpAddr) -> Result<Duration, CallError> {
    let (family, protocol, words) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, ["AF_INET", "IPPROTO_ICMP"]),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, ["AF_INET6", "IPPROTO_ICMPV6"]),
    };
    let made = || {
        let made = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        Ok(i64::from(made.into_raw_fd()))
    };
    let args = [words[0], "SOCK_RAW|SOCK_CLOEXEC", words[1]].map(str::to_owned).to_vec();
    let number = trace.call("socket", args, made)?;
    // SAFETY: the descriptor was made just now, and nobody else has it.
    let fd = unsafe { OwnedFd::from_raw_fd(i32::try_from(number).unwrap_or(-1)) };
    let id = std::process::id().to_be_bytes();
    let request = request(to, [id[2], id[3]]);
    let args = vec![number.to_string(), format!("{{echo request, {} bytes}}", request.len()), to.to_string()];
    let begin = Instant::now();
    let address = SockaddrStorage::from(SocketAddr::new(to, 0));
    trace.call("sendto", args, || {
        sendto(fd.as_raw_fd(), &request, &address, MsgFlags::empty()).map(|sent| i64::try_from(sent).unwrap_or(0))
    })?;
    trace.call("recv", vec![number.to_string()], || {
        let mut buffer = [0; 2048];
        loop {
            // A raw socket is given whatever comes by this protocol, so the time left is what is waited for.
            let left = PATIENCE.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Err(Errno::ETIMEDOUT);
            }
            let micros = i64::try_from(left.as_micros()).unwrap_or(1).max(1);
            setsockopt(&fd, ReceiveTimeout, &TimeVal::new(micros / 1_000_000, micros % 1_000_000))?;
            match recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => match answer(to, &buffer[..length], [id[2], id[3]]) {
                    Some(true) => return Ok(i64::try_from(length).unwrap_or(0)),
                    Some(false) => return Err(Errno::EHOSTUNREACH),
                    None => {}
                },
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    })?;
    Ok(begin.elapsed())
}

/// An echo request: type, code, checksum, identifier, sequence number.
fn request(to: IpAddr, [high, low]: [u8; 2]) -> [u8; 8] {
    let types = if to.is_ipv4() { ICMP } else { ICMPV6 };
    let mut message = [types.request, 0, 0, 0, high, low, 0, 1];
    if to.is_ipv4() {
        // Of IPv6 the kernel makes it, because the addresses are in it (RFC 3542, section 3.1).
        [message[2], message[3]] = checksum(&message).to_be_bytes();
    }
    message
}

/// Whether what came is the answer, or somebody's word that there will be none; nothing where it is about something else.
fn answer(to: IpAddr, packet: &[u8], id: [u8; 2]) -> Option<bool> {
    // Of IPv4 the whole packet is given, with its header in words of four bytes (raw(7)).
    let without_header = |packet: &[u8]| {
        let length = usize::from(packet.first()? & 0xf) * 4;
        Some(packet.get(length..)?.to_vec())
    };
    let (types, message) = match to {
        IpAddr::V4(_) => (ICMP, without_header(packet)?),
        IpAddr::V6(_) => (ICMPV6, packet.to_vec()),
    };
    let kind = *message.first()?;
    if kind == types.reply {
        return (message.get(4..6)? == id).then_some(true);
    }
    if kind != types.unreachable {
        return None;
    }
    // The packet that it is about comes along, from its header on.
    let about = message.get(8..)?;
    let request = match to {
        IpAddr::V4(_) => without_header(about)?,
        IpAddr::V6(_) => about.get(40..)?.to_vec(),
    };
    (*request.first()? == types.request && request.get(4..6)? == id).then_some(false)
}

/// The internet checksum (RFC 1071).
fn checksum(message: &[u8]) -> u16 {
    let words = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    fn packet(message: &[u8]) -> Vec<u8> {
        let mut header = vec![0; 20];
        header[0] = 0x45;
        [header, message.to_vec()].concat()
    }

    #[test]
    fn a_request_has_the_checksum_that_makes_the_sum_zero() {
        let message = request(V4, [0x12, 0x34]);
        assert_eq!(message[..2], [8, 0]);
        assert_eq!(checksum(&message), 0);
        assert_eq!(request(V6, [0x12, 0x34]), [128, 0, 0, 0, 0x12, 0x34, 0, 1]);
    }

    #[test]
    fn only_what_is_about_this_request_is_an_answer() {
        let reply = packet(&[0, 0, 0, 0, 1, 2, 0, 1]);
        assert_eq!(answer(V4, &reply, [1, 2]), Some(true));
        assert_eq!(answer(V4, &reply, [1, 3]), None);
        let own = request(V4, [1, 2]);
        assert_eq!(answer(V4, &packet(&own), [1, 2]), None, "on lo one's own request comes by");
        let refused = packet(&[&[3, 1, 0, 0, 0, 0, 0, 0][..], &packet(&own)].concat());
        assert_eq!((answer(V4, &refused, [1, 2]), answer(V4, &refused, [9, 9])), (Some(false), None));
        assert_eq!(answer(V6, &[129, 0, 0, 0, 1, 2, 0, 1], [1, 2]), Some(true));
    }

    proptest! {
        #[test]
        fn no_packet_makes_it_panic(packet: Vec<u8>) {
            let _ = (answer(V4, &packet, [0, 0]), answer(V6, &packet, [0, 0]), checksum(&packet));
        }
    }
}

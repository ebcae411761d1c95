//! Packets of TCP, and messages of ICMP about them, as much of each as tells to which connection they belong (RFC 791, 8200, 9293, 792,
//! 4443). They may be cut anywhere, and anybody may have sent them: what is not whole is no packet.

use std::net::{IpAddr, SocketAddr};

/// A packet of IP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its source, as it is written in it at this place.
    pub from: IpAddr,
    /// Its destination.
    pub to: IpAddr,
    /// Through how many routers it may still go.
    pub ttl: u8,
    /// What it carries.
    pub what: Payload,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A segment of TCP.
    Tcp(Segment),
    /// A message of ICMP that a segment did not arrive.
    Error(IcmpError),
}

/// The beginning of a segment of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The source's port.
    pub from: u16,
    /// The destination's port.
    pub to: u16,
    /// The number of its first byte; of a SYN that with which the sender's numbers begin.
    pub sequence: u32,
    /// The number of the byte that is expected next, where [`Self::ACK`] is set.
    pub acknowledged: u32,
    /// Flags, as RFC 9293 numbers them.
    pub flags: u8,
}

impl Segment {
    /// A connection begins.
    pub const SYN: u8 = 0x02;
    /// There is none.
    pub const RST: u8 = 0x04;
    /// What came is acknowledged.
    pub const ACK: u8 = 0x10;

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A message that a packet did not arrive. It carries the beginning of that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// What it says, in short.
    pub says: &'static str,
    /// The source of the packet that it is about.
    pub from: SocketAddr,
    /// The destination of that.
    pub to: SocketAddr,
    /// The sequence number in it.
    pub sequence: u32,
}

/// The numbers of protocols (protocols(5)).
const ICMP: u8 = 1;
const TCP: u8 = 6;
const ICMP6: u8 = 58;

/// A header of ICMP before what it carries, in bytes.
const ICMP_HEADER: usize = 8;

/// So many headers may stand between that of IPv6 and what it carries: a sender may chain as many as there is room for.
const MOST_EXTENSIONS: usize = 8;

/// The header of IP, and what is behind it.
struct Ip<'a> {
    from: IpAddr,
    to: IpAddr,
    ttl: u8,
    protocol: u8,
    rest: &'a [u8],
}

impl Packet {
    /// From the bytes that begin with the header of IP; none where it is neither of TCP nor an error about that, or is not whole as far
    /// as it is looked at. Of a packet in fragments only the first is one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let ip = Ip::parse(bytes)?;
        let what = match ip.protocol {
            TCP => Payload::Tcp(segment(ip.rest)?),
            ICMP | ICMP6 => Payload::Error(error(ip.protocol, ip.rest)?),
            _ => return None,
        };
        Some(Self { from: ip.from, to: ip.to, ttl: ip.ttl, what })
    }
}

impl<'a> Ip<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => Self::version_4(bytes),
            6 => Self::version_6(bytes),
            _ => None,
        }
    }

    fn version_4(bytes: &'a [u8]) -> Option<Self> {
        let header: &[u8; 20] = bytes.first_chunk()?;
        let length = usize::from(header[0] & 0xf) * 4;
        // The lower 13 bits are the offset of a fragment.
        let offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
        if length < header.len() || offset != 0 {
            return None;
        }
        let ip = |at: usize| Some(IpAddr::from(*bytes.get(at..)?.first_chunk::<4>()?));
        Some(Self { from: ip(12)?, to: ip(16)?, ttl: header[8], protocol: header[9], rest: bytes.get(length..)? })
    }

    fn version_6(bytes: &'a [u8]) -> Option<Self> {
        let (header, mut rest) = bytes.split_first_chunk::<40>()?;
        let mut protocol = header[6];
        for _ in 0..MOST_EXTENSIONS {
            let length = match protocol {
                // Options hop by hop, routing, options for the destination: the length is in units of eight bytes, without the first.
                0 | 43 | 60 => (usize::from(*rest.get(1)?) + 1) * 8,
                // A fragment: the upper 13 bits are its offset.
                44 if u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]) >> 3 == 0 => 8,
                44 => return None,
                _ => break,
            };
            protocol = *rest.first()?;
            rest = rest.get(length..)?;
        }
        let ip = |at: usize| Some(IpAddr::from(*header.get(at..)?.first_chunk::<16>()?));
        Some(Self { from: ip(8)?, to: ip(24)?, ttl: header[7], protocol, rest })
    }
}

fn segment(bytes: &[u8]) -> Option<Segment> {
    let header: &[u8; 14] = bytes.first_chunk()?;
    let (from, to, sequence) = beginning(bytes)?;
    let acknowledged = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
    Some(Segment { from, to, sequence, acknowledged, flags: header[13] })
}

/// The ports and the sequence number: the first eight bytes, which every message of ICMP has.
fn beginning(bytes: &[u8]) -> Option<(u16, u16, u32)> {
    let [a, b, c, d, sequence @ ..]: &[u8; 8] = bytes.first_chunk()?;
    Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]), u32::from_be_bytes(*sequence)))
}

fn error(protocol: u8, bytes: &[u8]) -> Option<IcmpError> {
    let (header, about) = bytes.split_first_chunk::<ICMP_HEADER>()?;
    let says = says(protocol, header[0], header[1])?;
    let ip = Ip::parse(about).filter(|ip| ip.protocol == TCP)?;
    let (from, to, sequence) = beginning(ip.rest)?;
    Some(IcmpError { says, from: SocketAddr::new(ip.from, from), to: SocketAddr::new(ip.to, to), sequence })
}

/// The words for type and code of an error; none for a message that is none.
fn says(protocol: u8, kind: u8, code: u8) -> Option<&'static str> {
    Some(match (protocol, kind, code) {
        (ICMP, 3, 0 | 6 | 11) | (ICMP6, 1, 0) => "network unreachable",
        (ICMP, 3, 1 | 7 | 12) | (ICMP6, 1, 3) => "host unreachable",
        (ICMP, 3, 3) | (ICMP6, 1, 4) => "port unreachable",
        (ICMP, 3, 9 | 10 | 13) | (ICMP6, 1, 1) => "prohibited",
        (ICMP, 3, 4) | (ICMP6, 2, _) => "packet too big",
        (ICMP, 3, _) | (ICMP6, 1, _) => "destination unreachable",
        (ICMP, 11, _) | (ICMP6, 3, _) => "time exceeded",
        (ICMP, 12, _) | (ICMP6, 4, _) => "parameter problem",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tcp(flags: u8) -> Vec<u8> {
        let mut segment = vec![0x9c, 0x40, 0, 80, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, flags];
        segment.resize(20, 0);
        segment
    }

    fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 40, 0, 1, 0x40, 0, 63, protocol, 0, 0, 10, 12, 0, 2, 203, 0, 113, 7];
        packet.extend(payload);
        packet
    }

    fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 20, next, 64];
        for last in [1, 2] {
            packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        packet.extend(payload);
        packet
    }

    const SYN: Segment =
        Segment { from: 40_000, to: 80, sequence: 0x0102_0304, acknowledged: 0x0506_0708, flags: Segment::SYN };

    #[test]
    fn a_segment_is_read_in_both_versions() {
        let packet = Packet::parse(&ipv4(6, &tcp(Segment::SYN))).expect("a packet");
        assert_eq!((packet.from.to_string(), packet.to.to_string()), ("10.12.0.2".into(), "203.0.113.7".into()));
        assert_eq!((packet.ttl, packet.what), (63, Payload::Tcp(SYN)));
        // Options make the header longer.
        let mut options = ipv4(6, &[&[1; 4], tcp(Segment::SYN).as_slice()].concat());
        options[0] = 0x46;
        assert_eq!(Packet::parse(&options).expect("a packet").what, Payload::Tcp(SYN));
        let packet = Packet::parse(&ipv6(6, &tcp(Segment::SYN))).expect("a packet");
        assert_eq!((packet.from.to_string(), packet.to.to_string()), ("fd00::1".into(), "fd00::2".into()));
        assert_eq!(packet.what, Payload::Tcp(SYN));
        // Options hop by hop, then the first fragment.
        let chain = [&[44, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 0], tcp(Segment::SYN).as_slice()].concat();
        assert_eq!(Packet::parse(&ipv6(0, &chain)).expect("a packet").what, Payload::Tcp(SYN));
    }

    #[test]
    fn what_is_not_the_beginning_of_one_is_none() {
        let whole = ipv4(6, &tcp(Segment::SYN));
        for length in 0..34 {
            assert_eq!(Packet::parse(&whole[..length]), None, "{length}");
        }
        let (mut fragment, mut short) = (whole.clone(), whole);
        fragment[7] = 1;
        short[0] = 0x44;
        assert_eq!((Packet::parse(&fragment), Packet::parse(&short)), (None, None));
        assert_eq!(Packet::parse(&ipv4(17, &[0; 20])), None);
        // A later fragment of IPv6, and more headers than anybody sends.
        assert_eq!(Packet::parse(&ipv6(44, &[&[6, 0, 0, 8, 0, 0, 0, 0], tcp(2).as_slice()].concat())), None);
        assert_eq!(Packet::parse(&ipv6(0, &[0; 200])), None);
    }

    #[test]
    fn an_error_has_what_it_is_about() {
        let message =
            |kind, code| [&[kind, code, 0, 0, 0, 0, 0, 0], ipv4(6, &tcp(Segment::SYN)[..8]).as_slice()].concat();
        let packet = Packet::parse(&ipv4(1, &message(3, 1))).expect("a packet");
        let Payload::Error(error) = packet.what else { panic!("{packet:?}") };
        assert_eq!((error.says, error.sequence), ("host unreachable", 0x0102_0304));
        assert_eq!((error.from.to_string(), error.to.to_string()), ("10.12.0.2:40000".into(), "203.0.113.7:80".into()));
        // An echo request, and an error about one.
        assert_eq!(Packet::parse(&ipv4(1, &message(8, 0))), None);
        assert_eq!(Packet::parse(&ipv4(1, &[&[3, 1, 0, 0, 0, 0, 0, 0], ipv4(1, &[8; 8]).as_slice()].concat())), None);
        let six = [&[1, 4, 0, 0, 0, 0, 0, 0], ipv6(6, &tcp(Segment::SYN)).as_slice()].concat();
        let packet = Packet::parse(&ipv6(58, &six)).expect("a packet");
        assert!(matches!(packet.what, Payload::Error(IcmpError { says: "port unreachable", .. })), "{packet:?}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), version in 0..4_u8) {
            let _ = Packet::parse(&bytes);
            // Nearly right, so that more of it is looked at.
            let payload = |protocol| if version % 2 == 0 { ipv4(protocol, &bytes) } else { ipv6(protocol, &bytes) };
            for protocol in [0, ICMP, TCP, 43, 44, ICMP6, 60] {
                let _ = Packet::parse(&payload(protocol));
            }
        }

        #[test]
        fn nor_do_cuts_and_changed_bytes(at in 0..100_usize, value: u8, cut in 0..100_usize) {
            let inner = ipv4(6, &tcp(Segment::SYN));
            let mut bytes = ipv4(1, &[&[3, 1, 0, 0, 0, 0, 0, 0], inner.as_slice()].concat());
            let length = bytes.len();
            bytes[at % length] = value;
            let _ = Packet::parse(&bytes[..cut % length]);
        }
    }
}

//! Which of the packets that were seen are one connection's, and where each of them was seen: pure functions.
//!
//! Addresses and ports may be translated on the way, so that they can not tell. The number with which the connection's bytes begin stays what it is:
//! the first packet has it, and what answers that acknowledges the next (RFC 9293, 3.5).

use std::net::{IpAddr, SocketAddr};

use crate::kernel::packet::{Frame, Packet, Payload, Segment, Way};

/// A packet, and where and when it was seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// The place of the network namespace among those that are watched.
    pub network: usize,
    /// In nanoseconds of CLOCK_REALTIME.
    pub nanos: u64,
    /// The index of the link there.
    pub link: u32,
    /// In or out.
    pub way: Way,
    /// What was seen.
    pub packet: Packet,
}

impl Seen {
    /// None for what is no packet of TCP, or about one.
    pub fn of(network: usize, frame: &Frame) -> Option<Self> {
        let packet = Packet::parse(&frame.bytes)?;
        Some(Self { network, nanos: frame.nanos, link: frame.link, way: frame.way, packet })
    }
}

/// Which packet of the connection one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It asks for the connection.
    Syn,
    /// It grants it.
    SynAck,
    /// It refuses it, or ends it.
    Reset,
    /// A router, or the other end, says that a packet of it did not arrive.
    Error(&'static str),
}

impl Part {
    /// As it is called.
    pub fn words(self) -> String {
        match self {
            Self::Syn => "SYN".to_owned(),
            Self::SynAck => "SYN-ACK".to_owned(),
            Self::Reset => "RST".to_owned(),
            Self::Error(says) => format!("ICMP {says}"),
        }
    }

    /// Whether the other end, or somebody on the way, tells by it that there will be no connection.
    pub fn refuses(self) -> bool {
        matches!(self, Self::Reset | Self::Error(_))
    }
}

/// A packet of the connection at one place of its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    /// The place of the network namespace among those that are watched.
    pub network: usize,
    /// The index of the link there.
    pub link: u32,
    /// In or out.
    pub way: Way,
    /// Its source, as it was here.
    pub from: End,
    /// Its destination.
    pub to: End,
    /// Through how many routers it may still go: whoever comes by once more has been through one.
    ttl: u8,
    /// Which one it is.
    pub part: Part,
}

/// An end of a packet: its port, where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The address.
    pub ip: IpAddr,
    port: Option<u16>,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

/// The number with which the connection begins that this process opened: that of the first packet that asks for one and leaves the own network
/// namespace by the socket's port; where that was translated before it left, to its destination.
pub(super) fn beginning(seen: &[Seen], own: usize, port: u16, to: SocketAddr) -> Option<u32> {
    let asked = |one: &Seen| match &one.packet.what {
        Payload::Tcp(segment) if is_first(segment) && one.way == Way::Out && one.network == own => {
            Some((*segment, SocketAddr::new(one.packet.to, segment.to)))
        }
        _ => None,
    };
    let from_port = || seen.iter().filter_map(asked).find(|(segment, _)| segment.from == port);
    let to_end = || seen.iter().filter_map(asked).find(|(_, end)| *end == to);
    from_port().or_else(to_end).map(|(segment, _)| segment.sequence)
}

fn is_first(segment: &Segment) -> bool {
    segment.has(Segment::SYN) && !segment.has(Segment::ACK)
}

/// The connection's packets hop by hop, in the order of time; each once, however often it was sent again.
pub(super) fn hops(mut seen: Vec<Seen>, number: u32) -> Vec<Hop> {
    // What one socket saw stays in its order where the times are the same: a packet keeps its time from link to bridge.
    seen.sort_by_key(|one| one.nanos);
    let next = number.wrapping_add(1);
    let answers: Vec<u32> = seen.iter().filter_map(|one| answer(one, next)).collect();
    let mut hops: Vec<Hop> = Vec::new();
    for Seen { network, link, way, packet, .. } in seen {
        let (part, ports) = match packet.what {
            Payload::Tcp(segment) => {
                let acknowledges = segment.has(Segment::ACK) && segment.acknowledged == next;
                let part = match segment {
                    _ if is_first(&segment) && segment.sequence == number => Part::Syn,
                    _ if segment.has(Segment::SYN) && acknowledges => Part::SynAck,
                    // Of this end: it has not asked whoever answers.
                    _ if segment.has(Segment::RST) && (acknowledges || segment.sequence == next) => Part::Reset,
                    _ => continue,
                };
                (part, Some((segment.from, segment.to)))
            }
            Payload::Error(error) if error.sequence == number || answers.contains(&error.sequence) => {
                (Part::Error(error.says), None)
            }
            Payload::Error(_) => continue,
        };
        let from = End { ip: packet.from, port: ports.map(|(from, _)| from) };
        let to = End { ip: packet.to, port: ports.map(|(_, to)| to) };
        let hop = Hop { network, link, way, from, to, ttl: packet.ttl, part };
        if !hops.contains(&hop) {
            hops.push(hop);
        }
    }
    hops
}

/// The number with which the other end's bytes begin: an error may be about its answer.
fn answer(seen: &Seen, next: u32) -> Option<u32> {
    match seen.packet.what {
        Payload::Tcp(segment)
            if segment.has(Segment::SYN) && segment.has(Segment::ACK) && segment.acknowledged == next =>
        {
            Some(segment.sequence)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::packet::IcmpError;

    const NUMBER: u32 = u32::MAX;

    fn seen(network: usize, nanos: u64, way: Way, ends: [&str; 2], segment: (u8, u32, u32)) -> Seen {
        let [from, to] = ends.map(|end| end.parse::<SocketAddr>().expect("an end"));
        let (flags, sequence, acknowledged) = segment;
        let what = Payload::Tcp(Segment { from: from.port(), to: to.port(), sequence, acknowledged, flags });
        let packet = Packet { from: from.ip(), to: to.ip(), ttl: 64, what };
        Seen { network, nanos, link: 2, way, packet }
    }

    const SYN: (u8, u32, u32) = (Segment::SYN, NUMBER, 0);
    const SYN_ACK: (u8, u32, u32) = (Segment::SYN | Segment::ACK, 70, 0);

    fn told(hops: &[Hop]) -> Vec<String> {
        hops.iter().map(|hop| format!("{} {} {} {}", hop.network, hop.from, hop.to, hop.part.words())).collect()
    }

    #[test]
    fn a_connection_is_followed_through_translation() {
        let all = vec![
            // As the sockets are read: one namespace after the other.
            seen(0, 10, Way::Out, ["10.0.0.2:4000", "1.1.1.1:80"], SYN),
            seen(0, 60, Way::In, ["1.1.1.1:80", "10.0.0.2:4000"], SYN_ACK),
            seen(0, 70, Way::Out, ["10.0.0.2:4000", "1.1.1.1:80"], (Segment::ACK, 0, 71)),
            seen(1, 20, Way::In, ["10.0.0.2:4000", "1.1.1.1:80"], SYN),
            seen(1, 30, Way::Out, ["192.0.2.2:4000", "10.9.0.9:8080"], SYN),
            seen(1, 31, Way::Out, ["192.0.2.2:4001", "1.1.1.1:80"], (Segment::SYN, 12, 0)),
            seen(1, 50, Way::Out, ["1.1.1.1:80", "10.0.0.2:4000"], SYN_ACK),
            // Sent again.
            seen(1, 90, Way::In, ["10.0.0.2:4000", "1.1.1.1:80"], SYN),
        ];
        let to = "1.1.1.1:80".parse().expect("an end");
        assert_eq!(beginning(&all, 0, 4000, to), Some(NUMBER));
        assert_eq!(beginning(&all, 0, 1, to), Some(NUMBER), "by its destination");
        assert_eq!(beginning(&all, 2, 4000, to), None);
        assert_eq!(
            told(&hops(all, NUMBER)),
            [
                "0 10.0.0.2:4000 1.1.1.1:80 SYN",
                "1 10.0.0.2:4000 1.1.1.1:80 SYN",
                "1 192.0.2.2:4000 10.9.0.9:8080 SYN",
                "1 1.1.1.1:80 10.0.0.2:4000 SYN-ACK",
                "0 1.1.1.1:80 10.0.0.2:4000 SYN-ACK"
            ]
        );
    }

    #[test]
    fn refusals_belong_to_it() {
        let ends = ["10.0.0.2:4000", "1.1.1.1:80"];
        let error = |sequence| {
            let mut one = seen(1, 3, Way::Out, ends, SYN);
            let [from, to] = ends.map(|end| end.parse().expect("an end"));
            one.packet.what = Payload::Error(IcmpError { says: "host unreachable", from, to, sequence });
            one
        };
        let all = vec![
            seen(0, 1, Way::Out, ends, SYN),
            seen(1, 2, Way::Out, ["1.1.1.1:80", "10.0.0.2:4000"], (Segment::RST | Segment::ACK, 0, 0)),
            error(NUMBER),
            error(5),
            seen(1, 4, Way::Out, ["1.1.1.1:80", "10.0.0.2:4000"], (Segment::RST | Segment::ACK, 0, 9)),
        ];
        let words: Vec<String> = hops(all, NUMBER).iter().map(|hop| hop.part.words()).collect();
        assert_eq!(words, ["SYN", "RST", "ICMP host unreachable"]);
    }
}

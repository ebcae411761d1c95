//! What the routes of a network namespace say about one packet (`ip route get`, rtnetlink(7), RTM_GETROUTE). The kernel answers by the same
//! function that decides about packets.

use std::io;
use std::net::IpAddr;

use super::plug::{address, family};
use super::raw::{Attributes, Raw};
use super::{NLM_F_REQUEST, Netlink};

const GETROUTE: u16 = 26;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is for this network namespace (RTN_LOCAL).
    Here,
    /// It goes on to somebody else, or to several.
    Onward,
}

impl Decision {
    /// From the body of a message: the type of a route is in `struct rtmsg`.
    fn parse(message: &[u8]) -> Option<Self> {
        const LOCAL: u8 = 2;
        message.get(7).map(|kind| if *kind == LOCAL { Self::Here } else { Self::Onward })
    }
}

fn request(from: Option<IpAddr>, to: IpAddr, by: Option<u32>) -> Raw {
    let bits = |ip: IpAddr| if ip.is_ipv4() { 32 } else { 128 };
    let header = [family(to), bits(to), from.map_or(0, bits), 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut attributes = address(Attributes::default(), 1, "RTA_DST", to);
    if let Some(from) = from {
        attributes = address(attributes, 2, "RTA_SRC", from);
    }
    Raw::new("RTM_GETROUTE", GETROUTE, &header, [], attributes.number_if(3, "RTA_IIF", by))
}

impl Netlink {
    /// What becomes of a packet to this address: of one that is sent here, or of one that comes in by the link with this index
    /// (`ip route get TO from FROM iif LINK`).
    ///
    /// # Errors
    /// With what the kernel would refuse the packet: `ENETUNREACH` where no route leads there, `EHOSTUNREACH` for one that came in and is for
    /// others where nothing is forwarded, `EXDEV` or `EINVAL` for one that can not have come in by that link from its source,
    /// `EINVAL` for a source that is no address of this namespace.
    pub fn decision(&mut self, from: Option<IpAddr>, to: IpAddr, by: Option<u32>) -> io::Result<Decision> {
        let mut decision = None;
        self.exchange(request(from, to, by), NLM_F_REQUEST, |message| decision = Decision::parse(message))?;
        decision.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_address_is_here() {
        let mut netlink = Netlink::open().expect("a socket");
        let lo = netlink.links().expect("links").iter().find(|link| link.kind == "loopback").map(|link| link.index);
        let is_up = netlink.addresses().expect("addresses").iter().any(|one| one.ip.is_loopback() && one.ip.is_ipv4());
        let to = IpAddr::from([127, 0, 0, 1]);
        // Where lo is down it has no address, and no route to it.
        match is_up {
            true => {
                assert_eq!(netlink.decision(None, to, None).expect("a route"), Decision::Here);
                // From the wire nobody may say that.
                let refused = netlink.decision(Some(to), to, lo).expect_err("a source that can not be");
                assert_eq!(refused.raw_os_error(), Some(libc::EINVAL));
            }
            false => assert!(netlink.decision(None, to, None).is_err()),
        }
        assert_eq!((Decision::parse(&[0; 7]), Decision::parse(&[1; 12])), (None, Some(Decision::Onward)));
    }
}

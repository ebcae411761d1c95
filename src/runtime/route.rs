//! Routes: by which neighbour packets go to a network that is not at the other end of a cable (route(8), rtnetlink(7)).

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use super::link::Prefixed;
use crate::kernel::errno::Errno;
use crate::kernel::netlink::Netlink;
use crate::kernel::trace::{CallError, Trace};

/// Makes a route.
pub type AddRoute = SetRoute<true>;

/// Takes a route away.
pub type DeleteRoute = SetRoute<false>;

/// Makes a route in the actor's network namespace, or takes one away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRoute<const ADD: bool> {
    /// Who.
    pub r#in: String,
    /// Where to; `0.0.0.0/0`, or `::/0`, is the default route.
    pub to: Prefixed,
    /// The neighbour that packets are given to: its address.
    pub via: IpAddr,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl<const ADD: bool> SetRoute<ADD> {
    /// As ip(8) takes it.
    fn to(&self) -> String {
        if self.to.prefix == 0 { "default".to_owned() } else { self.to.to_string() }
    }
}

impl<const ADD: bool> Mechanism for SetRoute<ADD> {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let (Self { r#in, via, .. }, to) = (self, self.to());
        match ADD {
            true => format!("{in} makes a route, {to} by {via}"),
            false => format!("{in} takes its route away, {to} by {via}"),
        }
    }

    fn shell(&self) -> Option<String> {
        let family = if self.to.ip.is_ipv6() { "-6 " } else { "" };
        let deed = if ADD { "add" } else { "delete" };
        Some(format!("ip {family}route {deed} {} via {}", self.to(), self.via))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        if !ADD {
            return Vec::new();
        }
        let what = format!("the route {} by {} in the net namespace of {}", self.to(), self.via, self.r#in);
        vec![Effect { what, home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        if self.to.ip.is_ipv4() != self.via.is_ipv4() {
            let fix = "write both as IPv4, or both as IPv6";
            return vec![Misuse::new("via", "the neighbour's address is of another family", fix)];
        }
        Vec::new()
    }
}

impl<const ADD: bool> Perform for SetRoute<ADD> {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let mut netlink = Netlink::open_traced(trace)?;
        let Prefixed { ip, prefix } = self.to;
        match ADD {
            true => netlink.add_route(trace, ip, prefix, self.via)?,
            false => netlink.delete_route(trace, ip, prefix, self.via)?,
        }
        Ok(Outcome::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_told_as_ip_takes_it() {
        let route = |to: &str, via: &str| {
            let (to, via) = (to.parse().expect("a network"), via.parse().expect("an address"));
            AddRoute { r#in: "web".to_owned(), to, via, fails_with: None }
        };
        assert_eq!(route("0.0.0.0/0", "10.0.0.1").shell().as_deref(), Some("ip route add default via 10.0.0.1"));
        assert_eq!(route("fd00::/8", "fe80::1").shell().as_deref(), Some("ip -6 route add fd00::/8 via fe80::1"));
        assert_eq!(route("10.9.0.0/16", "10.0.0.1").misuses(), []);
        assert_eq!(route("10.9.0.0/16", "fe80::1").misuses().len(), 1);
    }
}

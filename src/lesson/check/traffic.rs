//! What becomes of packets: routes, whether they are handed on, listeners, and who is connected to them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::network::network;
use super::{Predicate, Probe, Seen, View, value};
use crate::probe::{Network, Route, Sysctl as Setting};
use crate::runtime::link::Prefixed;

/// A route leads to a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteTo {
    /// Whose.
    pub of: String,
    /// Where to; `0.0.0.0/0` is the default route.
    pub to: Prefixed,
    /// By which neighbour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<IpAddr>,
}

impl Predicate for RouteTo {
    fn claim(&self) -> String {
        let via = self.via.map_or_else(String::new, |via| format!(" by {via}"));
        format!("the network namespace of {} has a route to {}{via}", self.of, self.to)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let network = network(view, &self.of)?;
        let found: Vec<_> = routes_to(network, self.to).collect();
        let by_it = found.iter().any(|route| self.via.is_none_or(|via| route.via == Some(via)));
        let ways = found.iter().filter_map(|route| route.via).map(|via| format!(", by {via}")).collect::<String>();
        Ok((by_it, format!("of its {} routes {} lead there{ways}", network.routes.len(), found.len())))
    }
}

/// No route leads to a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoRoute {
    /// Whose.
    pub of: String,
    /// Where to; `0.0.0.0/0` is the default route.
    pub to: Prefixed,
}

impl Predicate for NoRoute {
    fn claim(&self) -> String {
        format!("the network namespace of {} has no route to {}", self.of, self.to)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let network = network(view, &self.of)?;
        let found = routes_to(network, self.to).count();
        Ok((found == 0, format!("of its {} routes {found} lead there", network.routes.len())))
    }
}

/// Somebody listens on a TCP port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listens {
    /// In whose network namespace.
    pub of: String,
    /// The port.
    pub port: u16,
    /// The mark that the socket must have of its cgroup: the number in `net_cls.classid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<u32>,
}

impl Predicate for Listens {
    fn claim(&self) -> String {
        let class = self.class.map_or_else(String::new, |class| format!(", with the class {class:#x}"));
        format!("somebody in the network namespace of {} listens on TCP port {}{class}", self.of, self.port)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let listeners = &value(Some(&network(view, &self.of)?.tcp))?.listeners;
        let of_class = |class: u32| self.class.is_none_or(|wanted| wanted == class);
        let found = listeners.iter().any(|one| one.address.port() == self.port && of_class(one.class));
        let words = listeners.iter().map(|one| match self.class {
            None => one.address.to_string(),
            Some(_) => format!("{} with the class {:#x}", one.address, one.class),
        });
        let list = words.collect::<Vec<_>>().join(", ");
        Ok((found, if listeners.is_empty() { "nobody listens there".to_owned() } else { format!("listening: {list}") }))
    }
}

/// Somebody has a UDP port, and takes packets of everybody there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UdpBound {
    /// In whose network namespace.
    pub of: String,
    /// The port.
    pub port: u16,
}

impl Predicate for UdpBound {
    fn claim(&self) -> String {
        format!("somebody in the network namespace of {} has UDP port {}", self.of, self.port)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let sockets = value(Some(&network(view, &self.of)?.udp))?;
        let found = sockets.iter().any(|address| address.port() == self.port);
        let list = sockets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Ok((found, if sockets.is_empty() { "nobody has one there".to_owned() } else { format!("bound: {list}") }))
    }
}

/// A setting of a network namespace has a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sysctl {
    /// Whose.
    pub of: String,
    /// Its name, as sysctl(8) writes it: `net.ipv4.ip_forward`.
    pub name: Setting,
    /// The value.
    pub is: String,
}

impl Predicate for Sysctl {
    fn claim(&self) -> String {
        format!("{} is {} in the network namespace of {}", self.name.name(), self.is, self.of)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let network = network(view, &self.of)?;
        let value = network.sysctls.get(&self.name).ok_or("it could not be read")?;
        Ok((*value == self.is, format!("it is {value}")))
    }
}

/// Somebody from this address is connected to a TCP port, as its own end sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectedFrom {
    /// In whose network namespace the port is.
    pub of: String,
    /// The port.
    pub port: u16,
    /// The address of the other end.
    pub peer: IpAddr,
}

impl Predicate for ConnectedFrom {
    fn claim(&self) -> String {
        format!("somebody from {} is connected to TCP port {} of {}", self.peer, self.port, self.of)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let peers = peers(view, &self.of, self.port)?;
        let list = peers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let seen = if peers.is_empty() { "nobody is connected".to_owned() } else { format!("connected: {list}") };
        Ok((peers.contains(&self.peer), seen))
    }
}

/// From which address somebody is connected to a TCP port; all of them, where there are several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeersOf {
    /// In whose network namespace the port is.
    pub of: String,
    /// The port.
    pub port: u16,
}

impl Probe for PeersOf {
    fn words(&self) -> String {
        format!("the addresses from which somebody is connected to TCP port {} of {}", self.port, self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        let peers = peers(view, &self.of, self.port)?;
        Ok(peers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }
}

/// How many routes lead to a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoutesTo {
    /// Whose.
    pub of: String,
    /// The network.
    pub to: Prefixed,
}

impl Probe for RoutesTo {
    fn words(&self) -> String {
        format!("the number of routes to {} in the network namespace of {}", self.to, self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        Ok(routes_to(network(view, &self.of)?, self.to).count().to_string())
    }
}

/// By which link what has no other route leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultLink {
    /// Whose.
    pub of: String,
}

impl Probe for DefaultLink {
    fn words(&self) -> String {
        format!("the link of the default route in the network namespace of {}", self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        let network = network(view, &self.of)?;
        let of_ipv4 = |route: &&Route| route.prefix == 0 && route.to.is_ipv4();
        // Of several the one with the lowest metric.
        let route = network.routes.iter().filter(of_ipv4).min_by_key(|route| route.metric);
        let link = network.links.iter().find(|link| route.is_some_and(|route| route.link == Some(link.index)));
        Ok(link.map_or_else(|| "none".to_owned(), |link| link.name.clone()))
    }
}

/// The routes to exactly this network.
fn routes_to(network: &Network, to: Prefixed) -> impl Iterator<Item = &Route> {
    network.routes.iter().filter(move |route| (route.to, route.prefix) == (to.ip, to.prefix))
}

/// The addresses from which somebody is connected to a TCP port.
fn peers(view: &View<'_>, of: &str, port: u16) -> Seen<BTreeSet<IpAddr>> {
    let tcp = value(Some(&network(view, of)?.tcp))?;
    let of_port = tcp.connections.iter().filter(|one| one.local.port() == port);
    Ok(of_port.map(|one| one.peer.ip()).collect())
}

//! Network namespaces: their links, addresses, routes and listeners.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Predicate, Probe, Seen, View, value};
use crate::kernel::namespace::Namespace;
use crate::probe::{Address, Network};
use crate::runtime::link::Prefixed;

/// A link of this name is in the network namespace of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkExists {
    /// Whose.
    pub of: String,
    /// The link.
    pub link: String,
}

impl Predicate for LinkExists {
    fn claim(&self) -> String {
        format!("the network namespace of {} has a link {}", self.of, self.link)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let network = network(view, &self.of)?;
        Ok((network.link(&self.link).is_some(), names(network)))
    }
}

/// A link of this name is not in the network namespace of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkGone {
    /// Whose.
    pub of: String,
    /// The link.
    pub link: String,
}

impl Predicate for LinkGone {
    fn claim(&self) -> String {
        format!("the network namespace of {} has no link {}", self.of, self.link)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let network = network(view, &self.of)?;
        Ok((network.link(&self.link).is_none(), names(network)))
    }
}

/// Whether a link is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is.
    Up,
    /// It is not.
    Down,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// A link is up, or down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkState {
    /// Whose.
    pub of: String,
    /// The link.
    pub link: String,
    /// Which of the two.
    pub is: State,
}

impl Predicate for LinkState {
    fn claim(&self) -> String {
        format!("the link {} of {} is {}", self.link, self.of, self.is.word())
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let network = network(view, &self.of)?;
        let link = network.link(&self.link).ok_or_else(|| names(network))?;
        let state = if link.is_up() { State::Up } else { State::Down };
        Ok((state == self.is, format!("{} is {}", self.link, state.word())))
    }
}

/// A link is a port of a bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkMaster {
    /// Whose.
    pub of: String,
    /// The link.
    pub link: String,
    /// The bridge.
    pub is: String,
}

impl Predicate for LinkMaster {
    fn claim(&self) -> String {
        format!("the link {} of {} is a port of {}", self.link, self.of, self.is)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let network = network(view, &self.of)?;
        let link = network.link(&self.link).ok_or_else(|| names(network))?;
        let master = link.master.and_then(|index| network.links.iter().find(|link| link.index == index));
        let seen = master.map_or("it is a port of none".to_owned(), |master| format!("its master is {}", master.name));
        Ok((master.is_some_and(|master| master.name == self.is), seen))
    }
}

/// There is no link but the loopback device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnlyLoopback {
    /// Whose.
    pub of: String,
}

impl Predicate for OnlyLoopback {
    fn claim(&self) -> String {
        format!("the network namespace of {} has a loopback device and no other link", self.of)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let network = network(view, &self.of)?;
        let only = network.links.iter().all(|link| link.kind == "loopback") && network.links.len() == 1;
        Ok((only, names(network)))
    }
}

/// A link has an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressOn {
    /// Whose.
    pub of: String,
    /// The link.
    pub link: String,
    /// The address.
    pub address: Prefixed,
}

impl Predicate for AddressOn {
    fn claim(&self) -> String {
        format!("the link {} of {} has the address {}", self.link, self.of, self.address)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let mine: Vec<_> = addresses(view, &self.of, &self.link)?.map(prefixed).collect();
        Ok((mine.contains(&self.address), listed(&mine)))
    }
}

/// A link has no address, but for one of IPv6 that the kernel makes for each link by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoAddress {
    /// Whose.
    pub of: String,
    /// The link.
    pub link: String,
}

impl Predicate for NoAddress {
    fn claim(&self) -> String {
        format!("the link {} of {} has no address that was given to it", self.link, self.of)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let mine = addresses(view, &self.of, &self.link)?;
        let given: Vec<_> = mine.filter(|address| !address.is_link_local()).map(prefixed).collect();
        Ok((given.is_empty(), listed(&given)))
    }
}

/// A route leads to a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteTo {
    /// Whose.
    pub of: String,
    /// Where to; `0.0.0.0/0` is the default route.
    pub to: Prefixed,
}

impl Predicate for RouteTo {
    fn claim(&self) -> String {
        format!("the network namespace of {} has a route to {}", self.of, self.to)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let network = network(view, &self.of)?;
        let found = routes_to(network, self.to);
        Ok((found > 0, format!("of its {} routes {found} lead there", network.routes.len())))
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
        let listeners = value(Some(&network(view, &self.of)?.listeners))?;
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

/// How many links there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// Whose.
    pub of: String,
}

impl Probe for Links {
    fn words(&self) -> String {
        format!("the number of links in the network namespace of {}", self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        Ok(network(view, &self.of)?.links.len().to_string())
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
        Ok(routes_to(network(view, &self.of)?, self.to).to_string())
    }
}

/// The index of a link in its network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkIndex {
    /// Whose.
    pub of: String,
    /// The link.
    pub link: String,
}

impl Probe for LinkIndex {
    fn words(&self) -> String {
        format!("the index of the link {} of {}", self.link, self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        let network = network(view, &self.of)?;
        network.link(&self.link).map(|link| link.index.to_string()).ok_or_else(|| names(network))
    }
}

/// The flags of a link as `/sys/class/net/LINK/flags` shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkFlags {
    /// Whose.
    pub of: String,
    /// The link.
    pub link: String,
}

impl Probe for LinkFlags {
    fn words(&self) -> String {
        format!("the flags of the link {} of {}, as a file of /sys shows them", self.link, self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        // The kernel keeps RUNNING, LOWER_UP, DORMANT and ECHO apart, and the file does not show them (dev_get_flags).
        const APART: u32 = 0x40 | 0x7_0000;
        let network = network(view, &self.of)?;
        let link = network.link(&self.link).ok_or_else(|| names(network))?;
        Ok(format!("{:#x}", link.flags & !APART))
    }
}

fn network<'a>(view: &View<'a>, of: &str) -> Seen<&'a Network> {
    let net = view.namespace(of, Namespace::Net)?;
    value(view.observation.networks.get(&net))
}

/// The addresses of a link.
fn addresses<'a>(view: &View<'a>, of: &str, link: &str) -> Seen<impl Iterator<Item = &'a Address>> {
    let network = network(view, of)?;
    let index = network.link(link).ok_or_else(|| names(network))?.index;
    Ok(network.addresses.iter().filter(move |address| address.link == index))
}

fn prefixed(address: &Address) -> Prefixed {
    Prefixed { ip: address.ip, prefix: address.prefix }
}

fn listed(addresses: &[Prefixed]) -> String {
    let list = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if list.is_empty() { "it has none".to_owned() } else { format!("it has {list}") }
}

/// How many routes lead to just this network.
fn routes_to(network: &Network, to: Prefixed) -> usize {
    network.routes.iter().filter(|route| (route.to, route.prefix) == (to.ip, to.prefix)).count()
}

fn names(network: &Network) -> String {
    let names: Vec<&str> = network.links.iter().map(|link| link.name.as_str()).collect();
    format!("its links: {}", names.join(", "))
}

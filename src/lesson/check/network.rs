//! Network namespaces: their links and addresses.

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

/// A port of a bridge may send back what came in by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hairpin {
    /// Whose.
    pub of: String,
    /// The port.
    pub link: String,
}

impl Predicate for Hairpin {
    fn claim(&self) -> String {
        format!("the link {} of {} is a port that sends back what came in by it", self.link, self.of)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let network = network(view, &self.of)?;
        let link = network.link(&self.link).ok_or_else(|| names(network))?;
        Ok((link.hairpin, format!("hairpin is {}", if link.hairpin { "on" } else { "off" })))
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

/// The first address that was given to a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressOf {
    /// Whose.
    pub of: String,
    /// The link.
    pub link: String,
}

impl Probe for AddressOf {
    fn words(&self) -> String {
        format!("the address of the link {} of {}", self.link, self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        let mut mine = addresses(view, &self.of, &self.link)?.filter(|address| !address.is_link_local());
        mine.next().map(|address| prefixed(address).to_string()).ok_or_else(|| listed(&[]))
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

pub(super) fn network<'a>(view: &View<'a>, of: &str) -> Seen<&'a Network> {
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

fn names(network: &Network) -> String {
    let names: Vec<&str> = network.links.iter().map(|link| link.name.as_str()).collect();
    format!("its links: {}", names.join(", "))
}

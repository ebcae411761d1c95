//! Network namespaces: their links, addresses and routes, and what keeps them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Predicate, Probe, Seen, View, inode, lives, value};
use crate::kernel::namespace::Namespace;
use crate::probe::{Network, Process};
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
        let network = network(view, &self.of)?;
        let link = network.link(&self.link).ok_or_else(|| names(network))?;
        let mine = network.addresses.iter().filter(|address| address.link == link.index);
        let mine: Vec<Prefixed> = mine.map(|it| Prefixed { ip: it.ip, prefix: it.prefix }).collect();
        let list = mine.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let seen = if mine.is_empty() { "it has none".to_owned() } else { format!("it has {list}") };
        Ok((mine.contains(&self.address), seen))
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
        let found = network.routes.iter().any(|route| (route.to, route.prefix) == (self.to.ip, self.to.prefix));
        Ok((found, format!("it has {} routes", network.routes.len())))
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

/// A namespace is mounted on a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// Which kind.
    pub kind: Namespace,
    /// The file.
    pub at: String,
}

impl Predicate for Pinned {
    fn claim(&self) -> String {
        format!("a {} namespace is mounted on {}", self.kind, self.at)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let pin = pin(view, &self.at)?;
        Ok((pin.0 == self.kind.link(), format!("{}:[{}]", pin.0, pin.1)))
    }
}

/// A process is in the namespace that is mounted on a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InPinned {
    /// Who.
    pub of: String,
    /// Which kind.
    pub kind: Namespace,
    /// The file.
    pub at: String,
}

impl Predicate for InPinned {
    fn claim(&self) -> String {
        format!("{} is in the {} namespace that is mounted on {}", self.of, self.kind, self.at)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let (own, pin) = (view.namespace(&self.of, self.kind)?, pin(view, &self.at)?.1);
        Ok((own == pin, format!("{} is in {own}, mounted is {pin}", self.of)))
    }
}

/// No namespace of a kind is left but that of a process: neither held by another process nor by a mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoOther {
    /// Which kind.
    pub kind: Namespace,
    /// But whose.
    pub than: String,
}

impl Predicate for NoOther {
    fn claim(&self) -> String {
        format!("no {} namespace is left but that of {}", self.kind, self.than)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let own = view.namespace(&self.than, self.kind)?;
        let is_other = |it: &&Process| lives(it) && inode(it, self.kind).is_ok_and(|inode| inode != own);
        if let Some(other) = view.observation.processes.iter().find(is_other) {
            return Ok((false, format!("pid {} {} holds another one", other.pid, other.comm)));
        }
        let pins = &view.observation.pins;
        let pinned = pins.iter().find(|pin| pin.kind == self.kind.link() && pin.inode != own);
        Ok(pinned.map_or((true, "none".to_owned()), |pin| (false, format!("{} holds another one", pin.at))))
    }
}

/// A process shares a namespace with a program of this name, and not with the lab host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SharesWith {
    /// Who.
    pub of: String,
    /// Which kind.
    pub kind: Namespace,
    /// The name of the other's program.
    pub comm: String,
}

impl Predicate for SharesWith {
    fn claim(&self) -> String {
        let Self { of, kind, comm } = self;
        format!("{of} shares its {kind} namespace with `{comm}`, and not with the host")
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let Self { of, kind, comm } = self;
        let (own, host) = (view.namespace(of, *kind)?, view.namespace(crate::runtime::action::HOST, *kind)?);
        let me = view.living(of)?.pid;
        let is_other = |it: &&Process| lives(it) && it.pid != me && it.comm == *comm && inode(it, *kind) == Ok(own);
        let other = view.observation.processes.iter().find(is_other);
        let seen = match other {
            _ if own == host => format!("{of} is in the host's"),
            Some(other) => format!("`{comm}` is pid {}", other.pid),
            None => format!("`{comm}` is not in it"),
        };
        Ok((own != host && other.is_some(), seen))
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

fn names(network: &Network) -> String {
    let names: Vec<&str> = network.links.iter().map(|link| link.name.as_str()).collect();
    format!("its links: {}", names.join(", "))
}

/// Kind and inode of the namespace that is mounted on a file.
fn pin<'a>(view: &View<'a>, at: &str) -> Seen<(&'a str, u64)> {
    // The last mount at a place covers the others.
    let pin = view.observation.pins.iter().rfind(|pin| pin.at == at);
    pin.map(|pin| (pin.kind.as_str(), pin.inode)).ok_or_else(|| format!("no namespace is mounted on {at}"))
}

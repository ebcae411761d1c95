//! What lessons make in the network of the host that outlives them where the machine itself is the host (`--real-host`).
//!
//! In a lab host all of it ends with the network namespace. On the machine a bridge, a table of rules or a setting stays, and hands make
//! them as well as calls do. So before a lesson begins its actions tell what it is going to make. What is there already under such a
//! name is somebody else's, and the lesson does not begin; what is there at the end has been made by the lesson, and is taken away.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::action::{Action, HOST};
use super::ledger::wait_until;
use crate::cni;
use crate::explain::Explanation;
use crate::kernel::enter;
use crate::kernel::namespace::{self, Namespace};
use crate::kernel::netlink::Netlink;
use crate::kernel::nftables::{Family, Nftables};
use crate::kernel::trace::Trace;

/// Settings of a network namespace (proc(5)).
const SETTINGS: &str = "/proc/sys/net/";

/// What the bridge plugin sets where it is a gateway.
const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// One thing that a lesson makes in the host's network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lasting {
    /// A link: a bridge with its ports, or the host's end of a cable.
    Link(String),
    /// A table of nftables.
    Table(Family, String),
    /// The tables that hardway's CNI plugins make for the containers of a network.
    Network(String),
    /// A setting, by its path below `/proc/sys/net`.
    Setting(String),
}

/// The same with what tells it from what was there before, for the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// The inode of the network namespace that it is in.
    netns: u64,
    /// What it is.
    what: Lasting,
    /// Of a setting its value; of a link the highest index of all links. The kernel gives later ones higher indexes.
    was: String,
}

/// What these actions are going to make.
pub fn of<'a>(actions: impl Iterator<Item = &'a Action>) -> BTreeSet<Lasting> {
    actions.flat_map(made_by).collect()
}

fn made_by(action: &Action) -> Vec<Lasting> {
    let link = |name: &String| Lasting::Link(name.clone());
    match action {
        // The one action that others perform upon the host.
        Action::MoveLink(it) if it.to == HOST => vec![link(&it.link)],
        _ if action.mechanism().actor() != HOST => Vec::new(),
        Action::AddBridge(it) => vec![link(&it.link)],
        Action::AddVeth(it) => vec![link(&it.link), link(&it.peer)],
        Action::NftTable(it) => vec![Lasting::Table(it.family, it.table.clone())],
        Action::Write(it) if it.at.starts_with(SETTINGS) => vec![Lasting::Setting(it.at.clone())],
        Action::Write(it) => serde_json::from_str(&it.text).map_or_else(|_| Vec::new(), |text| of_network(&text)),
        _ => Vec::new(),
    }
}

/// What the plugins of a network configuration, or of a list of them, are going to make (the specification's section 1; the reference's
/// words for what its bridge plugin takes).
fn of_network(text: &Value) -> Vec<Lasting> {
    let Some(name) = text["name"].as_str().filter(|_| text["cniVersion"].is_string()) else { return Vec::new() };
    let plugins = text["plugins"].as_array().map_or_else(|| vec![text], |list| list.iter().collect());
    let bridges = plugins.into_iter().filter(|plugin| plugin["type"] == "bridge");
    let bridges = bridges.map(|plugin| Lasting::Link(plugin["bridge"].as_str().unwrap_or("cni0").to_owned()));
    bridges.chain([Lasting::Network(name.to_owned()), Lasting::Setting(FORWARD.to_owned())]).collect()
}

impl Lasting {
    /// What is to be known of it before it is made.
    ///
    /// # Errors
    /// Where there is something of that name already.
    pub fn note(&self) -> Result<Noted, Explanation> {
        let unread = |error: io::Error| {
            Explanation::new("The machine's network could not be read", error.to_string(), "leave --real-host out")
        };
        let taken = |what: String| {
            Err(Explanation::new(
                format!("This lesson makes {what}, and this machine has one"),
                "it belongs to somebody else, and would not be the lesson's to change or to take away",
                "take it away, if it is yours; or leave --real-host out: a lab host has a network of its own",
            ))
        };
        let was = match self {
            Self::Link(name) => {
                let links = Netlink::open().and_then(|mut netlink| netlink.links()).map_err(unread)?;
                if links.iter().any(|link| link.name == *name) {
                    return taken(format!("a link {name}"));
                }
                links.iter().map(|link| link.index).max().unwrap_or_default().to_string()
            }
            Self::Table(..) | Self::Network(_) => match self.tables().map_err(unread)?.first() {
                Some((family, name)) => return taken(format!("a table {family} {name}")),
                None => String::new(),
            },
            // What belongs to a link ends with it.
            Self::Setting(path) => fs::read_to_string(path).unwrap_or_default(),
        };
        Ok(Noted { netns: own_network().map_err(unread)?, what: self.clone(), was })
    }

    /// The tables of that name, or of that network.
    fn tables(&self) -> io::Result<Vec<(Family, String)>> {
        let (family, ours): (Family, Box<dyn Fn(&str) -> bool>) = match self {
            Self::Table(family, own) => (*family, Box::new(move |name| name == own)),
            Self::Network(network) => (Family::Inet, Box::new(move |name| cni::plugins::is_of_network(name, network))),
            Self::Link(_) | Self::Setting(_) => return Ok(Vec::new()),
        };
        let names = Nftables::open()?.table_names(family)?;
        Ok(names.into_iter().filter(|name| ours(name)).map(|name| (family, name)).collect())
    }
}

impl std::fmt::Display for Lasting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link(name) => write!(f, "the link {name}"),
            Self::Table(family, name) => write!(f, "the table {family} {name}"),
            Self::Network(name) => write!(f, "the rules of the CNI network {name}"),
            Self::Setting(path) => write!(f, "what {path} says"),
        }
    }
}

impl Noted {
    /// What it is about.
    pub fn what(&self) -> &Lasting {
        &self.what
    }

    /// Takes it away, wherever its network namespace is by now; whether it is gone. None where there was nothing to do.
    pub fn revert(&self) -> Option<bool> {
        if own_network().ok() == Some(self.netns) {
            return self.revert_here();
        }
        // Where no process is in it any more it has ended, and all that was in it.
        let link = namespace::held_by_a_process(Namespace::Net, self.netns)?;
        enter::in_network(&link, || self.revert_here()).unwrap_or(Some(false))
    }

    fn revert_here(&self) -> Option<bool> {
        match &self.what {
            Lasting::Link(name) => {
                let newest = self.was.parse().unwrap_or(u32::MAX);
                let left = || links_of(name, newest).unwrap_or_default();
                (!left().is_empty()).then(|| {
                    wait_until(|| {
                        let mut trace = Trace::new("keeper");
                        for link in left() {
                            // One end of a cable takes the other along, so some are gone by now.
                            let _ = Netlink::open().map(|mut netlink| netlink.delete_link(&mut trace, &link));
                        }
                        left().is_empty()
                    })
                })
            }
            Lasting::Table(..) | Lasting::Network(_) => {
                let left = || self.what.tables().unwrap_or_default();
                (!left().is_empty()).then(|| {
                    let mut trace = Trace::new("keeper");
                    for (family, name) in left() {
                        let _ = Nftables::open().map(|mut nft| nft.delete_table(&mut trace, family, &name));
                    }
                    left().is_empty()
                })
            }
            Lasting::Setting(path) => {
                let now = fs::read_to_string(path).ok()?;
                (now != self.was && !self.was.is_empty()).then(|| fs::write(path, &self.was).is_ok())
            }
        }
    }
}

/// A link of this name that was made later than the one of this index, with the ports that it has as a bridge: ports first.
fn links_of(name: &str, newest: u32) -> io::Result<Vec<String>> {
    let links = Netlink::open()?.links()?;
    let Some(own) = links.iter().find(|link| link.name == name && link.index > newest) else { return Ok(Vec::new()) };
    let ports =
        links.iter().filter(|link| link.master == Some(own.index) && link.kind == "veth" && link.index > newest);
    Ok(ports.chain([own]).map(|link| link.name.clone()).collect())
}

/// The inode of the network namespace that this process is in.
fn own_network() -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(File::open(Path::new("/proc/thread-self/ns/net"))?.metadata()?.ino())
}

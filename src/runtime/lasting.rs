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
use crate::kernel::machine_network::Filter;
use crate::kernel::namespace::{self, Namespace};
use crate::kernel::netlink::Netlink;
use crate::kernel::nftables::{Family, Nftables, Rule, Statement, Way};
use crate::kernel::trace::Trace;

/// Settings of a network namespace (proc(5)).
const SETTINGS: &str = "/proc/sys/net/";

/// What the bridge plugin sets where it is a gateway.
const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// One thing that a lesson makes in the host's network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lasting {
    /// A bridge, with its ports.
    Bridge(String),
    /// Another link: the host's end of a cable.
    Link(String),
    /// A table of nftables.
    Table(Family, String),
    /// The tables that hardway's CNI plugins make for the containers of a network.
    Network(String),
    /// A setting, by its path below `/proc/sys/net`.
    Setting(String),
    /// A rule at the beginning of somebody's chain, that accepts what comes from a bridge or goes to it.
    Pass {
        /// The family of the table.
        family: Family,
        /// The table.
        table: String,
        /// The chain.
        chain: String,
        /// From the bridge, or to it.
        way: Way,
        /// The bridge.
        link: String,
    },
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
        Action::AddBridge(it) => vec![Lasting::Bridge(it.link.clone())],
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
    let bridges = bridges.map(|plugin| Lasting::Bridge(plugin["bridge"].as_str().unwrap_or("cni0").to_owned()));
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
            Self::Link(name) | Self::Bridge(name) => {
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
            Self::Pass { .. } => String::new(),
        };
        Ok(Noted { netns: own_network().map_err(unread)?, what: self.clone(), was })
    }

    /// The tables of that name, or of that network.
    fn tables(&self) -> io::Result<Vec<(Family, String)>> {
        let family = match self {
            Self::Table(family, _) => *family,
            Self::Network(_) => Family::Inet,
            _ => return Ok(Vec::new()),
        };
        let is_it = |name: &String| match self {
            Self::Table(_, own) => name == own,
            Self::Network(network) => cni::plugins::is_of_network(name, network),
            _ => false,
        };
        let names = Nftables::open()?.table_names(family)?;
        Ok(names.into_iter().filter(is_it).map(|name| (family, name)).collect())
    }
}

/// What lets packets of these bridges through where others drop what they do not know. A lesson's own rules can not: each chain at a hook
/// has its say. The owner's rules stay as they are, and these say whose they are.
pub fn passes(lasting: &BTreeSet<Lasting>, filters: &[Filter]) -> Vec<Lasting> {
    let bridges = lasting.iter().filter_map(|one| match one {
        Lasting::Bridge(link) => Some(link),
        _ => None,
    });
    let ways = bridges.flat_map(|link| [Way::In, Way::Out].map(|way| (link, way)));
    let pass = |(link, way): (&String, Way), filter: &Filter| {
        let Filter { family, table, chain, .. } = filter.clone();
        Lasting::Pass { family, table, chain, way, link: link.clone() }
    };
    ways.flat_map(|way| filters.iter().map(move |filter| pass(way, filter))).collect()
}

impl Lasting {
    /// The rule of [`Self::Pass`].
    fn rule(&self) -> Option<Rule> {
        let Self::Pass { way, link, .. } = self else { return None };
        let of_link = Statement::LinkName { way: *way, not: false, name: link.clone() };
        let statements = vec![of_link, Statement::Counter { packets: 0, bytes: 0 }, Statement::Accept];
        Some(Rule { handle: 0, statements, comment: Some("hardway: a lesson's bridge".to_owned()) })
    }

    /// Makes the rule of [`Self::Pass`]; of others the lesson is the maker.
    ///
    /// # Errors
    /// The errno of nftables.
    pub fn make(&self) -> Result<(), Explanation> {
        let (Self::Pass { family, table, chain, .. }, Some(rule)) = (self, self.rule()) else { return Ok(()) };
        let what = "The lesson's packets could not be let through this machine's firewall";
        let failed = |why: String| Explanation::new(what, format!("{self}: {why}"), "leave --real-host out");
        let mut nftables = Nftables::open().map_err(|error| failed(error.to_string()))?;
        let made = nftables.insert_rule(&mut Trace::new("keeper"), *family, table, chain, &rule);
        made.map_err(|error| failed(error.to_string()))
    }

    /// The numbers of the rules in that chain that are this one.
    fn handles(&self) -> io::Result<Vec<u64>> {
        let (Self::Pass { family, table, chain, .. }, Some(rule)) = (self, self.rule()) else { return Ok(Vec::new()) };
        let ruleset = Nftables::open()?.ruleset()?;
        let rules = ruleset.table(*family, table).and_then(|table| table.chain(chain)).map(|chain| &chain.rules);
        let is_it = |one: &&Rule| one.comment == rule.comment && one.bare().statements == rule.statements;
        Ok(rules.into_iter().flatten().filter(is_it).map(|one| one.handle).collect())
    }
}

impl std::fmt::Display for Lasting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link(name) | Self::Bridge(name) => write!(f, "the link {name}"),
            Self::Table(family, name) => write!(f, "the table {family} {name}"),
            Self::Network(name) => write!(f, "the rules of the CNI network {name}"),
            Self::Setting(path) => write!(f, "what {path} says"),
            Self::Pass { family, table, chain, link, .. } => {
                write!(f, "the rule for {link} in {family} {table} {chain}")
            }
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
            Lasting::Link(name) | Lasting::Bridge(name) => {
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
            Lasting::Pass { family, table, chain, .. } => {
                let left = || self.what.handles().unwrap_or_default();
                (!left().is_empty()).then(|| {
                    let mut trace = Trace::new("keeper");
                    for handle in left() {
                        let _ =
                            Nftables::open().map(|mut nft| nft.delete_rule(&mut trace, *family, table, chain, handle));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::lesson::builtin;

    fn of_text(actions: &str) -> Vec<String> {
        let actions: Vec<Action> = serde_json::from_str(actions).unwrap();
        of(actions.iter()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_in_a_box_ends_with_it() {
        let made = of_text(
            r#"[{"add_bridge":{"in":"box","link":"br1"}}, {"add_veth":{"in":"web","link":"eth0","peer":"web0"}},
            {"move_link":{"in":"web","link":"web0","to":"host"}}, {"nft_table":{"in":"web","table":"own"}},
            {"write":{"in":"web","at":"/proc/sys/net/ipv4/ip_forward","text":"1"}}, {"write":{"in":"host","at":"/lab/x","text":"1"}}]"#,
        );
        assert_eq!(made, ["the link web0"]);
    }

    #[test]
    fn a_network_of_cni_has_bridges_tables_and_a_setting() {
        let list = r#"{\"cniVersion\":\"1.1.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"bridge\",\"bridge\":\"b1\"},{\"type\":\"bridge\"},{\"type\":\"portmap\"}]}"#;
        let made = of_text(&format!(r#"[{{"write":{{"in":"host","at":"/lab/n","text":"{list}"}}}}]"#));
        assert_eq!(
            made,
            [
                "the link b1",
                "the link cni0",
                "the rules of the CNI network n",
                "what /proc/sys/net/ipv4/ip_forward says"
            ]
        );
    }

    /// Addresses and routes end with the link that they are on: so the links of the host must all be told of.
    #[test]
    fn lessons_give_addresses_to_nothing_but_links_that_they_make() {
        for lesson in builtin::all() {
            let actions = || lesson.steps.iter().flat_map(|step| &step.actions);
            let made = of(actions());
            for action in actions() {
                if let Action::AddAddress(it) = action
                    && it.r#in == HOST
                {
                    let link = it.link.clone();
                    let is_told =
                        [Lasting::Bridge(link.clone()), Lasting::Link(link)].iter().any(|one| made.contains(one));
                    assert!(is_told, "{}: {}", lesson.name, it.link);
                }
            }
        }
    }
}

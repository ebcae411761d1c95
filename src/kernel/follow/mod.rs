//! Following a connection: where each of its first packets was seen, hop by hop, and if none came back, where the last was.
//!
//! Every network namespace that can be entered is watched while one TCP connection is opened from this one. For throw-away processes of one
//! thread: it goes from namespace to namespace, and back at last.

mod hop;
mod networks;
mod reason;

use std::fs::File;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use self::hop::{Hop, Seen};
use self::networks::{Network, OWN};
use super::namespace::Namespace;
use super::netlink::{Link, Netlink};
use super::nftables::{Nftables, Ruleset};
use super::packet::{Tap, Way};
use super::sys;
use super::trace::{CallError, Trace};

/// So many hops are told. The way of a connection in a lab host has some ten; one that goes in circles has no end.
const MOST_HOPS: usize = 64;

/// What was seen of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// For people: what is not watched, then a line for each hop, at last what came of it.
    pub lines: Vec<String>,
    /// The call that failed, where there is no connection.
    pub failed: Option<CallError>,
}

/// A network namespace, and what is read there.
struct Watched {
    word: String,
    /// The namespace itself; none for the own one.
    file: Option<File>,
    tap: Tap,
    netlink: Netlink,
    links: Vec<Link>,
    nftables: Option<Nftables>,
    /// As they were before.
    rules: Option<Ruleset>,
}

impl Watched {
    /// In the network namespace that the calling thread is in now.
    fn here(trace: &mut Trace, word: &str, file: Option<File>) -> Result<Self, CallError> {
        let mut netlink = Netlink::open_traced(trace)?;
        let links = netlink.links().unwrap_or_default();
        let mut nftables = Nftables::open().ok();
        let rules = nftables.as_mut().and_then(|nftables| nftables.ruleset().ok());
        Ok(Self { word: word.to_owned(), file, tap: Tap::open(trace)?, netlink, links, nftables, rules })
    }

    /// In another one than `own`, which is where the calling thread is afterwards, unless the outer result is an error.
    fn there(trace: &mut Trace, word: &str, path: &str, own: &File) -> Result<Result<Self, CallError>, CallError> {
        let entered = sys::open_namespace(trace, path).and_then(|file| {
            sys::setns(trace, &file, &[Namespace::Net])?;
            Ok(File::from(file))
        });
        let file = match entered {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        let watched = Self::here(trace, word, Some(file));
        sys::setns(trace, own, &[Namespace::Net])?;
        Ok(watched)
    }

    fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// Namespace, link and direction, as every line has them.
    fn place(&self, hop: &Hop) -> [String; 3] {
        let name = self.link(hop.link).map(|link| link.name.escape_debug().to_string());
        let way = if hop.way == Way::Out { "out" } else { "in" };
        [self.word.clone(), name.unwrap_or_else(|| format!("link {}", hop.link)), way.to_owned()]
    }

    /// Whether a packet that was seen here is for somebody else: a copy that a bridge has sent by all of its ports. A port itself takes whatever comes.
    fn is_strange(&self, hop: &Hop) -> bool {
        hop.way == Way::Other && self.link(hop.link).is_none_or(|link| link.master.is_none())
    }
}

/// Opens a TCP connection and closes it again, as [`sys::connect`] does, and tells where its packets were seen. How it fails is told as well.
///
/// # Errors
/// Where the process could not come back to its own network namespace, or there is no socket to be had.
pub fn follow(trace: &mut Trace, to: SocketAddr) -> Result<Followed, CallError> {
    let mut lines = Vec::new();
    let mut watched = Vec::new();
    let own = File::from(sys::open_namespace(trace, OWN)?);
    let found = networks::find().unwrap_or_default();
    for Network { word, path } in &found.networks {
        let opened = match path {
            Some(path) => Watched::there(trace, word, path, &own)?,
            None => Watched::here(trace, word, None),
        };
        match opened {
            Ok(one) => watched.push(one),
            Err(error) => lines.push(format!("{word} is not watched: {}, {}", error.call.name, error.errno)),
        }
    }
    for (count, what) in [
        (found.hidden, "not watched are network namespaces of processes that do not show theirs"),
        (found.beyond, "not watched are network namespaces beyond the first ones"),
    ] {
        if count > 0 {
            lines.push(format!("{what}: {count}"));
        }
    }
    // At the latest now all are watched. A connection is over, one way or the other, when the call returns.
    let (port, reached) = sys::connect_from_port(trace, to)?;
    let mut seen = Vec::new();
    for (at, network) in watched.iter_mut().enumerate() {
        seen.extend(network.tap.take().iter().filter_map(|frame| Seen::of(at, frame)));
        let missed = network.tap.missed();
        if missed > 0 {
            lines.push(format!("{}: {missed} packets were too many to be looked at", network.word));
        }
    }
    let here = watched.iter().position(|network| network.file.is_none());
    let number = here.and_then(|here| hop::beginning(&seen, here, port, to));
    let hops = number.map(|number| hop::hops(seen, number)).unwrap_or_default();
    lines.extend(table(&watched, &hops));
    lines.push(verdict(&mut watched, here, &hops, to, reached.as_ref().err()));
    Ok(Followed { lines, failed: reached.err() })
}

/// A line for each hop, in columns.
fn table(watched: &[Watched], hops: &[Hop]) -> Vec<String> {
    let rows: Vec<[String; 5]> = hops
        .iter()
        .take(MOST_HOPS)
        .map(|hop| {
            let [word, link, way] = watched[hop.network].place(hop);
            let strange = if watched[hop.network].is_strange(hop) { ", for another hardware address" } else { "" };
            [word, link, way, format!("{} → {}", hop.from, hop.to), format!("{}{strange}", hop.part.words())]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..4).map(width).collect();
    let line = |row: &[String; 5]| {
        let columns = widths.iter().zip(row).map(|(width, cell)| format!("{cell:width$}  ")).collect::<String>();
        format!("{columns}{}", row[4])
    };
    let more = hops.len().saturating_sub(MOST_HOPS);
    rows.iter().map(line).chain((more > 0).then(|| format!("… {more} hops more"))).collect()
}

/// What came of it.
fn verdict(
    watched: &mut [Watched],
    here: Option<usize>,
    hops: &[Hop],
    to: SocketAddr,
    failed: Option<&CallError>,
) -> String {
    let Some(error) = failed else { return "connected: the answer arrived".to_owned() };
    let with = |told: String, reasons: Vec<String>| std::iter::once(told).chain(reasons).collect::<Vec<_>>().join("; ");
    if !error.errno.is_timeout()
        && let Some(first) = hops.iter().find(|hop| hop.part.refuses())
    {
        let [word, link, _] = watched[first.network].place(first);
        let (what, from) = (first.part.words(), first.from);
        return match first.way {
            Way::Out => format!("refused: {word} sent {what}, as {from}"),
            Way::In | Way::Other => format!("refused: {what} of {from} came in at {word} {link}"),
        };
    }
    let reaching = hops.iter().rev().find(|hop| !watched[hop.network].is_strange(hop)).or(hops.last());
    match (reaching, here) {
        (Some(last), _) => {
            let network = &mut watched[last.network];
            let told = format!("last seen at {}: it went no further", network.place(last).join(" "));
            with(told, reason::of(network, last))
        }
        (None, Some(here)) => {
            let network = &mut watched[here];
            let told = format!("no packet of it left {} by any link", network.word);
            with(told, reason::unsent(network, to.ip()))
        }
        (None, None) => "no packet of it was seen, since its own network is not watched".to_owned(),
    }
}

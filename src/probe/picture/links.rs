//! Links, with their addresses and ports.

use std::collections::HashSet;

use super::{Drawing, Entry, Gone, Numbered, Part, Shown, Tone, gone_entry};
use crate::kernel::netlink::Link;
use crate::probe::{ChangeKind, Network};

impl Drawing<'_> {
    /// A link with its addresses.
    pub(super) fn link(
        &self,
        one: &Shown<'_>,
        network: &Network,
        at: usize,
        branch: String,
        [own, addresses]: [&[Numbered<'_>]; 2],
    ) -> Entry {
        let link = &network.links[at];
        let [of_link, of_flags] = [0, 1].map(|at| self.changes.kind(one.inode, own[at].1));
        let mut rows: Vec<usize> = own.iter().map(|(index, _)| *index).collect();
        let mut marks = vec![of_link.clone(), of_flags.clone()];
        let new = of_link.clone().filter(|kind| *kind == ChangeKind::Added);
        let mut parts = vec![Part { text: link.name.clone(), tone: Tone::Name, change: new.clone() }];
        let mut say = |text: String, tone, change: Option<ChangeKind>| parts.push(Part { text, tone, change });
        if link.kind != "veth" {
            if link.kind != "loopback" {
                say(link.kind.clone(), Tone::Plain, new.clone());
            }
            if let Some(below) = link.peer.filter(|peer| *peer != link.index) {
                let known = network.links.iter().find(|it| it.index == below && link.peer_namespace.is_none());
                say(
                    format!("@{}", known.map_or_else(|| format!("if{below}"), |it| it.name.clone())),
                    Tone::Plain,
                    None,
                );
            }
        }
        if link.hairpin {
            say("hairpin".to_owned(), Tone::Plain, None);
        }
        let word = |up| if up { "UP" } else { "DOWN" };
        let was_up = match &of_link {
            Some(ChangeKind::Changed { before }) => before.starts_with("UP"),
            _ => link.is_up(),
        };
        let before = ChangeKind::Changed { before: word(was_up).to_owned() };
        let turned = if was_up == link.is_up() { new } else { Some(before) };
        say(word(link.is_up()).to_owned(), if link.is_up() { Tone::Up } else { Tone::Down }, turned.clone());
        // Those that somebody gave it first; what every loopback device has by itself may be cut.
        let mut all: Vec<_> = network.addresses.iter().zip(addresses).collect();
        all.retain(|(address, _)| address.link == link.index && (self.whole || !address.is_link_local()));
        all.sort_by_key(|(address, _)| address.scope == "host");
        for (address, (index, row)) in all {
            let change = self.changes.kind(one.inode, row);
            say(format!("{}/{}", address.ip, address.prefix), Tone::Plain, change.clone());
            if address.tentative {
                say("tentative".to_owned(), Tone::Warn, None);
            }
            rows.push(*index);
            marks.push(change);
        }
        if link.is_up() && !link.carries() {
            say("NO-CARRIER".to_owned(), Tone::Warn, None);
        } else if let (Some(ChangeKind::Changed { before }), None) = (&of_flags, &turned)
            && link.carries()
            && !before.contains("LOWER_UP")
        {
            let change = ChangeKind::Changed { before: "NO-CARRIER".to_owned() };
            say("LOWER_UP".to_owned(), Tone::Up, Some(change));
        }
        let added = marks.iter().flatten().find(|kind| **kind == ChangeKind::Added);
        let mark = added.or_else(|| marks.iter().flatten().next()).cloned();
        Entry { branch, parts, rows, mark, carries: link.carries(), ..Entry::default() }
    }

    pub(super) fn gone_addresses(&self, lines: &mut Vec<Entry>, gone: &[Gone<'_>], link: &str, branch: &str) {
        for (row, changes) in gone.iter().filter(|(row, _)| row.source.starts_with("RTM_GETADDR")) {
            let Some(address) = row.key.strip_prefix(link).and_then(|rest| rest.strip_prefix(' ')) else { continue };
            if self.whole || !is_made_by_itself(address) {
                let indent = " ".repeat(branch.chars().count() + 2);
                lines.push(gone_entry(indent, vec![address.to_owned()], changes.to_vec()));
            }
        }
    }

    /// Links that are gone, each with the addresses that went with it.
    pub(super) fn gone_links(&self, lines: &mut Vec<Entry>, gone: &[Gone<'_>]) {
        let of_links = || gone.iter().filter(|(row, _)| row.source.starts_with("RTM_GETLINK"));
        let names: HashSet<&str> = of_links().map(|(row, _)| row.key.as_str()).collect();
        let is_flags = |key: &str| key.strip_suffix(" flags").is_some_and(|name| names.contains(name));
        for (row, changes) in of_links().filter(|(row, _)| !is_flags(&row.key)) {
            let mut changes = changes.to_vec();
            let mut words = vec![row.key.clone()];
            for (other, more) in gone {
                let Some(rest) = other.key.strip_prefix(&row.key).and_then(|rest| rest.strip_prefix(' ')) else {
                    continue;
                };
                if other.source.starts_with("RTM_GETADDR") && (self.whole || !is_made_by_itself(rest)) {
                    words.push(rest.to_owned());
                    changes.extend(*more);
                } else if rest == "flags" {
                    changes.extend(*more);
                }
            }
            lines.push(gone_entry(String::new(), words, changes));
        }
    }
}

/// Whether the kernel makes such an address without being asked (RFC 4291, link-local).
fn is_made_by_itself(address: &str) -> bool {
    address.starts_with("fe80:")
}

/// The links in the order in which they are shown, each with its branch: ports below their bridge. Each comes once, whatever
/// their masters say.
pub(super) fn tree(links: &[Link]) -> Vec<(String, usize)> {
    let master = |link: &Link| link.master.filter(|it| *it != link.index && links.iter().any(|one| one.index == *it));
    let mut order = Vec::new();
    let mut seen = HashSet::new();
    // A stack: a learner may put bonds below bridges.
    let mut stack: Vec<(String, usize)> = Vec::new();
    let roots = (0..links.len()).filter(|at| master(&links[*at]).is_none());
    for root in roots.chain(0..links.len()) {
        stack.push((String::new(), root));
        while let Some((branch, at)) = stack.pop() {
            if !seen.insert(at) {
                continue;
            }
            let below: Vec<usize> =
                (0..links.len()).filter(|port| master(&links[*port]) == Some(links[at].index)).collect();
            let indent: String = branch
                .chars()
                .map(|c| {
                    if c == '├' {
                        '│'
                    } else if c == '└' {
                        ' '
                    } else {
                        c
                    }
                })
                .collect();
            for (nth, port) in below.iter().enumerate().rev() {
                let corner = if nth + 1 == below.len() { "└ " } else { "├ " };
                stack.push((format!("{indent}{corner}"), *port));
            }
            order.push((branch, at));
        }
    }
    order
}

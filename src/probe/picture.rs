//! The networks as a picture: each namespace with its links, routes, settings and sockets in a few words each, and which links are
//! the two ends of a cable. The same serves a screen, which draws the cables, and lines that are read aloud.
//!
//! All that is told is told by rows, so that each line can be explained, and marked with what became of it.

mod changes;
mod filter;
mod flows;
mod links;

use std::collections::{BTreeMap, HashMap, HashSet};

use self::changes::Changes;
use super::{Change, ChangeKind, Names, Network, Observation, Panel, Row};
use crate::kernel::namespace::Namespace;

/// All network namespaces of which there are rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// The lab host's own first.
    pub spaces: Vec<Space>,
    /// Namespaces that are gone: the changes that tell of each, as indices, and how it was called.
    pub gone: Vec<(String, Vec<usize>)>,
}

/// One network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// What it is called: by the words of lessons for who is in it, the name of its pin, or pid and program.
    pub name: String,
    /// Whether all of it is new.
    pub new: bool,
    /// What it holds.
    pub lines: Vec<Entry>,
}

impl Space {
    /// The first of the words that it is called by.
    pub fn word(&self) -> &str {
        self.name.split(", ").next().unwrap_or_default()
    }
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Before the words of a port, how it hangs below its bridge: `└ `.
    pub branch: String,
    /// Its words, one after the other.
    pub parts: Vec<Part>,
    /// The rows that it stands for, as indices into all rows.
    pub rows: Vec<usize>,
    /// Where it tells of what is gone: the changes, as indices.
    pub gone: Vec<usize>,
    /// What is to be said of it first.
    pub mark: Option<ChangeKind>,
    /// The other end of its cable.
    pub peer: Peer,
    /// Whether frames could go by it.
    pub carries: bool,
}

/// What a link is connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Peer {
    /// To nothing.
    #[default]
    None,
    /// To the link on this line: the index of its space, and of the line there.
    Line(usize, usize),
    /// To a link that is in none of the spaces, or nobody knows in which.
    Unknown(String),
}

/// Some words of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The words.
    pub text: String,
    /// What they say.
    pub tone: Tone,
    /// What became of them.
    pub change: Option<ChangeKind>,
}

/// What words say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// What a thing is called.
    Name,
    /// What it is.
    Plain,
    /// That something works.
    Up,
    /// That something does not.
    Down,
    /// That something lacks.
    Warn,
}

impl Picture {
    /// The picture of these rows, with these changes; `whole` with what the kernel makes by itself.
    pub fn of(observation: &Observation, names: &Names, rows: &[Row], changes: &[Change], whole: bool) -> Self {
        let drawing = Drawing { observation, names, rows, changes: Changes::of(rows, changes), whole };
        drawing.picture()
    }

    /// A line in words that say where its cable leads: `web:eth0`, of its own namespace `eth0`; none where it has no cable.
    pub fn other_end(&self, space: usize, entry: &Entry) -> Option<String> {
        let Peer::Line(at, line) = entry.peer else { return None };
        let other = self.spaces.get(at)?;
        let name = &other.lines.get(line)?.parts.first()?.text;
        Some(if at == space { name.clone() } else { format!("{}:{name}", other.word()) })
    }
}

/// The network namespace that a row is about. Its source says so, whoever stands for it.
pub fn namespace_of(row: &Row) -> Option<u64> {
    row.source.rsplit_once("net:[")?.1.strip_suffix(']')?.parse().ok()
}

/// A row with its index among all.
type Numbered<'a> = (usize, &'a Row);

/// What is gone: as it was last, and the changes that say so.
type Gone<'a> = (&'a Row, &'a [usize]);

struct Drawing<'a> {
    observation: &'a Observation,
    names: &'a Names,
    rows: &'a [Row],
    changes: Changes<'a>,
    whole: bool,
}

/// A namespace with its rows, as one of those in it has them.
struct Shown<'a> {
    inode: u64,
    subject: &'a str,
    rows: Vec<Numbered<'a>>,
}

impl<'a> Drawing<'a> {
    fn picture(&self) -> Picture {
        let shown = self.shown();
        let mut spaces = Vec::new();
        let mut places: HashMap<(u64, u32), (usize, usize)> = HashMap::new();
        for (at, one) in shown.iter().enumerate() {
            let (mut lines, links) = self.lines(one);
            places.extend(links.into_iter().map(|(index, line)| ((one.inode, index), (at, line))));
            let is_new = |entry: &Entry| entry.mark == Some(ChangeKind::Added);
            let new = lines.first().is_some_and(is_new) && lines.iter().all(is_new);
            lines.extend(self.flows(one));
            spaces.push(Space { name: self.name(one), new, lines });
        }
        for (one, space) in shown.iter().zip(&mut spaces) {
            let Some(network) = self.network(one.inode) else { continue };
            for link in network.links.iter().filter(|link| link.kind == "veth") {
                let Some((_, line)) = places.get(&(one.inode, link.index)) else { continue };
                let place = self.observation.peer(one.inode, link).and_then(|end| places.get(&end));
                space.lines[*line].peer = match (place, link.peer) {
                    (Some((at, line)), _) => Peer::Line(*at, *line),
                    (None, Some(index)) => Peer::Unknown(format!("peer if{index}, elsewhere")),
                    (None, None) => Peer::None,
                };
            }
        }
        Picture { spaces, gone: self.gone(&shown) }
    }

    fn network(&self, inode: u64) -> Option<&'a Network> {
        self.observation.networks.get(&inode)?.value()
    }

    /// The namespaces with rows. Of several who are in one, a box or the host stands for it.
    fn shown(&self) -> Vec<Shown<'a>> {
        let rows: Vec<Numbered<'a>> =
            self.rows.iter().enumerate().filter(|(_, row)| row.panel == Panel::Network).collect();
        let subjects: HashMap<&str, u64> =
            rows.iter().filter_map(|(_, row)| Some((row.subject.as_str(), namespace_of(row)?))).collect();
        let rank = |subject: &str| match subject.split(" (pid ").next() {
            Some("host") => 0,
            Some(word) if self.names.boxes.contains_key(word) => 1,
            Some("shell") => 2,
            _ => 3,
        };
        let mut shown: Vec<Shown<'a>> = Vec::new();
        for (index, row) in rows {
            let Some(inode) = subjects.get(row.subject.as_str()).copied() else { continue };
            match shown.iter_mut().find(|one| one.inode == inode) {
                None => shown.push(Shown { inode, subject: &row.subject, rows: vec![(index, row)] }),
                Some(one) if one.subject == row.subject => one.rows.push((index, row)),
                Some(one) if rank(&row.subject) < rank(one.subject) => {
                    *one = Shown { inode, subject: &row.subject, rows: vec![(index, row)] };
                }
                Some(_) => {}
            }
        }
        let host = self.observation.process(self.names.host).and_then(|it| it.namespaces.inode(Namespace::Net));
        // Those with a name in the order in which they were named, whoever is in them.
        let named = |inode: u64| self.observation.pins.iter().position(|pin| pin.inode == inode).unwrap_or(usize::MAX);
        shown.sort_by_key(|one| (host != Some(one.inode), named(one.inode)));
        shown
    }

    fn name(&self, one: &Shown<'_>) -> String {
        let members = self.observation.members(Namespace::Net, one.inode);
        let words: Vec<&str> = members.filter_map(|it| self.names.of(it.pid)).collect();
        let pinned = || self.observation.pins.iter().filter(|pin| pin.inode == one.inode).find_map(|pin| pin.name());
        match words.as_slice() {
            [] => pinned().unwrap_or(one.subject).to_owned(),
            words => words.join(", "),
        }
    }

    /// The lines of a namespace, and on which of them the links are, by index.
    fn lines(&self, one: &Shown<'a>) -> (Vec<Entry>, Vec<(u32, usize)>) {
        let from = |source: &str| -> Vec<Numbered<'a>> {
            one.rows.iter().filter(|(_, row)| row.source.starts_with(source)).copied().collect()
        };
        let (mut lines, mut places) = (Vec::new(), Vec::new());
        let mut told: HashSet<usize> = HashSet::new();
        let gone = self.changes.gone_from(one.inode);
        // Two rows of each link, and one of each address, in the order in which they were read.
        let (of_links, of_addresses) = (from("RTM_GETLINK"), from("RTM_GETADDR"));
        if let Some(network) = self.network(one.inode).filter(|it| it.links.len() * 2 == of_links.len()) {
            told.extend(of_links.iter().chain(&of_addresses).map(|(index, _)| *index));
            for (branch, at) in links::tree(&network.links) {
                let link = &network.links[at];
                places.push((link.index, lines.len()));
                lines.push(self.link(one, network, at, branch.clone(), [&of_links[2 * at..2 * at + 2], &of_addresses]));
                self.gone_addresses(&mut lines, &gone, &link.name, &branch);
            }
        }
        self.gone_links(&mut lines, &gone);
        let is_filter = |row: &Row| row.source.starts_with("NFT_MSG_");
        let (last, first): (Vec<Numbered<'a>>, Vec<Numbered<'a>>) =
            one.rows.iter().filter(|(index, _)| !told.contains(index)).partition(|(_, row)| is_filter(row));
        let gone_rows = |filter: bool| gone.iter().filter(move |(row, _)| is_filter(row) == filter);
        for (rows, filter) in [(first, false), (last, true)] {
            for (index, row) in rows {
                let change = self.changes.kind(one.inode, row);
                if let Some(entries) = filter::entries(index, row, change.as_ref()).filter(|_| filter) {
                    lines.extend(entries);
                } else if let Some([key, value]) = self.words(row, &row.value) {
                    let part = |text, change| Part { text, tone: Tone::Plain, change };
                    let parts = match &change {
                        Some(ChangeKind::Changed { before }) => {
                            let before = self.words(row, before).map_or_else(|| before.clone(), |[_, value]| value);
                            let [same, before, now] = apart(&before, &value);
                            let same = Some(same).filter(|same| !same.is_empty()).map(|same| part(same, None));
                            let turned = part(now, Some(ChangeKind::Changed { before }));
                            std::iter::once(part(key, None)).chain(same).chain([turned]).collect()
                        }
                        other => vec![part(key, other.clone()), part(value, other.clone())],
                    };
                    lines.push(Entry { parts, rows: vec![index], mark: change, ..Entry::default() });
                }
            }
            for (row, changes) in gone_rows(filter) {
                if let Some(words) = filter::words(row).filter(|_| filter) {
                    lines.push(gone_entry(String::new(), words, changes.to_vec()));
                    continue;
                }
                let own = row.source.starts_with("RTM_GETLINK") || row.value == "none";
                if let Some([key, value]) = self.words(row, &row.value).filter(|_| !own) {
                    lines.push(gone_entry(String::new(), vec![key, value], changes.to_vec()));
                }
            }
        }
        (lines, places)
    }

    /// Key and value of a row in short; none where it is not shown.
    fn words(&self, row: &Row, value: &str) -> Option<[String; 2]> {
        if row.source.starts_with("RTM_GETROUTE") && row.key != "routes" {
            let by_itself = row.key.starts_with("to fe80:") || row.key.starts_with("to ff00:");
            if value.ends_with("table local") || (by_itself && !self.whole) {
                return None;
            }
            let to = row.key.strip_prefix("to ").unwrap_or(&row.key);
            return Some([to.split(" #").next().unwrap_or(to).to_owned(), route(value)]);
        }
        // Who pinned it and how is for those who ask; what comes and goes by itself stands below, where all rows are shown.
        let is_aside =
            row.passing || row.source.starts_with("RTM_GETADDR") || (namespace_of(row).is_none() && !self.whole);
        (!is_aside).then(|| [row.key.clone(), value.to_owned()])
    }

    /// Namespaces that are gone as a whole.
    fn gone(&self, shown: &[Shown<'_>]) -> Vec<(String, Vec<usize>)> {
        let mut all: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for ((inode, _), changes) in &self.changes.gone {
            if self.network(*inode).is_none() && shown.iter().all(|one| one.inode != *inode) {
                all.entry(*inode).or_default().extend(changes);
            }
        }
        let called = |changes: Vec<usize>| (self.changes.all[changes[0]].row.subject.clone(), changes);
        all.into_values().map(called).collect()
    }
}

/// `via 10.12.0.1`, or `dev br0`; and what sets it apart from others to the same place.
fn route(value: &str) -> String {
    let words: Vec<&str> = value.split(' ').collect();
    let after = |word: &str| words.iter().position(|it| *it == word).and_then(|at| words.get(at + 1));
    let by = ["via", "dev"].into_iter().find_map(|word| after(word).map(|it| format!("{word} {it}")));
    // The kernel gives each of its own routes of IPv6 the same one.
    let metric = after("metric").filter(|_| after("proto") != Some(&"kernel")).map(|it| format!("metric {it}"));
    let table = after("table").map(|it| format!("table {it}"));
    [by, metric, table].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// What two values begin with alike, word by word, and the rest of each: of a long rule the counter is what moves.
fn apart(before: &str, now: &str) -> [String; 3] {
    let [before, now] = [before, now].map(|text| text.split(' ').collect::<Vec<_>>());
    let alike = before.iter().zip(&now).take_while(|(one, other)| one == other).count();
    // Where one is all that the other begins with, its last word is told, so that there is something to tell.
    let alike = alike.min(before.len() - 1).min(now.len() - 1);
    [now[..alike].join(" "), before[alike..].join(" "), now[alike..].join(" ")]
}

fn gone_entry(branch: String, words: Vec<String>, gone: Vec<usize>) -> Entry {
    let removed = Some(ChangeKind::Removed);
    let part = |text| Part { text, tone: Tone::Plain, change: Some(ChangeKind::Removed) };
    Entry { branch, parts: words.into_iter().map(part).collect(), gone, mark: removed, ..Entry::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Reading;

    fn row(subject: &str, key: &str, value: &str, source: &str) -> Row {
        let text = |text: &str| text.to_owned();
        Row {
            panel: Panel::Network,
            subject: text(subject),
            key: text(key),
            value: text(value),
            source: text(source),
            command: String::new(),
            meaning: String::new(),
            passing: false,
        }
    }

    #[test]
    fn of_a_long_value_what_moved_is_told() {
        let told = |before, now| apart(before, now).join("|");
        assert_eq!(
            told("masquerade packets 0 bytes 0", "masquerade packets 3 bytes 252"),
            "masquerade packets|0 bytes 0|3 bytes 252"
        );
        assert_eq!(told("0", "1"), "|0|1");
        assert_eq!(told("ESTAB", "ESTAB TIME-WAIT"), "|ESTAB|ESTAB TIME-WAIT");
        assert_eq!(route("via 10.0.0.1 dev eth0 proto static metric 100 table 7"), "via 10.0.0.1 metric 100 table 7");
        assert_eq!(route("dev eth0 proto kernel metric 256"), "dev eth0");
    }

    #[test]
    fn what_went_with_a_link_is_one_line_and_a_namespace_that_went_another() {
        let here = "RTM_GETLINK dump in net:[7]";
        let rows = [row("host (pid 1)", "lo", "UP", here), row("host (pid 1)", "nothing", "to read", here)];
        let gone = [
            row("host (pid 1)", "web0", "UP veth", here),
            row("host (pid 1)", "web0 flags", "<UP>", here),
            row("host (pid 1)", "web0 10.0.0.1/24", "scope global", "RTM_GETADDR dump in net:[7]"),
            row("host (pid 1)", "to 10.0.0.0/24", "dev web0 proto kernel", "RTM_GETROUTE dump in net:[7]"),
            row("host (pid 1)", "local 10.0.0.1", "dev web0 proto kernel table local", "RTM_GETROUTE dump in net:[7]"),
            row("db (pid 9)", "lo", "DOWN", "RTM_GETLINK dump in net:[8]"),
        ];
        let changes = gone.map(|row| Change { kind: ChangeKind::Removed, row });
        let mut observation = Observation::default();
        observation.networks.insert(7, Reading::Missing("EPERM".parse().expect("a name")));
        let picture = Picture::of(&observation, &Names::default(), &rows, &changes, false);
        let words = |entry: &Entry| entry.parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(" ");
        let told: Vec<(String, Vec<usize>)> =
            picture.spaces[0].lines.iter().map(|entry| (words(entry), entry.gone.clone())).collect();
        let expected = [
            ("web0 10.0.0.1/24", vec![0, 2, 1]),
            ("lo UP", vec![]),
            ("nothing to read", vec![]),
            ("10.0.0.0/24 dev web0", vec![3]),
        ];
        assert_eq!(told, expected.map(|(words, gone)| (words.to_owned(), gone)));
        assert_eq!(picture.gone, [("db (pid 9)".to_owned(), vec![5])]);
    }
}

//! What became of the things in network namespaces, by namespace and not by who stands for it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Gone, namespace_of};
use crate::kernel::namespace::Namespace;
use crate::probe::{Change, ChangeKind, Panel, Row};

/// By namespace and key what was there and is not any more under the name by which it went.
pub(super) struct Changes<'a> {
    pub all: &'a [Change],
    of_row: HashMap<(&'a str, &'a str), &'a ChangeKind>,
    pub gone: BTreeMap<(u64, &'a str), Vec<usize>>,
    /// Those who are in another namespace now: what their rows said before was said of the other one.
    moved: HashSet<&'a str>,
    now: HashSet<(u64, &'a str)>,
}

impl<'a> Changes<'a> {
    pub fn of(rows: &'a [Row], all: &'a [Change]) -> Self {
        let mut this = Self {
            all,
            of_row: HashMap::new(),
            gone: BTreeMap::new(),
            moved: HashSet::new(),
            now: rows.iter().filter_map(|row| Some((namespace_of(row)?, row.key.as_str()))).collect(),
        };
        for (at, Change { kind, row }) in all.iter().enumerate() {
            match (row.panel, kind, namespace_of(row)) {
                (Panel::Network, ChangeKind::Removed, Some(inode)) => {
                    this.gone.entry((inode, &row.key)).or_default().push(at);
                }
                (Panel::Network, kind, _) => {
                    this.of_row.insert((&row.subject, &row.key), kind);
                }
                (Panel::Namespaces, ChangeKind::Changed { .. }, _) if row.key == Namespace::Net.link() => {
                    this.moved.insert(&row.subject);
                }
                _ => {}
            }
        }
        this
    }

    /// What became of a row; that somebody else stands for its namespace now is no change of it.
    pub fn kind(&self, inode: u64, row: &Row) -> Option<ChangeKind> {
        if let Some(at) = self.gone.get(&(inode, row.key.as_str())).and_then(|list| list.first()) {
            let before = &self.all[*at].row.value;
            return (*before != row.value).then(|| ChangeKind::Changed { before: before.clone() });
        }
        if self.moved.contains(row.subject.as_str()) {
            return Some(ChangeKind::Added);
        }
        self.of_row.get(&(row.subject.as_str(), row.key.as_str())).map(|kind| (*kind).clone())
    }

    /// What is gone from a namespace: key, row, and the changes that say so.
    pub fn gone_from(&self, inode: u64) -> Vec<Gone<'_>> {
        let here = self.gone.range((inode, "")..).take_while(|((at, _), _)| *at == inode);
        here.filter(|(key, _)| !self.now.contains(*key)).map(|(_, list)| (&self.all[list[0]].row, &list[..])).collect()
    }
}

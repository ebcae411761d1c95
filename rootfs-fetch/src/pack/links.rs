//! Hard links between names of which both trees have the same: which of them are to be in the layer nevertheless.

use std::collections::{BTreeMap, BTreeSet};

use super::name::Name;

type Id = (u64, u64);

/// A name with others, in one of the trees or in both.
struct Link {
    lower: Option<Id>,
    changed: bool,
}

/// The names that have, or may have, others for the same inode.
#[derive(Default)]
pub(super) struct Links {
    /// By inode of the upper tree. The first name decides in which order: an inode has another number in each copy.
    upper: BTreeMap<Id, BTreeMap<Name, Link>>,
}

impl Links {
    /// Notes a name: its inode in the upper tree, that in the lower where it has one, and whether it is in the layer anyhow.
    pub fn note(&mut self, name: Name, upper: Id, lower: Option<Id>, changed: bool) {
        self.upper.entry(upper).or_default().insert(name, Link { lower, changed });
    }

    /// The names that have to be in the layer besides those that were noted as changed.
    ///
    /// In a layer there is a hard link only to what is in the same layer. So the names of one inode are in it together, or none is; and none
    /// only where the lower tree has them as names of one inode too, and of one that keeps no other name.
    pub fn changed(self) -> Vec<Name> {
        let mut kept: BTreeMap<Id, BTreeSet<Name>> = BTreeMap::new();
        for (name, link) in self.upper.values().flatten() {
            if let (Some(lower), false) = (link.lower, link.changed) {
                kept.entry(lower).or_default().insert(name.clone());
            }
        }
        let mut groups: Vec<_> = self.upper.into_values().collect();
        groups.sort_by(|one, other| one.keys().cmp(other.keys()));
        let mut changed = Vec::new();
        for group in groups {
            let lower = group.values().next().and_then(|link| link.lower);
            let same = group.values().all(|link| link.lower == lower && !link.changed);
            let alone = lower.and_then(|lower| kept.get(&lower)).is_some_and(|kept| kept.iter().eq(group.keys()));
            if same && alone {
                continue;
            }
            for (name, link) in group {
                if let Some(kept) = link.lower.and_then(|lower| kept.get_mut(&lower)) {
                    kept.remove(&name);
                }
                changed.push(name);
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The names that a layer has of these: each with its inode above, its inode below, and whether it is changed by itself.
    fn changed(names: &[(&str, u64, u64, bool)]) -> String {
        let mut links = Links::default();
        for (name, upper, lower, changed) in names {
            let lower = Some((0, *lower)).filter(|(_, lower)| *lower > 0);
            links.note(Name::there(Path::new(name)).expect("a name"), (0, *upper), lower, *changed);
        }
        let mut changed = links.changed();
        changed.sort();
        changed.iter().map(|name| name.path().display().to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn groups_that_are_the_same_are_not_in_the_layer() {
        assert_eq!(changed(&[("a", 1, 11, false), ("b", 1, 11, false), ("c", 2, 12, false)]), "");
        // Another name of it was deleted, or became another file.
        assert_eq!(changed(&[("a", 1, 11, false)]), "");
        assert_eq!(changed(&[("a", 1, 11, false), ("b", 2, 11, true)]), "b");
    }

    #[test]
    fn groups_that_are_others_are_there_as_a_whole() {
        assert_eq!(changed(&[("a", 1, 11, false), ("b", 1, 0, true)]), "a b");
        assert_eq!(changed(&[("a", 1, 11, false), ("b", 1, 12, false)]), "a b");
        assert_eq!(changed(&[("a", 1, 11, false), ("b", 1, 11, true)]), "a b");
        // Two that were one: it is enough that one of them leaves.
        assert_eq!(changed(&[("a", 1, 11, false), ("b", 2, 11, false)]), "a");
        assert_eq!(changed(&[("a", 2, 11, false), ("b", 1, 11, false), ("c", 1, 11, false)]), "a");
    }
}

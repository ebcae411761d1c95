//! What changed between two observations.

use serde::{Deserialize, Serialize};

use super::Row;

/// How a row changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The row was not there before.
    Added,
    /// The value was another one.
    Changed {
        /// The value before.
        before: String,
    },
    /// The row is gone; `row` holds what it last said.
    Removed,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// How it changed.
    pub kind: ChangeKind,
    /// The row as it is now, or was last.
    pub row: Row,
}

/// The differences from `before` to `after`, in the order of the rows, removed ones last. What comes and goes by itself is none.
pub fn diff(before: &[Row], after: &[Row]) -> Vec<Change> {
    use std::collections::HashMap;
    let stays = |row: &&Row| !row.passing;
    let old: HashMap<_, _> = before.iter().filter(stays).map(|row| (row.identity(), row)).collect();
    let new: HashMap<_, _> = after.iter().filter(stays).map(|row| (row.identity(), row)).collect();
    let mut changes: Vec<Change> = Vec::new();
    for row in after.iter().filter(stays) {
        match old.get(&row.identity()) {
            None => changes.push(Change { kind: ChangeKind::Added, row: row.clone() }),
            Some(was) if was.value != row.value => {
                changes.push(Change { kind: ChangeKind::Changed { before: was.value.clone() }, row: row.clone() });
            }
            Some(_) => {}
        }
    }
    for row in before.iter().filter(stays) {
        if !new.contains_key(&row.identity()) {
            changes.push(Change { kind: ChangeKind::Removed, row: row.clone() });
        }
    }
    changes
}

/// The changes that are told together, by their places in the list: all rows of one subject in one panel that came, or that
/// went.
pub fn groups(changes: &[Change]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        let together = |group: &Vec<usize>| {
            let first = &changes[group[0]];
            !matches!(change.kind, ChangeKind::Changed { .. })
                && first.kind == change.kind
                && first.row.panel == change.row.panel
                && first.row.subject == change.row.subject
        };
        match groups.last_mut().filter(|group| together(group)) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{Change, ChangeKind, Row, diff};
    use crate::probe::Panel;

    fn row(panel: Panel, subject: &str, key: &str, value: &str) -> Row {
        let text = String::new;
        Row {
            panel,
            subject: subject.to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
            source: text(),
            command: text(),
            meaning: text(),
            passing: false,
        }
    }

    /// Rows with different identities, in any order; few names, so that two such lists have much in common.
    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let one = (0usize..Panel::ALL.len(), "[ab]", "[xyz]", "[0-3]");
        proptest::collection::vec(one, 0..24).prop_map(|list| {
            let mut rows: Vec<Row> = Vec::new();
            for (panel, subject, key, value) in list {
                let new = row(Panel::ALL[panel], &subject, &key, &value);
                if rows.iter().all(|it| it.identity() != new.identity()) {
                    rows.push(new);
                }
            }
            rows
        })
    }

    type Set = BTreeMap<(Panel, String, String), Row>;

    fn set(rows: &[Row]) -> Set {
        rows.iter().map(|it| ((it.panel, it.subject.clone(), it.key.clone()), it.clone())).collect()
    }

    /// What the changes make of the rows that they were taken from.
    fn apply(before: &[Row], changes: &[Change]) -> Set {
        let mut now = set(before);
        for Change { kind, row } in changes {
            let key = (row.panel, row.subject.clone(), row.key.clone());
            match kind {
                ChangeKind::Added => assert_eq!(now.insert(key, row.clone()), None, "added, but it was there"),
                ChangeKind::Changed { before } => {
                    let old = now.insert(key, row.clone()).expect("changed, but it was not there");
                    assert_eq!(&old.value, before);
                }
                ChangeKind::Removed => assert_eq!(now.remove(&key).as_ref(), Some(row), "removed as it was last"),
            }
        }
        now
    }

    #[test]
    fn added_changed_removed_in_the_order_of_the_rows() {
        let before = [row(Panel::Mounts, "box", "/a", "1"), row(Panel::Hostname, "box", "hostname", "lab")];
        let after = [row(Panel::Hostname, "box", "hostname", "web"), row(Panel::Mounts, "box", "/b", "1")];
        let kinds: Vec<(ChangeKind, String)> =
            diff(&before, &after).into_iter().map(|it| (it.kind, it.row.key)).collect();
        let changed = ChangeKind::Changed { before: "lab".to_owned() };
        assert_eq!(
            kinds,
            [
                (changed, "hostname".to_owned()),
                (ChangeKind::Added, "/b".to_owned()),
                (ChangeKind::Removed, "/a".to_owned())
            ]
        );
    }

    #[test]
    fn another_source_alone_is_no_change() {
        let before = row(Panel::Mounts, "box", "/a", "1");
        let after = Row { source: "/proc/3/mountinfo".to_owned(), ..before.clone() };
        assert_eq!(diff(&[before], &[after]), []);
    }

    #[test]
    fn what_comes_and_goes_by_itself_is_no_change_until_it_stays() {
        let stays = row(Panel::Network, "box", "neighbour 10.0.0.1", "PERMANENT");
        let passing = |value: &str| vec![Row { value: value.to_owned(), passing: true, ..stays.clone() }];
        for (before, after) in
            [(vec![], passing("STALE")), (passing("STALE"), passing("PROBE")), (passing("STALE"), vec![])]
        {
            assert_eq!(diff(&before, &after), []);
        }
        let stays = [stays.clone()];
        let kinds =
            |before: &[Row], after: &[Row]| diff(before, after).into_iter().map(|it| it.kind).collect::<Vec<_>>();
        assert_eq!(kinds(&passing("STALE"), &stays), [ChangeKind::Added]);
        assert_eq!(kinds(&stays, &passing("STALE")), [ChangeKind::Removed]);
    }

    proptest! {
        #[test]
        fn nothing_changes_without_a_change(rows in rows()) {
            prop_assert_eq!(diff(&rows, &rows), []);
        }

        #[test]
        fn applied_to_the_one_it_gives_the_other(before in rows(), after in rows()) {
            prop_assert_eq!(apply(&before, &diff(&before, &after)), set(&after));
        }
    }
}

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

/// The differences from `before` to `after`, in the order of the rows, removed ones last.
pub fn diff(before: &[Row], after: &[Row]) -> Vec<Change> {
    use std::collections::HashMap;
    let old: HashMap<_, _> = before.iter().map(|row| (row.identity(), row)).collect();
    let new: HashMap<_, _> = after.iter().map(|row| (row.identity(), row)).collect();
    let mut changes: Vec<Change> = Vec::new();
    for row in after {
        match old.get(&row.identity()) {
            None => changes.push(Change { kind: ChangeKind::Added, row: row.clone() }),
            Some(was) if was.value != row.value => {
                changes.push(Change { kind: ChangeKind::Changed { before: was.value.clone() }, row: row.clone() })
            }
            Some(_) => {}
        }
    }
    for row in before {
        if !new.contains_key(&row.identity()) {
            changes.push(Change { kind: ChangeKind::Removed, row: row.clone() });
        }
    }
    changes
}

//! The namespaces of a process: the links of `/proc/PID/ns` (namespaces(7)).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Reading;
use crate::kernel::namespace::Namespace;

/// Inode number of each namespace link of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces(pub BTreeMap<Namespace, Reading<u64>>);

impl Namespaces {
    /// The inode of one link, where it could be read.
    pub fn inode(&self, kind: Namespace) -> Option<u64> {
        self.0.get(&kind).and_then(|reading| reading.value().copied())
    }
}

//! What mounts have in common. Every box with a mount namespace of its own has a copy of each mount, of which only the ids and the
//! propagation differ; the rest, which is most of the text, is read, kept and sent once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Mount, Mounted, number, unescape};
use crate::probe::Reading;

/// The mounts of all mount namespaces, by inode.
type All = BTreeMap<u64, Reading<Vec<Mount>>>;

/// What was read already, by the text of it.
#[derive(Debug, Default)]
pub struct Known {
    read: HashMap<Vec<u8>, Arc<Mounted>>,
    /// The text that is looked for; kept for its room.
    text: Vec<u8>,
}

impl Known {
    /// Parses a whole mountinfo file.
    ///
    /// # Errors
    /// The first line that can not be understood, made readable and cut.
    pub fn mountinfo(&mut self, text: &[u8]) -> Result<Vec<Mount>, String> {
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let readable = |line: &[u8]| String::from_utf8_lossy(line.get(..200).unwrap_or(line)).into_owned();
        lines.map(|line| self.line(line).ok_or_else(|| readable(line))).collect()
    }

    /// One line of it: between the options and a lone `-` stand any number of optional fields.
    pub(super) fn line(&mut self, line: &[u8]) -> Option<Mount> {
        let mut fields = line.split(|byte| *byte == b' ');
        let id = number(fields.next()?)?;
        let parent = number(fields.next()?)?;
        self.text.clear();
        for _ in 0..4 {
            self.text.extend_from_slice(fields.next()?);
            self.text.push(b' ');
        }
        let mut propagation = Vec::new();
        loop {
            match fields.next()? {
                b"-" => break,
                field => propagation.push(unescape(field)),
            }
        }
        for field in fields {
            self.text.extend_from_slice(field);
            self.text.push(b' ');
        }
        let mounted = match self.read.get(&self.text) {
            Some(known) => Arc::clone(known),
            None => {
                let new = Arc::new(Mounted::parse(self.text.strip_suffix(b" ")?)?);
                self.read.insert(self.text.clone(), Arc::clone(&new));
                new
            }
        };
        Some(Mount { id, parent, propagation, mounted })
    }
}

/// How all mounts travel: a table of what is mounted, and mounts with their place in it.
#[derive(Serialize, Deserialize)]
struct Table<Mounted, Propagation> {
    mounted: Vec<Mounted>,
    mounts: BTreeMap<u64, Reading<Vec<Line<Propagation>>>>,
}

/// Id, parent, propagation, and the place in the table.
type Line<Propagation> = (u32, u32, Propagation, usize);

/// Serialises the mounts of all namespaces.
///
/// # Errors
/// Those of the serialiser.
pub fn serialize<S: Serializer>(all: &All, serializer: S) -> Result<S::Ok, S::Error> {
    let mut table = Table { mounted: Vec::new(), mounts: BTreeMap::new() };
    let mut places = HashMap::new();
    for (inode, reading) in all {
        let rows = reading.as_ref().map(|list| {
            let mut rows = Vec::with_capacity(list.len());
            for mount in list {
                let next = table.mounted.len();
                let place = *places.entry(Arc::as_ptr(&mount.mounted)).or_insert(next);
                if place == next {
                    table.mounted.push(&*mount.mounted);
                }
                rows.push((mount.id, mount.parent, mount.propagation.as_slice(), place));
            }
            rows
        });
        table.mounts.insert(*inode, rows);
    }
    table.serialize(serializer)
}

/// Brings back what [`serialize`] made.
///
/// # Errors
/// Those of the deserialiser; a place that the table does not have.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<All, D::Error> {
    let table: Table<Mounted, Vec<String>> = Table::deserialize(deserializer)?;
    let mounted: Vec<Arc<Mounted>> = table.mounted.into_iter().map(Arc::new).collect();
    let mut all = All::new();
    for (inode, reading) in table.mounts {
        let missing = |place: usize| D::Error::custom(format!("no mount {place} in the table"));
        let mount = |(id, parent, propagation, place): Line<Vec<String>>| {
            let mounted = mounted.get(place).map(Arc::clone).ok_or_else(|| missing(place))?;
            Ok(Mount { id, parent, propagation, mounted })
        };
        let reading = match reading {
            Reading::Value(rows) => Reading::Value(rows.into_iter().map(mount).collect::<Result<_, D::Error>>()?),
            Reading::Missing(errno) => Reading::Missing(errno),
            Reading::Unreadable(text) => Reading::Unreadable(text),
        };
        all.insert(inode, reading);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::kernel::errno::Errno;
    use crate::probe::Observation;

    const TEXT: &[u8] = b"1 0 0:1 / / rw shared:1 - tmpfs t rw\n2 1 0:2 / /proc rw - proc proc rw\n";

    #[test]
    fn what_differs_by_ids_alone_is_read_and_sent_once() {
        let mut known = Known::default();
        let here = known.mountinfo(TEXT).unwrap();
        let there = known.mountinfo(b"8 7 0:1 / / rw - tmpfs t rw\n9 8 0:2 / /proc ro - proc proc rw\n").unwrap();
        assert!(Arc::ptr_eq(&here[0].mounted, &there[0].mounted));
        assert!(!Arc::ptr_eq(&here[1].mounted, &there[1].mounted), "their options differ");
        let missing = Reading::Missing(Errno::from(&std::io::Error::from_raw_os_error(libc::EACCES)));
        let mounts = BTreeMap::from([(1, Reading::Value(here)), (2, Reading::Value(there)), (3, missing)]);
        let seen = Observation { mounts, ..Observation::default() };
        let text = serde_json::to_string(&seen).unwrap();
        assert_eq!(text.matches("tmpfs").count(), 1, "{text}");
        assert_eq!(serde_json::from_str::<Observation>(&text).unwrap(), seen);
    }

    #[test]
    fn a_place_beyond_the_table_is_refused() {
        let mounts = BTreeMap::from([(1, Reading::Value(Known::default().mountinfo(TEXT).unwrap()))]);
        let text = serde_json::to_string(&Observation { mounts, ..Observation::default() }).unwrap();
        let odd = text.replace("[2,1,[],1]", "[2,1,[],2]");
        assert_ne!(text, odd);
        assert!(serde_json::from_str::<Observation>(&odd).unwrap_err().to_string().contains("no mount 2"));
    }
}

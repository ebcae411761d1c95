//! The same id under two numbers: what a process in a user namespace of its own is told, and who owns files there
//! (user_namespaces(7)).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::credentials::IdMap;
use super::rows::{Sheet, quote};
use super::{Names, Observation, Panel, Process, Reading};
use crate::kernel::namespace::Namespace;

/// The most files whose owners are read.
const MAX_FILES: usize = 32;

/// The ids that the kernel shows for one without a map (proc_sys_kernel(5), overflowuid and overflowgid).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overflow {
    /// For users.
    pub uid: u32,
    /// For groups.
    pub gid: u32,
}

impl Overflow {
    /// Reads `sys/kernel/overflowuid` and `overflowgid` of a proc.
    pub(super) fn read(proc: &Path) -> Reading<Self> {
        let number = |name: &str| -> io::Result<u32> {
            let text = fs::read_to_string(proc.join("sys/kernel").join(name))?;
            text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
        };
        let both = || Ok(Self { uid: number("overflowuid")?, gid: number("overflowgid")? });
        Reading::from(both())
    }
}

/// Who owns a file, in the numbers of the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// The owners of what is in a directory, by path: the first [`MAX_FILES`] names (lstat(2)).
pub(super) fn owners(directory: &Path) -> BTreeMap<String, Owner> {
    let Ok(entries) = fs::read_dir(directory) else { return BTreeMap::new() };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).take(4096).collect();
    paths.sort_unstable();
    let owner = |path: &Path| {
        let found = fs::symlink_metadata(path).ok()?;
        Some((path.to_string_lossy().into_owned(), Owner { uid: found.uid(), gid: found.gid() }))
    };
    paths.iter().take(MAX_FILES).filter_map(|path| owner(path)).collect()
}

/// An id as a process is told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inside {
    /// The number.
    pub number: u32,
    /// Whether it stands for an id without a map.
    pub unmapped: bool,
}

/// An id of the reader's through a map; the overflow id where the map has no place for it.
pub fn through(map: &[IdMap], id: u32, overflow: u32) -> Inside {
    let line = map.iter().find(|line| id >= line.outside && id - line.outside < line.count);
    let found = line.and_then(|line| line.inside.checked_add(id - line.outside));
    Inside { number: found.unwrap_or(overflow), unmapped: found.is_none() }
}

/// Effective user and group id of a process as it is told them itself; none for one in the lab host's own user namespace,
/// where the reader is told the same, and where a map could not be read.
pub fn seen_inside(observation: &Observation, names: &Names, process: &Process) -> Option<(Inside, Inside)> {
    let it = &process.credentials;
    Some((
        told(observation, names, process, it.uid[1])?,
        through(it.gid_map.value()?, it.gid[1], observation.overflow.as_ref()?.value()?.gid),
    ))
}

/// A user id of the reader's as a process in another user namespace is told it.
fn told(observation: &Observation, names: &Names, process: &Process, uid: u32) -> Option<Inside> {
    let host = observation.process(names.host)?.namespaces.inode(Namespace::User)?;
    let own = process.namespaces.inode(Namespace::User)?;
    let map = process.credentials.uid_map.value()?;
    (own != host).then_some(())?;
    Some(through(map, uid, observation.overflow.as_ref()?.value()?.uid))
}

/// The rows on files: their owner as the lab host knows it, and as each box in a user namespace of its own is told.
pub(super) fn rows(sheet: &mut Sheet<'_>) {
    let (observation, names) = (sheet.observation, sheet.names);
    let boxes: Vec<(&str, &Process)> = names
        .boxes
        .iter()
        .map(|(name, pid)| (name.as_str(), *pid))
        .chain(names.subject.filter(|pid| names.of(*pid).is_none()).map(|pid| ("your shell", pid)))
        .filter_map(|(name, pid)| Some((name, observation.process(pid)?)))
        .collect();
    for (path, owner) in &observation.files {
        let word = quote(path);
        let mut about = sheet.about_thing(Panel::Credentials, path.clone());
        let source = format!("lstat(2) of {path}");
        let command = format!("stat -c %u {word}");
        about.row("owner", owner.uid.to_string(), source.clone(), command, "The user that the file belongs to.");
        for (name, process) in &boxes {
            let Some(inside) = told(observation, names, process, owner.uid) else { continue };
            let pid = process.pid;
            let source = format!("{source}, through /proc/{pid}/uid_map");
            let command = format!("nsenter --target {pid} --user --preserve-credentials stat -c %u {word}");
            let meaning = "The same owner, as a process in that user namespace is told.";
            about.row(&format!("owner for {name}"), inside.number.to_string(), source, command, meaning);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{IdMap, Inside, through};

    fn map(inside: u32, outside: u32, count: u32) -> IdMap {
        IdMap { inside, outside, count }
    }

    #[test]
    fn an_id_without_a_map_is_the_overflow_id() {
        let maps = [map(0, 1000, 1), map(1, 100_000, 65_536)];
        let mapped = |number| Inside { number, unmapped: false };
        assert_eq!(through(&maps, 1000, 65_534), mapped(0));
        assert_eq!(through(&maps, 100_000, 65_534), mapped(1));
        assert_eq!(through(&maps, 165_535, 65_534), mapped(65_536));
        for id in [0, 999, 1001, 165_536, u32::MAX] {
            assert_eq!(through(&maps, id, 65_534), Inside { number: 65_534, unmapped: true }, "{id}");
        }
        assert_eq!(through(&[], 0, 7), Inside { number: 7, unmapped: true });
    }

    proptest! {
        #[test]
        fn any_map_is_survived(lines in proptest::collection::vec(any::<(u32, u32, u32)>(), 0..4), id: u32) {
            let lines: Vec<IdMap> = lines.into_iter().map(|(a, b, c)| map(a, b, c)).collect();
            let _ = through(&lines, id, 65_534);
        }

        #[test]
        fn a_line_keeps_the_distance(inside in 0u32..1000, outside in 0u32..1000, count in 1u32..1000, at in 0u32..1000) {
            prop_assume!(at < count);
            prop_assert_eq!(through(&[map(inside, outside, count)], outside + at, 1).number, inside + at);
        }
    }
}

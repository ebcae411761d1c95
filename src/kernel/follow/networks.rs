//! Which network namespaces there are, and what each is called: those with a name (ip-netns(8)), and those of processes.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use crate::kernel::namespace::is_namespace;

/// Where ip(8) keeps namespaces by their names.
const NAMED: &str = "/run/netns";

/// The namespace that the calling thread is in.
pub(super) const OWN: &str = "/proc/thread-self/ns/net";

/// So many are looked at. A lab host has a few.
const MOST: usize = 32;

/// A network namespace.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Network {
    /// Its name below `/run/netns`; `host` for that of PID 1, as lessons call it; `here` for the own one; else what a process in it is
    /// called.
    pub word: String,
    /// A file that leads to it; none for the own one.
    pub path: Option<String>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Each namespace once.
    pub networks: Vec<Network>,
    /// How many processes do not show theirs (proc(5), `/proc/PID/ns`).
    pub hidden: usize,
    /// How many namespaces there are beyond those.
    pub beyond: usize,
    seen: BTreeSet<u64>,
}

impl Found {
    /// Keeps one that is not known yet.
    fn keep(&mut self, inode: u64, word: impl FnOnce() -> String, path: Option<String>) {
        if !self.seen.insert(inode) {
            return;
        }
        if self.networks.len() == MOST {
            self.beyond += 1;
            return;
        }
        let word = word().escape_debug().to_string();
        let is_taken = |word: &str| self.networks.iter().any(|one| one.word == word);
        // Two programs of one name, each with a network of its own.
        let numbered = || (2..).map(|number| format!("{word}-{number}")).find(|word| !is_taken(word));
        let word = if is_taken(&word) { numbered().unwrap_or_default() } else { word };
        self.networks.push(Network { word, path });
    }
}

/// Looks for them, the own one among them.
///
/// # Errors
/// Where there is no `/proc` that shows the own one.
pub(super) fn find() -> io::Result<Found> {
    let own = fs::metadata(OWN)?.ino();
    let path = |inode: u64, path: &str| (inode != own).then(|| path.to_owned());
    let mut found = Found::default();
    let mut names: Vec<String> = fs::read_dir(NAMED)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|it| it.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    for name in names {
        let file = format!("{NAMED}/{name}");
        // A file that is left where a namespace was mounted is none, and anything else may not even be looked into.
        if is_namespace(file.as_ref())
            && let Ok(inode) = fs::metadata(&file).map(|it| it.ino())
        {
            found.keep(inode, || name, path(inode, &file));
        }
    }
    let first = "/proc/1/ns/net";
    if let Ok(inode) = fs::metadata(first).map(|it| it.ino()) {
        found.keep(inode, || "host".to_owned(), path(inode, first));
    }
    found.keep(own, || "here".to_owned(), None);
    let mut pids: Vec<u32> =
        fs::read_dir("/proc")?.flatten().filter_map(|it| it.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    for pid in pids {
        let file = format!("/proc/{pid}/ns/net");
        match fs::metadata(&file).map(|it| it.ino()) {
            Ok(inode) => found.keep(inode, || comm(pid), path(inode, &file)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => found.hidden += 1,
            // It has ended meanwhile.
            Err(_) => {}
        }
    }
    Ok(found)
}

fn comm(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).map_or_else(|_| pid.to_string(), |name| name.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_one_is_found_once() {
        let found = find().expect("a proc");
        assert_eq!(found.networks.iter().filter(|one| one.path.is_none()).count(), 1, "{found:?}");
    }

    #[test]
    fn words_are_one_each_and_can_be_shown() {
        let mut found = Found::default();
        for (inode, word) in [(1, "sh"), (1, "again"), (2, "sh"), (3, "\u{1b}[2J")] {
            found.keep(inode, || word.to_owned(), None);
        }
        let words: Vec<&str> = found.networks.iter().map(|one| one.word.as_str()).collect();
        assert_eq!(words, ["sh", "sh-2", "\\u{1b}[2J"]);
        (10..100).for_each(|inode| found.keep(inode, String::new, None));
        assert_eq!((found.networks.len(), found.beyond), (MOST, 90 + 3 - MOST));
    }
}

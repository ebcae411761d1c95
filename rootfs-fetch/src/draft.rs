//! A plan while it is drawn up: one entry a path. A program that turns out to be unusable has left no trace in it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::error::Error;
use crate::machine::{Found, Machine, Step};
use crate::plan::{Entry, What};

/// The entries by their absolute path in the rootfs; a directory comes before what is in it. The parent of an entry is
/// an entry, and a directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    entries: BTreeMap<PathBuf, What>,
    /// The libraries and loaders among the copies.
    pub libraries: BTreeSet<PathBuf>,
}

impl Draft {
    /// The entries, parents first.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries.into_iter().map(|(path, what)| Entry { path, what }).collect()
    }

    /// What is at a path without links.
    pub fn get(&self, path: &Path) -> Option<&What> {
        self.entries.get(path)
    }

    /// Takes a file of the machine to the same path, with every directory and link on the way to it. So a merged
    /// `/usr`, alternatives and versioned libraries look in the rootfs as they do on the machine.
    pub fn take(&mut self, machine: &Machine, path: &Path) -> Result<Found, Error> {
        let found = machine.find_file(path)?;
        let found = found.ok_or_else(|| Error::unusable(path, "it is no longer there"))?;
        self.add(&found);
        Ok(found)
    }

    /// As [`Draft::take`], of a file that was found already.
    pub fn add(&mut self, found: &Found) {
        for step in &found.steps {
            match step {
                Step::Directory(at) => self.vacant(at, || directory(0o755)),
                Step::Link { at, to } => self.vacant(at, || What::Link { to: within(at, to) }),
            }
        }
        self.vacant(&found.real, || copy(found));
    }

    /// Puts `entry` at `path`, unless something is there; makes the directories above it.
    pub fn put(&mut self, path: &str, entry: What) -> Result<(), Error> {
        let path = Path::new(path);
        let parent = self.directory(path.parent().unwrap_or(Path::new("/")))?;
        let at = parent.join(path.file_name().unwrap_or_default());
        let entry = if let What::Link { to } = entry { What::Link { to: within(&at, &to) } } else { entry };
        match (self.entries.get(&at), &entry) {
            // A link that the machine has there leads to the directory.
            (Some(What::Link { .. }), What::Directory { .. }) => {
                let real = self.directory(&at)?;
                self.entries.insert(real, entry);
            }
            (Some(What::Directory { .. }), What::Directory { .. }) => drop(self.entries.insert(at, entry)),
            (Some(_), _) => {}
            (None, _) => drop(self.entries.insert(at, entry)),
        }
        Ok(())
    }

    /// Makes the link that the machine has at `path`, if it leads to a directory that the rootfs has too.
    pub fn take_alias(&mut self, machine: &Machine, path: &Path) -> Result<(), Error> {
        let Some(found) = machine.find(path)? else { return Ok(()) };
        if let (Some(What::Directory { .. }), [Step::Link { at, to }, ..]) = (self.get(&found.real), &found.steps[..]) {
            self.link(at, to);
        }
        Ok(())
    }

    /// Puts a link at `at`, a path without links, unless something is there.
    pub fn link(&mut self, at: &Path, to: &Path) {
        self.vacant(at, || What::Link { to: within(at, to) });
    }

    /// Adds what `other` has and this has not.
    pub fn merge(&mut self, other: Self) {
        for (path, entry) in other.entries {
            self.entries.entry(path).or_insert(entry);
        }
        self.libraries.extend(other.libraries);
    }

    fn vacant(&mut self, at: &Path, entry: impl FnOnce() -> What) {
        self.entries.entry(at.to_owned()).or_insert_with(entry);
    }

    /// The path without links of a directory of the rootfs; it is made where it is not planned yet.
    fn directory(&mut self, path: &Path) -> Result<PathBuf, Error> {
        let mut rest: VecDeque<OsString> = normal(path);
        let (mut real, mut links) = (PathBuf::from("/"), 0);
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                real.pop();
                continue;
            }
            let next = real.join(name);
            match self.entries.get(&next) {
                Some(What::Directory { .. }) => real = next,
                Some(What::Link { to }) if links < 40 => {
                    links += 1;
                    for name in normal(to).into_iter().rev() {
                        rest.push_front(name);
                    }
                    if to.is_absolute() {
                        real = PathBuf::from("/");
                    }
                }
                Some(_) => return Err(Error::unusable(path, "a rootfs needs a directory there")),
                None => {
                    self.entries.insert(next.clone(), directory(0o755));
                    real = next;
                }
            }
        }
        Ok(real)
    }
}

/// A directory with this mode.
pub(crate) fn directory(mode: u32) -> What {
    What::Directory { mode }
}

/// A copy of what was found. setuid, setgid and sticky bits do not come along: the copy belongs to another.
pub(crate) fn copy(found: &Found) -> What {
    What::Copy { from: found.real.clone(), mode: found.metadata.mode() & 0o777, bytes: found.metadata.len() }
}

/// A link to `to`.
pub(crate) fn link(to: impl Into<PathBuf>) -> What {
    What::Link { to: to.into() }
}

/// A file for all to read with this text.
pub(crate) fn text(text: &str) -> What {
    What::Text { text: text.to_owned(), mode: 0o644 }
}

/// The text of a link at `at`, a path without links, so that it leads to the same place inside the rootfs and never out
/// of it when somebody looks at it from outside: relative, and with no more leading `..` than there are directories.
fn within(at: &Path, to: &Path) -> PathBuf {
    let depth = at.components().count().saturating_sub(2);
    let names = normal(to);
    let climb = if to.is_absolute() { depth } else { depth.min(names.iter().take_while(|name| *name == "..").count()) };
    let mut text = PathBuf::new();
    (0..climb).for_each(|_| text.push(".."));
    text.extend(names.iter().skip_while(|name| *name == ".."));
    if text.as_os_str().is_empty() {
        text.push(".");
    }
    text
}

fn normal(path: &Path) -> VecDeque<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_owned()),
        _ => None,
    };
    path.components().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_within_the_rootfs() {
        for (at, to, text) in [
            ("/bin", "usr/bin", "usr/bin"),
            ("/usr/bin/awk", "/etc/alternatives/awk", "../../etc/alternatives/awk"),
            ("/bin", "/usr/bin", "usr/bin"),
            ("/usr/bin/x", "../lib/x", "../lib/x"),
            ("/usr/bin/x", "../../../../etc/passwd", "../../etc/passwd"),
            ("/x", "../etc/passwd", "etc/passwd"),
            ("/x", "/", "."),
            ("/x", "/../../y", "y"),
        ] {
            assert_eq!(within(Path::new(at), Path::new(to)), Path::new(text), "{at} → {to}");
        }
    }

    #[test]
    fn a_planned_directory_may_be_a_link() {
        let mut plan = Draft::default();
        plan.link(Path::new("/etc"), Path::new("private/etc"));
        plan.put("/etc/passwd", text("x")).expect("a directory behind a link");
        plan.put("/etc", directory(0o700)).expect("a directory behind a link");
        assert_eq!(plan.get(Path::new("/private/etc/passwd")), Some(&text("x")));
        assert_eq!(plan.get(Path::new("/private/etc")), Some(&directory(0o700)));
        plan.link(Path::new("/a"), Path::new("a"));
        plan.put("/a/b", text("x")).expect_err("a loop");
    }
}

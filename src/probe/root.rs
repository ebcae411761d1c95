//! Root directories: which directory `/` is to whom, and what is in it (path_resolution(7), chroot(2)).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::rows::Sheet;
use super::{Observation, Panel, Process, Reading};
use crate::kernel::namespace::Namespace;
use crate::kernel::overlay::Mark;
use crate::kernel::path::Tree;

/// How many names of a root directory are kept: a rootfs has about twenty.
const MAX_NAMES: usize = 64;

/// The most that is read of a file that was asked for, in bytes.
const MAX_TEXT: u64 = 4096;

/// One root directory, and whose it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Root {
    /// The mount namespace through which it is looked at: it decides what is mounted below.
    pub mnt: u64,
    /// The device that the directory is on, as stat(2) gives it.
    pub device: u64,
    /// Its inode there. With the device it is what makes it this directory and no other, whatever it is called.
    pub inode: u64,
    /// The processes that have it for their root, in ascending order.
    pub pids: Vec<i32>,
    /// The names in it, sorted, at most 64.
    pub names: Reading<Vec<String>>,
    /// Of the paths that were asked for, whether they lead to something there.
    pub found: BTreeMap<String, bool>,
    /// Of those that lead to a short file, what is in it.
    pub texts: BTreeMap<String, String>,
    /// Of those that lead to what hides a layer below it, by what.
    pub marks: BTreeMap<String, Mark>,
}

impl Root {
    /// Device and inode as `stat -c '%d %i'` prints them.
    pub fn identity(&self) -> String {
        format!("device {} inode {}", self.device, self.inode)
    }
}

impl Observation {
    /// The root directory of a process; none where it could not be looked at.
    pub fn root(&self, pid: i32) -> Option<&Root> {
        self.roots.iter().find(|root| root.pids.contains(&pid))
    }
}

/// Reads the root directories of these processes, each once.
pub(super) fn read(proc: &Path, processes: &[Process], paths: &[String]) -> Vec<Root> {
    let mut roots: Vec<Root> = Vec::new();
    for process in processes {
        let Some(mnt) = process.namespaces.inode(Namespace::Mnt) else { continue };
        let link = proc.join(format!("{}/root", process.pid));
        let Ok(stat) = fs::metadata(&link) else { continue };
        let known = roots.iter_mut().find(|it| (it.mnt, it.device, it.inode) == (mnt, stat.dev(), stat.ino()));
        if let Some(root) = known {
            root.pids.push(process.pid);
            continue;
        }
        let Looked { names, found, texts, marks } = look(&link, paths);
        let (device, inode, pids) = (stat.dev(), stat.ino(), vec![process.pid]);
        roots.push(Root { mnt, device, inode, pids, names: Reading::from(names), found, texts, marks });
    }
    roots
}

/// What is in a root directory: as [`Root`] has it.
struct Looked {
    names: io::Result<Vec<String>>,
    found: BTreeMap<String, bool>,
    texts: BTreeMap<String, String>,
    marks: BTreeMap<String, Mark>,
}

/// Looks at a root directory, and at the paths below it.
fn look(link: &Path, paths: &[String]) -> Looked {
    let tree = match Tree::at(link) {
        Ok(tree) => tree,
        Err(error) => {
            return Looked {
                names: Err(error),
                found: BTreeMap::new(),
                texts: BTreeMap::new(),
                marks: BTreeMap::new(),
            };
        }
    };
    let found = paths.iter().map(|path| {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        (path.clone(), leads_somewhere(&tree, PathBuf::from("/"), &parts))
    });
    let text = |path: &String| Some((path.clone(), tree.text(Path::new(path), MAX_TEXT)?));
    let mark = |path: &String| Some((path.clone(), Mark::at(&tree, Path::new(path))?));
    let names = tree.names(Path::new("/")).map(|mut names| {
        names.truncate(MAX_NAMES);
        names
    });
    Looked {
        names,
        found: found.collect(),
        texts: paths.iter().filter_map(text).collect(),
        marks: paths.iter().filter_map(mark).collect(),
    }
}

/// Whether there is something at a path; a `*` in a part of it stands for any characters.
fn leads_somewhere(tree: &Tree, at: PathBuf, rest: &[&str]) -> bool {
    let Some((part, rest)) = rest.split_first() else { return tree.has(&at) };
    let Some((start, end)) = part.split_once('*') else { return leads_somewhere(tree, at.join(part), rest) };
    let fits = |name: &String| name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end);
    let names = tree.names(&at).unwrap_or_default();
    names.iter().filter(|name| fits(name)).any(|name| leads_somewhere(tree, at.join(name), rest))
}

/// Whether the working directory is at or below the root directory, by the paths that the links have for both.
pub fn is_within(cwd: &str, root: &str) -> bool {
    Path::new(cwd).starts_with(root)
}

/// The rows of the root panel: for each process with a word of its own, and for one of those that share another root.
pub(super) fn rows(sheet: &mut Sheet<'_>) {
    let observation = sheet.observation;
    let host = observation.root(sheet.names.host).map(|root| (root.mnt, root.identity()));
    let mut viewers: Vec<(&Root, &Process)> = Vec::new();
    for root in &observation.roots {
        let named: Vec<i32> = root.pids.iter().copied().filter(|pid| sheet.names.of(*pid).is_some()).collect();
        let shown = if named.is_empty() { root.pids[..1].to_vec() } else { named };
        viewers.extend(shown.into_iter().filter_map(|pid| Some((root, observation.process(pid)?))));
    }
    viewers.sort_by_key(|(_, process)| process.pid);
    for (root, process) in viewers {
        let link = format!("/proc/{}/root", process.pid);
        let meaning = match &host {
            Some((mnt, identity)) if (root.mnt, root.identity()) == (*mnt, identity.clone()) => {
                "The root of the lab host: every path that exists there can be named."
            }
            Some((mnt, _)) if root.mnt == *mnt => {
                "Another directory of the host's tree (chroot(2)): absolute paths begin there, the mounts are the host's."
            }
            _ => "The root as its own mount namespace has it; chroot(2) and pivot_root(2) change it.",
        };
        let mut about = sheet.about(Panel::Root, process);
        about.row("root", process.root.text(Clone::clone), link.clone(), format!("readlink {link}"), meaning);
        about.row(
            "/ is",
            root.identity(),
            format!("stat(2) of {link}/"),
            format!("stat -Lc 'device %d inode %i' {link}/"),
            "Which directory `/` is, whatever it is called: two processes with the same numbers have the same root.",
        );
        about.row(
            "names in /",
            root.names.text(|names| names.join(" ")),
            format!("{link}/"),
            format!("ls -A {link}/"),
            "What it finds in its root directory.",
        );
        let outside = process.root.value().zip(process.cwd.value()).is_some_and(|(root, cwd)| !is_within(cwd, root));
        let meaning = if outside {
            "Its working directory is not below its root: relative paths, and `..` above all, lead where its root does not."
        } else {
            "Its working directory, where relative paths begin."
        };
        let cwd = format!("/proc/{}/cwd", process.pid);
        about.row("cwd", process.cwd.text(Clone::clone), cwd.clone(), format!("readlink {cwd}"), meaning);
        for path in root.found.iter().filter(|(_, found)| **found).map(|(path, _)| path) {
            let meaning = "A path that the step's check asks for: with its root directory it leads to something.";
            let what = root.marks.get(path).map_or_else(|| "is there".to_owned(), Mark::words);
            about.row(path, what, format!("{link}{path}"), format!("ls -d {link}{path}"), meaning);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_looked_at_with_that_root() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        fs::create_dir_all(root.join("usr/lib64")).unwrap();
        symlink("usr/lib64", root.join("lib64")).unwrap();
        symlink("/usr", root.join("absolute")).unwrap();
        symlink("../..", root.join("up")).unwrap();
        fs::write(root.join("usr/lib64/ld-linux.so.2"), "").unwrap();
        fs::write(root.join("usr/short"), "nameserver 10.0.0.1\n").unwrap();
        fs::write(root.join("usr/long"), vec![b'x'; 4097]).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("usr/socket")).unwrap();
        fs::write(directory.path().join("secret"), "").unwrap();
        let paths =
            ["/lib*/ld-*", "/absolute/lib64", "/up/secret", "/../secret", "/lib*/libc*", "/", "/usr/*64", "lib64"];
        let Looked { names, found, texts, .. } = look(&root, &paths.map(String::from));
        assert_eq!(names.unwrap(), ["absolute", "lib64", "up", "usr"]);
        let there: Vec<&str> = found.iter().filter(|(_, found)| **found).map(|(path, _)| path.as_str()).collect();
        assert_eq!(there, ["/", "/absolute/lib64", "/lib*/ld-*", "/usr/*64", "lib64"]);
        assert!(texts.is_empty(), "none of them is a file: {texts:?}");
        let paths = ["/absolute/short", "/usr/long", "/usr/socket", "/up/secret"];
        let Looked { texts, .. } = look(&root, &paths.map(String::from));
        assert_eq!(texts, [("/absolute/short".to_owned(), "nameserver 10.0.0.1\n".to_owned())].into());
    }

    #[test]
    fn within_counts_whole_names() {
        for (cwd, root, within) in
            [("/lab/box", "/lab/box", true), ("/lab/box/usr", "/lab/box", true), ("/", "/", true), ("/root", "/", true)]
        {
            assert_eq!(is_within(cwd, root), within, "{cwd} {root}");
        }
        assert!(!is_within("/lab/boxes", "/lab/box"));
        assert!(!is_within("/lab", "/lab/box"));
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path in "[/.*a-c\\PC]{0,40}") {
            let directory = tempfile::tempdir().unwrap();
            fs::create_dir(directory.path().join("a")).unwrap();
            let _ = look(directory.path(), &[path]);
        }
    }
}

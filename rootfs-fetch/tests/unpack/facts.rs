//! Everything that two trees can differ in.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rootfs_fetch::image::digest_of;
use rustix::fs::{lgetxattr, llistxattr};

/// Of each path type, mode, owner, time, extended attributes, contents or number, and the first of all names that a file has.
pub fn facts(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut paths = vec![PathBuf::new()];
    let mut at = 0;
    while let Some(path) = paths.get(at).cloned() {
        at += 1;
        if fs::symlink_metadata(root.join(&path)).expect("metadata").is_dir() {
            let names = fs::read_dir(root.join(&path)).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            paths.extend(names.map(|entry| path.join(entry.expect("an entry").file_name())));
        }
    }
    paths.sort();
    let mut names = BTreeMap::new();
    let mut found = BTreeMap::new();
    for path in paths {
        let at = root.join(&path);
        let metadata = fs::symlink_metadata(&at).expect("metadata");
        let kind = metadata.file_type();
        let what = match () {
            () if kind.is_dir() => "directory".to_owned(),
            () if kind.is_symlink() => format!("-> {:?}", fs::read_link(&at).expect("a link")),
            () if kind.is_file() => format!("file {}", fs::read(&at).map_or("secret".into(), |bytes| contents(&bytes))),
            () if kind.is_fifo() => "fifo".to_owned(),
            () => format!("device {:x}", metadata.rdev()),
        };
        let first = match kind.is_dir() {
            true => String::new(),
            false => {
                let first = names.entry((metadata.dev(), metadata.ino())).or_insert_with(|| path.clone());
                format!(" as {}", first.display())
            }
        };
        let (mode, owner) = (metadata.mode(), (metadata.uid(), metadata.gid()));
        let time = (metadata.mtime(), metadata.mtime_nsec());
        found.insert(path, format!("{mode:o} {owner:?} {time:?} {:?} {what}{first}", xattrs(&at)));
    }
    found
}

fn contents(bytes: &[u8]) -> String {
    match bytes.len() {
        0..100 => bytes.escape_ascii().to_string(),
        length => format!("{length} {}", digest_of(bytes)),
    }
}

fn xattrs(path: &Path) -> Vec<String> {
    let mut list = vec![0; 4096];
    let length = llistxattr(path, &mut list[..]).expect("a list of attributes");
    let mut found: Vec<String> = list[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let mut value = vec![0; 4096];
            let name = std::ffi::OsStr::from_bytes(name);
            let length = lgetxattr(path, name, &mut value[..]).expect("an attribute");
            format!("{}={}", name.display(), value[..length].escape_ascii())
        })
        .collect();
    found.sort();
    found
}

/// Shows where two trees differ.
pub fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (facts(one), facts(other));
    let differ = |(path, what): (&PathBuf, &String), other: &BTreeMap<PathBuf, String>| {
        (other.get(path) != Some(what)).then(|| format!("{}: {what}", path.display()))
    };
    let left: Vec<_> = one.iter().filter_map(|entry| differ(entry, &other)).collect();
    let right: Vec<_> = other.iter().filter_map(|entry| differ(entry, &one)).collect();
    assert!(left.is_empty() && right.is_empty(), "only in the one:\n{left:#?}\nonly in the other:\n{right:#?}");
}

//! A directory to which layers are applied, and beside it one in which nothing may change.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rootfs_fetch::image::{MediaType, digest_of};
use rootfs_fetch::layer::{Applied, Deed, Event, Kind, Layer, LayerError, Target, Xattrs};
use tempfile::TempDir;

use crate::archive::{Entry, archive};

pub fn root() -> bool {
    rustix::process::geteuid().is_root()
}

pub struct Lab {
    place: TempDir,
    canary: BTreeMap<PathBuf, String>,
}

impl Lab {
    pub fn new() -> Self {
        let place = TempDir::new().expect("a temporary directory");
        for name in ["rootfs", "canary", "canary/below"] {
            fs::create_dir(place.path().join(name)).expect("a directory");
        }
        let at = place.path().join("canary");
        fs::write(at.join("file"), "untouched").expect("a file");
        fs::write(at.join("below/file"), "untouched").expect("a file");
        symlink("file", at.join("link")).expect("a link");
        fs::set_permissions(at.join("file"), Permissions::from_mode(0o640)).expect("a mode");
        let canary = with_changes(&at);
        Self { place, canary }
    }

    pub fn path(&self) -> &Path {
        self.place.path()
    }

    pub fn rootfs(&self) -> PathBuf {
        self.path().join("rootfs")
    }

    /// A path of the canary, as an attacker who knows it would write it.
    pub fn outside(&self, name: &str) -> String {
        format!("{}/canary/{name}", self.path().display())
    }

    pub fn flat(&self) -> Target {
        Target::Flat(self.rootfs())
    }

    /// A new directory of overlayfs.
    pub fn overlay(&self, name: &str) -> Target {
        self.overlay_above(name, &[])
    }

    /// One above others, the nearest of them first.
    pub fn overlay_above(&self, name: &str, lower: &[String]) -> Target {
        let directory = self.path().join(name);
        fs::create_dir(&directory).expect("a directory");
        let lower = lower.iter().map(|name| self.path().join(name)).collect();
        Target::Overlay { directory, xattrs: xattrs(), lower }
    }

    /// Applies these bytes, whatever comes of it, and sees to the canary.
    pub fn bytes(&self, bytes: &[u8], target: &Target) -> Result<(Applied, Vec<String>), LayerError> {
        let mut events = Vec::new();
        let mut observer = |event: &Event<'_>| events.push(line(event));
        let applied = Layer::new(MediaType::ImageLayer).apply(bytes, target, &mut observer);
        self.unharmed();
        Ok((applied?, events))
    }

    pub fn apply(&self, entries: impl IntoIterator<Item = Entry>) -> Applied {
        self.bytes(&archive(entries), &self.flat()).expect("a layer that is applied").0
    }

    /// Refused on a flat directory and for overlayfs; says why.
    pub fn refused(&self, entries: impl IntoIterator<Item = Entry>) -> String {
        let bytes = archive(entries);
        let error = self.bytes(&bytes, &self.flat()).expect_err("a layer that is refused");
        let name = format!("overlay-{}", fs::read_dir(self.path()).expect("a list").count());
        self.bytes(&bytes, &self.overlay(&name)).expect_err("a layer that is refused for overlayfs");
        error.to_string()
    }

    pub fn unharmed(&self) {
        assert_eq!(with_changes(&self.path().join("canary")), self.canary);
        let beside = fs::read_dir(self.path()).expect("a list");
        let beside = beside.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
        let known = |name: &String| name == "rootfs" || name == "canary" || name.starts_with("overlay");
        assert!(beside.into_iter().all(|name| known(&name)));
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.rootfs().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn metadata(&self, path: &str) -> fs::Metadata {
        fs::symlink_metadata(self.rootfs().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Whether there is anything, a link that leads nowhere too.
    pub fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.rootfs().join(path)).is_ok()
    }

    /// The paths in the rootfs.
    pub fn paths(&self) -> Vec<String> {
        paths(&self.rootfs())
    }
}

/// The attributes that this process can set: as root of a user namespace, those of `user.` only.
pub fn xattrs() -> Xattrs {
    let ids = fs::read_to_string("/proc/self/uid_map").expect("the ids of this user namespace");
    if root() && ids.contains("4294967295") { Xattrs::Trusted } else { Xattrs::User }
}

pub fn paths(root: &Path) -> Vec<String> {
    let all = tree(root).into_keys().filter(|path| !path.as_os_str().is_empty());
    all.map(|path| path.to_string_lossy().into_owned()).collect()
}

fn line(event: &Event<'_>) -> String {
    let kind = match event.kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Whiteout => "whiteout",
        Kind::Opaque => "opaque",
        _ => "other",
    };
    let deed = match event.deed {
        Deed::Added => "added".to_owned(),
        Deed::Replaced => "replaced".to_owned(),
        Deed::Deleted(count) => format!("deleted {count}"),
        Deed::Marked => "marked".to_owned(),
        Deed::LeftOut(reason) => format!("left out: {reason}"),
        Deed::Nothing => "nothing".to_owned(),
    };
    format!("{kind} {} {deed}", event.path.display())
}

/// What is in a directory: of each path type, mode, owner, time and contents.
pub fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![PathBuf::new()];
    while let Some(path) = left.pop() {
        let at = root.join(&path);
        let metadata = fs::symlink_metadata(&at).expect("metadata");
        let kind = metadata.file_type();
        let what = if kind.is_dir() {
            let names = fs::read_dir(&at).into_iter().flatten().map(|entry| entry.expect("an entry").file_name());
            left.extend(names.map(|name| path.join(name)));
            "directory".to_owned()
        } else if kind.is_symlink() {
            format!("-> {:?}", fs::read_link(&at).expect("a link"))
        } else if kind.is_file() {
            let contents = fs::read(&at).ok().map(|bytes| match bytes.len() {
                0..100 => bytes.escape_ascii().to_string(),
                _ => digest_of(&bytes).to_string(),
            });
            format!("file {} {contents:?}", metadata.len())
        } else {
            let fifo = if kind.is_fifo() { " fifo" } else { "" };
            format!("device {:x}{fifo}", metadata.rdev())
        };
        let (mode, owner) = (metadata.mode(), (metadata.uid(), metadata.gid()));
        let time = (metadata.mtime(), metadata.mtime_nsec());
        found.insert(path, format!("{mode:o} {owner:?} {time:?} {what}"));
    }
    found
}

/// As [`tree`], with what tells of any change of an inode, even one back.
fn with_changes(root: &Path) -> BTreeMap<PathBuf, String> {
    let seen = tree(root).into_iter().map(|(path, what)| {
        let metadata = fs::symlink_metadata(root.join(&path)).expect("metadata");
        let change = (metadata.ino(), metadata.nlink(), metadata.ctime(), metadata.ctime_nsec());
        (path, format!("{what} {change:?}"))
    });
    seen.collect()
}

//! A store, trees beside it, and what is in them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rootfs_fetch::image::MediaType;
use rootfs_fetch::layer::{Applied, Layer, Target};
use rootfs_fetch::pack::{Compression, Options, PackedLayer};
use rootfs_fetch::store::Store;
use rustix::fs::{lgetxattr, llistxattr};
use tempfile::TempDir;

pub fn root() -> bool {
    rustix::process::geteuid().is_root()
}

pub struct Lab {
    place: TempDir,
    pub store: Store,
}

impl Lab {
    pub fn new() -> Self {
        let place = TempDir::new().expect("a temporary directory");
        let store = Store::open(place.path().join("store")).expect("a store");
        Self { place, store }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// A new directory.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).expect("a directory");
        path
    }

    /// The same tree again, hard links and all.
    pub fn copy(&self, from: &Path, to: &str) -> PathBuf {
        let to = self.path(to);
        run(Command::new("cp").arg("-a").args([from, &to]));
        to
    }

    /// Applies a layer of the store.
    pub fn apply(&self, layer: &PackedLayer, to: &Path) -> Applied {
        let kind = match layer.compression {
            Compression::None => MediaType::ImageLayer,
            Compression::Gzip(_) => MediaType::ImageLayerGzip,
            Compression::Zstd(_) => MediaType::ImageLayerZstd,
        };
        let blob = self.store.blob(&layer.digest).expect("a blob");
        assert_eq!(blob.metadata().expect("metadata").len(), layer.size);
        let reader = Layer::new(kind).diff_id(layer.diff_id.clone());
        reader.apply(blob, &Target::Flat(to.to_owned()), &mut |_| {}).expect("a layer that can be read")
    }

    /// The names in a layer that is not compressed, as tar(1) lists them.
    pub fn names(&self, layer: &PackedLayer) -> Vec<String> {
        let mut command = Command::new("tar");
        command.args(["--list", "--quoting-style=escape", "--file"]).arg(self.store.path(&layer.digest));
        run(&mut command).lines().map(str::to_owned).collect()
    }
}

/// Not compressed, so that others can look into it.
pub fn plain() -> Options {
    Options { compression: Compression::None, ..Options::default() }
}

/// What a program prints, which is to end well.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What is in a directory, sockets left out: of each path everything that a layer can say of it, and by which other names it is known.
pub fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let (mut found, mut left) = (BTreeMap::new(), vec![PathBuf::new()]);
    let mut inodes: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
    while let Some(path) = left.pop() {
        let at = root.join(&path);
        let metadata = fs::symlink_metadata(&at).expect("metadata");
        let kind = metadata.file_type();
        let what = if kind.is_dir() {
            let names = fs::read_dir(&at).expect("a list").map(|entry| entry.expect("an entry").file_name());
            left.extend(names.map(|name| path.join(name)));
            "directory".to_owned()
        } else if kind.is_symlink() {
            format!("-> {:?}", fs::read_link(&at).expect("a link"))
        } else if kind.is_file() {
            fs::read(&at).expect("a file").escape_ascii().to_string()
        } else if metadata.mode() & 0o170_000 == 0o140_000 {
            continue;
        } else {
            format!("device {:x}", metadata.rdev())
        };
        if !kind.is_dir() {
            inodes.entry(metadata.ino()).or_default().push(path.clone());
        }
        let owner = (metadata.uid(), metadata.gid());
        let time = (metadata.mtime(), metadata.mtime_nsec());
        found.insert(path, format!("{:o} {owner:?} {time:?} {:?} {what}", metadata.mode(), xattrs(&at)));
    }
    for mut names in inodes.into_values().filter(|names| names.len() > 1) {
        names.sort();
        for name in &names {
            found.entry(name.clone()).and_modify(|what| what.push_str(&format!(" as {names:?}")));
        }
    }
    found
}

fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut list = [0; 1024];
    let length = llistxattr(path, &mut list[..]).expect("a list of attributes");
    let names = list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let attribute = |name: &[u8]| {
        let mut value = [0; 1024];
        let length = lgetxattr(path, std::ffi::OsStr::from_bytes(name), &mut value[..]).expect("an attribute");
        (String::from_utf8_lossy(name).into_owned(), value[..length].to_vec())
    };
    // What the machine's policy and umoci --rootless note is no part of the tree.
    let noted = ["security.selinux", "user.rootlesscontainers"];
    names.map(attribute).filter(|(name, _)| !noted.contains(&name.as_str())).collect()
}

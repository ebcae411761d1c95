//! Any bytes are applied as a layer, or are refused in words that can be shown, and nothing happens beside the directory to which they are applied.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rootfs_fetch::image::MediaType;
use rootfs_fetch::layer::{Layer, Limits, Target};

use super::mended::mended;

/// No more is taken of one layer.
const LIMITS: Limits = Limits { uncompressed: 1 << 20, entries: 1000, file: 1 << 20, names: 1 << 20 };

/// A directory with a canary in it, and space for a rootfs beside that.
pub struct Place {
    path: PathBuf,
    canary: Vec<String>,
}

impl Place {
    /// Makes it, in a directory that is not there.
    pub fn new(path: &Path) -> Self {
        let canary = path.join("canary");
        fs::create_dir_all(canary.join("below")).expect("a directory");
        fs::write(canary.join("file"), "untouched").expect("a file");
        symlink("file", canary.join("link")).expect("a link");
        Self { path: path.to_owned(), canary: seen(&canary) }
    }

    /// Checks it; whether they were applied.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        let Some((how, bytes)) = bytes.split_first() else { return false };
        let kind = match how % 4 {
            0 | 1 => MediaType::ImageLayer,
            2 => MediaType::ImageLayerGzip,
            _ => MediaType::ImageLayerZstd,
        };
        let bytes = if how % 4 == 1 { mended(bytes) } else { bytes.to_vec() };
        let rootfs = self.path.join("rootfs");
        fs::create_dir(&rootfs).expect("a directory");
        symlink("../canary", rootfs.join("out")).expect("a link");
        let applied = Layer::new(kind).limits(LIMITS).apply(&bytes[..], &Target::Flat(rootfs.clone()), &mut |_| {});
        let fine = applied.map_err(|error| {
            let text = error.to_string();
            assert!(!text.chars().any(char::is_control), "{text:?}");
        });
        assert_eq!(seen(&self.path.join("canary")), self.canary);
        clear(&rootfs);
        assert_eq!(fs::read_dir(&self.path).expect("a list").count(), 1, "something is beside the rootfs");
        fine.is_ok()
    }
}

/// What would be different if anything had been done there.
fn seen(directory: &Path) -> Vec<String> {
    let paths = ["", "below", "file", "link"].map(|name| directory.join(name));
    let of = |path: &PathBuf| {
        let found = fs::symlink_metadata(path).expect("it is there");
        let text = fs::read_to_string(path).unwrap_or_default();
        let count = fs::read_dir(path).map_or(0, Iterator::count);
        let change = (found.ino(), found.nlink(), found.mode(), found.ctime(), found.ctime_nsec());
        format!("{text} {count} {change:?}")
    };
    paths.iter().map(of).collect()
}

/// Removes a tree whose directories may be closed even to their owner.
fn clear(directory: &Path) {
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("it is ours");
        let entries = fs::read_dir(&path).expect("a list").map(|entry| entry.expect("an entry"));
        left.extend(
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
        );
    }
    fs::remove_dir_all(directory).expect("a directory that is open");
}

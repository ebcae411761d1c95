//! Any bytes are an archive of images, or are refused in words that can be shown. Whatever they are, each blob of the store is what it is called,
//! nothing came to be beside it, and all can be cleared. The images of an archive can be saved and are loaded again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rootfs_fetch::archive::{Format, Limits, load, save};
use rootfs_fetch::store::Store;

use super::mended::mended;

/// No more is taken of one archive.
const LIMITS: Limits = Limits { uncompressed: 1 << 20, entries: 1000 };

/// A directory with nothing but a store in it.
pub struct Place {
    path: PathBuf,
    store: Store,
}

impl Place {
    /// Makes it, in a directory that is not there.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), store: Store::open(path.join("store")).expect("a store") }
    }

    /// Checks it; whether they were an archive.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        let Some((how, bytes)) = bytes.split_first() else { return false };
        let bytes = if how % 2 == 1 { mended(bytes) } else { bytes.to_vec() };
        let loaded = load(&bytes[..], &self.store, &LIMITS);
        let faults: Vec<String> = self.store.verify().iter().map(ToString::to_string).collect();
        assert_eq!((faults, self.store.uploads().expect("a list")), (Vec::new(), Vec::new()));
        assert_eq!(fs::read_dir(&self.path).expect("a list").count(), 1, "something is beside the store");
        let fine = match loaded {
            Ok(images) => {
                let mut archive = Vec::new();
                save(&self.store, &images, &Format::Oci, &mut archive).expect("it is all there");
                let mut again = load(&archive[..], &self.store, &Limits::default()).expect("an archive of ours");
                let order = |images: &mut [_]| images.sort_by_key(|image| format!("{image:?}"));
                let mut images = images;
                order(&mut images);
                order(&mut again);
                assert_eq!(again, images);
                for (name, descriptor) in &images {
                    self.store.tag(name.as_deref().unwrap_or("none"), descriptor).expect("a name");
                }
                for (name, _) in self.store.names().expect("an index") {
                    self.store.untag(&name).expect("an index");
                }
                true
            }
            Err(error) => {
                let text = error.to_string();
                assert!(!text.chars().any(char::is_control), "{text:?}");
                false
            }
        };
        self.store.gc_older_than(Duration::ZERO).expect("gc");
        let blobs = fs::read_dir(self.store.root().join("blobs/sha256")).expect("a list").count();
        assert_eq!(blobs, 0, "after gc");
        fine
    }
}

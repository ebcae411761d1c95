//! What a cache holds, and its clearing.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use super::Cache;
use super::entry::{Digest, Entry};
use crate::error::{During, Error};

/// More than a cache within its limit has of anything.
const MAX_FILES: usize = 1 << 20;

/// One content that a cache holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Held {
    /// Its sha256, in hexadecimal digits.
    pub digest: String,
    /// Its length.
    pub bytes: u64,
    /// When it was last put into a rootfs.
    pub used: SystemTime,
    /// The files of the machine that had this content when they were last read, sorted.
    pub files: Vec<String>,
}

/// What was cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Cleared {
    /// How many contents.
    pub contents: usize,
    /// The sum of their lengths.
    pub bytes: u64,
    /// How many bytes the cache still holds.
    pub left: u64,
}

impl Cache {
    /// What it holds; what was not used for longest comes first.
    ///
    /// # Errors
    /// A directory of the cache can not be listed.
    pub fn held(&self) -> Result<Vec<Held>, Error> {
        Ok(self.blobs()?.into_iter().map(|(_, held)| held).collect())
    }

    /// The sum of the lengths of what it holds.
    pub(super) fn size(&self) -> Result<u64, Error> {
        let mut size = 0;
        for directory in list(&self.root.join("blobs"))? {
            size +=
                list(&directory)?.iter().filter_map(|path| Some(fs::symlink_metadata(path).ok()?.len())).sum::<u64>();
        }
        Ok(size)
    }

    fn blobs(&self) -> Result<Vec<(PathBuf, Held)>, Error> {
        let mut files: HashMap<Digest, Vec<String>> = HashMap::new();
        for entry in list(&self.root.join("index"))?.iter().filter_map(|path| Entry::read(path)) {
            files.entry(entry.digest).or_default().push(entry.path);
        }
        let mut blobs = Vec::new();
        for directory in list(&self.root.join("blobs"))? {
            for path in list(&directory)? {
                let name = path.file_name().and_then(|name| Some(name.to_str()?.to_owned()));
                let Some(digest) = name.and_then(|name| Digest::try_from(name).ok()) else { continue };
                // Whoever found it broken may have removed it since it was listed.
                let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
                let mut files = files.remove(&digest).unwrap_or_default();
                files.sort();
                let used = metadata.modified().during("look at", &path)?;
                blobs.push((path, Held { digest: digest.as_str().to_owned(), bytes: metadata.len(), used, files }));
            }
        }
        blobs.sort_by(|(_, one), (_, other)| (one.used, &one.digest).cmp(&(other.used, &other.digest)));
        Ok(blobs)
    }

    /// Clears what was not used for longest, until no more than `limit` bytes are left.
    ///
    /// # Errors
    /// Others use the cache just now, or something can not be removed.
    pub fn clear(&self, limit: u64) -> Result<Cleared, Error> {
        if !self.be_alone()? {
            self.share()?;
            return Err(self.unusable("others use it just now; try again when they are done"));
        }
        let cleared = self.clear_alone(limit);
        self.share()?;
        cleared
    }

    pub(super) fn clear_alone(&self, limit: u64) -> Result<Cleared, Error> {
        let blobs = self.blobs()?;
        let mut cleared = Cleared { contents: 0, bytes: 0, left: blobs.iter().map(|(_, held)| held.bytes).sum() };
        for (path, held) in blobs {
            if cleared.left <= limit {
                break;
            }
            fs::remove_file(&path).during("remove", &path)?;
            cleared.left -= held.bytes;
            cleared.bytes += held.bytes;
            cleared.contents += 1;
        }
        for path in list(&self.root.join("index"))? {
            if Entry::read(&path).is_none_or(|entry| !self.blob(&entry.digest).exists()) {
                fs::remove_file(&path).during("remove", &path)?;
            }
        }
        Ok(cleared)
    }
}

fn list(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(directory).during("list", directory)?.take(MAX_FILES);
    entries.map(|entry| Ok(entry.during("list", directory)?.path())).collect()
}

//! A file that grows until it is a blob: what is common to downloads and uploads.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::SystemTime;

use rustix::fs::OFlags;

use super::files::{if_there, open_file, sync_directory};
use super::lock::{How, Locked};
use super::{Digest, Store, StoreError};
use crate::error::During;

/// A file of ours that nobody else writes to, because it is locked. It outlives the process.
#[derive(Debug)]
pub(super) struct Growing {
    pub file: Locked,
    pub path: PathBuf,
    /// How many bytes it has; they are appended.
    pub length: u64,
}

impl Growing {
    /// Opens the file at `path` with these flags beside, and waits until nobody else has it. None where it is not there, or no
    /// longer the same file when the wait is over: then another has finished it or taken it away.
    pub fn open(store: &Store, path: PathBuf, flags: OFlags) -> Result<Option<Self>, StoreError> {
        let opened = if_there(open_file(&path, flags | OFlags::RDWR | OFlags::APPEND))?;
        let Some(file) = opened else { return Ok(None) };
        let file = Locked::new(file, &path, How::Exclusive, &store.patience)?;
        let metadata = file.0.metadata().during("look at", &path)?;
        let named = fs::symlink_metadata(&path).ok().map(|named| (named.dev(), named.ino()));
        let same = named == Some((metadata.dev(), metadata.ino()));
        Ok(same.then_some(Self { file, path, length: metadata.len() }))
    }

    /// Writes some of these bytes at the end, and tells how many.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.0.write(bytes)?;
        self.length += count as u64;
        Ok(count)
    }

    /// Takes it away.
    pub fn remove(self) -> Result<(), StoreError> {
        Ok(fs::remove_file(&self.path).during("remove", &self.path)?)
    }

    /// Puts it in its place as the blob with this digest, which its bytes have.
    pub fn place(self, store: &Store, digest: &Digest) -> Result<(), StoreError> {
        if let Err(error) = self.file.0.sync_all() {
            // What the kernel failed to write it may forget, and not say again: these bytes can not be trusted to be on the disk.
            let path = self.path.clone();
            self.remove()?;
            return Ok(Err(error).during("sync", &path)?);
        }
        let _shared = store.share()?;
        let path = store.place_for(digest)?;
        self.file.0.set_modified(SystemTime::now()).during("set the time of", &self.path)?;
        fs::rename(&self.path, &path).during("make", &path)?;
        path.parent().map_or(Ok(()), sync_directory)
    }
}

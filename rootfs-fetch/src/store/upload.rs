//! Uploads to a registry, whose digest is only known at the end.

use std::fs::Metadata;
use std::io::{self, Seek, Write};
use std::time::Duration;

use rustix::fs::OFlags;

use super::files::random_name;
use super::growing::Growing;
use super::{Collected, Digest, Store, StoreError, read_verified};
use crate::error::During;

/// An upload. Dropped, it is kept, and can be opened again by its id.
#[derive(Debug)]
pub struct Upload {
    store: Store,
    id: String,
    growing: Growing,
}

impl Store {
    /// Begins an upload.
    ///
    /// # Errors
    /// Its file can not be made.
    pub fn upload(&self) -> Result<Upload, StoreError> {
        let id = random_name().during("make a name in", &self.root)?;
        Upload::at(self, id, OFlags::CREATE | OFlags::EXCL)
    }

    /// The ids of the uploads that have been begun and neither finished nor cancelled, sorted.
    ///
    /// # Errors
    /// They can not be listed.
    pub fn uploads(&self) -> Result<Vec<String>, StoreError> {
        let mut ids: Vec<String> = self.files("upload")?.into_iter().filter(|id| is_id(id)).collect();
        ids.sort();
        Ok(ids)
    }

    /// Takes away the uploads that nobody has gone on with for so long; tells how many are left.
    ///
    /// # Errors
    /// They can not be listed, or one can not be removed.
    pub fn expire_uploads(&self, age: Duration) -> Result<usize, StoreError> {
        let old =
            |metadata: &Metadata| metadata.modified().is_ok_and(|at| at.elapsed().is_ok_and(|passed| passed >= age));
        self.clear_growing("upload", old, &mut Collected::default())?;
        Ok(self.uploads()?.len())
    }
}

impl Upload {
    /// Goes on with the upload of this id; waits while another goes on with it.
    ///
    /// # Errors
    /// [`StoreError::NoUpload`]; [`StoreError::Busy`] where the other makes no progress.
    pub fn open(store: &Store, id: &str) -> Result<Self, StoreError> {
        // Before it becomes part of a path: ids come from clients.
        if !is_id(id) {
            return Err(StoreError::NoUpload(id.to_owned()));
        }
        Self::at(store, id.to_owned(), OFlags::empty())
    }

    fn at(store: &Store, id: String, flags: OFlags) -> Result<Self, StoreError> {
        let path = store.own("upload")?.join(&id);
        match Growing::open(store, path, flags)? {
            Some(growing) => Ok(Self { store: store.clone(), id, growing }),
            None => Err(StoreError::NoUpload(id)),
        }
    }

    /// By what it is opened again: 32 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How many bytes have come.
    pub fn position(&self) -> u64 {
        self.growing.length
    }

    /// Writes all of these bytes at the end.
    ///
    /// # Errors
    /// They can not be written; what came before is kept.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.growing.path.clone();
        Ok(self.write_all(bytes).during("write to", &path)?)
    }

    /// Verifies that all bytes have this digest, syncs them to the disk, and makes them the blob. They are read once more for that:
    /// hashed while they come, they would have to be hashed again with each request that goes on with the upload.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] where they have another digest; the upload is taken away then. They can not be synced or renamed.
    pub fn finish(self, digest: &Digest) -> Result<(), StoreError> {
        let Self { store, mut growing, .. } = self;
        growing.file.0.rewind().during("read", &growing.path)?;
        match read_verified(&growing.file.0, digest, growing.length, &growing.path, &mut io::sink()) {
            Ok(()) => growing.place(&store, digest),
            Err(error) => {
                if matches!(error, StoreError::Mismatch { .. }) {
                    growing.remove()?;
                }
                Err(error)
            }
        }
    }

    /// Takes away what has come.
    ///
    /// # Errors
    /// It can not be removed.
    pub fn cancel(self) -> Result<(), StoreError> {
        self.growing.remove()
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.growing.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

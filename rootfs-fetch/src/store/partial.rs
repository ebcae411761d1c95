//! Downloads that survive the process.

use std::io::{self, BufRead, BufReader, Write};

use rustix::fs::OFlags;

use super::growing::Growing;
use super::{CHUNK, Store, StoreError, hasher, same};
use crate::error::During;
use crate::image::{Digest, Hasher, Mismatch};

/// As often the file may be finished or taken away by others while it is waited for.
const TRIES: u32 = 1000;

/// The download of a blob. Dropped, it is kept, and goes on from [`Partial::position`] when it is opened again.
#[derive(Debug)]
pub struct Partial {
    store: Store,
    digest: Digest,
    size: u64,
    /// None where the store has the blob.
    missing: Option<(Growing, Hasher)>,
}

impl Store {
    /// Begins the download of a blob of `size` bytes, or goes on with it. Where another process or thread downloads it just now,
    /// waits for that one; where the store has the blob already, there is nothing left to download.
    ///
    /// # Errors
    /// [`StoreError::Busy`] where the other makes no progress; [`StoreError::Mismatch`] where the digest's algorithm is not known.
    pub fn partial(&self, digest: &Digest, size: u64) -> Result<Partial, StoreError> {
        let hasher = hasher(digest)?;
        let partial = |missing| Partial { store: self.clone(), digest: digest.clone(), size, missing };
        let path = self.own("partial")?.join(format!("{}-{}", digest.algorithm(), digest.digest()));
        for _ in 0..TRIES {
            if self.size(digest) == Some(size) {
                return Ok(partial(None));
            }
            let Some(growing) = Growing::open(self, path.clone(), OFlags::CREATE)? else { continue };
            // Another may have finished after the look and before the lock; then this file is a new one.
            if self.size(digest) == Some(size) {
                growing.remove()?;
                return Ok(partial(None));
            }
            return resume(growing, hasher, size).map(|missing| partial(Some(missing)));
        }
        Err(StoreError::Busy { path, patience: self.patience.limit })
    }
}

/// Hashes what an earlier process has left: nobody but the disk vouches for it.
fn resume(mut growing: Growing, mut hasher: Hasher, size: u64) -> Result<(Growing, Hasher), StoreError> {
    if growing.length > size {
        growing.file.0.set_len(0).during("empty", &growing.path)?;
        growing.length = 0;
    }
    let mut reader = BufReader::with_capacity(CHUNK, &growing.file.0);
    loop {
        let bytes = reader.fill_buf().during("read", &growing.path)?;
        if bytes.is_empty() {
            break;
        }
        hasher.update(bytes);
        let count = bytes.len();
        reader.consume(count);
    }
    Ok((growing, hasher))
}

impl Partial {
    /// How many bytes are there; the next to be written comes after them. All of them where the store has the blob already.
    pub fn position(&self) -> u64 {
        self.missing.as_ref().map_or(self.size, |(growing, _)| growing.length)
    }

    /// How many bytes the blob has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Writes all of these bytes at the end.
    ///
    /// # Errors
    /// More bytes than announced: [`StoreError::Mismatch`]. They can not be written; those before them are kept.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.missing.as_ref().map(|(growing, _)| growing.path.clone()).unwrap_or_default();
        match self.write_all(bytes).map_err(io::Error::downcast::<Mismatch>) {
            Ok(()) => Ok(()),
            Err(Ok(why)) => Err(StoreError::mismatch(&self.digest)(why)),
            Err(Err(error)) => Ok(Err(error).during("write to", &path)?),
        }
    }

    /// Verifies all bytes, syncs them to the disk, and makes them the blob.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`]: where bytes are missing, what is there is kept; where they have another digest, it is taken away.
    /// They can not be synced or renamed.
    pub fn finish(self) -> Result<(), StoreError> {
        let Some((growing, hasher)) = self.missing else { return Ok(()) };
        if growing.length < self.size {
            let why = Mismatch::Short { found: growing.length, wanted: self.size };
            return Err(StoreError::mismatch(&self.digest)(why));
        }
        if let Err(error) = same(&hasher, &self.digest) {
            growing.remove()?;
            return Err(error);
        }
        growing.place(&self.store, &self.digest)
    }

    /// Takes away what was downloaded. A blob that the store had already stays.
    ///
    /// # Errors
    /// It can not be removed.
    pub fn abandon(self) -> Result<(), StoreError> {
        self.missing.map_or(Ok(()), |(growing, _)| growing.remove())
    }
}

impl Write for Partial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.size - self.position() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, Mismatch::Long(self.size)));
        }
        let Some((growing, hasher)) = &mut self.missing else { return Ok(0) };
        let count = growing.write(bytes)?;
        hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! Locks between processes. They are advisory (flock(2)): the kernel takes them back from whoever dies, kill -9 included.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::StoreError;
use crate::error::During;

const PAUSE: Duration = Duration::from_millis(5);

/// How a file is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// With others who do the same.
    Shared,
    /// Alone.
    Exclusive,
}

/// An open file that is locked until this is dropped.
#[derive(Debug)]
pub(crate) struct Locked(pub File);

impl Locked {
    /// Waits for the lock on `file`, which is at `path`. The wait ends when nothing was written to the file for as long as
    /// `patience`: whoever downloads into it for an hour is not stuck. (To set its time is as good.)
    pub fn new(file: File, path: &Path, how: How, patience: Duration) -> Result<Self, StoreError> {
        Self::unless(file, path, how, patience, &|| false)
    }

    /// As [`Locked::new`]; the wait also ends when `given_up` says so.
    pub fn unless(
        file: File,
        path: &Path,
        how: How,
        patience: Duration,
        given_up: &dyn Fn() -> bool,
    ) -> Result<Self, StoreError> {
        let progress = || {
            let metadata = file.metadata().during("look at", path)?;
            Ok::<_, StoreError>((metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
        };
        let (mut seen, mut since) = (progress()?, Instant::now());
        loop {
            let tried = match how {
                How::Shared => file.try_lock_shared(),
                How::Exclusive => file.try_lock(),
            };
            match tried {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::Error(error)) => Err(error).during("lock", path)?,
                Err(TryLockError::WouldBlock) => {}
            }
            let now = progress()?;
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            if since.elapsed() >= patience || given_up() {
                return Err(StoreError::Busy { path: path.to_owned(), patience });
            }
            thread::sleep(PAUSE.min(patience));
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // A child that another thread forked has the lock too until it executes another program: to close the file would
        // leave it to the child.
        let _ = self.0.unlock();
    }
}

//! Locks between processes. They are advisory (flock(2)): the kernel takes them back from whoever dies, kill -9 included.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::StoreError;
use crate::error::During;

const PAUSE: Duration = Duration::from_millis(5);

/// How long is waited for others.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    /// So long others may show no progress.
    pub limit: Duration,
    /// When one of these is set, the wait is over.
    pub until: Vec<Arc<AtomicBool>>,
}

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
    /// Waits for the lock on `file`, which is at `path`, for as long as `patience` says.
    pub fn new(file: File, path: &Path, how: How, patience: &Patience) -> Result<Self, StoreError> {
        let over = || patience.until.iter().any(|over| over.load(Ordering::Relaxed));
        Self::unless(file, path, how, patience.limit, &over)
    }

    /// Waits for it until others have shown no progress for as long as `limit`, or until `given_up` says so: whoever writes to the file
    /// for an hour, or sets its time, is not stuck.
    ///
    /// # Errors
    /// [`StoreError::Busy`], [`StoreError::GivenUp`].
    pub fn unless(
        file: File,
        path: &Path,
        how: How,
        limit: Duration,
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
            if since.elapsed() >= limit {
                return Err(StoreError::Busy { path: path.to_owned(), patience: limit });
            }
            if given_up() {
                return Err(StoreError::GivenUp(path.to_owned()));
            }
            thread::sleep(PAUSE.min(limit));
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

//! Locks between processes. They are advisory (flock(2)): the kernel takes them back from whoever dies, kill -9 included.

use std::fs::{File, TryLockError};
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
pub(super) struct Patience {
    /// So long nothing may be written to the file that is locked: whoever downloads into it for an hour is not stuck.
    pub limit: Duration,
    /// When one of these is set, the wait is over.
    pub until: Vec<Arc<AtomicBool>>,
}

/// How a file is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// With others who do the same.
    Shared,
    /// Alone.
    Exclusive,
}

/// An open file that is locked until this is dropped.
#[derive(Debug)]
pub(super) struct Locked(pub File);

impl Locked {
    /// Waits for the lock on `file`, which is at `path`, for as long as `patience` says.
    pub fn new(file: File, path: &Path, how: How, patience: &Patience) -> Result<Self, StoreError> {
        let length = || file.metadata().map(|metadata| metadata.len()).during("look at", path);
        let (mut seen, mut since) = (length()?, Instant::now());
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
            let now = length()?;
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            if since.elapsed() >= patience.limit {
                return Err(StoreError::Busy { path: path.to_owned(), patience: patience.limit });
            }
            if patience.until.iter().any(|over| over.load(Ordering::Relaxed)) {
                return Err(StoreError::GivenUp(path.to_owned()));
            }
            thread::sleep(PAUSE.min(patience.limit));
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

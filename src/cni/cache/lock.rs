//! Who may work when: operations on one container one after the other, and GC while there is no other (section 3, lifecycle &
//! ordering). Locks of flock(2) end with their process, so nothing has to be cleaned up after one that was killed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What is held while work is done; given back when it is dropped.
#[derive(Debug)]
pub struct Lock {
    /// The container's own file, which goes with the lock.
    container: Option<(File, PathBuf)>,
    /// The file of all.
    _all: File,
}

impl Lock {
    /// Alone: waits until nobody has any.
    pub(super) fn alone(directory: &Path) -> io::Result<Self> {
        let all = open(&directory.join("lock"))?;
        all.lock()?;
        Ok(Self { container: None, _all: all })
    }

    /// With others, but alone for this container.
    pub(super) fn shared_and(directory: &Path, id: &str) -> io::Result<Self> {
        let all = open(&directory.join("lock"))?;
        all.lock_shared()?;
        let locks = directory.join("locks");
        DirBuilder::new().recursive(true).mode(0o700).create(&locks)?;
        let path = locks.join(id);
        loop {
            let file = open(&path)?;
            file.lock()?;
            // Who had it before has removed it: a lock on a file without a name keeps nobody away.
            let (own, named) = (file.metadata()?, fs::metadata(&path));
            if named.is_ok_and(|named| (named.dev(), named.ino()) == (own.dev(), own.ino())) {
                return Ok(Self { container: Some((file, path)), _all: all });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some((file, path)) = self.container.take() {
            // While it is still locked: afterwards it may be somebody else's.
            let _ = fs::remove_file(path);
            drop(file);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_at_a_time_for_a_container() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let lock = Lock::shared_and(dir.path(), "c").unwrap();
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
        assert_eq!(fs::read_dir(dir.path().join("locks")).unwrap().count(), 0);
    }

    #[test]
    fn who_is_alone_waits_for_all_others() {
        let dir = tempfile::tempdir().unwrap();
        let one = Lock::shared_and(dir.path(), "a").unwrap();
        let other = Lock::shared_and(dir.path(), "b").unwrap();
        let all = open(&dir.path().join("lock")).unwrap();
        assert!(all.try_lock().is_err());
        drop((one, other));
        all.try_lock().unwrap();
        drop(all);
        drop(Lock::alone(dir.path()).unwrap());
    }
}

//! A directory that nobody else can enter, in which a tree is made before it gets its name.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, FileTimes, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::UnpackError;
use crate::error::During;
use crate::layer::remove;
use crate::store::{How, Locked, StoreError};

/// What is in a workshop, and nothing else.
pub(super) const TREE: &str = "tree";
/// How long another may hold a lock without any progress. It may wait for a large layer itself; who is killed holds none.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);
/// As often another may finish with it or take it away while it is waited for.
const TRIES: u32 = 1000;

/// A workshop that is locked: kill -9 takes the lock away and leaves the rest to the next who comes. Dropped, it is removed.
pub(super) struct Workshop {
    path: PathBuf,
    /// None where it has become something else.
    lock: Option<Locked>,
}

impl Workshop {
    /// Opens the workshop at `path`, waits until nobody else has it, removes what one who was killed has left, and begins a tree.
    pub fn open(path: PathBuf, given_up: &dyn Fn() -> bool) -> Result<Self, UnpackError> {
        for _ in 0..TRIES {
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => made.during("make the directory", &path)?,
            }
            let Some(lock) = lock(&path, How::Exclusive, PATIENCE, given_up)? else { continue };
            let metadata = lock.0.metadata().during("look at", &path)?;
            if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o077 != 0 {
                return Err(UnpackError::target(path, "it was not made for this, or by another"));
            }
            let workshop = Self { path, lock: Some(lock) };
            workshop.clear()?;
            let tree = workshop.tree();
            fs::create_dir(&tree).during("make the directory", &tree)?;
            // Whatever the umask is.
            fs::set_permissions(&tree, Permissions::from_mode(0o755)).during("set the mode of", &tree)?;
            // A root of which no layer says anything is not as old as it is, but the same each time.
            let old = File::open(&tree)
                .and_then(|tree| tree.set_times(FileTimes::new().set_accessed(UNIX_EPOCH).set_modified(UNIX_EPOCH)));
            old.during("set the time of", &tree)?;
            return Ok(workshop);
        }
        Err(StoreError::Busy { path, patience: PATIENCE }.into())
    }

    /// What is made in it.
    pub fn tree(&self) -> PathBuf {
        self.path.join(TREE)
    }

    /// Lets those who wait see that this is not stuck.
    pub fn show_progress(&self) {
        if let Some(lock) = &self.lock {
            // It is only for them.
            let _ = lock.0.set_modified(SystemTime::now());
        }
    }

    /// Gives the tree its name, where nothing or an empty directory may be.
    pub fn give(self, name: &Path) -> Result<(), UnpackError> {
        let tree = self.tree();
        let renamed = match fs::rename(&tree, name) {
            // To get into another directory it has to be one that its owner may write to.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let mode = fs::symlink_metadata(&tree).during("look at", &tree)?.permissions();
                let writable = Permissions::from_mode(mode.mode() | 0o700);
                fs::set_permissions(&tree, writable).during("set the mode of", &tree)?;
                fs::rename(&tree, name).and_then(|()| fs::set_permissions(name, mode))
            }
            renamed => renamed,
        };
        Ok(renamed.during("make", name)?)
    }

    /// Gives the workshop itself a name, tree and all. It stays locked, with others now.
    pub fn keep(mut self, name: &Path) -> Result<Locked, UnpackError> {
        fs::rename(&self.path, name).during("make", name)?;
        // From here on it is no workshop.
        let lock = self.lock.take().ok_or_else(|| UnpackError::target(name, "it is not locked"))?;
        lock.0.lock_shared().during("lock", name)?;
        Ok(lock)
    }

    /// Removes it.
    pub fn remove(mut self) -> Result<(), UnpackError> {
        self.clear()?;
        fs::remove_dir(&self.path).during("remove", &self.path)?;
        self.lock.take();
        Ok(())
    }

    fn clear(&self) -> Result<(), UnpackError> {
        for entry in fs::read_dir(&self.path).during("list", &self.path)? {
            let name = entry.during("list", &self.path)?.file_name();
            if name != TREE {
                let why = format!("there is {name:?} in {:?}, which only this makes and removes", self.path);
                return Err(UnpackError::target(&self.path, why));
            }
        }
        remove(&self.path, OsStr::new(TREE)).during("remove", &self.tree()).map(drop)?;
        Ok(())
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if self.lock.is_some() {
            // What can not be removed now the next will try to.
            let _ = remove(&self.path, OsStr::new(TREE));
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Locks the directory at `path`; none where there is none, or no longer the same: one that was renamed stays locked.
pub(super) fn lock(
    path: &Path,
    how: How,
    patience: Duration,
    given_up: &dyn Fn() -> bool,
) -> Result<Option<Locked>, UnpackError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::NOTDIR | Errno::LOOP) => return Err(StoreError::NotADirectory(path.to_owned()).into()),
        opened => File::from(opened.map_err(io::Error::from).during("open", path)?),
    };
    let id = |metadata: Metadata| (metadata.dev(), metadata.ino());
    let opened = file.metadata().map(id).during("look at", path)?;
    let gone = || fs::symlink_metadata(path).map(id).ok() != Some(opened);
    match Locked::unless(file, path, how, patience, &|| given_up() || gone()) {
        Err(StoreError::Busy { .. } | StoreError::GivenUp(_)) if gone() => Ok(None),
        lock => Ok(Some(lock?).filter(|_| !gone())),
    }
}

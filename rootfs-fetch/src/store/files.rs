//! Files: made whole or not at all, and opened only if they are files.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use super::StoreError;
use crate::error::{During, Error};

/// A file without its place yet; it goes away unless it gets one.
pub(super) struct Writing {
    pub file: File,
    pub path: PathBuf,
}

impl Writing {
    pub fn new(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(random_name().during("make a name in", directory)?);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path);
        Ok(Self { file: file.during("make", &path)?, path })
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // After it got its place there is nothing here any more.
        let _ = fs::remove_file(&self.path);
    }
}

/// 32 hexadecimal digits that nobody can guess, for a file or for a person to show: 16 bytes of the kernel's random numbers.
///
/// # Errors
/// Those of getrandom(2), which for so few bytes fails only where it is forbidden.
pub fn random_name() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    // So few come all at once (getrandom(2), "Interruption by a signal handler").
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes a directory where there is none.
pub(super) fn make_directory(path: &Path) -> Result<(), StoreError> {
    if !is_directory(path)? {
        DirBuilder::new().recursive(true).mode(0o755).create(path).during("make the directory", path)?;
    }
    Ok(())
}

/// Whether there is a directory; anything else in its place is an error.
pub(super) fn is_directory(path: &Path) -> Result<bool, StoreError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        looked => match looked.during("look at", path)?.is_dir() {
            true => Ok(true),
            false => Err(StoreError::NotADirectory(path.to_owned())),
        },
    }
}

/// After this a file that was renamed into the directory is there even if the power goes.
pub(super) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    Ok(File::open(path).and_then(|directory| directory.sync_all()).during("sync", path)?)
}

/// Opens a regular file, and nothing else: no link is followed, and no FIFO waited for.
pub(super) fn open_file(path: &Path, flags: OFlags) -> Result<File, StoreError> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::from_raw_mode(0o644)) {
        Err(Errno::LOOP) => return Err(StoreError::NotAFile(path.to_owned())),
        opened => File::from(opened.map_err(Into::into).during("open", path)?),
    };
    match file.metadata().during("look at", path)?.is_file() {
        true => Ok(file),
        false => Err(StoreError::NotAFile(path.to_owned())),
    }
}

/// None for a file that is not there.
pub(super) fn if_there(opened: Result<File, StoreError>) -> Result<Option<File>, StoreError> {
    match opened {
        Err(StoreError::Io(Error::Io { source, .. })) if source.kind() == ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// The bytes of a small file; none where there is no file.
pub(super) fn read_bounded(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(file) = if_there(open_file(path, OFlags::RDONLY))? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).during("read", path)?;
    if bytes.len() as u64 > limit {
        let too_large = io::Error::new(ErrorKind::FileTooLarge, format!("more than {limit} bytes"));
        Err(too_large).during("read", path)?;
    }
    Ok(Some(bytes))
}

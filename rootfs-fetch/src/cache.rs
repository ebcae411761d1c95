//! A cache of files by their content, so that the next rootfs does not read them from the machine again.
//!
//! A directory that is one user's alone:
//!
//! ```text
//! blobs/XX/DIGEST     content; its name is its sha256, which begins with XX
//! index/NAME          for one file of the machine: device, inode, size, times → DIGEST; NAME is the sha256 of its path
//! writing/            what is being written; it gets its name when it is whole
//! lock                locked, shared with others, by those who use the cache; alone, by those who clear it
//! ```
//!
//! Nothing in it is trusted for being there. A blob is hashed while it is copied into a rootfs; one that has not the digest
//! in its name is thrown away, and the file read from the machine again. An index entry that can not be read counts as none.
//! So a power cut can do no harm, and nothing is synced to the disk. Files get their names by rename(2): whoever is
//! killed leaves something in `writing` at most, and the next who is alone in the cache clears that.
//!
//! A rootfs gets copies. Hard links would cost less; but who writes into a rootfs, as learners do, would then write into the
//! cache, and into every other rootfs.

mod collect;
mod entry;

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest as _, Sha256};

pub use collect::{Cleared, Held};
use entry::{Digest, Seen};

use crate::error::{During, Error};
use crate::machine::{Found, Machine};

/// How large a cache may grow unless something else is said.
pub const DEFAULT_LIMIT: u64 = 256 * 1024 * 1024;
/// To clear a cache takes milliseconds; whoever holds it longer is stuck.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);
/// As many names are tried for a file that is to be written.
const NAMES: u32 = 1000;
const CHUNK: usize = 128 * 1024;

/// An open cache of files by their content. While it is open others can use it too, and nobody can clear it.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    lock: File,
    limit: u64,
}

/// A copy that was made.
#[derive(Debug)]
pub(crate) struct Copied {
    /// How many bytes.
    pub bytes: u64,
    /// Where they came from.
    pub origin: Origin,
    /// Why the cache does not have them for the next time.
    pub trouble: Option<io::Error>,
}

/// Where the content of a copy came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The machine's file was read.
    Machine,
    /// The cache had it.
    Cache,
    /// What the cache had was broken, so the machine's file was read.
    Repaired,
}

impl Cache {
    /// `rootfs-fetch` in `$XDG_CACHE_HOME`, or in `~/.cache`; nothing where neither is known, or where the home belongs to
    /// another: under sudo, root's files have no place in it.
    pub fn usual_directory() -> Option<PathBuf> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let owner = |path: &Path| fs::metadata(path).map(|metadata| metadata.uid()).ok();
        let base = absolute("XDG_CACHE_HOME").or_else(|| {
            let home = absolute("HOME").filter(|home| owner(home) == owner(Path::new("/proc/self")));
            home.map(|home| home.join(".cache"))
        })?;
        Some(base.join("rootfs-fetch"))
    }

    /// Opens the cache in `directory`, which is made where it is absent.
    ///
    /// # Errors
    /// The directory can not be made or written to; it belongs to another or can be written to by others, who could put one
    /// program in the place of another; or somebody has been clearing it for ten seconds.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, Error> {
        let root = directory.into();
        make_directory(&root).during("make the directory", &root)?;
        // Before anything is done in it: whose it is. Somebody else could have put a link where a directory should be.
        is_ours(&root)?;
        for name in ["blobs", "index", "writing"] {
            let path = root.join(name);
            make_directory(&path).during("make the directory", &path)?;
        }
        let path = root.join("lock");
        let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let cache = Self { lock: lock.during("open", &path)?, root, limit: DEFAULT_LIMIT };
        if cache.be_alone()? {
            cache.clear_writing()?;
        }
        cache.share()?;
        Ok(cache)
    }

    /// Sets how many bytes it may hold after a rootfs was made; what was not used for longest goes first.
    #[must_use]
    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// Copies what was found on the machine to `into`, which is empty.
    ///
    /// # Errors
    /// The machine's file can not be read, or the copy not be written. What fails in the cache is no error: then it is done
    /// without.
    pub(crate) fn copy(&self, machine: &Machine, found: &Found, into: &mut File) -> Result<Copied, Error> {
        let expected = Seen::of(&found.metadata);
        let path = machine.outside(&found.real);
        let mut origin = Origin::Machine;
        let bytes = found.metadata.len();
        if let Some(digest) = self.recall(&path, &expected) {
            match self.take(&digest, bytes, into).during("write the copy of", &found.real)? {
                Taken::Whole => return Ok(Copied { bytes, origin: Origin::Cache, trouble: None }),
                Taken::Broken => origin = Origin::Repaired,
                Taken::Absent => {}
            }
            into.rewind().and_then(|()| into.set_len(0)).during("write the copy of", &found.real)?;
        }
        let source = machine.open(found)?;
        let mut writing = Writing::new(&self.root.join("writing"));
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        // A file that is being written to ends where it ended when it was looked at.
        let mut rest = (&source).take(found.metadata.len());
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = some(&mut rest, &mut buffer).during("read", &path)?;
            let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { break };
            into.write_all(read).during("write the copy of", &found.real)?;
            hash.update(read);
            bytes += read.len() as u64;
            writing = writing.and_then(|mut writing| writing.file.write_all(read).map(|()| writing));
        }
        // What changed while it was read is not what the index would say it is.
        let same = Seen::of(&source.metadata().during("look at", &path)?) == expected;
        let kept = writing.and_then(|writing| match same {
            true => self.keep(writing, &Digest::of(hash), &path, expected),
            false => Ok(()),
        });
        Ok(Copied { bytes, origin, trouble: kept.err() })
    }

    /// Clears what is beyond the limit, unless others use the cache just now: then the last of them does.
    pub(crate) fn trim(&self) -> Result<(), Error> {
        if self.size()? > self.limit && self.be_alone()? {
            self.clear_alone(self.limit)?;
        }
        self.share()
    }

    /// Copies the blob with this digest; what is in `into` afterwards counts only if that was whole.
    fn take(&self, digest: &Digest, length: u64, into: &mut File) -> io::Result<Taken> {
        let path = self.blob(digest);
        let Some(blob) = open_file(&path) else { return Ok(Taken::Absent) };
        let (mut hash, mut copied) = (Sha256::new(), 0);
        let mut rest = (&blob).take(length.saturating_add(1));
        let mut buffer = vec![0; CHUNK];
        while let Ok(count @ 1..) = some(&mut rest, &mut buffer) {
            into.write_all(&buffer[..count])?;
            hash.update(&buffer[..count]);
            copied += count as u64;
        }
        if copied == length && Digest::of(hash) == *digest {
            // What was used last is cleared last; a cache that forgets that is still a cache.
            let _ = blob.set_modified(SystemTime::now());
            return Ok(Taken::Whole);
        }
        // Another may have put a whole one in its place meanwhile. That one is then read once more from the machine.
        let _ = fs::remove_file(path);
        Ok(Taken::Broken)
    }

    /// Gives what was written its name, and then notes which file of the machine it is.
    fn keep(&self, writing: Writing, digest: &Digest, path: &Path, seen: Seen) -> io::Result<()> {
        let blob = self.blob(digest);
        blob.parent().map_or(Ok(()), make_directory)?;
        writing.name(&blob)?;
        self.remember(path, seen, digest)
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        let digest = digest.as_str();
        self.root.join("blobs").join(&digest[..2]).join(digest)
    }

    fn clear_writing(&self) -> Result<(), Error> {
        let directory = self.root.join("writing");
        for file in fs::read_dir(&directory).during("list", &directory)? {
            let path = file.during("list", &directory)?.path();
            fs::remove_file(&path).during("remove", &path)?;
        }
        Ok(())
    }

    /// Whether nobody else uses the cache; then nobody can, until it is shared again.
    fn be_alone(&self) -> Result<bool, Error> {
        // flock(2) would let go of a shared lock too before it takes the other.
        self.lock.unlock().during("unlock", &self.root)?;
        match self.lock.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error).during("lock", &self.root),
        }
    }

    fn share(&self) -> Result<(), Error> {
        self.lock.unlock().during("unlock", &self.root)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lock.try_lock_shared() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(self.unusable(format!("another process has been clearing it for {PATIENCE:?}")));
                }
                Err(TryLockError::Error(error)) => return Err(error).during("lock", &self.root),
            }
        }
    }

    fn unusable(&self, why: impl Into<String>) -> Error {
        Error::Cache { path: self.root.clone(), why: why.into() }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        // A child that was forked meanwhile, by whatever thread, has the lock too until it executes another program. To
        // close the file would leave it to them.
        let _ = self.lock.unlock();
    }
}

enum Taken {
    Whole,
    Broken,
    Absent,
}

/// A file without its name yet; it goes away unless it gets one.
struct Writing {
    file: File,
    path: PathBuf,
}

impl Writing {
    /// A new file that nobody else writes to.
    fn new(directory: &Path) -> io::Result<Self> {
        let pid = std::process::id();
        for number in 0..NAMES {
            // In another pid namespace somebody may have the same pid, so the name alone does not make it ours.
            let path = directory.join(format!("{pid}.{number}"));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok(Self { file, path }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    fn name(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // After it got its name there is nothing here any more.
        let _ = fs::remove_file(&self.path);
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Refuses a directory into which another can put something.
fn is_ours(directory: &Path) -> Result<(), Error> {
    let unusable = |why| Error::Cache { path: directory.to_owned(), why };
    let metadata = fs::metadata(directory).during("look at", directory)?;
    // A file that was just made shows who we are for the file system.
    let writing = Writing::new(directory).during("make a file in", directory)?;
    let ours = writing.file.metadata().during("look at", &writing.path)?.uid();
    if metadata.uid() != ours {
        return Err(unusable(format!("it belongs to user {}, and you are {ours}", metadata.uid())));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(unusable("others can write to it; take that away with chmod go-w".into()));
    }
    Ok(())
}

/// Opens a file of the cache, if there is one: to open anything else may wait for ever.
fn open_file(path: &Path) -> Option<File> {
    fs::symlink_metadata(path).ok().filter(Metadata::is_file)?;
    File::open(path).ok()
}

/// Reads some bytes; none at the end.
fn some(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

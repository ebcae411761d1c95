//! The store of images: an OCI image layout on disk (image-spec, image-layout.md), which skopeo and umoci read as `oci:DIR:NAME`.
//!
//! ```text
//! oci-layout            the version of the layout
//! index.json            the names: for each a descriptor, named by the annotation org.opencontainers.image.ref.name
//! blobs/sha256/HEX      content; its name is its digest
//! .rootfs-fetch/        what other programs need not know:
//!     partial/          downloads, by digest, that go on where they stopped
//!     upload/           uploads, by id, whose digest is not yet known
//!     linked/           which blobs a repository of a registry has
//!     writing/          small files until they are whole
//!     lock              shared by those who put in, exclusive for those who take away
//!     index.lock        exclusive for those who change index.json
//! ```
//!
//! A file gets its place under `blobs` or as `index.json` by rename(2) after its bytes were verified and synced to the disk.
//! Whoever reads finds what was there before or the whole of what is new, whatever was killed and whenever the power went.
//! The store is what a person pulls with much patience, so it is synced; a cache, which can be made again, need not be.

mod collect;
mod error;
mod files;
mod growing;
mod image;
mod layout;
mod links;
mod lock;
mod names;
mod partial;
mod upload;
mod verify;

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;

pub use collect::{Collected, GRACE};
pub use error::StoreError;
pub use files::random_name;
use files::{Writing, if_there, is_directory, make_directory, open_file, sync_directory};
pub use image::{Image, ImageLayer, MAX_CONFIG, chain_id};
use lock::Patience;
pub(crate) use lock::{How, Locked};
pub(crate) use names::{REF_NAME, is_name};
pub use partial::Partial;
pub use upload::Upload;
pub use verify::Fault;

use crate::error::During;
use crate::image::{Descriptor, Digest, Document, DocumentError, Hasher, MAX_DOCUMENT, Mismatch, Verified};

/// What is not part of the layout.
const OWN: &str = ".rootfs-fetch";
/// How long others may hold a lock without any progress. To sync a large blob to a slow disk shows none.
const PATIENCE: Duration = Duration::from_secs(60);
/// As much is read at once, in bytes.
const CHUNK: usize = 128 * 1024;

/// A store of images in a directory. Any number of processes and threads may use it at once.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    patience: Patience,
}

impl Store {
    /// Opens the store in `dir`, which is made where it is absent or empty. A whole layout is opened without writing to it, so
    /// it may be read-only.
    ///
    /// # Errors
    /// [`StoreError::Layout`] where the directory has something else in it, or a layout of another version than 1.0.0;
    /// [`StoreError::NotADirectory`].
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self { root: dir.into(), patience: Patience { limit: PATIENCE, until: Vec::new() } };
        let is_layout = store.is_layout()?;
        if !is_layout {
            store.is_ours_to_make()?;
        }
        let has_blobs = is_directory(&store.root.join("blobs"))? && is_directory(&store.root.join("blobs/sha256"))?;
        if !is_layout || !has_blobs || !store.index_path().exists() {
            store.make()?;
        }
        Ok(store)
    }

    /// Sets for how long another process may hold a lock without any progress before [`StoreError::Busy`] is the answer; 60
    /// seconds otherwise.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience.limit = patience;
        self
    }

    /// Ends each wait for others when this is set; the answer is [`StoreError::GivenUp`] then. May be given several, of which one is enough.
    #[must_use]
    pub fn until(mut self, over: Arc<AtomicBool>) -> Self {
        self.patience.until.push(over);
        self
    }

    /// The directory of the layout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether there is a blob with this digest. Whoever asks may count on it for [`GRACE`]: until then a name must reach it.
    pub fn has(&self, digest: &Digest) -> bool {
        self.size(digest).is_some()
    }

    /// The size of a blob in bytes; none where there is none. It is spared for [`GRACE`], as by [`Store::has`].
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        // In a store that is read-only for us there is no lock, and we take nothing away. But while another takes away, what
        // is here now may be gone when this returns.
        let shared = self.share();
        if matches!(shared, Err(StoreError::Busy { .. } | StoreError::GivenUp(_))) {
            return None;
        }
        let blob = self.blob(digest).ok()?;
        // Only its owner may: another's blob is for its owner to spare.
        let _ = blob.set_modified(SystemTime::now());
        blob.metadata().ok().map(|metadata| metadata.len())
    }

    /// Opens a blob for reading. It was verified when it was put in; whoever does not trust the disk reads it by [`Verified`].
    ///
    /// # Errors
    /// [`StoreError::NoBlob`]; [`StoreError::NotAFile`] where something else is in its place: a link would lead out of the store.
    pub fn blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let opened = if_there(open_file(&self.path(digest), OFlags::RDONLY))?;
        opened.ok_or_else(|| StoreError::NoBlob(digest.clone()))
    }

    /// Where the blob with this digest is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        // The grammar of digests has neither a slash nor a component of dots alone.
        self.root.join("blobs").join(digest.algorithm().as_ref()).join(digest.digest())
    }

    /// Puts bytes in, and tells their SHA-256 digest.
    ///
    /// # Errors
    /// The bytes can not be written or synced; a lock is not to be had.
    pub fn add(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = crate::image::digest_of(bytes);
        self.put(bytes, &digest)?;
        Ok(digest)
    }

    /// Puts bytes in that have this digest.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] where they have not; and as [`Store::add`].
    pub fn add_as(&self, bytes: &[u8], digest: &Digest) -> Result<(), StoreError> {
        let mut hasher = hasher(digest)?;
        hasher.update(bytes);
        same(&hasher, digest)?;
        self.put(bytes, digest)
    }

    /// Takes a blob away; tells whether it was there. Names that reach it are broken then: it is for a blob that
    /// [`Store::verify`] found wrong, so that it can be pulled again.
    ///
    /// # Errors
    /// It can not be removed; a lock is not to be had.
    pub fn remove(&self, digest: &Digest) -> Result<bool, StoreError> {
        let _alone = self.alone()?;
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            removed => Ok(removed.map(|()| true).during("remove", &path)?),
        }
    }

    /// A manifest or an index: its bytes, verified again, and what they say.
    ///
    /// # Errors
    /// As [`Store::blob`]; [`StoreError::Mismatch`] where the disk has changed it; [`StoreError::Document`] where it is something
    /// else, or larger than [`MAX_DOCUMENT`].
    pub fn document(&self, digest: &Digest) -> Result<(Vec<u8>, Document), StoreError> {
        let bytes = self.small(digest, MAX_DOCUMENT)?;
        let document = Document::read(&bytes, None);
        Ok((bytes, document.map_err(|why| StoreError::Document { digest: digest.clone(), why })?))
    }

    /// The bytes of a blob that has at most `limit`, verified again.
    ///
    /// # Errors
    /// As [`Store::document`], but for what the bytes say.
    pub fn small(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        let (file, path) = (self.blob(digest)?, self.path(digest));
        let size = file.metadata().during("look at", &path)?.len();
        if size > limit {
            let why = DocumentError::TooLarge { what: format!("it has {size} bytes"), limit };
            return Err(StoreError::Document { digest: digest.clone(), why });
        }
        let mut bytes = Vec::new();
        read_verified(&file, digest, size, &path, &mut bytes)?;
        Ok(bytes)
    }

    fn put(&self, bytes: &[u8], digest: &Digest) -> Result<(), StoreError> {
        let _shared = self.share()?;
        let size = bytes.len() as u64;
        // What has these bytes already is only spared; what is broken there is replaced.
        if let Ok(blob) = self.blob(digest)
            && read_verified(&blob, digest, size, &self.path(digest), &mut io::sink()).is_ok()
        {
            let _ = blob.set_modified(SystemTime::now());
            return Ok(());
        }
        let path = self.place_for(digest)?;
        self.replace(&path, bytes)
    }

    /// Where this blob belongs, with the directory made: that of sha512 only comes with the first of them.
    fn place_for(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        let path = self.path(digest);
        let blobs = self.root.join("blobs");
        let directory = blobs.join(digest.algorithm().as_ref());
        if !is_directory(&directory)? {
            make_directory(&directory)?;
            sync_directory(&blobs)?;
        }
        Ok(path)
    }

    /// Puts a file with these bytes at `path`, in one step. Whoever calls it has a lock, so that what is in `writing` is not
    /// taken for what one who was killed has left.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let mut writing = Writing::new(&self.own("writing")?)?;
        writing.file.write_all(bytes).during("write", &writing.path)?;
        // The name must not get to the disk before the bytes.
        writing.file.sync_all().during("sync", &writing.path)?;
        fs::rename(&writing.path, path).during("make", path)?;
        path.parent().map_or(Ok(()), sync_directory)
    }

    /// A lock for those who put in: what is there now stays until it is dropped.
    fn share(&self) -> Result<Locked, StoreError> {
        self.lock("lock", How::Shared)
    }

    /// A lock for those who take away.
    fn alone(&self) -> Result<Locked, StoreError> {
        self.lock("lock", How::Exclusive)
    }

    fn lock(&self, name: &str, how: How) -> Result<Locked, StoreError> {
        let path = self.own("")?.join(name);
        let file = open_file(&path, OFlags::RDWR | OFlags::CREATE)?;
        Locked::new(file, &path, how, &self.patience)
    }

    /// A directory of our own, made where it is absent.
    fn own(&self, name: &str) -> Result<PathBuf, StoreError> {
        let path = self.root.join(OWN);
        make_directory(&path)?;
        let path = path.join(name);
        make_directory(&path)?;
        Ok(path)
    }

    /// The names in a directory of our own; none where it was never made.
    fn files(&self, name: &str) -> Result<Vec<String>, StoreError> {
        let own = self.root.join(OWN);
        let path = own.join(name);
        if !is_directory(&own)? || !is_directory(&path)? {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&path).during("list", &path)?;
        let names: io::Result<Vec<_>> = entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
        Ok(names.during("list", &path)?.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }
}

fn hasher(digest: &Digest) -> Result<Hasher, StoreError> {
    let unknown = || StoreError::mismatch(digest)(Mismatch::Algorithm(digest.algorithm().to_string()));
    Hasher::new(digest.algorithm()).ok_or_else(unknown)
}

fn same(hasher: &Hasher, digest: &Digest) -> Result<(), StoreError> {
    let found = hasher.finish();
    if found == *digest {
        return Ok(());
    }
    let why = Mismatch::Digest { found: found.to_string(), wanted: digest.to_string() };
    Err(StoreError::mismatch(digest)(why))
}

/// Reads the file at `path` from where it is to its end, and verifies it.
fn read_verified(
    file: &File,
    digest: &Digest,
    size: u64,
    path: &Path,
    into: &mut impl Write,
) -> Result<(), StoreError> {
    let reader = BufReader::with_capacity(CHUNK, file);
    let mut verified = Verified::new(reader, digest, size).map_err(StoreError::mismatch(digest))?;
    match io::copy(&mut verified, into).map_err(io::Error::downcast::<Mismatch>) {
        Ok(_) => Ok(()),
        Err(Ok(why)) => Err(StoreError::mismatch(digest)(why)),
        Err(Err(error)) => Ok(Err(error).during("read", path)?),
    }
}

//! Layers as directories for overlayfs, which images share.
//!
//! ```text
//! lock                            shared by those who take, exclusive for those who remove
//! KIND/sha256/HEX/tree            a layer on the layers below it; HEX is of its chain id
//! KIND/unpacking/sha256-HEX/tree  what is not yet whole, or to be removed
//! ```
//!
//! The chain id (image-spec, config.md, "Layer ChainID") and not the diff_id names them: what is in a directory that a layer only passes
//! through depends on the layers below. KIND is who has made them: with other rights, owners and extended attributes are others.
//! `KIND/sha256/HEX` is locked by those who use it.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{XattrFlags, lremovexattr, lsetxattr};

use super::workshop::{PATIENCE, TREE, Workshop, lock};
use super::{Unpack, UnpackError, complete, parallel};
use crate::error::During;
use crate::image::{Digest, Document, digest_of, here};
use crate::layer::{Counts, Xattrs};
use crate::store::{How, Image, Locked, Store, StoreError};

/// What is set and removed again, to see whether it can be.
const PROBE: &str = "trusted.overlay.rootfs-fetch";

/// Directories of layers. Any number of processes and threads may use them at once.
#[derive(Clone, Debug)]
pub struct Snapshots {
    root: PathBuf,
    /// `root/KIND`.
    own: PathBuf,
    xattrs: Xattrs,
    mounted: HashSet<PathBuf>,
}

/// The layers of an image. Until this is dropped they are not removed; who has them mounted keeps it.
#[derive(Debug)]
pub struct Taken {
    directories: Vec<PathBuf>,
    xattrs: Xattrs,
    counts: Counts,
    _held: Vec<Held>,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// So many layers.
    pub layers: usize,
    /// So many would have been, and are in use.
    pub in_use: usize,
}

/// A layer that is locked.
#[derive(Debug)]
pub(super) struct Held {
    pub tree: PathBuf,
    _lock: Locked,
}

impl Held {
    pub fn new(at: &Path, lock: Locked) -> Self {
        Self { tree: at.join(TREE), _lock: lock }
    }
}

impl Snapshots {
    /// Opens the snapshots in `dir`, which is made where it is absent. Nobody else can enter it: the files have the setuid bits of
    /// their images.
    ///
    /// # Errors
    /// The directory can not be made; it belongs to another, or others may enter it.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, UnpackError> {
        let root = dir.into();
        DirBuilder::new().recursive(true).mode(0o700).create(&root).during("make the directory", &root)?;
        let metadata = fs::symlink_metadata(&root).during("look at", &root)?;
        let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
        if !metadata.is_dir() || !is_own || metadata.mode() & 0o077 != 0 {
            return Err(UnpackError::target(root, "it must be a directory of this user that nobody else can enter"));
        }
        let xattrs = xattrs(&root);
        let own = root.join(kind(xattrs)?);
        Ok(Self { root, own, xattrs, mounted: HashSet::new() })
    }

    /// Sets which directories somebody has mounted, as [`Taken::directories`] names them. They count as in use: the lock ends with the process
    /// that mounted them, and the mount does not.
    #[must_use]
    pub fn mounted(self, directories: HashSet<PathBuf>) -> Self {
        Self { mounted: directories, ..self }
    }

    /// Which extended attributes overlayfs has to read: with [`Xattrs::User`] it needs the mount option `userxattr`.
    pub fn xattrs(&self) -> Xattrs {
        self.xattrs
    }

    /// The directories of an image's layers; those that are not there yet are made, some at once.
    ///
    /// # Errors
    /// [`UnpackError`]. Layers that were whole before stay.
    pub fn take(&self, store: &Store, image: &Image) -> Result<Taken, UnpackError> {
        Unpack::new().take(self, store, image)
    }

    /// Removes the layers of which no image has a name in this store, except those that are in use, and what was left by those who were
    /// killed.
    ///
    /// # Errors
    /// The store can not be read; something can not be removed, or a lock is not to be had.
    pub fn gc(&self, store: &Store) -> Result<Removed, UnpackError> {
        // Before it is read what has a name, so that nobody can take one of those that come later.
        let alone = self.lock(How::Exclusive, &|| false)?;
        self.remove_others(&alone, &reached(store)?)
    }

    /// As [`Snapshots::gc`], except the layers with these chain ids.
    ///
    /// # Errors
    /// As [`Snapshots::gc`].
    pub fn gc_except(&self, keep: &HashSet<Digest>) -> Result<Removed, UnpackError> {
        self.remove_others(&self.lock(How::Exclusive, &|| false)?, keep)
    }

    fn remove_others(&self, _alone: &Locked, keep: &HashSet<Digest>) -> Result<Removed, UnpackError> {
        let unpacking = self.own.join("unpacking");
        for name in names(&unpacking)? {
            // Whoever makes something shares the lock that is held alone here.
            Workshop::open(unpacking.join(name), &|| true)?.remove()?;
        }
        let mut removed = Removed::default();
        for algorithm in ["sha256", "sha512"] {
            let directory = self.own.join(algorithm);
            for name in names(&directory)? {
                let Ok(chain_id) = format!("{algorithm}:{name}").parse::<Digest>() else { continue };
                if keep.contains(&chain_id) {
                    continue;
                }
                let at = directory.join(&name);
                if self.mounted.contains(&at.join(TREE)) {
                    removed.in_use += 1;
                    continue;
                }
                match lock(&at, How::Exclusive, Duration::ZERO, &|| true) {
                    Err(UnpackError::Store(StoreError::Busy { .. })) => removed.in_use += 1,
                    Err(error) => return Err(error),
                    Ok(None) => {}
                    // Under its name a layer is whole, or not there.
                    Ok(Some(lock)) => {
                        let aside = self.unpacking(&chain_id)?;
                        fs::rename(&at, &aside).during("rename", &at)?;
                        drop(lock);
                        Workshop::open(aside, &|| true)?.remove()?;
                        removed.layers += 1;
                    }
                }
            }
        }
        Ok(removed)
    }

    /// Where the layer with this chain id is, or will be; the directory that it is in is made.
    pub(super) fn place(&self, chain_id: &Digest) -> Result<PathBuf, UnpackError> {
        Ok(self.directory(chain_id.algorithm().as_ref())?.join(chain_id.digest()))
    }

    /// Where it is made.
    pub(super) fn unpacking(&self, chain_id: &Digest) -> Result<PathBuf, UnpackError> {
        Ok(self.directory("unpacking")?.join(format!("{}-{}", chain_id.algorithm(), chain_id.digest())))
    }

    fn directory(&self, name: &str) -> Result<PathBuf, UnpackError> {
        let path = self.own.join(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&path).during("make the directory", &path)?;
        Ok(path)
    }

    fn lock(&self, how: How, given_up: &dyn Fn() -> bool) -> Result<Locked, UnpackError> {
        let path = self.root.join("lock");
        let file: File = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .during("open", &path)?;
        Ok(Locked::unless(file, &path, how, PATIENCE, given_up)?)
    }
}

impl Unpack<'_> {
    /// As [`Snapshots::take`].
    ///
    /// # Errors
    /// As [`Snapshots::take`].
    pub fn take(&self, snapshots: &Snapshots, store: &Store, image: &Image) -> Result<Taken, UnpackError> {
        let given_up = || self.is_cancelled();
        let cancelled = |error| if given_up() { UnpackError::Cancelled } else { error };
        // Until all of them are held, nobody may remove what was there when it was looked.
        let _shared = snapshots.lock(How::Shared, &given_up).map_err(cancelled)?;
        complete(store, image)?;
        let (held, counts) = parallel::layers(self, snapshots, store, image).map_err(cancelled)?;
        let directories = held.iter().map(|held| held.tree.clone()).collect();
        Ok(Taken { directories, xattrs: snapshots.xattrs, counts, _held: held })
    }
}

impl Taken {
    /// A directory for each layer, the lowest first. (The mount option `lowerdir` has the highest first.) Nothing may be changed in them.
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Which extended attributes overlayfs has to read.
    pub fn xattrs(&self) -> Xattrs {
        self.xattrs
    }

    /// What was done for layers that were not there before.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

/// The attributes that this process can set. Those of root need its rights in the machine's own user namespace.
fn xattrs(root: &Path) -> Xattrs {
    let set = lsetxattr(root, PROBE, b"", XattrFlags::empty());
    // Another may have removed it, who tries the same at the same time.
    let _ = lremovexattr(root, PROBE);
    if set.is_ok() { Xattrs::Trusted } else { Xattrs::User }
}

/// Who makes snapshots that are alike. In a user namespace (user_namespaces(7)) owners are those that it has ids for.
fn kind(xattrs: Xattrs) -> Result<String, UnpackError> {
    if xattrs == Xattrs::Trusted {
        return Ok("trusted".into());
    }
    let mut known = rustix::process::geteuid().as_raw().to_string();
    for path in ["/proc/self/uid_map", "/proc/self/gid_map"] {
        known += &fs::read_to_string(path).during("read", Path::new(path))?;
    }
    Ok(format!("user-{}", &digest_of(known.as_bytes()).digest()[..16]))
}

/// The chain ids of all images that have a name in the store. What is no image, and what was not pulled, has none.
fn reached(store: &Store) -> Result<HashSet<Digest>, UnpackError> {
    let mut next: Vec<_> = store.names()?.into_iter().map(|(_, descriptor)| descriptor).collect();
    let (mut seen, mut found) = (HashSet::new(), HashSet::new());
    while let Some(descriptor) = next.pop() {
        if !seen.insert(descriptor.digest().clone()) {
            continue;
        }
        let image = match store.document(descriptor.digest()).map(|(_, document)| document) {
            Ok(Document::Index(index)) => {
                next.extend(index.manifests().iter().cloned());
                continue;
            }
            Ok(Document::Manifest(_)) => store.image(&descriptor, &here()),
            Err(error) => Err(error),
        };
        match image {
            Ok(image) => found.extend(image.layers.into_iter().map(|layer| layer.chain_id)),
            Err(StoreError::NoBlob(_) | StoreError::Document { .. } | StoreError::Config { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// The names in a directory; none where it is absent.
fn names(directory: &Path) -> Result<Vec<String>, UnpackError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.during("list", directory)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.during("list", directory)?.file_name().into_string());
    }
    Ok(names)
}

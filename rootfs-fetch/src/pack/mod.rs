//! Makes layers and images: the opposite of [`layer`](crate::layer).
//!
//! A layer is a directory tree ([`tree`]), the difference between two of them ([`diff`]), or what overlayfs has kept in an upper directory
//! ([`upper`]); [`LayerWriter`] writes one from whatever else. An [`ImageBuilder`] puts layers together, on others or on nothing, and
//! [`repack`] and [`commit`] do both at once. All is written into a [`Store`], and is only reached there by its digest until it has a name.
//!
//! ```no_run
//! use rootfs_fetch::image::here;
//! use rootfs_fetch::pack::{self, Format, ImageBuilder, Options};
//! use rootfs_fetch::store::Store;
//!
//! let store = Store::open("/tmp/store")?;
//! let layer = pack::tree(&store, "/tmp/rootfs".as_ref(), &Options::default())?;
//! let image = ImageBuilder::new(&store, &here()).layer(&layer, "COPY /tmp/rootfs /").cmd(["sh"]).write(Format::Oci)?;
//! store.tag("mine", &image)?;
//! # Ok::<(), rootfs_fetch::pack::PackError>(())
//! ```
//!
//! The same tree is the same bytes, whoever packs it and wherever: entries are sorted, owners are numbers, and nothing is written of when
//! and by what it was made. So a layer that did not change is a blob that every store and registry has already.

mod artifact;
mod builder;
mod compare;
mod config;
mod error;
mod format;
mod header;
mod links;
mod name;
mod out;
mod overlay;
mod plan;
mod tree;
mod writer;

use std::collections::HashMap;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{FileType, major, minor};

pub use artifact::ArtifactBuilder;
pub use builder::{ImageBuilder, index};
pub use error::PackError;
pub use format::Format;
pub use header::Metadata;
pub use writer::{Content, LayerWriter};

use crate::image::{Descriptor, Digest};
use crate::layer::{Limits, Xattrs};
use crate::store::{Image, Store};
use plan::{Against, Plan};
use tree::Tree;

/// How the archive of a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// As RFC 1952 says, with a level of 0 to 9; everybody reads it.
    Gzip(u32),
    /// As RFC 8878 says, with a level of 1 to 22; Docker's manifests have no word for it.
    Zstd(i32),
}

/// How a layer is written.
#[derive(Clone, Debug)]
pub struct Options {
    /// Gzip with level 6.
    pub compression: Compression,
    /// What is younger gets this time, as with `SOURCE_DATE_EPOCH` (reproducible-builds.org): nothing does.
    pub clamp: Option<SystemTime>,
    /// The uid and gid that everything gets: its own. An ordinary user's tree becomes one of root by `Some((0, 0))`.
    pub owner: Option<(u32, u32)>,
    /// What a layer may cost: as much as is read again.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self { compression: Compression::Gzip(6), clamp: None, owner: None, limits: Limits::default() }
    }
}

/// How much is in a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Entries, whiteouts too.
    pub entries: u64,
    /// Bytes in files.
    pub bytes: u64,
    /// Whiteouts, and marks of opaque directories.
    pub whiteouts: u64,
    /// Sockets, which were left out: they are gone with whom they belonged to.
    pub sockets: u64,
}

/// A layer that is in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PackedLayer {
    /// The digest of the blob.
    pub digest: Digest,
    /// Its size, in bytes.
    pub size: u64,
    /// The digest of the archive in it.
    pub diff_id: Digest,
    /// The size of that, in bytes.
    pub uncompressed: u64,
    /// How it is compressed.
    pub compression: Compression,
    /// What is in it.
    pub counts: Counts,
}

/// A layer with everything in the directory `root`, and its own metadata.
///
/// # Errors
/// [`PackError`].
pub fn tree(store: &Store, root: &Path, options: &Options) -> Result<PackedLayer, PackError> {
    layer(store, root, &Against::Nothing, options)
}

/// The layer that makes the tree `upper` of the tree `lower`: what is new, what is changed with all that it is now, and whiteouts for what is
/// gone.
///
/// Two things are the same if kind, mode, owner, time, extended attributes, and size, target or device number are; and then, as none of that
/// proves it, the contents of files are compared too. Names of one inode are in the layer together, where not all of them are in `lower`.
///
/// # Errors
/// [`PackError`].
pub fn diff(store: &Store, lower: &Path, upper: &Path, options: &Options) -> Result<PackedLayer, PackError> {
    layer(store, upper, &Against::Lower(&Tree::open(lower)?), options)
}

/// The layer that overlayfs keeps in its upper directory, with the attributes of that mount (its option `userxattr`). The upper directory's
/// own metadata is that of the root.
///
/// # Errors
/// [`PackError::Refused`] for a mount with `redirect_dir` or `metacopy`, of which files are partly in lower layers, and for attributes that
/// this process can not read; as [`tree`].
pub fn upper(store: &Store, upper: &Path, xattrs: Xattrs, options: &Options) -> Result<PackedLayer, PackError> {
    overlay::can_be_seen(upper, xattrs)?;
    layer(store, upper, &Against::Overlay(xattrs), options)
}

/// The image of which the tree `changed` is a container: `image`, of which `lower` is the tree, and on it what makes the one of the other, as
/// [`diff`] finds it. A layer is only added where something changed; the history tells in either case by what. In the image's own format.
///
/// # Errors
/// [`PackError`].
pub fn repack(
    store: &Store,
    image: &Image,
    (lower, changed): (&Path, &Path),
    created_by: &str,
    options: &Options,
) -> Result<Descriptor, PackError> {
    add(store, image, &diff(store, lower, changed, options)?, created_by)
}

/// As [`repack`], of a container whose changes are in an upper directory of overlayfs: see [`upper`].
///
/// # Errors
/// [`PackError`].
pub fn commit(
    store: &Store,
    image: &Image,
    (directory, xattrs): (&Path, Xattrs),
    created_by: &str,
    options: &Options,
) -> Result<Descriptor, PackError> {
    add(store, image, &upper(store, directory, xattrs, options)?, created_by)
}

fn add(store: &Store, image: &Image, layer: &PackedLayer, created_by: &str) -> Result<Descriptor, PackError> {
    let builder = ImageBuilder::on(store, image)?;
    let builder = match layer.counts.entries {
        0 => builder.history(created_by),
        _ => builder.layer(layer, created_by),
    };
    builder.write(Format::of(&image.manifest))
}

fn layer(store: &Store, root: &Path, against: &Against<'_>, options: &Options) -> Result<PackedLayer, PackError> {
    let tree = Tree::open(root)?;
    let plan = Plan::new(&tree, against, &options.limits)?;
    let mut writer = LayerWriter::new(store, options)?;
    let mut linked = HashMap::new();
    for name in &plan.names {
        if name.hides() {
            writer.hide(name.clone())?;
            continue;
        }
        let path = name.path();
        let found = tree.look(path)?;
        let metadata = found.metadata()?;
        if found.is_linked()
            && let Some(first) = linked.insert(found.id(), path)
        {
            linked.insert(found.id(), first);
            writer.add(path, &metadata, Content::Hardlink(first))?;
            continue;
        }
        let (major, minor) = (major(found.stat.st_rdev), minor(found.stat.st_rdev));
        match found.kind() {
            FileType::Directory => writer.add(path, &metadata, Content::Directory)?,
            FileType::Symlink => writer.add(path, &metadata, Content::Symlink(&found.target()?))?,
            FileType::CharacterDevice => writer.add(path, &metadata, Content::CharacterDevice { major, minor })?,
            FileType::BlockDevice => writer.add(path, &metadata, Content::BlockDevice { major, minor })?,
            FileType::Fifo => writer.add(path, &metadata, Content::Fifo)?,
            FileType::RegularFile => {
                let mut data = found.read()?;
                let size = found.stat.st_size.cast_unsigned();
                writer.add(path, &metadata, Content::File { size, data: &mut data })?;
                found.is_unchanged()?;
            }
            // It was none when its name was noted.
            _ => return Err(PackError::Changed { path: found.path }),
        }
    }
    writer.left_out(plan.sockets);
    writer.finish()
}

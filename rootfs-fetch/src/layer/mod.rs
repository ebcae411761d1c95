//! Applies the layers of an image to a root file system (image-spec 1.1, layer.md): tar archives of what a layer adds and changes, with
//! whiteouts for what it removes.
//!
//! A layer comes from strangers, and is unpacked by root more often than not. Therefore:
//!
//! - Nothing outside the target is read, changed, linked or made, whatever names and links the layer has; what would need that is
//!   resolved inside, or refused. It is supposed that nobody else changes the target meanwhile.
//! - What two readers could take for different archives is refused, as are names with `..` and zero bytes.
//! - What can not be applied (owners, devices, attributes, without the rights for them) is counted in the report; nothing is replaced
//!   by something else.
//! - As in containerd, an entry takes the place of whatever has its path, except that a directory leaves a directory there with what is
//!   in it; and an entry whose parent is a file is refused.
//!
//! There are two kinds of [`Target`]. To a flat one, the layers are applied one after the other. For overlayfs, each layer has a directory
//! of its own, and there whiteouts become overlayfs's; which the kernel allows everybody since Linux 5.8. A path may pass through what only
//! lower layers have: a link of theirs is followed, and a directory of theirs is made again as it is there. A file of theirs to which there is a
//! hard link is copied first, so that it has both names in this layer; further names that it has below keep what was there, as with overlayfs itself.
//!
//! The files keep the setuid bits of the image: let the target be in a directory that nobody else can enter.

mod ahead;
mod apply;
pub(crate) mod archive;
mod below;
mod copy_up;
pub(crate) mod error;
mod list;
mod metadata;
mod name;
mod pax;
mod report;
mod sparse;
pub(crate) mod stream;
mod sweep;
mod tree;

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;

pub(crate) use ahead::{Ahead, ahead};
pub(crate) use below::Overlay;
pub(crate) use copy_up::root_as_below;
pub use error::LayerError;
pub use list::Listed;
pub use report::{Applied, Counts, Deed, Event, Kind, Reason};
pub(crate) use stream::is_layer;

use crate::image::{Digest, MediaType};
use stream::Stream;
use sweep::Which;
use tree::{Place, Tree};

/// Removes what has this name in a directory, with all that is in it. Nothing that is mounted there is entered.
pub(crate) fn remove(directory: &Path, name: &OsStr) -> io::Result<u64> {
    let mut tree = Tree::open(directory, None)?;
    let (at, id) = tree.directory(&[])?;
    Ok(tree.remove(&Place { at, id, name: name.to_owned() }, Which::All)?)
}

/// What a layer may cost. More is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The bytes of the uncompressed archive: 16 GiB.
    pub uncompressed: u64,
    /// The entries: one million.
    pub entries: u64,
    /// The size of a file, in bytes, with its holes, which take no room: 1 TiB.
    pub file: u64,
    /// The bytes of the names that are kept in memory until the end (of entries, and the paths of directories): 256 MiB.
    pub names: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { uncompressed: 16 << 30, entries: 1_000_000, file: 1 << 40, names: 256 << 20 }
    }
}

/// Which extended attributes overlayfs is to read (its mount option `userxattr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Xattrs {
    /// `trusted.overlay.*`, which only root of the machine can set.
    Trusted,
    /// `user.overlay.*`, with the option `userxattr`.
    User,
}

impl Xattrs {
    fn opaque(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.opaque",
            Self::User => "user.overlay.opaque",
        }
    }
}

/// To what a layer is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A root file system with all layers below this one, or an empty directory. Whiteouts delete.
    Flat(PathBuf),
    /// An empty directory, which becomes a layer of overlayfs. Whiteouts become character devices 0/0, and opaque directories have an
    /// extended attribute (Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories").
    Overlay {
        /// The directory.
        directory: PathBuf,
        /// Which attributes.
        xattrs: Xattrs,
        /// The directories of the layers below, the nearest first. They are only read.
        lower: Vec<PathBuf>,
    },
}

/// A layer as a manifest and a config describe it.
#[derive(Clone, Debug)]
pub struct Layer {
    media_type: MediaType,
    diff_id: Option<Digest>,
    limits: Limits,
}

impl Layer {
    /// Of this media type.
    pub fn new(media_type: MediaType) -> Self {
        Self { media_type, diff_id: None, limits: Limits::default() }
    }

    /// Whose uncompressed archive has this digest (image-spec, config.md, "rootfs").
    pub fn diff_id(self, diff_id: Digest) -> Self {
        Self { diff_id: Some(diff_id), ..self }
    }

    /// Within these limits.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Applies the layer, whose bytes are read to their end; `observer` is told of each entry after it was applied. That the bytes are
    /// those of the descriptor is for the reader to see to ([`Verified`](crate::image::Verified)). They are read and decompressed on a thread
    /// of their own.
    ///
    /// # Errors
    /// [`LayerError`]. The target then has parts of the layer, and is good for nothing but to be removed.
    pub fn apply(
        &self,
        bytes: impl Read + Send,
        target: &Target,
        observer: &mut dyn FnMut(&Event<'_>),
    ) -> Result<Applied, LayerError> {
        let stream = self.stream(bytes)?;
        let (path, overlay) = match target {
            Target::Flat(directory) => (directory, None),
            Target::Overlay { directory, xattrs, lower } => (directory, Some(Overlay::above(*xattrs, lower))),
        };
        let refuse = |errno| LayerError::Target { path: path.clone(), why: io::Error::from(errno).to_string() };
        let overlay = overlay.transpose().map_err(refuse)?;
        let (feeder, ahead) = ahead();
        thread::scope(|scope| {
            // Gone before the scope ends, so that the other thread does not wait for it for ever.
            let mut ahead = ahead;
            let feed = move || feeder.feed(Ok(stream));
            thread::Builder::new().spawn_scoped(scope, feed).map_err(LayerError::Read)?;
            let applied = self.apply_next(&mut ahead, path, overlay, observer)?;
            if let (Target::Overlay { lower, .. }, false) = (target, applied.has_root)
                && let Some(below) = lower.first()
            {
                root_as_below(path, below).map_err(refuse)?;
            }
            Ok(applied)
        })
    }

    /// The size in bytes and the digest of the archive in these bytes: that digest is the layer's diff_id.
    ///
    /// # Errors
    /// [`LayerError`], for whatever it can say without reading the archive's entries.
    pub fn measure(&self, bytes: impl Read + Send) -> Result<(u64, Digest), LayerError> {
        let mut stream = self.stream(bytes)?;
        let size = io::copy(&mut stream, &mut io::sink())?;
        Ok((size, stream.finish()?))
    }

    /// What is in these bytes, of whatever kind.
    pub(crate) fn stream<'a>(&self, bytes: impl Read + Send + 'a) -> Result<Stream<'a>, LayerError> {
        Stream::new(bytes, &self.media_type, self.diff_id.as_ref(), self.limits.uncompressed)
    }

    /// As [`Layer::apply`], of what another thread reads.
    pub(crate) fn apply_next(
        &self,
        ahead: &mut Ahead,
        path: &Path,
        overlay: Option<Overlay<'_>>,
        observer: &mut dyn FnMut(&Event<'_>),
    ) -> Result<Applied, LayerError> {
        apply::apply(ahead, path, overlay, &self.limits, observer)
    }
}

//! Images in one file, as they are carried to machines without a registry: tar archives of two kinds.
//!
//! - An oci-archive is an image layout (image-spec, image-layout.md) in a tar archive. skopeo and podman write it.
//! - A docker-archive is what `docker save` has written since Docker 1.10: `manifest.json`, a list of images, of which each has a config
//!   and, as tar archives, layers (Docker's image specification 1.2, "Combined Image JSON + Filesystem Changeset Format").
//!
//! Since Docker 25, `docker save` writes both in one: the blobs of a layout, and a `manifest.json` that leads to some of them. It is read as
//! a layout. There, everything has a digest, from the names on, so that the manifest which is loaded is the one that was saved, with its
//! digest, its compressed layers and its platforms; `manifest.json` has no digests but those in the names of files.
//!
//! An archive comes from strangers. It is read once, from its beginning to its end, by the reader that also reads layers: it refuses what
//! two readers could take for different archives. Nothing of it becomes a file but in the store: each of its files becomes a blob, named
//! by the digest that its bytes have, and is found by what its manifest says only then. What nothing leads to, and all of an archive that
//! is refused, is for [`Store::gc`](crate::store::Store::gc).

mod contents;
mod docker;
mod error;
mod oci;
mod save;
mod walk;

use std::collections::HashMap;
use std::io::{self, BufReader, Read};

pub use error::ArchiveError;
pub use save::save;

use crate::image::{Descriptor, Digest, Platform};
use crate::store::Store;
use contents::Contents;

/// The most bytes that a layer may have in a docker-archive which is written: as many as are applied.
const MAX_LAYER: u64 = 16 << 30;
/// As much is read at once, in bytes.
const CHUNK: usize = 128 * 1024;

/// An image, and the name that it has in an archive, where it has one.
pub type Named = (Option<String>, Descriptor);

/// Which kind of archive is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// An oci-archive: all blobs as they are.
    Oci,
    /// A docker-archive. It has no indexes: of an index, the image for this platform is saved.
    Docker(Platform),
}

/// What an archive may cost. More is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The bytes of the archive, uncompressed, and once more those that compressed layers of a docker-archive become: 64 GiB.
    pub uncompressed: u64,
    /// The entries: 10 000. Old versions of Docker write four for a layer.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { uncompressed: 64 << 30, entries: 10_000 }
    }
}

/// Puts the images of an archive into the store, whichever kind it is, compressed as a whole (gzip, zstd) or not; tells them in the
/// archive's order, an image with several names once for each. No name is given in the store: that is done by
/// [`Store::tag`], which takes all names that come from here.
///
/// # Errors
/// [`ArchiveError`]. What was put in by then is reached by no name.
pub fn load(archive: impl Read, store: &Store, limits: &Limits) -> Result<Vec<Named>, ArchiveError> {
    let decompressed = contents::decompressed(archive, limits.uncompressed)?;
    let mut input = BufReader::with_capacity(CHUNK, decompressed);
    let contents = Contents::read(&mut input, store, limits)?;
    // A compressed file has a checksum at its end.
    io::copy(&mut input, &mut io::sink()).map_err(ArchiveError::read)?;
    let images = if contents.is_layout() {
        oci::images(&contents, store)?
    } else {
        docker::images(&contents, store, limits.uncompressed)?
    };
    if images.is_empty() {
        return Err(ArchiveError::unusable("the archive", "it has no images"));
    }
    unambiguous(&images)?;
    for name in images.iter().filter_map(|(name, _)| name.as_deref()) {
        crate::store::is_name(name)?;
    }
    Ok(images)
}

/// Refuses a name that two images have.
fn unambiguous(images: &[Named]) -> Result<(), ArchiveError> {
    let mut known: HashMap<&str, &Digest> = HashMap::new();
    for (name, descriptor) in images {
        if let Some(name) = name
            && known.insert(name, descriptor.digest()).is_some_and(|other| other != descriptor.digest())
        {
            return Err(ArchiveError::Twice(name.clone()));
        }
    }
    Ok(())
}

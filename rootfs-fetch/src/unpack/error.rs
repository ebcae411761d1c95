//! Why an image can not be unpacked.

use std::path::PathBuf;

use crate::error::Error;
use crate::image::Digest;
use crate::layer::LayerError;
use crate::store::StoreError;

/// Why an image can not be unpacked. Nothing is at the name that was given, but what was there before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// A system call failed: the disk is full, the directory is another's.
    #[error(transparent)]
    Io(#[from] Error),
    /// The image can not be had from the store; or another process is at the same for too long.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A layer can not be applied.
    #[error("layer {digest}: {why}")]
    Layer {
        /// Its blob.
        digest: Digest,
        /// Why not.
        #[source]
        why: LayerError,
    },
    /// Nothing can be made at this place.
    #[error("no image can be unpacked to {path:?}: {why}")]
    Target {
        /// The place.
        path: PathBuf,
        /// Why not, and what would do.
        why: String,
    },
    /// It was told to end.
    #[error("the image was not unpacked to the end, because that was cancelled")]
    Cancelled,
}

impl UnpackError {
    pub(super) fn target(path: impl Into<PathBuf>, why: impl Into<String>) -> Self {
        Self::Target { path: path.into(), why: why.into() }
    }
}

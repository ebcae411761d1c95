//! Why an archive can not be loaded or saved. What comes out of it is printed quoted and escaped.

use std::io;

use crate::error::quoted;
use crate::image::Digest;
use crate::layer::LayerError;
use crate::store::StoreError;

/// Why an archive can not be loaded or saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It can not be read or decompressed.
    #[error("the archive can not be read: {0}")]
    Read(#[source] io::Error),
    /// It can not be written.
    #[error("the archive can not be written: {0}")]
    Write(#[source] io::Error),
    /// It is no tar archive, or one that two readers could take for different ones.
    #[error("this is no tar archive that can be read, after {entry:?}: {why}")]
    Tar {
        /// The last entry whose name was read; empty where it is none.
        entry: String,
        /// What is wrong.
        why: String,
    },
    /// An entry that no archive of images needs.
    #[error("the entry {entry:?} is refused: {why}")]
    Refused {
        /// Its name.
        entry: String,
        /// Why.
        why: &'static str,
    },
    /// More than is taken; [`Limits`](super::Limits).
    #[error("the archive has more {what} than the {limit} that are taken")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is taken.
        limit: u64,
    },
    /// A file that says what the images are is missing, or not understood.
    #[error("{file:?} can not be used: {}", quoted(.why.as_bytes()))]
    Unusable {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// Two images have the same name.
    #[error("two images have the name {0:?}")]
    Twice(String),
    /// A name that an image can not have in a docker-archive.
    #[error("{name:?} can not be a name in a docker-archive: {why}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        why: String,
    },
    /// A layer is not what the config says.
    #[error("{digest}: {why}")]
    Layer {
        /// The blob.
        digest: Digest,
        /// What is wrong with it.
        #[source]
        why: LayerError,
    },
    /// The store does not have it, or can not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ArchiveError {
    pub(super) fn unusable(file: &str, why: impl ToString) -> Self {
        Self::Unusable { file: file.to_owned(), why: why.to_string() }
    }

    /// From what the reader of tar archives, which is that of layers, says.
    pub(super) fn tar(error: LayerError) -> Self {
        match error {
            LayerError::Read(error) => Self::Read(error),
            LayerError::Archive { entry, why } => Self::Tar { entry, why },
            LayerError::Limit { what, limit } => Self::Limit { what, limit },
            other => Self::Read(io::Error::other(other)),
        }
    }

    /// From what came out of a reader.
    pub(super) fn read(error: io::Error) -> Self {
        Self::tar(error.into())
    }

    /// About this layer.
    pub(super) fn layer(digest: &Digest) -> impl Fn(LayerError) -> Self {
        |why| Self::Layer { digest: digest.clone(), why }
    }
}

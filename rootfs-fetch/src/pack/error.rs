//! Why a layer or an image could not be made. Names come out of trees that nobody has vouched for: they are printed quoted and escaped.

use std::io;
use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// Why a layer or an image could not be made. The store has nothing of it then but blobs that no name reaches.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The store can not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A system call on the tree failed.
    #[error("can not {operation} {path:?}: {source}")]
    Io {
        /// What was being done, as a verb.
        operation: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The bytes of the layer can not be compressed or written: the disk is full.
    #[error("the layer can not be written: {0}")]
    Write(#[source] io::Error),
    /// Somebody changes the tree: what would be in the layer was never in the tree.
    #[error("{path:?} was changed while it was read; a layer is made of a tree that nobody changes")]
    Changed {
        /// What was changed.
        path: PathBuf,
    },
    /// A layer can not say this, or would say something else to those who read it.
    #[error("{path:?} can not be in a layer: {why}")]
    Refused {
        /// What.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// More than readers take; [`Limits`](crate::layer::Limits).
    #[error("the layer would have more {what} than the {limit} that are taken")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is taken.
        limit: u64,
    },
    /// There is no such image, index or artifact.
    #[error("that can not be made: {0}")]
    Image(String),
}

impl PackError {
    pub(super) fn refused(path: &Path, why: impl Into<String>) -> Self {
        Self::Refused { path: path.to_owned(), why: why.into() }
    }
}

/// What came out of a writer that was given a reader of ours: our own error if it was that.
impl From<io::Error> for PackError {
    fn from(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(Self::Write)
    }
}

/// Adds operation and path to what the kernel answered.
pub(super) trait During<T> {
    fn during(self, operation: &'static str, path: &Path) -> Result<T, PackError>;
}

impl<T, E: Into<io::Error>> During<T> for Result<T, E> {
    fn during(self, operation: &'static str, path: &Path) -> Result<T, PackError> {
        self.map_err(|error| PackError::Io { operation, path: path.to_owned(), source: error.into() })
    }
}

//! Why something could not be done in a store.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, quoted};
use crate::image::{Digest, DocumentError, Mismatch};

/// Why something could not be done in a store. The store is valid afterwards, and what was in it before still is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A system call failed: the disk is full, the store is read-only.
    #[error(transparent)]
    Io(#[from] Error),
    /// The directory is no image layout, or of a version that is not known here.
    #[error("{path:?} is not an image layout that can be used here: {}", quoted(.why.as_bytes()))]
    Layout {
        /// The directory.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// `index.json` can not be used.
    #[error("{path:?} is not a usable index: {}", quoted(.why.as_bytes()))]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such blob.
    #[error("the store has no blob {0}")]
    NoBlob(Digest),
    /// In the place of a file there is something else, such as a symbolic link.
    #[error("{0:?} is not a regular file")]
    NotAFile(PathBuf),
    /// In the place of a directory there is something else. A store that came from others may have a link there, by which we
    /// would write and remove where they want.
    #[error("{0:?} is not a directory; a link to one is not followed")]
    NotADirectory(PathBuf),
    /// Something among the blobs has a name that is not a digest.
    #[error("{0:?} has no place among the blobs: that is not the name of one")]
    Stray(PathBuf),
    /// The bytes are not those that the digest and the size announce.
    #[error("{digest}: {why}")]
    Mismatch {
        /// What was announced.
        digest: Digest,
        /// What is different.
        #[source]
        why: Mismatch,
    },
    /// The blob is not a document that is understood here.
    #[error("{digest} is no manifest or index that can be used: {why}")]
    Document {
        /// The blob.
        digest: Digest,
        /// What is wrong with it.
        #[source]
        why: DocumentError,
    },
    /// The config is none, or not that of the manifest which names it.
    #[error("config {digest} can not be used: {}", quoted(.why.as_bytes()))]
    Config {
        /// The config.
        digest: Digest,
        /// What is wrong with it.
        why: String,
    },
    /// The index has no image for this platform.
    #[error("there is no image for {wanted}, but for {}", quoted(.offered.join(", ").as_bytes()))]
    Platform {
        /// What was asked for.
        wanted: String,
        /// What the index has.
        offered: Vec<String>,
    },
    /// Not a name that an index may have.
    #[error("{name:?} can not be the name of an image: {why}")]
    Name {
        /// What was given.
        name: String,
        /// Why not.
        why: &'static str,
    },
    /// There is no such upload; it may have been finished, cancelled or, after a long time, taken away.
    #[error("there is no upload {0:?}")]
    NoUpload(String),
    /// Another has it, and is no longer waited for.
    #[error("{0:?} is used by another, and it was not to be waited for that any longer")]
    GivenUp(PathBuf),
    /// Another process has it, and has not moved for too long.
    #[error(
        "{path:?} has been used by another process for {patience:?} without any progress; try again when it is done"
    )]
    Busy {
        /// What is locked.
        path: PathBuf,
        /// For how long it was waited.
        patience: Duration,
    },
}

impl StoreError {
    /// For `map_err`: these bytes are not what this digest announces.
    pub(super) fn mismatch(digest: &Digest) -> impl FnOnce(Mismatch) -> Self + '_ {
        |why| Self::Mismatch { digest: digest.clone(), why }
    }
}

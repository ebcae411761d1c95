//! Why a layer can not be applied. Names come out of archives that nobody has vouched for: they are printed quoted and escaped.

use std::io;
use std::path::PathBuf;

/// Why a layer was refused, or could not be applied. What is in the target then is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// The bytes of the layer can not be read or decompressed, or are not those of its descriptor.
    #[error("the layer can not be read: {0}")]
    Read(#[source] io::Error),
    /// Not a media type of layers that are read here.
    #[error("{0:?} is not a kind of layer that is read here: tar is, by itself or with gzip or zstd")]
    MediaType(String),
    /// The bytes begin in another way than the media type says.
    #[error("the layer was announced as {announced}, and its first bytes are those of {found}")]
    Compression {
        /// What the media type says.
        announced: &'static str,
        /// What the first bytes say.
        found: &'static str,
    },
    /// More than is taken; [`Limits`](super::Limits).
    #[error("the layer has more {what} than the {limit} that are taken")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is taken.
        limit: u64,
    },
    /// Another tar archive than the config of the image names.
    #[error("the uncompressed layer has the digest {found}, and the image's config says {wanted}")]
    DiffId {
        /// That of the bytes.
        found: String,
        /// That of the config.
        wanted: String,
    },
    /// A digest algorithm that is not computed here.
    #[error("the digest algorithm {0} is not known here; sha256 and sha512 are")]
    Algorithm(String),
    /// The bytes are no tar archive, or one that two readers could take for different ones.
    #[error("the layer is no tar archive that can be read, after {entry:?}: {why}")]
    Archive {
        /// The last entry whose name was read; empty where it is none.
        entry: String,
        /// What is wrong.
        why: String,
    },
    /// An entry that is not allowed.
    #[error("the entry {entry:?} is refused: {why}")]
    Refused {
        /// Its name.
        entry: String,
        /// Why.
        why: String,
    },
    /// A system call failed.
    #[error("can not {operation} {entry:?}: {source}")]
    Io {
        /// What was being done, as a verb.
        operation: &'static str,
        /// The entry for which it was done.
        entry: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The directory that was given is not one to which a layer can be applied.
    #[error("no layer can be applied to {path:?}: {why}")]
    Target {
        /// The directory.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

impl LayerError {
    pub(super) fn refused(entry: &[u8], why: impl Into<String>) -> Self {
        Self::Refused { entry: lossy(entry), why: why.into() }
    }
}

/// What came out of a reader: our own error if it was that, so that it is told once.
impl From<io::Error> for LayerError {
    fn from(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(Self::Read)
    }
}

/// A name as text; what is no UTF-8 becomes U+FFFD.
pub(crate) fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// Adds operation and entry to what the kernel answered.
pub(super) trait During<T> {
    fn during(self, operation: &'static str, entry: &[u8]) -> Result<T, LayerError>;
}

impl<T, E: Into<io::Error>> During<T> for Result<T, E> {
    fn during(self, operation: &'static str, entry: &[u8]) -> Result<T, LayerError> {
        self.map_err(|error| LayerError::Io { operation, entry: lossy(entry), source: error.into() })
    }
}

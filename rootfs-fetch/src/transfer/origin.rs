//! Where an image is pulled from: a registry, or another store.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::documents::Held;
use super::error::Trouble;
use crate::client::{Blob, Client, ClientError};
use crate::image::{Descriptor, Digest, MAX_DOCUMENT, Reference};
use crate::store::Store;

/// Where an image is pulled from.
pub(super) enum Origin<'a> {
    Registry(&'a Client, &'a Reference),
    Store(&'a Store, &'a Descriptor),
}

/// The bytes of a blob.
pub(super) enum Bytes<'a> {
    Sent(Box<Blob<'a>>),
    Kept(File),
}

impl Origin<'_> {
    /// How messages call the image.
    pub fn name(&self) -> String {
        match self {
            Self::Registry(_, reference) => reference.whole(),
            Self::Store(store, descriptor) => format!("{} in {:?}", descriptor.digest(), store.root()),
        }
    }

    /// The document with which it begins. Where `into` has it, it is not asked for again.
    pub fn root(&self, into: &Store) -> Result<Held, Trouble> {
        let (client, reference) = match self {
            Self::Store(_, descriptor) => return Held::entered(self.document(descriptor, into)?, descriptor),
            Self::Registry(client, reference) => (client, reference),
        };
        if let Some(digest) = known(client, reference)?
            && into.has(&digest)
            && let Ok(bytes) = into.small(&digest, MAX_DOCUMENT)
        {
            return Held::found(bytes, None, digest);
        }
        let fetched = client.manifest(reference)?;
        Held::found(fetched.bytes, fetched.media_type.as_deref(), fetched.digest)
    }

    /// The bytes of a document that an entry names.
    pub fn document(&self, entry: &Descriptor, into: &Store) -> Result<Vec<u8>, Trouble> {
        let digest = entry.digest();
        if into.has(digest)
            && let Ok(bytes) = into.small(digest, MAX_DOCUMENT)
        {
            return Ok(bytes);
        }
        match self {
            Self::Registry(client, reference) => {
                Ok(client.manifest(&reference.clone_with_digest(digest.to_string()))?.bytes)
            }
            Self::Store(store, _) => Ok(store.small(digest, MAX_DOCUMENT)?),
        }
    }

    /// The bytes of a blob from the offset `from` on. When one of `over` is set, what goes wrong is not tried again.
    pub fn blob(&self, descriptor: &Descriptor, from: u64, over: [Arc<AtomicBool>; 2]) -> Result<Bytes<'_>, Trouble> {
        match self {
            Self::Registry(client, reference) => {
                let blob = client.blob(reference, descriptor, from)?;
                Ok(Bytes::Sent(Box::new(over.into_iter().fold(blob, Blob::until))))
            }
            Self::Store(store, _) => {
                let mut file = store.blob(descriptor.digest())?;
                file.seek(SeekFrom::Start(from)).map_err(Trouble::Read)?;
                Ok(Bytes::Kept(file))
            }
        }
    }
}

/// The digest of a reference: its own, else what the registry says of its tag. A HEAD counts for less than a GET where pulls are limited.
/// Where a registry does not know HEAD, its answer to a GET is what counts.
fn known(client: &Client, reference: &Reference) -> Result<Option<Digest>, Trouble> {
    if let Some(digest) = reference.digest() {
        return Ok(digest.parse().ok());
    }
    match client.head_manifest(reference) {
        Err(error) if error.may_pass() => Err(error.into()),
        answer => Ok(answer.ok().and_then(|head| head.digest)),
    }
}

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Sent(blob) => blob.read(buffer),
            Self::Kept(file) => file.read(buffer),
        }
    }
}

/// What an error of reading [`Bytes`] means.
pub(super) fn broken(error: io::Error) -> Trouble {
    error.downcast::<ClientError>().map_or_else(Trouble::Read, Trouble::Client)
}

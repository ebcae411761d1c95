//! What an image of a layout consists of.

use std::collections::{BTreeMap, HashSet};

use super::ArchiveError;
use crate::image::{Descriptor, Digest, Document, DocumentError, MAX_DOCUMENT};
use crate::store::{Store, StoreError};

/// So many documents may lead to a manifest: an index, and one in it, are usual.
const MAX_DEPTH: u64 = 4;

/// Goes from images to all that they consist of.
pub(super) struct Walk<'s> {
    store: &'s Store,
    documents: HashSet<Digest>,
    /// The blobs of all images, by digest, and their sizes in bytes.
    pub blobs: BTreeMap<String, Descriptor>,
}

impl<'s> Walk<'s> {
    pub fn new(store: &'s Store) -> Self {
        Self { store, documents: HashSet::new(), blobs: BTreeMap::new() }
    }

    /// Sees that the store has a manifest with all that it needs, or an index with the manifest for one platform at least: of the
    /// platforms, `docker save` writes only those that it has.
    pub fn image(&mut self, descriptor: &Descriptor) -> Result<(), ArchiveError> {
        self.document(descriptor, 0)
    }

    fn document(&mut self, descriptor: &Descriptor, depth: u64) -> Result<(), ArchiveError> {
        let digest = descriptor.digest();
        let wrong = |why| StoreError::Document { digest: digest.clone(), why };
        if depth == MAX_DEPTH {
            let what = "it is an index in an index in an index".into();
            return Err(wrong(DocumentError::TooLarge { what, limit: MAX_DEPTH }).into());
        }
        self.blob(descriptor)?;
        if !self.documents.insert(digest.clone()) {
            return Ok(());
        }
        let bytes = self.store.small(digest, MAX_DOCUMENT)?;
        let announced = descriptor.media_type().to_string();
        match Document::read(&bytes, Some(&announced)).map_err(wrong)? {
            manifest @ Document::Manifest(_) => manifest.needs().into_iter().try_for_each(|part| self.blob(part)),
            Document::Index(index) => {
                let there = |entry: &&Descriptor| self.store.has(entry.digest());
                let entries: Vec<&Descriptor> = index.manifests().iter().filter(there).collect();
                if let (true, Some(missing)) = (entries.is_empty(), index.manifests().first()) {
                    return Err(StoreError::NoBlob(missing.digest().clone()).into());
                }
                entries.into_iter().try_for_each(|entry| self.document(entry, depth + 1))
            }
        }
    }

    fn blob(&mut self, descriptor: &Descriptor) -> Result<(), ArchiveError> {
        let digest = descriptor.digest();
        if self.store.size(digest) != Some(descriptor.size()) {
            return Err(StoreError::NoBlob(digest.clone()).into());
        }
        self.blobs.insert(digest.to_string(), descriptor.clone());
        Ok(())
    }
}

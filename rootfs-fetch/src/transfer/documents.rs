//! The documents of an image: a manifest, or an index with the manifests that are wanted of it.

use std::collections::{BTreeSet, HashSet};

use super::Platforms;
use super::error::{TransferError, Trouble};
use super::progress::{Item, Kind};
use super::run::Run;
use crate::image::{
    Descriptor, Digest, Document, DocumentError, ImageIndex, ImageManifest, Mismatch, Platform, choose, is_document,
    platform_words,
};

/// So many documents may lead to a config, as for [`Store::image`](crate::store::Store::image).
const MAX_DEPTH: usize = 4;
/// The most documents of an image, and of their bytes, which are all in memory for a while.
const MAX_DOCUMENTS: usize = 1024;
const MAX_BYTES: usize = 32 << 20;

/// A document with its own descriptor.
pub(super) struct Held {
    pub descriptor: Descriptor,
    pub bytes: Vec<u8>,
    /// None for a kind that is not known here. Who copies an index takes that along as it is (image-spec, image-index.md, "manifests").
    pub document: Option<Document>,
}

/// The documents that are wanted.
pub(super) struct Documents {
    /// Whatever a document names stands before it.
    pub held: Vec<Held>,
    /// The one that gets the name.
    pub named: Descriptor,
    /// The index of which one manifest was chosen.
    pub index: Option<Digest>,
}

/// The way from the first document to all the others.
struct Walk<'a> {
    run: &'a Run<'a>,
    /// Has the bytes of an entry's document.
    get: &'a dyn Fn(&Descriptor) -> Result<Vec<u8>, Trouble>,
    held: Vec<Held>,
    index: Option<Digest>,
    seen: HashSet<Digest>,
    bytes: usize,
}

impl Held {
    /// A document of which only the bytes are known, and perhaps the media type.
    pub fn found(bytes: Vec<u8>, announced: Option<&str>, digest: Digest) -> Result<Self, Trouble> {
        let document = Document::read(&bytes, announced)?;
        let descriptor = Descriptor::new(document.media_type(), bytes.len() as u64, digest);
        Ok(Self { descriptor, bytes, document: Some(document) })
    }

    /// A document that an index or a name has an entry for. Of the entry only what says which document it is, and for what platform, is
    /// kept: the rest is the index's own, and may be as long as that.
    pub fn entered(bytes: Vec<u8>, entry: &Descriptor) -> Result<Self, Trouble> {
        let (found, wanted) = (bytes.len() as u64, entry.size());
        if found < wanted {
            return Err(Mismatch::Short { found, wanted }.into());
        }
        if found > wanted {
            return Err(Mismatch::Long(wanted).into());
        }
        let kind = entry.media_type();
        let document = is_document(kind).then(|| Document::read(&bytes, Some(kind.as_ref()))).transpose()?;
        let mut descriptor = Descriptor::new(entry.media_type().clone(), found, entry.digest().clone());
        descriptor.set_platform(entry.platform().clone().map(|mut platform| {
            platform.set_os_version(None).set_os_features(None).set_features(None);
            platform
        }));
        Ok(Self { descriptor, bytes, document })
    }

    pub fn item(&self) -> Item {
        let kind = match self.document {
            Some(Document::Index(_)) => Kind::Index,
            _ => Kind::Manifest,
        };
        Item::new(kind, &self.descriptor)
    }
}

impl Documents {
    /// Collects what is wanted of `root`; `get` has the bytes of an entry's document.
    pub fn collect(
        run: &Run,
        root: Held,
        get: &dyn Fn(&Descriptor) -> Result<Vec<u8>, Trouble>,
    ) -> Result<Self, TransferError> {
        let (held, seen) = (Vec::new(), HashSet::new());
        let mut walk = Walk { run, get, held, index: None, seen, bytes: 0 };
        let named = walk.add(root, 1)?;
        Ok(Self { held: walk.held, named, index: walk.index })
    }

    /// Its manifests.
    pub fn manifests(&self) -> impl Iterator<Item = (&Descriptor, &ImageManifest)> {
        self.held.iter().filter_map(|held| match &held.document {
            Some(Document::Manifest(manifest)) => Some((&held.descriptor, &**manifest)),
            _ => None,
        })
    }
}

impl Walk<'_> {
    /// Adds a document, after all that is wanted of those that it names. Tells which one stands for it: of an index of which one manifest
    /// is wanted, that one, because a layout that has an index has to have all of its manifests.
    fn add(&mut self, held: Held, depth: usize) -> Result<Descriptor, TransferError> {
        self.bounded(&held, depth)?;
        if let Some(Document::Index(index)) = &held.document {
            match &self.run.transfer.platforms {
                Platforms::One(platform) => {
                    let none = || self.run.wrong(&held.item(), none_for(platform, index));
                    let entry = choose(index, platform).ok_or_else(none)?;
                    self.index.get_or_insert_with(|| held.descriptor.digest().clone());
                    return self.enter(entry, depth + 1);
                }
                Platforms::All => {
                    for entry in index.manifests() {
                        if !self.seen.contains(entry.digest()) {
                            self.enter(entry, depth + 1)?;
                        }
                    }
                }
            }
        }
        if held.document.is_none() && matches!(self.run.transfer.platforms, Platforms::One(_)) {
            let kind = held.descriptor.media_type().to_string();
            return Err(self.run.wrong(&held.item(), DocumentError::Unknown(kind).into()));
        }
        let own = held.descriptor.clone();
        self.held.push(held);
        Ok(own)
    }

    fn enter(&mut self, entry: &Descriptor, depth: usize) -> Result<Descriptor, TransferError> {
        let read = self.run.go_on().and_then(|()| Held::entered((self.get)(entry)?, entry));
        let held = read.map_err(|why| self.run.wrong(&Item::new(Kind::Manifest, entry), why))?;
        self.add(held, depth)
    }

    /// No index can contain itself, since its digest would be among its own bytes; but one can contain very many.
    fn bounded(&mut self, held: &Held, depth: usize) -> Result<(), TransferError> {
        self.seen.insert(held.descriptor.digest().clone());
        self.bytes += held.bytes.len();
        let bounds = [
            (self.seen.len(), MAX_DOCUMENTS, "documents in all"),
            (self.bytes, MAX_BYTES, "bytes of documents in all"),
            (depth, MAX_DEPTH, "documents, one in the other"),
        ];
        let Some((count, limit, what)) = bounds.into_iter().find(|(count, limit, _)| count > limit) else {
            return Ok(());
        };
        let what = format!("with it there are {count} {what}");
        Err(self.run.wrong(&held.item(), Trouble::TooLarge { what, limit: limit as u64 }))
    }
}

fn none_for(platform: &Platform, index: &ImageIndex) -> Trouble {
    let named = index.manifests().iter().filter_map(|entry| entry.platform().as_ref());
    let offered: BTreeSet<String> = named.map(platform_words).collect();
    Trouble::Platform { wanted: platform_words(platform), offered: offered.into_iter().collect() }
}

//! An image goes into a registry: blobs, then what names them, and last the tag.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::documents::{Documents, Held};
use super::error::{TransferError, Trouble};
use super::progress::{Event, Kind, There};
use super::referrers;
use super::run::{Blob, Run, announced, largest_first};
use super::{Pushed, Transfer};
use crate::client::{Client, ClientError};
use crate::image::{Descriptor, Digest, Document, MAX_DOCUMENT, Reference};
use crate::store::{Store, StoreError};

/// One push.
pub(super) struct Push<'a> {
    run: Run<'a>,
    client: &'a Client,
    from: &'a Store,
    to: &'a Reference,
}

/// A blob of the store on its way to the registry.
struct Sent<'a> {
    file: File,
    at: u64,
    digest: &'a Digest,
    run: &'a Run<'a>,
}

impl<'a> Push<'a> {
    pub fn new(transfer: &'a Transfer, client: &'a Client, from: &'a Store, to: &'a Reference) -> Self {
        Self { run: Run::new(transfer, to.whole()), client, from, to }
    }

    pub fn run(self, descriptor: &Descriptor) -> Result<Pushed, TransferError> {
        let whole = |why| self.run.wrong_as_a_whole(why);
        let bytes = |entry: &Descriptor| Ok(self.from.small(entry.digest(), MAX_DOCUMENT)?);
        let root = bytes(descriptor).and_then(|bytes| Held::entered(bytes, descriptor)).map_err(whole)?;
        let documents = Documents::collect(&self.run, root, &bytes)?;
        let blobs = self.blobs(&documents)?;
        self.run.each(&blobs, |blob| self.send_one(blob).map_err(|why| self.run.wrong(&blob.item, why)))?;
        // A registry takes a document only when it has all that it names.
        let mut referrers = 0;
        for held in &documents.held {
            let is_named = held.descriptor.digest() == documents.named.digest();
            let listed = self.put(held, is_named).map_err(|why| self.run.wrong(&held.item(), why))?;
            referrers += usize::from(listed);
        }
        Ok(Pushed { descriptor: documents.named, moved: self.run.moved(), referrers })
    }

    /// All configs and layers, the largest first. Layers that registries need not have stay here.
    fn blobs(&self, documents: &Documents) -> Result<Vec<Blob>, TransferError> {
        let mut seen = HashSet::new();
        let mut blobs = Vec::new();
        for document in documents.held.iter().filter_map(|held| held.document.as_ref()) {
            if matches!(document, Document::Index(_)) {
                continue;
            }
            for (number, descriptor) in document.needs().into_iter().enumerate() {
                // The config is the first of what a manifest needs.
                let blob = Blob::new(if number == 0 { Kind::Config } else { Kind::Layer }, descriptor);
                if !seen.insert((descriptor.digest(), descriptor.size())) {
                    continue;
                }
                if self.from.size(descriptor.digest()) != Some(descriptor.size()) {
                    let why = StoreError::NoBlob(descriptor.digest().clone());
                    return Err(self.run.wrong(&blob.item, why.into()));
                }
                blobs.push(blob);
            }
        }
        self.run.tell(&Event::Planned { blobs: blobs.len(), bytes: announced(blobs.iter()) });
        Ok(largest_first(blobs))
    }

    fn send_one(&self, blob: &Blob) -> Result<(), Trouble> {
        let Blob { item, descriptor } = blob;
        self.run.go_on()?;
        if self.client.has_blob(self.to, &item.digest)? {
            self.run.there(item.clone(), There::Already);
            return Ok(());
        }
        if let Some(repository) = self.mounted(&item.digest)? {
            self.run.there(item.clone(), There::Mounted(repository));
            return Ok(());
        }
        let file = self.from.blob(&item.digest)?;
        self.run.tell(&Event::Begun { item: item.clone(), from: 0 });
        let mut sent = Sent { file, at: 0, digest: &item.digest, run: &self.run };
        self.client.push_blob(self.to, descriptor, &mut sent)?;
        self.run.done(item);
        Ok(())
    }

    /// The repository from which the registry took a blob; none where it took it from none. One that may not be read is as good as one
    /// that does not have it.
    fn mounted(&self, digest: &Digest) -> Result<Option<String>, ClientError> {
        let others = self.run.transfer.mount_from.iter().filter(|other| *other != self.to.repository());
        for other in others {
            match self.client.mount_blob(self.to, digest, other) {
                Ok(true) => return Ok(Some(other.clone())),
                Ok(false) => {}
                Err(error) if error.refusal().is_some() && !error.may_pass() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Puts a document under the reference where it is the one that gets the name, else under its digest. Tells whether it had to be listed
    /// as a referrer.
    fn put(&self, held: &Held, is_named: bool) -> Result<bool, Trouble> {
        self.run.go_on()?;
        let (item, digest) = (held.item(), held.descriptor.digest());
        let to = if is_named { self.to.clone() } else { self.to.clone_with_digest(digest.to_string()) };
        self.run.tell(&Event::Begun { item, from: 0 });
        let taken = self.client.push_manifest(&held.bytes, held.descriptor.media_type().as_ref(), &to)?;
        self.run.tell(&Event::Done { digest: digest.clone() });
        match &held.document {
            Some(document) if taken.subject.is_none() => {
                referrers::list(self.client, self.to, document, &held.descriptor)
            }
            _ => Ok(false),
        }
    }
}

impl Read for Sent<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // For the client the source is broken then, and it does not try again.
        self.run.go_on().map_err(io::Error::other)?;
        let count = self.file.read(buffer)?;
        self.at += count as u64;
        self.run.count(|moved| moved.bytes += count as u64);
        self.run.tell(&Event::Moved { digest: self.digest.clone(), at: self.at });
        Ok(count)
    }
}

impl Seek for Sent<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.file.seek(to)?;
        Ok(self.at)
    }
}

//! An image comes into a store: documents, configs, layers, and last its name.

use std::collections::HashSet;
use std::io::{ErrorKind, Read};
use std::iter::once;

use super::documents::Documents;
use super::error::{TransferError, Trouble};
use super::origin::{Origin, broken};
use super::progress::{Event, Item, Kind, There};
use super::run::{Blob, Run, announced, largest_first};
use super::{Platforms, Pulled, Transfer};
use crate::image::{Descriptor, ImageManifest, MAX_DOCUMENT, MediaType, here};
use crate::layer::is_layer;
use crate::store::{MAX_CONFIG, Partial, Store, StoreError, is_name};

/// Docker's name for a config.
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// As much is moved at once, in bytes. Between two of them it is asked whether to go on.
const CHUNK: usize = 64 << 10;

/// One pull.
struct Pull<'a> {
    run: Run<'a>,
    origin: &'a Origin<'a>,
    into: Store,
}

impl Transfer {
    pub(super) fn take(&self, origin: &Origin, into: &Store, name: &str) -> Result<Pulled, TransferError> {
        let run = Run::new(self, origin.name());
        // Who has cancelled it does not wait for others any longer.
        let into = run.over().into_iter().fold(into.clone(), Store::until);
        Pull { run, origin, into }.run(name)
    }
}

impl Pull<'_> {
    fn run(self, name: &str) -> Result<Pulled, TransferError> {
        let whole = |why| self.run.wrong_as_a_whole(why);
        // That it can not have this name is better known before everything has come.
        is_name(name).map_err(|error| whole(error.into()))?;
        let root = self.run.go_on().and_then(|()| self.origin.root(&self.into)).map_err(whole)?;
        let get = |entry: &Descriptor| self.origin.document(entry, &self.into);
        let documents = Documents::collect(&self.run, root, &get)?;
        let [configs, layers] = self.missing(&documents)?;
        self.keep(&documents)?;
        // Configs are small, and can show that the layers are not worth it.
        self.fetch(&configs)?;
        self.fits(&documents)?;
        self.fetch(&layers)?;
        self.name(name, &documents).map_err(whole)?;
        Ok(Pulled { descriptor: documents.named, index: documents.index, moved: self.run.moved() })
    }

    /// Each config has to have as many layers as its manifest.
    fn fits(&self, documents: &Documents) -> Result<(), TransferError> {
        for (descriptor, manifest) in documents.manifests() {
            let config = manifest.config();
            if self.is_to_be_an_image(manifest) || is_config(config.media_type()) {
                let fits = self.into.image(descriptor, &here());
                fits.map_err(|error| self.run.wrong(&Item::new(Kind::Config, config), error.into()))?;
            }
        }
        Ok(())
    }

    /// The configs and the layers that the store has not, the largest first.
    fn missing(&self, documents: &Documents) -> Result<[Vec<Blob>; 2], TransferError> {
        let mut seen = HashSet::new();
        let (mut configs, mut layers) = (Vec::new(), Vec::new());
        for (_, manifest) in documents.manifests() {
            let is_to_be_an_image = self.is_to_be_an_image(manifest);
            let config = (Kind::Config, manifest.config());
            for (kind, descriptor) in [config].into_iter().chain(manifest.layers().iter().map(|it| (Kind::Layer, it))) {
                if !seen.insert((descriptor.digest(), descriptor.size())) {
                    continue;
                }
                let item = Item::new(kind, descriptor);
                check(kind, descriptor, is_to_be_an_image).map_err(|why| self.run.wrong(&item, why))?;
                if self.has(descriptor) {
                    self.run.there(item, There::Already);
                    continue;
                }
                if let Some(why) = elsewhere(descriptor) {
                    return Err(self.run.wrong(&item, why));
                }
                let blobs = if kind == Kind::Config { &mut configs } else { &mut layers };
                blobs.push(Blob::new(kind, descriptor));
            }
        }
        let all = || configs.iter().chain(&layers);
        let (blobs, bytes, limit) = (all().count(), announced(all()), self.run.transfer.limit);
        if bytes > limit {
            let what = format!("{bytes} bytes of blobs are announced");
            return Err(self.run.wrong_as_a_whole(Trouble::TooLarge { what, limit }));
        }
        self.run.tell(&Event::Planned { blobs, bytes });
        Ok([configs, largest_first(layers)])
    }

    fn keep(&self, documents: &Documents) -> Result<(), TransferError> {
        for held in &documents.held {
            let (item, digest) = (held.item(), held.descriptor.digest());
            // What the disk has changed has been fetched once more, and is replaced.
            if self.has(&held.descriptor) && self.into.small(digest, MAX_DOCUMENT).is_ok() {
                self.run.tell(&Event::There { item, how: There::Already });
                continue;
            }
            self.run.tell(&Event::Begun { item: item.clone(), from: 0 });
            self.into.add_as(&held.bytes, digest).map_err(|error| self.run.wrong(&item, error.into()))?;
            self.run.tell(&Event::Done { digest: digest.clone() });
        }
        Ok(())
    }

    fn fetch(&self, blobs: &[Blob]) -> Result<(), TransferError> {
        self.run.each(blobs, |blob| self.fetch_one(blob).map_err(|why| self.run.wrong(&blob.item, why)))
    }

    fn fetch_one(&self, blob: &Blob) -> Result<(), Trouble> {
        let Blob { item, descriptor } = blob;
        self.run.go_on()?;
        let mut partial = self.into.partial(&item.digest, item.size)?;
        let from = partial.position();
        if from == item.size && self.has(descriptor) {
            self.run.there(item.clone(), There::Meanwhile);
            return Ok(());
        }
        self.run.tell(&Event::Begun { item: item.clone(), from });
        self.fill(&mut partial, blob)?;
        match partial.finish() {
            // Of what an earlier process has left nobody knows where it came from: all of it is asked for once more.
            Err(StoreError::Mismatch { .. }) if from > 0 => {
                let mut partial = self.into.partial(&item.digest, item.size)?;
                self.run.tell(&Event::Moved { digest: item.digest.clone(), at: partial.position() });
                self.fill(&mut partial, blob)?;
                partial.finish()?;
            }
            finished => finished?,
        }
        self.run.done(item);
        Ok(())
    }

    /// Downloads what is missing. Whatever happens, what has come is kept; whether it is right, is known when it is whole.
    fn fill(&self, partial: &mut Partial, blob: &Blob) -> Result<(), Trouble> {
        if partial.position() == partial.size() {
            return Ok(());
        }
        let mut bytes = self.origin.blob(&blob.descriptor, partial.position(), self.run.over())?;
        let mut buffer = vec![0; CHUNK];
        while partial.position() < partial.size() {
            self.run.go_on()?;
            let count = match bytes.read(&mut buffer) {
                // What is missing then, is said when it should be whole.
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(error)),
            };
            partial.append(&buffer[..count])?;
            self.run.count(|moved| moved.bytes += count as u64);
            self.run.tell(&Event::Moved { digest: blob.item.digest.clone(), at: partial.position() });
        }
        Ok(())
    }

    /// Gives the name, after a last look: the store was told each time that it is needed, but may have been cleared by one who knew
    /// better.
    fn name(&self, name: &str, documents: &Documents) -> Result<(), Trouble> {
        for (_, manifest) in documents.manifests() {
            if let Some(gone) = once(manifest.config()).chain(manifest.layers()).find(|part| !self.has(part)) {
                return Err(StoreError::NoBlob(gone.digest().clone()).into());
            }
        }
        self.run.go_on()?;
        Ok(self.into.tag(name, &documents.named)?)
    }

    /// Whether a manifest has to be an image's: one image is wanted, and it does not say that it is of something else, such as signatures.
    fn is_to_be_an_image(&self, manifest: &ImageManifest) -> bool {
        matches!(self.run.transfer.platforms, Platforms::One(_)) && manifest.artifact_type().is_none()
    }

    fn has(&self, descriptor: &Descriptor) -> bool {
        self.into.size(descriptor.digest()) == Some(descriptor.size())
    }
}

/// What can be known of a blob before it comes.
fn check(kind: Kind, descriptor: &Descriptor, is_to_be_an_image: bool) -> Result<(), Trouble> {
    match kind {
        Kind::Config if descriptor.size() > MAX_CONFIG => {
            Err(Trouble::TooLarge { what: format!("it has {} bytes", descriptor.size()), limit: MAX_CONFIG })
        }
        Kind::Layer if is_to_be_an_image && !is_layer(descriptor.media_type()) => {
            Err(Trouble::MediaType(descriptor.media_type().to_string()))
        }
        _ => Ok(()),
    }
}

/// That of OCI, or of Docker.
fn is_config(media_type: &MediaType) -> bool {
    *media_type == MediaType::ImageConfig || media_type.as_ref() == DOCKER_CONFIG
}

/// Why a layer can not be asked for: it has `urls`, by which those who may not hand it on say where it is (image-spec, descriptor.md).
fn elsewhere(descriptor: &Descriptor) -> Option<Trouble> {
    let url = descriptor.urls().as_ref()?.first()?;
    Some(Trouble::Elsewhere(url.clone()))
}

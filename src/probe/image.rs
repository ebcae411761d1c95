//! Images: what an image layout on disk has, each digest computed of the bytes that are there (OCI image-spec 1.1; image-layout.md).

mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rootfs_fetch::image::{
    Descriptor, Digest, Document, Hasher, ImageConfiguration, ImageIndex, MediaType, choose, here,
    platform_words,
};
use rootfs_fetch::layer::{Layer, Limits};
use serde::{Deserialize, Serialize};

pub(super) use self::rows::rows;
use super::{Observation, Process};
use crate::kernel::path::Tree;

/// How many layouts are looked at.
const MAX_LAYOUTS: usize = 4;

/// How many names of a layout, layers of an image and lines of its history.
const MAX_NAMES: usize = 16;

/// How many blobs are counted.
const MAX_BLOBS: usize = 256;

/// How many bytes of blobs one sample reads. What lessons make has some thousand.
const MAX_READ: u64 = 1 << 20;

/// How large an archive may be that is decompressed, in bytes.
const MAX_ARCHIVE: u64 = 4 << 20;

/// How many entries of a layer are named.
const MAX_ENTRIES: usize = 24;

/// How many indexes may lead to a manifest.
const MAX_DEPTH: usize = 3;

/// Where the names are (image-layout.md, "index.json file").
const INDEX: &str = "index.json";

/// The file by which a directory is known to be an image layout (image-layout.md, "oci-layout file").
const LAYOUT: &str = "oci-layout";

/// The annotation that names an entry of `index.json` (annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// One image layout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Its directory.
    pub path: String,
    /// The process with whose root directory it was found.
    pub seen_by: i32,
    /// What `oci-layout` says.
    pub version: String,
    /// What has a name, in the order of `index.json`.
    pub images: Vec<Image>,
    /// How large the blobs are, by their names: algorithm, colon, digits.
    pub blobs: BTreeMap<String, u64>,
    /// Those that no entry of `index.json` leads to.
    pub unreached: BTreeSet<String>,
    /// Why `index.json` could not be read, or not all of it was.
    pub trouble: Option<String>,
}

/// What a name leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The name.
    pub name: String,
    /// From the name down: an index where there is one, the manifest for this machine or else the first, its config, its layers from the lowest.
    pub parts: Vec<Part>,
    /// The platforms of the index, or that of the config.
    pub platforms: Vec<String>,
    /// The lines of the config's history.
    pub history: Vec<Line>,
    /// What is missing or does not fit.
    pub trouble: Option<String>,
}

/// What a descriptor leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is.
    pub kind: Kind,
    /// The digest that the descriptor says.
    pub digest: String,
    /// The size that it says, in bytes.
    pub size: u64,
    /// The media type that it says.
    pub media_type: String,
    /// What the bytes are.
    pub found: Found,
    /// Of a layer, what is in it.
    pub archive: Option<Archive>,
}

/// What a part of an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A list of manifests, for platforms.
    Index,
    /// A list of one config and layers.
    Manifest,
    /// What is run, and how it came to be.
    Config,
    /// An archive.
    Layer,
}

/// What the bytes behind a digest are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// They are what the descriptor says.
    Same,
    /// They have this digest, and this size.
    Other(String, u64),
    /// There are none.
    Absent,
    /// They were not read: there is too much.
    Unread,
}

/// The archive in a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// The digest of the uncompressed archive, as the config says.
    pub said: String,
    /// As it was computed; or why it could not be.
    pub found: Result<String, String>,
    /// How many entries it has.
    pub entries: u64,
    /// The names of the first of them.
    pub names: Vec<String>,
}

impl Archive {
    /// Whether the archive is the one that the config means.
    pub fn is_same(&self) -> bool {
        self.found.as_ref() == Ok(&self.said)
    }
}

/// A line of a history (config.md, "history").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What made it.
    pub created_by: String,
    /// Which layer it made, from 1; none where it changed no file.
    pub layer: Option<usize>,
}

impl Image {
    /// Its layers, the lowest first.
    pub fn layers(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.kind == Kind::Layer)
    }

    /// Its first part of this kind.
    pub fn part(&self, kind: Kind) -> Option<&Part> {
        self.parts.iter().find(|part| part.kind == kind)
    }

    /// Why it is not whole: something that it needs is not there, or other than its digest says.
    pub fn fault(&self) -> Option<String> {
        let fault = |part: &Part| match (&part.found, &part.archive) {
            (Found::Same, Some(archive)) if !archive.is_same() => Some(format!("{} has another diff_id", part.short())),
            (Found::Same, _) => None,
            (Found::Other(digest, _), _) => Some(format!("{} has the digest {}", part.short(), short(digest))),
            (Found::Absent, _) => Some(format!("{} is not there", part.short())),
            (Found::Unread, _) => Some(format!("{} is too large to be read here", part.short())),
        };
        self.parts.iter().find_map(fault).or_else(|| self.trouble.clone())
    }
}

impl Part {
    /// Its digest, as engines show it.
    pub fn short(&self) -> &str {
        short(&self.digest)
    }

    /// Whether its media type is one of Docker's.
    pub fn is_docker(&self) -> bool {
        self.media_type.starts_with("application/vnd.docker.")
    }
}

/// The first twelve digits of a digest.
pub fn short(digest: &str) -> &str {
    let digits = digest.split_once(':').map_or(digest, |(_, digits)| digits);
    digits.get(..12).unwrap_or(digits)
}

impl Observation {
    /// What has a name in a layout.
    pub fn layout(&self, path: &str) -> Option<&Layout> {
        self.layouts.iter().find(|layout| layout.path == path)
    }
}

/// Reads the image layouts that are directories right below this one, with the root directory of the first process.
pub(super) fn read(proc: &Path, observation: &Observation, below: &Path) -> Vec<Layout> {
    let first: Option<&Process> = observation.processes.first();
    let tree = first.and_then(|it| Some((it.pid, Tree::at(&proc.join(format!("{}/root", it.pid))).ok()?)));
    let Some((seen_by, tree)) = tree else { return Vec::new() };
    let places = tree.names(below).unwrap_or_default().into_iter().map(|name| below.join(name));
    let layouts = places.filter(|place| tree.has(&place.join(LAYOUT))).take(MAX_LAYOUTS);
    layouts.map(|place| Reading::new(&tree, place).layout(seen_by)).collect()
}

/// A layout while it is read.
struct Reading<'a> {
    tree: &'a Tree,
    place: PathBuf,
    blobs: BTreeMap<String, u64>,
    reached: BTreeSet<String>,
    /// What was found of blobs, and of the archives in them.
    found: BTreeMap<String, (Found, Option<Vec<u8>>)>,
    archives: BTreeMap<String, Result<(String, u64, Vec<String>), String>>,
    left: u64,
}

impl<'a> Reading<'a> {
    fn new(tree: &'a Tree, place: PathBuf) -> Self {
        let mut blobs = BTreeMap::new();
        for algorithm in tree.names(&place.join("blobs")).unwrap_or_default() {
            let directory = place.join("blobs").join(&algorithm);
            for name in tree.names(&directory).unwrap_or_default() {
                let size = tree.metadata(&directory.join(&name)).map_or(0, |about| about.len());
                if blobs.len() < MAX_BLOBS {
                    blobs.insert(format!("{algorithm}:{name}"), size);
                }
            }
        }
        let (reached, found, archives) = Default::default();
        Self { tree, place, blobs, reached, found, archives, left: MAX_READ }
    }

    fn layout(mut self, seen_by: i32) -> Layout {
        let version = self.tree.text(&self.place.join(LAYOUT), 4096).unwrap_or_default().trim().to_owned();
        let (entries, mut trouble) = match self.entries() {
            Ok(entries) => (entries, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let mut images: Vec<Image> = Vec::new();
        for entry in &entries {
            let name = entry.annotations().as_ref().and_then(|all| all.get(REF_NAME)).cloned().unwrap_or_default();
            // The first of a name is the one that it means.
            if images.iter().any(|image| image.name == name && !name.is_empty()) {
                continue;
            }
            if images.len() == MAX_NAMES {
                trouble = Some(format!("{} entries, of which {MAX_NAMES} are shown", entries.len()));
                break;
            }
            images.push(self.image(name, entry));
        }
        // Of what was not looked at, nobody knows what it reaches.
        let is_read = self.found.values().all(|(found, _)| *found != Found::Unread);
        let is_known = trouble.is_none() && is_read && self.blobs.len() < MAX_BLOBS;
        let unreached = self.blobs.keys().filter(|digest| is_known && !self.reached.contains(*digest)).cloned().collect();
        let path = self.place.display().to_string();
        Layout { path, seen_by, version, images, blobs: self.blobs, unreached, trouble }
    }

    fn entries(&self) -> Result<Vec<Descriptor>, String> {
        let bytes = self.tree.bytes(&self.place.join(INDEX), MAX_READ).ok_or("there is no index.json to be read")?;
        let index: ImageIndex = serde_json::from_slice(&bytes).map_err(|error| format!("index.json: {error}"))?;
        Ok(index.manifests().clone())
    }

    fn image(&mut self, name: String, entry: &Descriptor) -> Image {
        let mut image = Image { name, ..Image::default() };
        image.trouble = self.follow(&mut image, entry, 0).err();
        image
    }

    /// From a descriptor of a document down to the layers.
    fn follow(&mut self, image: &mut Image, entry: &Descriptor, depth: usize) -> Result<(), String> {
        let bytes = self.blob(entry.digest());
        let document = bytes.as_deref().map(|bytes| Document::read(bytes, Some(entry.media_type().as_ref())));
        let kind = if matches!(document, Some(Ok(Document::Index(_)))) { Kind::Index } else { Kind::Manifest };
        image.parts.push(self.part(kind, entry));
        match document {
            None => Ok(()),
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(Document::Index(index))) => {
                for entry in index.manifests() {
                    self.reach(entry.digest(), depth + 1);
                    let platform = entry.platform().as_ref();
                    image.platforms.push(platform.map_or_else(|| "any platform".to_owned(), platform_words));
                }
                let chosen = choose(&index, &here()).or_else(|| index.manifests().first());
                match chosen {
                    Some(chosen) if depth < MAX_DEPTH => self.follow(image, chosen, depth + 1),
                    _ => Err("the index leads to no manifest".to_owned()),
                }
            }
            Some(Ok(Document::Manifest(manifest))) => {
                let config = self.blob(manifest.config().digest());
                image.parts.push(self.part(Kind::Config, manifest.config()));
                let config = match config.as_deref().map(serde_json::from_slice::<ImageConfiguration>) {
                    Some(Ok(config)) => Some(config),
                    Some(Err(error)) => return Err(format!("the config: {error}")),
                    None => None,
                };
                if let Some(config) = &config {
                    if image.platforms.is_empty() {
                        image.platforms.push(format!("{}/{}", config.os(), config.architecture()));
                    }
                    image.history = lines(config);
                }
                for (index, layer) in manifest.layers().iter().take(MAX_NAMES).enumerate() {
                    self.blob(layer.digest());
                    let said = config.as_ref().and_then(|config| config.rootfs().diff_ids().get(index)).cloned();
                    let mut part = self.part(Kind::Layer, layer);
                    part.archive = self.archive(layer, said.unwrap_or_default());
                    image.parts.push(part);
                }
                let diff_ids = config.as_ref().map_or(manifest.layers().len(), |it| it.rootfs().diff_ids().len());
                if diff_ids != manifest.layers().len() {
                    return Err(format!("{diff_ids} diff_ids for {} layers", manifest.layers().len()));
                }
                Ok(())
            }
        }
    }

    /// Marks what a descriptor reaches in an index, of which only one is shown.
    fn reach(&mut self, digest: &Digest, depth: usize) {
        let Some(bytes) = self.blob(digest) else { return };
        let Ok(document) = Document::read(&bytes, None) else { return };
        for needed in document.needs() {
            self.reached.insert(needed.digest().to_string());
            if matches!(document, Document::Index(_)) && depth < MAX_DEPTH {
                self.reach(needed.digest(), depth + 1);
            }
        }
    }

    /// The bytes of a blob, where there are any that could be read; they may be others than the digest says.
    fn blob(&mut self, digest: &Digest) -> Option<Vec<u8>> {
        let name = digest.to_string();
        self.reached.insert(name.clone());
        if let Some((_, bytes)) = self.found.get(&name) {
            return bytes.clone();
        }
        let path = self.place.join("blobs").join(digest.algorithm().as_ref()).join(digest.digest());
        let size = self.tree.metadata(&path).ok().filter(std::fs::Metadata::is_file).map(|about| about.len());
        let (found, bytes) = match size {
            None => (Found::Absent, None),
            Some(size) if size > self.left => (Found::Unread, None),
            Some(size) => match (self.tree.bytes(&path, size), Hasher::new(digest.algorithm())) {
                (Some(bytes), Some(mut hasher)) => {
                    self.left -= size;
                    hasher.update(&bytes);
                    let again = hasher.finish();
                    let found = if again == *digest { Found::Same } else { Found::Other(again.to_string(), size) };
                    (found, Some(bytes))
                }
                _ => (Found::Unread, None),
            },
        };
        self.found.insert(name, (found, bytes.clone()));
        bytes
    }

    fn part(&self, kind: Kind, descriptor: &Descriptor) -> Part {
        let digest = descriptor.digest().to_string();
        let found = match self.found.get(&digest) {
            // Another size than the manifest says is another blob, too.
            Some((Found::Same, Some(bytes))) if bytes.len() as u64 != descriptor.size() => {
                Found::Other(digest.clone(), bytes.len() as u64)
            }
            Some((found, _)) => found.clone(),
            None => Found::Unread,
        };
        let (size, media_type) = (descriptor.size(), descriptor.media_type().to_string());
        Part { kind, digest, size, media_type, found, archive: None }
    }

    fn archive(&mut self, layer: &Descriptor, said: String) -> Option<Archive> {
        let digest = layer.digest().to_string();
        let bytes = self.found.get(&digest)?.1.as_deref()?;
        let listed = self.archives.entry(digest).or_insert_with(|| list(layer.media_type(), bytes));
        let (found, entries, names) = match listed.clone() {
            Ok((found, entries, names)) => (Ok(found), entries, names),
            Err(why) => (Err(why), 0, Vec::new()),
        };
        Some(Archive { said, found, entries, names })
    }
}

/// The digest of the archive in a layer, how many entries it has, and the names of the first.
fn list(media_type: &MediaType, bytes: &[u8]) -> Result<(String, u64, Vec<String>), String> {
    let limits = Limits { uncompressed: MAX_ARCHIVE, ..Limits::default() };
    let listing = Layer::new(media_type.clone()).limits(limits).list(bytes, MAX_ENTRIES);
    let listing = listing.map_err(|error| error.to_string())?;
    Ok((listing.diff_id.to_string(), listing.entries, listing.names))
}


/// The lines of a history, each with the layer that it made.
fn lines(config: &ImageConfiguration) -> Vec<Line> {
    let mut layers = 0;
    let entries = config.history().iter().flatten().take(4 * MAX_NAMES).map(|entry| {
        let made = !entry.empty_layer().unwrap_or(false);
        layers += usize::from(made);
        Line { created_by: entry.created_by().clone().unwrap_or_default(), layer: made.then_some(layers) }
    });
    entries.collect()
}

#[cfg(test)]
mod tests;

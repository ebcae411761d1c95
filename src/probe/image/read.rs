//! Image layouts, read and computed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rootfs_fetch::image::{
    Descriptor, Digest, Document, Hasher, ImageConfiguration, ImageIndex, MediaType, choose, here, platform_words,
};
use rootfs_fetch::layer::{Layer, Limits, Listed};

use super::{Archive, Found, Image, Kind, Layout, Line, Part};
use crate::kernel::path::Tree;
use crate::probe::{Observation, Process, layout};

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

/// Reads the image layouts that are directories right below this one, with the root directory of the first process.
pub(in crate::probe) fn read(proc: &Path, observation: &Observation, below: &Path) -> Vec<Layout> {
    let first: Option<&Process> = observation.processes.first();
    let tree = first.and_then(|it| Some((it.pid, Tree::at(&proc.join(format!("{}/root", it.pid))).ok()?)));
    let Some((seen_by, tree)) = tree else { return Vec::new() };
    let places = layout::layouts(&tree, below).into_iter().take(MAX_LAYOUTS);
    places.map(|place| Reading::new(&tree, place).layout(seen_by)).collect()
}

/// A layout while it is read.
struct Reading<'a> {
    tree: &'a Tree,
    place: PathBuf,
    blobs: BTreeMap<String, u64>,
    reached: BTreeSet<String>,
    /// What was found of blobs, and of the archives in them.
    found: BTreeMap<String, (Found, Option<Vec<u8>>)>,
    /// Without what the configs say of them.
    archives: BTreeMap<String, Archive>,
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
        let version = self.tree.text(&self.place.join(layout::MARK), 4096).unwrap_or_default().trim().to_owned();
        let (entries, mut trouble) = match self.entries() {
            Ok(entries) => (entries, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let mut images: Vec<Image> = Vec::new();
        for entry in &entries {
            let name =
                entry.annotations().as_ref().and_then(|all| all.get(layout::REF_NAME)).cloned().unwrap_or_default();
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
        let unreached =
            self.blobs.keys().filter(|digest| is_known && !self.reached.contains(*digest)).cloned().collect();
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
        let path = layout::blob(&self.place, digest);
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
        let found = self.archives.entry(digest).or_insert_with(|| list(layer.media_type(), bytes));
        Some(Archive { said, ..found.clone() })
    }
}

/// The archive in a layer: its digest, how many entries it has, and the names of the first.
fn list(media_type: &MediaType, bytes: &[u8]) -> Archive {
    let limits = Limits { uncompressed: MAX_ARCHIVE, ..Limits::default() };
    let (mut entries, mut names) = (0, Vec::new());
    let mut tell = |listed: Listed| {
        entries += 1;
        if names.len() < MAX_ENTRIES {
            names.push(String::from_utf8_lossy(&listed.name).into_owned());
        }
        true
    };
    let diff_id = Layer::new(media_type.clone()).limits(limits).list(bytes, 0, &mut tell);
    let found = diff_id.map(|digest| digest.map_or_else(String::new, |digest| digest.to_string()));
    Archive { said: String::new(), found: found.map_err(|error| error.to_string()), entries, names }
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

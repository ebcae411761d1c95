//! What `docker save` writes: docker-archive.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Seek};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::contents::{Contents, MANIFEST};
use super::save::{Member, Members};
use super::{ArchiveError, MAX_LAYER, Named};
use crate::image::{Descriptor, Digest, ImageConfiguration, MediaType, Platform, Reference};
use crate::layer::stream::Compression;
use crate::layer::{self, Layer, LayerError};
use crate::store::{MAX_CONFIG, Store, StoreError};

/// The most images of an archive.
const MAX_IMAGES: usize = 1024;
/// The most layers of an image.
const MAX_LAYERS: usize = 1024;

/// An image in `manifest.json`.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// The images that `manifest.json` lists, each with a manifest that is made for it.
pub(super) fn images(contents: &Contents, store: &Store, uncompressed: u64) -> Result<Vec<Named>, ArchiveError> {
    let malformed = |error| ArchiveError::unusable(MANIFEST, error);
    let items: Vec<Item> = serde_json::from_slice(contents.text(MANIFEST)?).map_err(malformed)?;
    if items.len() > MAX_IMAGES {
        return Err(ArchiveError::Limit { what: "images", limit: MAX_IMAGES as u64 });
    }
    let mut loader = Loader { contents, store, layers: HashMap::new(), uncompressed, left: uncompressed };
    let mut images = Vec::new();
    for item in items {
        let descriptor = loader.image(&item)?;
        match item.repo_tags.filter(|names| !names.is_empty()) {
            Some(names) => images.extend(names.into_iter().map(|name| (Some(name), descriptor.clone()))),
            None => images.push((None, descriptor)),
        }
    }
    Ok(images)
}

struct Loader<'a> {
    contents: &'a Contents,
    store: &'a Store,
    /// Of each layer that was seen its media type and its diff_id.
    layers: HashMap<Digest, (MediaType, Digest)>,
    /// How many bytes compressed layers may become.
    uncompressed: u64,
    /// How many of them are left.
    left: u64,
}

impl Loader<'_> {
    /// The config and the layers stay as they are, so that the image has the id that it had; the types are OCI's, which say the same as
    /// Docker's and are understood by all who read a layout.
    fn image(&mut self, item: &Item) -> Result<Descriptor, ArchiveError> {
        let digest = self.contents.blob(&item.config)?;
        let bytes = self.store.small(digest, MAX_CONFIG)?;
        let wrong = |why| StoreError::Config { digest: digest.clone(), why };
        let config: ImageConfiguration = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        let (names, diff_ids) = (item.layers.as_deref().unwrap_or_default(), config.rootfs().diff_ids());
        if names.len() != diff_ids.len() {
            let why = format!("it has {} diff_ids, and {MANIFEST} {} layers", diff_ids.len(), names.len());
            return Err(wrong(why).into());
        }
        if names.len() > MAX_LAYERS {
            return Err(ArchiveError::Limit { what: "layers in one image", limit: MAX_LAYERS as u64 });
        }
        let layers: Vec<Descriptor> =
            names.iter().zip(diff_ids).map(|(name, diff_id)| self.layer(name, diff_id)).collect::<Result<_, _>>()?;
        let config = Descriptor::new(MediaType::ImageConfig, bytes.len() as u64, digest.clone());
        let kind = MediaType::ImageManifest;
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers}).to_string();
        let digest = self.store.add(manifest.as_bytes())?;
        Ok(Descriptor::new(kind, manifest.len() as u64, digest))
    }

    /// A layer, which has to have this diff_id.
    fn layer(&mut self, name: &str, wanted: &str) -> Result<Descriptor, ArchiveError> {
        let digest = self.contents.blob(name)?;
        let (kind, found) = match self.layers.get(digest) {
            Some(known) => known.clone(),
            None => {
                let found = self.look(digest)?;
                self.layers.insert(digest.clone(), found.clone());
                found
            }
        };
        if found.to_string() != wanted {
            let why = LayerError::DiffId { found: found.to_string(), wanted: wanted.to_owned() };
            return Err(ArchiveError::layer(digest)(why));
        }
        let size = self.store.size(digest).ok_or_else(|| StoreError::NoBlob(digest.clone()))?;
        Ok(Descriptor::new(kind, size, digest.clone()))
    }

    /// Docker writes layers uncompressed; others, such as crane, do not.
    fn look(&mut self, digest: &Digest) -> Result<(MediaType, Digest), ArchiveError> {
        let mut blob = self.store.blob(digest)?;
        let mut first = Vec::new();
        blob.by_ref().take(4).read_to_end(&mut first).and_then(|_| blob.rewind()).map_err(ArchiveError::Read)?;
        let kind = match Compression::found(&first) {
            Compression::None => return Ok((MediaType::ImageLayer, digest.clone())),
            Compression::Gzip => MediaType::ImageLayerGzip,
            Compression::Zstd => MediaType::ImageLayerZstd,
        };
        let (size, diff_id) =
            Layer::new(kind.clone()).limits(uncompressed(self.left)).measure(blob).map_err(|why| match why {
                LayerError::Limit { what, .. } => ArchiveError::Limit { what, limit: self.uncompressed },
                why => ArchiveError::layer(digest)(why),
            })?;
        self.left -= size;
        Ok((kind, diff_id))
    }
}

fn uncompressed(limit: u64) -> layer::Limits {
    layer::Limits { uncompressed: limit, ..layer::Limits::default() }
}

/// The files of an archive with these images, each for this platform.
pub(super) fn members(store: &Store, images: &[Named], platform: &Platform) -> Result<Members, ArchiveError> {
    let mut members = Members::new();
    let mut items: BTreeMap<String, Item> = BTreeMap::new();
    for (name, descriptor) in images {
        let image = store.image(descriptor, platform)?;
        let config = image.manifest.config();
        let layers: Vec<String> = image.layers.iter().map(|layer| format!("{}.tar", layer.diff_id.digest())).collect();
        let file = format!("{}.json", config.digest().digest());
        let item = items.entry(file.clone()).or_insert_with(|| Item {
            config: file.clone(),
            repo_tags: None,
            layers: Some(layers.clone()),
        });
        if let Some(name) = name {
            item.repo_tags.get_or_insert_default().push(tagged(name)?);
        }
        for (layer, file) in image.layers.into_iter().zip(layers) {
            if let Entry::Vacant(place) = members.entry(file) {
                let (digest, kind) = (layer.descriptor.digest(), layer.descriptor.media_type());
                let blob = store.blob(digest)?;
                // Its size stands before it: it is decompressed once for that, and once to be written.
                let whole = Layer::new(kind.clone()).diff_id(layer.diff_id.clone()).limits(uncompressed(MAX_LAYER));
                let (size, _) = whole.measure(blob).map_err(ArchiveError::layer(digest))?;
                place.insert(Member::Layer { layer, size });
            }
        }
        members.insert(file, Member::Blob(config.clone()));
    }
    for item in items.values_mut() {
        item.repo_tags.iter_mut().for_each(|names| names.sort());
    }
    let list = json!(items.into_values().collect::<Vec<_>>()).to_string();
    members.insert(MANIFEST.into(), Member::Text(list.into_bytes()));
    Ok(members)
}

/// A name as it has to be there, with a tag and without a digest.
fn tagged(name: &str) -> Result<String, ArchiveError> {
    let wrong = |why: String| ArchiveError::Name { name: name.to_owned(), why };
    // Some names are only understood before their registry stands before them.
    let whole = name.parse().map(|reference: Reference| reference.whole());
    let reference: Reference = whole.and_then(|whole| whole.parse()).map_err(|error| wrong(error.to_string()))?;
    match (reference.digest(), reference.tag()) {
        _ if !name.is_ascii() => Err(wrong("there are letters in it that no reference has".into())),
        (None, Some(tag)) if name.ends_with(&format!(":{tag}")) => Ok(name.to_owned()),
        (None, Some(tag)) => Ok(format!("{name}:{tag}")),
        _ => Err(wrong("it has a digest".into())),
    }
}

//! One image of a store: its manifest and its config, and how the two fit.

use super::{Store, StoreError};
use crate::image::{
    Descriptor, Digest, Document, DocumentError, ImageConfiguration, ImageManifest, Platform, choose, digest_of,
    platform_words,
};

/// The largest config, in bytes. Most have some thousand.
pub const MAX_CONFIG: u64 = 8 << 20;
/// So many documents may lead to a config: an index, one in it, and a manifest are usual.
const MAX_DEPTH: u64 = 4;

/// The image that a descriptor leads to on one platform.
#[derive(Clone, Debug)]
pub struct Image {
    /// The manifest's own descriptor: the one asked for, or the entry of an index.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: ImageManifest,
    /// The config: what is run in it, and how it came to be.
    pub config: ImageConfiguration,
    /// Its layers, the lowest first.
    pub layers: Vec<ImageLayer>,
}

/// A layer of an image, by all of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageLayer {
    /// The blob, mostly compressed.
    pub descriptor: Descriptor,
    /// The digest of the tar archive in it.
    pub diff_id: Digest,
    /// The digest of this layer on all those below it (image-spec, config.md, "Layer ChainID").
    pub chain_id: Digest,
}

impl Store {
    /// The image that `descriptor` leads to, on this platform where it leads to an index.
    ///
    /// # Errors
    /// [`StoreError::Platform`] where the index has none for it; [`StoreError::Config`] where config and manifest do not fit;
    /// as [`Store::document`].
    pub fn image(&self, descriptor: &Descriptor, platform: &Platform) -> Result<Image, StoreError> {
        let mut descriptor = descriptor.clone();
        for _ in 0..MAX_DEPTH {
            let index = match self.document(descriptor.digest())?.1 {
                Document::Index(index) => index,
                Document::Manifest(manifest) => {
                    let config = self.small(manifest.config().digest(), MAX_CONFIG)?;
                    return Image::new(descriptor, *manifest, &config);
                }
            };
            descriptor = choose(&index, platform).cloned().ok_or_else(|| StoreError::Platform {
                wanted: platform_words(platform),
                offered: index
                    .manifests()
                    .iter()
                    .filter_map(|entry| entry.platform().as_ref().map(platform_words))
                    .collect(),
            })?;
        }
        let why = DocumentError::TooLarge { what: "it is an index in an index in an index".into(), limit: MAX_DEPTH };
        Err(StoreError::Document { digest: descriptor.digest().clone(), why })
    }
}

impl Image {
    /// The image of this manifest, whose config has these bytes.
    ///
    /// # Errors
    /// [`StoreError::Config`] where the two do not fit.
    pub fn new(descriptor: Descriptor, manifest: ImageManifest, config: &[u8]) -> Result<Self, StoreError> {
        let config = serde_json::from_slice(config).map_err(|error| wrong(&manifest, error.to_string()))?;
        let layers = layers(&manifest, &config)?;
        Ok(Self { descriptor, manifest, config, layers })
    }
}

fn layers(manifest: &ImageManifest, config: &ImageConfiguration) -> Result<Vec<ImageLayer>, StoreError> {
    let (descriptors, diff_ids) = (manifest.layers(), config.rootfs().diff_ids());
    if descriptors.len() != diff_ids.len() {
        let why = format!("it has {} diff_ids, and the manifest {} layers", diff_ids.len(), descriptors.len());
        return Err(wrong(manifest, why));
    }
    let mut layers: Vec<ImageLayer> = Vec::with_capacity(descriptors.len());
    for (descriptor, diff_id) in descriptors.iter().zip(diff_ids) {
        let diff_id: Digest =
            diff_id.parse().map_err(|error| wrong(manifest, format!("diff_id {diff_id:?}: {error}")))?;
        let chain_id = layers.last().map_or_else(|| diff_id.clone(), |below| chain_id(&below.chain_id, &diff_id));
        layers.push(ImageLayer { descriptor: descriptor.clone(), diff_id, chain_id });
    }
    Ok(layers)
}

/// The chain id of a layer with this `diff_id` on what has the chain id `below`; that of the lowest layer is its diff_id.
pub fn chain_id(below: &Digest, diff_id: &Digest) -> Digest {
    digest_of(format!("{below} {diff_id}").as_bytes())
}

fn wrong(manifest: &ImageManifest, why: String) -> StoreError {
    StoreError::Config { digest: manifest.config().digest().clone(), why }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::image::{MediaType, here};

    fn add(store: &Store, kind: MediaType, document: &serde_json::Value) -> Descriptor {
        let bytes = document.to_string();
        let digest = store.add(bytes.as_bytes()).expect("a blob");
        Descriptor::new(kind, bytes.len() as u64, digest)
    }

    fn digests() -> [String; 2] {
        ["a", "b"].map(|byte| format!("sha256:{}", byte.repeat(64)))
    }

    fn manifest(store: &Store, diff_ids: &[&str]) -> Descriptor {
        let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
        let config = json!({"architecture": "amd64", "os": "linux", "rootfs": rootfs});
        let config = add(store, MediaType::ImageConfig, &config);
        let layers =
            digests().map(|digest| json!({"mediaType": MediaType::ImageLayerGzip, "size": 3, "digest": digest}));
        add(store, MediaType::ImageManifest, &json!({"schemaVersion": 2, "config": config, "layers": layers}))
    }

    fn index(store: &Store, entry: &Descriptor) -> Descriptor {
        add(store, MediaType::ImageIndex, &json!({"schemaVersion": 2, "manifests": [entry]}))
    }

    fn place() -> (tempfile::TempDir, Store) {
        let place = tempfile::tempdir().expect("a directory");
        let store = Store::open(place.path()).expect("a store");
        (place, store)
    }

    #[test]
    fn a_layer_is_known_by_three_digests() {
        let (_place, store) = place();
        let [low, high] = digests();
        let manifest = manifest(&store, &[&high, &low]);
        for descriptor in [manifest.clone(), index(&store, &manifest)] {
            let image = store.image(&descriptor, &here()).expect("an image");
            assert_eq!(image.descriptor, manifest);
            let told = |layer: &ImageLayer| {
                [layer.descriptor.digest(), &layer.diff_id, &layer.chain_id].map(ToString::to_string)
            };
            // The lowest is its own chain; the next has that of both, with one space between.
            let both = digest_of(format!("{high} {low}").as_bytes()).to_string();
            assert_eq!(told(&image.layers[0]), [low.clone(), high.clone(), high.clone()]);
            assert_eq!(told(&image.layers[1]), [high.clone(), low.clone(), both]);
        }
    }

    #[test]
    fn a_config_of_another_number_of_layers_or_without_digests_is_refused() {
        let (_place, store) = place();
        let [low, _] = digests();
        for (diff_ids, why) in
            [(vec![low.as_str()], "1 diff_ids, and the manifest 2"), (vec![&low, "none"], "\"none\"")]
        {
            let manifest = manifest(&store, &diff_ids);
            let error = store.image(&manifest, &here()).expect_err("refused");
            assert!(matches!(error, StoreError::Config { .. }) && error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn platforms_on_offer_are_named_and_a_tower_of_indexes_ends() {
        let (_place, store) = place();
        let [low, high] = digests();
        let manifest = manifest(&store, &[&low, &high]);
        let mut other = manifest.clone();
        other.set_platform(Some(serde_json::from_value(json!({"os": "plan9", "architecture": "mips"})).expect("one")));
        let error = store.image(&index(&store, &other), &here()).expect_err("not for this");
        assert!(error.to_string().ends_with("but for plan9/mips"), "{error}");
        let three = (0..3).fold(manifest.clone(), |below, _| index(&store, &below));
        assert_eq!(store.image(&three, &here()).expect("an image").descriptor, manifest);
        let error = store.image(&index(&store, &three), &here()).expect_err("too deep");
        assert!(matches!(error, StoreError::Document { .. }), "{error}");
    }
}

//! Any bytes are the config of an image, or are refused in words that can be shown. Of an image, each layer is known by its digests.

use rootfs_fetch::image::{Descriptor, Document, MediaType, digest_of};
use rootfs_fetch::store::{Image, chain_id};
use serde_json::{Value, json};

/// Checks it, with a manifest that has as many layers; whether it was one.
pub fn holds(bytes: &[u8]) -> bool {
    let config = serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let count = config.pointer("/rootfs/diff_ids").and_then(Value::as_array).map_or(0, Vec::len).min(1024);
    let descriptor = |kind: MediaType, bytes: &[u8]| Descriptor::new(kind, bytes.len() as u64, digest_of(bytes));
    let layers = vec![descriptor(MediaType::ImageLayer, b""); count];
    let manifest = json!({"schemaVersion": 2, "config": descriptor(MediaType::ImageConfig, bytes), "layers": layers});
    let text = manifest.to_string();
    let Ok(Document::Manifest(manifest)) = Document::read(text.as_bytes(), None) else { panic!("{text}") };
    let image = match Image::new(descriptor(MediaType::ImageManifest, text.as_bytes()), *manifest, bytes) {
        Ok(image) => image,
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() < 8000 && !text.chars().any(char::is_control), "{text:?}");
            return false;
        }
    };
    let diff_ids = image.config.rootfs().diff_ids();
    assert_eq!((image.layers.len(), diff_ids.len()), (count, count));
    let mut below = None;
    for (layer, diff_id) in image.layers.iter().zip(diff_ids) {
        assert_eq!(layer.diff_id.to_string(), *diff_id);
        let chain = below.map_or_else(|| layer.diff_id.clone(), |below| chain_id(below, &layer.diff_id));
        assert_eq!(layer.chain_id, chain);
        below = Some(&layer.chain_id);
    }
    let again = serde_json::to_vec(&image.config).expect("it can be written");
    let again = Image::new(image.descriptor, image.manifest, &again).expect("it was written so");
    assert_eq!(again.config, image.config);
    true
}

//! A store, and what is put into it or into archives.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use rootfs_fetch::archive::{ArchiveError, Format, Limits, Named, load, save};
use rootfs_fetch::image::{Descriptor, MediaType, digest_of, here};
use rootfs_fetch::store::Store;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::entries::{Entry, archive, file};

/// A directory with a store.
pub struct Place {
    pub place: TempDir,
    pub store: Store,
}

impl Place {
    pub fn new() -> Self {
        let place = TempDir::new().expect("a temporary directory");
        let store = Store::open(place.path().join("store")).expect("a store");
        Self { place, store }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Loads this archive, whatever comes of it, and sees that nothing but the store was touched, that each of its blobs is what it is called,
    /// and that nothing unfinished is left.
    pub fn load(&self, bytes: &[u8]) -> Result<Vec<Named>, ArchiveError> {
        let loaded = load(bytes, &self.store, &Limits::default());
        self.unharmed();
        loaded
    }

    pub fn unharmed(&self) {
        let beside = fs::read_dir(self.place.path()).expect("a list").count();
        assert_eq!(beside, 1, "something is beside the store");
        let faults: Vec<String> = self.store.verify().iter().map(ToString::to_string).collect();
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(self.store.uploads().expect("a list"), Vec::<String>::new());
    }

    /// Loads entries that are refused; says why. After that, all that they left can be cleared.
    pub fn refused(&self, entries: impl IntoIterator<Item = Entry>) -> String {
        let error = self.load(&archive(entries)).expect_err("an archive that is refused").to_string();
        self.store.gc_older_than(Duration::ZERO).expect("gc");
        assert_eq!(self.blobs(), 0, "after gc");
        error
    }

    pub fn blobs(&self) -> usize {
        fs::read_dir(self.store.root().join("blobs/sha256")).expect("a list").count()
    }

    pub fn save(&self, images: &[Named], format: &Format) -> Vec<u8> {
        let mut bytes = Vec::new();
        save(&self.store, images, format, &mut bytes).expect("it can be saved");
        bytes
    }

    pub fn docker(&self, images: &[Named]) -> Vec<u8> {
        self.save(images, &Format::Docker(here()))
    }

    pub fn add(&self, kind: MediaType, bytes: &[u8]) -> Descriptor {
        Descriptor::new(kind, bytes.len() as u64, self.store.add(bytes).expect("it can be written"))
    }

    /// Puts an image with these layers in, compressed in the way of this media type.
    pub fn image(&self, kind: &MediaType, layers: &[Vec<u8>]) -> Descriptor {
        let config = self.add(MediaType::ImageConfig, config(layers).as_bytes());
        let layers: Vec<Descriptor> =
            layers.iter().map(|layer| self.add(kind.clone(), &compressed(kind, layer))).collect();
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MediaType::ImageManifest, "config": config, "layers": layers});
        self.add(MediaType::ImageManifest, manifest.to_string().as_bytes())
    }

    pub fn index(&self, of: &[&Descriptor]) -> Descriptor {
        let text = json!({"schemaVersion": 2, "mediaType": MediaType::ImageIndex, "manifests": of}).to_string();
        self.add(MediaType::ImageIndex, text.as_bytes())
    }
}

/// A config of these layers, for this platform.
pub fn config(layers: &[Vec<u8>]) -> String {
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest_of(layer).to_string()).collect();
    let mut config: Value = serde_json::to_value(here()).expect("a platform");
    config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
    config["config"] = json!({"Cmd": ["/bin/sh"], "Healthcheck": {"Test": ["NONE"]}});
    config.to_string()
}

/// The archive of a layer with one file.
pub fn layer(text: &str) -> Vec<u8> {
    archive([file("etc/text", text)])
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 0).expect("memory")
}

fn compressed(kind: &MediaType, bytes: &[u8]) -> Vec<u8> {
    match kind {
        MediaType::ImageLayerGzip => gzip(bytes),
        MediaType::ImageLayerZstd => zstd(bytes),
        _ => bytes.to_vec(),
    }
}

/// A blob of a layout.
pub fn blob(bytes: &[u8]) -> Entry {
    file(format!("blobs/sha256/{}", digest_of(bytes).digest()), bytes)
}

pub fn layout() -> Entry {
    file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
}

pub fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "size": bytes.len(), "digest": digest_of(bytes)})
}

/// The entries of a layout with an image of one layer, and its descriptor, to which annotations may be added.
pub fn layout_of(layer: &[u8]) -> (Vec<Entry>, Value) {
    let config = config(&[layer.to_vec()]);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageManifest,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    })
    .to_string();
    let entry = descriptor("application/vnd.oci.image.manifest.v1+json", manifest.as_bytes());
    (vec![blob(config.as_bytes()), blob(layer), blob(manifest.as_bytes())], entry)
}

pub fn index_json(entries: &[Value]) -> Entry {
    file("index.json", json!({"schemaVersion": 2, "manifests": entries}).to_string())
}

pub fn manifest_json(config: &str, tags: &[&str], layers: &[&str]) -> Entry {
    file("manifest.json", json!([{"Config": config, "RepoTags": tags, "Layers": layers}]).to_string())
}

/// The names that archives give.
pub fn names(images: &[Named]) -> Vec<&str> {
    images.iter().map(|(name, _)| name.as_deref().unwrap_or("-")).collect()
}

//! A registry in memory, and images for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use rootfs_fetch::image::{Descriptor, MediaType, Reference, digest_of};
use serde_json::{Value, json};

use super::server::{Reply, Request, Server};

pub const REPOSITORY: &str = "team/app";

/// Bytes that look like nothing, different for each seed.
pub fn bytes(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251 + seed * 7919) as u8).collect()
}

pub fn descriptor(kind: MediaType, bytes: &[u8]) -> Descriptor {
    Descriptor::new(kind, bytes.len() as u64, digest_of(bytes))
}

/// An image that was made up.
#[derive(Clone)]
pub struct Image {
    pub config: Vec<u8>,
    pub layers: Vec<Vec<u8>>,
    pub manifest: Vec<u8>,
}

impl Image {
    /// Of these layers, which are taken for archives that are not compressed.
    pub fn of(layers: &[Vec<u8>]) -> Self {
        Self::changed(layers, |_, _| {})
    }

    /// As [`Image::of`], after something was done to its config and its manifest.
    pub fn changed(layers: &[Vec<u8>], change: impl FnOnce(&mut Value, &mut Value)) -> Self {
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest_of(layer).to_string()).collect();
        let mut config =
            json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let entries: Vec<Descriptor> = layers.iter().map(|layer| descriptor(MediaType::ImageLayer, layer)).collect();
        let mut manifest = json!({"schemaVersion": 2, "mediaType": MediaType::ImageManifest, "layers": entries});
        change(&mut config, &mut manifest);
        let config = config.to_string().into_bytes();
        if manifest.get("config").is_none() {
            manifest["config"] = json!(descriptor(MediaType::ImageConfig, &config));
        }
        Self { config, layers: layers.to_vec(), manifest: manifest.to_string().into_bytes() }
    }

    pub fn descriptor(&self) -> Descriptor {
        descriptor(MediaType::ImageManifest, &self.manifest)
    }

    /// Its entry in an index.
    pub fn entry(&self, os: &str, architecture: &str) -> Value {
        let mut entry = json!(self.descriptor());
        entry["platform"] = json!({"os": os, "architecture": architecture});
        entry
    }

    /// The bytes of its config and of its layers.
    pub fn size(&self) -> u64 {
        self.layers.iter().chain([&self.config]).map(|blob| blob.len() as u64).sum()
    }
}

pub fn index(entries: &[Value]) -> Vec<u8> {
    let index = json!({"schemaVersion": 2, "mediaType": MediaType::ImageIndex, "manifests": entries});
    index.to_string().into_bytes()
}

/// What a registry has. Manifests are found by tag and by digest.
#[derive(Default)]
pub struct Shelf {
    pub manifests: BTreeMap<String, Vec<u8>>,
    pub blobs: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, Vec<u8>>,
}

impl Shelf {
    /// Puts an image in, and tells its digest.
    pub fn put(&mut self, image: &Image) -> String {
        for blob in image.layers.iter().chain([&image.config]) {
            self.blobs.insert(digest_of(blob).to_string(), blob.clone());
        }
        self.document(&image.manifest)
    }

    /// Puts a document in, and tells its digest.
    pub fn document(&mut self, bytes: &[u8]) -> String {
        let digest = digest_of(bytes).to_string();
        self.manifests.insert(digest.clone(), bytes.to_vec());
        digest
    }

    pub fn tag(&mut self, tag: &str, bytes: &[u8]) {
        self.document(bytes);
        self.manifests.insert(tag.to_owned(), bytes.to_vec());
    }
}

/// A registry on a port of this machine.
pub struct Registry {
    pub server: Server,
    shelf: Arc<Mutex<Shelf>>,
}

impl Registry {
    /// One that does as it should.
    pub fn start() -> Self {
        Self::faulty(|_, _, reply| reply)
    }

    /// `fault` sees what it would answer to each request, and says what comes instead.
    pub fn faulty(fault: impl Fn(&Request, usize, Reply) -> Reply + Send + Sync + 'static) -> Self {
        let shelf: Arc<Mutex<Shelf>> = Arc::default();
        let theirs = Arc::clone(&shelf);
        let server = Server::start(move |request, number| {
            let reply = answer(request, number, &mut theirs.lock().expect("no panic"));
            fault(request, number, reply)
        });
        Self { server, shelf }
    }

    /// With this image, tagged `v1`.
    pub fn with(self, image: &Image) -> Self {
        self.shelf().put(image);
        self.shelf().tag("v1", &image.manifest);
        self
    }

    pub fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().expect("no panic")
    }

    /// `HOST/team/app:TAG`.
    pub fn tag(&self, tag: &str) -> Reference {
        format!("{}/{REPOSITORY}:{tag}", self.server.host()).parse().expect("a reference")
    }

    /// How often a blob was sent, and asked for.
    pub fn gets(&self, bytes: &[u8]) -> usize {
        let line = format!("GET /v2/{REPOSITORY}/blobs/{}", digest_of(bytes));
        self.server.lines().iter().filter(|one| **one == line).count()
    }
}

fn answer(request: &Request, number: usize, shelf: &mut Shelf) -> Reply {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let (directory, name) = path.rsplit_once('/').unwrap_or_default();
    let parameter = |name: &str| {
        let mut all = query.split('&').filter_map(|one| one.split_once('='));
        all.find(|(own, _)| *own == name).map(|(_, value)| value.to_owned())
    };
    match (request.method.as_str(), directory.trim_start_matches("/v2/").trim_start_matches(REPOSITORY)) {
        ("GET" | "HEAD", "/manifests") => match shelf.manifests.get(name) {
            Some(bytes) => {
                let read: Value = serde_json::from_slice(bytes).unwrap_or_default();
                let kind = read["mediaType"].as_str().unwrap_or("application/json").to_owned();
                let reply = Reply::new(200).header("Content-Type", kind).body(bytes.clone());
                reply.header("Docker-Content-Digest", digest_of(bytes).to_string())
            }
            None => Reply::new(404).body(r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
        },
        ("PUT", "/manifests") => {
            shelf.tag(name, &request.body);
            Reply::new(201).header("Docker-Content-Digest", digest_of(&request.body).to_string())
        }
        ("GET" | "HEAD", "/blobs") => match (shelf.blobs.get(name), request.offset()) {
            (Some(bytes), Some(from)) => {
                let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
                Reply::new(206).header("Content-Range", range).body(&bytes[from..])
            }
            (Some(bytes), None) => Reply::new(200).body(bytes.clone()),
            (None, _) => Reply::new(404).body(r#"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#),
        },
        ("POST", "/blobs/uploads") => {
            if parameter("from").as_deref() == Some("team/base")
                && parameter("mount").is_some_and(|digest| shelf.blobs.contains_key(&format!("team/base {digest}")))
            {
                let digest = parameter("mount").unwrap_or_default();
                let bytes = shelf.blobs[&format!("team/base {digest}")].clone();
                shelf.blobs.insert(digest, bytes);
                return Reply::new(201);
            }
            shelf.uploads.insert(format!("u{number}"), Vec::new());
            Reply::new(202).header("Location", format!("{path}u{number}"))
        }
        ("PATCH", "/blobs/uploads") => match shelf.uploads.get_mut(name) {
            Some(upload) => {
                upload.extend(&request.body);
                Reply::new(202).header("Location", path).header("Range", format!("0-{}", upload.len() - 1))
            }
            None => Reply::new(404),
        },
        ("GET", "/blobs/uploads") => match shelf.uploads.get(name) {
            Some(upload) => Reply::new(204).header("Range", format!("0-{}", upload.len().saturating_sub(1))),
            None => Reply::new(404),
        },
        ("PUT", "/blobs/uploads") => {
            let mut upload = shelf.uploads.remove(name).unwrap_or_default();
            upload.extend(&request.body);
            let digest = parameter("digest").unwrap_or_default();
            if digest != digest_of(&upload).to_string() {
                return Reply::new(400).body(r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#);
            }
            shelf.blobs.insert(digest, upload);
            Reply::new(201)
        }
        _ => Reply::new(404),
    }
}

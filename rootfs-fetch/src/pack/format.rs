//! The two formats of images, which say the same with other words: image-spec 1.1, media-types.md, and Docker's image manifest version 2,
//! schema 2.

use serde::Serialize;

use super::{Compression, PackError};
use crate::image::{
    DOCKER_LIST, DOCKER_MANIFEST, Descriptor, Digest, Document, ImageManifest, MAX_DOCUMENT, MediaType,
};
use crate::store::{Store, StoreError};

const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// What Docker calls the kinds of layers, where it has a word for them.
const LAYERS: [(MediaType, Option<&str>); 6] = [
    (MediaType::ImageLayer, Some("application/vnd.docker.image.rootfs.diff.tar")),
    (MediaType::ImageLayerGzip, Some("application/vnd.docker.image.rootfs.diff.tar.gzip")),
    (MediaType::ImageLayerZstd, None),
    (MediaType::ImageLayerNonDistributable, None),
    (MediaType::ImageLayerNonDistributableGzip, Some("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")),
    (MediaType::ImageLayerNonDistributableZstd, None),
];

/// In which format an image is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OCI's.
    Oci,
    /// Docker's version 2, schema 2.
    Docker,
}

impl Format {
    /// That of a manifest.
    pub fn of(manifest: &ImageManifest) -> Self {
        let docker = manifest.media_type().as_ref().is_some_and(|kind| kind.as_ref() == DOCKER_MANIFEST);
        if docker { Self::Docker } else { Self::Oci }
    }

    pub(super) fn manifest(self) -> MediaType {
        match self {
            Self::Oci => MediaType::ImageManifest,
            Self::Docker => DOCKER_MANIFEST.into(),
        }
    }

    pub(super) fn index(self) -> MediaType {
        match self {
            Self::Oci => MediaType::ImageIndex,
            Self::Docker => DOCKER_LIST.into(),
        }
    }

    pub(super) fn config(self) -> MediaType {
        match self {
            Self::Oci => MediaType::ImageConfig,
            Self::Docker => DOCKER_CONFIG.into(),
        }
    }

    /// A kind of layer, of either format, in the words of this one.
    pub(super) fn layer(self, kind: &MediaType) -> Result<MediaType, PackError> {
        let known = LAYERS.iter().find(|(oci, docker)| oci == kind || *docker == Some(kind.as_ref()));
        match (self, known) {
            (Self::Oci, Some((oci, _))) => Ok(oci.clone()),
            (Self::Docker, Some((_, Some(docker)))) => Ok((*docker).into()),
            (Self::Docker, Some((_, None))) => Err(PackError::Image(format!("Docker's manifests have no {kind}"))),
            (_, None) => Err(PackError::Image(format!("{:?} is no kind of layer", kind.as_ref()))),
        }
    }
}

impl Compression {
    pub(super) fn media_type(self) -> MediaType {
        match self {
            Self::None => MediaType::ImageLayer,
            Self::Gzip(_) => MediaType::ImageLayerGzip,
            Self::Zstd(_) => MediaType::ImageLayerZstd,
        }
    }
}

/// Puts JSON into the store, in the one form that image-spec wants for what is found by its digest: keys sorted, and no spaces
/// (considerations.md, "Canonicalization").
pub(super) fn put(store: &Store, kind: MediaType, what: &impl Serialize, limit: u64) -> Result<Descriptor, PackError> {
    let no_json = |error: serde_json::Error| PackError::Image(error.to_string());
    let mut value = serde_json::to_value(what).map_err(no_json)?;
    value.sort_all_objects();
    let bytes = serde_json::to_vec(&value).map_err(no_json)?;
    if bytes.len() as u64 > limit {
        return Err(PackError::Image(format!("{kind} would have {} bytes, and {limit} are taken", bytes.len())));
    }
    Ok(Descriptor::new(kind, bytes.len() as u64, store.add(&bytes)?))
}

/// Puts a manifest or an index into the store, if all that read one here would take it and the store has what it names.
pub(super) fn put_document(store: &Store, kind: MediaType, what: &impl Serialize) -> Result<Descriptor, PackError> {
    let descriptor = put(store, kind, what, MAX_DOCUMENT)?;
    let (_, document): (_, Document) = store.document(descriptor.digest())?;
    let absent = |needed: &&&Descriptor| store.size(needed.digest()) != Some(needed.size());
    match document.needs().iter().find(absent) {
        Some(absent) => Err(StoreError::NoBlob(Digest::clone(absent.digest())).into()),
        None => Ok(descriptor),
    }
}

//! What is kept beside images and like them: signatures, bills of materials, and whatever else has a media type (image-spec 1.1, manifest.md,
//! "Guidelines for Artifact Usage").

use std::collections::BTreeMap;

use serde_json::json;

use super::PackError;
use super::format::put_document;
use crate::image::{Descriptor, MediaType};
use crate::store::Store;

/// The smallest JSON document, for what there has to be and is of no use (manifest.md, "Guidance for an Empty Descriptor").
const EMPTY: &[u8] = b"{}";

/// Puts an artifact together: some blobs, of what kind they are, and what they are about.
#[derive(Clone, Debug)]
pub struct ArtifactBuilder {
    store: Store,
    kind: String,
    subject: Option<Descriptor>,
    annotations: BTreeMap<String, String>,
    blobs: Vec<Descriptor>,
}

impl ArtifactBuilder {
    /// An artifact of this type, a media type such as `application/spdx+json`.
    pub fn new(store: &Store, artifact_type: impl Into<String>) -> Self {
        let (store, kind) = (store.clone(), artifact_type.into());
        Self { store, kind, subject: None, annotations: BTreeMap::new(), blobs: Vec::new() }
    }

    /// The manifest that it is about, which need not be in the store. Registries list it with that (distribution-spec 1.1, "Listing
    /// Referrers").
    #[must_use]
    pub fn subject(self, subject: &Descriptor) -> Self {
        // A descriptor's platform is the image's, and of no concern to what is about it.
        let subject = Descriptor::new(subject.media_type().clone(), subject.size(), subject.digest().clone());
        Self { subject: Some(subject), ..self }
    }

    /// Something about it.
    #[must_use]
    pub fn annotation(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(name.into(), value.into());
        self
    }

    /// Adds these bytes.
    ///
    /// # Errors
    /// They can not be put into the store.
    pub fn bytes(self, bytes: &[u8], media_type: &str) -> Result<Self, PackError> {
        let digest = self.store.add(bytes)?;
        Ok(self.blob(Descriptor::new(media_type.into(), bytes.len() as u64, digest)))
    }

    /// Adds a blob that the store has.
    #[must_use]
    pub fn blob(mut self, blob: Descriptor) -> Self {
        self.blobs.push(blob);
        self
    }

    /// Writes the manifest, and returns its descriptor, with the type.
    ///
    /// # Errors
    /// [`PackError::Image`] where the type is no media type; [`PackError::Store`], also where it has not all blobs.
    pub fn write(self) -> Result<Descriptor, PackError> {
        if !is_media_type(&self.kind) {
            return Err(PackError::Image(format!("{:?} is no media type (RFC 6838, section 4.2)", self.kind)));
        }
        let empty = Descriptor::new(MediaType::EmptyJSON, EMPTY.len() as u64, self.store.add(EMPTY)?);
        // There has to be one layer at least.
        let layers = if self.blobs.is_empty() { vec![empty.clone()] } else { self.blobs };
        let kind = MediaType::ImageManifest;
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": kind,
            "artifactType": self.kind,
            "config": empty,
            "layers": layers,
        });
        if let Some(subject) = self.subject {
            manifest["subject"] = json!(subject);
        }
        if !self.annotations.is_empty() {
            manifest["annotations"] = json!(self.annotations);
        }
        let mut descriptor = put_document(&self.store, kind, &manifest)?;
        descriptor.set_artifact_type(Some(self.kind.as_str().into()));
        Ok(descriptor)
    }
}

/// Two names that each begin with a letter or a digit: RFC 6838, section 4.2.
fn is_media_type(text: &str) -> bool {
    let is_name = |name: &str| {
        let first = name.starts_with(|first: char| first.is_ascii_alphanumeric());
        first
            && name.len() <= 127
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_have_two_parts() {
        for (text, is) in [
            ("application/vnd.example.sbom.v1+json", true),
            ("text/plain", true),
            ("text", false),
            ("text/", false),
            ("a/b/c", false),
            ("text/plain; charset=utf-8", false),
            ("+a/b", false),
        ] {
            assert_eq!(is_media_type(text), is, "{text}");
        }
    }
}

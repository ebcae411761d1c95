//! Manifests and indexes: kept byte for byte, so that a digest never changes; and who refers to whom.

use std::sync::Arc;

use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use rootfs_fetch::image::{Descriptor, Digest, Document, DocumentError, MAX_DOCUMENT, MediaType};
use serde_json::json;

use super::place::{Name, Which};
use super::trouble::Trouble;
use super::{Answer, CONTENT_DIGEST, Registry, blocking};

/// Tells who has pushed a manifest with a subject that referrers are listed here.
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// Tells by what a list of referrers was filtered.
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// end-3: a manifest, as it was pushed.
pub(super) async fn get(registry: Arc<Registry>, name: Name, which: Which) -> Answer {
    blocking(registry, move |registry| {
        let found = registry.find(&name, &which)?;
        let (bytes, _) = registry.store.document(found.digest())?;
        let headers = [
            (header::CONTENT_TYPE, found.media_type().to_string()),
            (CONTENT_DIGEST, found.digest().to_string()),
            (header::ETAG, format!("\"{}\"", found.digest())),
        ];
        Ok((headers, bytes).into_response())
    })
    .await
}

/// end-7: takes a manifest, once all is there that it names.
pub(super) async fn put(registry: Arc<Registry>, request: Request, name: Name, which: Which) -> Answer {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned);
    let limit = usize::try_from(MAX_DOCUMENT).unwrap_or(usize::MAX);
    let bytes = to_bytes(request.into_body(), limit).await.map_err(|error| {
        Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID", format!("at most {limit} bytes: {error}"))
    })?;
    blocking(registry, move |registry| registry.take(&bytes, kind.as_deref(), &name, &which)).await
}

/// end-9: takes a tag away, or a manifest with all tags that it has in this repository.
pub(super) async fn delete(registry: Arc<Registry>, name: Name, which: Which) -> Answer {
    blocking(registry, move |registry| {
        let found = registry.find(&name, &which)?;
        for (key, descriptor) in registry.of_repository(&name)? {
            let is_meant = match &which {
                Which::Tag(_) => key == registry.key(&name, &which),
                Which::Digest(_) => descriptor.digest() == found.digest(),
            };
            if is_meant {
                registry.store.untag(&key)?;
            }
        }
        Ok(StatusCode::ACCEPTED.into_response())
    })
    .await
}

/// end-12: an index of the manifests whose subject has this digest; an empty one where there are none.
pub(super) async fn referrers(registry: Arc<Registry>, name: Name, subject: Digest, kind: Option<String>) -> Answer {
    blocking(registry, move |registry| {
        let mut entries: Vec<Descriptor> = Vec::new();
        for (_, descriptor) in registry.of_repository(&name)? {
            if entries.iter().any(|entry| entry.digest() == descriptor.digest()) {
                continue;
            }
            let (_, document) = registry.store.document(descriptor.digest())?;
            if document.subject().is_some_and(|it| *it.digest() == subject) {
                entries.push(document.referrer(&descriptor));
            }
        }
        let filter = kind.map(|kind| MediaType::from(kind.as_str()));
        let fits = |entry: &Descriptor| filter.is_none() || *entry.artifact_type() == filter;
        entries.retain(fits);
        let index = json!({ "schemaVersion": 2, "mediaType": MediaType::ImageIndex.to_string(), "manifests": entries });
        let mut response = (
            [(header::CONTENT_TYPE, MediaType::ImageIndex.to_string())],
            serde_json::to_vec(&index).map_err(Trouble::own)?,
        )
            .into_response();
        if filter.is_some() {
            response.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
        }
        Ok(response)
    })
    .await
}

impl Registry {
    /// The name in the layout of what a repository has under a tag or a digest.
    fn key(&self, name: &Name, which: &Which) -> String {
        match which {
            Which::Tag(tag) => format!("{}:{tag}", name.as_str()),
            Which::Digest(digest) => format!("{}@{digest}", name.as_str()),
        }
    }

    /// All that a repository has, by its name in the layout.
    pub(super) fn of_repository(&self, name: &Name) -> Result<Vec<(String, Descriptor)>, Trouble> {
        let mut all = self.store.names()?;
        let is_its = |key: &str| key.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with([':', '@']));
        all.retain(|(key, _)| is_its(key));
        Ok(all)
    }

    fn find(&self, name: &Name, which: &Which) -> Result<Descriptor, Trouble> {
        match which {
            Which::Tag(tag) => {
                self.store.resolve(&self.key(name, which))?.ok_or_else(|| Trouble::manifest_unknown(tag))
            }
            // Whoever has pulled a tag may ask for the same by its digest.
            Which::Digest(digest) => {
                let mut all = self.of_repository(name)?.into_iter().map(|(_, descriptor)| descriptor);
                all.find(|it| it.digest() == digest).ok_or_else(|| Trouble::manifest_unknown(digest.as_ref()))
            }
        }
    }

    fn take(&self, bytes: &Bytes, kind: Option<&str>, name: &Name, which: &Which) -> Answer {
        let document = Document::read(bytes, kind).map_err(|error| match error {
            DocumentError::TooLarge { .. } => {
                Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID", error.to_string())
            }
            _ => Trouble::manifest_invalid(error.to_string()),
        })?;
        if let Some(missing) = document.needs().into_iter().find(|needed| !self.store.has(needed.digest())) {
            let message = format!("push {} first", missing.digest());
            return Err(Trouble::new(StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN", message));
        }
        let digest = match which {
            Which::Digest(digest) => {
                self.store.add_as(bytes, digest)?;
                digest.clone()
            }
            Which::Tag(_) => self.store.add(bytes)?,
        };
        let kind = kind.map_or_else(|| document.media_type(), MediaType::from);
        let descriptor = Descriptor::new(kind, bytes.len() as u64, digest.clone());
        self.store.tag(&self.key(name, which), &descriptor)?;
        let place = format!("/v2/{}/manifests/{digest}", name.as_str());
        let mut response =
            (StatusCode::CREATED, [(header::LOCATION, place), (CONTENT_DIGEST, digest.to_string())]).into_response();
        if let Some(subject) = document.subject().and_then(|it| HeaderValue::from_str(it.digest().as_ref()).ok()) {
            response.headers_mut().insert(OCI_SUBJECT, subject);
        }
        Ok(response)
    }
}

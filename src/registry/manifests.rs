//! Manifests and indexes: kept byte for byte, so that a digest never changes; and who refers to whom.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use rootfs_fetch::image::{Descriptor, Digest, Document, DocumentError, MAX_DOCUMENT, MediaType};
use serde_json::json;

use super::incoming::Incoming;
use super::place::{Name, Which, tag};
use super::trouble::Trouble;
use super::{Answer, CONTENT_DIGEST, Registry, blocking, parameters};

/// Tells who has pushed a manifest with a subject that referrers are listed here.
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// Tells which of the tags that came along with a digest a manifest has now.
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// The most tags that may come along with a digest.
const MAX_TAGS: usize = 32;

/// Tells by what a list of referrers was filtered.
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// end-3: a manifest, as it was pushed, for who accepts these types; whoever names none takes any.
pub(super) async fn get(registry: Arc<Registry>, accepted: Vec<String>, name: Name, which: Which) -> Answer {
    blocking(registry, move |registry| {
        let found = registry.find(&name, &which)?;
        let kind = found.media_type().to_string();
        let fits = |it: &String| [kind.as_str(), "application/*", "*/*"].contains(&it.as_str());
        if registry.strict && !accepted.is_empty() && !accepted.iter().any(fits) {
            return Err(Trouble::not_accepted(&kind));
        }
        let (bytes, _) = registry.known.store.document(found.digest())?;
        let headers = [
            (header::CONTENT_TYPE, kind),
            (CONTENT_DIGEST, found.digest().to_string()),
            (header::ETAG, format!("\"{}\"", found.digest())),
        ];
        Ok((headers, bytes).into_response())
    })
    .await
}

/// end-7: takes a manifest, once all is there that it names; by its digest with any tags.
pub(super) async fn put(registry: Arc<Registry>, request: Request, name: Name, which: Which) -> Answer {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned);
    let mut tags = Vec::new();
    if let Which::Digest(_) = which {
        for text in parameters(request.uri(), "tag") {
            tags.push(tag(&text)?);
        }
    }
    if tags.len() > MAX_TAGS {
        let message = format!("at most {MAX_TAGS} tags are given at once");
        return Err(Trouble::new(StatusCode::URI_TOO_LONG, "UNSUPPORTED", message));
    }
    let bytes = Incoming::new(request.into_body(), registry.limits.silence).whole(MAX_DOCUMENT).await?;
    blocking(registry, move |registry| registry.take(&bytes, kind.as_deref(), &name, &which, &tags)).await
}

/// end-9: takes a tag away, or a manifest with all tags that it has in this repository.
pub(super) async fn delete(registry: Arc<Registry>, name: Name, which: Which) -> Answer {
    blocking(registry, move |registry| {
        let found = registry.find(&name, &which)?;
        let Which::Digest(digest) = &which else {
            registry.keep(&name, &found)?;
            registry.known.store.untag(&registry.key(&name, &which))?;
            return Ok(StatusCode::ACCEPTED.into_response());
        };
        if registry.known.parts(&name)?.contains_key(digest) {
            return Err(Trouble::in_use(&name));
        }
        for (key, _) in registry.known.of_repository(&name)?.iter().filter(|(_, it)| it.digest() == digest) {
            registry.known.store.untag(key)?;
        }
        Ok(StatusCode::ACCEPTED.into_response())
    })
    .await
}

/// end-12: an index of the manifests whose subject has this digest; an empty one where there are none.
pub(super) async fn referrers(registry: Arc<Registry>, name: Name, subject: Digest, kind: Option<String>) -> Answer {
    blocking(registry, move |registry| {
        let mut found: BTreeMap<String, Descriptor> = BTreeMap::new();
        for (_, descriptor) in registry.known.of_repository(&name)? {
            let document = registry.known.document(&descriptor)?;
            if document.subject().is_some_and(|it| *it.digest() == subject) {
                found.insert(descriptor.digest().to_string(), document.referrer(&descriptor));
            }
        }
        let mut entries: Vec<Descriptor> = found.into_values().collect();
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

    fn find(&self, name: &Name, which: &Which) -> Result<Descriptor, Trouble> {
        match which {
            Which::Tag(tag) => {
                let names = self.known.names()?;
                names.get(&self.key(name, which)).cloned().ok_or_else(|| Trouble::manifest_unknown(tag))
            }
            // Whoever has pulled a tag may ask for the same by its digest, or for what an index has.
            Which::Digest(digest) => {
                let mut all = self.known.of_repository(name)?.into_iter().map(|(_, descriptor)| descriptor);
                let named = all.find(|it| it.digest() == digest);
                let found = match named {
                    None => self.known.parts(name)?.remove(digest),
                    named => named,
                };
                found.ok_or_else(|| Trouble::manifest_unknown(digest.as_ref()))
            }
        }
    }

    /// A manifest that is about to lose a tag stays under its digest: somebody may know it by that.
    fn keep(&self, name: &Name, descriptor: &Descriptor) -> Result<(), Trouble> {
        let key = self.key(name, &Which::Digest(descriptor.digest().clone()));
        if !self.known.names()?.contains_key(&key) {
            self.known.store.tag(&key, descriptor)?;
        }
        Ok(())
    }

    /// What a document needs, and its repository has not.
    fn missing(&self, name: &Name, document: &Document) -> Result<Option<Digest>, Trouble> {
        let named = self.known.of_repository(name)?.into_iter().map(|(_, descriptor)| descriptor.digest().clone());
        let its: HashSet<Digest> = self.known.parts(name)?.into_keys().chain(named).collect();
        let store = &self.known.store;
        let is_there =
            |digest: &Digest| (its.contains(digest) || store.is_linked(name.as_str(), digest)) && store.has(digest);
        let needed = document.needs();
        Ok(needed.into_iter().map(Descriptor::digest).find(|digest| !is_there(digest)).cloned())
    }

    fn take(&self, bytes: &[u8], kind: Option<&str>, name: &Name, which: &Which, tags: &[Which]) -> Answer {
        let document = Document::read(bytes, kind).map_err(|error| match error {
            DocumentError::TooLarge { .. } => {
                Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID", error.to_string())
            }
            _ => Trouble::manifest_invalid(error.to_string()),
        })?;
        if let Some(missing) = self.missing(name, &document)? {
            return Err(Trouble::new(StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN", format!("push {missing} first")));
        }
        let store = &self.known.store;
        let digest = match which {
            Which::Digest(digest) => {
                store.add_as(bytes, digest)?;
                digest.clone()
            }
            Which::Tag(_) => store.add(bytes)?,
        };
        let kind = kind.map_or_else(|| document.media_type(), MediaType::from);
        let descriptor = Descriptor::new(kind, bytes.len() as u64, digest.clone());
        for which in std::iter::once(which).chain(tags) {
            let key = self.key(name, which);
            let before = self.known.names()?.get(&key).cloned();
            if let Some(before) = before.filter(|before| *before.digest() != digest) {
                self.keep(name, &before)?;
            }
            store.tag(&key, &descriptor)?;
        }
        let place = format!("/v2/{}/manifests/{digest}", name.as_str());
        let headers = [(header::LOCATION, place), (CONTENT_DIGEST, digest.to_string())];
        let subject = document.subject().map(|subject| (OCI_SUBJECT, subject.digest().to_string()));
        let tagged = tags.iter().filter_map(|which| match which {
            Which::Tag(tag) => Some((OCI_TAG, tag.clone())),
            Which::Digest(_) => None,
        });
        let more = AppendHeaders(subject.into_iter().chain(tagged));
        Ok((StatusCode::CREATED, headers, more).into_response())
    }
}

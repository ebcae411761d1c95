//! Who refers to a manifest is listed by the registry; where it does not do that, by whoever pushes, under a tag (distribution-spec 1.1,
//! "Pushing Manifests with Subject" and "Referrers Tag Schema").

use serde_json::{Value, json};

use super::error::Trouble;
use crate::client::{Client, ClientError, Refusal, tag_of};
use crate::image::{Descriptor, Document, DocumentError, MediaType, Reference};

/// Others may put their own list in the place of ours, since registries need not know conditional requests: it is looked at once more
/// after each time.
const TRIES: usize = 3;

/// Lists a document that was pushed among the referrers of its subject; tells whether it had to be.
pub(super) fn list(client: &Client, to: &Reference, document: &Document, own: &Descriptor) -> Result<bool, Trouble> {
    let Some(subject) = document.subject() else { return Ok(false) };
    let (registry, repository) = (to.registry().to_owned(), to.repository().to_owned());
    let tag = Reference::with_tag(registry, repository, tag_of(subject.digest()));
    for tried in 0..=TRIES {
        let mut index = referrers(client, &tag)?;
        let Some(entries) = index["manifests"].as_array_mut() else {
            return Err(DocumentError::Malformed("its manifests are no list".into()).into());
        };
        let digest = own.digest().to_string();
        if entries.iter().any(|entry| entry["digest"] == digest) {
            return Ok(tried > 0);
        }
        entries.push(json!(document.referrer(own)));
        let bytes = index.to_string().into_bytes();
        // With one more it may have become too long to be read.
        let kind = Document::read(&bytes, None)?.media_type();
        client.push_manifest(&bytes, kind.as_ref(), &tag)?;
    }
    let why = "others change the list of referrers all the time".into();
    Err(ClientError::Protocol { url: tag.whole(), why }.into())
}

/// The list as it is, with what it has that is not known here; an empty one where there is none.
fn referrers(client: &Client, tag: &Reference) -> Result<Value, Trouble> {
    let fetched = match client.manifest_at_home(tag) {
        Err(error) if error.refusal() == Some(Refusal::NotFound) => {
            return Ok(json!({"schemaVersion": 2, "mediaType": MediaType::ImageIndex, "manifests": []}));
        }
        fetched => fetched?,
    };
    match Document::read(&fetched.bytes, fetched.media_type.as_deref())? {
        Document::Index(_) => {
            serde_json::from_slice(&fetched.bytes).map_err(|error| DocumentError::Malformed(error.to_string()).into())
        }
        // What is not ours to change is left alone.
        Document::Manifest(_) => Err(DocumentError::OtherType {
            found: "a manifest".into(),
            announced: format!("the list of referrers {}", tag.tag().unwrap_or_default()),
        }
        .into()),
    }
}

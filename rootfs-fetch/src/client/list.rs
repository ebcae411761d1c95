//! Lists: the tags of a repository, and what refers to a manifest (distribution-spec, "Listing Tags" and "Listing Referrers").

use std::collections::BTreeSet;

use serde::Deserialize;
use ureq::http::{Method, StatusCode, header};

use super::Client;
use super::error::{ClientError, Refusal};
use super::link;
use super::place::{Place, Scope};
use super::send::{Ask, expected, leads_to};
use super::source::Payload;
use super::transport::Answer;
use super::url::Url;
use crate::image::{Descriptor, Digest, ImageIndex, MAX_DOCUMENT, Reference};

/// The most pages of a list, and the most entries of all of them.
const MAX_PAGES: usize = 1000;
const MAX_ENTRIES: usize = 100_000;
/// The header that names the filters which a registry has applied.
const FILTERS: &str = "oci-filters-applied";

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

impl Client {
    /// The tags of a repository, in the registry's order: `GET /v2/<name>/tags/list`; all of them, of which the registry is asked for `n` at
    /// a time, and only those after `last`.
    ///
    /// # Errors
    /// Any; [`ClientError::Protocol`] where there are over 100,000, or the pages have no end.
    pub fn tags(&self, reference: &Reference, n: Option<u32>, last: Option<&str>) -> Result<Vec<String>, ClientError> {
        let place = self.home(reference)?;
        let n = n.map(|n| n.to_string());
        let parameters = [("n", n.as_deref()), ("last", last)];
        let wrong = |why| ClientError::reference(last.unwrap_or_default(), why);
        let given = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let url = given.into_iter().try_fold(place.url("tags/list")?, |url, (name, value)| url.with(name, value));
        self.pages(url.map_err(wrong)?, &place.scope("pull"), |page, _| {
            let read: Tags = serde_json::from_slice(page).map_err(|error| error.to_string())?;
            Ok(read.tags.unwrap_or_default())
        })
    }

    /// What says of itself that it refers to the manifest of this digest, of one artifact type or of any: `GET
    /// /v2/<name>/referrers/<digest>`. Of a registry that does not know this, the index under the digest's tag is asked for.
    ///
    /// # Errors
    /// Any. Where nobody refers to it, there is an empty list, and no error.
    pub fn referrers(
        &self,
        reference: &Reference,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, ClientError> {
        let place = self.home(reference)?;
        let fits = |entry: &Descriptor| match (artifact_type, entry.artifact_type()) {
            (Some(wanted), found) => found.as_ref().is_some_and(|found| found.to_string() == wanted),
            (None, _) => true,
        };
        let read = |page: &[u8], filtered: bool| -> Result<Vec<Descriptor>, String> {
            let index: ImageIndex = serde_json::from_slice(page).map_err(|error| error.to_string())?;
            Ok(index.manifests().iter().filter(|entry| filtered || fits(entry)).cloned().collect())
        };
        let found = self.pages(referrers_url(&place, digest, artifact_type)?, &place.scope("pull"), |page, answer| {
            let filters = answer.header(FILTERS).unwrap_or_default();
            read(page, filters.split(',').any(|filter| filter.trim() == "artifactType"))
        });
        match found {
            Err(error) if error.refusal() == Some(Refusal::NotFound) => {}
            found => return found,
        }
        let (registry, repository) = (reference.registry().to_owned(), reference.repository().to_owned());
        match self.manifest(&Reference::with_tag(registry, repository, tag_of(digest))) {
            Ok(index) => read(&index.bytes, false).map_err(|why| ClientError::reference(tag_of(digest), why)),
            Err(error) if error.refusal() == Some(Refusal::NotFound) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Reads page after page, as long as each names a next one.
    fn pages<T>(
        &self,
        mut url: Url,
        scope: &Scope,
        read: impl Fn(&[u8], &Answer) -> Result<Vec<T>, String>,
    ) -> Result<Vec<T>, ClientError> {
        let mut entries = Vec::new();
        let mut seen = BTreeSet::new();
        loop {
            let mut ask = Ask::new(Method::GET, url.clone(), scope.clone(), Payload::Nothing);
            let mut answer = expected(self.send(&mut ask)?, StatusCode::OK)?;
            let page = answer.body.whole(MAX_DOCUMENT)?;
            entries.extend(read(&page, &answer).map_err(|why| answer.wrong(why))?);
            let next = answer.header(header::LINK).and_then(link::next);
            let next = next.map(|next| leads_to(&answer.url, next)).transpose()?;
            seen.insert(url.uri().to_string());
            let Some(next) = next else { return Ok(entries) };
            if entries.len() > MAX_ENTRIES || seen.len() >= MAX_PAGES || seen.contains(&next.uri().to_string()) {
                return Err(answer.wrong("its list has no end"));
            }
            url = next;
        }
    }
}

fn referrers_url(place: &Place, digest: &Digest, artifact_type: Option<&str>) -> Result<Url, ClientError> {
    let url = place.url(&format!("referrers/{digest}"))?;
    let Some(kind) = artifact_type else { return Ok(url) };
    url.with("artifactType", kind).map_err(|why| ClientError::reference(kind, why))
}

/// The tag of a digest (distribution-spec, "Referrers Tag Schema"): what a tag can not have becomes `-`.
pub(crate) fn tag_of(digest: &Digest) -> String {
    let fit = |text: &str, most: usize| -> String {
        let fits = |char: char| char.is_ascii_alphanumeric() || "_.-".contains(char);
        text.chars().take(most).map(|char| if fits(char) { char } else { '-' }).collect()
    };
    format!("{}-{}", fit(digest.algorithm().as_ref(), 32), fit(digest.digest(), 64))
}

//! What is put into a repository or taken out of it, but for the bytes of blobs (distribution-spec, "Push" and "Content Management").

use ureq::http::{Method, StatusCode, header};

use super::Client;
use super::error::{ClientError, Refusal};
use super::manifest::{said_digest, verify};
use super::place::{Scope, checked, digest_in};
use super::send::{Ask, expected, succeeded};
use super::source::Payload;
use crate::image::{Digest, MAX_DOCUMENT, Mismatch, Reference, digest_of};

/// A manifest that a registry has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Its digest.
    pub digest: Digest,
    /// The digest of its subject, where the registry lists it among that one's referrers by itself (the header OCI-Subject). A registry
    /// that does not wants an index under the subject's tag.
    pub subject: Option<String>,
}

impl Client {
    /// Asks whether the repository has a blob: `HEAD /v2/<name>/blobs/<digest>`.
    ///
    /// # Errors
    /// Any but [`Refusal::NotFound`].
    pub fn has_blob(&self, reference: &Reference, digest: &Digest) -> Result<bool, ClientError> {
        let place = self.home(reference)?;
        let url = place.url(&format!("blobs/{digest}"))?;
        let mut ask = Ask::new(Method::HEAD, url, place.scope("pull"), Payload::Nothing);
        match expected(self.send(&mut ask)?, StatusCode::OK) {
            Ok(_) => Ok(true),
            Err(error) if error.refusal() == Some(Refusal::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Has the registry take a blob from another of its repositories, `from`: `POST /v2/<name>/blobs/uploads/?mount=<digest>&from=<name>`.
    /// Tells whether it did; where it did not, it has begun an upload, which it forgets after a while.
    ///
    /// # Errors
    /// Any.
    pub fn mount_blob(&self, reference: &Reference, digest: &Digest, from: &str) -> Result<bool, ClientError> {
        let place = self.home(reference)?;
        let wrong = |why| ClientError::reference(from, why);
        let url = place.url("blobs/uploads/")?;
        let url = url.with("mount", digest.as_ref()).and_then(|url| url.with("from", from)).map_err(wrong)?;
        let scope = Scope { from: Some(from.to_owned()), ..place.scope("pull,push") };
        let answer = succeeded(self.send(&mut Ask::new(Method::POST, url, scope, Payload::Bytes(b"")))?)?;
        match answer.status {
            StatusCode::CREATED => Ok(true),
            StatusCode::ACCEPTED => Ok(false),
            status => Err(answer.wrong(format!("{status} is no answer to a mount"))),
        }
    }

    /// Puts a manifest or an index under the tag of a reference, else under its digest: `PUT /v2/<name>/manifests/<reference>`. What it
    /// names has to be there already.
    ///
    /// # Errors
    /// Any; [`ClientError::Mismatch`] where its digest is not that of the reference, or the registry says another one.
    pub fn push_manifest(&self, bytes: &[u8], media_type: &str, reference: &Reference) -> Result<Pushed, ClientError> {
        let reference = checked(reference)?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            let why = format!("it has {} bytes, and registries take no more than {MAX_DOCUMENT}", bytes.len());
            return Err(ClientError::reference(reference.whole(), why));
        }
        let place = self.home(&reference)?;
        let name = reference.tag().or(reference.digest()).unwrap_or("latest");
        let url = place.url(&format!("manifests/{name}"))?;
        let named = digest_in(&reference)?;
        let mismatch = |mismatch: Mismatch| ClientError::Mismatch { url: url.to_string(), mismatch };
        if let Some(digest) = &named {
            verify(bytes, digest).map_err(mismatch)?;
        }
        let ask = Ask::new(Method::PUT, url.clone(), place.scope("pull,push"), Payload::Bytes(bytes));
        let answer = self.send(&mut ask.header(header::CONTENT_TYPE, media_type)?)?;
        let answer = expected(answer, StatusCode::CREATED)?;
        let said = said_digest(&answer)?;
        if let Some(digest) = &said {
            verify(bytes, digest).map_err(mismatch)?;
        }
        let subject = answer.header("oci-subject").map(str::to_owned);
        Ok(Pushed { digest: named.or(said).unwrap_or_else(|| digest_of(bytes)), subject })
    }

    /// Takes a manifest out of its repository, or only its tag where the reference has no digest: `DELETE
    /// /v2/<name>/manifests/<reference>`. Many registries do not allow it.
    ///
    /// # Errors
    /// Any.
    pub fn delete_manifest(&self, reference: &Reference) -> Result<(), ClientError> {
        let named = checked(reference)?;
        let name = named.digest().or(named.tag()).unwrap_or("latest");
        self.delete(reference, &format!("manifests/{name}"))
    }

    /// Takes a blob out of its repository: `DELETE /v2/<name>/blobs/<digest>`.
    ///
    /// # Errors
    /// Any.
    pub fn delete_blob(&self, reference: &Reference, digest: &Digest) -> Result<(), ClientError> {
        self.delete(reference, &format!("blobs/{digest}"))
    }

    fn delete(&self, reference: &Reference, rest: &str) -> Result<(), ClientError> {
        let place = self.home(reference)?;
        let mut ask = Ask::new(Method::DELETE, place.url(rest)?, place.scope("delete"), Payload::Nothing);
        expected(self.send(&mut ask)?, StatusCode::ACCEPTED).map(|_| ())
    }
}

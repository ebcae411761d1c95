//! Manifests and indexes are fetched (distribution-spec, "Pulling manifests").

use ureq::http::{Method, StatusCode, header};

use super::Client;
use super::error::ClientError;
use super::place::{Place, checked, digest_in};
use super::send::{Ask, expected};
use super::source::Payload;
use super::transport::Answer;
use crate::image::{Digest, Hasher, MAX_DOCUMENT, Mismatch, Reference, digest_of};

/// The header with which registries say the digest of what they send.
pub(super) const CONTENT_DIGEST: &str = "docker-content-digest";
/// The four formats that are read here.
const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest or an index, as the registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its bytes, of which there are at most [`MAX_DOCUMENT`]. Their digest is what counts, so they must not be written anew.
    pub bytes: Vec<u8>,
    /// The media type with which it came, without parameters.
    pub media_type: Option<String>,
    /// The digest of the bytes: that of the reference where that has one, else that which the registry says.
    pub digest: Digest,
}

/// What a registry says of a manifest or an index without sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its media type, without parameters.
    pub media_type: Option<String>,
    /// Its digest, where the registry says it. Nobody has verified it.
    pub digest: Option<Digest>,
    /// Its size in bytes.
    pub size: Option<u64>,
}

impl Client {
    /// Fetches the manifest or index of a reference: `GET /v2/<name>/manifests/<reference>`.
    ///
    /// # Errors
    /// Any; [`ClientError::Mismatch`] where its bytes are not those of the reference's digest, or of that which the registry says.
    pub fn manifest(&self, reference: &Reference) -> Result<Fetched, ClientError> {
        self.somewhere(reference, |place| self.manifest_at(place, reference))
    }

    /// As [`Client::manifest`], without asking mirrors: for who is about to change what is there.
    pub(crate) fn manifest_at_home(&self, reference: &Reference) -> Result<Fetched, ClientError> {
        self.manifest_at(&self.home(reference)?, reference)
    }

    fn manifest_at(&self, place: &Place, reference: &Reference) -> Result<Fetched, ClientError> {
        let wanted = digest_in(&checked(reference)?)?;
        let mut answer = self.ask_for_manifest(Method::GET, place, reference)?;
        let said = said_digest(&answer)?;
        let bytes = answer.body.whole(MAX_DOCUMENT)?;
        for digest in wanted.iter().chain(&said) {
            let verified = verify(&bytes, digest);
            verified.map_err(|mismatch| ClientError::Mismatch { url: answer.url.to_string(), mismatch })?;
        }
        let digest = wanted.or(said).unwrap_or_else(|| digest_of(&bytes));
        Ok(Fetched { bytes, media_type: media_type(&answer), digest })
    }

    /// Asks for the digest and the size of a manifest or index: `HEAD /v2/<name>/manifests/<reference>`.
    ///
    /// # Errors
    /// Any; [`ClientError::Mismatch`] where the registry says another digest than the reference's.
    pub fn head_manifest(&self, reference: &Reference) -> Result<Head, ClientError> {
        let wanted = digest_in(&checked(reference)?)?;
        self.somewhere(reference, |place| {
            let answer = self.ask_for_manifest(Method::HEAD, place, reference)?;
            let digest = said_digest(&answer)?;
            if let (Some(wanted), Some(found)) = (&wanted, &digest)
                && wanted != found
            {
                let mismatch = Mismatch::Digest { found: found.to_string(), wanted: wanted.to_string() };
                return Err(ClientError::Mismatch { url: answer.url.to_string(), mismatch });
            }
            let size = answer.header(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
            Ok(Head { media_type: media_type(&answer), digest, size })
        })
    }

    fn ask_for_manifest(&self, method: Method, place: &Place, reference: &Reference) -> Result<Answer, ClientError> {
        let reference = checked(reference)?;
        let name = reference.digest().or(reference.tag()).unwrap_or("latest");
        let url = place.url(&format!("manifests/{name}"))?;
        let mut ask = Ask::new(method, url, place.scope("pull"), Payload::Nothing).header(header::ACCEPT, ACCEPTED)?;
        if place.mirror {
            ask = ask.once();
        }
        expected(self.send(&mut ask)?, StatusCode::OK)
    }
}

/// Whether these are the bytes of this digest.
pub(super) fn verify(bytes: &[u8], wanted: &Digest) -> Result<(), Mismatch> {
    let algorithm = wanted.algorithm();
    let mut hasher = Hasher::new(algorithm).ok_or_else(|| Mismatch::Algorithm(algorithm.to_string()))?;
    hasher.update(bytes);
    let found = hasher.finish();
    if found == *wanted {
        return Ok(());
    }
    Err(Mismatch::Digest { found: found.to_string(), wanted: wanted.to_string() })
}

/// The digest that an answer says, where it says one.
pub(super) fn said_digest(answer: &Answer) -> Result<Option<Digest>, ClientError> {
    if !answer.headers.contains_key(CONTENT_DIGEST) {
        return Ok(None);
    }
    let digest = answer.header(CONTENT_DIGEST).and_then(|text| text.parse().ok());
    digest.map(Some).ok_or_else(|| answer.wrong("its Docker-Content-Digest is no digest"))
}

fn media_type(answer: &Answer) -> Option<String> {
    let (kind, _) = answer.header(header::CONTENT_TYPE).map(|kind| kind.split_once(';').unwrap_or((kind, "")))?;
    Some(kind.trim().to_owned()).filter(|kind| !kind.is_empty())
}

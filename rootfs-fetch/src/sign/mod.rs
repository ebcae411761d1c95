//! Signatures of images, as cosign lays them out (`specs/SIGNATURE_SPEC.md` of sigstore/cosign; the payload is that of
//! containers-signature(5)), with a key of one's own in a file.
//!
//! A signature is about bytes and not about a name: its payload has the digest of the manifest or index in it. It is an image manifest of its
//! own, whose layers are payloads, each with its signature in an annotation; one finds it by a tag made of the digest ([`tag`]), and where a
//! registry knows referrers, by its `subject`. Who trusts a key then trusts an image wherever it comes from.

mod key;

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error as ThisError;

pub use key::{PublicKey, SecretKey};

use crate::image::{Descriptor, Digest, Document, MediaType};
use crate::store::{Store, StoreError};

/// The media type of a payload.
pub const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation of a payload with its signature, in Base64.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// What a manifest of signatures is, where it says so.
const KIND: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// What a payload says that it is.
const TYPE: &str = "cosign container image signature";
/// The largest payload that is read, in bytes. They have some hundred.
const MAX_PAYLOAD: u64 = 1 << 20;

/// Why an image can not be signed, or a signature not be believed.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum SignError {
    /// The store can not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key can not be used.
    #[error("the key can not be used: {0}")]
    Key(String),
    /// What has the name of the signatures is something else.
    #[error("{0} are no signatures: it is an index")]
    NotSignatures(Digest),
    /// There are signatures, and the key made none of them for this image.
    #[error("none of {signatures} signatures is by this key and of {image}{}", why.as_deref().map_or_else(String::new, |why| format!(" ({why})")))]
    Untrusted {
        /// The image.
        image: Digest,
        /// How many signatures there are.
        signatures: usize,
        /// What is wrong with the last of them that is by the key.
        why: Option<String>,
    },
}

/// What was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    critical: Critical,
    // Cosign writes null where nothing is said.
    #[serde(default)]
    optional: Option<serde_json::Map<String, Value>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Signed,
    r#type: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Signed {
    docker_manifest_digest: String,
}

impl Payload {
    fn new(image: &Digest, reference: &str) -> Self {
        let identity = Identity { docker_reference: reference.to_owned() };
        let signed = Signed { docker_manifest_digest: image.to_string() };
        Self {
            critical: Critical { identity, image: signed, r#type: TYPE.to_owned() },
            optional: Some(serde_json::Map::new()),
        }
    }

    /// The name that who signed gave the image. Whoever asks for an image by name has to compare it with that.
    pub fn reference(&self) -> &str {
        &self.critical.identity.docker_reference
    }

    /// What is wrong with it for this image.
    fn fault(&self, image: &Digest) -> Option<String> {
        let Critical { image: signed, r#type, .. } = &self.critical;
        if *r#type != TYPE {
            return Some(format!("its type is {type:?}"));
        }
        let digest = &signed.docker_manifest_digest;
        (*digest != image.to_string()).then(|| format!("it is of {digest}"))
    }
}

/// The tag that the signatures of an image have in its repository.
pub fn tag(image: &Digest) -> String {
    format!("{}.sig", image.to_string().replace(':', "-"))
}

/// Signs an image, which its descriptor leads to, under a name that people know it by; `others` are the signatures that it has. Returns the
/// descriptor of all its signatures.
///
/// # Errors
/// [`SignError`].
pub fn sign(
    store: &Store,
    (image, reference): (&Descriptor, &str),
    others: Option<&Descriptor>,
    key: &SecretKey,
) -> Result<Descriptor, SignError> {
    let payload = json_bytes(&Payload::new(image.digest(), reference));
    let mut layer = Descriptor::new(PAYLOAD.into(), payload.len() as u64, store.add(&payload)?);
    layer.set_annotations(Some(HashMap::from([(SIGNATURE.to_owned(), STANDARD.encode(key.sign(&payload)?))])));
    let mut layers = others.map_or_else(|| Ok(Vec::new()), |others| signatures(store, others))?;
    layers.push(layer);
    // A reader of images wants a config with as many diff_ids as there are layers. A payload is not compressed: its digest is that.
    let diff_ids: Vec<&Digest> = layers.iter().map(Descriptor::digest).collect();
    let config = json_bytes(&json!({
        "architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }));
    let config = Descriptor::new(MediaType::ImageConfig, config.len() as u64, store.add(&config)?);
    let subject = Descriptor::new(image.media_type().clone(), image.size(), image.digest().clone());
    let kind = MediaType::ImageManifest;
    let manifest = json_bytes(&json!({
        "schemaVersion": 2, "mediaType": kind, "artifactType": KIND, "config": config, "layers": layers, "subject": subject,
    }));
    let mut descriptor = Descriptor::new(kind, manifest.len() as u64, store.add(&manifest)?);
    descriptor.set_artifact_type(Some(KIND.into()));
    Ok(descriptor)
}

/// What the owner of a key has signed of an image, at least one; `signed` are its signatures.
///
/// # Errors
/// [`SignError::Untrusted`] where there is none.
pub fn verify(store: &Store, image: &Digest, signed: &Descriptor, key: &PublicKey) -> Result<Vec<Payload>, SignError> {
    let layers = signatures(store, signed)?;
    let (mut good, mut why) = (Vec::new(), None);
    for layer in &layers {
        let bytes = store.small(layer.digest(), MAX_PAYLOAD)?;
        // Nothing is read of what nobody trustworthy has signed.
        if !signature(layer).is_some_and(|signature| key.has_signed(&bytes, &signature)) {
            continue;
        }
        match serde_json::from_slice::<Payload>(&bytes) {
            Ok(payload) => match payload.fault(image) {
                None => good.push(payload),
                fault => why = fault,
            },
            Err(error) => why = Some(format!("its payload is not one: {error}")),
        }
    }
    if good.is_empty() {
        return Err(SignError::Untrusted { image: image.clone(), signatures: layers.len(), why });
    }
    Ok(good)
}

/// The layers of a manifest of signatures that are some.
fn signatures(store: &Store, signed: &Descriptor) -> Result<Vec<Descriptor>, SignError> {
    let Document::Manifest(manifest) = store.document(signed.digest())?.1 else {
        return Err(SignError::NotSignatures(signed.digest().clone()));
    };
    Ok(manifest.layers().iter().filter(|layer| layer.media_type().to_string() == PAYLOAD).cloned().collect())
}

fn signature(layer: &Descriptor) -> Option<Vec<u8>> {
    STANDARD.decode(layer.annotations().as_ref()?.get(SIGNATURE)?).ok()
}

/// Without spaces, and with the keys of objects sorted: the same content is the same bytes.
fn json_bytes(what: &impl Serialize) -> Vec<u8> {
    serde_json::to_value(what)
        .map(|mut value| {
            value.sort_all_objects();
            value.to_string().into_bytes()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::{Format, ImageBuilder};

    struct Place {
        _directory: tempfile::TempDir,
        store: Store,
        image: Descriptor,
    }

    fn place() -> Place {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path().join("store")).expect("a store");
        let image = ImageBuilder::new(&store, &crate::image::here()).cmd(["sh"]).write(Format::Oci).expect("an image");
        Place { _directory: directory, store, image }
    }

    #[test]
    fn who_has_the_key_has_signed() {
        let Place { store, image, .. } = place();
        let (key, other) = (SecretKey::generate().expect("a key"), SecretKey::generate().expect("a key"));
        let signed = sign(&store, (&image, "host/web:1"), None, &key).expect("a signature");
        let payloads = verify(&store, image.digest(), &signed, &key.public()).expect("it is trusted");
        assert_eq!(payloads.iter().map(Payload::reference).collect::<Vec<_>>(), ["host/web:1"]);
        let error = verify(&store, image.digest(), &signed, &other.public()).expect_err("another key");
        assert!(error.to_string().contains("none of 1 signatures"), "{error}");
        // A second one, beside the first.
        let both = sign(&store, (&image, "host/web:1"), Some(&signed), &other).expect("a signature");
        for key in [&key, &other] {
            verify(&store, image.digest(), &both, &key.public()).expect("it is trusted");
        }
    }

    #[test]
    fn a_signature_is_of_one_image() {
        let Place { store, image, .. } = place();
        let key = SecretKey::generate().expect("a key");
        let signed = sign(&store, (&image, "host/web:1"), None, &key).expect("a signature");
        let other = ImageBuilder::new(&store, &crate::image::here()).cmd(["ls"]).write(Format::Oci).expect("an image");
        let error = verify(&store, other.digest(), &signed, &key.public()).expect_err("another image");
        assert!(error.to_string().contains(&format!("it is of {}", image.digest())), "{error}");
    }

    #[test]
    fn a_changed_payload_is_not_signed() {
        let Place { store, image, .. } = place();
        let key = SecretKey::generate().expect("a key");
        let signed = sign(&store, (&image, "host/web:1"), None, &key).expect("a signature");
        let (bytes, _) = store.document(signed.digest()).expect("a manifest");
        let mut manifest: Value = serde_json::from_slice(&bytes).expect("JSON");
        let forged = json_bytes(&Payload::new(image.digest(), "host/web:2"));
        let digest = store.add(&forged).expect("a blob");
        manifest["layers"][0]["digest"] = json!(digest);
        manifest["layers"][0]["size"] = json!(forged.len());
        let bytes = manifest.to_string();
        let forged =
            Descriptor::new(MediaType::ImageManifest, bytes.len() as u64, store.add(bytes.as_bytes()).expect("a blob"));
        verify(&store, image.digest(), &forged, &key.public()).expect_err("the payload is another");
    }

    #[test]
    fn keys_are_files_that_others_read() {
        let key = SecretKey::generate().expect("a key");
        let again = SecretKey::from_pem(key.to_pem().as_bytes()).expect("the same");
        assert_eq!(again.public().to_pem(), key.public().to_pem());
        let public = PublicKey::from_pem(key.public().to_pem().as_bytes()).expect("the same");
        assert!(public.has_signed(b"text", &again.sign(b"text").expect("a signature")));
        for wrong in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", &key.public().to_pem()] {
            SecretKey::from_pem(wrong.as_bytes()).expect_err("no secret key");
        }
        PublicKey::from_pem(key.to_pem().as_bytes()).expect_err("no public key");
    }

    /// The tag, as the specification's own example has it.
    #[test]
    fn the_tag_is_made_of_the_digest() {
        let hex = "97fc222cee7991b5b061d4d4afdb5f3428fcb0c9054e1690313786befa1e4e36";
        let digest: Digest = format!("sha256:{hex}").parse().expect("a digest");
        assert_eq!(tag(&digest), format!("sha256-{hex}.sig"));
    }
}

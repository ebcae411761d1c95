//! Keys of ECDSA on the curve P-256 with SHA-256, in the files in which `openssl` and others have them (RFC 7468).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};

use super::SignError;

const SECRET: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

/// What stands before the point of a public key on this curve (RFC 5480, sections 2 and 2.1.1.1): a SEQUENCE of the algorithm, which is
/// `id-ecPublicKey` with `secp256r1`, and of a BIT STRING of 65 bytes.
const HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The bytes of a point: 4, for one that is not compressed, and two coordinates (SEC 1, section 2.3.3).
const POINT: usize = 65;

/// The key that signs; who has it is believed.
pub struct SecretKey {
    pair: EcdsaKeyPair,
    /// As PKCS #8 has it (RFC 5208).
    document: Vec<u8>,
}

/// The key by which others know who has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Vec<u8>);

impl SecretKey {
    /// A new one.
    ///
    /// # Errors
    /// The kernel gives no random bytes.
    pub fn generate() -> Result<Self, SignError> {
        let none = |_| SignError::Key("there are no random bytes".into());
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).map_err(none)?;
        Self::new(document.as_ref().to_vec())
    }

    /// Reads one, as `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` writes it: PKCS #8, and not encrypted.
    ///
    /// # Errors
    /// [`SignError::Key`].
    pub fn from_pem(text: &[u8]) -> Result<Self, SignError> {
        Self::new(unwrap(text, SECRET)?)
    }

    fn new(document: Vec<u8>) -> Result<Self, SignError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &document, &SystemRandom::new())
            .map_err(|error| SignError::Key(format!("it is not one of ECDSA on P-256 in PKCS #8: {error}")))?;
        Ok(Self { pair, document })
    }

    /// As a file has it. Nobody else may read that.
    pub fn to_pem(&self) -> String {
        wrap(&self.document, SECRET)
    }

    /// The other half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.pair.public_key().as_ref().to_vec())
    }

    /// Signs bytes: r and s, in DER (RFC 3279, section 2.2.3).
    ///
    /// # Errors
    /// The kernel gives no random bytes.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, SignError> {
        let none = |_| SignError::Key("there are no random bytes".into());
        Ok(self.pair.sign(&SystemRandom::new(), bytes).map_err(none)?.as_ref().to_vec())
    }
}

/// Without the secret.
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

impl PublicKey {
    /// Reads one, as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// [`SignError::Key`].
    pub fn from_pem(text: &[u8]) -> Result<Self, SignError> {
        let document = unwrap(text, PUBLIC)?;
        match document.strip_prefix(&HEAD) {
            Some(point) if point.len() == POINT => Ok(Self(point.to_vec())),
            _ => Err(SignError::Key("it is not one of ECDSA on P-256".into())),
        }
    }

    /// As a file has it.
    pub fn to_pem(&self) -> String {
        wrap(&[&HEAD, self.0.as_slice()].concat(), PUBLIC)
    }

    /// Whether the owner of this key has signed these bytes.
    pub fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0).verify(bytes, signature).is_ok()
    }
}

fn wrap(document: &[u8], what: &str) -> String {
    let text = STANDARD.encode(document);
    let mut lines = vec![format!("-----BEGIN {what}-----")];
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        lines.push(line.to_owned());
        rest = after;
    }
    lines.push(format!("-----END {what}-----\n"));
    lines.join("\n")
}

fn unwrap(text: &[u8], what: &str) -> Result<Vec<u8>, SignError> {
    let text = String::from_utf8_lossy(text);
    let (begin, end) = (format!("-----BEGIN {what}-----"), format!("-----END {what}-----"));
    let inside = text.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end)).map(|(inside, _)| inside);
    let inside = inside.ok_or_else(|| SignError::Key(format!("there is no {begin} in the file")))?;
    let letters: String = inside.split_whitespace().collect();
    STANDARD.decode(letters).map_err(|error| SignError::Key(error.to_string()))
}

//! Digests: of what algorithm, of which bytes, and whether they are the ones that were announced.

use std::io::{self, Read};
use std::str::FromStr;

use oci_spec::image::{Digest, DigestAlgorithm};
use sha2::{Digest as _, Sha256, Sha512};

/// Computes a digest of the two algorithms that image-spec registers.
#[derive(Clone, Debug)]
pub enum Hasher {
    /// SHA-256, which every implementation has.
    Sha256(Sha256),
    /// SHA-512, which few have.
    Sha512(Sha512),
}

impl Hasher {
    /// A new one of this algorithm; none where it is another than those two.
    pub fn new(algorithm: &DigestAlgorithm) -> Option<Self> {
        match algorithm {
            DigestAlgorithm::Sha256 => Some(Self::Sha256(Sha256::new())),
            DigestAlgorithm::Sha512 => Some(Self::Sha512(Sha512::new())),
            _ => None,
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of all bytes so far.
    ///
    /// # Panics
    /// Never: the text has the algorithm's length.
    pub fn finish(&self) -> Digest {
        let (name, bytes) = match self {
            Self::Sha256(hash) => ("sha256", hash.clone().finalize().to_vec()),
            Self::Sha512(hash) => ("sha512", hash.clone().finalize().to_vec()),
        };
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Digest::from_str(&format!("{name}:{hex}")).expect("hexadecimal digits of the right number")
    }
}

/// The SHA-256 digest of these bytes.
pub fn digest_of(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::Sha256(Sha256::new());
    hasher.update(bytes);
    hasher.finish()
}

/// Why bytes are not those that a descriptor names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another digest.
    #[error("the digest is {found}, and should be {wanted}")]
    Digest {
        /// That of the bytes.
        found: String,
        /// That of the descriptor.
        wanted: String,
    },
    /// Fewer bytes than announced.
    #[error("it ends after {found} of {wanted} bytes")]
    Short {
        /// How many came.
        found: u64,
        /// How many were announced.
        wanted: u64,
    },
    /// More bytes than announced; what is beyond was not read.
    #[error("it goes on after the {0} bytes that were announced")]
    Long(u64),
    /// An algorithm that is not computed here.
    #[error("the digest algorithm {0} is not known here; sha256 and sha512 are")]
    Algorithm(String),
}

/// Hands bytes on and computes their digest on the way; the end of the input is an error unless digest and size are what was announced.
/// Whoever has read it to the end without an error has the right bytes.
#[derive(Debug)]
pub struct Verified<R> {
    inner: R,
    hasher: Hasher,
    wanted: Digest,
    size: u64,
    read: u64,
}

impl<R: Read> Verified<R> {
    /// Reads from `inner` what this digest and this size, in bytes, announce.
    ///
    /// # Errors
    /// [`Mismatch::Algorithm`].
    pub fn new(inner: R, wanted: &Digest, size: u64) -> Result<Self, Mismatch> {
        let algorithm = wanted.algorithm();
        let hasher = Hasher::new(algorithm).ok_or_else(|| Mismatch::Algorithm(algorithm.to_string()))?;
        Ok(Self { inner, hasher, wanted: wanted.clone(), size, read: 0 })
    }

    /// How many bytes have been read.
    pub fn position(&self) -> u64 {
        self.read
    }

    fn end(&self) -> Result<(), Mismatch> {
        if self.read < self.size {
            return Err(Mismatch::Short { found: self.read, wanted: self.size });
        }
        let found = self.hasher.finish();
        if found == self.wanted {
            return Ok(());
        }
        Err(Mismatch::Digest { found: found.to_string(), wanted: self.wanted.to_string() })
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        if count == 0 {
            return self.end().map(|()| 0).map_err(invalid);
        }
        self.read += count as u64;
        if self.read > self.size {
            return Err(invalid(Mismatch::Long(self.size)));
        }
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

fn invalid(mismatch: Mismatch) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, mismatch)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From FIPS 180-4's examples: the digest of `abc`.
    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn read(bytes: &[u8], digest: &str, size: u64) -> Result<Vec<u8>, Mismatch> {
        let mut out = Vec::new();
        let mut verified = Verified::new(bytes, &digest.parse().expect("a digest"), size)?;
        match verified.read_to_end(&mut out) {
            Ok(_) => Ok(out),
            Err(error) => Err(error.downcast().expect("a mismatch")),
        }
    }

    #[test]
    fn the_announced_bytes_come_through() {
        assert_eq!(read(b"abc", ABC, 3).as_deref(), Ok(&b"abc"[..]));
        assert_eq!(digest_of(b"abc").to_string(), ABC);
    }

    #[test]
    fn others_do_not() {
        assert!(matches!(read(b"abd", ABC, 3), Err(Mismatch::Digest { .. })));
        assert_eq!(read(b"ab", ABC, 3), Err(Mismatch::Short { found: 2, wanted: 3 }));
        assert_eq!(read(b"abcd", ABC, 3), Err(Mismatch::Long(3)));
    }

    #[test]
    fn sha512_is_known_and_others_are_told() {
        let of_abc = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        assert_eq!(read(b"abc", of_abc, 3).as_deref(), Ok(&b"abc"[..]));
        let other = format!("sha384:{}", "0".repeat(96));
        assert_eq!(read(b"abc", &other, 3), Err(Mismatch::Algorithm("sha384".into())));
    }
}

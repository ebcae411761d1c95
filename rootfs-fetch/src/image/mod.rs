//! What an image is made of: a manifest that names a config and layers by their digests, and an index that names a manifest for each platform
//! (OCI image-spec 1.1; Docker image manifest version 2, schema 2, says the same with other media types).
//!
//! The types are those of [`oci_spec`]. Here is what they leave open: bytes that are what their descriptor says ([`Verified`]), which of
//! the kinds of document some bytes are ([`Document`]), and the manifest for a platform ([`choose`]).

mod document;
mod platform;
mod verified;

pub(crate) use document::{DOCKER_LIST, DOCKER_MANIFEST, is_document};
pub use document::{Document, DocumentError, MAX_DOCUMENT};
pub use oci_spec::distribution::Reference;
pub use oci_spec::image::{
    Descriptor, Digest, DigestAlgorithm, ImageConfiguration, ImageIndex, ImageManifest, MediaType, Platform,
};
pub use platform::{choose, here, platform_words};
pub use verified::{Hasher, Mismatch, Verified, digest_of};

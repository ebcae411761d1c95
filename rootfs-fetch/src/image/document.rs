//! A document of an image: some bytes that are a manifest or an index, of OCI or of Docker, and not both.

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use serde::Deserialize;

use crate::error::quoted;

/// The largest manifest or index, in bytes. The distribution specification asks registries to take 4 MiB at least, and most take no more.
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// The most layers, and the most manifests of an index.
const MAX_ENTRIES: usize = 1024;

/// Docker's media types, which say the same as OCI's: image manifest version 2, schema 2.
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// One of the two kinds of document that a registry has under a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// The manifest of one image.
    Manifest(Box<ImageManifest>),
    /// An index: for each platform a manifest.
    Index(Box<ImageIndex>),
}

/// Why some bytes are no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// No JSON, or fields that are missing or wrong.
    #[error("not understood: {}", quoted(.0.as_bytes()))]
    Malformed(String),
    /// It has the fields of both kinds: two readers could take it for different images.
    #[error("it is a manifest and an index at the same time")]
    Both,
    /// The bytes are of another kind than the media type with which they came.
    #[error("it says that it is {}, and was announced as {}", quoted(.found.as_bytes()), quoted(.announced.as_bytes()))]
    OtherType {
        /// What it says of itself.
        found: String,
        /// What was announced.
        announced: String,
    },
    /// Larger than anybody needs.
    #[error("{what}; at most {limit} are taken")]
    TooLarge {
        /// What is too large.
        what: String,
        /// How much of that is allowed.
        limit: u64,
    },
    /// A kind that is not read here, such as Docker's schema 1, which was signed in another way.
    #[error("{} is not a kind of manifest that is read here", quoted(.0.as_bytes()))]
    Unknown(String),
}

/// The fields that tell the kinds apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: Option<u32>,
    media_type: Option<String>,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    manifests: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads a document that came with this media type, where one did.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn read(bytes: &[u8], announced: Option<&str>) -> Result<Self, DocumentError> {
        let malformed = |error: serde_json::Error| DocumentError::Malformed(error.to_string());
        let too_large = |what: String, limit: u64| DocumentError::TooLarge { what, limit };
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(too_large(format!("it has {} bytes", bytes.len()), MAX_DOCUMENT));
        }
        let outline: Outline = serde_json::from_slice(bytes).map_err(malformed)?;
        if let (Some(found), Some(announced)) = (&outline.media_type, announced)
            && found != announced
        {
            return Err(DocumentError::OtherType { found: found.clone(), announced: announced.to_owned() });
        }
        let version = outline.schema_version.unwrap_or(0);
        if version != 2 {
            return Err(DocumentError::Unknown(format!("schema version {version}")));
        }
        let parts_of_manifest = outline.config.is_some() || outline.layers.is_some();
        let is_index = match (parts_of_manifest, outline.manifests.is_some()) {
            (true, true) => return Err(DocumentError::Both),
            (false, false) => return Err(DocumentError::Malformed("neither layers nor manifests".into())),
            (_, is_index) => is_index,
        };
        if let Some(kind) = outline.media_type.as_deref().or(announced) {
            match (names_index(kind), is_index) {
                (None, _) => return Err(DocumentError::Unknown(kind.to_owned())),
                (Some(named), found) if named != found => {
                    let found = if found { "an index" } else { "a manifest" };
                    return Err(DocumentError::OtherType { found: found.into(), announced: kind.to_owned() });
                }
                _ => {}
            }
        }
        let (document, entries) = if is_index {
            let index: ImageIndex = serde_json::from_slice(bytes).map_err(malformed)?;
            let entries = index.manifests().len();
            (Self::Index(Box::new(index)), entries)
        } else {
            let manifest: ImageManifest = serde_json::from_slice(bytes).map_err(malformed)?;
            let entries = manifest.layers().len();
            (Self::Manifest(Box::new(manifest)), entries)
        };
        if entries > MAX_ENTRIES {
            return Err(too_large(format!("it has {entries} entries"), MAX_ENTRIES as u64));
        }
        Ok(document)
    }

    /// The media type that it has: its own word, else OCI's for its kind.
    pub fn media_type(&self) -> MediaType {
        let (own, of_kind) = match self {
            Self::Manifest(manifest) => (manifest.media_type(), MediaType::ImageManifest),
            Self::Index(index) => (index.media_type(), MediaType::ImageIndex),
        };
        own.clone().unwrap_or(of_kind)
    }

    /// What it names and can not do without: config and layers, or manifests. Not layers that are to be had elsewhere (`urls`), which
    /// registries need not have.
    pub fn needs(&self) -> Vec<&Descriptor> {
        match self {
            Self::Manifest(manifest) => {
                let here = |layer: &&Descriptor| layer.urls().as_ref().is_none_or(Vec::is_empty);
                std::iter::once(manifest.config()).chain(manifest.layers().iter().filter(here)).collect()
            }
            Self::Index(index) => index.manifests().iter().collect(),
        }
    }

    /// The manifest that this one says something about: a signature has the image that it signs for its subject.
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Manifest(manifest) => manifest.subject().as_ref(),
            Self::Index(index) => index.subject().as_ref(),
        }
    }

    /// Its entry in a list of referrers: its own descriptor, with its annotations and of what type it is, which for a manifest without an
    /// `artifactType` is that of its config (distribution-spec 1.1, "Listing referrers").
    pub fn referrer(&self, own: &Descriptor) -> Descriptor {
        let (kind, annotations) = match self {
            Self::Manifest(manifest) => {
                let kind = manifest.artifact_type().clone().unwrap_or_else(|| manifest.config().media_type().clone());
                (Some(kind), manifest.annotations())
            }
            Self::Index(index) => (index.artifact_type().clone(), index.annotations()),
        };
        let mut entry = Descriptor::new(own.media_type().clone(), own.size(), own.digest().clone());
        entry.set_artifact_type(kind);
        entry.set_annotations(annotations.clone());
        entry
    }
}

/// Whether what has this media type is a document that is read here.
pub(crate) fn is_document(kind: &MediaType) -> bool {
    names_index(kind.as_ref()).is_some()
}

/// Whether a media type is that of an index; none where it is of neither kind.
fn names_index(kind: &str) -> Option<bool> {
    match MediaType::from(kind) {
        MediaType::ImageManifest => Some(false),
        MediaType::ImageIndex => Some(true),
        _ if kind == DOCKER_MANIFEST => Some(false),
        _ if kind == DOCKER_LIST => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn manifest(kind: &str, config: &str, layer: &str, layers: usize) -> String {
        let entry = |kind: &str| format!(r#"{{"mediaType":"{kind}","size":3,"digest":"{DIGEST}"}}"#);
        let layers = vec![entry(layer); layers].join(",");
        format!(r#"{{"schemaVersion":2,"mediaType":"{kind}","config":{},"layers":[{layers}]}}"#, entry(config))
    }

    fn oci(layers: usize) -> String {
        manifest(
            "application/vnd.oci.image.manifest.v1+json",
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.oci.image.layer.v1.tar+gzip",
            layers,
        )
    }

    #[test]
    fn the_four_formats_are_read() {
        let docker = manifest(
            DOCKER_MANIFEST,
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            2,
        );
        for text in [oci(2), docker] {
            let read = Document::read(text.as_bytes(), None).expect("a manifest");
            assert!(matches!(read, Document::Manifest(manifest) if manifest.layers().len() == 2), "{text}");
        }
        for kind in ["application/vnd.oci.image.index.v1+json", DOCKER_LIST] {
            let text = format!(r#"{{"schemaVersion":2,"mediaType":"{kind}","manifests":[]}}"#);
            assert!(matches!(Document::read(text.as_bytes(), Some(kind)), Ok(Document::Index(_))), "{text}");
        }
    }

    #[test]
    fn what_two_readers_could_take_for_different_images_is_refused() {
        let both = oci(1).replacen("{", r#"{"manifests":[],"#, 1);
        assert_eq!(Document::read(both.as_bytes(), None), Err(DocumentError::Both));
        let announced = Document::read(oci(1).as_bytes(), Some("application/vnd.oci.image.index.v1+json"));
        assert!(matches!(announced, Err(DocumentError::OtherType { .. })), "{announced:?}");
        let lies = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}"#;
        assert!(matches!(Document::read(lies.as_bytes(), None), Err(DocumentError::OtherType { .. })));
    }

    #[test]
    fn bombs_and_older_schemas_are_refused() {
        let many = oci(MAX_ENTRIES + 1);
        assert!(matches!(Document::read(many.as_bytes(), None), Err(DocumentError::TooLarge { .. })));
        let long = vec![b' '; MAX_DOCUMENT as usize + 1];
        assert!(matches!(Document::read(&long, None), Err(DocumentError::TooLarge { .. })));
        let old = r#"{"schemaVersion":1,"layers":[]}"#;
        assert!(matches!(Document::read(old.as_bytes(), None), Err(DocumentError::Unknown(_))));
        let deep = "[".repeat(100_000);
        assert!(matches!(Document::read(deep.as_bytes(), None), Err(DocumentError::Malformed(_))));
    }

    #[test]
    fn what_a_document_says_does_not_reach_the_terminal_as_it_is() {
        for text in [
            oci(1).replace("sha256:", "\\u001b[2J:"),
            oci(1).replacen("application/", "\\u001b[2J/", 1),
            r#"{"schemaVersion":2,"mediaType":"\u001b[2J","layers":[]}"#.to_owned(),
        ] {
            let error = Document::read(text.as_bytes(), None).expect_err("refused").to_string();
            assert!(error.contains("\\u{1b}[2J") && !error.contains('\u{1b}'), "{error:?}");
        }
        let long = format!(r#"{{"schemaVersion":"{}"}}"#, "x".repeat(100_000));
        assert!(Document::read(long.as_bytes(), None).expect_err("refused").to_string().len() < 1000);
    }

    #[test]
    fn what_a_manifest_needs_and_what_it_is_about_are_told() {
        let entry = |size: u64, more: &str| {
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":{size},"digest":"{DIGEST}"{more}}}"#
            )
        };
        let text = format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[{},{}],"subject":{},"annotations":{{"a":"b"}}}}"#,
            entry(1, ""),
            entry(2, r#","urls":["https://elsewhere.example/layer"]"#),
            entry(3, r#","urls":[]"#),
            entry(4, ""),
        );
        let document = Document::read(text.as_bytes(), None).expect("a manifest");
        let sizes: Vec<u64> = document.needs().into_iter().map(Descriptor::size).collect();
        assert_eq!(sizes, [1, 3]);
        assert_eq!(document.subject().map(Descriptor::size), Some(4));
        let own = Descriptor::new(
            MediaType::ImageManifest,
            text.len() as u64,
            DIGEST.parse::<oci_spec::image::Digest>().expect("a digest"),
        );
        let entry = document.referrer(&own);
        assert_eq!(entry.artifact_type(), &Some(MediaType::from("application/vnd.oci.image.layer.v1.tar")));
        assert_eq!(entry.annotations().as_ref().and_then(|all| all.get("a")).map(String::as_str), Some("b"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Document::read(&bytes, None);
        }
    }
}

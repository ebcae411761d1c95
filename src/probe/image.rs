//! Images: what an image layout on disk has, each digest computed of the bytes that are there (OCI image-spec 1.1; image-layout.md).

mod read;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub(super) use self::read::read;
pub(super) use self::rows::rows;
use super::Observation;

/// One image layout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Its directory.
    pub path: String,
    /// The process with whose root directory it was found.
    pub seen_by: i32,
    /// What `oci-layout` says.
    pub version: String,
    /// What has a name, in the order of `index.json`.
    pub images: Vec<Image>,
    /// How large the blobs are, by their names: algorithm, colon, digits.
    pub blobs: BTreeMap<String, u64>,
    /// Those that no entry of `index.json` leads to.
    pub unreached: BTreeSet<String>,
    /// Why `index.json` could not be read, or not all of it was.
    pub trouble: Option<String>,
}

/// What a name leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The name.
    pub name: String,
    /// From the name down: an index where there is one, the manifest for this machine or else the first, its config, its layers from the lowest.
    pub parts: Vec<Part>,
    /// The platforms of the index, or that of the config.
    pub platforms: Vec<String>,
    /// The lines of the config's history.
    pub history: Vec<Line>,
    /// What is missing or does not fit.
    pub trouble: Option<String>,
}

/// What a descriptor leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is.
    pub kind: Kind,
    /// The digest that the descriptor says.
    pub digest: String,
    /// The size that it says, in bytes.
    pub size: u64,
    /// The media type that it says.
    pub media_type: String,
    /// What the bytes are.
    pub found: Found,
    /// Of a layer, what is in it.
    pub archive: Option<Archive>,
}

/// What a part of an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A list of manifests, for platforms.
    Index,
    /// A list of one config and layers.
    Manifest,
    /// What is run, and how it came to be.
    Config,
    /// An archive.
    Layer,
}

/// What the bytes behind a digest are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// They are what the descriptor says.
    Same,
    /// They have this digest, and this size.
    Other(String, u64),
    /// There are none.
    Absent,
    /// They were not read: there is too much.
    Unread,
}

/// The archive in a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// The digest of the uncompressed archive, as the config says.
    pub said: String,
    /// As it was computed; or why it could not be.
    pub found: Result<String, String>,
    /// How many entries it has.
    pub entries: u64,
    /// The names of the first of them.
    pub names: Vec<String>,
}

impl Archive {
    /// Whether the archive is the one that the config means.
    pub fn is_same(&self) -> bool {
        self.found.as_ref() == Ok(&self.said)
    }
}

/// A line of a history (config.md, "history").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What made it.
    pub created_by: String,
    /// Which layer it made, from 1; none where it changed no file.
    pub layer: Option<usize>,
}

impl Image {
    /// Its layers, the lowest first.
    pub fn layers(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.kind == Kind::Layer)
    }

    /// Its first part of this kind.
    pub fn part(&self, kind: Kind) -> Option<&Part> {
        self.parts.iter().find(|part| part.kind == kind)
    }

    /// Why it is not whole: something that it needs is not there, or other than its digest says.
    pub fn fault(&self) -> Option<String> {
        let fault = |part: &Part| match (&part.found, &part.archive) {
            (Found::Same, Some(archive)) if !archive.is_same() => Some(format!("{} has another diff_id", part.short())),
            (Found::Same, _) => None,
            (Found::Other(digest, _), _) => Some(format!("{} has the digest {}", part.short(), short(digest))),
            (Found::Absent, _) => Some(format!("{} is not there", part.short())),
            (Found::Unread, _) => Some(format!("{} is too large to be read here", part.short())),
        };
        self.parts.iter().find_map(fault).or_else(|| self.trouble.clone())
    }
}

impl Part {
    /// Its digest, as engines show it.
    pub fn short(&self) -> &str {
        short(&self.digest)
    }

    /// Whether its media type is one of Docker's.
    pub fn is_docker(&self) -> bool {
        self.media_type.starts_with("application/vnd.docker.")
    }
}

/// The first twelve digits of a digest.
pub fn short(digest: &str) -> &str {
    let digits = digest.split_once(':').map_or(digest, |(_, digits)| digits);
    digits.get(..12).unwrap_or(digits)
}

impl Observation {
    /// What has a name in a layout.
    pub fn layout(&self, path: &str) -> Option<&Layout> {
        self.layouts.iter().find(|layout| layout.path == path)
    }
}

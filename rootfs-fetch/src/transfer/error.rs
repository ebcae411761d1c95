//! Why an image could not be moved.

use std::io;

use crate::client::ClientError;
use crate::image::{DocumentError, Mismatch};
use crate::store::StoreError;

/// The longest text of a manifest that is passed on, in characters.
const MAX_SHOWN: usize = 100;
/// The most platforms that are named.
const MAX_OFFERED: usize = 40;

/// What could not be moved, and why. What was moved before stays where it is, and the next transfer goes on from there.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct TransferError {
    /// The document or blob, and of which image: `layer sha256:… of localhost:5000/team/app:v1`.
    pub what: String,
    /// What went wrong with it.
    #[source]
    pub why: Trouble,
}

/// What can go wrong when an image is moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The registry could not be asked, or said no.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The store could not be read or written, or was given the wrong bytes.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A blob of a store could not be read.
    #[error("can not be read: {0}")]
    Read(#[source] io::Error),
    /// A document that is none.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A document of another size than its index says.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The index has no manifest for this platform.
    #[error("there is no image for {wanted}, but for {}", offers(.offered))]
    Platform {
        /// What was asked for.
        wanted: String,
        /// What the index has, sorted.
        offered: Vec<String>,
    },
    /// More than a transfer may take.
    #[error("{what}; at most {limit} are taken")]
    TooLarge {
        /// What is too large.
        what: String,
        /// How much of that is allowed.
        limit: u64,
    },
    /// A layer that is no file tree: the manifest is of something else than an image.
    #[error("{} is not the media type of a layer; with all manifests of an index it is taken as it is", shown(.0))]
    MediaType(String),
    /// A layer that registries need not have.
    #[error("the layer is only to be had elsewhere, at {}; that is not done here", shown(.0))]
    Elsewhere(String),
    /// Somebody has cancelled it.
    #[error("cancelled")]
    Cancelled,
}

/// Text of a manifest, quoted, escaped and cut.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(MAX_SHOWN).collect();
    format!("{cut:?}{}", if cut.len() < text.len() { "…" } else { "" })
}

fn offers(offered: &[String]) -> String {
    let plain = |text: &String| {
        let shown = shown(text);
        // Quotes are for what is not as usual.
        if shown.len() == text.len() + 2 { text.clone() } else { shown }
    };
    let mut words: Vec<String> = offered.iter().take(MAX_OFFERED).map(plain).collect();
    match offered.len() {
        0 => words.push("none at all".into()),
        count if count > MAX_OFFERED => words.push(format!("{} more", count - MAX_OFFERED)),
        _ => {}
    }
    words.join(", ")
}

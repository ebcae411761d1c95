//! What is told of a transfer while it goes on, and how it is stopped.

use std::fmt;

use crate::image::{Descriptor, Digest};

/// Whoever wants to see how a transfer goes on. It is told by the thread that does it, and holds that up.
pub trait Progress: Send + Sync {
    /// Something has happened.
    fn tell(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> Progress for F {
    fn tell(&self, event: &Event) {
        self(event);
    }
}

/// What has happened. Events of several blobs come from several threads, those of one blob in the order in which they stand here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The documents are known, and so what is still to come: config and layers, as far as the store has them not, or whatever a registry
    /// may not have.
    Planned {
        /// How many blobs.
        blobs: usize,
        /// The sum of their sizes in bytes, as announced.
        bytes: u64,
    },
    /// It begins.
    Begun {
        /// What.
        item: Item,
        /// The offset in bytes from which on it is moved: not 0 where an earlier transfer was stopped.
        from: u64,
    },
    /// Some more bytes of it have been moved. It may go back: a registry may have lost what was sent.
    Moved {
        /// What.
        digest: Digest,
        /// The offset of the next byte.
        at: u64,
    },
    /// It is whole and verified, or taken by the registry.
    Done {
        /// What.
        digest: Digest,
    },
    /// It need not be moved.
    There {
        /// What.
        item: Item,
        /// Why not.
        how: There,
    },
}

/// Why something need not be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum There {
    /// The store has it, or the repository.
    Already,
    /// Another has moved it just now, and it was waited for that.
    Meanwhile,
    /// The registry has taken it from this other repository.
    Mounted(String),
}

/// A part of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What it is.
    pub kind: Kind,
}

/// What a part of an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It names manifests.
    Index,
    /// It names a config and layers.
    Manifest,
    /// What is run in the image.
    Config,
    /// A part of its file tree.
    Layer,
}

impl Item {
    pub(super) fn new(kind: Kind, descriptor: &Descriptor) -> Self {
        Self { digest: descriptor.digest().clone(), size: descriptor.size(), kind }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Index => "index",
            Self::Manifest => "manifest",
            Self::Config => "config",
            Self::Layer => "layer",
        })
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.digest)
    }
}

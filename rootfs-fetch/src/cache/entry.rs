//! Which content a file of the machine had when it was last read.

use std::fs::Metadata;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Cache, Writing, open_file};

/// Longer than any entry: a path, and a few numbers.
const MAX_ENTRY: u64 = 64 * 1024;

/// A sha256, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Digest(String);

/// By what a file is known again. A change of its content changes one of these: at least `changed`, which nobody can set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

#[derive(Serialize, Deserialize)]
pub(super) struct Entry {
    /// For people; the name of the entry is made of its bytes.
    pub path: String,
    seen: Seen,
    pub digest: Digest,
}

impl Digest {
    pub fn of(hash: Sha256) -> Self {
        Self(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 64 && text.bytes().all(digit) { Ok(Self(text)) } else { Err("not a sha256".into()) }
    }
}

impl Seen {
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Entry {
    /// What the index says in one of its files; nothing where that can not be understood.
    pub fn read(path: &Path) -> Option<Self> {
        let mut text = Vec::new();
        open_file(path)?.take(MAX_ENTRY).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

impl Cache {
    /// The digest of the file at `path`, if it is still the one that was read then.
    pub(super) fn recall(&self, path: &Path, seen: &Seen) -> Option<Digest> {
        Entry::read(&self.entry(path)).filter(|entry| entry.seen == *seen).map(|entry| entry.digest)
    }

    /// Notes the digest of the file at `path`.
    pub(super) fn remember(&self, path: &Path, seen: Seen, digest: &Digest) -> io::Result<()> {
        let entry = Entry { path: path.to_string_lossy().into_owned(), seen, digest: digest.clone() };
        let mut writing = Writing::new(&self.root.join("writing"))?;
        writing.file.write_all(&serde_json::to_vec(&entry)?)?;
        writing.name(&self.entry(path))
    }

    fn entry(&self, path: &Path) -> PathBuf {
        let name = Digest::of(Sha256::new_with_prefix(path.as_os_str().as_bytes()));
        self.root.join("index").join(name.as_str())
    }
}

//! Whether the disk still has what was put in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::files::{if_there, open_file};
use super::{Digest, Store, StoreError, read_verified};
use crate::error::{During, Error};

/// Something in a store that is not as it should be.
#[derive(Debug, thiserror::Error)]
#[error("{path:?}: {why}")]
pub struct Fault {
    /// Where.
    pub path: PathBuf,
    /// What is wrong there.
    #[source]
    pub why: StoreError,
}

impl Store {
    /// Computes the digest of every blob again, and reads `index.json`; tells what is wrong, sorted by path.
    pub fn verify(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if let Err(why) = self.entries() {
            faults.push(Fault { path: self.index_path(), why });
        }
        match self.blobs() {
            Err(why) => faults.push(Fault { path: self.root.join("blobs"), why: why.into() }),
            Ok(blobs) => faults.extend(blobs.into_iter().filter_map(|(path, digest)| {
                let why = self.verify_blob(&path, digest).err()?;
                Some(Fault { path, why })
            })),
        }
        faults.sort_by(|one, other| one.path.cmp(&other.path));
        faults
    }

    fn verify_blob(&self, path: &Path, digest: Option<Digest>) -> Result<(), StoreError> {
        let digest = digest.ok_or_else(|| StoreError::Stray(path.to_owned()))?;
        // What was taken away since it was listed is no fault.
        let Some(file) = if_there(open_file(path, OFlags::RDONLY))? else { return Ok(()) };
        let size = file.metadata().during("look at", path)?.len();
        read_verified(&file, &digest, size, path, &mut io::sink())
    }

    /// What is in the directories below `blobs`, each with the digest that its place says, where that is one.
    pub(super) fn blobs(&self) -> Result<Vec<(PathBuf, Option<Digest>)>, Error> {
        let mut found = Vec::new();
        let blobs = self.root.join("blobs");
        for directory in fs::read_dir(&blobs).during("list", &blobs)? {
            let directory = directory.during("list", &blobs)?;
            let path = directory.path();
            if !directory.file_type().during("look at", &path)?.is_dir() {
                found.push((path, None));
                continue;
            }
            for blob in fs::read_dir(&path).during("list", &path)? {
                let blob = blob.during("list", &path)?;
                let names = (directory.file_name().into_string(), blob.file_name().into_string());
                let digest = match names {
                    (Ok(algorithm), Ok(encoded)) => format!("{algorithm}:{encoded}").parse().ok(),
                    _ => None,
                };
                found.push((blob.path(), digest));
            }
        }
        Ok(found)
    }
}

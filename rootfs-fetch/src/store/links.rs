//! Which repository has which blobs: a registry takes a blob before the manifest that leads to it, and shows it to nobody who asks for it
//! in another repository.
//!
//! A link is an empty file, `linked/DIGEST-OF-THE-REPOSITORY'S-NAME/ALGORITHM-HEX`. It keeps no blob: that is for names to do.

use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::files::{is_directory, make_directory, open_file};
use super::{Digest, OWN, Store, StoreError};
use crate::error::During;
use crate::image::digest_of;

const LINKED: &str = "linked";

impl Store {
    /// Remembers that a repository has a blob. The power may go before the disk knows; then it has to be pushed again.
    ///
    /// # Errors
    /// The link can not be made; a lock is not to be had.
    pub fn link(&self, repository: &str, digest: &Digest) -> Result<(), StoreError> {
        // Who takes away clears the directories that have become empty.
        let _shared = self.share()?;
        self.own(LINKED)?;
        let directory = self.links_of(repository);
        make_directory(&directory)?;
        open_file(&directory.join(file_name(digest)), OFlags::RDWR | OFlags::CREATE).map(drop)
    }

    /// Whether a repository has this blob, by [`Store::link`].
    pub fn is_linked(&self, repository: &str, digest: &Digest) -> bool {
        let path = self.links_of(repository).join(file_name(digest));
        fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
    }

    /// Forgets that a repository has a blob; tells whether it had it. The blob stays until [`Store::gc`].
    ///
    /// # Errors
    /// The link can not be removed.
    pub fn unlink(&self, repository: &str, digest: &Digest) -> Result<bool, StoreError> {
        self.own(LINKED)?;
        let directory = self.links_of(repository);
        // A link to a directory would have us remove what is elsewhere.
        if !is_directory(&directory)? {
            return Ok(false);
        }
        let path = directory.join(file_name(digest));
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            removed => Ok(removed.map(|()| true).during("remove", &path)?),
        }
    }

    /// Takes away the links to blobs that are not there: whoever pushes such a blob later pushes it for one repository. For those who
    /// have the lock alone.
    pub(super) fn clear_links(&self) -> Result<(), StoreError> {
        let directory = self.root.join(OWN).join(LINKED);
        if !is_directory(&directory)? {
            return Ok(());
        }
        for repository in list(&directory)? {
            let repository = repository.path();
            if !is_directory(&repository)? {
                continue;
            }
            for link in list(&repository)? {
                let digest = link.file_name().to_str().and_then(|name| name.replacen('-', ":", 1).parse().ok());
                if digest.is_none_or(|digest: Digest| self.blob(&digest).is_err()) {
                    fs::remove_file(link.path()).during("remove", &link.path())?;
                }
            }
            // The kernel removes no directory that has something in it.
            let _ = fs::remove_dir(repository);
        }
        Ok(())
    }

    /// By the digest of the name, which is longer than a file's may be, and has slashes.
    fn links_of(&self, repository: &str) -> PathBuf {
        self.root.join(OWN).join(LINKED).join(digest_of(repository.as_bytes()).digest())
    }
}

fn list(directory: &Path) -> Result<Vec<DirEntry>, StoreError> {
    let entries: io::Result<Vec<_>> = fs::read_dir(directory).and_then(Iterator::collect);
    Ok(entries.during("list", directory)?)
}

fn file_name(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm(), digest.digest())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_blob_is_linked_to_a_repository_until_it_is_gone() {
        let place = tempfile::tempdir().expect("a directory");
        let store = Store::open(place.path()).expect("a store");
        let digest = store.add(b"bytes").expect("a blob");
        let name = "a/".repeat(200) + "a";
        store.link(&name, &digest).expect("linked");
        assert!(store.is_linked(&name, &digest));
        assert!(!store.is_linked("b", &digest));
        assert!(!store.unlink("b", &digest).expect("nothing to do"));
        assert!(store.unlink(&name, &digest).expect("unlinked") && !store.is_linked(&name, &digest));
        let elsewhere = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink(elsewhere.path(), store.links_of("c")).expect("a link");
        assert!(store.link("c", &digest).is_err() && store.unlink("c", &digest).is_err());
        fs::remove_file(store.links_of("c")).expect("the link");
        store.link(&name, &digest).expect("linked again");
        assert_eq!(store.gc_older_than(Duration::ZERO).expect("collected").blobs, 1);
        assert!(!store.is_linked(&name, &digest));
        assert!(list(&place.path().join(OWN).join(LINKED)).expect("a directory").is_empty());
    }
}

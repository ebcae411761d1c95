//! Takes away what no name reaches.

use std::collections::{HashMap, HashSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::slice::from_ref;
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;

use super::growing::Growing;
use super::{OWN, Store, StoreError};
use crate::error::During;
use crate::image::{Descriptor, Digest, Document, MAX_DOCUMENT, is_document};

/// How long what nobody names is spared: from when it was put in, or last asked for, to when a name must reach it.
///
/// Whoever pulls puts the layers in first and the name last, and a client pushes them by one request each: no lock is held for all
/// of that, and skopeo, which may write to the same layout, takes none at all. Age protects them all, and those who were killed and
/// go on. What skopeo finds there it does not touch, though, and so not make young. (git spares loose objects for the same reason, and longer.) A day is more than a pull takes over a poor line.
pub const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// What was taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// How many blobs.
    pub blobs: usize,
    /// How many downloads and uploads that nobody has gone on with.
    pub unfinished: usize,
    /// The sum of the lengths of both.
    pub bytes: u64,
}

/// A blob that may be taken away.
struct Held {
    path: PathBuf,
    bytes: u64,
    old: bool,
}

/// Which blob leads to which.
#[derive(Default)]
struct Graph {
    /// From each document to its parts.
    parts: HashMap<Digest, Vec<Descriptor>>,
    /// From each document to those whose `subject` it is: signatures, lists of components.
    referrers: HashMap<Digest, Vec<Digest>>,
}

impl Store {
    /// Takes away the blobs that no entry of `index.json` reaches, with downloads and uploads that were given up, all of them older
    /// than [`GRACE`], and what was left in `writing` by those who were killed.
    ///
    /// # Errors
    /// A document that is reached can not be read: nothing is taken away then, because it is not known what it reaches. Something
    /// can not be removed. A lock is not to be had.
    pub fn gc(&self) -> Result<Collected, StoreError> {
        self.gc_older_than(GRACE)
    }

    /// As [`Store::gc`], with another age. Zero is for those who know that nobody is pulling or pushing.
    ///
    /// # Errors
    /// As [`Store::gc`].
    pub fn gc_older_than(&self, age: Duration) -> Result<Collected, StoreError> {
        // Between the look at an age and the removal nobody may be told that the blob is there.
        let _alone = self.alone()?;
        let now = SystemTime::now();
        let old = |metadata: &Metadata| {
            let passed = metadata.modified().ok().and_then(|modified| now.duration_since(modified).ok());
            age.is_zero() || passed.is_some_and(|passed| passed >= age)
        };
        let mut held = HashMap::new();
        for (path, digest) in self.blobs()? {
            let metadata = fs::symlink_metadata(&path).during("look at", &path)?;
            // What is not a file named by a digest was not put there by us, nor by anyone who keeps to the layout.
            if let (Some(digest), true) = (digest, metadata.is_file()) {
                held.insert(digest, Held { path, bytes: metadata.len(), old: old(&metadata) });
            }
        }
        let reached = self.reached(&held)?;
        let mut collected = Collected::default();
        for (_, blob) in held.iter().filter(|(digest, blob)| blob.old && !reached.contains(digest)) {
            fs::remove_file(&blob.path).during("remove", &blob.path)?;
            collected.blobs += 1;
            collected.bytes += blob.bytes;
        }
        self.clear_links()?;
        self.clear_unfinished(&mut collected, old)?;
        self.clear_empty()?;
        Ok(collected)
    }

    /// The blobs that stay because of others. Each is looked at once or, where some take it for a document and some do not, twice, so that an index that contains itself, or any other circle,
    /// comes to an end, however deep it is.
    fn reached(&self, held: &HashMap<Digest, Held>) -> Result<HashSet<Digest>, StoreError> {
        let graph = self.graph(held);
        let mut next: Vec<(Digest, bool)> = self.entries()?.iter().map(link).collect();
        // A young document may be about to get a name: what it reaches has been there for longer, perhaps.
        let young = |digest: &&Digest| held.get(digest).is_some_and(|blob| !blob.old);
        next.extend(graph.parts.keys().filter(young).map(|digest| (digest.clone(), false)));
        let mut seen = HashSet::new();
        while let Some((digest, is_document)) = next.pop() {
            if !seen.insert((digest.clone(), is_document)) {
                continue;
            }
            match graph.parts.get(&digest) {
                Some(parts) => next.extend(parts.iter().map(link)),
                // It could not be read with the others: it can now, or all this ends.
                None if is_document && held.contains_key(&digest) => {
                    next.extend(parts(&self.document(&digest)?.1).iter().map(link));
                }
                None => {}
            }
            next.extend(graph.referrers.get(&digest).into_iter().flatten().map(|digest| (digest.clone(), true)));
        }
        Ok(seen.into_iter().map(|(digest, _)| digest).collect())
    }

    /// Reads all documents of the store, named or not: which of them refer to another can only be seen in them.
    fn graph(&self, held: &HashMap<Digest, Held>) -> Graph {
        let mut graph = Graph::default();
        for (digest, blob) in held {
            if blob.bytes > MAX_DOCUMENT || !self.may_be_json(digest) {
                continue;
            }
            let Ok((_, document)) = self.document(digest) else { continue };
            let subject = match &document {
                Document::Index(index) => index.subject(),
                Document::Manifest(manifest) => manifest.subject(),
            };
            if let Some(subject) = subject {
                graph.referrers.entry(subject.digest().clone()).or_default().push(digest.clone());
            }
            graph.parts.insert(digest.clone(), parts(&document));
        }
        graph
    }

    /// Small layers are not hashed only to find that they are no documents.
    fn may_be_json(&self, digest: &Digest) -> bool {
        let mut first = [0];
        let read = self.blob(digest).is_ok_and(|blob| blob.read_exact_at(&mut first, 0).is_ok());
        read && b"{ \t\r\n".contains(&first[0])
    }

    fn clear_unfinished(&self, collected: &mut Collected, old: impl Fn(&Metadata) -> bool) -> Result<(), StoreError> {
        for directory in ["partial", "upload"] {
            self.clear_growing(directory, &old, collected)?;
        }
        // Whoever writes there shares the lock that we have alone: what is there now was left by one who was killed.
        for name in self.files("writing")? {
            let path = self.root.join(OWN).join("writing").join(name);
            fs::remove_file(&path).during("remove", &path)?;
        }
        Ok(())
    }

    /// Takes away the downloads or uploads that nobody is at, and that are old.
    pub(super) fn clear_growing(
        &self,
        directory: &str,
        old: impl Fn(&Metadata) -> bool,
        collected: &mut Collected,
    ) -> Result<(), StoreError> {
        let hurried = self.clone().patience(Duration::ZERO);
        for name in self.files(directory)? {
            let path = self.root.join(OWN).join(directory).join(name);
            match Growing::open(&hurried, path.clone(), OFlags::empty()) {
                // Somebody is at it, however long ago the last byte came.
                Err(StoreError::Busy { .. }) => {}
                Err(error) => return Err(error),
                Ok(Some(growing)) if old(&growing.file.0.metadata().during("look at", &path)?) => {
                    collected.unfinished += 1;
                    collected.bytes += growing.length;
                    growing.remove()?;
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Takes away empty directories of algorithms, except that of sha256, which readers look for.
    fn clear_empty(&self) -> Result<(), StoreError> {
        let blobs = self.root.join("blobs");
        for entry in fs::read_dir(&blobs).during("list", &blobs)? {
            let path = entry.during("list", &blobs)?.path();
            if !path.ends_with("sha256") {
                // The kernel removes no directory that has something in it.
                let _ = fs::remove_dir(path);
            }
        }
        Ok(())
    }
}

/// What a document is made of.
fn parts(document: &Document) -> Vec<Descriptor> {
    match document {
        Document::Index(index) => index.manifests().clone(),
        Document::Manifest(manifest) => [from_ref(manifest.config()), manifest.layers()].concat(),
    }
}

/// To what a descriptor leads, and whether that must be a document.
fn link(descriptor: &Descriptor) -> (Digest, bool) {
    (descriptor.digest().clone(), is_document(descriptor.media_type()))
}

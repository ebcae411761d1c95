//! What the registry has read of its store, and who may see what of it.
//!
//! `index.json` is read again when it has changed, whoever changed it. A document is read once: what has a digest does not change.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rootfs_fetch::image::{Descriptor, Digest, Document, MediaType};
use rootfs_fetch::store::{Store, StoreError};

use super::place::Name;

/// So many bytes of documents are kept; then all are forgotten, and read again as they are asked for.
const MAX_KEPT: u64 = 16 << 20;

/// A file that changed less than this ago may change again without its times being others: the clock by which the kernel sets them
/// goes by some milliseconds at a time.
const SETTLED: Duration = Duration::from_secs(1);

/// The names of a layout, with what has them.
pub(super) type Names = BTreeMap<String, Descriptor>;

/// A store, with what was read of it.
#[derive(Debug)]
pub(super) struct Known {
    pub store: Store,
    names: Mutex<Option<(Mark, Arc<Names>)>>,
    documents: Mutex<Documents>,
}

/// By what a file is known to be as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    file: (u64, u64),
    size: u64,
    /// When its bytes or its name were last changed, in seconds and nanoseconds. Nobody can set it back.
    changed: (i64, i64),
}

impl Mark {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn is_settled(&self) -> bool {
        let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(self.changed.0), u32::try_from(self.changed.1)) else {
            return false;
        };
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        changed.elapsed().is_ok_and(|passed| passed >= SETTLED)
    }
}

#[derive(Debug, Default)]
struct Documents {
    kept: HashMap<Digest, Arc<Document>>,
    bytes: u64,
}

impl Known {
    pub fn new(store: Store) -> Self {
        Self { store, names: Mutex::default(), documents: Mutex::default() }
    }

    /// All names of the layout; of several entries with the same name the first.
    pub fn names(&self) -> Result<Arc<Names>, StoreError> {
        // Looked at before it is read: what is read is this or newer, and then it has another mark the next time.
        let mark = fs::symlink_metadata(self.store.root().join("index.json")).ok().map(|found| Mark::of(&found));
        let settled = mark.filter(Mark::is_settled);
        let mut kept = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some((of, names)), Some(mark)) = (&*kept, mark)
            && *of == mark
        {
            return Ok(Arc::clone(names));
        }
        let mut names = Names::new();
        for (name, descriptor) in self.store.names()? {
            names.entry(name).or_insert(descriptor);
        }
        let names = Arc::new(names);
        *kept = settled.map(|mark| (mark, Arc::clone(&names)));
        Ok(names)
    }

    /// What a manifest or an index says.
    pub fn document(&self, descriptor: &Descriptor) -> Result<Arc<Document>, StoreError> {
        let digest = descriptor.digest();
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(document) = documents.kept.get(digest) {
            return Ok(Arc::clone(document));
        }
        let (bytes, document) = self.store.document(digest)?;
        let (size, document) = (bytes.len() as u64, Arc::new(document));
        if documents.bytes + size > MAX_KEPT {
            *documents = Documents::default();
        }
        documents.bytes += size;
        documents.kept.insert(digest.clone(), Arc::clone(&document));
        Ok(document)
    }

    /// All that a repository has a name for: `NAME:TAG` and `NAME@DIGEST`.
    pub fn of_repository(&self, name: &Name) -> Result<Vec<(String, Descriptor)>, StoreError> {
        let names = self.names()?;
        // '/' and what else a longer name may go on with stand between them.
        let its = names.range(name.as_str().to_owned()..).take_while(|(key, _)| key.starts_with(name.as_str()));
        let is_its = |key: &str| key[name.as_str().len()..].starts_with([':', '@']);
        Ok(its.filter(|(key, _)| is_its(key)).map(|(key, descriptor)| (key.clone(), descriptor.clone())).collect())
    }

    /// All that the named manifests of a repository lead to: the manifests of an index, configs, layers. Of what is not here, or can not be
    /// read, the store says so when it is asked for.
    pub fn parts(&self, name: &Name) -> Result<HashMap<Digest, Descriptor>, StoreError> {
        let mut next: Vec<Descriptor> = self.of_repository(name)?.into_iter().map(|(_, named)| named).collect();
        let mut read: HashSet<Digest> = HashSet::new();
        let mut parts = HashMap::new();
        while let Some(descriptor) = next.pop() {
            if !read.insert(descriptor.digest().clone()) {
                continue;
            }
            let Ok(document) = self.document(&descriptor) else { continue };
            let found = match &*document {
                Document::Index(index) => index.manifests().clone(),
                Document::Manifest(manifest) => [std::slice::from_ref(manifest.config()), manifest.layers()].concat(),
            };
            for part in found {
                if is_document(&part) {
                    next.push(part.clone());
                }
                parts.insert(part.digest().clone(), part);
            }
        }
        Ok(parts)
    }

    /// The size of a blob in bytes, if a repository has it: it was pushed or mounted there, or a manifest there leads to it.
    pub fn size(&self, name: &Name, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let is_its = self.store.is_linked(name.as_str(), digest) || self.parts(name)?.contains_key(digest);
        Ok(if is_its { self.store.size(digest) } else { None })
    }
}

/// A manifest or an index, in the words of the OCI or in those of Docker, of which `manifest.v2` and `manifest.list.v2` are read here.
fn is_document(descriptor: &Descriptor) -> bool {
    let kind = descriptor.media_type();
    matches!(kind, MediaType::ImageManifest | MediaType::ImageIndex)
        || kind.as_ref().starts_with("application/vnd.docker.distribution.manifest.")
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn named(store: &Store, name: &str) {
        let bytes = br#"{"schemaVersion":2,"manifests":[]}"#;
        let digest = store.add(bytes).expect("a blob");
        store.tag(name, &Descriptor::new(MediaType::ImageIndex, bytes.len() as u64, digest)).expect("a name");
    }

    #[test]
    fn names_are_those_of_the_file_as_it_is_now() {
        let place = tempfile::tempdir().expect("a directory");
        let store = Store::open(place.path()).expect("a store");
        named(&store, "a:1");
        let known = Known::new(store.clone());
        let of = |known: &Known| known.names().expect("names").keys().cloned().collect::<Vec<_>>();
        assert_eq!(of(&known), ["a:1"]);
        assert!(known.names.lock().expect("whole").is_none(), "it may change within the same tick");
        // Another process gives a name.
        named(&store, "a:2");
        assert_eq!(of(&known), ["a:1", "a:2"]);
        // What has not changed for a second is not read again.
        let path = place.path().join("index.json");
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while known.names.lock().expect("whole").is_none() {
            assert!(std::time::Instant::now() < deadline, "it never settles");
            std::thread::sleep(Duration::from_millis(50));
            known.names().expect("names");
        }
        assert!(Arc::ptr_eq(&known.names().expect("names"), &known.names().expect("names")));
        // A program that writes in place, as skopeo does, is seen by the size and the times.
        File::create(&path).expect("the file");
        assert!(known.names().is_err());
    }

    #[test]
    fn a_repository_has_what_its_name_begins_and_no_longer_name() {
        let place = tempfile::tempdir().expect("a directory");
        let store = Store::open(place.path()).expect("a store");
        for name in ["a:1", "a:2", "a-b:1", "a/b:1", "b:1", "aa:1"] {
            named(&store, name);
        }
        let known = Known::new(store);
        let of = |name: &str| {
            let all = known.of_repository(&name.parse().expect("a name")).expect("names");
            all.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        };
        assert_eq!(of("a"), ["a:1", "a:2"]);
        assert_eq!(of("a/b"), ["a/b:1"]);
        assert_eq!(of("c"), [""; 0]);
    }
}

//! Any text is a reference, or is refused. A reference is a name in a store, and a path at its registry, as it is; a docker-archive gives one back
//! that means the same.

use std::path::Path;

use rootfs_fetch::archive::{Format, Limits, load, save};
use rootfs_fetch::image::{Descriptor, Digest, MediaType, Reference, here};
use rootfs_fetch::store::Store;
use serde_json::{Value, json};

/// A store with an image.
pub struct Place {
    store: Store,
    image: Descriptor,
}

impl Place {
    /// Makes it, in a directory that is not there.
    pub fn new(path: &Path) -> Self {
        let store = Store::open(path).expect("a store");
        let add = |kind: MediaType, document: &Value| {
            let bytes = document.to_string();
            Descriptor::new(kind, bytes.len() as u64, store.add(bytes.as_bytes()).expect("a blob"))
        };
        let rootfs = json!({"type": "layers", "diff_ids": []});
        let config = add(MediaType::ImageConfig, &json!({"architecture": "amd64", "os": "linux", "rootfs": rootfs}));
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": []});
        let image = add(MediaType::ImageManifest, &manifest);
        Self { store, image }
    }

    /// Checks it; whether it was one.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        let Ok(reference) = text.parse::<Reference>() else { return false };
        let whole = reference.whole();
        // `Up/a` is read, and `docker.io/Up/a`, which it becomes, is not; a tag may have letters of any script. Neither the client nor an
        // archive takes these.
        let Ok(again) = whole.parse::<Reference>() else { return false };
        if !whole.is_ascii() {
            return false;
        }
        assert_eq!(again, reference, "{text:?}");
        let parts = || reference.repository().split('/');
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        assert!(parts().all(|part| !part.is_empty() && part != ".." && part.bytes().all(plain)), "{whole:?}");
        let digest = reference.digest().map(str::parse::<Digest>);
        assert!(digest.is_none_or(|digest| digest.is_ok()), "{whole:?}");
        if whole.len() <= 1024 {
            self.store.tag(&whole, &self.image).expect("a name");
            assert!(self.store.untag(&whole).expect("an index"), "{whole:?}");
        }
        if text.len() <= 1000 && reference.digest().is_none() {
            assert_eq!(self.carried(text).parse::<Reference>(), Ok(reference), "{text:?}");
        }
        true
    }

    /// The name that an image of this name has in an archive.
    fn carried(&self, name: &str) -> String {
        let (images, mut archive) = ([(Some(name.to_owned()), self.image.clone())], Vec::new());
        save(&self.store, &images, &Format::Docker(here()), &mut archive).expect("an archive");
        let loaded = load(&archive[..], &self.store, &Limits::default()).expect("an archive of ours");
        loaded.into_iter().find_map(|(name, _)| name).expect("its name")
    }
}

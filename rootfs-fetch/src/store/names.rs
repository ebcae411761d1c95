//! The names of images: `index.json` (image-spec, image-layout.md, "index.json file").

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::files::read_bounded;
use super::{Descriptor, How, MAX_DOCUMENT, Store, StoreError};

/// The annotation that names an entry (image-spec, annotations.md, "Pre-Defined Annotation Keys").
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// A host, a path and a tag, and more than anybody types.
const MAX_NAME: usize = 1024;

/// `index.json`. What is not ours is kept as it was written, byte for byte: another program may know more fields than we do.
struct Index {
    fields: BTreeMap<String, Box<RawValue>>,
    entries: Vec<Entry>,
}

struct Entry {
    raw: Box<RawValue>,
    descriptor: Descriptor,
}

impl Entry {
    fn name(&self) -> Option<&str> {
        self.descriptor.annotations().as_ref()?.get(REF_NAME).map(String::as_str)
    }
}

impl Store {
    /// Gives a manifest or an index of this store a name; what had that name before has it no longer.
    ///
    /// # Errors
    /// [`StoreError::NoBlob`] where the store does not have it with that size; [`StoreError::Name`]; `index.json` can not be read or
    /// replaced.
    pub fn tag(&self, name: &str, descriptor: &Descriptor) -> Result<(), StoreError> {
        is_name(name)?;
        // While it is shared nobody takes away what the name is about to reach.
        let _shared = self.share()?;
        let digest = descriptor.digest();
        if self.size(digest) != Some(descriptor.size()) {
            return Err(StoreError::NoBlob(digest.clone()));
        }
        let mut descriptor = descriptor.clone();
        let mut annotations: HashMap<String, String> = descriptor.annotations().clone().unwrap_or_default();
        annotations.insert(REF_NAME.into(), name.into());
        descriptor.set_annotations(Some(annotations));
        let raw = serde_json::value::to_raw_value(&descriptor).map_err(|error| self.no_index(error))?;
        self.change(|entries| {
            entries.retain(|entry| entry.name() != Some(name));
            entries.push(Entry { raw, descriptor });
            true
        })?;
        Ok(())
    }

    /// Takes a name away; tells whether there was one. What it reached stays until [`Store::gc`].
    ///
    /// # Errors
    /// `index.json` can not be read or replaced.
    pub fn untag(&self, name: &str) -> Result<bool, StoreError> {
        let _shared = self.share()?;
        self.change(|entries| {
            let before = entries.len();
            entries.retain(|entry| entry.name() != Some(name));
            entries.len() < before
        })
    }

    /// What has this name; the first, where another program gave it to several.
    ///
    /// # Errors
    /// `index.json` can not be read.
    pub fn resolve(&self, name: &str) -> Result<Option<Descriptor>, StoreError> {
        let entries = self.index()?.entries;
        Ok(entries.into_iter().find(|entry| entry.name() == Some(name)).map(|entry| entry.descriptor))
    }

    /// All names, sorted, with what has them.
    ///
    /// # Errors
    /// `index.json` can not be read.
    pub fn names(&self) -> Result<Vec<(String, Descriptor)>, StoreError> {
        let named = |entry: Entry| entry.name().map(str::to_owned).map(|name| (name, entry.descriptor));
        let mut names: Vec<_> = self.index()?.entries.into_iter().filter_map(named).collect();
        names.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(names)
    }

    /// All entries of `index.json`, those without a name too: another program may have put them there.
    pub(super) fn entries(&self) -> Result<Vec<Descriptor>, StoreError> {
        Ok(self.index()?.entries.into_iter().map(|entry| entry.descriptor).collect())
    }

    /// Changes the entries, and replaces `index.json` where that changed anything. The lock is that of all who change it: the index
    /// is read after it was taken, so no change of another is lost.
    fn change(&self, change: impl FnOnce(&mut Vec<Entry>) -> bool) -> Result<bool, StoreError> {
        let _index = self.lock("index.lock", How::Exclusive)?;
        let Index { mut fields, mut entries } = self.index()?;
        if !change(&mut entries) {
            return Ok(false);
        }
        let raw: Vec<&RawValue> = entries.iter().map(|entry| &*entry.raw).collect();
        let manifests = serde_json::value::to_raw_value(&raw).map_err(|error| self.no_index(error))?;
        fields.insert("manifests".into(), manifests);
        let bytes = serde_json::to_vec(&fields).map_err(|error| self.no_index(error))?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(self.no_index(format!("with this name it would be larger than {MAX_DOCUMENT} bytes")));
        }
        self.replace(&self.index_path(), &bytes)?;
        Ok(true)
    }

    fn index(&self) -> Result<Index, StoreError> {
        let bytes = read_bounded(&self.index_path(), MAX_DOCUMENT)?.ok_or_else(|| self.no_index("it is not there"))?;
        let malformed = |error: serde_json::Error| self.no_index(error);
        let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&bytes).map_err(malformed)?;
        let version = fields.get("schemaVersion").map_or("none", |version| version.get());
        if version != "2" {
            return Err(self.no_index(format!("its schemaVersion is {version}, and not 2")));
        }
        // umoci writes null for a list without entries.
        let raw: Option<Vec<Box<RawValue>>> = match fields.get("manifests") {
            Some(manifests) => Deserialize::deserialize(&**manifests).map_err(malformed)?,
            None => None,
        };
        let entry =
            |raw: Box<RawValue>| Ok(Entry { descriptor: Descriptor::deserialize(&*raw).map_err(malformed)?, raw });
        Ok(Index { entries: raw.into_iter().flatten().map(entry).collect::<Result<_, StoreError>>()?, fields })
    }

    fn no_index(&self, why: impl ToString) -> StoreError {
        StoreError::Index { path: self.index_path(), why: why.to_string() }
    }
}

/// The characters that annotations.md allows in a name.
pub(crate) fn is_name(name: &str) -> Result<(), StoreError> {
    let wrong = |why| Err(StoreError::Name { name: name.to_owned(), why });
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:@/+".contains(&byte);
    match name {
        _ if name.len() > MAX_NAME => wrong("it is longer than 1024 bytes"),
        _ if !name.bytes().all(allowed) => wrong("only letters, digits and -._:@/+ are allowed"),
        _ if !name.starts_with(|first: char| first.is_ascii_alphanumeric()) => {
            wrong("it does not begin with a letter or a digit")
        }
        _ => Ok(()),
    }
}

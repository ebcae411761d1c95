//! An image layout in a tar archive: oci-archive.

use std::collections::HashMap;

use oci_spec::image::OciLayout;
use serde_json::json;

use super::contents::{Contents, INDEX, LAYOUT};
use super::save::{Member, Members};
use super::walk::Walk;
use super::{ArchiveError, Named};
use crate::image::{Descriptor, Document, MediaType};
use crate::store::{REF_NAME, Store};

/// The version of the layout that is read and written here.
const VERSION: &str = "1.0.0";
/// The annotation in which containerd, and with it Docker, has the whole name, and leaves only the tag to [`REF_NAME`].
const WHOLE_NAME: &str = "io.containerd.image.name";

/// The images to which `index.json` leads, after the store has all of them.
pub(super) fn images(contents: &Contents, store: &Store) -> Result<Vec<Named>, ArchiveError> {
    let layout: OciLayout =
        serde_json::from_slice(contents.text(LAYOUT)?).map_err(|error| ArchiveError::unusable(LAYOUT, error))?;
    if layout.image_layout_version() != VERSION {
        let why = format!("it has version {:?}, and only {VERSION} is known here", layout.image_layout_version());
        return Err(ArchiveError::unusable(LAYOUT, why));
    }
    let index = match Document::read(contents.text(INDEX)?, None) {
        Ok(Document::Index(index)) => index,
        Ok(Document::Manifest(_)) => return Err(ArchiveError::unusable(INDEX, "it is a manifest")),
        Err(why) => return Err(ArchiveError::unusable(INDEX, why)),
    };
    let mut walk = Walk::new(store);
    index.manifests().iter().map(|entry| walk.image(entry).map(|()| named(entry))).collect()
}

/// The name of an entry, and the entry without it.
fn named(entry: &Descriptor) -> Named {
    let mut annotations: HashMap<String, String> = entry.annotations().clone().unwrap_or_default();
    let (whole, own) = (annotations.remove(WHOLE_NAME), annotations.remove(REF_NAME));
    let mut descriptor = entry.clone();
    descriptor.set_annotations((!annotations.is_empty()).then_some(annotations));
    (whole.or(own), descriptor)
}

/// The files of an archive with these images.
pub(super) fn members(store: &Store, images: &[Named]) -> Result<Members, ArchiveError> {
    let mut walk = Walk::new(store);
    let mut entries = Vec::new();
    for (name, descriptor) in images {
        walk.image(descriptor)?;
        let (_, mut entry) = named(descriptor);
        if let Some(name) = name {
            let mut annotations = entry.annotations().clone().unwrap_or_default();
            annotations.insert(REF_NAME.into(), name.clone());
            entry.set_annotations(Some(annotations));
        }
        entries.push((name, entry));
    }
    entries.sort_by_key(|(name, entry)| (*name, entry.digest().to_string()));
    let entries: Vec<Descriptor> = entries.into_iter().map(|(_, entry)| entry).collect();
    // As a value, whose fields are sorted: the annotations of a descriptor have no order.
    let index = json!({"schemaVersion": 2, "mediaType": MediaType::ImageIndex, "manifests": entries});
    let blobs = walk.blobs.into_values().map(|blob| {
        let digest = blob.digest();
        (format!("blobs/{}/{}", digest.algorithm(), digest.digest()), Member::Blob(blob))
    });
    let mut members: Members = blobs.collect();
    members.insert(INDEX.into(), Member::Text(index.to_string().into_bytes()));
    members.insert(LAYOUT.into(), Member::Text(json!({"imageLayoutVersion": VERSION}).to_string().into_bytes()));
    Ok(members)
}

//! Image layouts, read and never written to (image-spec, image-layout.md).

use std::path::{Path, PathBuf};

use rootfs_fetch::image::{Descriptor, Digest, Document, choose, here};

use crate::kernel::path::Tree;

/// The annotation that names an entry of `index.json` (image-spec, annotations.md, "Pre-Defined Annotation Keys").
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The file that makes a directory one (image-layout.md, "oci-layout file").
pub(super) const MARK: &str = "oci-layout";

/// The longest document that is read, in bytes.
const MAX_DOCUMENT: u64 = 64 << 10;

/// How many documents may lead to a manifest.
const MAX_DEPTH: usize = 3;

/// The layouts that lie in a directory.
pub(super) fn layouts(tree: &Tree, directory: &Path) -> Vec<PathBuf> {
    let names = tree.names(directory).unwrap_or_default();
    let paths = names.into_iter().map(|name| directory.join(name));
    paths.filter(|path| tree.has(&path.join(MARK))).collect()
}

/// The images of a layout that have a name, in the order of its index, each with its layers from the lowest. Of an image for several
/// platforms it is that for this one.
pub(super) fn images(tree: &Tree, layout: &Path) -> Vec<(String, Vec<Descriptor>)> {
    let Some(Document::Index(index)) = document(tree, &layout.join("index.json")) else { return Vec::new() };
    let named = index.manifests().iter().filter_map(|entry| {
        let name = entry.annotations().as_ref()?.get(REF_NAME)?.clone();
        Some((name, layers(tree, layout, entry)?))
    });
    named.collect()
}

fn layers(tree: &Tree, layout: &Path, entry: &Descriptor) -> Option<Vec<Descriptor>> {
    let mut entry = entry.clone();
    for _ in 0..MAX_DEPTH {
        match document(tree, &blob(layout, entry.digest()))? {
            Document::Manifest(manifest) => return Some(manifest.layers().clone()),
            Document::Index(index) => entry = choose(&index, &here())?.clone(),
        }
    }
    None
}

/// Where the bytes with this digest are.
pub(super) fn blob(layout: &Path, digest: &Digest) -> PathBuf {
    // The grammar of digests has neither a slash nor a component of dots alone.
    layout.join("blobs").join(digest.algorithm().as_ref()).join(digest.digest())
}

fn document(tree: &Tree, path: &Path) -> Option<Document> {
    Document::read(&tree.bytes(path, MAX_DOCUMENT)?, None).ok()
}

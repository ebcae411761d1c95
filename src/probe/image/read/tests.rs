#![allow(clippy::unwrap_used)]

use std::fs;

use rootfs_fetch::pack::{self, Format, ImageBuilder, Options};
use rootfs_fetch::store::Store;

use super::*;
use crate::probe::{Names, rows};

/// A place with the image layout `i`, in which `web` has one layer.
fn place() -> (tempfile::TempDir, Store) {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("tree")).unwrap();
    fs::write(place.path().join("tree/os"), "Debian").unwrap();
    let store = Store::open(place.path().join("i")).unwrap();
    let layer = pack::tree(&store, &place.path().join("tree"), &Options::default()).unwrap();
    let image = ImageBuilder::new(&store, &here()).layer(&layer, "COPY tree /").env("A", "b").history("ENV A=b");
    store.tag("web", &image.write(Format::Oci).unwrap()).unwrap();
    (place, store)
}

fn layout(place: &tempfile::TempDir) -> Layout {
    let tree = Tree::at(place.path()).unwrap();
    Reading::new(&tree, PathBuf::from("/i")).layout(1)
}

#[test]
fn from_a_name_everything_is_found_and_computed() {
    let (place, _store) = place();
    let seen = layout(&place);
    assert_eq!((seen.blobs.len(), seen.unreached.len(), seen.trouble.as_ref()), (3, 0, None));
    let web = &seen.images[0];
    assert_eq!((web.name.as_str(), web.fault()), ("web", None));
    let kinds: Vec<Kind> = web.parts.iter().map(|part| part.kind).collect();
    assert_eq!(kinds, [Kind::Manifest, Kind::Config, Kind::Layer]);
    let archive = web.parts[2].archive.as_ref().unwrap();
    assert!(archive.is_same() && archive.names.iter().any(|name| name == "os"), "{archive:?}");
    let layers: Vec<Option<usize>> = web.history.iter().map(|line| line.layer).collect();
    assert_eq!(layers, [Some(1), None]);
}

#[test]
fn another_byte_a_missing_blob_and_one_without_a_name_are_told() {
    let (place, store) = place();
    let before = layout(&place);
    let layer = before.images[0].parts[2].clone();
    let digits = layer.digest.split_once(':').unwrap().1;
    let path = place.path().join("i/blobs/sha256").join(digits);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    store.add(b"nobody's").unwrap();
    let seen = layout(&place);
    assert!(matches!(seen.images[0].parts[2].found, Found::Other(..)), "{:?}", seen.images[0].parts[2]);
    assert!(seen.images[0].fault().unwrap().contains("has the digest"));
    assert_eq!(seen.unreached.len(), 1);
    fs::remove_file(&path).unwrap();
    assert_eq!(layout(&place).images[0].parts[2].found, Found::Absent);
    let observation = Observation { layouts: vec![seen], ..Observation::default() };
    let rows = rows(&observation, &Names::default());
    let value = |key: &str| rows.iter().find(|row| row.key == key).unwrap().value.clone();
    assert!(value("layer 1").contains("OTHER"), "{}", value("layer 1"));
    assert!(rows.iter().any(|row| row.value == "8 bytes, no name leads to it"), "{rows:?}");
}

#[test]
fn what_is_too_large_is_not_read_and_looking_makes_nothing() {
    let (place, _store) = place();
    let layer = layout(&place).images[0].parts[2].clone();
    let path = place.path().join("i/blobs/sha256").join(layer.digest.split_once(':').unwrap().1);
    fs::write(&path, vec![0; MAX_READ as usize + 1]).unwrap();
    let seen = layout(&place);
    assert_eq!(seen.images[0].parts[2].found, Found::Unread);
    fs::write(place.path().join("i/index.json"), "{").unwrap();
    let seen = layout(&place);
    assert!(seen.images.is_empty() && seen.trouble.is_some() && seen.unreached.is_empty(), "{seen:?}");
    let other = place.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("oci-layout"), "").unwrap();
    let tree = Tree::at(place.path()).unwrap();
    Reading::new(&tree, PathBuf::from("/other")).layout(1);
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
}

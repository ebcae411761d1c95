//! What we write can be read again.

use rootfs_fetch::archive::{ArchiveError, Format, Named, save};
use rootfs_fetch::image::{MediaType, Platform, digest_of, here};
use rootfs_fetch::store::StoreError;
use serde_json::{Value, json};

use crate::place::{Place, layer, names};

fn named(name: &str, image: &rootfs_fetch::image::Descriptor) -> Named {
    (Some(name.to_owned()), image.clone())
}

/// The names, sizes and times of the entries.
fn listed(bytes: &[u8]) -> Vec<(String, u64, u64)> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().expect("an archive").map(|entry| {
        let entry = entry.expect("an entry");
        let path = entry.path().expect("a path").display().to_string();
        (path, entry.size(), entry.header().mtime().expect("a time"))
    });
    entries.collect()
}

#[test]
fn a_layout_comes_back_as_it_was() {
    let place = Place::new();
    let image = place.image(&MediaType::ImageLayerGzip, &[layer("a"), layer("b")]);
    let index = place.index(&[&image]);
    let images = [named("index", &index), named("one", &image), named("other", &image), (None, image.clone())];
    let bytes = place.save(&images, &Format::Oci);
    let other = Place::new();
    let mut loaded = other.load(&bytes).expect("an archive");
    // Those without a name come first.
    loaded.rotate_left(1);
    assert_eq!(loaded, images);
    assert_eq!(other.blobs(), 5, "an index, a manifest, a config, two layers");
    assert_eq!(other.save(&loaded, &Format::Oci), bytes);
}

#[test]
fn a_docker_archive_has_plain_layers_and_comes_back() {
    for kind in [MediaType::ImageLayer, MediaType::ImageLayerGzip, MediaType::ImageLayerZstd] {
        let place = Place::new();
        let layers = [layer("a"), layer("b"), layer("a")];
        let image = place.image(&kind, &layers);
        let bytes = place.docker(&[named("made", &image), named("localhost:5000/x/made:2", &image)]);
        let list = listed(&bytes);
        let sorted: Vec<String> = list.iter().map(|(name, ..)| name.clone()).collect();
        assert!(sorted.is_sorted() && sorted.len() == 4, "{sorted:?}");
        assert!(list.iter().all(|(.., time)| *time == 0));
        let tar = format!("{}.tar", digest_of(&layers[0]).digest());
        assert!(list.contains(&(tar, layers[0].len() as u64, 0)));
        let other = Place::new();
        let loaded = other.load(&bytes).expect("an archive");
        assert_eq!(names(&loaded), ["localhost:5000/x/made:2", "made:latest"]);
        let (before, after) =
            (place.store.image(&image, &here()).expect("one"), other.store.image(&loaded[0].1, &here()).expect("one"));
        assert_eq!(before.manifest.config().digest(), after.manifest.config().digest());
        let diff_ids = |image: &rootfs_fetch::store::Image| -> Vec<_> {
            image.layers.iter().map(|layer| layer.diff_id.clone()).collect()
        };
        assert_eq!(diff_ids(&before), diff_ids(&after));
        assert_eq!(other.docker(&loaded), bytes);
    }
}

#[test]
fn the_same_images_are_the_same_bytes() {
    let make = |order: [usize; 2]| {
        let place = Place::new();
        let made = ["a", "b"].map(|text| place.image(&MediaType::ImageLayerGzip, &[layer("shared"), layer(text)]));
        let images = order.map(|at| {
            let mut image = made[at].clone();
            let annotations = (0..20).map(|number| (format!("key-{number}"), "value".to_owned()));
            image.set_annotations(Some(annotations.collect()));
            named(&format!("made:{at}"), &image)
        });
        (place.save(&images, &Format::Oci), place.docker(&images))
    };
    let (oci, docker) = make([0, 1]);
    assert_eq!((listed(&oci).len(), listed(&docker).len()), (9, 6), "the shared layer is there once");
    assert!(make([1, 0]) == (oci, docker));
}

#[test]
fn a_docker_archive_has_one_platform() {
    let place = Place::new();
    let mut image = place.image(&MediaType::ImageLayer, &[layer("a")]);
    image.set_platform(Some(here()));
    let index = place.index(&[&image]);
    let other = Place::new();
    assert_eq!(other.load(&place.docker(&[named("made", &index)])).expect("an archive").len(), 1);
    let plan9: Platform = serde_json::from_value(json!({"os": "plan9", "architecture": "mips"})).expect("a platform");
    let error = save(&place.store, &[named("made", &index)], &Format::Docker(plan9), Vec::new()).expect_err("no such");
    assert!(matches!(error, ArchiveError::Store(StoreError::Platform { .. })), "{error}");
}

#[test]
fn what_can_not_be_saved_is_told() {
    let place = Place::new();
    let refused = |images: &[Named], format: &Format| {
        save(&place.store, images, format, Vec::new()).expect_err("it can not be saved").to_string()
    };
    let docker = Format::Docker(here());
    let [one, two] = ["a", "b"].map(|text| place.image(&MediaType::ImageLayerGzip, &[layer(text)]));
    for format in [&docker, &Format::Oci] {
        assert!(refused(&[named("same", &one), named("same", &two)], format).contains("two images"));
    }
    for name in ["A", "Up/a", "a:-", "a+b", "a:é"] {
        assert!(refused(&[named(name, &one)], &docker).contains("can not be a name"), "{name}");
    }
    assert!(refused(&[named(&format!("a@{}", one.digest()), &one)], &docker).contains("it has a digest"));
    // A layer that the store has lost, and one that is another than its config says.
    let manifest: Value = serde_json::from_slice(&place.store.document(one.digest()).expect("one").0).expect("JSON");
    let layer: rootfs_fetch::image::Descriptor = serde_json::from_value(manifest["layers"][0].clone()).expect("one");
    let mut lies = manifest.clone();
    lies["config"] = json!(place.store.image(&two, &here()).expect("one").manifest.config());
    let lies = place.add(MediaType::ImageManifest, lies.to_string().as_bytes());
    assert!(refused(&[named("lies", &lies)], &docker).contains("the image's config says"));
    place.store.remove(layer.digest()).expect("it was there");
    for format in [&docker, &Format::Oci] {
        assert!(refused(&[named("made", &one)], format).contains("has no blob"));
    }
}

#[test]
fn what_the_disk_has_changed_is_not_written_for_good() {
    let place = Place::new();
    let image = place.image(&MediaType::ImageLayer, &[layer("text")]);
    let digest = digest_of(&layer("text"));
    let mut bytes = layer("text");
    bytes[600] ^= 1;
    std::fs::write(place.store.path(&digest), bytes).expect("a disk that forgets");
    for format in [Format::Docker(here()), Format::Oci] {
        let error = save(&place.store, &[named("made", &image)], &format, Vec::new()).expect_err("it is another");
        assert!(error.to_string().starts_with(&digest.to_string()), "{error}");
    }
}

//! Archives as others write them.

use rootfs_fetch::image::{MediaType, digest_of, here};
use rootfs_fetch::layer::{Layer, Target};
use serde_json::json;

use crate::entries::{Entry, archive, directory, file, hardlink, symlink};
use crate::place::{
    Place, blob, config, descriptor, gzip, index_json, layer, layout, layout_of, manifest_json, names, zstd,
};

/// Loads these, and applies the one image that it finds.
fn text_of(entries: Vec<Entry>) -> String {
    let place = Place::new();
    let images = place.load(&archive(entries)).expect("an archive");
    assert_eq!(names(&images), ["made:1"]);
    place.store.tag("made:1", &images[0].1).expect("a name");
    let image = place.store.image(&images[0].1, &here()).expect("an image");
    let rootfs = place.path("store/rootfs");
    std::fs::create_dir(&rootfs).expect("a directory");
    for layer in image.layers {
        let applied = Layer::new(layer.descriptor.media_type().clone()).diff_id(layer.diff_id);
        let blob = place.store.blob(layer.descriptor.digest()).expect("a blob");
        applied.apply(blob, &Target::Flat(rootfs.clone()), &mut |_| {}).expect("a layer");
    }
    std::fs::read_to_string(rootfs.join("etc/text")).expect("its file")
}

/// What a version of `docker save` writes of an image with the layer twice, where the second is a link.
fn old_docker(link: Entry) -> Vec<Entry> {
    let layer = layer("old");
    let config = config(&[layer.clone(), layer.clone()]);
    let name = format!("{}.json", digest_of(config.as_bytes()).digest());
    vec![
        directory("1/"),
        file("1/VERSION", "1.0"),
        file("1/json", "{}"),
        file("1/layer.tar", &layer),
        directory("2/"),
        link,
        file(&name, &config),
        manifest_json(&name, &["made:1"], &["1/layer.tar", "2/layer.tar"]),
        file("repositories", "{}"),
    ]
}

#[test]
fn a_docker_archive_is_loaded_in_any_order_and_through_links() {
    for link in [
        symlink("2/layer.tar", "../1/layer.tar"),
        symlink("./2//layer.tar", "./../1/./layer.tar"),
        hardlink("2/layer.tar", "1/layer.tar"),
        file("2/layer.tar", layer("old")),
    ] {
        let mut entries = old_docker(link);
        assert_eq!(text_of(entries.clone()), "old");
        entries.reverse();
        assert_eq!(text_of(entries), "old");
    }
}

#[test]
fn layers_of_a_docker_archive_may_be_compressed() {
    let layer = layer("compressed");
    let config = config(std::slice::from_ref(&layer));
    for (bytes, kind) in [
        (layer.clone(), MediaType::ImageLayer),
        (gzip(&layer), MediaType::ImageLayerGzip),
        (zstd(&layer), MediaType::ImageLayerZstd),
    ] {
        let entries = vec![file("c", &config), file("l", &bytes), manifest_json("c", &["made:1"], &["l"])];
        let place = Place::new();
        let images = place.load(&archive(entries.clone())).expect("an archive");
        let image = place.store.image(&images[0].1, &here()).expect("an image");
        let found = &image.layers[0].descriptor;
        assert_eq!((found.media_type(), found.digest()), (&kind, &digest_of(&bytes)));
        assert_eq!(image.manifest.config().digest(), &digest_of(config.as_bytes()), "the image's id");
        assert_eq!(text_of(entries), "compressed");
    }
}

#[test]
fn all_images_and_all_their_names_are_told() {
    let place = Place::new();
    let config = config(&[]);
    let items = json!([
        {"Config": "c", "RepoTags": ["a:1", "a:2"], "Layers": null},
        {"Config": "c", "RepoTags": null, "Layers": []},
        {"Config": "c", "RepoTags": [], "Parent": "sha256:0"},
    ]);
    let bytes = archive([file("c", config), file("manifest.json", items.to_string())]);
    assert_eq!(names(&place.load(&bytes).expect("an archive")), ["a:1", "a:2", "-", "-"]);
}

#[test]
fn a_layout_is_loaded_with_its_manifest_as_it_is() {
    let (mut entries, entry) = layout_of(&layer("new"));
    let mut named = entry.clone();
    named["annotations"] = json!({"org.opencontainers.image.ref.name": "made:1", "kept": "yes"});
    entries.extend([directory("blobs"), directory("blobs/sha256"), layout(), index_json(&[named])]);
    let place = Place::new();
    let images = place.load(&archive(entries.clone())).expect("an archive");
    assert_eq!(images[0].1.digest().to_string(), entry["digest"]);
    assert_eq!(json!(images[0].1.annotations()), json!({"kept": "yes"}));
    assert_eq!(text_of(entries.clone()), "new");
    entries.reverse();
    assert_eq!(text_of(entries), "new");
}

/// What Docker writes since version 25: its own name has only the tag, and both lists are there.
#[test]
fn an_archive_of_both_kinds_is_a_layout_with_its_whole_name() {
    let bytes = layer("both");
    let (mut entries, mut entry) = layout_of(&bytes);
    let annotations =
        json!({"io.containerd.image.name": "docker.io/library/made:1", "org.opencontainers.image.ref.name": "1"});
    entry["annotations"] = annotations;
    let path = |bytes: &[u8]| format!("blobs/sha256/{}", digest_of(bytes).digest());
    let config = path(config(std::slice::from_ref(&bytes)).as_bytes());
    let docker = manifest_json(&config, &["made:1"], &[&path(&bytes)]);
    let place = Place::new();
    let alone = place.load(&archive(entries.iter().cloned().chain([docker.clone()]))).expect("a docker-archive");
    assert_eq!(names(&alone), ["made:1"]);
    entries.extend([index_json(&[entry.clone()]), docker, layout()]);
    let both = place.load(&archive(entries)).expect("an archive");
    assert_eq!(names(&both), ["docker.io/library/made:1"]);
    assert_eq!(both[0].1.digest().to_string(), entry["digest"]);
    assert_eq!(both[0].1.annotations(), &None);
}

#[test]
fn an_index_may_lack_platforms_but_not_all() {
    let (mut entries, manifest) = layout_of(&layer("one of two"));
    let missing = descriptor("application/vnd.oci.image.manifest.v1+json", b"elsewhere");
    let index = |entries: &[&serde_json::Value]| json!({"schemaVersion": 2, "manifests": entries}).to_string();
    let (some, none) = (index(&[&missing, &manifest]), index(&[&missing]));
    let kind = "application/vnd.oci.image.index.v1+json";
    entries.extend([blob(some.as_bytes()), blob(none.as_bytes()), layout()]);
    let load = |text: &str| {
        let list = index_json(&[descriptor(kind, text.as_bytes())]);
        Place::new().load(&archive(entries.iter().cloned().chain([list])))
    };
    assert_eq!(load(&some).expect("an archive").len(), 1);
    let error = load(&none).expect_err("nothing is there").to_string();
    assert!(error.contains(&digest_of(b"elsewhere").to_string()), "{error}");
}

#[test]
fn the_whole_file_may_be_compressed() {
    let (mut entries, entry) = layout_of(&layer("packed"));
    entries.extend([layout(), index_json(&[entry])]);
    let bytes = archive(entries);
    let place = Place::new();
    let plain = place.load(&bytes).expect("an archive");
    for packed in [gzip(&bytes), zstd(&bytes)] {
        assert_eq!(place.load(&packed).expect("an archive"), plain);
        // Its end too has to be there.
        let error = Place::new().load(&packed[..packed.len() - 1]).expect_err("it is cut off");
        assert!(error.to_string().starts_with("the archive can not be read"), "{error}");
    }
}

#[test]
fn what_the_store_has_need_not_be_there() {
    let (mut entries, entry) = layout_of(&layer("base"));
    let place = Place::new();
    entries.extend([layout(), index_json(&[entry])]);
    let images = place.load(&archive(entries.clone())).expect("an archive");
    let without: Vec<Entry> = entries.drain(1..).collect();
    assert_eq!(place.load(&archive(without.clone())).expect("the store has its config"), images);
    assert!(Place::new().load(&archive(without)).is_err());
}

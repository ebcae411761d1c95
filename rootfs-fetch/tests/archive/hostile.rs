//! Archives that nobody would write.

use rootfs_fetch::archive::{ArchiveError, Limits, load};
use rootfs_fetch::image::digest_of;
use rootfs_fetch::store::StoreError;
use serde_json::json;

use crate::entries::{Entry, archive, directory, file, hardlink, symlink};
use crate::place::{Place, blob, config, descriptor, gzip, index_json, layer, layout, layout_of, manifest_json, zstd};

/// A docker-archive whose layer has this entry.
fn docker(layer: Entry) -> Vec<Entry> {
    vec![file("c", config(&[self::layer("text")])), manifest_json("c", &["made:1"], &["l"]), layer]
}

fn good_layout() -> Vec<Entry> {
    let (mut entries, entry) = layout_of(&layer("text"));
    entries.extend([layout(), index_json(&[entry])]);
    entries
}

#[test]
fn names_and_links_that_lead_out_are_refused() {
    for (entry, why) in [
        (file("../l", "x"), "\"..\" in its name"),
        (file("a/../../l", "x"), "\"..\" in its name"),
        (directory("a/.."), "\"..\" in its name"),
        (file("/etc/passwd", "x"), "leads out"),
        (symlink("l", "/etc/passwd"), "leads out"),
        (symlink("l", "../store/index.json"), "leads out"),
        (symlink("a/l", "../../x"), "leads out"),
        (hardlink("l", "../x"), "leads out"),
        (hardlink("l", "/etc/passwd"), "leads out"),
        (Entry::new(b'0', "l").pax("path", "../../l"), "\"..\" in its name"),
        (file(b"\xff", "x"), "UTF-8"),
        (file("x".repeat(5000), "x"), "4095"),
        (Entry::new(b'6', "l"), "neither a file"),
        (Entry::new(b'3', "l"), "neither a file"),
    ] {
        let error = Place::new().refused(docker(entry));
        assert!(error.contains("refused") && error.contains(why), "{error}");
    }
}

#[test]
fn a_sparse_file_is_refused() {
    let header = Entry::new(b'S', "l").field(257, b"ustar  \0").field(483, b"00000001000\0");
    let error = Place::new().refused(docker(header));
    assert!(error.contains("holes"), "{error}");
}

#[test]
fn links_end_somewhere_or_are_refused() {
    for (entry, why) in [
        (symlink("l", "l"), "too many links"),
        (symlink("l", "missing"), "not in the archive"),
        (symlink("l", "manifest.json"), "neither a config nor a layer"),
    ] {
        let error = Place::new().refused(docker(entry));
        assert!(error.contains(why), "{error}");
    }
    let list = [file("c", config(&[])), file("m", "[]"), symlink("manifest.json", "m")];
    assert!(Place::new().refused(list).contains("it is a link"));
}

#[test]
fn what_is_there_twice_is_the_same() {
    let twice = |second: &str| docker(file("l", layer("text"))).into_iter().chain([file("./l", layer(second))]);
    assert!(Place::new().load(&archive(twice("text"))).is_ok());
    let error = Place::new().refused(twice("other"));
    assert!(error.contains("twice"), "{error}");
    let (one, two) = (json!({"schemaVersion": 2, "manifests": []}), json!([]));
    let error =
        Place::new().refused([layout(), file("index.json", one.to_string()), file("index.json", two.to_string())]);
    assert!(error.contains("twice"), "{error}");
}

#[test]
fn a_blob_is_what_it_is_called() {
    let place = Place::new();
    let digest = digest_of(b"right");
    let entries = [file(format!("blobs/sha256/{}", digest.digest()), "wrong")];
    let error = place.load(&archive(entries.clone())).expect_err("it is another");
    assert!(matches!(error, ArchiveError::Store(StoreError::Mismatch { .. })), "{error}");
    assert!(!place.store.has(&digest) && place.blobs() == 0);
    for name in ["blobs/sha256/../x", "blobs/sha256/x", "blobs/md5", "blobs/sha256/a/b"] {
        assert!(Place::new().refused([file(name, "x")]).contains("refused"), "{name}");
    }
    let unknown = format!("blobs/sha384/{}", "0".repeat(96));
    assert!(Place::new().refused([file(unknown, "x")]).contains("sha384"));
}

#[test]
fn sizes_types_and_missing_parts_are_seen() {
    let (blobs, entry) = layout_of(&layer("text"));
    let refused = |entry: serde_json::Value, drop: Option<usize>| {
        let mut entries: Vec<Entry> = blobs.clone();
        drop.map(|at| entries.remove(at));
        entries.extend([layout(), index_json(&[entry])]);
        Place::new().refused(entries)
    };
    for part in 0..3 {
        assert!(refused(entry.clone(), Some(part)).contains("has no blob"));
    }
    let mut longer = entry.clone();
    longer["size"] = json!(entry["size"].as_u64().expect("a size") + 1);
    assert!(refused(longer, None).contains("has no blob"));
    let mut index = entry.clone();
    index["mediaType"] = json!("application/vnd.oci.image.index.v1+json");
    assert!(refused(index, None).contains("announced as"));
}

#[test]
fn a_layer_is_the_one_of_its_config() {
    for bytes in [layer("other"), gzip(&layer("other")), zstd(&layer("other"))] {
        let error = Place::new().refused(docker(file("l", bytes)));
        assert!(error.contains("the image's config says"), "{error}");
    }
    let broken = gzip(&layer("text"));
    let error = Place::new().refused(docker(file("l", &broken[..broken.len() - 9])));
    assert!(error.contains("can not be read"), "{error}");
    let more = [file("c", config(&[])), file("l", "x"), manifest_json("c", &[], &["l"])];
    assert!(Place::new().refused(more).contains("0 diff_ids"));
}

#[test]
fn what_says_what_the_images_are_must_be_right() {
    let list = |text: &str| vec![file("c", config(&[])), file("manifest.json", text)];
    for (entries, why) in [
        (vec![], "manifest.json"),
        (vec![file("x", "x")], "manifest.json"),
        (vec![layout()], "index.json"),
        (good_layout().into_iter().filter(|entry| !entry.bytes().starts_with(b"oci-layout")).collect(), "oci-layout"),
        (vec![file("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#), index_json(&[])], "2.0.0"),
        (vec![layout(), index_json(&[])], "no images"),
        (list("[]"), "no images"),
        (list("{}"), "manifest.json"),
        (list(&"[".repeat(100_000)), "manifest.json"),
        (list(r#"[{"Config":"../c","Layers":[]}]"#), "leads out"),
        (list(r#"[{"Config":"x","Layers":[]}]"#), "not in the archive"),
        (list(r#"[{"Config":"c","RepoTags":["../x"],"Layers":[]}]"#), "can not be the name"),
        (list(r#"[{"Config":"c","RepoTags":["a\nb"],"Layers":[]}]"#), "can not be the name"),
        (list(&format!("[{}]", [r#"{"Config":"c"}"#; 1025].join(","))), "more images than the 1024"),
        (list(&" ".repeat((4 << 20) + 1)), "at most 4194304"),
    ] {
        let error = Place::new().refused(entries);
        assert!(error.contains(why) && error.len() < 1000 && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_name_is_that_of_one_image() {
    let (mut entries, one) = layout_of(&layer("one"));
    let (more, two) = layout_of(&layer("two"));
    let named = |mut entry: serde_json::Value| {
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": "same"});
        entry
    };
    entries.extend(more);
    entries.extend([layout(), index_json(&[named(one), named(two)])]);
    assert!(Place::new().refused(entries).contains("two images have the name \"same\""));
}

#[test]
fn a_large_list_is_not_read() {
    let place = Place::new();
    // The header announces a hundred megabytes, of which none follow.
    let list = Entry::new(b'0', "manifest.json").size(100 << 20);
    assert!(place.refused([list]).contains("104857600 bytes"));
}

#[test]
fn entries_and_bytes_are_counted() {
    let limited = |entries: Vec<Entry>, limits: Limits, pack: fn(&[u8]) -> Vec<u8>| {
        let place = Place::new();
        let loaded = load(&pack(&archive(entries))[..], &place.store, &limits);
        place.unharmed();
        loaded.expect_err("too much").to_string()
    };
    let many: Vec<Entry> = (0..=10_000).map(|number| directory(format!("{number}"))).collect();
    assert!(limited(many, Limits::default(), <[u8]>::to_vec).contains("more entries than the 10000"));
    let small = Limits { uncompressed: 1 << 20, ..Limits::default() };
    let zeros = vec![0; 2 << 20];
    for pack in [<[u8]>::to_vec, gzip, zstd] {
        let error = limited(vec![file("l", &zeros)], small, pack);
        assert!(error.contains("more uncompressed bytes than the 1048576"), "{error}");
    }
    // A layer that is small in the archive, and large when it is looked at.
    for pack in [gzip, zstd] {
        let error = limited(docker(file("l", pack(&zeros))), small, <[u8]>::to_vec);
        assert!(error.contains("more uncompressed bytes than the 1048576"), "{error}");
    }
}

#[test]
fn an_archive_within_an_archive_is_only_a_file() {
    let inner = archive(good_layout());
    let error = Place::new().refused([file("inner.tar", &inner)]);
    assert!(error.contains("manifest.json"), "{error}");
    // What a header calls data is not read as entries, whatever PAX says of its size.
    let smuggled = file("l", &inner).size(0).pax("size", inner.len().to_string());
    assert!(Place::new().refused([smuggled]).contains("manifest.json"));
    let other = file("l", &inner).pax("size", "0");
    assert!(Place::new().refused([other]).contains("another size"));
}

#[test]
fn a_tower_of_indexes_ends() {
    let (mut entries, mut entry) = layout_of(&layer("deep"));
    for _ in 0..4 {
        let index = json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
        entry = descriptor("application/vnd.oci.image.index.v1+json", index.as_bytes());
        entries.push(blob(index.as_bytes()));
    }
    entries.extend([layout(), index_json(&[entry])]);
    let error = Place::new().refused(entries);
    assert!(error.contains("an index in an index"), "{error}");
}

#[test]
fn cut_off_anywhere_it_is_refused_or_the_same() {
    for entries in [docker(file("l", layer("text"))), good_layout()] {
        let bytes = archive(entries);
        let whole = Place::new().load(&bytes).expect("an archive");
        let place = Place::new();
        // Around the ends of blocks everywhere, and within them here and there.
        for length in (0..bytes.len()).filter(|length| (length + 4) % 512 < 8 || length % 13 == 0) {
            if let Ok(images) = load(&bytes[..length], &place.store, &Limits::default()) {
                assert_eq!(images, whole, "after {length} of {} bytes", bytes.len());
            }
        }
        place.unharmed();
    }
}

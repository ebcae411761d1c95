//! What is pulled, in what order, and what is refused.

use rootfs_fetch::image::{Digest, MediaType, Mismatch, Platform, digest_of, here};
use rootfs_fetch::store::{MAX_CONFIG, StoreError};
use rootfs_fetch::transfer::{Event, Kind, Platforms, There, Transfer, TransferError, Trouble};
use serde_json::{Value, json};

use super::registry::{Image, Registry, bytes, descriptor, index};
use super::{Place, client, faults, hasty, watched};

fn three_layers() -> Image {
    Image::of(&[bytes(1000, 1), bytes(300_000, 2), bytes(20_000, 3)])
}

/// The machine's own platform, for entries.
fn own() -> (String, String) {
    (here().os().to_string(), here().architecture().to_string())
}

fn platform(architecture: &str) -> Platform {
    serde_json::from_value(json!({"os": "linux", "architecture": architecture})).expect("a platform")
}

#[test]
fn an_image_comes_and_gets_its_name_last() {
    let image = three_layers();
    let (registry, place) = (Registry::start().with(&image), Place::new());
    let (transfer, events) = watched();
    let pulled = transfer.jobs(1).pull(&client(), &registry.tag("v1"), &place.store, "name").expect("an image");
    place.has(&image);
    assert_eq!((pulled.descriptor, pulled.index), (image.descriptor(), None));
    assert_eq!((pulled.moved.blobs, pulled.moved.bytes, pulled.moved.there), (4, image.size(), 0));
    // The manifest, the config, and then the layers, the largest first.
    let begun: Vec<(Kind, Digest)> = events
        .lock()
        .expect("no panic")
        .iter()
        .filter_map(|event| match event {
            Event::Begun { item, from: 0 } => Some((item.kind, item.digest.clone())),
            _ => None,
        })
        .collect();
    let [low, middle, high] = [0, 1, 2].map(|number| (Kind::Layer, digest_of(&image.layers[number])));
    let manifest = (Kind::Manifest, digest_of(&image.manifest));
    assert_eq!(begun, [manifest, (Kind::Config, digest_of(&image.config)), middle, high, low]);
    assert!(events.lock().expect("no panic").contains(&Event::Planned { blobs: 4, bytes: image.size() }));
    let done = events.lock().expect("no panic").iter().filter(|event| matches!(event, Event::Done { .. })).count();
    assert_eq!(done, 5);
}

#[test]
fn what_is_there_is_not_asked_for() {
    let image = three_layers();
    let (registry, place) = (Registry::start().with(&image), Place::new());
    place.pull(&registry, "v1").expect("an image");
    let before = registry.server.lines().len();
    let (transfer, events) = watched();
    let again = transfer.pull(&client(), &registry.tag("v1"), &place.store, "other").expect("an image");
    assert_eq!((again.moved.blobs, again.moved.bytes, again.moved.there), (0, 0, 4));
    assert_eq!(registry.server.lines()[before..], ["HEAD /v2/team/app/manifests/v1"]);
    let there = |event: &&Event| matches!(event, Event::There { how: There::Already, .. });
    assert_eq!(events.lock().expect("no panic").iter().filter(there).count(), 5);
    // By its digest nobody has to be asked at all.
    let by_digest = registry.tag("v1").clone_with_digest(digest_of(&image.manifest).to_string());
    Transfer::new().pull(&client(), &by_digest, &place.store, "third").expect("an image");
    assert_eq!(registry.server.lines().len(), before + 1);
    // Another image with one layer more: only that comes, and the config.
    let more = Image::of(&[image.layers.clone(), vec![bytes(70, 4)]].concat());
    let registry = registry.with(&more);
    let pulled = place.pull(&registry, "v1").expect("an image");
    assert_eq!((pulled.moved.bytes, pulled.moved.there), (70 + more.config.len() as u64, 3));
    place.has(&more);
}

/// What went wrong, where it has to.
fn refused(registry: &Registry, platforms: Platforms) -> TransferError {
    let place = Place::new();
    let transfer = Transfer::new().platforms(platforms);
    let error = transfer.pull(&hasty(), &registry.tag("v1"), &place.store, "name").expect_err("refused");
    place.has_no_name();
    assert!(error.what.ends_with(&registry.tag("v1").whole()), "{error}");
    error
}

fn own_platform() -> Platforms {
    Platforms::One(here())
}

#[test]
fn of_an_index_the_manifest_for_the_platform_comes_alone() {
    let (ours, theirs) = (three_layers(), Image::of(&[bytes(500, 9)]));
    let (os, architecture) = own();
    let mut entry = ours.entry(&os, &architecture);
    entry["platform"]["features"] = json!(["very", "many"]);
    entry["annotations"] = json!({"very": "long"});
    let index = index(&[theirs.entry("linux", "mips"), entry]);
    let registry = Registry::start().with(&ours).with(&theirs);
    registry.shelf().tag("v1", &index);
    let place = Place::new();
    let pulled = place.pull(&registry, "v1").expect("an image");
    assert_eq!(pulled.index, Some(digest_of(&index)));
    assert_eq!(pulled.descriptor.platform().as_ref().map(|it| it.architecture().to_string()), Some(architecture));
    place.has(&ours);
    let named = place.store.resolve("name").expect("an index").expect("a name");
    // Into index.json goes what says which manifest it is, and no more.
    assert!(named.platform().as_ref().is_some_and(|platform| platform.features().is_none()));
    assert_eq!(named.annotations().as_ref().map(std::collections::HashMap::len), Some(1));
    assert!(!place.store.has(&digest_of(&index)) && !place.store.has(&digest_of(&theirs.manifest)));
    let mips = Transfer::new().platforms(Platforms::One(platform("mips")));
    mips.pull(&client(), &registry.tag("v1"), &place.store, "name").expect("an image");
    place.has(&theirs);
}

#[test]
fn all_of_an_index_comes_with_it() {
    let images = [three_layers(), Image::of(&[bytes(500, 9)])];
    let inner = index(&[images[1].entry("linux", "mips"), images[0].entry("linux", "arm")]);
    let mut entry = json!(descriptor(MediaType::ImageIndex, &inner));
    entry["annotations"] = json!({"long": "x".repeat(100)});
    // What is in it twice comes once.
    let outer = index(&[images[0].entry("linux", "arm"), entry.clone(), entry]);
    let registry = Registry::start().with(&images[0]).with(&images[1]);
    registry.shelf().document(&inner);
    registry.shelf().tag("v1", &outer);
    let place = Place::new();
    let all = Transfer::new().platforms(Platforms::All);
    let pulled = all.pull(&client(), &registry.tag("v1"), &place.store, "name").expect("an index");
    assert_eq!((pulled.descriptor.digest(), pulled.index), (&digest_of(&outer), None));
    assert_eq!(pulled.moved.bytes, images.iter().map(Image::size).sum::<u64>());
    assert_eq!(faults(&place.store), Vec::<String>::new());
    let named = place.store.resolve("name").expect("an index").expect("a name");
    for (image, architecture) in images.iter().zip(["arm", "mips"]) {
        let found = place.store.image(&named, &platform(architecture)).expect("an image");
        assert_eq!(*found.descriptor.digest(), digest_of(&image.manifest));
        assert!(found.layers.iter().all(|layer| place.store.has(layer.descriptor.digest())));
    }
    // One of them is found in the inner index too.
    let one = Transfer::new().platforms(Platforms::One(platform("mips")));
    let registry = Registry::start().with(&images[1]);
    registry.shelf().document(&inner);
    registry.shelf().tag("v1", &index(&[json!(descriptor(MediaType::ImageIndex, &inner))]));
    let other = Place::new();
    let pulled = one.pull(&client(), &registry.tag("v1"), &other.store, "name").expect("an image");
    assert_eq!(pulled.index, registry.shelf().manifests.get("v1").map(|outer| digest_of(outer)));
    other.has(&images[1]);
    // And from store to store.
    let copied = Place::new();
    all.copy(&place.store, &named, &copied.store, "name").expect("an index");
    assert_eq!(copied.store.resolve("name").expect("an index").expect("a name").digest(), named.digest());
    assert_eq!(faults(&copied.store), Vec::<String>::new());
    one.copy(&place.store, &named, &copied.store, "name").expect("an image");
    copied.has(&images[1]);
}

#[test]
fn a_platform_that_is_missing_is_told_with_those_on_offer() {
    let image = three_layers();
    let entries = [("linux", "s390x"), ("linux", "mips"), ("linux", "mips"), ("linux", "\u{1b}[2J")];
    let entries: Vec<Value> = entries.iter().map(|(os, architecture)| image.entry(os, architecture)).collect();
    let registry = Registry::start().with(&image);
    registry.shelf().tag("v1", &index(&entries));
    let error = refused(&registry, Platforms::One(platform("riscv64"))).to_string();
    let why = r#"there is no image for linux/riscv64, but for "linux/\u{1b}[2J", linux/mips, linux/s390x"#;
    assert!(error.ends_with(why), "{error}");
    let many: Vec<Value> = (0..50).map(|number| image.entry("linux", &format!("a{number}"))).collect();
    registry.shelf().tag("v1", &index(&many));
    assert!(refused(&registry, own_platform()).to_string().ends_with(", 10 more"));
    registry.shelf().tag("v1", &index(&[]));
    assert!(refused(&registry, own_platform()).to_string().ends_with("but for none at all"));
}

#[test]
fn towers_and_crowds_of_documents_are_refused() {
    let image = three_layers();
    let registry = Registry::start().with(&image);
    let mut entry = json!(image.descriptor());
    for _ in 0..4 {
        let index = index(&[entry]);
        registry.shelf().tag("v1", &index);
        entry = json!(descriptor(MediaType::ImageIndex, &index));
    }
    for platforms in [own_platform(), Platforms::All] {
        let error = refused(&registry, platforms);
        assert!(matches!(error.why, Trouble::TooLarge { limit: 4, .. }), "{error}");
        assert_eq!(registry.gets(&image.config), 0);
    }
    let crowd: Vec<Value> = (0..1024)
        .map(|number| {
            let one =
                Image::changed(&[], |_, manifest| manifest["annotations"] = json!({"number": number.to_string()}));
            registry.shelf().put(&one);
            json!(one.descriptor())
        })
        .collect();
    registry.shelf().tag("v1", &index(&crowd));
    let error = refused(&registry, Platforms::All);
    assert!(matches!(error.why, Trouble::TooLarge { limit: 1024, .. }), "{error}");
    let long = |number: &str| {
        let long = Image::changed(&[], |_, manifest| manifest["annotations"] = json!({number: "x".repeat(4_000_000)}));
        registry.shelf().put(&long);
        json!(long.descriptor())
    };
    let heavy = index(&["1", "2", "3", "4", "5", "6", "7", "8", "9"].map(long));
    registry.shelf().tag("v1", &heavy);
    let error = refused(&registry, Platforms::All);
    assert!(matches!(error.why, Trouble::TooLarge { limit: 0x200_0000, .. }), "{error}");
}

/// No bytes have a digest that is in them; a registry may say so all the same.
#[test]
fn an_index_that_contains_itself_is_refused() {
    let registry = Registry::start();
    let named = digest_of(b"itself");
    let mut entry = json!(descriptor(MediaType::ImageIndex, b"itself"));
    // As long as it is itself.
    for _ in 0..2 {
        entry["size"] = json!(index(&[entry.clone()]).len());
    }
    let itself = index(&[entry]);
    registry.shelf().tag("v1", &itself);
    registry.shelf().manifests.insert(named.to_string(), itself);
    for platforms in [own_platform(), Platforms::All] {
        let error = refused(&registry, platforms);
        assert!(error.to_string().contains("the digest is "), "{error}");
    }
}

#[test]
fn documents_of_another_size_are_refused() {
    let image = three_layers();
    let registry = Registry::start().with(&image);
    for (change, long) in [(-1, true), (1, false)] {
        let mut entry = json!(image.descriptor());
        entry["size"] = json!(image.manifest.len() as i64 + change);
        registry.shelf().tag("v1", &index(&[entry]));
        match refused(&registry, own_platform()).why {
            Trouble::Mismatch(Mismatch::Long(_)) => assert!(long),
            Trouble::Mismatch(Mismatch::Short { .. }) => assert!(!long),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn ten_thousand_layers_are_refused() {
    let layer = json!(descriptor(MediaType::ImageLayer, b"x"));
    let image = Image::changed(&[], |_, manifest| manifest["layers"] = json!(vec![layer; 10_000]));
    let registry = Registry::start().with(&image);
    let error = refused(&registry, own_platform()).to_string();
    assert!(error.ends_with("it has 10000 entries; at most 1024 are taken"), "{error}");
    assert_eq!(registry.gets(&image.config), 0);
}

#[test]
fn a_config_that_does_not_fit_is_seen_before_the_layers_come() {
    let layers = [bytes(1000, 1), bytes(2000, 2)];
    for (change, why) in [(json!([]), "0 diff_ids, and the manifest 2 layers"), (json!(["x", "y"]), "\"x\"")] {
        let image = Image::changed(&layers, |config, _| config["rootfs"]["diff_ids"] = change.clone());
        let registry = Registry::start().with(&image);
        for platforms in [own_platform(), Platforms::All] {
            let error = refused(&registry, platforms);
            assert!(matches!(error.why, Trouble::Store(StoreError::Config { .. })), "{error}");
            assert!(error.to_string().contains(why) && error.what.starts_with("config sha256:"), "{error}");
        }
        assert_eq!((registry.gets(&layers[0]), registry.gets(&layers[1])), (0, 0));
    }
    let image = Image::changed(&layers, |_, manifest| {
        manifest["config"] = json!(descriptor(MediaType::ImageConfig, b"x"));
        manifest["config"]["size"] = json!(MAX_CONFIG + 1);
    });
    let registry = Registry::start().with(&image);
    let error = refused(&registry, own_platform());
    assert!(matches!(error.why, Trouble::TooLarge { limit: MAX_CONFIG, .. }), "{error}");
    assert!(registry.server.lines().iter().all(|line| !line.contains("/blobs/")));
}

#[test]
fn what_is_no_image_comes_only_as_it_is() {
    let statement = bytes(200, 1);
    let artifact = Image::changed(&[], |_, manifest| {
        manifest["config"] = json!(descriptor(MediaType::EmptyJSON, b"{}"));
        manifest["layers"] = json!([descriptor("application/vnd.in-toto+json".into(), &statement)]);
    });
    let registry = Registry::start();
    for blob in [&statement, &b"{}".to_vec()] {
        registry.shelf().blobs.insert(digest_of(blob).to_string(), blob.clone());
    }
    registry.shelf().tag("v1", &artifact.manifest);
    let error = refused(&registry, own_platform());
    assert!(matches!(&error.why, Trouble::MediaType(kind) if kind == "application/vnd.in-toto+json"), "{error}");
    let place = Place::new();
    let all = Transfer::new().platforms(Platforms::All);
    all.pull(&client(), &registry.tag("v1"), &place.store, "name").expect("an artifact");
    assert!(place.store.has(&digest_of(&statement)) && place.store.has(&digest_of(b"{}")));
}

/// An index may have entries of kinds that were made up later.
#[test]
fn what_nobody_knows_yet_comes_along_with_its_index() {
    let (image, letter) = (three_layers(), b"dear reader".to_vec());
    let (os, architecture) = own();
    let index = index(&[json!(descriptor("text/plain".into(), &letter)), image.entry(&os, &architecture)]);
    let registry = Registry::start().with(&image);
    registry.shelf().document(&letter);
    registry.shelf().tag("v1", &index);
    let place = Place::new();
    let all = Transfer::new().platforms(Platforms::All);
    let pulled = all.pull(&client(), &registry.tag("v1"), &place.store, "name").expect("an index");
    assert!(place.store.has(&digest_of(&letter)));
    let other = Registry::start();
    all.push(&client(), &place.store, &pulled.descriptor, &other.tag("v1")).expect("pushed");
    assert_eq!(other.shelf().manifests[&digest_of(&letter).to_string()], letter);
    // For a platform that only it could be for, it is no image.
    let error = refused(&registry, Platforms::One(platform("mips")));
    assert!(error.to_string().ends_with("text/plain is not a kind of manifest that is read here"), "{error}");
}

#[test]
fn a_manifest_that_the_disk_has_changed_comes_anew() {
    let image = three_layers();
    let (registry, place) = (Registry::start().with(&image), Place::new());
    place.pull(&registry, "v1").expect("an image");
    let mut wrong = image.manifest.clone();
    wrong[20] ^= 1;
    std::fs::write(place.store.path(&digest_of(&image.manifest)), wrong).expect("a broken manifest");
    assert_eq!(place.pull(&registry, "v1").expect("an image").moved.bytes, 0);
    place.has(&image);
}

#[test]
fn a_layer_that_is_elsewhere_is_only_taken_from_the_store() {
    let layers = [bytes(1000, 1), bytes(2000, 2)];
    let image = Image::changed(&layers, |_, manifest| {
        manifest["layers"][1]["urls"] = json!(["https://elsewhere.example/layer"]);
    });
    let registry = Registry::start().with(&image);
    let error = refused(&registry, own_platform());
    let named = format!("layer {} of {}", digest_of(&layers[1]), registry.tag("v1"));
    assert_eq!(error.what, named);
    assert!(matches!(&error.why, Trouble::Elsewhere(url) if url == "https://elsewhere.example/layer"), "{error}");
    let place = Place::new();
    place.store.add(&layers[1]).expect("space");
    place.pull(&registry, "v1").expect("an image");
    place.has(&image);
    assert_eq!(registry.gets(&layers[1]), 0);
}

#[test]
fn what_announces_more_than_is_allowed_is_refused_before_it_comes() {
    let image = three_layers();
    let registry = Registry::start().with(&image);
    let place = Place::new();
    let pull = |limit| Transfer::new().limit(limit).pull(&client(), &registry.tag("v1"), &place.store, "name");
    let error = pull(image.size() - 1).expect_err("too much");
    assert!(matches!(error.why, Trouble::TooLarge { .. }) && error.to_string().contains("bytes"), "{error}");
    assert!(registry.server.lines().iter().all(|line| !line.contains("/blobs/")));
    pull(image.size()).expect("just not too much");
    // Sizes whose sum is more than any number.
    let huge = Image::changed(&[bytes(10, 1), bytes(20, 2)], |_, manifest| {
        manifest["layers"][0]["size"] = json!(i64::MAX);
        manifest["layers"][1]["size"] = json!(i64::MAX);
    });
    let error = refused(&registry.with(&huge), own_platform());
    assert!(matches!(error.why, Trouble::TooLarge { .. }), "{error}");
}

#[test]
fn a_name_that_can_not_be_given_is_refused_before_anything_comes() {
    let registry = Registry::start().with(&three_layers());
    let place = Place::new();
    let pulled = Transfer::new().pull(&client(), &registry.tag("v1"), &place.store, "a name");
    let error = pulled.expect_err("not a name");
    assert!(matches!(error.why, Trouble::Store(StoreError::Name { .. })), "{error}");
    assert_eq!(registry.server.lines(), Vec::<String>::new());
}

#[test]
fn an_image_that_is_not_there_is_told_in_the_registrys_words() {
    let error = refused(&Registry::start(), own_platform());
    assert!(error.to_string().ends_with("MANIFEST_UNKNOWN"), "{error}");
    let image = three_layers();
    let registry = Registry::start().with(&image);
    registry.shelf().blobs.remove(&digest_of(&image.layers[1]).to_string());
    let error = refused(&registry, own_platform());
    assert_eq!(error.what, format!("layer {} of {}", digest_of(&image.layers[1]), registry.tag("v1")));
    assert!(error.to_string().ends_with("BLOB_UNKNOWN"), "{error}");
}

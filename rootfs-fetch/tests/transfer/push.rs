//! What is pushed, in what order, and what need not be.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rootfs_fetch::Cancel;
use rootfs_fetch::client::{Client, ClientError, Options};
use rootfs_fetch::image::{Descriptor, DocumentError, MediaType, digest_of};
use rootfs_fetch::store::StoreError;
use rootfs_fetch::transfer::{Event, Platforms, Pushed, There, Transfer, TransferError, Trouble};
use serde_json::{Value, json};

use super::registry::{Image, Registry, bytes, descriptor, index};
use super::server::Reply;
use super::{Place, client, hasty, options, watched};

impl Place {
    fn push(&self, descriptor: &Descriptor, registry: &Registry, tag: &str) -> Result<Pushed, TransferError> {
        Transfer::new().push(&client(), &self.store, descriptor, &registry.tag(tag))
    }
}

fn two_layers() -> Image {
    Image::of(&[bytes(1000, 1), bytes(30_000, 2)])
}

/// What a request changes, and what of.
fn changes(registry: &Registry) -> Vec<String> {
    let lines = registry.server.lines();
    lines.into_iter().filter(|line| line.starts_with("PUT")).map(|line| line.replace("PUT /v2/team/app/", "")).collect()
}

#[test]
fn blobs_go_first_and_a_second_push_moves_none() {
    let image = two_layers();
    let (registry, place) = (Registry::start(), Place::with(&image));
    let (transfer, events) = watched();
    let pushed = transfer.push(&client(), &place.store, &image.descriptor(), &registry.tag("v1")).expect("pushed");
    assert_eq!(pushed.descriptor, image.descriptor());
    assert_eq!((pushed.moved.blobs, pushed.moved.bytes, pushed.moved.there), (3, image.size(), 0));
    let put = changes(&registry);
    assert_eq!(put.len(), 4, "{put:?}");
    assert!(put[..3].iter().all(|line| line.starts_with("blobs/uploads/")) && put[3] == "manifests/v1", "{put:?}");
    assert!(events.lock().expect("no panic").contains(&Event::Planned { blobs: 3, bytes: image.size() }));
    let (again, events) = watched();
    let again = again.push(&client(), &place.store, &image.descriptor(), &registry.tag("v2")).expect("pushed");
    assert_eq!((again.moved.blobs, again.moved.bytes, again.moved.there), (0, 0, 3));
    assert_eq!(changes(&registry)[4..], ["manifests/v2"]);
    let there = |event: &&Event| matches!(event, Event::There { how: There::Already, .. });
    assert_eq!(events.lock().expect("no panic").iter().filter(there).count(), 3);
    // And it comes back as it went.
    let other = Place::new();
    other.pull(&registry, "v2").expect("an image");
    other.has(&image);
}

#[test]
fn blobs_are_taken_from_other_repositories_where_that_is_known() {
    let image = two_layers();
    let registry = Registry::faulty(|request, _, reply| match request.target.contains("from=team/secret") {
        true => Reply::new(403),
        false => reply,
    });
    let place = Place::with(&image);
    let base = format!("team/base {}", digest_of(&image.layers[1]));
    registry.shelf().blobs.insert(base, image.layers[1].clone());
    let (transfer, events) = watched();
    let others = ["team/app", "team/secret", "team/other", "team/base"].map(str::to_owned);
    let transfer = transfer.mount_from(others.to_vec());
    let pushed = transfer.push(&client(), &place.store, &image.descriptor(), &registry.tag("v1")).expect("pushed");
    let moved = pushed.moved;
    assert_eq!((moved.blobs, moved.mounted, moved.bytes), (2, 1, image.size() - image.layers[1].len() as u64));
    let mounted = There::Mounted("team/base".into());
    let tells = |event: &Event| matches!(event, Event::There { how, .. } if *how == mounted);
    assert!(events.lock().expect("no panic").iter().any(tells));
    assert!(!registry.server.lines().iter().any(|line| line.contains("from=team/app")));
}

#[test]
fn of_an_index_what_is_wanted_is_pushed_the_index_last() {
    let (one, other) = (two_layers(), Image::of(&[bytes(500, 9)]));
    let place = Place::with(&one).and(&other);
    let add = |bytes: &[u8]| -> Value {
        place.store.add(bytes).expect("space");
        json!(descriptor(MediaType::ImageIndex, bytes))
    };
    let inner = index(&[other.entry("linux", "mips"), one.entry("linux", "arm")]);
    // The first of its entries is wanted by the second too.
    let outer = index(&[other.entry("linux", "mips"), add(&inner)]);
    let outer: Descriptor = serde_json::from_value(add(&outer)).expect("a descriptor");
    let registry = Registry::start();
    let push = |platforms, tag| {
        Transfer::new().platforms(platforms).push(&client(), &place.store, &outer, &registry.tag(tag)).expect("pushed")
    };
    let all = push(Platforms::All, "all");
    assert_eq!(all.descriptor.digest(), outer.digest());
    let manifests: Vec<_> = changes(&registry).into_iter().filter(|line| line.starts_with("manifests")).collect();
    let by_digest = |bytes: &[u8]| format!("manifests/{}", digest_of(bytes));
    assert_eq!(
        manifests,
        [by_digest(&other.manifest), by_digest(&one.manifest), by_digest(&inner), "manifests/all".into()]
    );
    let arm = serde_json::from_value(json!({"os": "linux", "architecture": "arm"})).expect("a platform");
    let chosen = push(Platforms::One(arm), "one");
    assert_eq!((chosen.descriptor.digest(), chosen.moved.blobs), (&digest_of(&one.manifest), 0));
    assert_eq!(registry.shelf().manifests["one"], one.manifest);
    let copied = Place::new();
    let transfer = Transfer::new().platforms(Platforms::All);
    transfer.pull(&client(), &registry.tag("all"), &copied.store, "name").expect("an index");
    assert_eq!(copied.store.resolve("name").expect("an index").expect("a name").digest(), outer.digest());
}

#[test]
fn what_the_store_has_not_is_known_before_anything_goes() {
    let image = two_layers();
    let (registry, place) = (Registry::start(), Place::with(&image));
    place.store.remove(&digest_of(&image.layers[0])).expect("a blob");
    let error = place.push(&image.descriptor(), &registry, "v1").expect_err("a layer is missing");
    assert_eq!(error.what, format!("layer {} of {}", digest_of(&image.layers[0]), registry.tag("v1")));
    assert!(matches!(error.why, Trouble::Store(StoreError::NoBlob(_))), "{error}");
    place.store.remove(&digest_of(&image.manifest)).expect("a blob");
    let error = place.push(&image.descriptor(), &registry, "v1").expect_err("no manifest");
    assert!(matches!(error.why, Trouble::Store(StoreError::NoBlob(_))), "{error}");
    assert_eq!(registry.server.lines(), Vec::<String>::new());
}

#[test]
fn layers_that_registries_need_not_have_stay_here() {
    let image = Image::changed(&[bytes(1000, 1), bytes(2000, 2)], |_, manifest| {
        manifest["layers"][1]["urls"] = json!(["https://elsewhere.example/layer"]);
    });
    let (registry, place) = (Registry::start(), Place::with(&image));
    place.push(&image.descriptor(), &registry, "v1").expect("pushed");
    let has = |blob: &[u8]| registry.shelf().blobs.contains_key(&digest_of(blob).to_string());
    assert!(has(&image.config) && has(&image.layers[0]) && !has(&image.layers[1]));
}

#[test]
fn whatever_answer_is_lost_the_image_arrives() {
    let image = Image::of(&[bytes(100, 1), bytes(90, 2)]);
    let chunks = || Client::new(Options { chunk: 40, ..options() }).expect("a client");
    let requests = {
        let (registry, place) = (Registry::start(), Place::with(&image));
        let transfer = Transfer::new();
        transfer.push(&chunks(), &place.store, &image.descriptor(), &registry.tag("v1")).expect("pushed");
        registry.server.lines().len()
    };
    assert!(requests > 12, "each layer goes in chunks");
    for lost in 0..requests {
        for fault in [Reply::gone(), Reply::new(503), Reply::new(429)] {
            let registry = Registry::faulty(move |_, number, reply| if number == lost { fault.clone() } else { reply });
            let place = Place::with(&image);
            let pushed = Transfer::new().push(&chunks(), &place.store, &image.descriptor(), &registry.tag("v1"));
            pushed.unwrap_or_else(|error| panic!("answer {lost} lost: {error}\n{:?}", registry.server.lines()));
            assert_eq!(registry.shelf().manifests["v1"], image.manifest);
            for blob in image.layers.iter().chain([&image.config]) {
                assert_eq!(registry.shelf().blobs[&digest_of(blob).to_string()], *blob);
            }
        }
    }
}

#[test]
fn what_the_disk_has_changed_is_not_taken() {
    let image = two_layers();
    let (registry, place) = (Registry::start(), Place::with(&image));
    fs::write(place.store.path(&digest_of(&image.layers[1])), bytes(30_000, 3)).expect("other bytes");
    let error = place.push(&image.descriptor(), &registry, "v1").expect_err("other bytes");
    assert!(error.to_string().ends_with("DIGEST_INVALID"), "{error}");
    assert!(error.what.starts_with("layer ") && !registry.shelf().manifests.contains_key("v1"), "{error}");
}

#[test]
fn a_push_that_is_cancelled_has_no_tag() {
    let image = two_layers();
    let (registry, place, cancel) = (Registry::start(), Place::with(&image), Cancel::default());
    let asked = cancel.clone();
    let tell = move |event: &Event| {
        if matches!(event, Event::Moved { .. }) {
            asked.cancel();
        }
    };
    let transfer = Transfer::new().jobs(1).cancel(cancel).progress(Arc::new(tell));
    let chunks = Client::new(Options { chunk: 1000, ..options() }).expect("a client");
    let error = transfer.push(&chunks, &place.store, &image.descriptor(), &registry.tag("v1"));
    let error = error.expect_err("cancelled");
    assert!(matches!(error.why, Trouble::Cancelled), "{error}");
    // Of thirty chunks.
    let chunks = registry.server.lines().iter().filter(|line| line.starts_with("PATCH")).count();
    assert!(chunks <= 2, "{:?}", registry.server.lines());
    assert!(registry.shelf().manifests.is_empty());
    place.push(&image.descriptor(), &registry, "v1").expect("pushed");
    assert_eq!(registry.shelf().manifests["v1"], image.manifest);
}

#[test]
fn a_registry_that_has_another_digest_is_told() {
    let image = two_layers();
    let (registry, place) = (Registry::start(), Place::with(&image));
    let other = registry.tag("v1").clone_with_digest(digest_of(b"other").to_string());
    let error = Transfer::new().push(&client(), &place.store, &image.descriptor(), &other).expect_err("another");
    assert!(matches!(error.why, Trouble::Client(ClientError::Mismatch { .. })), "{error}");
    let own = registry.tag("v1").clone_with_digest(digest_of(&image.manifest).to_string());
    Transfer::new().push(&client(), &place.store, &image.descriptor(), &own).expect("pushed");
    assert_eq!(registry.shelf().manifests[&digest_of(&image.manifest).to_string()], image.manifest);
}

#[test]
fn the_first_refusal_ends_the_push() {
    let image = Image::of(&(1..9).map(|number| bytes(100 * number, number)).collect::<Vec<_>>());
    let count = AtomicUsize::new(0);
    let registry = Registry::faulty(move |request, _, reply| match request.method.as_str() {
        "POST" if count.fetch_add(1, Ordering::SeqCst) > 1 => Reply::new(403).body(r#"{"errors":[{"code":"DENIED"}]}"#),
        _ => reply,
    });
    let place = Place::with(&image);
    let (transfer, events) = watched();
    let transfer = transfer.jobs(1);
    let error = transfer.push(&hasty(), &place.store, &image.descriptor(), &registry.tag("v1")).expect_err("denied");
    assert!(error.to_string().ends_with("DENIED"), "{error}");
    let begun = |event: &&Event| matches!(event, Event::Begun { .. });
    assert_eq!(events.lock().expect("no panic").iter().filter(begun).count(), 3);
    assert!(!registry.shelf().manifests.contains_key("v1"));
}

/// A document about an image, with these annotations.
fn about(image: &Image, note: &str) -> Image {
    Image::changed(&[bytes(10, 1)], |_, manifest| {
        manifest["subject"] = json!(image.descriptor());
        manifest["artifactType"] = json!("application/vnd.example.note");
        manifest["annotations"] = json!({"note": note});
    })
}

/// The tag under which the referrers of an image are listed.
fn list_of(image: &Image) -> String {
    digest_of(&image.manifest).to_string().replace(':', "-")
}

#[test]
fn who_refers_to_an_image_is_listed_where_the_registry_does_not() {
    let image = two_layers();
    let registry = Registry::start();
    let notes = ["one", "two"].map(|note| about(&image, note));
    let place = notes.iter().fold(Place::with(&image), Place::and);
    assert_eq!(place.push(&image.descriptor(), &registry, "v1").expect("pushed").referrers, 0);
    assert_eq!(place.push(&notes[0].descriptor(), &registry, "n1").expect("pushed").referrers, 1);
    // What others have put into the list stays.
    let list = registry.shelf().manifests[&list_of(&image)].clone();
    let mut list: Value = serde_json::from_slice(&list).expect("JSON");
    list["later"] = json!({"a": "b"});
    registry.shelf().tag(&list_of(&image), list.to_string().as_bytes());
    assert_eq!(place.push(&notes[1].descriptor(), &registry, "n2").expect("pushed").referrers, 1);
    // Once is enough.
    assert_eq!(place.push(&notes[1].descriptor(), &registry, "n3").expect("pushed").referrers, 0);
    let list: Value = serde_json::from_slice(&registry.shelf().manifests[&list_of(&image)]).expect("JSON");
    assert_eq!((&list["later"]["a"], &list["mediaType"]), (&json!("b"), &json!(MediaType::ImageIndex)));
    let entry = |note: &Image| {
        let mut entry = json!(note.descriptor());
        let manifest: Value = serde_json::from_slice(&note.manifest).expect("JSON");
        entry["artifactType"] = json!("application/vnd.example.note");
        entry["annotations"] = manifest["annotations"].clone();
        entry
    };
    assert_eq!(list["manifests"], json!([entry(&notes[0]), entry(&notes[1])]));
    let found = client().referrers(&registry.tag("v1"), &digest_of(&image.manifest), None).expect("a list");
    assert_eq!(found.len(), 2);
}

#[test]
fn a_registry_that_lists_referrers_is_left_to_do_it() {
    let image = two_layers();
    let registry =
        Registry::faulty(|request, _, reply| match request.line().starts_with("PUT /v2/team/app/manifests") {
            true => reply.header("OCI-Subject", "sha256:of-the-image"),
            false => reply,
        });
    let note = about(&image, "one");
    let place = Place::with(&note);
    assert_eq!(place.push(&note.descriptor(), &registry, "n1").expect("pushed").referrers, 0);
    assert!(!registry.shelf().manifests.contains_key(&list_of(&image)));
}

#[test]
fn a_list_of_referrers_that_is_none_is_left_alone_and_one_that_is_lost_is_put_again() {
    let image = two_layers();
    let note = about(&image, "one");
    let place = Place::with(&note);
    let registry = Registry::start();
    registry.shelf().tag(&list_of(&image), &image.manifest);
    let error = place.push(&note.descriptor(), &registry, "n1").expect_err("a manifest");
    assert!(matches!(error.why, Trouble::Document(DocumentError::OtherType { .. })), "{error}");
    assert_eq!(registry.shelf().manifests[&list_of(&image)], image.manifest);
    // Another puts its own list there: the first time, and each time.
    for lost in [1, usize::MAX] {
        let (count, tag) = (AtomicUsize::new(0), list_of(&image));
        let registry = Registry::faulty(move |request, _, reply| {
            let put = request.line() == format!("PUT /v2/team/app/manifests/{tag}");
            match request.line() == format!("GET /v2/team/app/manifests/{tag}") {
                _ if put => {
                    count.fetch_add(1, Ordering::SeqCst);
                    reply
                }
                true if (1..=lost).contains(&count.load(Ordering::SeqCst)) => Reply::new(404),
                _ => reply,
            }
        });
        match place.push(&note.descriptor(), &registry, "n1") {
            Ok(pushed) => assert_eq!((lost, pushed.referrers), (1, 1)),
            Err(error) => assert!(lost > 1 && error.to_string().contains("all the time"), "{error}"),
        }
    }
}

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

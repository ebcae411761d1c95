//! Connections that break, registries that lie or are busy, and those who have had enough.

use std::fs::{self, File};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rootfs_fetch::Cancel;
use rootfs_fetch::client::{Client, ClientError, Options, Refusal, Retry, Timeouts};
use rootfs_fetch::image::digest_of;
use rootfs_fetch::store::StoreError;
use rootfs_fetch::transfer::{Event, Transfer, Trouble};

use super::registry::{Image, Registry, bytes};
use super::server::{Reply, Request};
use super::{DEADLINE, Place, asks_for, client, faults, hasty, once, options, wait_until};

#[test]
fn a_pull_that_is_cut_at_any_byte_goes_on_there() {
    let layer = bytes(53, 1);
    let image = Image::of(std::slice::from_ref(&layer));
    for at in 0..layer.len() {
        let (count, cut) = (AtomicUsize::new(0), layer.clone());
        let registry = Registry::faulty(
            move |request, _, reply| {
                if asks_for(request, &cut) && once(&count) { reply.cut(at) } else { reply }
            },
        );
        let (registry, place) = (registry.with(&image), Place::new());
        let pull = || Transfer::new().pull(&hasty(), &registry.tag("v1"), &place.store, "name");
        let error = pull().expect_err("cut");
        assert_eq!(error.what, format!("layer {} of {}", digest_of(&layer), registry.tag("v1")), "{error}");
        place.has_no_name();
        assert_eq!(fs::metadata(place.partial(&layer)).expect("a part").len(), at as u64);
        let pulled = pull().expect("an image");
        assert_eq!((pulled.moved.bytes, pulled.moved.there), (53 - at as u64, 1), "cut after {at}");
        let offsets: Vec<_> =
            registry.server.seen().iter().filter(|one| asks_for(one, &layer)).map(Request::offset).collect();
        assert_eq!(offsets, [None, (at > 0).then_some(at)]);
        place.has(&image);
    }
}

#[test]
fn registries_that_are_busy_are_asked_again() {
    let image = Image::of(&[bytes(1000, 1), bytes(2000, 2)]);
    for status in [429, 503] {
        // Each thing fails once.
        let failed = Mutex::new(Vec::new());
        let registry = Registry::faulty(move |request, _, reply| {
            let mut failed = failed.lock().expect("no panic");
            if failed.contains(&request.line()) {
                return reply;
            }
            failed.push(request.line());
            Reply::new(status)
        });
        let (registry, place) = (registry.with(&image), Place::new());
        place.pull(&registry, "v1").expect("an image");
        place.has(&image);
        let error = Transfer::new().pull(&hasty(), &registry.tag("v2"), &place.store, "v2").expect_err("busy");
        assert_eq!(registry.server.lines().last().map(String::as_str), Some("HEAD /v2/team/app/manifests/v2"));
        let wanted = if status == 429 { Refusal::TooManyRequests } else { Refusal::Server };
        assert!(matches!(&error.why, Trouble::Client(error) if error.refusal() == Some(wanted)), "{error}");
    }
}

#[test]
fn a_registry_that_does_not_know_head_is_asked_by_get() {
    let image = Image::of(&[bytes(1000, 1)]);
    let registry = Registry::faulty(|request, _, reply| match request.method == "HEAD" {
        true => Reply::new(405),
        false => reply,
    });
    let (registry, place) = (registry.with(&image), Place::new());
    place.pull(&registry, "v1").expect("an image");
    place.has(&image);
}

#[test]
fn blobs_come_side_by_side() {
    let image = Image::of(&[bytes(1000, 1), bytes(2000, 2), bytes(3000, 3)]);
    let (layers, asked) = (image.layers.clone(), AtomicUsize::new(0));
    let registry = Registry::faulty(move |request, _, reply| {
        if layers.iter().any(|layer| asks_for(request, layer)) {
            asked.fetch_add(1, Ordering::SeqCst);
            wait_until("all three are asked for", || asked.load(Ordering::SeqCst) == 3);
        }
        reply
    });
    let (registry, place) = (registry.with(&image), Place::new());
    place.pull(&registry, "v1").expect("an image");
    place.has(&image);
}

#[test]
fn the_wrong_bytes_are_told_and_not_gone_on_with() {
    let layer = bytes(200_000, 1);
    let image = Image::of(std::slice::from_ref(&layer));
    let (count, wrong) = (AtomicUsize::new(0), layer.clone());
    let registry = Registry::faulty(move |request, _, reply| {
        let mut bytes = wrong.clone();
        bytes[100_000] ^= 1;
        if asks_for(request, &wrong) && once(&count) { reply.body(bytes) } else { reply }
    });
    let (registry, place) = (registry.with(&image), Place::new());
    let error = place.pull(&registry, "v1").expect_err("other bytes");
    assert!(matches!(error.why, Trouble::Store(StoreError::Mismatch { .. })), "{error}");
    assert!(error.what.contains(&digest_of(&layer).to_string()));
    place.has_no_name();
    assert!(!place.partial(&layer).exists());
    assert_eq!(place.pull(&registry, "v1").expect("an image").moved.bytes, 200_000);
    place.has(&image);
}

#[test]
fn a_blob_of_another_size_is_told() {
    let layer = bytes(2000, 1);
    let image = Image::of(std::slice::from_ref(&layer));
    for length in [1999, 2001] {
        let mut other = layer.clone();
        other.resize(length, 0);
        let registry = Registry::start().with(&image);
        registry.shelf().blobs.insert(digest_of(&layer).to_string(), other);
        let place = Place::new();
        let error = place.pull(&registry, "v1").expect_err("another size");
        assert!(matches!(error.why, Trouble::Client(ClientError::Protocol { .. })), "{error}");
        place.has_no_name();
    }
}

#[test]
fn what_an_earlier_process_left_rotten_comes_anew() {
    let layer = bytes(2000, 1);
    let image = Image::of(std::slice::from_ref(&layer));
    for left in [1, 1000, 2000] {
        let (registry, place) = (Registry::start().with(&image), Place::new());
        let mut partial = place.store.partial(&digest_of(&layer), 2000).expect("a download");
        partial.append(&bytes(left, 2)).expect("space");
        drop(partial);
        let pulled = place.pull(&registry, "v1").expect("an image");
        assert_eq!(pulled.moved.bytes, 4000 - left as u64 + image.config.len() as u64);
        place.has(&image);
    }
}

#[test]
fn the_first_error_ends_all_of_it() {
    // One at a time: after the first that fails, no other is begun.
    let image = Image::of(&[bytes(3000, 1), bytes(1000, 2)]);
    let registry = Registry::start().with(&image);
    registry.shelf().blobs.remove(&digest_of(&image.layers[0]).to_string());
    let place = Place::new();
    let one = Transfer::new().jobs(1).pull(&client(), &registry.tag("v1"), &place.store, "name");
    assert!(one.expect_err("missing").what.contains(&digest_of(&image.layers[0]).to_string()));
    assert_eq!(registry.gets(&image.layers[1]), 0);
    // Two at a time: that which has no end ends too.
    let (endless, other, asked) = (image.layers[0].clone(), image.layers[1].clone(), Arc::new(AtomicUsize::new(0)));
    let theirs = Arc::clone(&asked);
    let huge = Image::changed(&image.layers, |_, manifest| manifest["layers"][0]["size"] = (10_u64 << 30).into());
    let registry = Registry::faulty(move |request, _, reply| {
        if asks_for(request, &endless) {
            theirs.fetch_add(1, Ordering::SeqCst);
            return Reply::new(200)
                .header("Content-Length", (10_u64 << 30).to_string())
                .body(endless.clone())
                .endless();
        }
        if asks_for(request, &other) {
            // Not before the other flows.
            wait_until("the other is asked for", || theirs.load(Ordering::SeqCst) > 0);
        }
        reply
    });
    let missing = digest_of(&image.layers[1]).to_string();
    let registry = registry.with(&huge);
    registry.shelf().blobs.remove(&missing);
    let begun = Instant::now();
    let error = Transfer::new().jobs(2).pull(&hasty(), &registry.tag("v1"), &place.store, "name");
    let error = error.expect_err("missing");
    assert!(error.what.contains(&missing) && error.to_string().ends_with("BLOB_UNKNOWN"), "{error}");
    assert!(begun.elapsed() < DEADLINE / 2 && asked.load(Ordering::SeqCst) == 1);
    assert!(place.partial(&image.layers[0]).exists(), "what has come is kept");
    place.has_no_name();
}

#[test]
fn a_pull_that_is_cancelled_goes_on_later() {
    let layer = bytes(20_000, 1);
    let image = Image::of(std::slice::from_ref(&layer));
    let (count, endless) = (AtomicUsize::new(0), layer.clone());
    let registry =
        Registry::faulty(
            move |request, _, reply| {
                if asks_for(request, &endless) && once(&count) { reply.cut(10_000) } else { reply }
            },
        );
    let (registry, place) = (registry.with(&image), Place::new());
    let cancel = Cancel::default();
    let cancelling = cancel.clone();
    let tell = move |event: &Event| {
        if matches!(event, Event::Moved { at, .. } if *at > 1000) {
            cancelling.cancel();
        }
    };
    let transfer = Transfer::new().cancel(cancel.clone()).progress(Arc::new(tell));
    let error = transfer.pull(&client(), &registry.tag("v1"), &place.store, "name").expect_err("cancelled");
    assert!(matches!(error.why, Trouble::Cancelled), "{error}");
    assert!(error.to_string().ends_with(": cancelled"), "{error}");
    place.has_no_name();
    let came = fs::metadata(place.partial(&layer)).expect("a part").len();
    assert!((1000..20_000).contains(&came), "{came}");
    // Who is cancelled already asks nobody.
    let before = registry.server.lines().len();
    assert!(transfer.pull(&client(), &registry.tag("v1"), &place.store, "name").is_err());
    assert_eq!(registry.server.lines().len(), before);
    assert_eq!(place.pull(&registry, "v1").expect("an image").moved.bytes, 20_000 - came);
    place.has(&image);
}

#[test]
fn a_cancelled_pull_ends_while_bytes_flow_and_when_none_do() {
    let layer = bytes(70_000, 1);
    let image = Image::changed(std::slice::from_ref(&layer), |_, manifest| {
        manifest["layers"][0]["size"] = (10_u64 << 30).into();
    });
    for flows in [true, false] {
        let body = layer.clone();
        let registry = Registry::faulty(move |request, _, reply| {
            let huge = Reply::new(200).header("Content-Length", (10_u64 << 30).to_string()).body(body.clone());
            match asks_for(request, &body) {
                true if flows => huge.endless(),
                true => huge.stall(70_000),
                false => reply,
            }
        });
        let (registry, place, cancel) = (registry.with(&image), Place::new(), Cancel::default());
        let timeouts = Timeouts { stall: Duration::from_millis(300), ..options().timeouts };
        let retry = Retry { count: 1000, ..options().retry };
        let client = Client::new(Options { timeouts, retry, ..options() }).expect("a client");
        let (asked, begun) = (cancel.clone(), Instant::now());
        let tell = move |event: &Event| {
            if matches!(event, Event::Moved { at, .. } if *at >= 70_000) {
                asked.cancel();
            }
        };
        let transfer = Transfer::new().cancel(cancel).progress(Arc::new(tell));
        let error = transfer.pull(&client, &registry.tag("v1"), &place.store, "name").expect_err("cancelled");
        assert!(matches!(error.why, Trouble::Cancelled), "{error}");
        assert!(begun.elapsed() < DEADLINE / 2 && registry.gets(&layer) == 1);
    }
}

#[test]
fn a_copy_of_what_the_disk_has_changed_is_refused() {
    let image = Image::of(&[bytes(2000, 1)]);
    let (registry, place, other) = (Registry::start().with(&image), Place::new(), Place::new());
    let pulled = place.pull(&registry, "v1").expect("an image");
    let copy = || Transfer::new().copy(&place.store, &pulled.descriptor, &other.store, "name");
    let layer = place.store.path(&digest_of(&image.layers[0]));
    fs::write(&layer, bytes(2000, 2)).expect("other bytes");
    assert!(matches!(copy().expect_err("other bytes").why, Trouble::Store(StoreError::Mismatch { .. })));
    File::create(&layer).expect("no bytes");
    assert!(matches!(copy().expect_err("no bytes").why, Trouble::Store(StoreError::Mismatch { .. })));
    fs::remove_file(&layer).expect("a blob");
    assert!(matches!(copy().expect_err("no blob").why, Trouble::Store(StoreError::NoBlob(_))));
    other.has_no_name();
    fs::write(&layer, &image.layers[0]).expect("the right bytes");
    let mut begun = other.store.partial(&digest_of(&image.layers[0]), 2000).expect("a download");
    begun.append(&image.layers[0][..700]).expect("space");
    drop(begun);
    assert_eq!(copy().expect("an image").moved.bytes, 1300);
    other.has(&image);
    assert_eq!(copy().expect("an image").moved.bytes, 0);
    assert_eq!(faults(&other.store), Vec::<String>::new());
}

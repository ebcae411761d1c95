//! Processes that are killed or pull the same, and what else happens to the store meanwhile.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Instant, SystemTime};

use rootfs_fetch::Cancel;
use rootfs_fetch::image::digest_of;
use rootfs_fetch::store::{GRACE, Store, StoreError};
use rootfs_fetch::transfer::{Event, There, Transfer, Trouble};

use super::registry::{Image, Registry, bytes};
use super::{DEADLINE, Place, asks_for, client, lab, once, wait_until, watched};

/// Where a test that was started again finds its store, and the reference that it pulls.
const CHILD: &str = "ROOTFS_FETCH_TEST_TRANSFER";
const REFERENCE: &str = "ROOTFS_FETCH_TEST_REFERENCE";

/// This test again, in a process of its own, to pull this into this store.
fn again(test: &str, root: &Path, reference: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("this test"));
    command.args([test, "--exact", "--nocapture"]).stdin(Stdio::null()).stdout(Stdio::null());
    command.env(CHILD, root).env(REFERENCE, reference);
    command
}

/// In a process that was started by [`again`], pulls.
fn is_child() -> bool {
    let (Some(root), Ok(reference)) = (env::var_os(CHILD), env::var(REFERENCE)) else { return false };
    let store = Store::open(Path::new(&root)).expect("a store");
    let from = reference.parse().expect("a reference");
    Transfer::new().pull(&client(), &from, &store, "name").expect("an image");
    true
}

/// What a pull counts on, it has told the store.
#[test]
fn what_is_cleared_meanwhile_is_not_what_is_pulled() {
    let image = Image::of(&[bytes(1000, 1), bytes(2000, 2)]);
    let (registry, place) = (Registry::start().with(&image), Place::new());
    let old = [&image.layers[0][..], b"nobody's"].map(|bytes| {
        let digest = place.store.add(bytes).expect("space");
        let blob = place.store.blob(&digest).expect("a blob");
        blob.set_modified(SystemTime::now() - 2 * GRACE).expect("a time");
        digest
    });
    let store = place.store.clone();
    let tell = move |event: &Event| {
        if let Event::Done { .. } | Event::Planned { .. } = event {
            store.gc().expect("gc");
        }
    };
    let transfer = Transfer::new().progress(Arc::new(tell));
    transfer.pull(&client(), &registry.tag("v1"), &place.store, "name").expect("an image");
    place.has(&image);
    assert!(!place.store.has(&old[1]) && registry.gets(&image.layers[0]) == 0);
    // One who clears all, however young it is, is seen before the name is given.
    let (place, count) = (Place::new(), AtomicUsize::new(0));
    let (store, layer) = (place.store.clone(), digest_of(&image.layers[1]));
    let tell = move |event: &Event| {
        if matches!(event, Event::Done { digest } if *digest == layer) && once(&count) {
            store.remove(&layer).expect("a blob");
        }
    };
    let transfer = Transfer::new().progress(Arc::new(tell));
    let error = transfer.pull(&client(), &registry.tag("v1"), &place.store, "name").expect_err("a layer is gone");
    assert!(matches!(error.why, Trouble::Store(StoreError::NoBlob(_))), "{error}");
    place.has_no_name();
}

#[test]
fn after_kill_9_only_the_rest_comes() {
    if is_child() {
        return;
    }
    let layers = [bytes(300_000, 1), bytes(50_000, 2)];
    let image = Image::of(&layers);
    let (count, large) = (AtomicUsize::new(0), layers[0].clone());
    let registry =
        Registry::faulty(
            move |request, _, reply| {
                if asks_for(request, &large) && once(&count) { reply.stall(200_000) } else { reply }
            },
        );
    let (registry, place) = (registry.with(&image), Place::new());
    let reference = registry.tag("v1").whole();
    let mut child = again("processes::after_kill_9_only_the_rest_comes", place.store.root(), &reference);
    let mut child = child.spawn().expect("a child");
    let length = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    wait_until("200000 bytes", || length(&place.partial(&layers[0])) == 200_000);
    wait_until("the other layer", || place.store.has(&digest_of(&layers[1])));
    child.kill().expect("a child of ours");
    child.wait().expect("a child of ours");
    place.has_no_name();
    let before = registry.server.lines().len();
    let (transfer, events) = watched();
    let pulled = transfer.pull(&client(), &registry.tag("v1"), &place.store, "name").expect("an image");
    assert_eq!((pulled.moved.blobs, pulled.moved.bytes, pulled.moved.there), (1, 100_000, 2));
    place.has(&image);
    let layer = format!("GET /v2/team/app/blobs/{}", digest_of(&layers[0]));
    assert_eq!(registry.server.lines()[before..], ["HEAD /v2/team/app/manifests/v1".to_owned(), layer]);
    let begun = |event: &Event| matches!(event, Event::Begun { from: 200_000, .. });
    assert!(events.lock().expect("no panic").iter().any(begun));
}

#[test]
fn no_blob_is_ever_in_memory() {
    if is_child() {
        let status = fs::read_to_string("/proc/self/status").expect("proc(5)");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the most memory that was used");
        let peak: usize = peak.trim().trim_end_matches(" kB").parse().expect("a number");
        return assert!(peak < 40 << 10, "{peak} kB");
    }
    let image = Image::of(&[1, 2, 3].map(|seed| bytes(24 << 20, seed)));
    let (registry, place) = (Registry::start().with(&image), Place::new());
    let reference = registry.tag("v1").whole();
    let child = again("processes::no_blob_is_ever_in_memory", place.store.root(), &reference).status();
    assert!(child.expect("a child").success());
    place.has(&image);
}

/// Holds the layer back until so many have asked for the tag.
fn gated(image: &Image, count: usize) -> Registry {
    let (layer, asked) = (image.layers[0].clone(), AtomicUsize::new(0));
    let registry = Registry::faulty(move |request, _, reply| {
        if request.line() == "HEAD /v2/team/app/manifests/v1" {
            asked.fetch_add(1, Ordering::SeqCst);
        }
        if asks_for(request, &layer) {
            wait_until("all are there", || asked.load(Ordering::SeqCst) >= count);
        }
        reply
    });
    registry.with(image)
}

#[test]
fn two_threads_that_pull_the_same_get_it_once() {
    let image = Image::of(&[bytes(300_000, 1), bytes(1000, 2)]);
    let (registry, place) = (gated(&image, 2), Place::new());
    let (transfer, events) = watched();
    let moved: Vec<u64> = thread::scope(|scope| {
        let pull = |name| {
            let (transfer, registry, store) = (&transfer, &registry, &place.store);
            scope.spawn(move || transfer.pull(&client(), &registry.tag("v1"), store, name).expect("an image"))
        };
        let both = ["name", "other"].map(pull);
        both.into_iter().map(|thread| thread.join().expect("a thread").moved.bytes).collect()
    });
    assert_eq!(moved.iter().sum::<u64>(), image.size());
    for blob in image.layers.iter().chain([&image.config]) {
        assert_eq!(registry.gets(blob), 1);
    }
    let meanwhile = |event: &Event| matches!(event, Event::There { how: There::Meanwhile, .. });
    assert!(events.lock().expect("no panic").iter().any(meanwhile));
    place.has(&image);
}

#[test]
fn two_processes_that_pull_the_same_get_it_once() {
    if is_child() {
        return;
    }
    let image = Image::of(&[bytes(300_000, 1), bytes(1000, 2)]);
    let (registry, place) = (gated(&image, 2), Place::new());
    let reference = registry.tag("v1").whole();
    let test = "processes::two_processes_that_pull_the_same_get_it_once";
    let children = [(); 2].map(|()| again(test, place.store.root(), &reference).spawn().expect("a child"));
    for mut child in children {
        assert!(child.wait().expect("a child of ours").success());
    }
    for blob in image.layers.iter().chain([&image.config]) {
        assert_eq!(registry.gets(blob), 1);
    }
    place.has(&image);
}

#[test]
fn who_waits_for_another_can_be_cancelled() {
    let image = Image::of(&[bytes(2000, 1)]);
    let (registry, place) = (Registry::start().with(&image), Place::new());
    let mut other = place.store.partial(&digest_of(&image.layers[0]), 2000).expect("a download");
    let cancel = Cancel::default();
    let transfer = Transfer::new().cancel(cancel.clone());
    let begun = Instant::now();
    let error = thread::scope(|scope| {
        let pull = || transfer.pull(&client(), &registry.tag("v1"), &place.store, "name");
        let waiting = scope.spawn(pull);
        wait_until("the config is there", || place.store.has(&digest_of(&image.config)));
        other.append(&image.layers[0][..1000]).expect("space");
        cancel.cancel();
        waiting.join().expect("a thread").expect_err("cancelled")
    });
    assert!(matches!(error.why, Trouble::Cancelled), "{error}");
    assert!(begun.elapsed() < DEADLINE / 2, "the store waits for a minute");
    drop(other);
    assert_eq!(place.pull(&registry, "v1").expect("an image").moved.bytes, 1000);
    place.has(&image);
}

/// Runs again where its store is on a disk of a megabyte, in a mount namespace of its own.
#[test]
fn a_full_disk_is_told_and_the_pull_goes_on_when_there_is_space() {
    const TEST: &str = "processes::a_full_disk_is_told_and_the_pull_goes_on_when_there_is_space";
    let layer = bytes(2 << 20, 1);
    let image = Image::of(std::slice::from_ref(&layer));
    if let Some(root) = env::var_os(CHILD) {
        let registry = Registry::start().with(&image);
        let place = Place::at(Path::new(&root));
        let error = place.pull(&registry, "v1").expect_err("the disk is smaller");
        assert!(error.to_string().contains("No space left on device"), "{error}");
        assert!(error.what.contains(&digest_of(&layer).to_string()), "{error}");
        place.has_no_name();
        let came = fs::metadata(place.partial(&layer)).expect("a part").len();
        assert!(came > 0 && came < layer.len() as u64);
        let larger = Command::new("mount").args(["-o", "remount,size=8m"]).arg(&root).status();
        assert!(larger.expect("mount").success());
        let pulled = place.pull(&registry, "v1").expect("an image");
        assert_eq!(pulled.moved.bytes, layer.len() as u64 - came);
        return place.has(&image);
    }
    let place = tempfile::TempDir::new().expect("a temporary directory");
    let namespace = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
    let mount = "mount -t tmpfs -o size=1m store \"$1\"";
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args([namespace, "sh", "-c", script, "sh"]).arg(place.path()).stdin(Stdio::null());
        command
    };
    match unshare(mount).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => return lab::skip(TEST, String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => return lab::skip(TEST, &format!("unshare: {error}")),
    }
    let mut command = unshare(&format!("{mount} && exec \"$2\" \"$3\" --exact --nocapture"));
    command.arg(env::current_exe().expect("this test")).arg(TEST).env(CHILD, place.path());
    let output = command.output().expect("unshare");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

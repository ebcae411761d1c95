//! Connections that break, registries that lie, processes that are killed, disks that are full, and others who want the same.

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rootfs_fetch::client::{Client, ClientError, Options, Refusal, Retry, Timeouts};
use rootfs_fetch::image::digest_of;
use rootfs_fetch::store::{GRACE, Store, StoreError};
use rootfs_fetch::transfer::{Cancel, Event, There, Transfer, Trouble};

use super::registry::{Image, Registry, bytes};
use super::server::{Reply, Request};
use super::{Place, client, faults, hasty, lab, options, watched};

const DEADLINE: Duration = Duration::from_secs(60);
/// Where a test that was started again finds its store, and the reference that it pulls.
const CHILD: &str = "ROOTFS_FETCH_TEST_TRANSFER";
const REFERENCE: &str = "ROOTFS_FETCH_TEST_REFERENCE";

/// Whether a request is for the bytes of this blob.
fn asks_for(request: &Request, blob: &[u8]) -> bool {
    request.method == "GET" && request.target.ends_with(&digest_of(blob).to_string())
}

fn once(count: &AtomicUsize) -> bool {
    count.fetch_add(1, Ordering::SeqCst) == 0
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

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
    let mut child = again("trouble::after_kill_9_only_the_rest_comes", place.store.root(), &reference);
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
    let child = again("trouble::no_blob_is_ever_in_memory", place.store.root(), &reference).status();
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
    let test = "trouble::two_processes_that_pull_the_same_get_it_once";
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
    const TEST: &str = "trouble::a_full_disk_is_told_and_the_pull_goes_on_when_there_is_space";
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

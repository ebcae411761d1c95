//! Killed at any moment, and on full disks: what is at a name is whole.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rootfs_fetch::image::here;
use rootfs_fetch::store::{Image, Store};
use rootfs_fetch::unpack::{Snapshots, Unpack, UnpackError};

use crate::archive::{Entry, directory, file};
use crate::facts::{assert_same, facts};
use crate::lab::{Lab, names};
use crate::snapshots::{inside, mount};

/// Where a test that was started again finds its store, and where it unpacks.
const CHILD: [&str; 2] = ["ROOTFS_FETCH_TEST_STORE", "ROOTFS_FETCH_TEST_UNPACK"];

/// Two layers of a hundred files, in directories into which their owner may not write.
fn layers() -> Vec<Vec<Entry>> {
    let files = |layer: u32| {
        let files = (0..120).flat_map(move |number| {
            let name = format!("{}/{number}", number % 20);
            [directory(format!("{}", number % 20)).mode(0o555), file(name, format!("{layer}").repeat(5000))]
        });
        files.collect()
    };
    vec![files(1), files(2)]
}

/// The process that is killed.
#[test]
fn unpacks_until_it_is_killed() {
    let [Some(store), Some(place)] = CHILD.map(|name| env::var_os(name).map(PathBuf::from)) else { return };
    let store = Store::open(store).expect("a store");
    let image = store.resolve("image").expect("an index").expect("an image");
    let image = store.image(&image, &here()).expect("an image");
    Unpack::new().flat(&store, &image, &place.join("rootfs")).expect("a root file system");
    Snapshots::open(place.join("snapshots")).expect("snapshots").take(&store, &image).expect("layers");
}

fn start(lab: &Lab, place: &Path) -> Child {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command
        .args(["--exact", "killed::unpacks_until_it_is_killed"])
        .env(CHILD[0], lab.store.root())
        .env(CHILD[1], place);
    command.stdout(Stdio::null()).spawn().expect("this program again")
}

/// What one who was killed has left is whole under its name, or is not there. Tells which.
fn is_whole_or_absent(place: &Path, image: &Image, whole: &Lab) -> bool {
    let is_there = place.join("rootfs").exists();
    if is_there {
        assert_same(&place.join("rootfs"), &whole.path("rootfs"));
    }
    for expected in whole.take(image).expect("layers").directories() {
        let at = place.join(expected.strip_prefix(whole.path("")).expect("a snapshot"));
        if at.parent().is_some_and(Path::exists) {
            assert_same(&at, expected);
        }
    }
    is_there
}

/// Until another process has made it.
fn waits_for(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} is never there", path.display());
        thread::sleep(Duration::from_millis(1));
    }
}

/// An image, unpacked in both ways.
fn whole() -> (Lab, Image) {
    let lab = Lab::new();
    let image = lab.image("image", layers());
    lab.flat(&image, "rootfs").expect("a root file system");
    lab.take(&image).expect("layers");
    (lab, image)
}

#[test]
fn killed_at_any_moment_it_leaves_the_whole_or_nothing() {
    let (whole, image) = whole();
    // As long as it takes here.
    fs::create_dir(whole.path("first")).expect("a directory");
    let begin = Instant::now();
    assert!(start(&whole, &whole.path("first")).wait().expect("it ends").success());
    let takes = begin.elapsed();
    let (mut absent, mut there) = (0, 0);
    for part in 0..16_u32 {
        let place = whole.path(&format!("part-{part}"));
        fs::create_dir(&place).expect("a directory");
        let mut child = start(&whole, &place);
        // The moment is what is tried. The last ones are counted from when the directory is there, however slow the machine has become.
        let since_there = part.checked_sub(12);
        if since_there.is_some() {
            waits_for(&place.join("rootfs"));
        }
        thread::sleep(takes * since_there.unwrap_or(part) / 13);
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        let is_there = is_whole_or_absent(&place, &image, &whole);
        *if is_there { &mut there } else { &mut absent } += 1;
        // What was left is not in the way of the next who comes, who clears up.
        if !is_there {
            Unpack::new().flat(&whole.store, &image, &place.join("rootfs")).expect("a root file system");
            assert!(!place.join(".rootfs.unpacking").exists());
        }
        let snapshots = Snapshots::open(place.join("snapshots")).expect("snapshots");
        snapshots.take(&whole.store, &image).expect("layers");
        assert!(is_whole_or_absent(&place, &image, &whole));
        snapshots.gc(&whole.store).expect("it can be read");
        let left = facts(&place.join("snapshots")).into_keys();
        assert_eq!(left.filter(|path| path.components().count() == 3).count(), 2);
    }
    assert!(absent > 0 && there >= 4, "killed too late or too early: {absent} {there}");
}

/// Who comes second waits until the first has done it, or was killed.
#[test]
fn two_processes_at_once() {
    let (whole, image) = whole();
    let place = whole.path("place");
    fs::create_dir(&place).expect("a directory");
    let mut children = [(); 3].map(|()| start(&whole, &place));
    let deadline = Instant::now() + Duration::from_secs(60);
    // One of them makes the directory, and the others say that it is not empty.
    let mut successes = 0;
    for child in &mut children {
        let status = loop {
            match child.try_wait().expect("a child") {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    child.kill().expect("it can be killed");
                    panic!("it waits for ever");
                }
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        successes += usize::from(status.success());
    }
    assert_eq!(successes, 1);
    assert!(is_whole_or_absent(&place, &image, &whole));
    assert_eq!(names(&place), ["rootfs", "snapshots"]);
}

#[test]
fn on_a_full_disk_nothing_is_left() {
    if !inside("killed::on_a_full_disk_nothing_is_left") {
        return;
    }
    let lab = Lab::new();
    let large = || (0..100).map(|number| file(format!("{number}"), vec![1; 50_000])).collect::<Vec<_>>();
    let image = lab.image("image", [vec![file("small", "")], large()]);
    let small = lab.path("small");
    if !mount(&["-t", "tmpfs", "-o", "size=2m", "tmpfs"], &small) {
        return;
    }
    let full = |error: UnpackError| assert!(error.to_string().contains("No space left"), "{error}");
    full(lab.flat(&image, "small/rootfs").expect_err("it is too large"));
    assert!(names(&small).is_empty());
    let snapshots = Snapshots::open(small.join("snapshots")).expect("snapshots");
    full(snapshots.take(&lab.store, &image).expect_err("it is too large"));
    let removed = snapshots.gc_except(&HashSet::new()).expect("it can be read");
    assert!(removed.layers <= 1, "{removed:?}");
    // Nothing takes room.
    assert!(facts(&small).values().all(|what| !what.contains("file 50000 ")));
}

//! Layers for overlayfs, which images share.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::thread;

use rootfs_fetch::layer::Xattrs;
use rootfs_fetch::unpack::{Removed, Snapshots, Taken, UnpackError};

use crate::archive::{directory, file};
use crate::facts::{assert_same, facts};
use crate::lab::{Lab, linked, names, nasty, root};

/// Set where this program already is in a mount namespace of its own.
const INSIDE: &str = "HARDWAY_TEST_INSIDE";

/// Runs a test of this program again in a mount namespace of its own; true in there.
pub fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let mut command = Command::new("unshare");
    command.args(if root() { &["--mount"][..] } else { &["--mount", "--map-root-user"] });
    command.arg(std::env::current_exe().expect("this program")).args(["--exact", test, "--nocapture"]);
    let output = command.env(INSIDE, "1").output().expect("unshare");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare failed") || said.contains("SKIPPED") {
        println!("SKIPPED {test}: {}", said.trim());
    } else {
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
    false
}

pub fn mount(arguments: &[&str], at: &Path) -> bool {
    fs::create_dir_all(at).expect("a directory");
    let status = Command::new("mount").args(arguments).arg(at).status();
    let done = status.is_ok_and(|status| status.success());
    if !done {
        println!("SKIPPED: mount {arguments:?} is refused here");
    }
    done
}

fn overlay(taken: &Taken, at: &Path) -> bool {
    let lower: Vec<_> = taken.directories().iter().rev().map(|path| path.to_str().expect("a path")).collect();
    let user = if taken.xattrs() == Xattrs::User { ",userxattr" } else { "" };
    mount(&["-t", "overlay", "-o", &format!("lowerdir={}{user}", lower.join(":")), "overlay"], at)
}

#[test]
fn the_kernel_shows_of_layers_what_is_in_one_directory() {
    if !inside("snapshots::the_kernel_shows_of_layers_what_is_in_one_directory") {
        return;
    }
    for layers in [nasty(), linked()] {
        let lab = Lab::new();
        let image = lab.image("nasty", layers);
        lab.flat(&image, "flat").expect("a root file system");
        let taken = lab.take(&image).expect("layers");
        if !overlay(&taken, &lab.path("view")) {
            return;
        }
        assert_same(&lab.path("flat"), &lab.path("view"));
        assert!(Command::new("umount").arg(lab.path("view")).status().expect("umount").success());
    }
}

#[test]
fn images_share_the_layers_that_they_have_in_common() {
    let lab = Lab::new();
    let base = vec![directory("d"), file("d/f", "base")];
    let one = lab.image("one", [base.clone(), vec![file("d/one", "")]]);
    let other = lab.image("other", [base, vec![file("d/other", "")]]);
    let one = lab.take(&one).expect("layers");
    let before = facts(&lab.path("snapshots"));
    let inode = |path: &Path| fs::metadata(path).expect("a directory").ino();
    let other = lab.take(&other).expect("layers");
    assert_eq!(one.directories()[0], other.directories()[0]);
    assert_ne!(one.directories()[1], other.directories()[1]);
    assert_eq!(inode(&one.directories()[0]), inode(&other.directories()[0]));
    assert_eq!((one.counts().entries, other.counts().entries), (3, 1));
    assert!(before.iter().filter(|(path, _)| path.ends_with("tree/d/f")).count() == 1);
}

#[test]
fn many_take_the_same_image_at_once() {
    let lab = Lab::new();
    let image = lab.image("nasty", nasty());
    let entries: Vec<u64> = thread::scope(|scope| {
        let takers: Vec<_> =
            (0..4).map(|_| scope.spawn(|| lab.take(&image).expect("layers").counts().entries)).collect();
        takers.into_iter().map(|taker| taker.join().expect("no panic")).collect()
    });
    let all = nasty().iter().map(|layer| layer.len() as u64).sum::<u64>();
    assert_eq!(entries.iter().sum::<u64>(), all, "each layer was made once");
    let taken = lab.take(&image).expect("layers");
    let alone = Lab::new();
    let image = alone.image("nasty", nasty());
    // A whiteout is as old as it is.
    let without_whiteouts = |root: &Path| {
        let mut facts = facts(root);
        facts.retain(|_, what| !what.contains("device 0 "));
        facts
    };
    for (one, other) in taken.directories().iter().zip(alone.take(&image).expect("layers").directories()) {
        assert_eq!(without_whiteouts(one), without_whiteouts(other));
    }
}

#[test]
fn what_no_name_reaches_is_removed_unless_it_is_in_use() {
    let lab = Lab::new();
    let base = vec![directory("d").mode(0o500), file("d/f", "base")];
    let kept = lab.image("kept", [base.clone(), vec![file("d/kept", "")]]);
    let gone = lab.image("gone", [base, vec![file("d/gone", "")], vec![file("d/more", "")]]);
    let snapshots = lab.snapshots();
    let kept_layers = snapshots.take(&lab.store, &kept).expect("layers").directories().to_vec();
    let gone_layers = snapshots.take(&lab.store, &gone).expect("layers");
    assert_eq!(snapshots.gc(&lab.store).expect("it can be read"), Removed::default());
    lab.store.untag("gone").expect("a name");
    let removed = snapshots.gc(&lab.store).expect("it can be read");
    assert_eq!((removed.layers, removed.in_use), (0, 2));
    let directories = gone_layers.directories().to_vec();
    drop(gone_layers);
    let removed = snapshots.gc(&lab.store).expect("it can be read");
    assert_eq!((removed.layers, removed.in_use), (2, 0));
    assert_eq!(directories.iter().filter(|path| path.exists()).count(), 1);
    assert!(kept_layers.iter().all(|path| path.exists()));
    let keep = HashSet::from([kept.layers[0].chain_id.clone()]);
    assert_eq!(snapshots.gc_except(&keep).expect("it can be removed").layers, 1);
    assert_eq!(kept_layers.iter().filter(|path| path.exists()).count(), 1);
    assert_eq!(snapshots.gc_except(&HashSet::new()).expect("it can be removed").layers, 1);
    // And all can be had again.
    assert_eq!(snapshots.take(&lab.store, &gone).expect("layers").directories(), directories);
}

#[test]
fn what_is_no_layer_is_left_alone_and_no_link_is_followed() {
    let lab = Lab::new();
    let image = lab.image("image", [vec![file("f", "")]]);
    let snapshots = lab.snapshots();
    let at = snapshots.take(&lab.store, &image).expect("layers").directories()[0].clone();
    let (layer, among) = (at.parent().expect("a layer"), at.ancestors().nth(2).expect("layers"));
    fs::create_dir_all(lab.path("elsewhere/tree")).expect("directories");
    fs::write(lab.path("elsewhere/tree/f"), "mine").expect("a file");
    fs::write(among.join("stray"), "not a layer").expect("a file");
    std::os::unix::fs::symlink(lab.path("elsewhere/tree"), at.join("link")).expect("a link");
    snapshots.gc_except(&HashSet::new()).expect("it can be removed");
    assert!(!layer.exists() && among.join("stray").exists() && lab.path("elsewhere/tree/f").exists());
    std::os::unix::fs::symlink(lab.path("elsewhere"), layer).expect("a link");
    for error in [snapshots.gc_except(&HashSet::new()).map(drop), snapshots.take(&lab.store, &image).map(drop)] {
        let error = error.expect_err("a link is no layer");
        assert!(error.to_string().contains("is not a directory"), "{error}");
    }
    assert!(lab.path("elsewhere/tree/f").exists());
}

#[test]
fn a_directory_that_others_may_enter_is_refused() {
    let lab = Lab::new();
    fs::create_dir(lab.path("open")).expect("a directory");
    fs::set_permissions(lab.path("open"), fs::Permissions::from_mode(0o755)).expect("a mode");
    assert!(matches!(Snapshots::open(lab.path("open")), Err(UnpackError::Target { .. })));
    lab.snapshots();
    assert_eq!(names(&lab.path("snapshots")), [""; 0]);
}

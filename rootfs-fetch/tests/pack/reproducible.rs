//! The same tree is the same bytes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use rootfs_fetch::pack::{self, Compression, Options, PackedLayer};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::lab::{Lab, root, run};

const NAMES: [&str; 9] = ["z", "a", "a-b", "A", "long", ".hidden", "m", "b", "ä"];

/// A tree, whose files are made in this order.
fn tree(lab: &Lab, name: &str, names: impl Iterator<Item = &'static str> + Clone) -> PathBuf {
    let at = lab.directory(name);
    fs::set_permissions(&at, Permissions::from_mode(0o755)).expect("a mode");
    for directory in ["one", "two"] {
        fs::create_dir(at.join(directory)).expect("a directory");
        fs::set_permissions(at.join(directory), Permissions::from_mode(0o755)).expect("a mode");
        for name in names.clone() {
            let file = at.join(directory).join(name);
            fs::write(&file, name.repeat(1000)).expect("a file");
            fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("a mode");
        }
    }
    // The group's names in another order too: its first in the layer is not the one that was first.
    for link in names.clone().filter(|name| *name != "m") {
        let _ = fs::hard_link(at.join("two/m"), at.join(format!("link-{link}")));
    }
    symlink("one/a", at.join("symlink")).expect("a link");
    let time = Timespec { tv_sec: 1_000_000_000, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    let all = run(Command::new("find").arg(&at));
    for path in all.lines() {
        utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("a time");
    }
    at
}

fn both(lab: &Lab, one: &Path, other: &Path, options: &Options) -> [PackedLayer; 2] {
    // Each into a store of its own, so that the second can not find the first's.
    [(lab, one), (&Lab::new(), other)].map(|(lab, tree)| pack::tree(&lab.store, tree, options).expect("a layer"))
}

#[test]
fn neither_the_order_of_directories_nor_who_packs_is_seen() {
    let lab = Lab::new();
    let one = tree(&lab, "one", NAMES.into_iter());
    let other = tree(&lab, "other", NAMES.into_iter().rev());
    for compression in [Compression::None, Compression::Gzip(6), Compression::Zstd(3)] {
        let options = Options { compression, ..Options::default() };
        let [first, second] = both(&lab, &one, &other, &options);
        assert_eq!(first, second);
        if root() {
            for path in run(Command::new("find").arg(&other)).lines().filter(|path| !path.ends_with("symlink")) {
                chown(path, Some(1234), Some(1234)).expect("an owner");
            }
            let [first, second] = both(&lab, &one, &other, &options);
            assert_ne!(first.digest, second.digest);
            let [first, second] = both(&lab, &one, &other, &Options { owner: Some((0, 0)), ..options });
            assert_eq!(first, second);
            for path in run(Command::new("find").arg(&other)).lines().filter(|path| !path.ends_with("symlink")) {
                chown(path, Some(0), Some(0)).expect("an owner");
            }
        }
    }
}

#[test]
fn another_umask_and_another_hour_are_not_seen() {
    let lab = Lab::new();
    let one = tree(&lab, "one", NAMES.into_iter());
    let other = lab.path("other");
    let script = format!("umask 077; cp -a {} {}", one.display(), other.display());
    run(Command::new("sh").args(["-c", &script]));
    let [first, second] = both(&lab, &one, &other, &Options::default());
    assert_eq!(first, second);
    // What was made since gets the time that was asked for.
    for (at, hour) in [(&one, 1), (&other, 2)] {
        let new = fs::File::create(at.join("new")).expect("a file");
        new.set_permissions(Permissions::from_mode(0o644)).expect("a mode");
        new.set_modified(UNIX_EPOCH + Duration::from_secs(1_500_000_000 + hour * 3600)).expect("a time");
    }
    let [first, second] = both(&lab, &one, &other, &Options::default());
    assert_ne!(first.digest, second.digest);
    let clamp = Some(UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let [first, second] = both(&lab, &one, &other, &Options { clamp, ..Options::default() });
    assert_eq!(first, second);
}

/// What is written today is what was written before: a store, a registry and a signature know an image by that.
#[test]
fn the_bytes_stay_as_they_are() {
    let lab = Lab::new();
    let one = tree(&lab, "one", NAMES.into_iter());
    let options = Options { compression: Compression::None, owner: Some((0, 0)), ..Options::default() };
    let layer = pack::tree(&lab.store, &one, &options).expect("a layer");
    assert_eq!(layer.digest.to_string(), "sha256:e5b577a2645f09553d425082fe0c45008f9bbbef8f93550ba57152327fe61ba8");
    let gzip =
        pack::tree(&lab.store, &one, &Options { compression: Compression::Gzip(6), ..options }).expect("a layer");
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let bytes = lab.store.small(&gzip.digest, 1 << 20).expect("a blob");
    assert_eq!(bytes[..10], header);
}

//! Something else at a path than before; and devices.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use rootfs_fetch::layer::Reason;

use crate::archive::{Entry, directory, file, hardlink, symlink};
use crate::lab::{Lab, root};

fn kinds(name: &str) -> [Entry; 5] {
    [file(name, "f"), directory(name), symlink(name, "there"), Entry::new(b'6', name), hardlink(name, "there")]
}

#[test]
fn each_type_takes_the_place_of_each_other() {
    for first in kinds("x") {
        for second in kinds("x") {
            for layers in [1, 2] {
                let lab = Lab::new();
                let (first, second) = (first.clone(), second.clone());
                let kind = second.header[156];
                if layers == 1 {
                    lab.apply([file("there", "t"), first, second]);
                } else {
                    lab.apply([file("there", "t"), first]);
                    lab.apply([second]);
                }
                let found = lab.metadata("x").file_type();
                let expected = match kind {
                    b'0' | b'1' => found.is_file(),
                    b'5' => found.is_dir(),
                    b'2' => found.is_symlink(),
                    _ => found.is_fifo(),
                };
                assert!(expected, "{}: {found:?}", char::from(kind));
                assert_eq!(lab.read("there"), "t");
            }
        }
    }
}

#[test]
fn a_directory_that_is_there_keeps_what_is_in_it() {
    let lab = Lab::new();
    lab.apply([directory("d"), file("d/kept", "1"), directory("d/e"), file("d/e/f", "2")]);
    let applied = lab.apply([directory("d").mode(0o700).pax("mtime", "5")]);
    assert_eq!((applied.counts.replaced, applied.counts.deleted), (1, 0));
    assert_eq!((lab.read("d/kept"), lab.read("d/e/f")), ("1".into(), "2".into()));
    assert_eq!((lab.metadata("d").mode() & 0o7777, lab.metadata("d").mtime()), (0o700, 5));
    // A file in its place takes all of it away.
    let applied = lab.apply([file("d", "3")]);
    assert_eq!(applied.counts.replaced, 1);
    assert_eq!(lab.paths(), ["d"]);
}

#[test]
fn a_directory_without_an_entry_is_for_all_to_enter() {
    let lab = Lab::new();
    lab.apply([file("a/b/c", "")]);
    assert!(["a", "a/b"].iter().all(|path| lab.metadata(path).mode() & 0o7777 == 0o755));
}

#[test]
fn of_two_with_the_same_name_the_last_counts() {
    let lab = Lab::new();
    lab.apply([
        file("x", "first, and longer"),
        file("x", "last"),
        directory("d").mode(0o700),
        directory("d").mode(0o711),
    ]);
    assert_eq!(lab.read("x"), "last");
    assert_eq!(lab.metadata("d").mode() & 0o7777, 0o711);
}

#[test]
fn what_is_below_a_file_is_refused() {
    let why = Lab::new().refused([file("f", ""), file("f/x", "")]);
    assert!(why.contains("Not a directory"), "{why}");
    Lab::new().refused([file("f", ""), symlink("l", "f"), file("l/x", "")]);
    Lab::new().refused([Entry::new(b'6', "p"), file("p/x", "")]);
}

#[test]
fn devices_are_made_or_told_of() {
    let lab = Lab::new();
    let applied = lab.apply([
        file("dev/null", "a file of a lower entry"),
        Entry::new(b'3', "dev/null").device(1, 3).mode(0o666),
        Entry::new(b'4', "dev/disk").device(7, 200).mode(0o600),
        Entry::new(b'6', "dev/pipe").mode(0o622),
    ]);
    assert!(lab.metadata("dev/pipe").file_type().is_fifo());
    assert_eq!(lab.metadata("dev/pipe").mode() & 0o7777, 0o622);
    if lab.has("dev/null") {
        assert!(root());
        let (null, disk) = (lab.metadata("dev/null"), lab.metadata("dev/disk"));
        assert!(null.file_type().is_char_device() && disk.file_type().is_block_device());
        assert_eq!((null.rdev(), disk.rdev()), (0x103, 0x7c8));
        assert_eq!(null.mode() & 0o7777, 0o666);
        assert!(applied.counts.not_applied.is_empty());
    } else {
        assert_eq!(applied.counts.not_applied.get(&Reason::Device), Some(&2));
        assert!(!lab.has("dev/disk"));
    }
}

#[test]
fn no_entry_passes_for_a_whiteout_of_overlayfs() {
    let lab = Lab::new();
    // 4096 has one bit more than the kernel has for it: what it would make is 0/0.
    for (major, minor) in [(0, 0), (4096, 0), (0, 1 << 20), (4096, 1 << 20)] {
        let why = lab.refused([Entry::new(b'3', "x").device(major, minor)]);
        assert!(why.contains("device"), "{why}");
    }
}

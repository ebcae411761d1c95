//! What a layer takes away, on a flat directory.

use std::os::unix::fs::MetadataExt;

use rootfs_fetch::layer::Reason;

use crate::archive::{Entry, archive, directory, file, hardlink, symlink, whiteout};
use crate::lab::Lab;

/// A lab with a lower layer.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.apply([
        directory("d").pax("mtime", "1000.5"),
        file("d/x", "lower"),
        file("d/y", "lower"),
        directory("d/sub"),
        file("d/sub/z", "lower"),
        symlink("link", "d"),
        file("top", "lower"),
    ]);
    lab
}

#[test]
fn a_whiteout_deletes_what_lower_layers_have() {
    let lab = lab();
    let applied = lab.apply([whiteout("d/.wh.x"), whiteout(".wh.top"), whiteout("d/.wh.sub")]);
    assert_eq!(lab.paths(), ["d", "d/y", "link"]);
    assert_eq!((applied.counts.deleted, applied.counts.added), (4, 0));
    // The directory is not newer for that.
    assert_eq!((lab.metadata("d").mtime(), lab.metadata("d").mtime_nsec()), (1000, 500_000_000));
}

#[test]
fn it_leaves_what_its_own_layer_adds_in_either_order() {
    for reverse in [false, true] {
        let lab = lab();
        let mut entries =
            vec![whiteout("d/.wh.x"), file("d/x", "upper"), whiteout("d/.wh.sub"), file("d/sub/new", "upper")];
        if reverse {
            entries.reverse();
        }
        lab.apply(entries);
        assert_eq!(lab.paths(), ["d", "d/sub", "d/sub/new", "d/x", "d/y", "link", "top"]);
        assert_eq!(lab.read("d/x"), "upper");
    }
}

#[test]
fn an_opaque_directory_has_only_what_its_layer_adds() {
    let entries = [
        directory("d"),
        file("d/own", "upper"),
        directory("d/sub"),
        file("d/sub/own", "upper"),
        file("d/new/deep/own", "upper"),
        hardlink("d/hard", "d/own"),
    ];
    let marker = whiteout("d/.wh..wh..opq");
    // First, last, and in the middle; and without the entry of its directory.
    for at in 0..=entries.len() {
        for skip in [0, 1] {
            let lab = lab();
            let mut entries = entries.to_vec();
            entries.insert(at, marker.clone());
            lab.apply(entries.split_off(skip.min(at)));
            let expected =
                ["d", "d/hard", "d/new", "d/new/deep", "d/new/deep/own", "d/own", "d/sub", "d/sub/own", "link", "top"];
            assert_eq!(lab.paths(), expected, "marker at {at}");
        }
    }
}

#[test]
fn markers_work_through_links_of_the_image_and_nested() {
    let through = lab();
    through.apply([file("link/own", "upper"), whiteout("link/.wh..wh..opq"), whiteout("link/sub/.wh.z")]);
    assert_eq!(through.paths(), ["d", "d/own", "link", "top"]);
    let nested = lab();
    nested.apply([whiteout("d/sub/.wh..wh..opq"), file("d/sub/own", "upper"), whiteout(".wh..wh..opq")]);
    assert_eq!(nested.paths(), ["d", "d/sub", "d/sub/own"]);
}

#[test]
fn whatever_type_a_whiteout_has_and_whatever_it_hides() {
    let lab = lab();
    let applied = lab.apply([
        file("d/.wh.x", "data"),
        hardlink("d/.wh.y", "top"),
        directory("d/.wh.sub"),
        whiteout("d/.wh.nothing"),
        whiteout("no/such/.wh.x"),
        whiteout("no/such/.wh..wh..opq"),
        whiteout(".wh.link"),
    ]);
    assert_eq!(lab.paths(), ["d", "top"]);
    assert_eq!(applied.counts.deleted, 5);
}

#[test]
fn markers_of_the_lowest_layer_are_no_files() {
    let lab = Lab::new();
    let applied = lab.apply([
        whiteout(".wh.x"),
        whiteout("d/.wh..wh..opq"),
        directory(".wh..wh.plnk"),
        file(".wh..wh.plnk/1.2", "AUFS"),
        file(".wh..wh.aufs", ""),
        file("d/.wh..wh.orph/x", ""),
    ]);
    assert_eq!(lab.paths(), [""; 0]);
    assert_eq!(applied.counts.not_applied.get(&Reason::Aufs), Some(&4));
}

#[test]
fn whiteouts_of_nothing_that_can_be_are_refused() {
    let lab = lab();
    let before = lab.paths();
    for name in [".wh.", ".wh..", ".wh...", "d/.wh..", "d/.wh...", ".wh.d/x", "d/.wh.sub/.wh.z"] {
        let why = lab.refused([whiteout(name)]);
        assert!(why.contains("whiteout"), "{name}: {why}");
    }
    let why = lab.refused([file("d/x", ""), whiteout("d/x/.wh..wh..opq")]);
    assert!(why.contains("Not a directory"), "{why}");
    assert_eq!(lab.paths(), before);
}

#[test]
fn names_that_only_begin_alike_are_names() {
    let lab = Lab::new();
    lab.apply([file(".wh", "1"), file(".w", "2"), file("x.wh.y", "3")]);
    lab.apply([whiteout(".wh..wh")]);
    assert_eq!(lab.paths(), [".w", "x.wh.y"]);
}

#[test]
fn each_entry_is_told() {
    let lab = lab();
    let layer = archive([
        directory("d"),
        file("d/new", "12345"),
        file("top", "upper"),
        whiteout("d/.wh.sub"),
        whiteout("d/.wh..wh..opq"),
        whiteout(".wh.none"),
        Entry::new(b'0', ".wh..wh.aufs"),
    ]);
    let (applied, events) = lab.bytes(&layer, &lab.flat()).expect("a layer");
    let expected = [
        "directory d replaced",
        "file d/new added",
        "file top replaced",
        "whiteout d/sub deleted 2",
        "opaque d deleted 2",
        "whiteout none nothing",
        "other .wh..wh.aufs left out: files of AUFS",
    ];
    assert_eq!(events, expected);
    let counts = &applied.counts;
    assert_eq!((counts.entries, counts.bytes, counts.added, counts.replaced, counts.deleted), (7, 10, 1, 2, 4));
    assert_eq!(applied.diff_id, rootfs_fetch::image::digest_of(&layer));
}

#[test]
fn a_whiteout_hides_the_longest_name() {
    let lab = Lab::new();
    let names = [252, 255].map(|length| "n".repeat(length));
    lab.apply(names.iter().map(|name| file(name, "")));
    let layer = archive(names.iter().map(|name| whiteout(&format!(".wh.{name}"))));
    let (applied, _) = lab.bytes(&layer, &lab.flat()).expect("a layer");
    assert_eq!((applied.counts.deleted, lab.paths().len()), (2, 0));
    let (applied, _) = lab.bytes(&layer, &lab.overlay("overlay")).expect("a layer for overlayfs");
    assert_eq!(applied.counts.marked, 2);
    assert_eq!(crate::lab::paths(&lab.path().join("overlay")), names);
}

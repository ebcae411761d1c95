//! Layers that are written entry by entry.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rootfs_fetch::layer::Limits;
use rootfs_fetch::pack::{self, Content, LayerWriter, Metadata, Options, PackError};

use crate::lab::{Lab, plain, root, tree};

fn file<'a>(data: &'a mut &'static [u8]) -> Content<'a> {
    Content::File { size: data.len() as u64, data }
}

/// What is left of layers that were not finished.
fn rests(lab: &Lab) -> usize {
    lab.store.uploads().expect("a list").len()
}

#[test]
fn entries_of_every_kind_are_what_was_said() {
    let lab = Lab::new();
    let mut writer = LayerWriter::new(&lab.store, &plain()).expect("a writer");
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let owned = |mode| Metadata { uid, gid, mtime: UNIX_EPOCH + Duration::new(7, 5), ..Metadata::new(mode) };
    let xattrs = BTreeMap::from([(OsString::from("user.a"), b"1\n\0".to_vec())]);
    let add = |writer: &mut LayerWriter, path: &str, metadata: &Metadata, content: Content<'_>| {
        writer.add(Path::new(path), metadata, content).unwrap_or_else(|error| panic!("{path}: {error}"));
    };
    add(&mut writer, "", &owned(0o751), Content::Directory);
    writer.whiteout(Path::new("gone")).expect("a whiteout");
    add(&mut writer, "d", &owned(0o1777), Content::Directory);
    writer.opaque(Path::new("d")).expect("a mark");
    add(&mut writer, "d/f", &Metadata { xattrs, ..owned(0o4755) }, file(&mut &b"contents"[..]));
    add(&mut writer, "d/l", &owned(0o777), Content::Symlink(Path::new("../f")));
    add(&mut writer, "h", &owned(0o4755), Content::Hardlink(Path::new("d/f")));
    add(&mut writer, "p", &owned(0o600), Content::Fifo);
    let long = "x".repeat(200);
    add(&mut writer, &long, &owned(0o640), file(&mut &b""[..]));
    let layer = writer.finish().expect("a layer");
    assert_eq!((layer.counts.entries, layer.counts.whiteouts, layer.counts.bytes), (9, 2, 8));
    assert_eq!((layer.size, &layer.digest), (layer.uncompressed, &layer.diff_id));
    let names = ["./", ".wh.gone", "d/", "d/.wh..wh..opq", "d/f", "d/l", "h", "p", &long];
    assert_eq!(lab.names(&layer), names);

    let made = lab.directory("made");
    fs::write(made.join("gone"), "").expect("a file");
    lab.apply(&layer, &made);
    assert!(!made.join("gone").exists());
    let found = fs::symlink_metadata(made.join("h")).expect("a hard link");
    assert_eq!((found.nlink(), found.mode(), found.mtime(), found.mtime_nsec()), (2, 0o104_755, 7, 5));
    // What was made is packed as it was written, without what said that something was not there.
    let again = pack::tree(&lab.store, &made, &plain()).expect("a layer");
    assert_eq!(again.counts.entries, 7);
    assert!(tree(&made)[Path::new("h")].contains("\"user.a\": [49, 10, 0]"));
}

#[test]
fn entries_come_sorted_and_once() {
    let lab = Lab::new();
    for (first, second) in [("b", "a"), ("a", "a"), ("a/b", "a"), ("a-b", "a/b")] {
        let mut writer = LayerWriter::new(&lab.store, &plain()).expect("a writer");
        let mut add = |path: &str| writer.add(Path::new(path), &Metadata::new(0o755), Content::Directory);
        add(first).expect("an entry");
        assert!(matches!(add(second), Err(PackError::Refused { .. })), "{first} {second}");
        // It is as if it had not been tried.
        add("c").expect("an entry");
        assert_eq!(lab.names(&writer.finish().expect("a layer")), [format!("{first}/"), "c/".to_owned()]);
    }
    let mut writer = LayerWriter::new(&lab.store, &plain()).expect("a writer");
    writer.add(Path::new("a"), &Metadata::new(0o644), Content::Fifo).expect("an entry");
    // Whiteouts come before the rest of their directory, and a hard link after what it links.
    assert!(writer.whiteout(Path::new("b")).is_err());
    let link = writer.add(Path::new("b"), &Metadata::new(0o644), Content::Hardlink(Path::new("c")));
    assert!(matches!(link, Err(PackError::Refused { .. })), "{link:?}");
}

#[test]
fn what_can_not_be_in_a_layer_is_refused() {
    let lab = Lab::new();
    let mut writer = LayerWriter::new(&lab.store, &plain()).expect("a writer");
    let device = || Content::CharacterDevice { major: 0, minor: 0 };
    let too_far = UNIX_EPOCH + Duration::from_secs(1 << 40);
    for (path, content) in [
        ("../a", Content::Fifo),
        ("/a", Content::Fifo),
        (".wh.a", Content::Fifo),
        ("", Content::Fifo),
        ("a", device()),
        ("a", Content::Hardlink(Path::new("/etc/passwd"))),
        ("a", Content::Symlink(Path::new(""))),
        ("a", Content::Symlink(Path::new(&"x".repeat(4096)))),
    ] {
        let added = writer.add(Path::new(path), &Metadata { mtime: too_far, ..Metadata::new(0o644) }, content);
        assert!(matches!(added, Err(PackError::Refused { .. })), "{path}: {added:?}");
    }
    assert_eq!(writer.finish().expect("a layer").counts.entries, 0);
}

#[test]
fn a_file_of_another_size_spoils_the_layer_and_nothing_is_left() {
    let lab = Lab::new();
    for size in [1, 3] {
        let mut writer = LayerWriter::new(&lab.store, &plain()).expect("a writer");
        assert_eq!(rests(&lab), 1);
        let content = Content::File { size, data: &mut &b"ab"[..] };
        let added = writer.add(Path::new("f"), &Metadata::new(0o644), content);
        assert!(matches!(added, Err(PackError::Changed { .. })), "{added:?}");
        assert!(writer.add(Path::new("g"), &Metadata::new(0o644), Content::Fifo).is_err());
        assert!(writer.finish().is_err());
        assert_eq!(rests(&lab), 0);
    }
    drop(LayerWriter::new(&lab.store, &plain()).expect("a writer"));
    assert_eq!(rests(&lab), 0);
    assert_eq!(fs::read_dir(lab.store.root().join("blobs/sha256")).expect("a list").count(), 0);
}

#[test]
fn a_blob_that_is_there_is_not_written_again() {
    let lab = Lab::new();
    let write = || {
        let mut writer = LayerWriter::new(&lab.store, &Options::default()).expect("a writer");
        writer.add(Path::new("f"), &Metadata::new(0o644), file(&mut &b"abc"[..])).expect("an entry");
        writer.finish().expect("a layer")
    };
    let first = write();
    let inode = |path: &Path| fs::metadata(path).expect("a blob").ino();
    let before = inode(&lab.store.path(&first.digest));
    assert_eq!(write(), first);
    assert_eq!(inode(&lab.store.path(&first.digest)), before);
    assert_eq!(rests(&lab), 0);
}

#[test]
fn no_more_is_written_than_is_read_again() {
    let lab = Lab::new();
    let tree = lab.directory("tree");
    fs::write(tree.join("f"), [0; 5000]).expect("a file");
    fs::write(tree.join("g"), "").expect("a file");
    // Without PAX headers: three headers, ten blocks of data, and the two that end it.
    let (all, clamp) = (Limits::default(), Some(UNIX_EPOCH));
    for limits in [
        Limits { entries: 2, ..all },
        Limits { file: 4999, ..all },
        Limits { uncompressed: 7679, ..all },
        Limits { names: 1, ..all },
    ] {
        let layer = pack::tree(&lab.store, &tree, &Options { limits, clamp, ..Options::default() });
        assert!(matches!(layer, Err(PackError::Limit { .. })), "{limits:?}: {layer:?}");
    }
    let limits = Limits { entries: 3, file: 5000, uncompressed: 7680, names: 2 };
    let layer = pack::tree(&lab.store, &tree, &Options { limits, clamp, ..Options::default() }).expect("a layer");
    assert_eq!(layer.uncompressed, 7680);
}

#[test]
fn times_are_clamped_and_owners_given() {
    let lab = Lab::new();
    let whole = lab.directory("tree");
    fs::write(whole.join("f"), "").expect("a file");
    let (clamp, owner) = (Some(UNIX_EPOCH + Duration::from_secs(1_000_000_000)), Some((3_000_000, 7)));
    let layer = pack::tree(&lab.store, &whole, &Options { clamp, owner, ..plain() }).expect("a layer");
    let made = lab.directory("made");
    lab.apply(&layer, &made);
    let found = fs::metadata(made.join("f")).expect("metadata");
    assert_eq!((found.mtime(), found.mtime_nsec()), (1_000_000_000, 0));
    if root() {
        assert_eq!((found.uid(), found.gid()), (3_000_000, 7));
    }
}

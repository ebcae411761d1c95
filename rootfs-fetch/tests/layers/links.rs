//! Symbolic and hard links, and everything that could be done through them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::archive::{Entry, archive, directory, file, hardlink, symlink, whiteout};
use crate::lab::{Lab, root};

#[test]
fn nothing_goes_out_through_a_link() {
    let lab = Lab::new();
    let above = "../".repeat(20) + &lab.outside("")[1..];
    for to in [lab.outside(""), "../canary".to_owned(), above, "/".to_owned(), "/proc/self/cwd".to_owned()] {
        for entry in [
            file("l/file", "changed"),
            file("l/new", "made"),
            directory("l/below"),
            directory("l").mode(0o777),
            symlink("l/link", "elsewhere"),
            Entry::new(b'6', "l/pipe"),
            Entry::new(b'3', "l/null").device(1, 3),
            whiteout("l/.wh.file"),
            whiteout("l/.wh..wh..opq"),
            file("l", "instead").pax("SCHILY.xattr.user.x", "1"),
            hardlink("stolen", "l/file"),
            hardlink("l/given", "mine"),
        ] {
            // Applied inside or refused: `bytes` looks at the canary either way.
            let bytes = archive([file("mine", "1"), symlink("l", &to), entry]);
            let lab = Lab::new();
            drop(lab.bytes(&bytes, &lab.flat()));
            drop(lab.bytes(&bytes, &lab.overlay("overlay")));
        }
    }
    lab.unharmed();
}

#[test]
fn the_target_of_a_link_keeps_its_metadata() {
    let lab = Lab::new();
    lab.apply([file("f", "kept").mode(0o600), symlink("l", "f").mode(0o777).pax("mtime", "77")]);
    assert_eq!(lab.metadata("f").mode() & 0o7777, 0o600);
    assert_eq!((lab.metadata("f").mtime(), lab.metadata("l").mtime()), (1_000_000_000, 77));
    lab.apply([symlink("l", lab.outside("file")).mode(0o777).pax("SCHILY.xattr.user.x", "1")]);
}

#[test]
fn links_of_the_image_resolve_in_the_image() {
    let lab = Lab::new();
    lab.apply([
        directory("run"),
        directory("usr"),
        directory("usr/bin"),
        symlink("var/run", "/run"),
        symlink("bin", "usr/bin"),
        symlink("up", "../../../../usr"),
        file("var/run/x", "1"),
        file("bin/y", "2"),
        file("up/z", "3"),
        symlink("later", "/not/yet"),
        file("later/w", "4"),
    ]);
    for (path, text) in [("run/x", "1"), ("usr/bin/y", "2"), ("usr/z", "3"), ("not/yet/w", "4")] {
        assert_eq!(lab.read(path), text);
    }
    assert_eq!(fs::read_link(lab.rootfs().join("var/run")).expect("a link"), Path::new("/run"));
}

#[test]
fn loops_are_refused() {
    for (one, two) in [("b", "a"), ("b/x", "a/y"), ("a", "a")] {
        let why = Lab::new().refused([symlink("a", one), symlink("b", two), file("a/f", "")]);
        assert!(why.contains("symbolic links"), "{why}");
    }
}

#[test]
fn a_hard_link_is_another_name_inside() {
    let lab = Lab::new();
    lab.apply([
        file("a", "1"),
        hardlink("b", "/a"),
        hardlink("c", "./b"),
        hardlink("a", "a"),
        symlink("s", "a"),
        hardlink("t", "s"),
        symlink("d", "/"),
        hardlink("e", "d/a"),
    ]);
    let inode = lab.metadata("a").ino();
    assert!(["b", "c", "e"].iter().all(|name| lab.metadata(name).ino() == inode));
    assert_eq!(lab.metadata("a").nlink(), 4);
    // A link to a link is that link.
    assert_eq!(lab.metadata("t").ino(), lab.metadata("s").ino());
    // To one name another file is put; the other names stay what they were. In the next layer links lead to what lower ones have.
    lab.apply([file("b", "2"), hardlink("f", "a")]);
    assert_eq!(
        (lab.read("a"), lab.read("b"), lab.read("c"), lab.read("f")),
        ("1".into(), "2".into(), "1".into(), "1".into())
    );
}

#[test]
fn hard_links_to_what_can_not_be_linked_are_refused() {
    let lab = Lab::new();
    let outside = lab.outside("file");
    for to in ["missing", "d", "/", "d/", "../canary/file", "", &outside, "d/missing/x", ".wh.x"] {
        let why = lab.refused([directory("d"), hardlink("l", to)]);
        assert!(why.contains("hard link"), "{to}: {why}");
    }
    for to in [&outside, "../canary/file"] {
        lab.refused([symlink("s", "/"), symlink("t", "../canary"), hardlink("l", format!("s/{to}"))]);
    }
    assert!(!lab.has("l"));
}

#[test]
fn a_link_to_a_file_outside_is_linked_itself() {
    let lab = Lab::new();
    lab.apply([symlink("s", lab.outside("file")), hardlink("h", "s")]);
    assert!(lab.metadata("h").file_type().is_symlink());
    lab.apply([file("h", "a file now").mode(0o666)]);
    assert_eq!(lab.read("h"), "a file now");
}

#[test]
fn a_link_that_is_replaced_leads_nowhere_else() {
    let lab = Lab::new();
    lab.apply([
        directory("real"),
        file("real/kept", "1"),
        symlink("x", "real"),
        directory("x"),
        file("x/own", "2"),
        symlink("y", lab.outside("")),
        directory("y"),
        file("y/own", "3"),
        directory("z"),
        file("z/gone", "4"),
        symlink("z", "real"),
        file("z/through", "5"),
    ]);
    assert_eq!(
        (lab.read("real/kept"), lab.read("x/own"), lab.read("y/own"), lab.read("real/through")),
        ("1".into(), "2".into(), "3".into(), "5".into())
    );
    assert!(!lab.has("real/own") && !lab.has("real/gone"));
    assert_eq!(root(), lab.metadata("x").uid() == 0);
}

//! Names of entries.

use crate::archive::{Entry, archive, directory, file, symlink};
use crate::lab::Lab;

#[test]
fn names_that_lead_up_are_refused() {
    for name in ["../x", "a/../../x", "..", "/../x", "a/..", "./../canary/file"] {
        let why = Lab::new().refused([directory("a"), file(name, "out")]);
        assert!(why.contains("\"..\""), "{name}: {why}");
    }
}

#[test]
fn names_without_a_meaning_are_refused() {
    let lab = Lab::new();
    for (entry, why) in [
        (file("", "x"), "no name"),
        (file("x", "").pax("path", "a\0b"), "zero byte"),
        (file("x".repeat(256), ""), "255"),
        (file("ab/".repeat(1366) + "c", ""), "4095"),
        (file(".", ""), "is the root"),
        (symlink("/", "x"), "is the root"),
    ] {
        let said = lab.refused([entry]);
        assert!(said.contains(why), "{said}");
    }
    assert!(lab.paths().is_empty());
}

#[test]
fn an_error_names_the_entry_escaped() {
    let why = Lab::new().refused([file("a\u{1b}[31m\n/../b", "")]);
    assert!(why.contains(r"a\u{1b}[31m\n/../b"), "{why}");
    assert!(!why.contains('\n'));
}

#[test]
fn unusual_names_land_inside() {
    let lab = Lab::new();
    let long = "n".repeat(255);
    lab.apply([
        file("/absolute", "1"),
        file("./dot/./x", "2"),
        file("a//b", "3"),
        file("new\nline", "4"),
        file(b"\xff\xfe", "5"),
        file("case", "6"),
        file("CASE", "7"),
        file(&long, "8"),
        file("  ", "9"),
        file("back\\slash", "10"),
        file("-rf", "11"),
        file("...", "12"),
    ]);
    assert_eq!(lab.paths().len(), 14);
    for (path, text) in
        [("absolute", "1"), ("dot/x", "2"), ("a/b", "3"), ("new\nline", "4"), ("CASE", "7"), ("...", "12")]
    {
        assert_eq!(lab.read(path), text);
    }
    assert_eq!(lab.read(&long), "8");
}

#[test]
fn a_path_may_be_as_long_and_deep_as_the_kernel_takes() {
    let lab = Lab::new();
    let deep = "d/".repeat(300) + "file";
    lab.apply([file(&deep, "deep")]);
    assert_eq!(lab.read(&deep), "deep");
    // And all of that goes again.
    lab.apply([file("d", "flat")]);
    assert_eq!(lab.read("d"), "flat");
    let components = ["x".repeat(255), "y".repeat(255)].join("/");
    lab.apply([file(&components, "long")]);
    assert_eq!(lab.read(&components), "long");
}

#[test]
fn long_names_come_in_pax_or_in_gnu_headers() {
    let lab = Lab::new();
    let name = "gnu/".to_owned() + &"g".repeat(150);
    let to = "t".repeat(150);
    let long = |kind: u8, text: &str| Entry::new(kind, "././@LongLink").data(format!("{text}\0"));
    lab.apply([
        long(b'L', &name),
        file("short", "by its long name"),
        long(b'K', &to),
        long(b'L', "link"),
        symlink("other", "elsewhere"),
        file("overridden", "by PAX").pax("path", "path").pax("comment", "none"),
    ]);
    assert_eq!(lab.read(&name), "by its long name");
    assert_eq!(lab.read("path"), "by PAX");
    assert_eq!(std::fs::read_link(lab.rootfs().join("link")).expect("a link"), std::path::Path::new(&to));
    assert!(!lab.has("short") && !lab.has("other") && !lab.has("overridden"));
}

#[test]
fn what_two_readers_would_name_differently_is_refused() {
    let lab = Lab::new();
    let gnu = |text: &str| Entry::new(b'L', "long").data(text);
    for entries in [
        vec![gnu("a\0"), file("x", "").pax("path", "b")],
        vec![gnu("a\0"), gnu("b\0"), file("x", "")],
        vec![gnu("a\0b"), file("x", "")],
        vec![Entry::new(b'x', "p").data("9 path=a\n"), file("x", "").pax("path", "b")],
        vec![gnu("a\0")],
    ] {
        lab.refused(entries);
    }
    // In a value, a newline begins no record: this is one attribute, and no other name.
    let hidden = file("real", "").pax("SCHILY.xattr.user.x", "1\n13 path=other\n").pax("comment", "");
    lab.bytes(&archive([hidden]), &lab.flat()).expect("one file");
    assert_eq!(lab.paths(), ["real"]);
}

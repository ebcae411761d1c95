//! The checker finds what is wrong in made-up sources, and nothing else.

use super::{Tables, check, cycle, table_edges};

const TABLES: Tables = Tables {
    may_import: &[
        ("main", &["*"]),
        ("low", &[]),
        ("rootfs_fetch", &[]),
        ("mid", &["low"]),
        ("high", &["mid", "low::data", "rootfs_fetch"]),
    ],
    only_under: &[("nix", &["src/low/"], "one place")],
    max_lines: 5,
    exceptions: &[("src/mid/odd.rs", "nix", "because"), ("src/mid/odd.rs", "lines", "because")],
};

/// The faults, with the two exceptions in use.
fn faults(sources: &[(&str, &str)]) -> Vec<String> {
    let odd = ("src/mid/odd.rs", "use nix::x;\n\n\n\n\n\n");
    let all: Vec<(String, String)> =
        sources.iter().chain([&odd]).map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    check(&TABLES, &all)
}

fn one(path: &str, text: &str) -> String {
    let faults = faults(&[(path, text)]);
    assert_eq!(faults.len(), 1, "{text}: {faults:?}");
    faults[0].clone()
}

#[test]
fn allowed_imports_are_no_faults() {
    let good = [
        ("src/main.rs", "mod cli; use hardway::{low, mid::x, high};"),
        ("src/low/mod.rs", "use nix::fcntl; use std::fs; use super::low::data;"),
        ("src/mid.rs", "use crate::low::{data::A, B};"),
        (
            "src/high/a.rs",
            "use crate::{mid, low::data}; use super::b; fn f() { crate::low::data::g(); rootfs_fetch::x() }",
        ),
        ("rootfs-fetch/src/lib.rs", "use crate::elf; use std::io;"),
    ];
    assert_eq!(faults(&good), Vec::<String>::new());
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    let low = "src/low/mod.rs";
    for text in [
        "use crate::mid::A;",
        "pub use crate::mid;",
        "use crate::mid as other;",
        "use crate::{mid};",
        "use crate::{low::{a, b}, mid::{self}};",
        "use {std::fs, crate::{mid::A as B}};",
        "use super::mid::A;",
        "use super::{low, mid};",
        "fn f() { let x = crate::mid::f(1); }",
        "fn f(x: &'a crate::mid::A) {}",
        "fn f() -> Vec<crate::mid::A> { vec![] }",
        "m!(crate::mid::A)",
        "use hardway::mid;",
        "const X: char = '\"'; use crate::mid; const Y: char = '\"';",
        "const X: &str = r#\"a\"b\"#; use crate::mid; // \"",
        "/* /* */ */ use crate::mid;",
        "#[cfg(test)] use std::fs; use crate::mid;",
        "#[cfg(test)] mod tests { fn f() {} } use crate::mid;",
        "#[cfg(not(test))] use crate::mid;",
    ] {
        assert!(one(low, text).contains("low may not import mid"), "{text}");
    }
    assert_eq!(one(low, "\nuse crate::{\n    low,\n    mid,\n};"), "src/low/mod.rs:4: low may not import mid");
    assert_eq!(one("src/low/a/b.rs", "use super::super::super::mid;"), "src/low/a/b.rs:1: low may not import mid");
}

#[test]
fn comments_strings_and_tests_are_free() {
    for text in [
        "// use crate::mid;",
        "//! [`crate::mid::A`]",
        "/* use crate::mid; /* nested */ nix::x */",
        "const X: &str = \"crate::mid \\\" nix::x\";",
        "const X: &str = r##\"crate::mid\"# nix::x\"##;",
        "const X: &[u8] = br\"\\\"; const Y: &str = \"crate::mid\";",
        "#[cfg(test)] use crate::mid;",
        "#[cfg(test)]\n#[allow(dead_code)]\nmod tests { use crate::mid; fn f() { { nix::x() } } }",
        "#![cfg(test)]\nuse crate::mid;",
    ] {
        assert_eq!(faults(&[("src/low/mod.rs", text)]), Vec::<String>::new(), "{text}");
    }
    let elsewhere = [
        ("src/low/mod.rs", "#[cfg(test)]\nmod fixture;"),
        ("src/low/fixture.rs", "use crate::mid;\n\n\n\n\n\n"),
        ("src/low/fixture/more.rs", "use crate::mid;"),
        ("src/low/a.rs", "#[cfg(test)] mod tests;"),
        ("src/low/a/tests.rs", "use crate::high;"),
    ];
    assert_eq!(faults(&elsewhere), Vec::<String>::new());
    assert!(one("src/low/fixture.rs", "use crate::mid;").contains("low may not import mid"), "without `cfg(test)`");
}

#[test]
fn a_part_of_a_module_may_be_all_that_is_allowed() {
    assert_eq!(one("src/high.rs", "use crate::low::calls;"), "src/high.rs:1: high may not import low::calls");
    assert_eq!(one("src/high.rs", "use crate::low;"), "src/high.rs:1: high may not import low");
    assert_eq!(one("src/high.rs", "use crate::low::database;"), "src/high.rs:1: high may not import low::database");
}

#[test]
fn crates_stay_where_they_belong() {
    for text in ["use nix::x;", "use nix;", "use ::nix::x;", "fn f() { nix::unistd::fork(); }", "use {nix::x};"] {
        assert!(one("src/mid.rs", text).contains("nix belongs under src/low/: one place"), "{text}");
    }
    assert_eq!(faults(&[("src/mid.rs", "fn f() { mid::nix::x(); a.nix(); }")]), Vec::<String>::new());
}

#[test]
fn the_member_crate_knows_nothing_of_ours() {
    assert!(one("rootfs-fetch/src/elf.rs", "use hardway::low;").contains("rootfs_fetch may not import low"));
    assert!(one("rootfs-fetch/src/main.rs", "use hardway;").contains("rootfs_fetch may not import hardway"));
    assert!(one("src/low/mod.rs", "use rootfs_fetch::x;").contains("low may not import rootfs_fetch"));
}

#[test]
fn long_files_new_modules_and_stale_exceptions() {
    let long = "\n".repeat(6);
    assert_eq!(one("src/mid.rs", &long), "src/mid.rs: 6 lines without tests, more than 5");
    let tested = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert_eq!(faults(&[("src/mid.rs", &tested)]), Vec::<String>::new());
    assert_eq!(one("src/new.rs", ""), "src/new.rs: the module `new` is in no table");
    let stale = check(&TABLES, &[]);
    assert_eq!(stale.len(), 2, "{stale:?}");
    assert!(stale[0].contains("not needed any more"));
}

#[test]
fn cycles_are_found_even_between_allowed_imports() {
    const LOOP: Tables = Tables {
        may_import: &[("a", &["b"]), ("b", &["c"]), ("c", &["a"])],
        only_under: &[],
        max_lines: 5,
        exceptions: &[],
    };
    let expected = ["a", "b", "c", "a"].map(str::to_owned).to_vec();
    assert_eq!(cycle(&table_edges(&LOOP)), Some(expected));
    let sources = [("a", "b"), ("b", "c"), ("c", "a")]
        .map(|(module, other)| (format!("src/{module}.rs"), format!("use crate::{other};")));
    assert_eq!(check(&LOOP, &sources), ["modules import each other: a → b → c → a"]);
    assert_eq!(cycle(&table_edges(&TABLES)), None);
}

//! The program `rootfs-fetch`.

use std::ffi::OsStr;
use std::process::Command;

use rootfs_fetch::{Plan, What};
use tempfile::TempDir;

const BIN: &str = env!("CARGO_BIN_EXE_rootfs-fetch");

struct Run {
    status: Option<i32>,
    out: String,
    err: String,
}

/// Runs it in a place where everything that it makes goes away again.
fn run(place: &TempDir, arguments: &[&str]) -> Run {
    let cache = place.path().join("xdg");
    let output = Command::new(BIN).args(arguments).current_dir(place).env("XDG_CACHE_HOME", cache).output();
    let output = output.expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("text in UTF-8");
    Run { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn json(run: &Run) -> serde_json::Value {
    assert_eq!(run.status, Some(0), "{}", run.err);
    serde_json::from_str(&run.out).expect("JSON")
}

#[test]
fn build_makes_a_rootfs_or_nothing() {
    let place = TempDir::new().expect("a temporary directory");
    let made = run(&place, &["build", "two", "-p", "sh", "--program", "ls"]);
    assert_eq!(made.status, Some(0), "{}", made.err);
    assert!(made.out.contains("made of 2 programs of this machine and "), "{}", made.out);
    assert!(made.out.contains("try it: chroot \"two\" \"/"), "{}", made.out);
    let again = run(&place, &["build", "two", "-p", "sh"]);
    assert_eq!(again.status, Some(1));
    assert!(again.err.contains("not empty"), "{}", again.err);
    let missing = run(&place, &["build", "three", "-p", "sh", "-p", "no-such-program"]);
    assert_eq!(missing.status, Some(1));
    assert!(missing.err.contains(r#"no program "no-such-program""#), "{}", missing.err);
    assert!(!place.path().join("three").exists());
    let cached = json(&run(&place, &["build", "four", "-p", "sh", "-p", "ls", "--json"]));
    assert_eq!((&cached["read"], &cached["path"]), (&0.into(), &"four".into()), "{cached}");
    let without = json(&run(&place, &["build", "five", "-p", "ls", "--no-cache", "--json"]));
    assert_eq!(
        (&without["cached"], without["read"].as_u64()),
        (&0.into(), without["plan"]["libraries"].as_array().map(|libraries| libraries.len() as u64 + 1))
    );
}

#[test]
fn plan_tells_and_makes_nothing() {
    let place = TempDir::new().expect("a temporary directory");
    let told = run(&place, &["plan", "-p", "ls", "--bare", "--extent", "program", "--json"]);
    let plan: Plan = serde_json::from_str(&told.out).expect("a plan");
    let copies = plan.entries.iter().filter(|entry| matches!(entry.what, What::Copy { .. })).count();
    assert_eq!((copies, plan.libraries.len()), (1, 0));
    let listed = run(&place, &["plan", "--recipe", "lessons"]);
    assert!(
        listed.out.contains("directory 1777  \"/tmp\"\n") && listed.out.contains("\"/etc/passwd\""),
        "{}",
        listed.out
    );
    assert_eq!(std::fs::read_dir(&place).expect("a directory").count(), 0, "nothing is made, not even a cache");
}

#[test]
fn the_cache_is_listed_and_cleared() {
    let place = TempDir::new().expect("a temporary directory");
    let made = json(&run(&place, &["build", "r", "-p", "ls", "--json", "--cache", "c"]));
    let held = json(&run(&place, &["cache", "ls", "--json", "--cache", "c"]));
    let held = held.as_array().expect("an array");
    assert_eq!(Some(held.len() as u64), made["read"].as_u64());
    assert!(held.iter().any(|one| one["files"][0].as_str().is_some_and(|file| file.ends_with("/ls"))), "{held:?}");
    let listed = run(&place, &["cache", "ls", "--cache", "c"]);
    assert!(
        listed.out.ends_with(&format!("contents: {}, bytes: {}\n", held.len(), {
            held.iter().filter_map(|one| one["bytes"].as_u64()).sum::<u64>()
        })),
        "{}",
        listed.out
    );
    let all = json(&run(&place, &["cache", "gc", "--limit", "64M", "--json", "--cache", "c"]));
    assert_eq!(all["contents"], 0);
    let none = json(&run(&place, &["cache", "gc", "--limit", "0", "--json", "--cache", "c"]));
    assert_eq!((none["contents"].as_u64(), none["left"].as_u64()), (Some(held.len() as u64), Some(0)));
    assert_eq!(json(&run(&place, &["cache", "ls", "--json", "--cache", "c"])), serde_json::json!([]));
}

#[test]
fn a_usual_cache_that_can_not_be_used_is_done_without() {
    let place = TempDir::new().expect("a temporary directory");
    std::fs::write(place.path().join("xdg"), "no directory").expect("a file");
    let made = run(&place, &["build", "r", "-p", "ls"]);
    assert_eq!(made.status, Some(0), "{}", made.err);
    assert!(made.err.contains("without a cache"), "{}", made.err);
    let asked = run(&place, &["build", "s", "-p", "ls", "--cache", "xdg"]);
    assert_eq!(asked.status, Some(1), "who names a cache wants it");
}

#[test]
fn help_and_wrong_arguments() {
    let place = TempDir::new().expect("a temporary directory");
    for arguments in [&["--help"][..], &["build", "--help"], &["plan", "--help"], &["cache", "gc", "--help"]] {
        let help = run(&place, arguments);
        assert_eq!(help.status, Some(0));
        assert!(help.out.contains("Usage:"), "{}", help.out);
    }
    assert!(run(&place, &["--help"]).out.contains("Examples:"));
    for wrong in [
        &[][..],
        &["--what"],
        &["build"],
        &["build", "d", "-p", "ls", "--recipe", "lessons"],
        &["cache", "gc", "--limit", "1X"],
        &["cache", "gc", "--limit", "99999999999G"],
    ] {
        assert_eq!(run(&place, wrong).status, Some(2), "{wrong:?}");
    }
    let odd = Command::new(BIN).arg("plan").arg("-p").arg(OsStr::new("")).output().expect("the program runs");
    assert_eq!(odd.status.code(), Some(1));
}

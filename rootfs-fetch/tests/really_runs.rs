//! Rootfs from this machine, entered by `chroot` as root or in a user namespace.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use rootfs_fetch::{Recipe, Source};
use tempfile::TempDir;

const BIN: &str = env!("CARGO_BIN_EXE_rootfs-fetch");

/// The ways into a rootfs that this machine permits, tried without any rootfs.
fn ways() -> &'static [&'static [&'static str]] {
    static WAYS: OnceLock<Vec<&[&str]>> = OnceLock::new();
    WAYS.get_or_init(|| {
        let (mut permitted, mut refusals) = (Vec::new(), Vec::new());
        for way in [&["chroot"][..], &["unshare", "-r", "chroot"]] {
            match Command::new(way[0]).args(&way[1..]).args(["/", "/bin/sh", "-c", ":"]).output() {
                Ok(output) if output.status.success() => permitted.push(way),
                Ok(output) => refusals.push(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
                Err(error) => refusals.push(format!("{}: {error}", way[0])),
            }
        }
        if permitted.is_empty() {
            skip(&refusals.join("; "));
        }
        permitted
    })
}

/// Runs a shell line in the rootfs, in each permitted way.
fn inside(rootfs: &Path, line: &str) -> Vec<Output> {
    let run = |way: &&[&str]| {
        let output = Command::new(way[0]).args(&way[1..]).arg(rootfs).args(["/bin/sh", "-c", line]).output();
        output.expect("it was permitted a moment ago")
    };
    ways().iter().map(run).collect()
}

/// Tells that something could not be tested, past the capture of the test harness, and in the file of skips.
fn skip(why: &str) {
    let line = format!("SKIPPED rootfs-fetch really_runs: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("the test's own stderr");
    if let Some(path) = std::env::var_os("HARDWAY_SKIPS") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the file named by HARDWAY_SKIPS");
    }
}

fn assert_works(rootfs: &Path, line: &str, wanted: &[&str]) {
    for output in inside(rootfs, line) {
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{line}: {text}{}", String::from_utf8_lossy(&output.stderr));
        for word in wanted {
            assert!(text.split_whitespace().any(|found| found == *word), "{line} did not print {word}: {text}");
        }
    }
}

#[test]
fn an_automatic_rootfs_runs() {
    let place = TempDir::new().expect("a temporary directory");
    let directory = place.path().join("rootfs");
    let rootfs = Recipe::automatic().make(&directory).expect("a rootfs of this machine");
    if rootfs.plan.source == Source::Programs {
        skip("this machine has no static busybox");
    }
    assert_works(&directory, "ls / && echo ok", &["bin", "proc", "tmp", "ok"]);
    assert_works(&directory, "/usr/bin/id -un", &["root"]);
}

#[test]
fn a_rootfs_without_busybox_runs() {
    let place = TempDir::new().expect("a temporary directory");
    let directory = place.path().join("rootfs");
    let rootfs = Recipe::lessons().make(&directory).expect("a rootfs of this machine");
    assert_eq!(rootfs.plan.source, Source::Programs);
    assert_works(&directory, "ls / && echo ok", &["bin", "proc", "tmp", "ok"]);
    assert_works(&directory, "id -un", &["root"]);
    // The loader starts each program only when it finds all that the program needs.
    for path in &rootfs.plan.programs {
        let name = path.file_name().expect("a program has a name").to_string_lossy();
        let line = format!("{} --help </dev/null >/tmp/out 2>&1; test $? -ne 127 && test $? -ne 126", path.display());
        if !["kill", "sleep"].contains(&&*name) {
            let line = format!("{line} && ! grep -q 'error while loading' /tmp/out");
            // `/dev` of the rootfs is empty.
            assert_works(&directory, &line.replace("</dev/null ", "</etc/hostname "), &[]);
        }
    }
}

#[test]
fn one_program_has_what_it_needs_and_no_more() {
    let place = TempDir::new().expect("a temporary directory");
    let directory = place.path().join("rootfs");
    Recipe::programs(["sh"]).make(&directory).expect("a rootfs of this machine");
    assert_works(&directory, "echo /*; ls 2>&1 || echo none", &["/proc", "none"]);
}

/// A directory of somebody else could be changed by them while root writes into it.
#[test]
fn a_directory_of_another_user_is_refused() {
    let place = TempDir::new().expect("a temporary directory");
    let directory = place.path().join("theirs");
    std::fs::create_dir(&directory).expect("a directory");
    if let Err(error) = std::os::unix::fs::chown(&directory, Some(65533), None) {
        return skip(&format!("chown: {error}"));
    }
    for recipe in [Recipe::automatic(), Recipe::lessons(), Recipe::programs(["sh"])] {
        let error = recipe.make(&directory).expect_err("it belongs to another");
        assert!(error.to_string().contains("belongs to user 65533"), "{error}");
        assert_eq!(std::fs::read_dir(&directory).expect("it is there").count(), 0);
    }
}

#[test]
fn the_command_tells_what_it_did() {
    let place = TempDir::new().expect("a temporary directory");
    let run = |arguments: &[&str]| {
        let output = Command::new(BIN).args(arguments).current_dir(place.path()).output().expect("the program runs");
        let text = |bytes| String::from_utf8(bytes).expect("text in UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (status, out, _) = run(&["--help"]);
    assert_eq!(status, Some(0));
    assert!(out.contains("Usage:") && out.contains("Examples:"), "{out}");
    let (status, out, err) = run(&["two", "sh", "ls"]);
    assert_eq!(status, Some(0), "{err}");
    assert!(out.contains("made of 2 programs of this machine and "), "{out}");
    assert!(out.contains("try it: chroot \"two\" \"/"), "{out}");
    let (status, _, err) = run(&["two", "sh"]);
    assert_eq!(status, Some(1));
    assert!(err.contains("not empty"), "{err}");
    let (status, _, err) = run(&["three", "sh", "no-such-program"]);
    assert_eq!(status, Some(1));
    assert!(err.contains(r#"no program "no-such-program""#), "{err}");
    assert!(!place.path().join("three").exists());
    for wrong in [&[][..], &["--what"]] {
        assert_eq!(run(wrong).0, Some(2));
    }
}

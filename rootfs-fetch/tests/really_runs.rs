//! Rootfs from this machine, entered by `chroot` as root, and in a user and a mount namespace of their own.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use rootfs_fetch::{Extent, Recipe, Source};
use tempfile::TempDir;

mod lab;
mod support;
use lab::skip;

/// The ways into a rootfs that this machine permits, tried without any rootfs.
fn ways() -> &'static [&'static [&'static str]] {
    static WAYS: OnceLock<Vec<&[&str]>> = OnceLock::new();
    WAYS.get_or_init(|| {
        let (mut permitted, mut refusals) = (Vec::new(), Vec::new());
        for way in [&["chroot"][..], &["unshare", "--user", "--map-root-user", "--mount", "chroot"]] {
            match Command::new(way[0]).args(&way[1..]).args(["/", "/bin/sh", "-c", ":"]).output() {
                Ok(output) if output.status.success() => permitted.push(way),
                Ok(output) => refusals.push(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
                Err(error) => refusals.push(format!("{}: {error}", way[0])),
            }
        }
        if permitted.is_empty() {
            skip("really_runs", &refusals.join("; "));
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
        skip("really_runs", "this machine has no static busybox");
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

/// What lessons do in it: their own proc, and the programs that look at it.
#[test]
fn the_rootfs_of_lessons_works_in_namespaces_of_its_own() {
    let place = TempDir::new().expect("a temporary directory");
    let directory = place.path().join("rootfs");
    Recipe::lessons().make(&directory).expect("a rootfs of this machine");
    let enter = |user: &[&str], line: &str| {
        let mut command = Command::new("unshare");
        command.args(user).args(["--mount", "--pid", "--fork", "--uts", "chroot"]).arg(&directory);
        command.args(["/bin/bash", "-c", line]).output().expect("unshare")
    };
    let mut refusals = Vec::new();
    for user in [&[][..], &["--user", "--map-root-user"]] {
        let mounted = enter(user, "mount -t proc proc /proc");
        if !mounted.status.success() {
            refusals.push(String::from_utf8_lossy(&mounted.stderr).trim().to_owned());
            continue;
        }
        let line = "mount -t proc proc /proc && mount -t tmpfs tmpfs /mnt && hostname box && hostname && \
            ps -e -o pid,comm && findmnt -n -o FSTYPE /proc && readlink /proc/self/ns/pid && id -un && tr a b </etc/hosts";
        let output = enter(user, line);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{out}{err}");
        for word in ["box", "bash", "proc", "root", "pid:["] {
            assert!(out.contains(word), "{word} is not in: {out}{err}");
        }
    }
    if refusals.len() == 2 {
        skip("the_rootfs_of_lessons", &refusals.join("; "));
    }
}

/// The three stages of a first chroot: no loader, no libraries, all there.
#[test]
fn a_program_alone_and_one_without_libraries_fail_as_lessons_say() {
    let place = TempDir::new().expect("a temporary directory");
    // Status and word: chroot can not execute it; the loader can not find a library; it runs.
    let stages = [
        (Extent::Program, 127, "No such file or directory"),
        (Extent::Loader, 127, "error while loading shared libraries"),
        (Extent::Libraries, 0, "usr"),
    ];
    for (extent, status, says) in stages {
        let directory = place.path().join(format!("{extent:?}"));
        let rootfs = Recipe::programs(["ls"]).bare().extent(extent).make(&directory).expect("a rootfs of this machine");
        let program = &rootfs.plan.programs[0];
        for way in ways() {
            let output = Command::new(way[0]).args(&way[1..]).arg(&directory).arg(program).arg("/").output();
            let output = output.expect("it was permitted a moment ago");
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text);
            assert_eq!(output.status.code(), Some(status), "{extent:?}: {text}");
            assert!(text.contains(says), "{extent:?}: {text}");
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
        return skip("really_runs", &format!("chown: {error}"));
    }
    for recipe in [Recipe::automatic(), Recipe::lessons(), Recipe::programs(["sh"])] {
        let error = recipe.make(&directory).expect_err("it belongs to another");
        assert!(error.to_string().contains("belongs to user 65533"), "{error}");
        assert_eq!(std::fs::read_dir(&directory).expect("it is there").count(), 0);
    }
}

//! What somebody has mounted in the root file system.

use std::fs;
use std::process::Command;

use crate::archive::{archive, directory, file, hardlink, symlink, whiteout};
use crate::lab::{Lab, root};

/// Set where this program already is in a mount namespace of its own.
const INSIDE: &str = "HARDWAY_TEST_INSIDE";

#[test]
fn what_is_mounted_below_the_root_is_not_entered() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let mut command = Command::new("unshare");
    command.args(if root() { &["--mount"][..] } else { &["--mount", "--map-root-user"] });
    command.arg(std::env::current_exe().expect("this program"));
    command.args(["--exact", "mounts::what_is_mounted_below_the_root_is_not_entered", "--nocapture"]);
    let output = command.env(INSIDE, "1").output().expect("unshare");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare failed") || said.contains("SKIPPED") {
        println!("SKIPPED mounts below the root: {}", said.trim());
        return;
    }
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn inside() {
    let lab = Lab::new();
    let point = lab.rootfs().join("m");
    fs::create_dir(&point).expect("a directory");
    let mount = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).arg(&point).status().is_ok_and(|status| status.success())
    };
    if !mount("mount", &["--bind", &lab.outside("")]) {
        println!("SKIPPED: nothing can be mounted here");
        return;
    }
    let mut entered = Vec::new();
    for entry in [
        file("m/file", "changed"),
        file("m/new", ""),
        file("m", "instead"),
        symlink("m", "instead"),
        directory("m").mode(0o777),
        directory("m/below").mode(0o777),
        whiteout("m/.wh.file"),
        whiteout("m/.wh..wh..opq"),
        whiteout(".wh.m"),
        whiteout(".wh..wh..opq"),
        hardlink("stolen", "m/file"),
    ] {
        let bytes = archive([entry.clone()]);
        if lab.bytes(&bytes, &lab.flat()).is_ok() {
            entered.push(entry);
        }
    }
    assert!(mount("umount", &[]));
    assert!(entered.is_empty(), "{entered:?}");
}

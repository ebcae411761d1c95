//! Layers and images are made, and taken apart again: by this crate, by the kernel, and by umoci and skopeo.

use std::os::unix::fs::chown;
use std::process::Command;

mod documents;
mod hostile;
mod lab;
mod peers;
mod reproducible;
mod round_trip;
mod upper;
mod writer;

/// All of this again as an ordinary user: in a process of its own, because there is no way back.
#[test]
fn as_an_ordinary_user() {
    let name = "as_an_ordinary_user";
    if !lab::root() {
        return;
    }
    let Ok(user) = std::env::var("HARDWAY_TEST_USER") else {
        println!("SKIPPED packing, rootless: HARDWAY_TEST_USER names no ordinary user; tests/run does so");
        return;
    };
    let place = tempfile::Builder::new().prefix("hwtest-").tempdir_in("/tmp").expect("a temporary directory");
    let id = |flag: &str| -> u32 {
        let output = Command::new("id").args([flag, &user]).output().expect("id");
        String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or_else(|_| panic!("there is no user {user}"))
    };
    let (uid, gid) = (id("-u"), id("-g"));
    // The user may not get to where it was built. By cp(1), because what this process writes, its children may hold open.
    let copy = place.path().join("pack");
    let this = std::env::current_exe().expect("this program");
    assert!(Command::new("cp").arg(this).arg(&copy).status().expect("cp").success());
    chown(place.path(), Some(uid), Some(gid)).expect("an owner");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &gid.to_string(), "--clear-groups"]);
    command.arg(&copy).args(["--nocapture", "--skip", name]);
    command.env("TMPDIR", place.path()).env("HOME", place.path()).current_dir(place.path());
    let output = command.output().expect("setpriv");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    said.lines().filter(|line| line.contains("SKIPPED")).for_each(|line| println!("{line}"));
    assert!(output.status.success(), "as {user}: {said}");
}

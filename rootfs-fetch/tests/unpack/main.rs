//! Images of a store become root file systems: in one directory and as layers for overlayfs, as other programs unpack them, and
//! whole or not at all.

use std::os::unix::fs::chown;
use std::process::Command;

#[path = "../layers/archive.rs"]
#[allow(dead_code)]
mod archive;
mod facts;
mod flat;
mod killed;
mod lab;
mod oracles;
mod snapshots;

use lab::root;

/// All of this again as an ordinary user, and as root of a user namespace, where most ids are not mapped: in processes of their own,
/// because there is no way back.
#[test]
fn as_an_ordinary_user() {
    let name = "as_an_ordinary_user";
    if !root() || lab::in_a_user_namespace() {
        return;
    }
    let Ok(user) = std::env::var("HARDWAY_TEST_USER") else {
        println!("SKIPPED unpack, rootless: HARDWAY_TEST_USER names no ordinary user; tests/run does so");
        return;
    };
    let place = tempfile::Builder::new().prefix("hwtest-").tempdir_in("/tmp").expect("a temporary directory");
    let id = |flag: &str| -> u32 {
        let output = Command::new("id").args([flag, &user]).output().expect("id");
        String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or_else(|_| panic!("there is no user {user}"))
    };
    let (uid, gid) = (id("-u"), id("-g"));
    // The user may not get to where it was built. By cp(1), because what this process writes, its children may hold open.
    let copy = place.path().join("unpack");
    let this = std::env::current_exe().expect("this program");
    assert!(Command::new("cp").arg(this).arg(&copy).status().expect("cp").success());
    chown(place.path(), Some(uid), Some(gid)).expect("an owner");
    let become_user = ["--reuid", &user, "--regid", &gid.to_string(), "--clear-groups"];
    for namespace in [&[][..], &["unshare", "--user", "--map-root-user"]] {
        let mut command = Command::new("setpriv");
        command.args(become_user).args(namespace).arg(&copy).args(["--nocapture", "--skip", name]);
        command.env("TMPDIR", place.path()).current_dir(place.path());
        let output = command.output().expect("setpriv");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if !namespace.is_empty() && said.starts_with("unshare: ") {
            println!("SKIPPED unpack as root of a user namespace: {}", said.trim());
            continue;
        }
        said.lines().filter(|line| line.contains("SKIPPED")).for_each(|line| println!("{line}"));
        assert!(output.status.success(), "as {user} {namespace:?}: {said}");
    }
}

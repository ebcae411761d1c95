//! The tests of a suite again as somebody else: in processes of their own, because there is no way back.

use std::os::unix::fs::chown;
use std::process::Command;

/// Root of a user namespace, where most ids are not mapped.
#[allow(dead_code)]
pub const ROOT_OF_A_NAMESPACE: &[&str] = &["unshare", "--user", "--map-root-user"];

/// Runs all tests of this program but `test`, as the ordinary user that the environment names: by themselves, and behind each of these
/// commands. Called by root.
pub fn all_again(suite: &str, test: &str, behind: &[&[&str]]) {
    let Ok(user) = std::env::var("HARDWAY_TEST_USER") else {
        println!("SKIPPED {suite}, rootless: HARDWAY_TEST_USER names no ordinary user; tests/run does so");
        return;
    };
    let place = tempfile::Builder::new().prefix("hwtest-").tempdir_in("/tmp").expect("a temporary directory");
    let id = |flag: &str| -> u32 {
        let output = Command::new("id").args([flag, &user]).output().expect("id");
        String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or_else(|_| panic!("there is no user {user}"))
    };
    let (uid, gid) = (id("-u"), id("-g"));
    // The user may not get to where it was built. By cp(1), because what this process writes, its children may hold open.
    let copy = place.path().join(suite);
    let this = std::env::current_exe().expect("this program");
    assert!(Command::new("cp").arg(this).arg(&copy).status().expect("cp").success());
    chown(place.path(), Some(uid), Some(gid)).expect("an owner");
    let become_user = ["--reuid", &user, "--regid", &gid.to_string(), "--clear-groups"];
    for prefix in std::iter::once(&[][..]).chain(behind.iter().copied()) {
        let mut command = Command::new("setpriv");
        command.args(become_user).args(prefix).arg(&copy).args(["--nocapture", "--skip", test]);
        command.env("TMPDIR", place.path()).env("HOME", place.path()).current_dir(place.path());
        let output = command.output().expect("setpriv");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if prefix.first().is_some_and(|program| said.starts_with(&format!("{program}: "))) {
            println!("SKIPPED {suite} behind {}: {}", prefix.join(" "), said.trim());
            continue;
        }
        said.lines().filter(|line| line.contains("SKIPPED")).for_each(|line| println!("{line}"));
        assert!(output.status.success(), "as {user} {prefix:?}: {said}");
    }
}

//! The way out of a chroot, typed by hand: it works before pivot_root, and leads nowhere afterwards. And the other direction:
//! nothing that lessons mount gets out of the lab, though the machine's mounts are shared.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::process::Command;

use support::{COMMAND, Machine, Session, World, am_root, bounded, json_lines, skip};

in_each_mode!(out_of_a_chroot_and_not_out_of_a_pivoted_root, nothing_leaks_from_the_lab, names_that_act_on_a_terminal);

/// A rootfs as a person makes it, with a secret outside of it.
const ROOTFS: [&str; 4] = [
    "mkdir -p /lab/box/usr/{bin,sbin,lib,lib64} /lab/box/{dev,old,proc}",
    "ln -sf usr/{bin,sbin,lib,lib64} /lab/box",
    "cp --parents $(ldd $(type -P bash cat stat mount umount chroot unshare pivot_root) | grep -o '/[^: ]*' | sort -u) /lab/box",
    "echo of-the-host > /lab/secret",
];

/// A second chroot without moving, up, and out.
const ESCAPE: [&str; 3] = ["unshare --root=/usr --wd=. bash --norc", "cd ../../../..", "chroot . bash --norc"];

/// What a typed line printed, its echo and prompts left out.
fn typed(session: &mut Session<'_>, line: &str) -> String {
    let said = session.say(&format!("! {line}"));
    said.lines().filter_map(|it| it.trim().strip_prefix("| ")).skip(1).collect::<Vec<_>>().join("\n")
}

fn all(session: &mut Session<'_>, lines: &[&str]) -> String {
    lines.iter().map(|line| typed(session, line)).collect::<Vec<_>>().join("\n")
}

fn out_of_a_chroot_and_not_out_of_a_pivoted_root(world: &World) {
    let before = Machine::now(world);
    let mut session = Session::open(world, "02-mount");
    all(&mut session, &ROOTFS);
    let (host, rootfs) = (typed(&mut session, "stat -c %d:%i /"), typed(&mut session, "stat -c %d:%i /lab/box"));
    assert!(host.contains(':') && rootfs.contains(':') && host != rootfs, "{host:?} {rootfs:?}");

    typed(&mut session, "chroot /lab/box bash --norc");
    assert_eq!(typed(&mut session, "stat -c %d:%i /"), rootfs, "in the chroot");
    assert!(typed(&mut session, "cat /lab/secret").contains("No such file"), "hidden");
    all(&mut session, &ESCAPE);
    assert_eq!(typed(&mut session, "stat -c %d:%i /"), host, "out of the chroot");
    assert_eq!(typed(&mut session, "cat /lab/secret"), "of-the-host");

    let pivot = [
        "unshare --mount bash --norc",
        "mount --bind /lab/box /lab/box",
        "pivot_root /lab/box /lab/box/old",
        "cd /",
        "mount -t proc proc /proc",
    ];
    all(&mut session, &pivot);
    assert_eq!(typed(&mut session, "stat -c %d:%i /"), rootfs, "in the new root");
    assert_eq!(typed(&mut session, "cat /old/lab/secret"), "of-the-host", "as long as the old root is there");
    assert_eq!(typed(&mut session, "umount -l /old"), "");
    let said = all(&mut session, &ESCAPE);
    assert_eq!(typed(&mut session, "stat -c %d:%i /"), rootfs, "not out of the new root: {said}");
    assert!(typed(&mut session, "cat /lab/secret").contains("No such file"));
    assert!(typed(&mut session, "echo /*/lab /lab*").contains("/*/lab /lab*"), "no name leads there");
    session.quit();
    session.has_left_nothing("after the escapes");
    before.is_as_before(world);
}

/// On most machines `/` is shared. Here it is made so in a mount namespace of its own, in which every mount and umount is
/// then listened to.
fn nothing_leaks_from_the_lab(world: &World) {
    const LISTEN: &str = r#"
        set -e
        mount --make-rshared /
        findmnt --poll --noheadings > "$LOG" &
        listener=$!
        # Until it listens: it sees a mount that is made here.
        until grep -q hw-listening "$LOG"; do
            mount -t tmpfs hw-listening /mnt; umount /mnt
            [ $((tries += 1)) -lt 500 ]
        done
        "$@" && status=0 || status=$?
        kill $listener
        exit $status"#;
    if !am_root() {
        return skip("escape::nothing_leaks_from_the_lab", "only root can make the machine's mounts shared in a test");
    }
    let log = world.path().join("heard");
    let lab = world.lab(&["run", "01-chroot", "02-mount", "--via", "shell", "--json"]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "bash", "-c", LISTEN, "bash"]);
    command.arg(lab.get_program()).args(lab.get_args()).env_clear().env("LOG", &log);
    for (name, value) in lab.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let output = bounded(&mut command, COMMAND);
    assert!(output.status.success(), "{}\n{}", output.stderr, output.stdout);
    let held = json_lines(&output).iter().filter(|line| line["held"] == true).count();
    assert!(held >= 20, "only {held} steps held");
    let heard = std::fs::read_to_string(&log).unwrap();
    let foreign: Vec<&str> = heard.lines().filter(|line| !line.contains("hw-listening")).collect();
    assert!(foreign.is_empty(), "mounts of the lab were seen outside of it: {foreign:#?}");
    world.is_empty_soon("after the lessons");
}

/// Mounts may be called anything. What is shown of them is what they are called, without turning the terminal's line around.
fn names_that_act_on_a_terminal(world: &World) {
    let mut session = Session::open(world, "02-mount");
    typed(&mut session, r#"cd /lab; name=$(printf '日本 \u202egnp.exe\u05d0\u05d1\033[31m\n!'); mkdir "$name""#);
    typed(&mut session, r#"mount -t tmpfs "$name" "$name""#);
    let state = session.say("s");
    let line = state.lines().find(|line| line.contains("日本")).expect("the mount is shown");
    assert!(line.contains(r"\u{202e}gnp.exe") && line.contains(r"\u{1b}[31m\n!"), "{line:?}");
    assert!(!state.contains(['\u{202e}', '\x1b']), "{state:?}");
    session.quit();
}

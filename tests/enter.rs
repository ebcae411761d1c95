//! `hardway enter`: a visitor from another terminal is where the process is that it visits, with no more rights, and ends with
//! the lab host.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::process::Stdio;

use support::{COMMAND, Machine, Output, PROMISE, Session, World, bounded, eventually};

in_each_mode!(in_the_lab_host, in_a_box, nobody_there);

/// Runs lines in a visitor's shell.
fn visit(world: &World, lab: i32, args: &[&str], lines: &str) -> Output {
    let path = world.path().join("visit");
    std::fs::write(&path, lines).unwrap();
    let lab = lab.to_string();
    let args: Vec<&str> = ["enter", "--lab", &lab].iter().chain(args).copied().collect();
    bounded(world.hardway(&args).stdin(Stdio::from(std::fs::File::open(path).unwrap())), COMMAND)
}

fn in_the_lab_host(world: &World) {
    let before = Machine::now(world);
    let mut session = Session::open(world, "05-pid");
    let lab = session.agent().unwrap().pid;
    let links = "readlink /proc/self/ns/{mnt,uts,ipc,net,user,cgroup}";
    let seen = visit(
        world,
        lab,
        &[],
        &format!("{links}; readlink /proc/self/ns/pid; hostname; grep CapBnd /proc/self/status\n"),
    );
    let typed = session.say(&format!("! {links}; readlink /proc/self/ns/pid; hostname; grep CapBnd /proc/self/status"));
    assert_eq!(seen.stdout.lines().count(), 9, "{seen:?}");
    for line in seen.stdout.lines() {
        assert!(typed.contains(line), "{line:?} is not what the lab host's own shell says: {typed}");
    }
    assert_eq!(visit(world, lab, &[], "exit 7\n").status.code(), Some(7), "the shell's exit status is told");

    // A visitor that stays ends with the lab host.
    let mut child = world
        .hardway(&["enter", "--lab", &lab.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"exec sleep 1000\n").unwrap();
    eventually(PROMISE, || {
        let sleeps = world.processes().iter().any(|process| process.comm == "sleep");
        if sleeps { Ok(()) } else { Err("the visitor's sleep does not run".into()) }
    });
    session.quit();
    eventually(PROMISE, || match child.try_wait().unwrap() {
        Some(status) if status.code() == Some(137) => Ok(()),
        other => Err(format!("the visitor: {other:?}")),
    });
    world.is_empty_soon("after the visit");
    before.is_as_before(world);
}

fn in_a_box(world: &World) {
    let before = Machine::now(world);
    let mut session = Session::open(world, "05-pid");
    session.say("g 5");
    // Another one: it was made anew.
    let lab = session.agent().unwrap().pid;
    let seen =
        visit(world, lab, &["box"], "echo I am $$; ls -d /proc/[0-9]*; readlink /proc/1/ns/pid /proc/self/ns/pid\n");
    assert!(seen.stdout.contains("/proc/1\n"), "{seen:?}");
    let links: Vec<&str> = seen.stdout.lines().filter(|line| line.starts_with("pid:[")).collect();
    assert!(links.len() == 2 && links[0] == links[1], "it is in the pid namespace that its /proc shows: {seen:?}");
    let host = visit(world, lab, &["host"], "readlink /proc/self/ns/pid\n");
    assert_ne!(host.stdout.trim(), links[0]);
    let nobody = visit(world, lab, &["web"], "true\n");
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    assert!(nobody.stderr.contains("host, box"), "{nobody:?}");
    session.quit();
    before.is_as_before(world);
}

fn nobody_there(world: &World) {
    // No process has this pid.
    let told = visit(world, i32::MAX, &[], "true\n");
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    assert!(told.stderr.contains("No lab host of yours runs") && told.stderr.contains("fix:"), "{told:?}");
}

//! `--real-host`: lessons on the machine itself. Its processes, network, host name and files are the lab's; nothing is left.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use nix::sys::signal::Signal;
use support::{COMMAND, Machine, Mode, PROMISE, Process, Session, World, bounded, eventually, in_mode, json_lines};

fn as_root(test: &str, body: impl FnOnce(&World)) {
    in_mode(&format!("real_host::{test}"), Mode::Root, |world| {
        if !std::path::Path::new("/lab").exists() {
            body(world);
        } else {
            support::skip(&format!("real_host::{test}"), "there is a /lab on this machine that is not hardway's");
        }
    });
}

/// One after the other: only one session at a time may have the machine for a lab host.
#[test]
fn on_the_machine_itself() {
    as_root("on_the_machine_itself", |world| {
        let before = Machine::now(world);
        let output = bounded(&mut world.hardway(&["run", "--all", "--json", "--real-host"]), COMMAND);
        let lines = json_lines(&output);
        let failed: Vec<_> = lines.iter().filter(|line| line["skipped"].is_null() && line["held"] == false).collect();
        assert!(failed.is_empty() && output.status.success(), "{failed:#?}");
        assert!(!std::path::Path::new("/lab").exists());
        before.is_as_before(world);

        let mut session = Session::start(world, &mut world.hardway(&["--plain", "--real-host", "05-pid"]));
        session.opened();
        let namespace = |of: &str, kind: &str| std::fs::read_link(format!("/proc/{of}/ns/{kind}")).unwrap();
        let agent = session.agent().unwrap();
        for kind in ["pid", "net", "uts", "user"] {
            assert_eq!(namespace(&agent.pid.to_string(), kind), namespace("self", kind), "{kind} is the machine's");
        }
        let other = bounded(&mut world.hardway(&["run", "03-uts", "--real-host"]), COMMAND);
        assert!(other.status.code() == Some(1) && other.stderr.contains("another hardway"), "{other:?}");
        session.quit();
        before.is_as_before(world);

        for part in 0..4 {
            let mut command = world.hardway(&["--plain", "--real-host", "05-pid"]);
            let mut session =
                Session::start(world, command.env("XDG_STATE_HOME", world.path().join(format!("state-{part}"))));
            session.opened();
            session.say("g 7");
            session.say("! sleep 1000 &");
            let parts = [session.ui(), session.keeper.clone(), session.agent().unwrap()];
            let chosen: Vec<&Process> = if part < 3 { vec![&parts[part]] } else { parts.iter().collect() };
            chosen.iter().for_each(|part| part.signal(Signal::SIGSTOP));
            chosen.iter().for_each(|part| part.signal(Signal::SIGKILL));
            let sleeps = || world.processes().iter().any(|process| process.comm == "sleep");
            if part == 3 {
                eventually(PROMISE, || {
                    let alive = chosen.iter().any(|part| part.lives());
                    if alive { Err("a part lives".into()) } else { Ok(()) }
                });
                assert!(bounded(&mut world.hardway(&["cleanup"]), COMMAND).status.success());
            }
            eventually(PROMISE, || if sleeps() { Err(format!("part {part} killed: sleep lives")) } else { Ok(()) });
            if part == 2 {
                session.quit();
            }
            session.has_left_nothing(&format!("part {part} killed"));
            eventually(PROMISE, || {
                let there = std::path::Path::new("/lab").exists();
                if there { Err(format!("part {part} killed: /lab is there")) } else { Ok(()) }
            });
        }
        world.is_empty_soon("after all");
        before.is_as_before(world);
    });
}

#[test]
fn only_root_may() {
    in_mode("real_host::only_root_may", Mode::RootlessSingle, |world| {
        let told = bounded(&mut world.hardway(&["run", "03-uts", "--real-host"]), COMMAND);
        assert_eq!(told.status.code(), Some(1), "{told:?}");
        assert!(told.stderr.contains("only root may") && told.stderr.contains("fix:"), "{told:?}");
    });
}

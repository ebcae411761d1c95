//! `kill -9` of every part of a session at every step of every lesson: nothing is left within five seconds; of all parts
//! at once, nothing after `hardway cleanup`, or after the next start.
//!
//! What is taken away, and by whom, hardly differs with the way ids are mapped. So each step has its turn in one mode of those in which it
//! can be done; `HARDWAY_KILL=whole cargo test --test kill` does every step in all of them.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hardway::kernel::device;
use hardway::kernel::guard::sysctl;
use hardway::kernel::sys::bpf::{prog_by_id, prog_query};
use hardway::kernel::trace::Trace;
use nix::sys::signal::Signal;
use support::walks::every_step;
use support::{
    ANSWER, COMMAND, Machine, Mode, Process, Session, World, bounded, eventually, expected_skips, shown_course,
};

/// The steps that have their turn in this mode, each by its lesson and its number there from 1.
fn steps_in_turn(world: &World) -> Vec<(String, usize)> {
    let whole = std::env::var_os("HARDWAY_KILL").is_some_and(|what| what == "whole");
    // As an ordinary user nobody tests what root does.
    let modes: Vec<(Mode, BTreeSet<String>)> = [Mode::Root, Mode::RootlessRange, Mode::RootlessSingle]
        .into_iter()
        .filter(|mode| *mode != Mode::Root || support::am_root())
        .map(|mode| (mode, expected_skips(mode)))
        .collect();
    // By its place in the files, which is the same in all modes.
    let all = every_step();
    let has_its_turn = |place: &String| {
        let possible: Vec<Mode> =
            modes.iter().filter(|(_, skipped)| !skipped.contains(place)).map(|(mode, _)| *mode).collect();
        let number = all.iter().position(|one| one == place).unwrap();
        possible.contains(&world.mode) && (whole || possible[number % possible.len()] == world.mode)
    };
    let mut steps = Vec::new();
    for lesson in shown_course(world.mode) {
        for (index, step) in lesson.steps.iter().enumerate() {
            if has_its_turn(&format!("{}:{}", lesson.name, step.id)) {
                steps.push((lesson.name.clone(), index + 1));
            }
        }
    }
    steps
}

/// The next start of any session takes back what another one has left, so that the tests here take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sessions at the same time: they wait more than they work.
const AT_ONCE: usize = 4;

in_each_mode!(one_part, all_parts);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Ui,
    Keeper,
    Agent,
    /// The box, and where it has forked the outer and the inner one.
    OuterBox,
    InnerBox,
}

/// What is killed in one session, one after the other: the last ends it, the others do not. Each of the parts is in one of them.
const SESSIONS: [&[Part]; 2] = [&[Part::Agent, Part::Ui], &[Part::OuterBox, Part::InnerBox, Part::Keeper]];

fn one_part(world: &World) {
    let _turn = turn();
    let before = Machine::now(world);
    let of = |(lesson, step): (String, usize)| SESSIONS.map(|parts| (lesson.clone(), step, parts));
    let deeds = steps_in_turn(world).into_iter().flat_map(of);
    let boxes = AtomicUsize::new(0);
    in_parallel(&[world; AT_ONCE], deeds.collect(), |world, (lesson, step, parts)| {
        boxes.fetch_add(kill_parts(world, &lesson, step, parts), Ordering::Relaxed);
    });
    let boxes = boxes.into_inner();
    assert!(boxes >= 7, "only {boxes} boxes were there to be killed");
    world.is_empty_soon("after all kills");
    before.is_as_before(world);
}

/// Does all deeds, one at a time in each of these worlds.
fn in_parallel<T: Send>(worlds: &[&World], deeds: Vec<T>, deed: impl Fn(&World, T) + Sync) {
    let deeds = Mutex::new(deeds.into_iter());
    let next = || deeds.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        let work = |world: &World| {
            while let Some(one) = next() {
                deed(world, one);
            }
        };
        let workers: Vec<_> = worlds.iter().map(|world| scope.spawn(move || work(world))).collect();
        for worker in workers {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// A session that has just done a step.
fn after_step<'a>(world: &'a World, lesson: &str, step: usize) -> Session<'a> {
    let mut session = Session::open(world, lesson);
    do_step(&mut session, lesson, step);
    session
}

/// Goes to a step and does it. What a walk comes to is for other tests to prove. Here are thousands, and a machine that stands
/// still for seconds spoils one of them at times, which is then walked once more.
fn do_step(session: &mut Session<'_>, place: &str, step: usize) {
    static SPOILT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let way = session.say(&format!("g {step}"));
        let text = session.say("n");
        if !is_trouble(&way) && held(&text) {
            return;
        }
        eprintln!("{place}: step {step} does not hold: {way}{text}");
        assert!(SPOILT.fetch_add(1, Ordering::Relaxed) < 5, "{place}: step {step} does not hold: {text}");
        session.say("r");
    }
}

/// Whether what a session says to `n` tells of a step that was done: calls or a probe's answer, and no trouble.
fn held(text: &str) -> bool {
    ["µs]", "the probe reads"].iter().any(|sign| text.contains(sign)) && !is_trouble(text)
}

/// Whether a session tells of a check that does not hold, or of an error.
fn is_trouble(text: &str) -> bool {
    text.contains("  NOT ") || text.lines().any(|line| line.starts_with("! "))
}

/// Kills parts of a session after a step, one after the other, and after each but the last does the step again. How many boxes
/// there were among them.
fn kill_parts(world: &World, lesson: &str, step: usize, parts: &[Part]) -> usize {
    let mut session = after_step(world, lesson, step);
    let mut killed = 0;
    for part in parts {
        let place = format!("{part:?} killed after step {step} of {lesson}");
        let is_box = matches!(part, Part::OuterBox | Part::InnerBox);
        let boxes = session.boxes();
        let victim = match part {
            Part::Ui => Some(session.ui()),
            Part::Keeper => Some(session.keeper.clone()),
            Part::Agent => session.agent(),
            Part::OuterBox => boxes.first().cloned(),
            Part::InnerBox => boxes.get(1..).and_then(|inner| inner.last().cloned()),
        };
        let Some(victim) = victim.filter(|victim| !victim.is_frozen()) else {
            assert!(is_box, "{place}: it is not there");
            continue;
        };
        killed += usize::from(is_box);
        victim.signal(Signal::SIGKILL);
        match part {
            Part::Ui => {
                session.has_left_nothing(&place);
                return killed;
            }
            Part::Keeper => {
                // What it held ends with it, and so does the ui, without a word from the learner: it takes back what is left.
                assert_eq!(session.ended().code(), Some(1), "{place}");
                session.has_left_nothing(&place);
                return killed;
            }
            Part::Agent | Part::OuterBox | Part::InnerBox => {
                eventually(
                    support::PROMISE,
                    || if victim.lives() { Err(format!("{place}: it lives")) } else { Ok(()) },
                );
                // The ui answers, whatever it says, and starting again is a way on.
                session.say("s");
                let again = session.say("r");
                assert!(again.contains("step 1 of"), "{place}: r does not lead to the first step: {again}");
                do_step(&mut session, &place, step);
            }
        }
    }
    session.quit();
    killed
}

fn all_parts(world: &World) {
    let _turn = turn();
    // The next start of any session does the work of `cleanup`, for the ledgers in one place: root has no more than one.
    let more = if world.mode == Mode::Root { 0 } else { AT_ONCE - 1 };
    let more: Vec<World> = (0..more).map(|_| World::new(world.mode).unwrap()).collect();
    let worlds: Vec<&World> = more.iter().chain([world]).collect();
    let before = Machine::now(world);
    // The one way after every other step, the other way after the rest.
    let deeds = steps_in_turn(world).into_iter().map(|(lesson, step)| (lesson, step, step % 2 == 0));
    in_parallel(&worlds, deeds.collect(), |world, (lesson, step, by_cleanup)| {
        let mut session = after_step(world, &lesson, step);
        let parts: Vec<Process> = [Some(session.keeper.clone()), session.agent(), Some(session.ui())]
            .into_iter()
            .map(|part| part.expect("all parts live"))
            .collect();
        // Stopped first, so that none of them sees another one end.
        for part in &parts {
            part.signal(Signal::SIGSTOP);
        }
        eventually(support::PROMISE, || {
            let moving: Vec<&Process> = parts.iter().filter(|part| !part.has_stopped()).collect();
            if moving.is_empty() { Ok(()) } else { Err(format!("not stopped: {moving:?}")) }
        });
        for part in &parts {
            part.signal(Signal::SIGKILL);
        }
        let place = format!("all parts killed after step {step} of {lesson}");
        // The agent is the first process of its pid namespace, whose end waits for all others: where one is frozen, for
        // whoever takes the ledger and thaws it.
        eventually(support::PROMISE, || {
            let alive: Vec<&Process> = parts.iter().filter(|part| part.lives() && part.comm != "hw-agent").collect();
            if alive.is_empty() { Ok(()) } else { Err(format!("{place}: {alive:?} live")) }
        });
        if by_cleanup {
            assert!(session.ledger().all(|path| path.exists()), "{place}: there is a ledger to clean up by");
            let cleaned = bounded(&mut world.hardway(&["cleanup"]), COMMAND);
            assert!(cleaned.status.success(), "{place}: {cleaned:?}");
            assert!(cleaned.stdout.contains("taken away"), "{place}: {cleaned:?}");
            let again = bounded(&mut world.hardway(&["cleanup"]), COMMAND);
            assert!(again.status.success() && !again.stdout.contains("taken away"), "{place}: {again:?}");
        } else {
            let mut next = Session::open(world, &lesson);
            assert!(session.ledger().all(|path| !path.exists()), "{place}: the next start leaves the ledger");
            next.quit();
        }
        session.has_left_nothing(&place);
    });
    worlds.iter().for_each(|world| world.is_empty_soon("after all kills"));
    before.is_as_before(world);
}

/// Whether systemd has made the scope that a session's groups are in, and takes it away once nobody is in it: with version 2 alone.
fn systemd_cleans() -> bool {
    support::cgroup_mode() == "v2"
}

/// Kills a part of a session, or all at once, or else lets it end. What `cleanup` said after the death of all.
fn die(world: &World, session: &mut Session<'_>, killed: &str) -> Option<String> {
    let parts = [session.ui(), session.keeper.clone(), session.agent().unwrap()];
    match killed {
        "ui" => parts[0].signal(Signal::SIGKILL),
        "keeper" => parts[1].signal(Signal::SIGKILL),
        "agent" => {
            parts[2].signal(Signal::SIGKILL);
            session.say("s");
            session.quit();
        }
        "all" => {
            parts.iter().for_each(|part| part.signal(Signal::SIGSTOP));
            parts.iter().for_each(|part| part.signal(Signal::SIGKILL));
            let alive = || parts.iter().any(Process::lives);
            eventually(ANSWER, || if alive() { Err("alive".into()) } else { Ok(()) });
            let was_there = !session.cgroups().is_empty();
            assert!(was_there || systemd_cleans(), "a group without anybody to take it away");
            let cleaned = bounded(&mut world.hardway(&["cleanup"]), COMMAND);
            assert!(cleaned.status.success(), "{cleaned:?}");
            return Some(cleaned.stdout);
        }
        _ => session.quit(),
    }
    None
}

/// Groups in groups, with processes in them, that a learner has made: whoever is killed, none is left.
#[test]
fn a_tree_of_groups_is_taken_away() {
    support::in_mode("kill::a_tree_of_groups_is_taken_away", Mode::Root, |world| {
        let _turn = turn();
        let before = Machine::now(world);
        for killed in ["ui", "keeper", "agent", "all"] {
            let mut session = after_step(world, "08-cgroup-ns", 3);
            session.say("! mkdir -p /lab/cgroup/web/a/b /lab/cgroup/c");
            session.say("! sleep 1000 & echo $! > /lab/cgroup/web/a/b/cgroup.procs");
            let seen = session.say("! cat /lab/cgroup/web/a/b/cgroup.procs | wc -l");
            assert!(
                seen.lines().any(|line| line.trim_start_matches("  | ").trim() == "1"),
                "nobody is in the group: {seen}"
            );
            assert!(!session.cgroups().is_empty(), "there is a group to be taken away");
            let cleaned = die(world, &mut session, killed);
            let cleans = |told: String| told.contains("the cgroup") || systemd_cleans();
            assert!(cleaned.is_none_or(cleans), "the groups are gone without cleanup");
            session.has_left_nothing(&format!("{killed} killed, with a tree of groups"));
        }
        world.is_empty_soon("after all kills");
        before.is_as_before(world);
    });
}

/// The BPF programs of a session, those of a lesson and the guards: whoever is killed, the kernel has none of them any more.
#[test]
fn no_program_outlives_its_group() {
    support::in_mode("kill::no_program_outlives_its_group", Mode::Root, |world| {
        let _turn = turn();
        if expected_skips(world.mode).contains("15-devices-freezer:program") {
            return;
        }
        let lesson = shown_course(world.mode).into_iter().find(|lesson| lesson.name == "15-devices-freezer").unwrap();
        let step = 1 + lesson.steps.iter().position(|step| step.id == "other-program").unwrap();
        for killed in ["ui", "keeper", "agent", "all"] {
            let mut session = after_step(world, &lesson.name, step);
            let programs = programs_on(&session.cgroups());
            assert!(programs.len() >= 3, "two guards and the one of the lesson: {programs:?}");
            die(world, &mut session, killed);
            session.has_left_nothing(&format!("{killed} killed, with a program on a group"));
            eventually(support::PROMISE, || {
                let left: Vec<&u32> = programs.iter().filter(|id| is_loaded(**id)).collect();
                if left.is_empty() { Ok(()) } else { Err(format!("{killed} killed: programs {left:?} are loaded")) }
            });
        }
    });
}

/// The ids of hardway's BPF programs that are attached to groups.
fn programs_on(groups: &[String]) -> Vec<u32> {
    let kinds = [device::KIND, sysctl::KIND];
    let mut found = Vec::new();
    for group in groups {
        let directory = File::open(group).unwrap();
        // A group of version 1 has none.
        let of = |kind| prog_query(&mut Trace::new("test"), &directory, kind, false).unwrap_or_default();
        found.extend(kinds.into_iter().flat_map(of));
    }
    assert!(found.iter().all(|id| is_loaded(*id)), "{found:?}");
    found
}

/// Whether the kernel has a program of this id.
fn is_loaded(id: u32) -> bool {
    prog_by_id(&mut Trace::new("test"), id).is_ok()
}

/// Hierarchies that the keeper has made, with groups in them: whoever is killed, the controllers are in none again.
#[test]
fn a_hierarchy_of_its_own_ends_with_the_session() {
    const NAME: &str = "kill::a_hierarchy_of_its_own_ends_with_the_session";
    support::in_mode(NAME, Mode::Root, |world| {
        let _turn = turn();
        let before = Machine::now(world);
        for killed in ["nobody", "ui", "keeper", "agent", "all"] {
            let mut session = after_step(world, "16-net-perf-hugetlb", 1);
            assert!(support::in_a_hierarchy("net_cls"), "net_cls is in no hierarchy");
            let cleaned = die(world, &mut session, killed);
            assert!(cleaned.is_none_or(|told| told.contains("of net_cls: ended")), "the group is gone without cleanup");
            session.has_left_nothing(&format!("{killed} killed, with a hierarchy"));
            before.is_as_before(world);
        }
        // Two at a time share it, and each has a group.
        let mut one = after_step(world, "16-net-perf-hugetlb", 1);
        let other = after_step(world, "16-net-perf-hugetlb", 1);
        other.ui().signal(Signal::SIGKILL);
        let seen = one.say("! cat /sys/fs/cgroup/net_cls/marked/net_cls.classid");
        assert!(seen.contains("65537"), "{seen}");
        one.quit();
        world.is_empty_soon("after all kills");
        before.is_as_before(world);
    });
}

#[test]
fn a_dry_run_of_cleanup_takes_nothing_away() {
    let mode = if support::am_root() { Mode::Root } else { Mode::RootlessSingle };
    support::in_mode("kill::a_dry_run_of_cleanup_takes_nothing_away", mode, |world| {
        let _turn = turn();
        let mut session = Session::open(world, "05-pid");
        let parts = [session.keeper.clone(), session.agent().unwrap(), session.ui()];
        for part in &parts {
            part.signal(Signal::SIGSTOP);
        }
        for part in &parts {
            part.signal(Signal::SIGKILL);
        }
        eventually(ANSWER, || if parts.iter().any(Process::lives) { Err("alive".into()) } else { Ok(()) });
        let ledger = session.ledger().next().unwrap();
        let told = bounded(&mut world.hardway(&["cleanup", "--dry-run"]), COMMAND);
        assert!(told.stdout.contains(ledger.to_str().unwrap()), "{told:?}");
        assert!(ledger.exists());
        assert!(bounded(&mut world.hardway(&["cleanup"]), COMMAND).status.success());
        session.has_left_nothing("after cleanup");
    });
}

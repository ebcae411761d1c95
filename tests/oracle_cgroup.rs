//! What the cgroups panel says, against cat, ls, readlink and nsenter in the lab host.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use support::rows::{Rows, Told, printed, rows, words};
use support::{Session, World};

in_each_mode!(every_row);

/// A hierarchy that a session makes is a line in `/proc/PID/cgroup` of every process on the machine, so the tests here take turns.
static TURN: Mutex<()> = Mutex::new(());

/// With a box in a group and in namespaces of its own, where the lab host has a group; else in a cgroup namespace alone.
fn every_row(world: &World) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut session = Session::open(world, "08-cgroup-ns");
    // The state before step 10, the failing rmdir.
    session.say("g 10");
    // The hierarchies are the machine's; a list of all their rows would be cut.
    let hierarchies = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let hierarchies = hierarchies.lines().map(|line| line.split(':').nth(1).unwrap());
    let mut searches: Vec<String> = hierarchies.filter(|it| !it.is_empty()).map(|name| format!("v1 {name}")).collect();
    let others = ["host v2", "host layout", "host own", "box v2", "group members", "box root of", "box host, inside"];
    searches.extend(others.map(str::to_owned));
    let searches: Vec<&str> = searches.iter().map(String::as_str).collect();
    let rows = rows(&mut session, "cgroups", &searches);
    for ((subject, key), told) in &rows {
        let seen = printed(&mut session, &told.command);
        let at = format!("{subject} {key} = {}: `{}` prints {seen}", told.value, told.command);
        assert!(prints(key, told, &seen), "{at}");
    }
    // One row for each line of the file, inside and outside.
    for who in ["host", "box"] {
        let lines = printed(&mut session, &format!("cat {}", file(&rows, who)));
        let hierarchies =
            rows.keys().filter(|(subject, key)| subject == who && key.starts_with('v') && !key.ends_with("inside"));
        assert_eq!(hierarchies.count(), lines.lines().count(), "{who}: {lines}");
    }
    let own = value(&rows, "host", "own group");
    let groups: BTreeSet<String> =
        rows.keys().filter_map(|(subject, _)| Some(subject.strip_prefix("group /")?.to_owned())).collect();
    if own == "none" {
        assert!(groups.is_empty());
        session.quit();
        return;
    }
    let listed = printed(&mut session, "cd /lab/cgroup/ && ls -d */");
    let listed: BTreeSet<String> =
        words(&listed).into_iter().map(|name| name.trim_end_matches('/').to_owned()).collect();
    assert_eq!(groups, listed);
    assert_eq!(value(&rows, "host", &hierarchy(&rows)), "/");
    assert_eq!(value(&rows, "box", &hierarchy(&rows)), "/web");
    assert_eq!(value(&rows, "box", &format!("{}, inside", hierarchy(&rows))), "/");
    assert_eq!(value(&rows, "box", "host, inside"), "/..");
    assert_eq!(value(&rows, "box", &format!("root of {own}, inside")), "/..");
    assert_eq!(value(&rows, "box", "root of /mnt, inside"), "/");
    session.quit();
}

/// A BPF program on a group has one row, and its command tells of the same program.
#[test]
fn a_program_of_a_group() {
    support::in_mode("oracle_cgroup::a_program_of_a_group", support::Mode::Root, |world| {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if support::expected_skips(world.mode).contains("15-devices-freezer:which-program") {
            return;
        }
        let lesson =
            support::shown_course(world.mode).into_iter().find(|lesson| lesson.name == "15-devices-freezer").unwrap();
        let step = 1 + lesson.steps.iter().position(|step| step.id == "which-program").unwrap();
        let mut session = Session::open(world, &lesson.name);
        session.say(&format!("g {step}"));
        let rows = rows(&mut session, "cgroups", &["device program"]);
        let (at, told) = rows.iter().next().expect("a row");
        assert_eq!((rows.len(), at.0.as_str()), (1, "group /strict"));
        let seen = printed(&mut session, &told.command);
        assert!(seen.lines().any(|line| line == told.value), "{} is not in: {seen}", told.value);
        session.quit();
    });
}

/// Whether the row's command prints the row's value.
fn prints(key: &str, told: &Told, seen: &str) -> bool {
    let value = told.value.as_str();
    let path = |line: &str| line.splitn(3, ':').nth(2).map(str::to_owned);
    match key {
        "own group" => {
            if value == "none" {
                seen.is_empty()
            } else {
                seen.trim() == value
            }
        }
        "layout" => {
            let has = |fstype: &str| seen.lines().any(|line| line.contains(&format!(" - {fstype} ")));
            let word = match (has("cgroup"), has("cgroup2")) {
                (false, false) => "not mounted",
                (true, false) => "version 1",
                (true, true) => "hybrid",
                (false, true) => "version 2",
            };
            value.starts_with(word)
        }
        "members" => {
            let mut pids: Vec<u32> = words(seen).iter().map(|pid| pid.parse().unwrap()).collect();
            pids.sort_unstable();
            let told: Vec<u32> = words(value).iter().filter_map(|pid| pid.parse().ok()).collect();
            pids == told
        }
        "host, inside" => seen.lines().any(|line| path(line).as_deref() == Some(value)),
        // The uppermost mount is the last.
        key if key.starts_with("root of ") => seen.lines().next_back().is_some_and(|line| words(line)[3] == value),
        _ => seen.lines().count() == 1 && path(seen.trim_end()).as_deref() == Some(value),
    }
}

fn value<'a>(rows: &'a Rows, subject: &str, key: &str) -> &'a str {
    let found = rows.get(&(subject.to_owned(), key.to_owned()));
    found.unwrap_or_else(|| panic!("no row {subject} {key} in {:?}", rows.keys())).value.as_str()
}

/// The cgroup file of a process, from the command of a row about it.
fn file(rows: &Rows, who: &str) -> String {
    let (_, told) = rows.iter().find(|((subject, key), _)| subject == who && key.starts_with('v')).unwrap();
    words(&told.command).last().unwrap().to_string()
}

/// The key of the hierarchy in which the lab host has its group.
fn hierarchy(rows: &Rows) -> String {
    let keys = rows.keys().filter(|(subject, key)| subject == "box" && !key.contains("inside"));
    let mut different = keys.filter(|(_, key)| value(rows, "box", key) != value(rows, "host", key));
    different.next().unwrap().1.clone()
}

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::probe::clocks::{Measured, Offsets};
use crate::probe::mounts::Mounted;
use crate::probe::{Clocks, Credentials, IdMap, Mount, Namespaces, Overflow, Owner, Ownership, Reading, diff};

fn namespaces(own: &[(Namespace, u64)]) -> Namespaces {
    let inode = |kind| own.iter().find(|(it, _)| *it == kind).map_or(100, |(_, inode)| *inode);
    Namespaces(Namespace::ALL.into_iter().map(|kind| (kind, Reading::Value(inode(kind)))).collect())
}

fn process(pid: i32, ppid: i32, comm: &str, own: &[(Namespace, u64)]) -> Process {
    let map = vec![IdMap { inside: 0, outside: 1000, count: 1 }];
    Process {
        pid,
        ppid,
        pgrp: pid,
        comm: comm.to_owned(),
        state: 'S',
        start_time: 1,
        cmdline: vec![comm.to_owned()],
        nspid: vec![pid],
        cpus_allowed: "0-1".to_owned(),
        namespaces: namespaces(own),
        credentials: Credentials {
            uid: [0; 4],
            gid: [0, 5, 0, 0],
            groups: Vec::new(),
            caps: [0, 1, 1, (1 << 41) - 1, 0],
            no_new_privs: false,
            seccomp: 0,
            uid_map: Reading::Value(map),
            gid_map: Reading::Value(Vec::new()),
            setgroups: Reading::Value("deny".to_owned()),
        },
        root: Reading::Value("/".to_owned()),
        cwd: Reading::Value("/".to_owned()),
        exe: Reading::Value(format!("/bin/{comm}")),
    }
}

fn mount(target: &str, fstype: &str) -> Mount {
    let mounted = Mounted {
        device: "0:1".to_owned(),
        root: "/".to_owned(),
        target: target.to_owned(),
        options: "rw".to_owned(),
        fstype: fstype.to_owned(),
        source: fstype.to_owned(),
        super_options: "rw".to_owned(),
    };
    Mount { id: 1, parent: 1, propagation: Vec::new(), mounted: Arc::new(mounted) }
}

/// A time namespace that is so many seconds ahead.
fn clocks(ahead: i64) -> Clocks {
    let offsets = Offsets { monotonic: (0, 0), boottime: (ahead, 0) };
    let measured = Measured { monotonic: 0, boottime: ahead, realtime: 0, days_up: 2 };
    Clocks { written: Some(Reading::Value(offsets)), measured: Some(Reading::Value(measured)) }
}

/// hardway's init, and a box with a UTS and a mount namespace of its own.
fn lab() -> (Observation, Names) {
    let own = [(Namespace::Uts, 7), (Namespace::Mnt, 8)];
    let observation = Observation {
        processes: vec![process(1, 0, "hardway", &[]), process(11, 1, "bash", &own), process(12, 11, "sleep", &own)],
        hostnames: [(100, Reading::Value("lab".to_owned())), (7, Reading::Value("web".to_owned()))].into(),
        mounts: [
            (100, Reading::Value(vec![mount("/", "ext4")])),
            (8, Reading::Value(vec![mount("/proc", "proc"), mount("/proc", "proc"), mount("/a b", "tmpfs")])),
        ]
        .into(),
        visible_pids: [(100, Reading::Value(vec![1, 11, 12])), (8, Reading::Value(vec![1]))].into(),
        overflow: Some(Reading::Value(Overflow { uid: 65_534, gid: 65_533 })),
        clocks: [(100, clocks(0)), (7, Clocks::default())].into(),
        files: [("/tmp/a b".to_owned(), Owner { uid: 1000, gid: 0 })].into(),
        ..Observation::default()
    };
    (observation, Names { host: 1, boxes: [("box".to_owned(), 12)].into(), ..Names::default() })
}

fn find<'a>(rows: &'a [Row], panel: Panel, subject: &str, key: &str) -> &'a Row {
    rows.iter()
        .find(|row| (row.panel, row.subject.as_str(), row.key.as_str()) == (panel, subject, key))
        .unwrap_or_else(|| panic!("no row {panel} {subject} {key}"))
}

#[test]
fn each_value_says_where_it_was_read_and_what_prints_it() {
    let (observation, names) = lab();
    let rows = rows(&observation, &names);
    let expected = [
        (Panel::Namespaces, "box (pid 12)", "uts", "7", "/proc/12/ns/uts", "readlink /proc/12/ns/uts"),
        (Panel::Namespaces, "pid 11 bash", "net", "100", "/proc/11/ns/net", "readlink /proc/11/ns/net"),
        (Panel::Hostname, "host (pid 1)", "hostname", "lab", "uname(2) in the uts namespace of pid 1", "hostname"),
        (
            Panel::Hostname,
            "box (pid 12)",
            "hostname",
            "web",
            "uname(2) in the uts namespace of pid 12",
            "nsenter --target 12 --uts hostname",
        ),
        (Panel::Credentials, "box (pid 12)", "uid_map", "0 1000 1", "/proc/12/uid_map", "cat /proc/12/uid_map"),
        (Panel::Credentials, "box (pid 12)", "gid_map", "empty", "/proc/12/gid_map", "cat /proc/12/gid_map"),
        (Panel::Credentials, "host (pid 1)", "CapBnd", "all 41", "/proc/1/status", "grep CapBnd /proc/1/status"),
        (Panel::Processes, "box (pid 12)", "NSpid", "12", "/proc/12/status", "grep NSpid /proc/12/status"),
        (Panel::Processes, "box (pid 12)", "pids in /proc", "1", "/proc/11/root/proc", "ls /proc/11/root/proc"),
        // One of two processes in the namespace was read; the other has the word.
        (
            Panel::Mounts,
            "box (pid 12)",
            "/a b",
            "tmpfs tmpfs rw private",
            "/proc/11/mountinfo",
            "findmnt --task 11 '/a b'",
        ),
        (
            Panel::Mounts,
            "box (pid 12)",
            "/proc #2",
            "proc proc rw private",
            "/proc/11/mountinfo",
            "findmnt --task 11 /proc",
        ),
    ];
    for (panel, subject, key, value, source, command) in expected {
        let row = find(&rows, panel, subject, key);
        assert_eq!((row.value.as_str(), row.source.as_str(), row.command.as_str()), (value, source, command));
    }
    let meaning = |key| &find(&rows, Panel::Namespaces, "box (pid 12)", key).meaning;
    assert!(meaning("uts").contains("Not the host's"), "{}", meaning("uts"));
    assert!(meaning("net").contains("same as the host's"), "{}", meaning("net"));
}

#[test]
fn one_id_has_two_numbers() {
    let (mut observation, names) = lab();
    let rows_of = |observation: &Observation| rows(observation, &names);
    let inside = |rows: &[Row]| rows.iter().filter(|row| row.key.ends_with(" inside")).count();
    let all = rows_of(&observation);
    assert_eq!(inside(&all), 0, "all are in the host's own user namespace");
    assert_eq!(find(&all, Panel::Credentials, "/tmp/a b", "owner").command, "stat -c %u '/tmp/a b'");
    assert!(all.iter().all(|row| row.key != "owner for box"));

    observation.processes[2].namespaces.0.insert(Namespace::User, Reading::Value(9));
    observation.processes[2].credentials.uid = [1000; 4];
    let all = rows_of(&observation);
    assert_eq!(inside(&all), 2);
    let value = |subject: &str, key: &str| find(&all, Panel::Credentials, subject, key).value.as_str();
    assert_eq!(value("box (pid 12)", "uid inside"), "0");
    assert_eq!(value("box (pid 12)", "gid inside"), "65533", "the group map is empty");
    assert_eq!((value("/tmp/a b", "owner"), value("/tmp/a b", "owner for box")), ("1000", "0"));
    // One of two processes in the host's user namespace has the rows of its maps.
    let maps: Vec<&str> = all.iter().filter(|row| row.key == "uid_map").map(|row| row.subject.as_str()).collect();
    assert_eq!(maps, ["host (pid 1)", "box (pid 12)"]);
}

#[test]
fn clocks_are_told_of_who_lives_by_them() {
    let (mut observation, names) = lab();
    observation.clocks.insert(5, clocks(60));
    observation.processes[2].namespaces.0.insert(Namespace::TimeForChildren, Reading::Value(5));
    let seen = rows(&observation, &names);
    let offsets = |rows: &[Row]| {
        let row = find(rows, Panel::Clocks, "box (pid 12)", "timens_offsets").clone();
        (row.value, row.meaning)
    };
    let boottime = |rows: &[Row]| find(rows, Panel::Clocks, "box (pid 12)", "CLOCK_BOOTTIME").value.clone();
    assert_eq!(boottime(&seen), "+0 s", "the box stays where it is");
    let (value, meaning) = offsets(&seen);
    assert_eq!(value, "monotonic 0 0, boottime 60 0");
    assert!(meaning.starts_with("Not its own"), "{meaning}");

    observation.processes[2].namespaces.0.insert(Namespace::Time, Reading::Value(5));
    let seen = rows(&observation, &names);
    assert_eq!(boottime(&seen), "+60 s");
    assert!(offsets(&seen).1.contains("can't be changed any more"));
    assert_eq!(find(&seen, Panel::Clocks, "box (pid 12)", "up").command, "nsenter --target 12 --time cat /proc/uptime");
    assert_eq!(find(&seen, Panel::Clocks, "host (pid 1)", "up").command, "cat /proc/uptime");
}

#[test]
fn a_worker_that_runs_and_sleeps_changes_nothing() {
    let (mut observation, names) = lab();
    let before = rows(&observation, &names);
    for state in ['R', 'S', 'I'] {
        observation.processes[2].state = state;
        assert_eq!(diff(&before, &rows(&observation, &names)), []);
    }
    observation.processes[2].state = 'T';
    let changes = diff(&before, &rows(&observation, &names));
    assert_eq!(changes.iter().map(|it| it.row.value.as_str()).collect::<Vec<_>>(), ["stopped (T)"]);
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let (mut observation, names) = lab();
    observation.processes[1].comm = "\u{1b}[2Jé\n".to_owned();
    observation.mounts.insert(8, Reading::Value(vec![mount("/\u{7}", "tmpfs")]));
    let rows = rows(&observation, &names);
    assert!(rows.iter().any(|row| row.subject == "pid 11 \\u{1b}[2Jé\\n"));
    for row in &rows {
        for text in [&row.subject, &row.key, &row.value, &row.source, &row.command, &row.meaning] {
            assert!(!text.chars().any(char::is_control), "{text:?}");
            assert!(!text.is_empty(), "{row:?}");
        }
    }
}

#[test]
fn words_for_a_shell() {
    for (word, quoted) in
        [("/proc", "/proc"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("", "''"), ("$HOME", "'$HOME'")]
    {
        assert_eq!(quote(word), quoted);
    }
}

fn any_process() -> impl Strategy<Value = (i32, String, char, BTreeMap<usize, u64>)> {
    let links = proptest::collection::btree_map(0usize..Namespace::ALL.len(), 0u64..4, 0..10);
    (1i32..30, "[a-z()# ]{0,4}", proptest::sample::select(vec!['R', 'Z', 'D']), links)
}

proptest! {
    #[test]
    fn no_two_rows_are_the_same_thing(
        list in proptest::collection::vec(any_process(), 0..12),
        host in 0i32..30, boxed in 1i32..30, targets in proptest::collection::vec("/[ab#12 ]{0,3}", 0..8),
    ) {
        let mut processes: BTreeMap<i32, Process> = BTreeMap::new();
        for (pid, comm, state, links) in list {
            let mut one = process(pid, 1, &comm, &[]);
            one.state = state;
            one.namespaces =
                Namespaces(links.into_iter().map(|(at, inode)| (Namespace::ALL[at], Reading::Value(inode))).collect());
            processes.insert(pid, one);
        }
        let mounts: Vec<Mount> = targets.iter().map(|target| mount(target, "tmpfs")).collect();
        let missing = || Reading::Missing("EPERM".parse().unwrap());
        let ownership = Ownership { owner: Reading::Value(1), parent: Some(missing()), creator: Some(Reading::Value(0)) };
        let observation = Observation {
            processes: processes.into_values().collect(),
            hostnames: (0..4).map(|inode| (inode, Reading::Value("x".to_owned()))).collect(),
            mounts: (0..4).map(|inode| (inode, Reading::Value(mounts.clone()))).collect(),
            visible_pids: (0..4).map(|inode| (inode, Reading::Value(vec![1]))).collect(),
            ownership: (0..4).map(|inode| (inode, Reading::Value(ownership.clone()))).collect(),
            overflow: Some(Reading::Value(Overflow { uid: 65_534, gid: 65_534 })),
            clocks: (0..4).map(|inode| (inode, clocks(60))).collect(),
            files: targets.iter().map(|target| (target.clone(), Owner { uid: 0, gid: 0 })).collect(),
            ipc: (0..4).map(|inode| (inode, Reading::Missing("EPERM".parse().unwrap()))).collect(),
            ..Observation::default()
        };
        let names = Names { host, boxes: [("box".to_owned(), boxed)].into(), ..Names::default() };
        let rows = rows(&observation, &names);
        let identities: HashSet<_> = rows.iter().map(Row::identity).collect();
        prop_assert_eq!(identities.len(), rows.len());
        prop_assert_eq!(diff(&rows, &super::rows(&observation, &names)), []);
    }
}

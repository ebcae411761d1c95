#![allow(clippy::unwrap_used)]

mod devices;
mod files;
mod images;
mod layers;
mod links;
mod nftables;
mod overlays;

use proptest::prelude::*;

use super::*;
use crate::kernel::errno::Errno;
use crate::kernel::namespace::Namespace;
use crate::lesson::raw::pick;
use crate::probe::clocks::Measured;
use crate::probe::{Clocks, Credentials, IdMap, Namespaces, Overflow, Owner, Ownership, Process, Reading};

/// A lab host with a box in it, made by hand.
#[derive(Debug)]
struct Lab {
    observation: Observation,
    names: Names,
}

const NS: u64 = 4_026_531_800;

fn namespaces() -> Namespaces {
    Namespaces(Namespace::ALL.iter().enumerate().map(|(at, kind)| (*kind, Reading::Value(NS + at as u64))).collect())
}

fn process(pid: i32, ppid: i32, comm: &str) -> Process {
    let none = || Reading::Missing(errno("EACCES"));
    Process {
        pid,
        ppid,
        pgrp: pid,
        comm: comm.into(),
        state: 'S',
        start_time: 0,
        cmdline: vec![comm.into()],
        nspid: vec![pid],
        cpus_allowed: "0-1".to_owned(),
        namespaces: namespaces(),
        credentials: Credentials {
            uid: [0; 4],
            gid: [0; 4],
            groups: Vec::new(),
            caps: [0; 5],
            no_new_privs: false,
            seccomp: 0,
            uid_map: Reading::Value(Vec::new()),
            gid_map: Reading::Value(Vec::new()),
            setgroups: Reading::Value("allow".into()),
        },
        root: none(),
        cwd: none(),
        exe: none(),
    }
}

fn errno(name: &str) -> Errno {
    name.parse().unwrap()
}

impl Lab {
    /// hardway's init, and a box that has unshared nothing.
    fn new() -> Self {
        let mut observation =
            Observation { processes: vec![process(1, 0, "hardway"), process(7, 1, "bash")], ..Observation::default() };
        observation.hostnames.insert(NS + 1, Reading::Value("lab".into()));
        observation.visible_pids.insert(NS, Reading::Value(vec![1, 7]));
        let names = Names { host: 1, boxes: [("box".to_owned(), 7)].into(), ..Names::default() };
        Self { observation, names }
    }

    fn change(&mut self, pid: i32, change: impl FnOnce(&mut Process)) -> &mut Self {
        change(self.observation.processes.iter_mut().find(|it| it.pid == pid).unwrap());
        self
    }

    fn own(&mut self, pid: i32, kind: Namespace, inode: u64) -> &mut Self {
        self.change(pid, |it| {
            it.namespaces.0.insert(kind, Reading::Value(inode));
        })
    }

    /// The box is PID 1 of a pid namespace of its own.
    fn inits(&mut self) -> &mut Self {
        self.own(7, Namespace::Pid, 70).own(7, Namespace::PidForChildren, 70).change(7, |it| it.nspid = vec![7, 1])
    }

    fn child_inside(&mut self, pid: i32, ppid: i32, inside: i32, comm: &str) -> &mut Self {
        let mut child = process(pid, ppid, comm);
        child.nspid = vec![pid, inside];
        self.observation.processes.push(child);
        self.own(pid, Namespace::Pid, 70)
    }

    fn check(&self, yaml: &str) -> Verdict {
        let check: Check = pick::typed(yaml, &[]).unwrap().unwrap();
        check.evaluate(&self.observation, &self.names)
    }

    fn value(&self, yaml: &str) -> Option<String> {
        let value: Value = pick::typed(yaml, &[]).unwrap().unwrap();
        assert!(value.words().starts_with("the "));
        value.read(&self.observation, &self.names)
    }
}

#[test]
fn a_process_lives_until_it_is_a_zombie() {
    let mut lab = Lab::new();
    assert!(lab.check("exists: { of: box }").holds);
    assert!(!lab.check("gone: { of: box }").holds);
    lab.change(7, |it| it.state = 'Z');
    assert!(!lab.check("exists: { of: box }").holds);
    assert!(lab.check("gone: { of: box }").holds);
    lab.names.boxes.clear();
    assert!(lab.check("gone: { of: box }").holds);
    assert_eq!(lab.check("exists: { of: box }").seen, "there is no box");
    assert!(lab.check("exists: { of: host }").holds);
    lab.names.host = 0;
    assert!(!lab.check("exists: { of: host }").holds, "0 is no pid");
}

#[test]
fn who_was_forked_is_another_process() {
    let mut lab = Lab::new();
    assert!(lab.check("unforked: { of: box }").holds, "a child of the host");
    lab.child_inside(9, 7, 2, "sleep").names.boxes.insert("box".to_owned(), 9);
    let check = lab.check("unforked: { of: box }");
    assert_eq!((check.holds, check.seen.as_str()), (false, "its parent is pid 7, `bash`"));
    lab.names.shell = Some(7);
    assert!(lab.check("unforked: { of: box }").holds, "a child of the learner's own shell");
}

#[test]
fn a_namespace_belongs_to_the_user_namespace_that_the_kernel_names() {
    let mut lab = Lab::new();
    let check = "owned_by: { of: box, kind: uts, by: host }";
    assert_eq!(lab.check(check).seen, "it was not read");
    let host = NS + 6;
    let ownership = |owner| Reading::Value(Ownership { owner, parent: None, creator: None });
    lab.observation.ownership.insert(NS + 1, ownership(Reading::Value(host)));
    assert!(lab.check(check).holds, "{}", lab.check(check).seen);
    lab.own(1, Namespace::User, 70);
    assert!(!lab.check(check).holds);
    lab.observation.ownership.insert(NS + 1, ownership(Reading::Missing(errno("EPERM"))));
    assert_eq!(lab.check(check).seen, "none: EPERM (Operation not permitted)");
}

#[test]
fn programs_go_by_the_name_that_the_kernel_cuts() {
    let mut lab = Lab::new();
    assert!(lab.check("comm: { of: box, is: bash }").holds);
    let verdict = lab.check("comm: { of: box, is: sleep }");
    assert!(!verdict.holds);
    assert_eq!((verdict.claim.as_str(), verdict.seen.as_str()), ("box runs `sleep`", "box runs `bash`"));
    lab.change(7, |it| it.comm = "a-program-of-ma".into());
    assert!(lab.check("comm: { of: box, is: a-program-of-many-letters }").holds);
    assert!(!lab.check("no_process: { comm: a-program-of-many-letters }").holds);
    assert!(lab.check("no_process: { comm: sleep }").holds);
    lab.change(7, |it| it.state = 'Z');
    assert!(lab.check("no_process: { comm: a-program-of-many-letters }").holds);
}

#[test]
fn namespaces_differ_only_where_both_are_known() {
    let mut lab = Lab::new();
    let differs = "namespace_differs: { of: box, kind: uts, from: host }";
    assert!(!lab.check(differs).holds);
    assert!(lab.check("namespace_same: { of: box, kind: uts, as: host }").holds);
    lab.own(7, Namespace::Uts, 77);
    let verdict = lab.check(differs);
    assert!(verdict.holds);
    assert_eq!(verdict.claim, "box is in another uts namespace than host");
    assert_eq!(verdict.seen, format!("box 77, host {}", NS + 1));
    lab.change(7, |it| {
        it.namespaces.0.insert(Namespace::PidForChildren, Reading::Missing(errno("ENOENT")));
    });
    let verdict = lab.check("namespace_differs: { of: box, kind: pid_for_children, from: host }");
    assert!(!verdict.holds);
    assert!(verdict.seen.contains("ENOENT"), "{}", verdict.seen);
    assert!(!lab.check("namespace_same: { of: box, kind: pid_for_children, as: host }").holds);
    assert_eq!(lab.value("namespaces_that_differ: { of: box, from: host }").unwrap(), "2");
    lab.change(7, |it| {
        it.namespaces.0.insert(Namespace::Net, Reading::Missing(errno("EACCES")));
    });
    assert_eq!(lab.value("namespaces_that_differ: { of: box, from: host }"), None, "what can't be read isn't counted");
}

#[test]
fn an_id_inside_comes_through_the_map() {
    let mut lab = Lab::new();
    let map = |inside, outside, count| IdMap { inside, outside, count };
    lab.observation.overflow = Some(Reading::Value(Overflow { uid: 65_534, gid: 65_534 }));
    lab.change(7, |it| it.credentials.uid = [1000; 4]);
    assert!(lab.check("uid: { of: box, is: 1000 }").holds);
    assert_eq!(lab.value("uid: { of: box }").unwrap(), "1000");
    assert_eq!(lab.value("uid_inside: { of: box }").unwrap(), "1000", "it is in the host's own user namespace");

    lab.own(7, Namespace::User, 70);
    assert!(lab.check("no_map: { of: box, ids: users }").holds);
    assert_eq!(lab.value("uid_inside: { of: box }").unwrap(), "65534");
    assert_eq!(lab.value("id_outside: { of: box, id: 0 }"), None);
    let maps = "maps: { of: box, ids: users, inside: 0 }";
    assert!(!lab.check(maps).holds);
    lab.change(7, |it| it.credentials.uid_map = Reading::Value(vec![map(0, 1000, 1), map(1, 100_000, 10)]));
    assert!(lab.check(maps).holds && !lab.check("no_map: { of: box, ids: users }").holds);
    assert_eq!(lab.check(maps).seen, "0 1000 1, 1 100000 10");
    assert!(lab.check("uid_inside: { of: box, is: 0 }").holds);
    assert!(lab.check("maps: { of: box, ids: users, inside: 10 }").holds);
    assert!(!lab.check("maps: { of: box, ids: users, inside: 11 }").holds);
    assert_eq!(lab.value("id_outside: { of: box, id: 10 }").unwrap(), "100009");
    assert!(lab.check("no_map: { of: box, ids: groups }").holds);

    lab.change(7, |it| it.credentials.uid_map = Reading::Missing(errno("EACCES")));
    assert!(
        !lab.check(maps).holds && !lab.check("no_map: { of: box, ids: users }").holds,
        "what can't be read is no map"
    );
    assert_eq!(lab.value("uid_inside: { of: box }"), None);
}

#[test]
fn rights_and_files_are_those_of_the_process() {
    let mut lab = Lab::new();
    assert!(lab.check("setgroups: { of: box, is: allow }").holds);
    assert!(!lab.check("setgroups: { of: box, is: deny }").holds);
    let capable = "capable: { of: box, capability: CAP_SYS_ADMIN }";
    assert!(!lab.check(capable).holds);
    assert_eq!(lab.check(capable).seen, "CapEff of box: none");
    // Permitted, but not effective.
    lab.change(7, |it| it.credentials.caps = [0, 1 << 21, 0, 0, 0]);
    assert!(!lab.check(capable).holds);
    lab.change(7, |it| it.credentials.caps[2] = 1 << 21);
    assert!(lab.check(capable).holds);
    assert!(pick::typed::<Check>("capable: { of: box, capability: CAP_MAGIC }", &[]).is_err());

    let owned = "file_owned_by: { path: /tmp/mine, of: box }";
    assert!(!lab.check(owned).holds);
    lab.observation.files.insert("/tmp/mine".into(), Owner { uid: 1000, gid: 0 });
    assert!(!lab.check(owned).holds);
    lab.change(7, |it| it.credentials.uid = [0, 1000, 0, 0]);
    assert!(lab.check(owned).holds, "{}", lab.check(owned).seen);
}

#[test]
fn clocks_are_those_of_the_time_namespace() {
    let mut lab = Lab::new();
    let ahead = "clock_ahead: { of: box, clock: boottime, seconds: 60 }";
    assert_eq!(lab.check(ahead).seen, "it was not read");
    let measured = |boottime| Measured { monotonic: 5, boottime, realtime: 0, days_up: 3 };
    let clocks = |boottime| Clocks { written: None, measured: Some(Reading::Value(measured(boottime))) };
    lab.observation.clocks.insert(NS + 8, clocks(0));
    assert_eq!(lab.check(ahead).seen, "boottime of box: +0 s");
    lab.own(7, Namespace::Time, 80).observation.clocks.insert(80, clocks(60));
    assert!(lab.check(ahead).holds);
    assert!(!lab.check("clock_ahead: { of: host, clock: boottime, seconds: 60 }").holds);
    assert_eq!(lab.value("clock_ahead: { of: box, clock: monotonic }").unwrap(), "5");
    assert_eq!(lab.value("days_up: { of: box }").unwrap(), "3");
    // Nobody is there yet, or the kernel did not let anybody in.
    lab.observation
        .clocks
        .insert(80, Clocks { measured: Some(Reading::Missing(errno("EUSERS"))), ..Clocks::default() });
    assert!(!lab.check(ahead).holds && lab.value("days_up: { of: box }").is_none());
    lab.observation.clocks.insert(80, Clocks::default());
    assert!(!lab.check(ahead).holds);
}

#[test]
fn host_names_belong_to_namespaces() {
    let mut lab = Lab::new();
    assert_eq!(lab.value("hostname: { of: box }").unwrap(), "lab");
    lab.own(7, Namespace::Uts, 77).observation.hostnames.insert(77, Reading::Value("web".into()));
    assert!(lab.check("hostname: { of: box, is: web }").holds);
    assert!(!lab.check("hostname: { of: host, is: web }").holds);
    lab.own(7, Namespace::Uts, 78);
    assert_eq!(lab.value("hostname: { of: box }"), None);
    assert_eq!(lab.check("hostname: { of: box, is: web }").seen, "it was not read");
}

#[test]
fn a_process_has_a_number_in_each_namespace() {
    let mut lab = Lab::new();
    assert!(!lab.check("pid_inside: { of: box, is: 1 }").holds);
    lab.inits();
    let verdict = lab.check("pid_inside: { of: box, is: 1 }");
    assert!(verdict.holds);
    assert_eq!(verdict.seen, "NSpid of box: 7 1");
    assert_eq!(lab.value("pid: { of: box }").unwrap(), "7");
    assert_eq!(lab.value("pid_inside: { of: box }").unwrap(), "1");
    assert_eq!(lab.value("ppid: { of: box }").unwrap(), "1");
    assert_eq!(lab.value("ppid: { of: host }").unwrap(), "0");
    assert_eq!(lab.value("pid: { of: db }"), None);
}

#[test]
fn proc_shows_the_namespace_of_whoever_mounted_it() {
    let mut lab = Lab::new();
    let own = "proc_shows_own: { of: box }";
    assert!(lab.check(own).holds, "before, the host's namespace is its own");
    lab.inits();
    assert!(!lab.check(own).holds, "the old mount");
    lab.own(7, Namespace::Mnt, 71).observation.visible_pids.insert(71, Reading::Value(vec![1]));
    assert!(lab.check(own).holds, "{}", lab.check(own).seen);
    assert_eq!(lab.value("processes_visible: { of: box }").unwrap(), "1");
    lab.child_inside(12, 7, 2, "sh");
    assert!(!lab.check(own).holds, "a member that /proc does not list");
    lab.observation.visible_pids.insert(71, Reading::Value(vec![2, 1]));
    assert!(lab.check(own).holds);
    // A member of a namespace one level deeper counts under its number at this level.
    lab.child_inside(13, 12, 3, "sh").own(13, Namespace::Pid, 99).change(13, |it| it.nspid = vec![13, 3, 1]);
    lab.observation.visible_pids.insert(71, Reading::Value(vec![1, 2, 3]));
    assert!(lab.check(own).holds, "{}", lab.check(own).seen);
    lab.observation.visible_pids.insert(71, Reading::Missing(errno("EACCES")));
    assert!(lab.check(own).seen.contains("EACCES"));
}

#[test]
fn orphans_are_children_of_the_namespaces_init() {
    let mut lab = Lab::new();
    let adopted = "adopted: { by: box, comm: sleep }";
    lab.inits();
    assert!(!lab.check(adopted).holds);
    lab.child_inside(12, 7, 2, "tail").child_inside(13, 12, 3, "sleep");
    let verdict = lab.check(adopted);
    assert!(!verdict.holds);
    assert_eq!(verdict.seen, "the parent of `sleep`, pid 13, is pid 12");
    lab.change(13, |it| it.ppid = 7);
    assert!(lab.check(adopted).holds);
    lab.change(13, |it| it.state = 'Z');
    assert!(!lab.check(adopted).holds);
    // One that the host's PID 1 adopted is no member.
    lab.change(13, |it| it.state = 'S').own(13, Namespace::Pid, NS + 3);
    assert!(!lab.check(adopted).holds);
}

#[test]
fn an_answer_is_a_word_of_its_text() {
    assert!(Value::is_word_of("0", "PPid:\t0\r\n"));
    assert!(Value::is_word_of("lab", " \"lab\". "));
    assert!(Value::is_word_of("/..", "/\n/..\n") && !Value::is_word_of("/..", "/../.."));
    assert!(!Value::is_word_of("1", "12 21"));
    assert!(!Value::is_word_of("0", ""));
}

/// A lab host of a few processes with whatever states, parents, numbers and namespaces.
fn any_lab() -> impl Strategy<Value = Lab> {
    let one = (0i32..6, 0i32..6, prop::sample::select(vec!['S', 'R', 'Z', 'X', 'D']), 0u64..3, 1usize..4);
    (prop::collection::vec(one, 0..6), prop::option::of(0i32..6)).prop_map(|(all, at)| {
        let mut lab = Lab::new();
        lab.observation.processes.clear();
        for (pid, ppid, state, inode, depth) in all {
            let mut it = process(pid, ppid, "sleep");
            it.state = state;
            it.nspid = vec![pid; depth];
            it.namespaces.0.insert(Namespace::Pid, Reading::Value(inode));
            if inode == 2 {
                it.namespaces.0.remove(&Namespace::Uts);
            }
            lab.observation.processes.push(it);
        }
        lab.names.boxes = at.map(|pid| ("box".to_owned(), pid)).into_iter().collect();
        lab
    })
}

proptest! {
    #[test]
    fn opposites_exclude_each_other(lab in any_lab()) {
        prop_assert_ne!(lab.check("exists: { of: box }").holds, lab.check("gone: { of: box }").holds);
        for kind in ["uts", "pid"] {
            let differs = lab.check(&format!("namespace_differs: {{ of: box, kind: {kind}, from: host }}")).holds;
            let same = lab.check(&format!("namespace_same: {{ of: box, kind: {kind}, as: host }}")).holds;
            prop_assert!(!(differs && same));
        }
        if lab.check("adopted: { by: box, comm: sleep }").holds {
            let nowhere = lab.check("no_process: { comm: sleep }").holds;
            prop_assert!(!nowhere);
        }
        // These must come to an end, whatever the tree: parents may form a circle here.
        let verdict = lab.check("proc_shows_own: { of: box }");
        prop_assert!(!verdict.seen.is_empty() && !verdict.claim.is_empty());
        let number = lab.value("pid: { of: box }");
        prop_assert_eq!(number.is_some(), lab.check("exists: { of: box }").holds);
    }
}

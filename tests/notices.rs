//! What is asked of a lab host between samples: the files of graphs, and to be told when groups or networks change.
//!
//! Not under the usual harness: the keeper must be forked while this process has one thread.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::Duration;

use hardway::agent::client::{Keeper, Lab};
use hardway::agent::notices::came_or_went;
use hardway::kernel::cgroup::Version;
use hardway::kernel::children::readable;
use hardway::kernel::host::{Person, Wish};
use hardway::probe::{Panel, Reading};

const LAB: &str = "/lab/cgroup";

fn main() -> ExitCode {
    // Lab hosts show this program as the one that works, and as CNI plugins.
    if let Some(code) = hardway::workload::asked().or_else(hardway::cni::plugins::asked) {
        return code;
    }
    let person = Person::current();
    let offer = person.offer(Wish::default()).expect("namespaces");
    let mut keeper = Keeper::fork(&person, &offer).expect("a keeper");
    let mut lab = keeper.start_lab().expect("a lab host");
    let cgroups = lab.observe(&[Panel::Cgroups], &[]).expect("a sample").observation.cgroups;
    match cgroups.own {
        Some(own) => told_of_groups(&mut lab, own.version),
        None => println!("skipped: the lab host has no group of its own here"),
    }
    told_of_networks(&mut lab);
    drop(lab);
    let left = keeper.end();
    assert!(left.is_empty(), "{left:?}");
    ExitCode::SUCCESS
}

fn told_of_groups(lab: &mut Lab, version: Version) {
    let fds = lab.watch(&[LAB.to_owned()]).expect("an answer");
    assert!(!fds.is_empty(), "no descriptor of inotify");
    println!("{} triggers of pressure", fds.len() - 1);
    assert_eq!(events(&fds[0], Duration::ZERO), None, "nothing has happened yet");
    perform(lab, &[r#"{"cgroup_create":{"in":"host","name":"told"}}"#]);
    assert_eq!(events(&fds[0], Duration::from_secs(5)), Some(true), "a group came");

    let group = format!("{LAB}/told");
    perform(lab, &[r#"{"box":{}}"#, r#"{"cgroup_attach":{"in":"host","who":"box","cgroup":"told"}}"#]);
    let procs = format!("{group}/cgroup.procs");
    let gone = format!("{group}/cgroup.gone");
    let read = lab.gauge(&[procs.clone(), gone.clone()]).expect("an answer");
    let sample = lab.observe(&[Panel::Cgroups], &[]).expect("a sample");
    assert_eq!(read.texts[&procs], Reading::Value(format!("{}\n", sample.names.boxes["box"])));
    assert!(matches!(read.texts[&gone], Reading::Missing(_)));

    let fds = lab.watch(&[LAB.to_owned(), group]).expect("an answer");
    assert_eq!(events(&fds[0], Duration::ZERO), None);
    if version == Version::V2 && may_have_triggers() {
        assert_eq!(fds.len(), 4, "inotify, and triggers for the pressure on processors, memory and input and output");
    }
    perform(lab, &[r#"{"kill":{"who":"box","from":"host","signal":"KILL"}}"#]);
    if version == Version::V2 {
        // Nobody has written there: the kernel itself tells that the group is empty now.
        assert_eq!(events(&fds[0], Duration::from_secs(5)), Some(false), "cgroup.events changed");
    }
    perform(lab, &[r#"{"cgroup_remove":{"in":"host","name":"told"}}"#]);
    assert_eq!(events(&fds[0], Duration::from_secs(5)), Some(true), "the group went");
}

fn told_of_networks(lab: &mut Lab) {
    let fds = lab.watch_networks().expect("an answer");
    let [socket] = fds.as_slice() else { panic!("one socket: {fds:?}") };
    let told = |at_most| {
        let [ready] = readable([socket.as_fd()], Some(at_most));
        // To the end, for what is told later to be news.
        let mut messages = vec![0; 64 * 1024];
        while ready && File::from(socket.try_clone().unwrap()).read(&mut messages).is_ok() {}
        ready
    };
    let (now, soon) = (Duration::ZERO, Duration::from_secs(5));
    lab.observe(&[Panel::Network], &[]).expect("a sample");
    assert!(!told(now), "to look is no news");
    perform(lab, &[r#"{"box":{"name":"web"}}"#, r#"{"unshare":{"in":"web","namespaces":["net"]}}"#]);
    perform(lab, &[r#"{"add_veth":{"in":"web","link":"eth0","peer":"web0"}}"#]);
    perform(lab, &[r#"{"move_link":{"in":"web","link":"web0","to":"host"}}"#]);
    assert!(told(soon), "a link came");
    lab.observe(&[Panel::Network], &[]).expect("a sample");
    while told(Duration::from_millis(300)) {}
    perform(lab, &[r#"{"add_address":{"in":"web","link":"eth0","address":"10.12.0.2/24"}}"#]);
    if !told(Duration::from_millis(500)) {
        println!("skipped: what happens in other namespaces is not told here (NETLINK_LISTEN_ALL_NSID)");
    }
    perform(lab, &[r#"{"add_address":{"in":"host","link":"web0","address":"10.12.0.1/24"}}"#]);
    assert!(told(soon), "an address came");
}

/// Whether the kernel counts pressure, and takes triggers with short windows from this process: with CAP_SYS_RESOURCE, number 24.
fn may_have_triggers() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    let all_ids = std::fs::read_to_string("/proc/self/uid_map").unwrap().contains("4294967295");
    let counted = std::fs::read_to_string("/proc/pressure/memory").is_ok();
    counted && all_ids && u64::from_str_radix(effective.trim(), 16).unwrap() >> 24 & 1 == 1
}

/// Whether a group came or went, of the events that come in this time; none where none comes.
fn events(fd: &OwnedFd, at_most: Duration) -> Option<bool> {
    let [ready] = readable([fd.as_fd()], Some(at_most));
    let mut events = vec![0; 16 * 1024];
    ready.then(|| {
        let length = File::from(fd.try_clone().unwrap()).read(&mut events).unwrap();
        came_or_went(&events[..length])
    })
}

fn perform(lab: &mut Lab, actions: &[&str]) {
    let actions: Vec<_> = actions.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let performed = lab.perform(&actions).expect("performed");
    assert!(performed.iter().all(|one| one.result.is_ok()), "{performed:?}");
}

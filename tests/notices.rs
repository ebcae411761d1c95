//! What is asked of a lab host between samples: the files of graphs, and to be told when groups change.
//!
//! Not under the usual harness: the keeper must be forked while this process has one thread.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use hardway::agent::client::{Keeper, Lab};
use hardway::agent::notices::came_or_went;
use hardway::kernel::cgroup::Version;
use hardway::kernel::children::readable;
use hardway::kernel::host::{Person, Wish};
use hardway::probe::{Panel, Reading};

const LAB: &str = "/lab/cgroup";

fn main() {
    // Lab hosts show this program as the one that works.
    if hardway::workload::asked().is_some() {
        return;
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
    drop(lab);
    let left = keeper.end();
    assert!(left.is_empty(), "{left:?}");
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

//! What the ipc panel says, against ipcs, lsipc, ls and cat in the lab host, in its own namespace and in a box's.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use hardway::kernel::enter::SYSV_LIMITS;
use hardway::probe::ipc::MQUEUE_LIMITS;
use support::rows::{Rows, printed, rows, words};
use support::{Session, World};

in_each_mode!(every_row);

const COUNTED: [(&str, &str); 3] =
    [("shm segments", "--shmems"), ("semaphore sets", "--semaphores"), ("message queues", "--queues")];

/// In the state after the box has got everything of its own, and a limit: step 8 of the lesson.
fn every_row(world: &World) {
    let mut session = Session::open(world, "04-ipc");
    session.say("g 8");
    session.say("n");
    let searches = [
        "box shm",
        "box sem",
        "box queue",
        "box msg",
        "box /dev",
        "host shm",
        "host sem",
        "host queue",
        "host msg",
        "host /dev",
    ];
    let rows = rows(&mut session, "ipc", &searches);
    let keys = |who: &str| -> BTreeSet<&str> {
        rows.keys().filter(|(subject, _)| subject == who).map(|(_, key)| key.as_str()).collect()
    };
    let sysv = SYSV_LIMITS.map(|name| format!("kernel.{name}"));
    let limits: Vec<String> = sysv.into_iter().chain(MQUEUE_LIMITS.map(|name| format!("fs.mqueue.{name}"))).collect();
    let common = limits.iter().map(String::as_str).chain(COUNTED.map(|(key, _)| key)).chain([
        "POSIX queues",
        "files in /dev/mqueue",
        "files in /dev/shm",
    ]);
    let common: BTreeSet<&str> = common.collect();
    assert_eq!(keys("host"), &common | &BTreeSet::from(["shm 0"]));
    assert_eq!(keys("box"), &common | &BTreeSet::from(["shm 0", "sem 0", "msg 0"]));

    for ((subject, key), told) in &rows {
        let seen = printed(&mut session, &told.command);
        let at = format!("{subject} {key}: `{}` prints {seen}", told.command);
        if COUNTED.iter().any(|(counted, _)| counted == key) || limits.contains(key) {
            assert_eq!(words(&told.value), words(&seen), "{at}");
        } else if key == "POSIX queues" || key.starts_with("files in") {
            let value = if told.value == "none" { "" } else { &told.value };
            assert_eq!(words(value), words(&seen), "{at}");
        } else {
            object(&told.value, &seen, &at);
        }
    }
    let value = |subject: &str, key: &str| rows[&(subject.to_owned(), key.to_owned())].value.as_str();
    assert_eq!(value("box", "kernel.shmmni"), "1");
    assert_eq!(value("box", "POSIX queues"), "mail");
    assert_eq!(value("host", "POSIX queues"), "jobs");
    let enter =
        rows[&("box".to_owned(), "kernel.shmmni".to_owned())].command.replace("cat /proc/sys/kernel/shmmni", "");
    lists(&mut session, &rows, "box", &enter);
    lists(&mut session, &rows, "host", "");
    session.quit();
}

/// `ipcs --id` writes `bytes=4096`, `nsems = 2`, each under a name of its own.
fn object(value: &str, seen: &str, at: &str) {
    let seen = seen.replace(" = ", "=");
    let seen = words(&seen);
    for field in value.split(", ").filter(|field| !field.starts_with("key ")) {
        let (column, number) = field.split_once(' ').unwrap();
        let name = match column {
            "perms" => "mode",
            "size" => "bytes",
            other => other,
        };
        let found =
            seen.iter().filter_map(|word| word.trim_end_matches(',').split_once('=')).find(|(it, _)| *it == name);
        let (_, found) = found.unwrap_or_else(|| panic!("no {name}: {at}"));
        let same = if column == "perms" { found.trim_start_matches('0') == number } else { found == number };
        assert!(same, "{field} is {found}: {at}");
    }
}

/// The lists of `ipcs`, and of `lsipc`: key and id of each object, and no object more.
fn lists(session: &mut Session<'_>, rows: &Rows, who: &str, enter: &str) {
    for ((_, option), kind) in COUNTED.iter().zip(["shm", "sem", "msg"]) {
        let told: BTreeSet<(String, String)> = rows
            .iter()
            .filter(|((subject, key), _)| subject == who && key.starts_with(&format!("{kind} ")))
            .filter_map(|((_, key), told)| {
                Some((words(&told.value).get(1)?.trim_end_matches(',').to_owned(), key.split_once(' ')?.1.to_owned()))
            })
            .filter(|(key, _)| key.starts_with("0x"))
            .collect();
        let pairs = |text: &str| -> BTreeSet<(String, String)> {
            let lines = text.lines().filter(|line| line.trim_start().starts_with("0x"));
            lines.map(|line| (words(line)[0].to_owned(), words(line)[1].to_owned())).collect()
        };
        assert_eq!(told, pairs(&printed(session, &format!("{enter}ipcs {option}"))), "{who} {kind}");
        let lsipc = format!("{enter}lsipc {option} --noheadings --raw --output KEY,ID");
        assert_eq!(told, pairs(&printed(session, &lsipc)), "{who} {kind}, lsipc");
    }
}

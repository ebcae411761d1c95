//! The reader on the real kernel, with readlink, nsenter and findmnt as independent oracles.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hardway::kernel::namespace::Namespace;
use hardway::probe::{Names, Panel, Reader, Reading, Row, Wanted, diff, rows};

/// A child that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn own() -> i32 {
    i32::try_from(std::process::id()).unwrap()
}

fn printed(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A process in new user, uts, mnt and pid namespaces, with the host name `boxy`; none, with a word why, where that is not
/// allowed. With a user namespace, so that an ordinary user can run this too.
fn boxed() -> Option<(Ended, i32)> {
    let script = "hostname boxy && mount -t tmpfs 'a source' /mnt && echo ready && exec sleep 60";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.args(["sh", "-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line != "ready\n" {
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    let child = Ended(child);
    let unshare = i32::try_from(child.0.id()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let all = Reader::new("/proc").observe(&Wanted::panels(&[]));
        // The shell says `ready`, then becomes sleep.
        if let Some(inner) = all.processes.iter().find(|it| it.ppid == unshare && it.comm == "sleep") {
            return Some((child, inner.pid));
        }
        assert!(Instant::now() < deadline, "the box does not become sleep");
        std::thread::yield_now();
    }
}

fn find<'a>(rows: &'a [Row], panel: Panel, key: &str) -> &'a Row {
    rows.iter().rfind(|row| row.panel == panel && row.key == key && row.subject.starts_with("box ")).unwrap()
}

/// What a command of a row prints is the value of the row.
#[test]
fn a_box_read_from_outside_is_what_the_commands_print() {
    let Some((_child, pid)) = boxed() else { return };
    // On a thread of its own: the reader stays in the UTS namespace of the box.
    let read = move || Reader::new("/proc").observe(&Wanted::panels(&Panel::ALL).only(pid).only(own()));
    let seen = std::thread::spawn(read).join().unwrap();
    let it = seen.process(pid).unwrap();
    assert_eq!(it.cmdline, ["sleep", "60"]);
    assert_eq!(it.nspid.last(), Some(&1));
    assert_eq!(it.credentials.uid_map.value().unwrap()[0].inside, 0);
    let uts = it.namespaces.inode(Namespace::Uts).unwrap();
    let mnt = it.namespaces.inode(Namespace::Mnt).unwrap();
    let here = seen.process(own()).unwrap();
    // setns(2) into a UTS namespace needs CAP_SYS_ADMIN here as well as there.
    let is_admin = here.credentials.caps[2] >> 21 & 1 == 1;
    let refused = || Reading::Missing("EPERM".parse().unwrap());
    let expected = if is_admin { Reading::Value("boxy".to_owned()) } else { refused() };
    assert_eq!(seen.hostnames[&uts], expected);
    let outside = here.namespaces.inode(Namespace::Uts).unwrap();
    assert_eq!(seen.hostnames[&outside], Reading::Value(printed("hostname")));
    assert_eq!(seen.visible_pids[&mnt], Reading::Value(vec![1]));
    let mount = seen.mounts[&mnt].value().unwrap().iter().rfind(|it| it.target == "/mnt").unwrap();
    assert_eq!((mount.fstype.as_str(), mount.source.as_str()), ("tmpfs", "a source"));

    let names = Names { host: own(), boxes: [("box".to_owned(), pid)].into(), ..Names::default() };
    let rows = rows(&seen, &names);
    for kind in [Namespace::Uts, Namespace::Pid, Namespace::Mnt, Namespace::User, Namespace::Net] {
        let row = find(&rows, Panel::Namespaces, kind.link());
        assert_eq!(printed(&row.command), format!("{kind}:[{}]", row.value));
    }
    assert_eq!(printed(&find(&rows, Panel::Processes, "comm").command), "sleep");
    assert_eq!(printed(&find(&rows, Panel::Processes, "cmdline").command), "sleep 60");
    assert_eq!(printed(&find(&rows, Panel::Processes, "pids in /proc").command).lines().next(), Some("1"));
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    for (panel, key) in [(Panel::Processes, "NSpid"), (Panel::Processes, "PPid"), (Panel::Credentials, "NoNewPrivs")] {
        let row = find(&rows, panel, key);
        assert_eq!(words(&printed(&row.command))[1..], words(&row.value), "{key}");
    }
    let uid_map = find(&rows, Panel::Credentials, "uid_map");
    assert_eq!(words(&printed(&uid_map.command)), words(&uid_map.value));
    assert_eq!(printed(&find(&rows, Panel::Credentials, "setgroups").command), "deny");
    // An ordinary user, and the owner of the user namespace, enters that one first.
    let hostname = &find(&rows, Panel::Hostname, "hostname").command;
    assert_eq!(printed(&hostname.replace("--uts", "--user --preserve-credentials --uts")), "boxy");
    assert!(printed(&find(&rows, Panel::Mounts, "/mnt").command).contains("a source"));
}

#[test]
fn every_process_of_the_machine_can_be_read_and_nothing_flickers() {
    // Other tests run meanwhile: compare what belongs to this process and its parent.
    let sample = || {
        let parent = i32::try_from(std::os::unix::process::parent_id()).unwrap();
        let wanted = Wanted::panels(&[Panel::Processes, Panel::Namespaces, Panel::Mounts, Panel::Credentials]);
        let mut seen = Reader::new("/proc").observe(&wanted.only(own()).only(parent));
        seen.visible_pids.clear();
        rows(&seen, &Names::default())
    };
    let first = sample();
    assert!(first.len() > 50, "{}", first.len());
    for _ in 0..20 {
        assert_eq!(diff(&first, &sample()), []);
    }
    let all = Reader::new("/proc").observe(&Wanted::panels(&[Panel::Processes]));
    assert!(all.process(1).is_some() && all.process(own()).is_some());
    assert!(!rows(&all, &Names { host: 1, ..Names::default() }).is_empty());
}

/// The sampling worker reads the lab's first proc as `.`, wherever something else was mounted over `/proc`.
#[test]
fn the_root_may_be_relative() {
    let depth = std::env::current_dir().unwrap().components().count() - 1;
    let wanted = || Wanted::panels(&[Panel::Processes, Panel::Mounts]).only(own());
    let relative = Reader::new(format!("{}proc", "../".repeat(depth))).observe(&wanted());
    assert_eq!(
        relative.process(own()).unwrap().namespaces,
        Reader::new("/proc").observe(&wanted()).processes[0].namespaces
    );
    assert!(rows(&relative, &Names::default()).iter().all(|row| row.source.starts_with("/proc/")));
}

#[test]
fn a_zombie_is_shown_with_the_kernels_reasons() {
    let mut child = Ended(Command::new("true").spawn().unwrap());
    let pid = i32::try_from(child.0.id()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let look = || Reader::new("/proc").observe(&Wanted::panels(&Panel::ALL).only(pid));
    while look().process(pid).unwrap().state != 'Z' {
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::yield_now();
    }
    // Once more: it may have ended between one file and the next.
    let seen = look();
    let it = seen.process(pid).unwrap();
    assert!(it.cmdline.is_empty());
    assert_eq!(printed(&format!("readlink /proc/{pid}/ns/uts || echo none")), "none");
    assert_eq!(it.namespaces.0[&Namespace::Uts], Reading::Missing("ENOENT".parse().unwrap()));
    assert!(seen.hostnames.is_empty() && seen.mounts.is_empty());
    child.0.wait().unwrap();
    assert!(Reader::new("/proc").observe(&Wanted::panels(&Panel::ALL).only(pid)).processes.is_empty());
}

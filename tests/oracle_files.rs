//! What the panels of roots and mounts say, compared with what readlink, stat, ls and findmnt say of the same processes.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use hardway::kernel::namespace::Namespace;
use hardway::probe::{Mount, Names, Observation, Panel, Reader, Row, Wanted, rows};

/// A child that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the process does last: it enters a chroot with one foot outside.
const CHROOT: &str = "exec unshare --root=/mnt/root --wd=. sh -c 'echo ready; exec sleep 60'";

/// Or it stays where it is.
const STAY: &str = "echo ready; exec sleep 60";

/// A process in a mount namespace of its own, with mounts of every propagation; none where that is not allowed.
fn boxed(last: &str) -> Option<(Ended, i32)> {
    const SCRIPT: &str = r#"
        set -e
        mount -t tmpfs -o mode=755 top /mnt; cd /mnt
        mkdir shared master unbindable private 'a b' root
        mount -t tmpfs one shared; mount --make-shared shared
        mount --bind shared master; mount --make-slave master
        mount -t tmpfs two unbindable; mount --make-unbindable unbindable
        mount -t tmpfs 'my source' 'a b'
        mount --bind /usr private
        mount -t tmpfs cover private
        mkdir -p root/usr; mount --rbind /usr root/usr
        for name in bin sbin lib lib64; do ln -s usr/$name root/$name; done
        eval "$0""#;
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "bash", "-c", SCRIPT, last]);
    let mut child = Ended(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line != "ready\n" {
        let mut why = String::new();
        let _ = child.0.stderr.take().unwrap().read_to_string(&mut why);
        eprintln!("skipped: {why}");
        return None;
    }
    let pid = i32::try_from(child.0.id()).unwrap();
    // It says `ready`, then becomes sleep.
    for _ in 0..1000 {
        if std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap() == "sleep\n" {
            return Some((child, pid));
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("it does not become sleep");
}

fn printed(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn read(pid: i32, own: i32, paths: &[&str]) -> (Observation, Vec<Row>) {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let wanted = Wanted::panels(&[Panel::Root, Panel::Mounts]).paths(paths).only(pid).only(own);
    let seen = Reader::new("/proc").observe(&wanted);
    let names = Names { host: own, boxes: [("box".to_owned(), pid)].into(), ..Names::default() };
    let rows = rows(&seen, &names);
    (seen, rows)
}

#[test]
fn roots_are_what_readlink_stat_and_ls_say() {
    let Some((_child, pid)) = boxed(CHROOT) else { return };
    let own = i32::try_from(std::process::id()).unwrap();
    let (seen, rows) = read(pid, own, &["/usr/bin", "/bin/sh", "/mnt", "/lib*/ld-*", "/etc/passwd"]);
    for subject in ["box ", "host "] {
        let all: Vec<&Row> =
            rows.iter().filter(|row| row.panel == Panel::Root && row.subject.starts_with(subject)).collect();
        let (paths, values): (Vec<&Row>, Vec<&Row>) =
            all.into_iter().partition(|row| row.key.starts_with("/") && row.key != "/ is");
        assert!(paths.len() >= 2, "{paths:?}");
        for row in paths {
            assert!(printed(&row.command).starts_with(row.source.split('*').next().unwrap()), "{row:?}");
        }
        assert_eq!(
            values.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(),
            ["root", "/ is", "names in /", "cwd"]
        );
        for row in values {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
            assert_eq!(words(&printed(&row.command)), words(&row.value), "{row:?}");
        }
    }
    let value = |key: &str| {
        rows.iter()
            .find(|row| row.panel == Panel::Root && row.subject.starts_with("box ") && row.key == key)
            .unwrap()
            .clone()
    };
    assert_eq!((value("root").value.as_str(), value("cwd").value.as_str()), ("/mnt/root", "/mnt"));
    assert!(value("cwd").meaning.contains("not below its root"), "{:?}", value("cwd"));
    assert_ne!(seen.root(pid).unwrap().identity(), seen.root(own).unwrap().identity());
    let found = &seen.root(pid).unwrap().found;
    let there: Vec<&str> = found.iter().filter(|(_, found)| **found).map(|(path, _)| path.as_str()).collect();
    assert!(there.starts_with(&["/bin/sh"]) && there.contains(&"/usr/bin"), "{there:?}");
    assert!(!there.contains(&"/mnt") && !there.contains(&"/etc/passwd"), "{there:?}");
    let here = &seen.root(own).unwrap().found;
    assert!(here["/etc/passwd"] && here["/mnt"]);
}

/// Every mount, in the order of the table: target, type, source with root, options, propagation.
#[test]
fn mounts_are_what_findmnt_says() {
    // Of a process in a chroot both show what lies below its root: so the kernel tells it.
    for (last, at_least) in [(STAY, 8), (CHROOT, 1)] {
        let Some((_child, pid)) = boxed(last) else { return };
        compare_mounts(pid, at_least);
    }
}

fn compare_mounts(pid: i32, at_least: usize) {
    let own = i32::try_from(std::process::id()).unwrap();
    let (seen, rows) = read(pid, own, &[]);
    for (of, subject) in [(pid, "box "), (own, "host ")] {
        let columns = "ID,PARENT,TARGET,FSTYPE,SOURCE,VFS-OPTIONS,FS-OPTIONS,PROPAGATION,FSROOT,MAJ:MIN";
        let json = printed(&format!("findmnt --json --list --task {of} --output {columns}"));
        let theirs: serde_json::Value = serde_json::from_str(&json).unwrap();
        let mnt = seen.process(of).unwrap().namespaces.inode(Namespace::Mnt).unwrap();
        let ours = seen.mounts[&mnt].value().unwrap();
        let theirs = theirs["filesystems"].as_array().unwrap();
        assert_eq!(ours.len(), theirs.len(), "{json}");
        assert!(ours.len() >= at_least, "{json}");
        for (mount, other) in ours.iter().zip(theirs) {
            let text = |name: &str| other[name].as_str().unwrap_or_default().to_owned();
            let number =
                |name: &str| other[name].as_u64().or_else(|| other[name].as_str()?.trim().parse().ok()).unwrap();
            assert_eq!((u64::from(mount.id), u64::from(mount.parent)), (number("id"), number("parent")));
            assert_eq!(
                (&mount.target, &mount.fstype, &mount.root),
                (&text("target"), &text("fstype"), &text("fsroot"))
            );
            assert_eq!((&mount.options, mount.device.as_str()), (&text("vfs-options"), text("maj:min").trim()));
            let source = text("source");
            assert_eq!(mount.source, source.split('[').next().unwrap(), "{other}");
            assert_eq!(told(mount), text("propagation"), "{other}");
        }
        let of_it = rows.iter().filter(|row| row.panel == Panel::Mounts && row.subject.starts_with(subject)).count();
        assert_eq!(of_it, ours.len());
    }
}

/// Propagation as findmnt(8) writes it.
fn told(mount: &Mount) -> String {
    let has = |field: &str| mount.propagation.iter().any(|it| it.starts_with(field));
    let own = match (has("shared:"), has("unbindable")) {
        (true, _) => "shared",
        (_, true) => "private,unbindable",
        _ => "private",
    };
    if has("master:") { format!("{own},slave") } else { own.to_owned() }
}

/// Peers and slaves are named where a row is explained.
#[test]
fn a_row_names_who_shares_its_mounts() {
    const SCRIPT: &str = "mount -t tmpfs one /mnt && mount --make-shared /mnt && mkdir /mnt/peer /mnt/slave && \
        mount --bind /mnt /mnt/peer && unshare --mount --propagation slave sleep 60 & \
        for i in $(seq 500); do grep -q master: /proc/$!/mountinfo && break; sleep 0.01; done; echo ready $!; exec sleep 60";
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
    ]);
    command.args([format!("{{ {SCRIPT} ; }}").as_str()]);
    let mut child = Ended(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if !line.starts_with("ready") {
        return eprintln!("skipped: user namespaces are not to be had");
    }
    let unshare = i32::try_from(child.0.id()).unwrap();
    let all = Reader::new("/proc").observe(&Wanted::panels(&[Panel::Mounts]));
    let inner: Vec<i32> = all.processes.iter().filter(|it| it.ppid == unshare).map(|it| it.pid).collect();
    let slave = all.processes.iter().find(|it| inner.contains(&it.ppid)).unwrap().pid;
    let names = Names { host: inner[0], boxes: [("box".to_owned(), slave)].into(), ..Names::default() };
    let rows = rows(&all, &names);
    let meaning = |subject: &str, key: &str| {
        let found = |row: &&Row| row.panel == Panel::Mounts && row.subject.starts_with(subject) && row.key == key;
        rows.iter().find(found).unwrap_or_else(|| panic!("{subject} has no {key}")).meaning.clone()
    };
    let host = meaning("host ", "/mnt");
    let (own, other) = (format!("host (pid {})", inner[0]), format!("box (pid {slave})"));
    assert!(host.contains(&format!("/mnt of {own}, /mnt/peer of {own}")), "{host}");
    assert!(host.contains(&format!("Slaves of it: /mnt of {other}")), "{host}");
    assert!(meaning("box ", "/mnt").contains("Its master is peer group"), "{}", meaning("box ", "/mnt"));
}

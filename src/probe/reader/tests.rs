#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::*;
use crate::probe::{Names, rows};

/// A made-up `/proc`.
struct Tree(tempfile::TempDir);

const MOUNTINFO: &str = "20 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n\
    21 20 0:5 / /proc rw,relatime - proc proc rw\n\
    22 20 0:6 / /a\\040b rw - tmpfs tmpfs rw,size=4k\n\
    23 22 0:7 / /a\\040b ro - tmpfs none rw\n";

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        tree.file("sys/kernel/hostname", "lab\n");
        tree.link("self/ns/uts", "uts:[101]");
        tree
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        symlink(target, path).unwrap();
    }

    /// A process with all that a kernel shows of it; namespaces are 100 + n but for those given.
    fn process(&self, pid: i32, ppid: i32, comm: &str, state: char, own: &[(Namespace, u64)]) {
        self.file(
            &format!("{pid}/stat"),
            &format!("{pid} ({comm}) {state} {ppid} {pid} 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {} 0 0\n", 1000 + pid),
        );
        self.file(
            &format!("{pid}/status"),
            &format!(
                "Name:\t{comm}\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t \nNSpid:\t{pid}\nCapInh:\t0\nCapPrm:\t0\n\
                 CapEff:\t000001ffffffffff\nCapBnd:\t0\nCapAmb:\t0\nNoNewPrivs:\t0\nSeccomp:\t0\n"
            ),
        );
        self.file(&format!("{pid}/cmdline"), &format!("{comm}\0-x\0"));
        self.file(&format!("{pid}/uid_map"), "         0          0 4294967295\n");
        self.file(&format!("{pid}/gid_map"), "");
        self.file(&format!("{pid}/setgroups"), "allow\n");
        self.file(&format!("{pid}/mountinfo"), MOUNTINFO);
        for (at, kind) in Namespace::ALL.into_iter().enumerate() {
            let inode = own.iter().find(|(own, _)| *own == kind).map_or(100 + at as u64, |(_, inode)| *inode);
            self.link(
                &format!("{pid}/ns/{kind}"),
                &format!("{}:[{inode}]", kind.link().trim_end_matches("_for_children")),
            );
        }
        self.link(&format!("{pid}/cwd"), "/");
        self.link(&format!("{pid}/exe"), "/bin/x");
        let root = tempfile::Builder::new().prefix("root-").tempdir_in(self.0.path()).unwrap().keep();
        for pid in [1, 9, 12] {
            fs::create_dir_all(root.join(format!("proc/{pid}"))).unwrap();
        }
        symlink("9", root.join("proc/self")).unwrap();
        self.link(&format!("{pid}/root"), root.to_str().unwrap());
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.0.path().join(path)).unwrap();
    }

    fn reader(&self) -> Reader {
        Reader::new(PathBuf::from(self.0.path()))
    }

    fn all(&self) -> Observation {
        self.reader().observe(&Wanted::panels(&Panel::ALL))
    }
}

fn enoent<T>() -> Reading<T> {
    Reading::Missing("ENOENT".parse().unwrap())
}

#[test]
fn a_lab_with_a_box() {
    let tree = Tree::new();
    tree.process(1, 0, "hardway", 'S', &[]);
    tree.process(12, 1, "a b) c", 'R', &[(Namespace::Uts, 7), (Namespace::Mnt, 8)]);
    tree.process(9, 1, "reader", 'R', &[]);
    let seen = tree.reader().observe(&Wanted::panels(&Panel::ALL).without(9));
    assert_eq!(seen.processes.iter().map(|it| it.pid).collect::<Vec<_>>(), [1, 12]);
    let it = seen.process(12).unwrap();
    assert_eq!((it.comm.as_str(), it.ppid, it.start_time), ("a b) c", 1, 1012));
    assert_eq!(it.cmdline, ["a b) c", "-x"]);
    assert_eq!(it.namespaces.inode(Namespace::Uts), Some(7));
    assert_eq!(it.credentials.gid_map, Reading::Value(Vec::new()));
    assert_eq!(it.exe, Reading::Value("/bin/x".to_owned()));
    assert_eq!(seen.hostnames[&101], Reading::Value("lab".to_owned()));
    // The link of a made-up tree leads nowhere.
    assert_eq!(seen.hostnames[&7], enoent());
    assert_eq!(seen.mounts.keys().copied().collect::<Vec<_>>(), [8, 100]);
    assert_eq!(seen.mounts[&8].value().unwrap()[2].target, "/a b");
    assert_eq!(seen.visible_pids[&8], Reading::Value(vec![1, 12]), "the reader is pid 9 there");
}

#[test]
fn only_what_is_wanted_is_read() {
    let tree = Tree::new();
    tree.process(1, 0, "hardway", 'S', &[]);
    tree.process(2, 1, "x", 'S', &[]);
    let seen = tree.reader().observe(&Wanted::panels(&[Panel::Credentials]).only(2).only(3));
    assert_eq!(seen.processes.len(), 1);
    assert!(seen.hostnames.is_empty() && seen.mounts.is_empty() && seen.visible_pids.is_empty());
    let seen = tree.reader().observe(&Wanted::panels(&[Panel::Processes]));
    assert!(seen.hostnames.is_empty() && seen.mounts.is_empty() && !seen.visible_pids.is_empty());
}

#[test]
fn absence_says_why() {
    let tree = Tree::new();
    tree.process(1, 0, "hardway", 'S', &[]);
    tree.process(2, 1, "unshared", 'S', &[(Namespace::User, 7)]);
    tree.remove("2/ns/pid_for_children");
    tree.process(3, 1, "zombie", 'Z', &[]);
    for kind in Namespace::ALL {
        tree.remove(&format!("3/ns/{kind}"));
    }
    tree.remove("3/exe");
    tree.file("3/cmdline", "");
    tree.file("2/uid_map", "what is this");
    let seen = tree.all();
    assert_eq!(seen.process(2).unwrap().namespaces.0[&Namespace::PidForChildren], enoent());
    assert_eq!(seen.process(2).unwrap().credentials.uid_map, Reading::Unreadable("what is this".to_owned()));
    let zombie = seen.process(3).unwrap();
    assert_eq!((zombie.state, zombie.cmdline.len()), ('Z', 0));
    assert_eq!(zombie.namespaces.0[&Namespace::Mnt], enoent());
    assert_eq!(zombie.exe, enoent());
    let rows = rows(&seen, &Names { host: 1, ..Names::default() });
    let value = |subject: &str, key: &str| {
        rows.iter().find(|row| row.subject == subject && row.key == key).map(|row| row.value.as_str()).unwrap()
    };
    assert_eq!(value("pid 2 unshared", "pid_for_children"), "none: ENOENT (No such file or directory)");
    assert_eq!(value("pid 3 zombie", "state"), "zombie (Z)");
    assert_eq!(value("pid 2 unshared", "uid_map"), "not understood: what is this");
}

#[test]
fn processes_that_vanish_while_they_are_read_are_dropped() {
    for lost in ["2/stat", "2/status", "2/cmdline"] {
        let tree = Tree::new();
        tree.process(1, 0, "hardway", 'S', &[]);
        tree.process(2, 1, "x", 'S', &[]);
        tree.remove(lost);
        assert_eq!(tree.all().processes.len(), 1, "{lost}");
    }
    let tree = Tree::new();
    tree.file("2/stat", "2 (cut) S 1");
    assert_eq!(tree.all().processes.len(), 0);
    assert_eq!(Reader::new("/nonexistent").observe(&Wanted::panels(&Panel::ALL)), Observation::default());
}

#[test]
fn a_directory_that_is_no_proc_shows_no_pids() {
    let tree = Tree::new();
    tree.process(1, 0, "hardway", 'S', &[]);
    let covered = format!("{MOUNTINFO}24 21 0:9 / /proc rw - tmpfs none rw\n");
    tree.file("1/mountinfo", &covered);
    assert_eq!(tree.all().visible_pids[&100], enoent());
    tree.file("1/mountinfo", "nonsense\n");
    assert_eq!(tree.all().visible_pids[&100], Reading::Unreadable("nonsense".to_owned()));
    assert_eq!(tree.all().mounts[&100], Reading::Unreadable("nonsense".to_owned()));
}

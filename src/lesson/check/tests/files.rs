//! Checks on roots and mounts.

use std::collections::BTreeMap;

use super::{Lab, NS, Reading, errno};
use crate::kernel::namespace::Namespace;
use crate::probe::mounts::parse_mountinfo;
use crate::probe::{Mount, Root};

fn root(mnt: u64, inode: u64, pids: &[i32], found: &[(&str, bool)]) -> Root {
    let found: BTreeMap<String, bool> = found.iter().map(|(path, there)| ((*path).to_owned(), *there)).collect();
    Root {
        mnt,
        device: 9,
        inode,
        pids: pids.to_vec(),
        names: Reading::Value(Vec::new()),
        found,
        texts: BTreeMap::new(),
        marks: BTreeMap::new(),
    }
}

fn mounts(text: &str) -> Reading<Vec<Mount>> {
    Reading::Value(parse_mountinfo(text.as_bytes()).unwrap())
}

#[test]
fn a_root_is_a_directory_and_not_a_name() {
    let mut lab = Lab::new();
    assert_eq!(lab.check("root_is: { of: box, is: / }").seen, "none: EACCES (Permission denied)");
    for pid in [1, 7] {
        lab.change(pid, |it| it.root = Reading::Value("/".into()));
    }
    assert!(lab.check("root_is: { of: box, is: / }").holds);
    assert_eq!(lab.value("root: { of: host }").unwrap(), "/");

    // Neither: it can not be known.
    for check in ["root_same: { of: box, as: host }", "root_differs: { of: box, from: host }"] {
        assert!(!lab.check(check).holds, "{check}");
    }
    lab.observation.roots = vec![root(NS, 2, &[1, 7], &[])];
    assert!(lab.check("root_same: { of: box, as: host }").holds);
    assert!(!lab.check("root_differs: { of: box, from: host }").holds);
    assert_eq!(lab.value("root_inode: { of: box }").unwrap(), "2");
    // Both are called `/`, and are two directories; or one directory with two mount tables.
    for other in [root(NS, 3, &[7], &[]), root(NS + 50, 2, &[7], &[])] {
        lab.observation.roots = vec![root(NS, 2, &[1], &[]), other];
        assert!(!lab.check("root_same: { of: box, as: host }").holds);
        assert!(lab.check("root_differs: { of: box, from: host }").holds);
    }
}

#[test]
fn a_foot_is_outside_by_whole_names() {
    let mut lab = Lab::new();
    for (root, cwd, outside) in [
        ("/", "/root", false),
        ("/lab/box", "/lab/box", false),
        ("/lab/box/usr", "/lab/box", true),
        ("/lab/box", "/lab/box2", true),
    ] {
        lab.change(7, |it| {
            (it.root, it.cwd) = (Reading::Value(root.into()), Reading::Value(cwd.into()));
        });
        assert_eq!(lab.check("cwd_outside_root: { of: box }").holds, outside, "{root} {cwd}");
    }
    lab.change(7, |it| it.cwd = Reading::Missing(errno("EACCES")));
    assert!(!lab.check("cwd_outside_root: { of: box }").holds, "it can not be known");
}

#[test]
fn a_file_has_a_line_word_by_word() {
    let mut lab = Lab::new();
    let mut host = root(NS, 2, &[1], &[("/etc/resolv.conf", true)]);
    host.texts.insert("/etc/resolv.conf".to_owned(), "search lab\nnameserver \t10.0.0.1\n".to_owned());
    lab.observation.roots = vec![host];
    let line = |line: &str| format!("file_line: {{ of: host, path: /etc/resolv.conf, line: {line} }}");
    assert!(lab.check(&line("nameserver 10.0.0.1")).holds);
    let other = lab.check(&line("nameserver 10.0.0.2"));
    assert_eq!((other.holds, other.seen.as_str()), (false, "it has: search lab; nameserver \t10.0.0.1"));
    let none = lab.check("file_line: { of: host, path: /etc/hosts, line: x }");
    assert_eq!((none.holds, none.seen.as_str()), (false, "/etc/hosts is no short file"));
}

#[test]
fn a_path_is_found_with_the_root_of_whom_it_is_asked() {
    let mut lab = Lab::new();
    lab.observation.roots = vec![root(NS, 2, &[1], &[("/lab", true)]), root(NS, 3, &[7], &[("/lab", false)])];
    assert!(
        lab.check("found: { of: host, path: /lab }").holds && lab.check("not_found: { of: box, path: /lab }").holds
    );
    assert!(
        !lab.check("found: { of: box, path: /lab }").holds && !lab.check("not_found: { of: host, path: /lab }").holds
    );
    // What was not looked for is neither there nor not there.
    for check in ["found: { of: host, path: /etc }", "not_found: { of: host, path: /etc }"] {
        let verdict = lab.check(check);
        assert_eq!((verdict.holds, verdict.seen.as_str()), (false, "/etc was not looked for"));
    }
    lab.names.boxes.clear();
    assert!(!lab.check("not_found: { of: box, path: /lab }").holds, "nobody is there to find nothing");
}

#[test]
fn the_last_mount_at_a_place_is_the_one_that_is_seen() {
    let mut lab = Lab::new();
    lab.own(7, Namespace::Mnt, 80);
    let host = "1 0 0:1 / / rw shared:1 - ext4 d rw\n2 1 0:2 / /lab rw shared:2 - tmpfs d rw\n";
    let own = "3 0 0:1 / / rw master:1 - ext4 d rw\n4 3 0:2 / /lab rw - tmpfs d rw\n5 4 0:3 / /lab rw unbindable - proc d rw\n";
    lab.observation.mounts = [(NS, mounts(host)), (80, mounts(own))].into();
    assert!(lab.check("mounted: { of: host, at: /lab, fstype: tmpfs }").holds);
    assert!(lab.check("mounted: { of: box, at: /lab, fstype: proc }").holds, "it covers the other");
    assert!(!lab.check("mounted: { of: box, at: /lab, fstype: tmpfs }").holds);
    assert!(
        !lab.check("mounted: { of: box, at: /proc }").holds && lab.check("not_mounted: { of: box, at: /proc }").holds
    );
    assert!(!lab.check("not_mounted: { of: box, at: /lab }").holds);
    assert_eq!(lab.value("fstype: { of: box, at: / }").unwrap(), "ext4");
    assert_eq!(lab.value("fstype: { of: box, at: /proc }"), None);
    for (of, at, is) in
        [("host", "/", "shared"), ("host", "/lab", "shared"), ("box", "/", "slave"), ("box", "/lab", "unbindable")]
    {
        for kind in ["private", "shared", "slave", "unbindable"] {
            let verdict = lab.check(&format!("propagation: {{ of: {of}, at: {at}, is: {kind} }}"));
            assert_eq!(verdict.holds, kind == is, "{at} of {of}: {verdict:?}");
        }
    }
    lab.observation.mounts.insert(80, Reading::Missing(errno("EACCES")));
    for check in ["mounted: { of: box, at: /lab }", "not_mounted: { of: box, at: /proc }"] {
        assert!(!lab.check(check).holds, "it can not be known");
    }
}

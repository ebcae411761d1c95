//! Modes, owners, times and extended attributes; and GNU tar as a second opinion.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use rootfs_fetch::layer::Reason;
use rustix::fs::lgetxattr;

use crate::archive::{Entry, archive, directory, file, hardlink, symlink, whiteout};
use crate::lab::{Lab, root, tree};

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 65536];
    let length = lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

#[test]
fn modes_are_exact() {
    let lab = Lab::new();
    let modes = [0o4755, 0o2755, 0o6711, 0o1777, 0o000, 0o444, 0o777];
    let entries = modes.iter().flat_map(|mode| {
        let (f, d) = (format!("f{mode:o}"), format!("d{mode:o}"));
        [file(f, "x").mode(*mode), directory(&d).mode(*mode), file(format!("{d}/in"), "y")]
    });
    lab.apply(entries);
    for mode in modes {
        assert_eq!(lab.metadata(&format!("f{mode:o}")).mode() & 0o7777, mode);
        assert_eq!(lab.metadata(&format!("d{mode:o}")).mode() & 0o7777, mode);
    }
}

#[test]
fn directories_that_let_nobody_in_can_be_changed_and_stay_so() {
    let lab = Lab::new();
    lab.apply([
        directory("a").mode(0),
        directory("a/b").mode(0o555),
        file("a/b/c", "1"),
        file("a/b/gone", ""),
        directory("a/e").mode(0),
        file("a/e/f", ""),
    ]);
    lab.apply([
        file("a/b/d", "2"),
        whiteout("a/b/.wh.gone"),
        symlink("l", "a/b"),
        hardlink("l/h", "a/b/d"),
        whiteout("a/.wh.e"),
    ]);
    assert_eq!(lab.metadata("a").mode() & 0o7777, 0);
    // To look at it, which needs the right.
    let allow = |path: &str, mode| {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(lab.rootfs().join(path), fs::Permissions::from_mode(mode)).expect("a mode");
    };
    allow("a", 0o755);
    assert_eq!(lab.metadata("a/b").mode() & 0o7777, 0o555);
    assert_eq!(lab.paths(), ["a", "a/b", "a/b/c", "a/b/d", "a/b/h", "l"]);
    allow("a/b", 0o755);
}

#[test]
fn owners_are_exact_or_told_of() {
    let lab = Lab::new();
    let applied = lab.apply([
        file("a", "").owner(12, 34).mode(0o6755),
        directory("d").owner(56, 78),
        symlink("l", lab.outside("file")).owner(90, 12),
        // More than the field has digits for: in GNU's way and in PAX's.
        file("large", "").field(108, b"\x80\0\0\0\0\x30\0\0").field(116, b"\x80\0\0\0\0\x30\0\x01"),
        file("pax", "").pax("uid", "4000000000").pax("gid", "4000000001"),
    ]);
    let owner = |path: &str| (lab.metadata(path).uid(), lab.metadata(path).gid());
    if applied.counts.not_applied.is_empty() {
        assert!(root());
        assert_eq!((owner("a"), owner("d"), owner("l")), ((12, 34), (56, 78), (90, 12)));
        assert_eq!((owner("large"), owner("pax")), ((0x30_0000, 0x30_0001), (4_000_000_000, 4_000_000_001)));
    } else {
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        assert!(["a", "d", "l", "large", "pax"].into_iter().all(|path| owner(path) == own));
        assert_eq!(applied.counts.not_applied.get(&Reason::Owner), Some(&5));
    }
    // chown(2) takes the bits away: they come after it.
    assert_eq!(lab.metadata("a").mode() & 0o7777, 0o6755);
    for (keyword, id) in
        [("uid", "4294967295"), ("gid", "4294967295"), ("uid", "99999999999"), ("gid", "-1"), ("uid", "x")]
    {
        lab.refused([file("x", "").pax(keyword, id)]);
    }
    lab.refused([file("x", "").field(108, b"\xff\xff\xff\xff\xff\xff\xff\xff")]);
}

#[test]
fn times_are_exact() {
    let lab = Lab::new();
    let times = [("0", 0, 0), ("-86400.25", -86401, 750_000_000), ("4102444800.123456789", 4_102_444_800, 123_456_789)];
    for (text, seconds, nanoseconds) in times {
        lab.apply([
            directory("d").pax("mtime", text),
            file("d/f", "x").pax("mtime", text),
            symlink("d/l", "f").pax("mtime", text),
            Entry::new(b'6', "d/p").pax("mtime", text),
            directory("d/e").pax("mtime", text),
            file("d/e/later", "in it"),
            directory("./").pax("mtime", text),
        ]);
        for path in ["", "d", "d/f", "d/l", "d/p", "d/e"] {
            let found = lab.metadata(path);
            assert_eq!((found.mtime(), found.mtime_nsec()), (seconds, nanoseconds), "{path}");
        }
    }
    // Before 1970 without PAX, as GNU tar has it.
    lab.apply([file("old", "").field(136, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xf6")]);
    assert_eq!(lab.metadata("old").mtime(), -10);
    // A time that no file system has is as late as it can be.
    lab.apply([
        file("late", "").pax("mtime", i64::MAX.to_string()),
        file("early", "").pax("mtime", "-922337203685477580"),
    ]);
    assert!(lab.metadata("late").mtime() > 4_102_444_800 && lab.metadata("early").mtime() < 0);
    // What a lower layer made has its time still, where this one only adds below it.
    lab.apply([file("d/added", "")]);
    assert_eq!(lab.metadata("d").mtime(), 4_102_444_800);
    lab.refused([file("x", "").pax("mtime", "now")]);
}

#[test]
fn extended_attributes_are_applied_or_told_of() {
    let lab = Lab::new();
    let capability = b"\x01\0\0\x02\0\x04\0\n\0\0\0\0\0\0\0\0\0\0\0\0";
    let applied = lab.apply([
        file("f", "x").mode(0o444).pax("SCHILY.xattr.user.mark", "a\nb=c\0d").pax("SCHILY.xattr.user.empty", ""),
        file("c", "x").owner(1, 1).pax("SCHILY.xattr.security.capability", capability),
        directory("d").mode(0o500).pax("SCHILY.xattr.user.mark", "d"),
        file("huge", "").pax("SCHILY.xattr.user.huge", vec![b'x'; 100_000]),
        file("name", "").pax(format!("SCHILY.xattr.user.{}", "n".repeat(300)), "x"),
        symlink("l", lab.outside("file")).pax("SCHILY.xattr.user.mark", "l"),
    ]);
    let at = |path: &str| lab.rootfs().join(path);
    assert_eq!(attribute(&at("f"), "user.mark").as_deref(), Some(&b"a\nb=c\0d"[..]));
    assert_eq!(attribute(&at("f"), "user.empty").as_deref(), Some(&b""[..]));
    assert_eq!(attribute(&at("d"), "user.mark").as_deref(), Some(&b"d"[..]));
    let has_capability = attribute(&at("c"), "security.capability");
    let missed = 3 + u64::from(has_capability.is_none());
    assert_eq!(applied.counts.not_applied.get(&Reason::Xattr), Some(&missed), "{applied:?}");
    if let Some(found) = has_capability {
        assert_eq!(found, capability);
    }
}

#[test]
fn attributes_that_a_storage_obeys_are_never_applied() {
    let names = [
        "trusted.overlay.opaque",
        "user.overlay.redirect",
        "user.overlay.whiteout",
        "user.fuseoverlayfs.opaque",
        "user.containers.override_stat",
    ];
    let lab = Lab::new();
    for (number, target) in [lab.flat(), lab.overlay("overlay")].iter().enumerate() {
        let mut d = directory("d");
        for name in names {
            d = d.pax(format!("SCHILY.xattr.{name}"), "y");
        }
        let (applied, _) = lab.bytes(&archive([d]), target).expect("a layer");
        assert_eq!(applied.counts.not_applied.get(&Reason::StorageXattr), Some(&5));
        let at = lab.path().join(["rootfs/d", "overlay/d"][number]);
        assert!(names.iter().all(|name| attribute(&at, name).is_none()));
    }
}

#[test]
fn headers_have_a_bound() {
    let why = Lab::new().refused([file("x", "").pax("SCHILY.xattr.user.x", vec![b'x'; 2 << 20])]);
    assert!(why.contains("headers of one entry"), "{why}");
}

#[test]
fn gnu_tar_makes_the_same_tree() {
    let lab = Lab::new();
    let source = lab.path().join("overlay-source");
    let shell = |script: &str| {
        assert!(Command::new("sh").args(["-ec", script]).current_dir(lab.path()).status().expect("sh").success());
    };
    shell(
        "mkdir -p overlay-source/a/deep/er overlay-source/empty; cd overlay-source; echo one >a/f; ln a/f a/deep/hard; ln -s ../f a/deep/l; \
         ln -s /nowhere dangling; mkfifo p; chmod 4711 a/f; chmod 1777 empty; touch -d @-5.25 a/deep/er; touch -h -d @99 dangling; \
         n=$(printf %0200d 7); echo long >a/$n; truncate -s 3000000 sparse; printf x | dd of=sparse bs=1 seek=1000000 conv=notrunc status=none; chmod 0555 a",
    );
    for format in ["gnu", "posix", "ustar"] {
        let bytes = {
            let mut command = Command::new("tar");
            command.args(["--numeric-owner", &format!("--format={format}")]);
            if format == "gnu" {
                command.arg("--sparse");
            }
            if format == "ustar" {
                command.args(["--exclude", "0*7", "--exclude", "er"]);
            }
            let output = command.args(["-cf", "-", "."]).current_dir(&source).output().expect("tar");
            assert!(output.status.success());
            output.stdout
        };
        let by_tar = lab.path().join(format!("overlay-{format}"));
        let ours = Lab::new();
        ours.bytes(&bytes, &ours.flat()).expect("a layer that GNU tar wrote");
        fs::create_dir(&by_tar).expect("a directory");
        fs::write(lab.path().join("overlay.tar"), &bytes).expect("an archive");
        let mut command = Command::new("tar");
        command.args(["--numeric-owner", "--warning=no-timestamp", "-xpf", "../overlay.tar"]).current_dir(&by_tar);
        assert!(command.status().expect("tar").success());
        assert_eq!(tree(&ours.rootfs()), tree(&by_tar), "{format}");
        if format == "gnu" {
            let (real, room) = (ours.metadata("sparse").len(), ours.metadata("sparse").blocks() * 512);
            assert!(real == 3_000_000 && room < 1_000_000, "{room}");
        }
        shell(&format!("chmod 0755 overlay-{format}/a"));
    }
    shell("chmod 0755 overlay-source/a");
}

//! Modes, owners, times and extended attributes; and GNU tar as a second opinion.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use rootfs_fetch::layer::{Reason, Xattrs};
use rustix::fs::lgetxattr;

use crate::archive::{Entry, archive, directory, file, hardlink, symlink, whiteout};
use crate::lab::{Lab, root, tree, xattrs};

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
        fs::set_permissions(lab.rootfs().join(path), PermissionsExt::from_mode(mode)).expect("a mode");
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
fn an_entry_of_a_directory_takes_attributes_that_it_does_not_have() {
    let lab = Lab::new();
    let mark = |entry: Entry, name: &str, value: &str| entry.pax(format!("SCHILY.xattr.user.{name}"), value);
    let both = |name: &str| mark(mark(directory(name), "mark", "old"), "only", "old");
    let lower = archive([both("./"), both("d"), both("stays")]);
    // The directory is there before its entry: from the layer below, or because it was passed through.
    let upper = archive([
        file("d/f", ""),
        whiteout("d/.wh..wh..opq"),
        mark(directory("d"), "mark", "new"),
        directory("./"),
        file("stays/f", ""),
    ]);
    lab.bytes(&lower, &lab.flat()).expect("a layer");
    lab.bytes(&upper, &lab.flat()).expect("a layer");
    lab.bytes(&lower, &lab.overlay("overlay-0")).expect("a layer for overlayfs");
    let above = lab.overlay_above("overlay-1", &["overlay-0".into()]);
    lab.bytes(&upper, &above).expect("a layer for overlayfs");
    for target in ["rootfs", "overlay-1"] {
        let found = |path: &str, name: &str| attribute(&lab.path().join(target).join(path), name);
        assert_eq!(found("d", "user.mark").as_deref(), Some(&b"new"[..]), "{target}");
        assert_eq!(found("d", "user.only"), None, "{target}");
        assert_eq!((found("", "user.mark"), found("", "user.only")), (None, None), "{target}");
        assert_eq!(found("stays", "user.only").as_deref(), Some(&b"old"[..]), "{target}");
    }
    let opaque = if xattrs() == Xattrs::Trusted { "trusted.overlay.opaque" } else { "user.overlay.opaque" };
    assert_eq!(attribute(&lab.path().join("overlay-1/d"), opaque).as_deref(), Some(&b"y"[..]));
}

/// An ACL as the kernel's extended attributes have it: version 2, then tag, rights and id of each entry.
fn acl(rights: [(u16, u16, u32); 5]) -> Vec<u8> {
    let entries = rights
        .into_iter()
        .flat_map(|(tag, rights, id)| [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat());
    2_u32.to_le_bytes().into_iter().chain(entries).collect()
}

#[test]
fn what_is_made_in_a_directory_inherits_no_acl() {
    let lab = Lab::new();
    let (own, none) = (rustix::process::geteuid().as_raw(), u32::MAX);
    // The owner, a user, the group, the mask, all others: acl(5).
    let handed_down = acl([(1, 7, none), (2, 6, own), (4, 7, none), (0x10, 7, none), (0x20, 0, none)]);
    let (default, access) = ("system.posix_acl_default", "system.posix_acl_access");
    let lower = archive([
        directory("d").mode(0o775).pax(format!("SCHILY.xattr.{default}"), &handed_down),
        file("d/f", "").mode(0o646),
        directory("d/e").mode(0o705),
        Entry::new(b'6', "d/p").mode(0o606),
        file("d/implied/f", "").mode(0o604),
    ]);
    let upper = archive([file("d/g", "").mode(0o646), file("d/other/f", "").mode(0o604)]);
    let (applied, _) = lab.bytes(&lower, &lab.flat()).expect("a layer");
    if applied.counts.not_applied.contains_key(&Reason::Xattr) {
        println!("SKIPPED default ACLs: the file system of {} has none", lab.path().display());
        return;
    }
    lab.bytes(&upper, &lab.flat()).expect("a layer");
    lab.bytes(&lower, &lab.overlay("overlay-0")).expect("a layer for overlayfs");
    let above = lab.overlay_above("overlay-1", &["overlay-0".into()]);
    lab.bytes(&upper, &above).expect("a layer for overlayfs");
    let (below, above) = (["f", "e", "p", "implied", "implied/f"], ["g", "other", "other/f"]);
    for (target, made) in
        [("rootfs", [&below[..], &above].concat()), ("overlay-0", below.to_vec()), ("overlay-1", above.to_vec())]
    {
        let d = lab.path().join(target).join("d");
        assert_eq!(attribute(&d, default).as_deref(), Some(&handed_down[..]), "{target}");
        for name in made {
            assert_eq!(attribute(&d.join(name), default), None, "{target} {name}");
            assert_eq!(attribute(&d.join(name), access), None, "{target} {name}");
            let mode = match name {
                "f" | "g" => 0o646,
                "e" => 0o705,
                "p" => 0o606,
                "implied" | "other" => 0o755,
                _ => 0o604,
            };
            assert_eq!(fs::symlink_metadata(d.join(name)).expect("metadata").mode() & 0o7777, mode, "{target} {name}");
        }
    }
}

#[test]
fn an_acl_that_shuts_the_owner_out_is_in_nobodys_way() {
    let lab = Lab::new();
    let (own, none) = (rustix::process::geteuid().as_raw(), u32::MAX);
    let shut = acl([(1, 5, none), (2, 4, own), (4, 5, none), (0x10, 5, none), (0x20, 5, none)]);
    lab.apply([
        file("d/before", ""),
        directory("d").mode(0o555).pax("SCHILY.xattr.system.posix_acl_access", shut),
        file("d/after", ""),
    ]);
    assert_eq!(lab.metadata("d").mode() & 0o7777, 0o555);
    assert!(lab.has("d/before") && lab.has("d/after"));
    // So that whoever is no root can remove it.
    fs::set_permissions(lab.rootfs().join("d"), PermissionsExt::from_mode(0o755)).expect("a mode");
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
    let versions =
        [("gnu", None), ("posix", Some("0.0")), ("posix", Some("0.1")), ("posix", Some("1.0")), ("ustar", None)];
    for (format, version) in versions {
        let bytes = {
            let mut command = Command::new("tar");
            command.args(["--numeric-owner", &format!("--format={format}")]);
            if format != "ustar" {
                command.arg("--sparse");
            }
            command.args(version.map(|version| format!("--sparse-version={version}")));
            if format == "ustar" {
                command.args(["--exclude", "0*7", "--exclude", "er"]);
            }
            let output = command.args(["-cf", "-", "."]).current_dir(&source).output().expect("tar");
            assert!(output.status.success());
            output.stdout
        };
        let by_tar = lab.path().join(format!("overlay-{}{format}", version.unwrap_or_default()));
        let ours = Lab::new();
        ours.bytes(&bytes, &ours.flat()).expect("a layer that GNU tar wrote");
        fs::create_dir(&by_tar).expect("a directory");
        fs::write(lab.path().join("overlay.tar"), &bytes).expect("an archive");
        let mut command = Command::new("tar");
        command.args(["--numeric-owner", "--warning=no-timestamp", "-xpf", "../overlay.tar"]).current_dir(&by_tar);
        assert!(command.status().expect("tar").success());
        assert_eq!(tree(&ours.rootfs()), tree(&by_tar), "{format} {version:?}");
        if format != "ustar" {
            let (real, room) = (ours.metadata("sparse").len(), ours.metadata("sparse").blocks() * 512);
            assert!(real == 3_000_000 && room < 1_000_000, "{room}");
        }
        shell(&format!("chmod 0755 {}/a", by_tar.display()));
    }
    shell("chmod 0755 overlay-source/a");
}

//! Whatever two trees are: the layer that is their difference makes the one of the other.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rootfs_fetch::pack::{self, Compression, Options};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lremovexattr, lsetxattr, makedev, mknodat,
    utimensat,
};

use crate::lab::{Lab, plain, root, tree};

/// Something that is done to a tree; where that can not be done, nothing is.
#[derive(Clone, Debug)]
pub enum Op {
    Directory(PathBuf),
    Write(PathBuf, Vec<u8>),
    /// As many bytes as there were, with the time that was there: nothing but the contents tells.
    Forge(PathBuf, u8),
    Symlink(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Fifo(PathBuf),
    Device(PathBuf, u32),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
    Mode(PathBuf, u32),
    Owner(PathBuf, u32),
    Time(PathBuf, i64, i64),
    /// With this byte in it, or gone.
    Attribute(PathBuf, Option<u8>),
}

fn path() -> impl Strategy<Value = PathBuf> {
    let long = "l".repeat(120);
    let names: Vec<Vec<u8>> = vec![b"a".into(), b"b".into(), b"a-b".into(), b"\xff\n".into(), long.into()];
    // The first names the most, so that what is done meets.
    let name = prop_oneof![4 => Just(names[0].clone()), 3 => Just(names[1].clone()), 1 => prop::sample::select(names)];
    prop::collection::vec(name, 1..4)
        .prop_map(|names| names.iter().map(|name| OsStr::from_bytes(name)).collect::<PathBuf>())
}

fn op() -> impl Strategy<Value = Op> {
    let time = prop::sample::select(vec![(0, 0), (1_000_000_000, 0), (7, 1), (-5, 500_000_000), (8_589_934_592, 999)]);
    let mode = prop::sample::select(vec![0o700, 0o755, 0o1777, 0o4711, 0o2750]);
    prop_oneof![
        6 => path().prop_map(Op::Directory),
        6 => (path(), prop::collection::vec(any::<u8>(), 0..700)).prop_map(|(path, bytes)| Op::Write(path, bytes)),
        2 => (path(), any::<u8>()).prop_map(|(path, byte)| Op::Forge(path, byte)),
        2 => (path(), path()).prop_map(|(path, to)| Op::Symlink(path, to)),
        3 => (path(), path()).prop_map(|(path, to)| Op::Link(path, to)),
        1 => path().prop_map(Op::Fifo),
        1 => (path(), 1..3_u32).prop_map(|(path, minor)| Op::Device(path, minor)),
        3 => path().prop_map(Op::Remove),
        2 => (path(), path()).prop_map(|(path, to)| Op::Rename(path, to)),
        2 => (path(), mode).prop_map(|(path, mode)| Op::Mode(path, mode)),
        1 => (path(), prop::sample::select(vec![0, 7, 3_000_000])).prop_map(|(path, owner)| Op::Owner(path, owner)),
        2 => (path(), time).prop_map(|(path, (seconds, nanoseconds))| Op::Time(path, seconds, nanoseconds)),
        3 => (path(), any::<Option<u8>>()).prop_map(|(path, byte)| Op::Attribute(path, byte)),
    ]
}

pub fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 0..most)
}

pub fn apply(tree: &Path, ops: &[Op]) {
    for op in ops {
        // What can not be done is not.
        let _ = one(tree, op);
    }
}

fn one(tree: &Path, op: &Op) -> std::io::Result<()> {
    let times = |modified| Timestamps { last_access: modified, last_modification: modified };
    let set_time = |path: &Path, modified| utimensat(CWD, path, &times(modified), AtFlags::SYMLINK_NOFOLLOW);
    let is_link = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    match op {
        Op::Directory(path) => fs::create_dir(tree.join(path))?,
        // A link might lead elsewhere, and a pipe would wait for a reader.
        Op::Write(path, bytes) if fs::symlink_metadata(tree.join(path)).map_or(true, |found| found.is_file()) => {
            fs::write(tree.join(path), bytes)?;
        }
        Op::Forge(path, byte) if fs::symlink_metadata(tree.join(path))?.is_file() => {
            let path = tree.join(path);
            let before = rustix::fs::lstat(&path)?;
            let modified = Timespec { tv_sec: before.st_mtime, tv_nsec: before.st_mtime_nsec.cast_signed() };
            if before.st_size > 0 {
                fs::OpenOptions::new().write(true).open(&path)?.write_at(&[*byte], 0)?;
            }
            set_time(&path, modified)?;
        }
        Op::Symlink(path, to) => symlink(to, tree.join(path))?,
        Op::Link(path, to) => fs::hard_link(tree.join(to), tree.join(path))?,
        Op::Fifo(path) => mknodat(CWD, tree.join(path), FileType::Fifo, Mode::from_raw_mode(0o640), 0)?,
        Op::Device(path, minor) => {
            mknodat(CWD, tree.join(path), FileType::BlockDevice, Mode::from_raw_mode(0o600), makedev(300, *minor))?;
        }
        Op::Remove(path) if fs::symlink_metadata(tree.join(path))?.is_dir() => fs::remove_dir_all(tree.join(path))?,
        Op::Remove(path) => fs::remove_file(tree.join(path))?,
        Op::Rename(path, to) => fs::rename(tree.join(path), tree.join(to))?,
        Op::Mode(path, mode) if !is_link(&tree.join(path)) => {
            fs::set_permissions(tree.join(path), Permissions::from_mode(*mode))?;
        }
        Op::Owner(path, owner) => lchown(tree.join(path), Some(*owner), Some(*owner))?,
        Op::Time(path, seconds, nanoseconds) => {
            set_time(&tree.join(path), Timespec { tv_sec: *seconds, tv_nsec: *nanoseconds })?;
        }
        Op::Attribute(path, None) => lremovexattr(tree.join(path), "user.test")?,
        Op::Attribute(path, Some(byte)) => {
            lsetxattr(tree.join(path), "user.test", &[*byte, b'\n', 0], XattrFlags::empty())?;
        }
        _ => {}
    }
    Ok(())
}

/// Tries these, and shows the smallest that fails.
pub fn cases(number: u32, strategy: impl Strategy<Value = (Vec<Op>, Vec<Op>)>, test: impl Fn(&[Op], &[Op])) {
    let config = Config { cases: number, failure_persistence: None, max_shrink_iters: 60, ..Config::default() };
    let property = |(before, after): (Vec<Op>, Vec<Op>)| {
        test(&before, &after);
        Ok(())
    };
    TestRunner::new(config).run(&strategy, property).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_difference_makes_one_tree_of_the_other() {
    cases(if root() { 100 } else { 50 }, (ops(30), ops(20)), |before, after| {
        let lab = Lab::new();
        let lower = lab.directory("lower");
        apply(&lower, before);
        let upper = lab.copy(&lower, "upper");
        apply(&upper, after);
        let copy = lab.copy(&lower, "copy");
        let layer = pack::diff(&lab.store, &lower, &upper, &Options::default()).expect("a difference");
        let applied = lab.apply(&layer, &copy);
        assert_eq!(tree(&copy), tree(&upper));
        assert_eq!(applied.counts.entries, layer.counts.entries);
        // And there is none any more.
        let none = pack::diff(&lab.store, &upper, &copy, &Options::default()).expect("a difference");
        assert_eq!(none.counts.entries, 0);
    });
}

#[test]
fn a_whole_tree_is_made_again_in_every_compression() {
    cases(8, (ops(40), Just(Vec::new())), |before, _| {
        let lab = Lab::new();
        let whole = lab.directory("whole");
        apply(&whole, before);
        let kinds = [
            Compression::None,
            Compression::Gzip(0),
            Compression::Gzip(9),
            Compression::Zstd(1),
            Compression::Zstd(19),
        ];
        let mut diff_ids = Vec::new();
        for (number, compression) in kinds.into_iter().enumerate() {
            let options = Options { compression, ..Options::default() };
            let layer = pack::tree(&lab.store, &whole, &options).expect("a layer");
            let made = lab.directory(&format!("made-{number}"));
            lab.apply(&layer, &made);
            assert_eq!(tree(&made), tree(&whole));
            diff_ids.push(layer.diff_id);
        }
        diff_ids.dedup();
        assert_eq!(diff_ids.len(), 1);
    });
}

#[test]
fn what_only_metadata_tells_is_a_change() {
    let set = |path: &Path| lsetxattr(path, "user.test", b"1", XattrFlags::empty()).expect("an attribute");
    let take = |path: &Path| lremovexattr(path, "user.old").expect("an attribute");
    let mode = |path: &Path| fs::set_permissions(path, Permissions::from_mode(0o701)).expect("a mode");
    let old = UNIX_EPOCH + Duration::new(7, 1);
    let time = |path: &Path| fs::File::open(path).and_then(|file| file.set_modified(old)).expect("a time");
    for change in [&set as &dyn Fn(&Path), &take, &mode, &time] {
        for changed in ["", "d", "d/f"] {
            let lab = Lab::new();
            let lower = lab.directory("lower");
            fs::create_dir(lower.join("d")).expect("a directory");
            fs::write(lower.join("d/f"), "").expect("a file");
            for path in ["", "d", "d/f"] {
                lsetxattr(lower.join(path), "user.old", b"1", XattrFlags::empty()).expect("an attribute");
            }
            let upper = lab.copy(&lower, "upper");
            change(&upper.join(changed));
            let layer = pack::diff(&lab.store, &lower, &upper, &plain()).expect("a layer");
            // With the directories above, but for the root, which is always there.
            let names: &[&str] = match changed {
                "" => &["./"],
                "d" => &["d/"],
                _ => &["d/", "d/f"],
            };
            assert_eq!(lab.names(&layer), names);
            lab.apply(&layer, &lower);
            assert_eq!(tree(&lower), tree(&upper));
        }
    }
}

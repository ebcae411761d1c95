//! The cache: read once, trusted never, shared by many, and whole after any accident.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rootfs_fetch::{Cache, Machine, Recipe, Rootfs};

mod lab;
mod support;
use lab::{Lab, skip};
use support::Made;

const BIN: &str = env!("CARGO_BIN_EXE_rootfs-fetch");
const DEADLINE: Duration = Duration::from_secs(60);

/// A machine with programs of some size, each with a content of its own.
fn machine(programs: usize, bytes: usize) -> (Lab, Vec<String>) {
    let lab = Lab::new();
    let names: Vec<String> = (0..programs).map(|number| format!("p{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let rest = (0..bytes).map(|at| (at * 31 + at / 251 + number) as u8).collect();
        lab.put(&format!("/bin/{name}"), Made { rest, ..Made::program() }.bytes());
    }
    (lab, names)
}

fn blobs(lab: &Lab) -> Vec<PathBuf> {
    let list = |path: &Path| -> Vec<PathBuf> {
        fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry").path()).collect()
    };
    list(&lab.place.path().join("cache/blobs")).iter().flat_map(|path| list(path)).collect()
}

/// The blob with the content of a file of the machine.
fn blob_of(lab: &Lab, file: &str) -> PathBuf {
    let content = fs::read(lab.root().join(file)).expect("a file");
    blobs(lab).into_iter().find(|blob| fs::read(blob).expect("a blob") == content).expect("it is in the cache")
}

fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().expect("sha256sum");
    String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or_default().to_owned()
}

/// An independent look: every blob has the content that its name says, and the rootfs that of the machine.
fn assert_whole(lab: &Lab, rootfs: &str, names: &[String]) {
    for blob in blobs(lab) {
        assert_eq!(blob.file_name().and_then(|name| name.to_str()), Some(&*sha256(&blob)));
    }
    for file in names.iter().map(|name| format!("bin/{name}")).chain(["lib/ld.so".to_owned()]) {
        let copy = fs::read(lab.place.path().join(rootfs).join(&file)).expect("a copy");
        assert!(copy == fs::read(lab.root().join(&file)).expect("the machine's"), "{file} of {rootfs}");
    }
}

fn counts(rootfs: &Rootfs) -> (usize, usize, usize) {
    assert_eq!(rootfs.cache_trouble, None);
    (rootfs.read, rootfs.cached, rootfs.repaired)
}

#[test]
fn a_second_rootfs_reads_no_file_of_the_machine() {
    let (lab, names) = machine(3, 1000);
    // The same content at two places is kept once.
    lab.put("/bin/twin", fs::read(lab.root().join("bin/p0")).expect("a file"));
    let programs = ["p0", "p1", "p2", "twin"];
    assert_eq!(counts(&lab.cached("one", &programs)), (5, 0, 0));
    assert_eq!(blobs(&lab).len(), 4);
    assert_eq!(counts(&lab.cached("two", &programs)), (0, 5, 0));
    assert_whole(&lab, "two", &names);
    let metadata = fs::metadata(lab.place.path().join("two/bin/p0")).expect("a copy");
    assert_eq!((metadata.mode() & 0o777, metadata.nlink()), (0o755, 1), "a copy is nobody else's");
    let held = lab.cache().held().expect("a list");
    assert_eq!(held.iter().filter(|held| held.files.len() == 2).count(), 1);
}

#[test]
fn what_changed_on_the_machine_is_read_again() {
    let (lab, names) = machine(1, 1000);
    lab.cached("one", &["p0"]);
    let path = lab.root().join("bin/p0");
    let before = fs::metadata(&path).expect("a file").modified().expect("a time");
    let file = OpenOptions::new().write(true).open(&path).expect("a file");
    let end = file.metadata().expect("a file").len() - 1;
    file.write_all_at(b"!", end).expect("one other byte");
    // As `touch -r` and `cp -p` would: size, inode and time of change of the content are what they were.
    file.set_modified(before).expect("a time");
    assert_eq!(counts(&lab.cached("two", &["p0"])), (1, 1, 0));
    assert_whole(&lab, "two", &names);
}

#[test]
fn a_broken_blob_is_refused_and_repaired() {
    let (lab, names) = machine(1, 300_000);
    lab.cached("whole", &["p0"]);
    let content = fs::read(lab.root().join("bin/p0")).expect("a file");
    let flipped = |at: usize| {
        let mut bytes = content.clone();
        bytes[at] ^= 1;
        bytes
    };
    let cases = [
        ("first", flipped(0)),
        ("last", flipped(content.len() - 1)),
        ("short", content[..content.len() / 2].to_vec()),
        ("empty", Vec::new()),
        ("long", [content.as_slice(), b"more"].concat()),
    ];
    for (name, bytes) in cases {
        fs::write(blob_of(&lab, "bin/p0"), bytes).expect("a broken blob");
        assert_eq!(counts(&lab.cached(name, &["p0"])), (0, 1, 1), "{name}");
        assert_whole(&lab, name, &names);
        assert_eq!(counts(&lab.cached(&format!("{name}-again"), &["p0"])), (0, 2, 0), "{name} was repaired");
    }
    // Things that are no blobs at all.
    let blob = blob_of(&lab, "bin/p0");
    fs::remove_file(&blob).expect("a blob");
    assert!(Command::new("mkfifo").arg(&blob).status().expect("mkfifo").success());
    assert_eq!(counts(&lab.cached("fifo", &["p0"])), (1, 1, 0));
    assert_whole(&lab, "fifo", &names);
    let other = blob_of(&lab, "lib/ld.so");
    fs::rename(other, blob_of(&lab, "bin/p0")).expect("another's content");
    assert_eq!(counts(&lab.cached("swapped", &["p0"])), (1, 0, 1));
    assert_whole(&lab, "swapped", &names);
    for entry in fs::read_dir(lab.place.path().join("cache/index")).expect("an index") {
        fs::write(entry.expect("an entry").path(), "{ broken").expect("a broken entry");
    }
    assert_eq!(counts(&lab.cached("index", &["p0"])), (2, 0, 0));
    assert_whole(&lab, "index", &names);
}

#[test]
fn clearing_takes_first_what_was_not_used_for_longest() {
    let (lab, _) = machine(3, 10_000);
    for name in ["p0", "p1", "p2"] {
        lab.cached(name, &[name]);
    }
    lab.cached("again", &["p0"]);
    let open = lab.cache();
    let busy = lab.cache().clear(0).expect_err("it is open");
    assert!(busy.to_string().contains("others use it"), "{busy}");
    drop(open);
    let cleared = lab.cache().clear(22_000).expect("alone");
    assert_eq!((cleared.contents, blobs(&lab).len()), (1, 3), "{cleared:?}");
    assert_eq!(counts(&lab.cached("a", &["p0"])), (0, 2, 0));
    assert_eq!(counts(&lab.cached("b", &["p1"])), (1, 1, 0));
    let recipe = Recipe::programs(["p0", "p1", "p2"]).from(Machine::at(lab.root()));
    let small = lab.cache().limit(15_000);
    recipe.make_with(lab.place.path().join("c"), &small).expect("a rootfs");
    let left: u64 = small.held().expect("a list").iter().map(|held| held.bytes).sum();
    assert!(left <= 15_000, "{left} bytes are beyond the limit");
    assert_eq!(fs::read_dir(lab.place.path().join("cache/index")).expect("an index").count(), blobs(&lab).len());
}

#[test]
fn a_cache_that_fails_is_done_without() {
    let (lab, names) = machine(1, 1000);
    let cache = lab.cache();
    let blobs = lab.place.path().join("cache/blobs");
    fs::remove_dir(&blobs).expect("an empty directory");
    fs::write(&blobs, "no directory").expect("a file");
    let recipe = Recipe::programs(&names).from(Machine::at(lab.root()));
    let rootfs = recipe.make_with(lab.target(), &cache).expect("a rootfs without the cache");
    assert!(rootfs.cache_trouble.as_deref().is_some_and(|why| !why.is_empty()));
    assert!(rootfs.to_string().contains("the cache was of no use"));
    assert!(lab.has("/bin/p0"));
}

/// Whoever can write into a cache could put a program of theirs in the place of another.
#[test]
fn a_cache_of_others_is_refused() {
    let (lab, _) = machine(1, 10);
    let directory = lab.place.path().join("theirs");
    fs::create_dir(&directory).expect("a directory");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).expect("a mode");
    let open = || Cache::open(&directory).expect_err("it is not ours alone").to_string();
    assert!(open().contains("others can write to it"), "{}", open());
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).expect("a mode");
    if let Err(error) = std::os::unix::fs::chown(&directory, Some(65533), None) {
        return skip("a_cache_of_others", &format!("chown: {error}"));
    }
    assert!(open().contains("belongs to user 65533"), "{}", open());
    assert_eq!(fs::read_dir(&directory).expect("a directory").count(), 0, "nothing is left in it");
}

fn start(lab: &Lab, rootfs: &str, names: &[String]) -> Child {
    let mut command = Command::new(BIN);
    command.current_dir(&lab.place).args(["build", rootfs, "--from", "machine", "--cache", "cache"]);
    command.args(names.iter().flat_map(|name| ["-p", name]));
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the program runs")
}

#[test]
fn many_build_at_once() {
    let (lab, names) = machine(6, 200_000);
    for round in 0..3 {
        let build = |number| format!("r{round}-{number}");
        let mut running: Vec<Child> = (0..4).map(|number| start(&lab, &build(number), &names)).collect();
        // And one who breaks what they share, and one who clears it when nobody looks.
        thread::scope(|scope| {
            scope.spawn(|| {
                for blob in fs::read_dir(lab.place.path().join("cache/blobs")).into_iter().flatten().flatten().take(3) {
                    for blob in fs::read_dir(blob.path()).into_iter().flatten().flatten() {
                        let _ = OpenOptions::new().write(true).open(blob.path()).map(|file| file.write_all_at(b"?", 9));
                    }
                }
            });
            let clear = ["cache", "gc", "--limit", "300K", "--cache", "cache"];
            let _ = Command::new(BIN).args(clear).current_dir(&lab.place).output().expect("the program runs");
        });
        for (number, child) in running.iter_mut().enumerate() {
            assert!(child.wait().expect("a child").success());
            for name in &names {
                let copy = fs::read(lab.place.path().join(build(number)).join("bin").join(name)).expect("a copy");
                assert!(copy == fs::read(lab.root().join("bin").join(name)).expect("the machine's"), "{name}");
            }
        }
    }
    lab.cached("last", &names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_whole(&lab, "last", &names);
}

#[test]
fn kill_9_while_the_cache_is_written_leaves_it_whole() {
    let (lab, names) = machine(3, 20_000_000);
    let writing = lab.place.path().join("cache/writing");
    let listed = || fs::read_dir(&writing).map_or(0, Iterator::count);
    let mut in_the_middle = 0;
    for round in 0..6 {
        let rootfs = format!("killed{round}");
        let mut child = start(&lab, &rootfs, &names);
        let begun = Instant::now();
        // Killed as soon as it has begun to write, or a little later: or it was done before anyone looked.
        while listed() == 0 && child.try_wait().expect("a child").is_none() {
            assert!(begun.elapsed() < DEADLINE, "nothing was written");
        }
        thread::sleep(Duration::from_millis(3 * round));
        child.kill().expect("a child of ours");
        child.wait().expect("a child of ours");
        in_the_middle += listed();
        fs::remove_dir_all(lab.place.path().join(&rootfs)).expect("what it had made of the rootfs");
        for blob in blobs(&lab) {
            assert_eq!(blob.file_name().and_then(|name| name.to_str()), Some(&*sha256(&blob)), "round {round}");
        }
        // The next in it clears what was left, and starts anew.
        let cleared = lab.cache().clear(0).expect("nobody holds the lock of one who was killed");
        assert_eq!((listed(), cleared.left), (0, 0));
    }
    assert!(in_the_middle > 0, "no kill came in the middle");
    lab.cached("last", &names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_whole(&lab, "last", &names);
}

//! The store of images: shared by many, killed at any moment, on full disks, and read by others.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use proptest::collection;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::Index;
use rootfs_fetch::image::{Descriptor, Digest, DigestAlgorithm, Document, Hasher, MediaType, Mismatch, digest_of};
use rootfs_fetch::store::{Collected, GRACE, Partial, Store, StoreError, Upload};
use serde_json::{Value, json};
use tempfile::TempDir;

mod lab;
mod support;
use lab::skip;

/// Where a test that was started again finds its store.
const CHILD: &str = "ROOTFS_FETCH_TEST_STORE";
const DEADLINE: Duration = Duration::from_secs(60);

fn place() -> TempDir {
    TempDir::new().expect("a temporary directory")
}

fn open(place: &TempDir) -> Store {
    Store::open(place.path().join("store")).expect("a store")
}

/// Bytes that look like nothing, different for each seed.
fn bytes(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251 + seed * 7919) as u8).collect()
}

fn sha512(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(&DigestAlgorithm::Sha512).expect("it is known");
    hasher.update(bytes);
    hasher.finish()
}

fn add(store: &Store, kind: MediaType, bytes: &[u8]) -> Descriptor {
    Descriptor::new(kind, bytes.len() as u64, store.add(bytes).expect("it can be written"))
}

/// Puts an image of these layers in, without a name.
fn image(store: &Store, layers: &[Vec<u8>], subject: Option<&Descriptor>) -> Descriptor {
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids":
        layers.iter().map(|layer| digest_of(layer).to_string()).collect::<Vec<_>>()}});
    let config = add(store, MediaType::ImageConfig, config.to_string().as_bytes());
    let layers: Vec<_> = layers.iter().map(|layer| add(store, MediaType::ImageLayer, layer)).collect();
    let mut manifest =
        json!({"schemaVersion": 2, "mediaType": MediaType::ImageManifest, "config": config, "layers": layers});
    if let Some(subject) = subject {
        manifest["subject"] = json!(subject);
    }
    add(store, MediaType::ImageManifest, manifest.to_string().as_bytes())
}

fn index(store: &Store, of: &[&Descriptor]) -> Descriptor {
    let text = json!({"schemaVersion": 2, "mediaType": MediaType::ImageIndex, "manifests": of}).to_string();
    add(store, MediaType::ImageIndex, text.as_bytes())
}

/// Makes all that the store has two days old.
fn age(store: &Store) {
    for directory in ["blobs/sha256", "blobs/sha512", ".rootfs-fetch/partial", ".rootfs-fetch/upload"] {
        for entry in fs::read_dir(store.root().join(directory)).into_iter().flatten() {
            let file = File::open(entry.expect("an entry").path()).expect("a file");
            file.set_modified(SystemTime::now() - 2 * GRACE).expect("a time");
        }
    }
}

fn listed(store: &Store, directory: &str) -> usize {
    fs::read_dir(store.root().join(directory)).map_or(0, Iterator::count)
}

fn faults(store: &Store) -> Vec<String> {
    store.verify().iter().map(ToString::to_string).collect()
}

fn is_mismatch(error: &StoreError) -> bool {
    matches!(error, StoreError::Mismatch { .. })
}

/// This test again, in a process of its own, with the store at `root`.
fn again(test: &str, root: &Path) -> Command {
    let mut command = Command::new(env::current_exe().expect("this test"));
    command.args([test, "--exact", "--nocapture"]).env(CHILD, root).stdin(Stdio::null());
    command
}

/// The store, in a process that was started by [`again`].
fn in_child() -> Option<Store> {
    env::var_os(CHILD).map(|root| Store::open(PathBuf::from(root)).expect("a store"))
}

fn wait(mut child: Child) {
    assert!(child.wait().expect("a child of ours").success());
}

#[test]
fn a_new_directory_becomes_a_layout() {
    let place = place();
    let store = open(&place);
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(store.root().join(name)).expect("a file")).expect("JSON")
    };
    assert_eq!(read("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}));
    assert_eq!(read("index.json")["schemaVersion"], 2);
    assert_eq!(read("index.json")["manifests"], json!([]));
    let digest = store.add(b"abc").expect("it can be written");
    let status = fs::read_to_string("/proc/self/status").expect("proc(5)");
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:")).expect("a umask").trim().to_owned();
    let umask = u32::from_str_radix(&umask, 8).expect("octal digits");
    let mode = |path: PathBuf| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    for name in ["oci-layout", "index.json"] {
        assert_eq!(mode(store.root().join(name)), 0o644 & !umask, "{name}");
    }
    assert_eq!(mode(store.path(&digest)), 0o644 & !umask);
    assert_eq!(mode(store.root().join("blobs/sha256")), 0o755 & !umask);
    assert!(open(&place).has(&digest), "opened again, it has what it had");
    assert_eq!(listed(&store, ".rootfs-fetch/writing"), 0);
}

#[test]
fn another_directory_is_refused_and_left_alone() {
    let place = place();
    let cases = [
        ("full", vec![("letters", "dear")], "letters"),
        ("newer", vec![("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#)], "2.0.0"),
        ("garbage", vec![("oci-layout", "no layout")], "oci-layout"),
        ("mixed", vec![("index.json", "{}"), ("Cargo.toml", "")], "Cargo.toml"),
    ];
    for (name, files, why) in cases {
        let root = place.path().join(name);
        fs::create_dir(&root).expect("a directory");
        for (file, text) in &files {
            fs::write(root.join(file), text).expect("a file");
        }
        let error = Store::open(&root).expect_err("it is no layout");
        assert!(matches!(error, StoreError::Layout { .. }) && error.to_string().contains(why), "{error}");
        assert_eq!(fs::read_dir(&root).expect("a directory").count(), files.len(), "{name}");
    }
}

#[test]
fn a_layout_that_was_begun_is_finished() {
    let place = place();
    let store = open(&place);
    let named = image(&store, &[bytes(10, 1)], None);
    store.tag("kept", &named).expect("a name");
    for missing in ["oci-layout", "blobs/sha512", ".rootfs-fetch"] {
        let path = store.root().join(missing);
        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir_all(&path);
        assert_eq!(open(&place).names().expect("names").len(), 1, "without {missing}");
        assert!(place.path().join("store/oci-layout").exists());
    }
    fs::remove_file(store.root().join("index.json")).expect("a file");
    assert_eq!(open(&place).names().expect("names").len(), 0);
}

/// An image that somebody sends may have any links in its layout.
#[test]
fn a_store_does_not_follow_links_out_of_itself() {
    let place = place();
    let store = open(&place);
    let theirs = place.path().join("theirs");
    for directory in ["sha256", "writing", "partial", "upload"] {
        fs::create_dir_all(theirs.join(directory)).expect("directories");
        fs::write(theirs.join(directory).join(digest_of(b"dear").digest()), "dear").expect("a letter");
    }
    let link = |name: &str, to: &Path| {
        let at = store.root().join(name);
        let _ = fs::remove_dir_all(&at);
        symlink(to, &at).expect("a link");
        at
    };
    for name in ["writing", "partial", "upload"] {
        store.add(name.as_bytes()).expect("space");
        let at = link(&format!(".rootfs-fetch/{name}"), &theirs.join(name));
        assert!(matches!(store.gc_older_than(Duration::ZERO), Err(StoreError::NotADirectory(path)) if path == at));
        fs::remove_file(at).expect("a link");
    }
    let at = link(".rootfs-fetch", &theirs);
    assert!(matches!(store.add(b"abc"), Err(StoreError::NotADirectory(path)) if path == at));
    fs::remove_file(at).expect("a link");
    let at = link("blobs/sha512", &theirs.join("sha256"));
    assert!(matches!(store.add_as(b"abc", &sha512(b"abc")), Err(StoreError::NotADirectory(path)) if path == at));
    for (name, to) in [("blobs/sha256", theirs.join("sha256")), ("blobs", theirs.clone())] {
        let at = link(name, &to);
        assert!(matches!(Store::open(store.root()), Err(StoreError::NotADirectory(path)) if path == at));
    }
    for directory in ["sha256", "writing", "partial", "upload"] {
        assert_eq!(fs::read_dir(theirs.join(directory)).expect("a directory").count(), 1, "{directory}");
    }
}

#[test]
fn bytes_are_found_by_their_digest() {
    let place = place();
    let store = open(&place);
    let digest = store.add(b"abc").expect("it can be written");
    assert_eq!(digest.to_string(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(store.size(&digest), Some(3));
    let mut read = String::new();
    store.blob(&digest).expect("a blob").read_to_string(&mut read).expect("its bytes");
    assert_eq!(read, "abc");
    assert_eq!(store.add(b"abc").expect("it is there"), digest);
    let long = sha512(b"abc");
    store.add_as(b"abc", &long).expect("it can be written");
    assert!(store.has(&long) && store.path(&long).starts_with(store.root().join("blobs/sha512")));
    let other = digest_of(b"other");
    assert!(is_mismatch(&store.add_as(b"abc", &other).expect_err("other bytes")));
    assert!(!store.has(&other));
    assert!(matches!(store.blob(&other), Err(StoreError::NoBlob(digest)) if digest == other));
    let unknown: Digest = format!("sha384:{}", "0".repeat(96)).parse().expect("a digest");
    for error in
        [store.add_as(b"abc", &unknown).expect_err("unknown"), store.partial(&unknown, 3).expect_err("unknown")]
    {
        assert!(matches!(error, StoreError::Mismatch { why: Mismatch::Algorithm(_), .. }), "{error}");
    }
    assert_eq!(faults(&store), Vec::<String>::new());
}

#[test]
fn what_is_broken_on_the_disk_is_found_and_replaced() {
    let place = place();
    let store = open(&place);
    let manifest = image(&store, &[bytes(10, 1)], None);
    let (text, document) = store.document(manifest.digest()).expect("a manifest");
    assert!(matches!(document, Document::Manifest(_)) && digest_of(&text) == *manifest.digest());
    let path = store.path(manifest.digest());
    let mut wrong = text.clone();
    wrong[20] ^= 1;
    for broken in [wrong, text[1..].to_vec(), Vec::new(), [&*text, b" "].concat()] {
        fs::write(&path, broken).expect("a broken blob");
        assert!(is_mismatch(&store.document(manifest.digest()).expect_err("other bytes")));
        assert!(faults(&store).iter().any(|fault| fault.contains(manifest.digest().digest())), "{:?}", faults(&store));
        store.add(&text).expect("it is replaced");
        assert_eq!(faults(&store), Vec::<String>::new());
    }
    // Another's file, which a link would lead to.
    fs::write(place.path().join("theirs"), &text).expect("a file");
    fs::remove_file(&path).expect("a blob");
    symlink(place.path().join("theirs"), &path).expect("a link");
    assert!(!store.has(manifest.digest()));
    assert!(matches!(store.blob(manifest.digest()), Err(StoreError::NotAFile(_))));
    assert_eq!(faults(&store).len(), 1);
    store.add(&text).expect("the link is replaced");
    assert!(store.has(manifest.digest()) && fs::symlink_metadata(&path).expect("a blob").is_file());
    // To open a FIFO waits until another does.
    fs::remove_file(&path).expect("a blob");
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
    assert!(!store.has(manifest.digest()));
    assert!(store.remove(manifest.digest()).expect("it can be removed"));
    assert!(!store.remove(manifest.digest()).expect("there is nothing"));
    fs::write(store.root().join("blobs/sha256/letter"), "dear").expect("a file");
    assert!(faults(&store).iter().any(|fault| fault.contains("letter")));
    let large = store.add(&vec![b' '; (4 << 20) + 1]).expect("it can be written");
    assert!(matches!(store.document(&large), Err(StoreError::Document { .. })));
    assert!(matches!(store.document(&store.add(b"{}").expect("bytes")), Err(StoreError::Document { .. })));
}

#[test]
fn a_download_goes_on_where_it_stopped() {
    let place = place();
    let store = open(&place);
    let content = bytes(300_000, 1);
    let size = content.len() as u64;
    for digest in [digest_of(&content), sha512(&content)] {
        let mut partial = store.partial(&digest, size).expect("a download");
        assert_eq!((partial.position(), partial.size()), (0, size));
        partial.append(&content[..100_000]).expect("space");
        drop(partial);
        assert!(!store.has(&digest), "half of it is not it");
        let mut partial = store.partial(&digest, size).expect("a download");
        assert_eq!(partial.position(), 100_000);
        partial.append(&content[100_000..200_000]).expect("space");
        let short = partial.finish().expect_err("bytes are missing");
        assert!(matches!(short, StoreError::Mismatch { why: Mismatch::Short { found: 200_000, .. }, .. }), "{short}");
        let mut partial = store.partial(&digest, size).expect("what is missing is no reason to begin anew");
        assert_eq!(partial.position(), 200_000);
        partial.write_all(&content[200_000..]).expect("space");
        partial.finish().expect("all bytes are there");
        assert!(store.has(&digest));
        let mut there = store.partial(&digest, size).expect("nothing to download");
        assert_eq!(there.position(), size);
        assert!(is_mismatch(&there.append(b"more").expect_err("more than all")));
        there.finish().expect("it is there");
    }
    assert_eq!((faults(&store), listed(&store, ".rootfs-fetch/partial")), (Vec::new(), 0));
}

#[test]
fn a_download_that_is_wrong_is_taken_away() {
    let place = place();
    let store = open(&place);
    let content = bytes(1000, 1);
    let (digest, size) = (digest_of(&content), 1000);
    let file = store.root().join(".rootfs-fetch/partial").join(format!("sha256-{}", digest.digest()));
    let begin = || store.partial(&digest, size).expect("a download");
    let whole = |mut partial: Partial| {
        let position = partial.position() as usize;
        partial.append(&content[position..])?;
        partial.finish()
    };
    // What an earlier process left was changed by the disk.
    begin().append(&content[..500]).expect("space");
    fs::write(&file, bytes(500, 2)).expect("a broken file");
    assert!(is_mismatch(&whole(begin()).expect_err("other bytes")));
    assert!(!store.has(&digest) && !file.exists());
    let error = begin().append(&[0; 1001]).expect_err("more bytes than announced");
    assert!(matches!(error, StoreError::Mismatch { why: Mismatch::Long(1000), .. }), "{error}");
    // More bytes than there can be are none.
    fs::write(&file, bytes(1001, 1)).expect("a longer file");
    assert_eq!(begin().position(), 0);
    begin().append(&content[..10]).expect("space");
    begin().abandon().expect("it can be removed");
    assert!(!file.exists());
    // A link would have us write elsewhere.
    symlink(place.path().join("elsewhere"), &file).expect("a link");
    assert!(matches!(store.partial(&digest, size), Err(StoreError::NotAFile(_))));
    assert!(!place.path().join("elsewhere").exists());
    fs::remove_file(&file).expect("a link");
    whole(begin()).expect("the right bytes");
    assert_eq!(faults(&store), Vec::<String>::new());
}

#[test]
fn who_comes_second_waits_for_the_first() {
    let place = place();
    let store = open(&place);
    let content = bytes(100_000, 1);
    let (digest, size) = (digest_of(&content), content.len() as u64);
    let mut first = store.partial(&digest, size).expect("a download");
    first.append(&content[..10]).expect("space");
    let hurried = store.clone().patience(Duration::from_millis(30));
    let error = hurried.partial(&digest, size).expect_err("the first does not move");
    assert!(matches!(error, StoreError::Busy { .. }), "{error}");
    thread::scope(|scope| {
        let second = scope.spawn(|| store.partial(&digest, size).expect("it waits").position());
        for chunk in content[10..].chunks(3000) {
            first.append(chunk).expect("space");
            thread::sleep(Duration::from_millis(1));
        }
        first.finish().expect("all bytes are there");
        assert_eq!(second.join().expect("a thread"), size, "it finds the blob");
    });
    assert_eq!(listed(&store, ".rootfs-fetch/partial"), 0);
    // The first gives up; the second begins.
    store.remove(&digest).expect("it can be removed");
    let first = store.partial(&digest, size).expect("a download");
    thread::scope(|scope| {
        let second = scope.spawn(|| store.partial(&digest, size).expect("it waits").append(&content));
        thread::sleep(Duration::from_millis(20));
        first.abandon().expect("it can be removed");
        second.join().expect("a thread").expect("space");
    });
    assert_eq!(store.partial(&digest, size).expect("a download").position(), size);
}

#[test]
fn who_goes_on_is_waited_for_longer_than_who_does_not() {
    let place = place();
    let store = open(&place);
    let content = bytes(10_000, 1);
    let digest = digest_of(&content);
    // A busy machine may stop the first for a while: then it is tried once more with more patience.
    let waited = [300, 1500, 7500].map(Duration::from_millis).into_iter().any(|patience| {
        store.remove(&digest).expect("it can be removed");
        let mut first = store.partial(&digest, 10_000).expect("a download");
        let hurried = store.clone().patience(patience);
        thread::scope(|scope| {
            let second = scope.spawn(|| hurried.partial(&digest, 10_000));
            for chunk in content.chunks(100) {
                first.append(chunk).expect("space");
                thread::sleep(patience / 60);
            }
            first.finish().expect("all bytes are there");
            second.join().expect("a thread").is_ok_and(|second| second.position() == 10_000)
        })
    });
    assert!(waited, "the first was busy all the time");
}

#[test]
fn a_wait_ends_when_it_is_given_up() {
    let place = place();
    let store = open(&place);
    let content = bytes(1000, 1);
    let digest = digest_of(&content);
    let first = store.partial(&digest, 1000).expect("a download");
    let (over, begun) = (Arc::new(AtomicBool::new(true)), Instant::now());
    let second = store.clone().until(Arc::default()).until(Arc::clone(&over));
    assert!(matches!(second.partial(&digest, 1000), Err(StoreError::GivenUp(_))));
    assert!(begun.elapsed() < DEADLINE / 2, "that is what it would wait for the first");
    drop(first);
    let mut partial = second.partial(&digest, 1000).expect("what is free is not waited for");
    partial.append(&content).expect("space");
    partial.finish().expect("all bytes are there");
    assert!(second.has(&digest));
}

#[test]
fn an_upload_is_found_by_its_id() {
    let place = place();
    let store = open(&place);
    let content = bytes(1000, 1);
    let mut upload = store.upload().expect("an upload");
    let id = upload.id().to_owned();
    upload.append(&content[..400]).expect("space");
    drop(upload);
    assert_eq!(store.uploads().expect("a list"), [id.as_str()]);
    let mut upload = Upload::open(&store, &id).expect("it goes on");
    assert_eq!(upload.position(), 400);
    let hurried = store.clone().patience(Duration::from_millis(20));
    assert!(matches!(Upload::open(&hurried, &id), Err(StoreError::Busy { .. })), "one at a time");
    upload.append(&content[400..]).expect("space");
    upload.finish(&sha512(&content)).expect("the right bytes");
    assert!(store.has(&sha512(&content)));
    let mut upload = store.upload().expect("an upload");
    upload.append(&content).expect("space");
    assert!(is_mismatch(&upload.finish(&digest_of(b"other")).expect_err("other bytes")));
    store.upload().expect("an upload").cancel().expect("it can be removed");
    assert!(store.uploads().expect("a list").is_empty());
    for id in [id.as_str(), "../../index.json", "", "00000000000000zz"] {
        assert!(matches!(Upload::open(&store, id), Err(StoreError::NoUpload(_))), "{id}");
    }
    assert_eq!(faults(&store), Vec::<String>::new());
}

#[test]
fn names_come_and_go_and_those_of_others_stay() {
    let place = place();
    let store = open(&place);
    let (one, two) = (image(&store, &[bytes(10, 1)], None), image(&store, &[bytes(10, 2)], None));
    let theirs = r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json", "digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":7,"later":{"a":1.50},"annotations":{"x":"y"}}"#;
    let text = format!(r#"{{"schemaVersion":2,"manifests":[{theirs}],"annotations":{{"k":"v"}},"later":1e2}}"#);
    fs::write(store.root().join("index.json"), text).expect("an index of others");
    store.tag("localhost:5000/a/b:1", &one).expect("a name");
    store.tag("b", &one).expect("a name");
    store.tag("b", &two).expect("another with that name");
    let text = fs::read_to_string(store.root().join("index.json")).expect("an index");
    for kept in [theirs, r#""annotations":{"k":"v"}"#, r#""later":1e2"#] {
        assert!(text.contains(kept), "{kept} is not in {text}");
    }
    let names: Vec<_> =
        store.names().expect("names").into_iter().map(|(name, of)| (name, of.digest().clone())).collect();
    assert_eq!(names, [("b".into(), two.digest().clone()), ("localhost:5000/a/b:1".into(), one.digest().clone())]);
    assert_eq!(store.resolve("b").expect("an index").expect("a name").size(), two.size());
    assert!(store.untag("b").expect("an index") && !store.untag("b").expect("an index"));
    assert_eq!(store.resolve("b").expect("an index"), None);
    assert!(store.has(two.digest()), "only gc takes blobs away");
    for name in ["", "a b", "/a", "a\n", &"a".repeat(1025)] {
        assert!(matches!(store.tag(name, &one), Err(StoreError::Name { .. })), "{name:?}");
    }
    let missing = Descriptor::new(MediaType::ImageManifest, 3, digest_of(b"abc"));
    assert!(matches!(store.tag("c", &missing), Err(StoreError::NoBlob(_))));
    for empty in [r#"{"schemaVersion":2,"manifests":null}"#, r#"{"schemaVersion":2}"#] {
        fs::write(store.root().join("index.json"), empty).expect("an index");
        store.tag("c", &one).expect("a name");
        assert_eq!(store.names().expect("names").len(), 1, "{empty}");
    }
    for broken in ["", "[]", r#"{"schemaVersion":1,"manifests":[]}"#, r#"{"schemaVersion":2,"manifests":[{}]}"#] {
        fs::write(store.root().join("index.json"), broken).expect("a broken index");
        assert!(matches!(store.tag("c", &one), Err(StoreError::Index { .. })), "{broken}");
        assert!(matches!(store.names(), Err(StoreError::Index { .. })), "{broken}");
        assert!(matches!(store.gc_older_than(Duration::ZERO), Err(StoreError::Index { .. })), "{broken}");
        assert_eq!(fs::read_to_string(store.root().join("index.json")).expect("an index"), broken);
    }
    assert!(store.has(two.digest()), "nothing is taken away where nobody knows what is named");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever an index has become, it is either kept and added to, or refused and left as it is.
    #[test]
    fn any_index_is_added_to_or_refused(changes in collection::vec((any::<Index>(), any::<u8>()), 1..4)) {
        let place = place();
        let store = open(&place);
        let one = image(&store, &[bytes(10, 1)], None);
        store.tag("a", &one).expect("a name");
        let path = store.root().join("index.json");
        let mut text = fs::read(&path).expect("an index");
        for (at, byte) in changes {
            let at = at.index(text.len());
            text[at] = byte;
        }
        fs::write(&path, &text).expect("a file");
        match store.tag("b", &one) {
            Ok(()) => prop_assert!(store.resolve("b").expect("an index").is_some_and(|it| it.digest() == one.digest())),
            Err(_) => prop_assert_eq!(fs::read(&path).expect("an index"), text),
        }
    }
}

#[test]
fn gc_takes_what_no_name_reaches() {
    let place = place();
    let store = open(&place);
    let named = image(&store, &[bytes(10, 1), bytes(10, 2)], None);
    let inner = index(&store, &[&image(&store, &[bytes(10, 3)], None)]);
    let outer = index(&store, &[&inner]);
    let signature = image(&store, &[bytes(10, 4)], Some(&named));
    let of_signature = image(&store, &[bytes(10, 5)], Some(&signature));
    let unnamed = image(&store, &[bytes(10, 1), bytes(10, 6)], None);
    let of_unnamed = image(&store, &[bytes(10, 7)], Some(&unnamed));
    let loose = sha512(b"loose");
    store.add_as(b"loose", &loose).expect("space");
    store.tag("image", &named).expect("a name");
    store.tag("index", &outer).expect("a name");
    let before = listed(&store, "blobs/sha256");
    assert_eq!(store.gc().expect("gc"), Collected::default(), "all of it is young");
    age(&store);
    let collected = store.gc().expect("gc");
    // The manifest, the configuration and the layer of each of the two, and one of another digest; a shared layer stays.
    assert_eq!((collected.blobs, listed(&store, "blobs/sha256")), (7, before - 6), "{collected:?}");
    for kept in [&named, &inner, &outer, &signature, &of_signature] {
        let (_, document) = store.document(kept.digest()).expect("it stays");
        if let Document::Manifest(manifest) = document {
            assert!(manifest.layers().iter().chain([manifest.config()]).all(|part| store.has(part.digest())));
        }
    }
    assert!(!store.has(unnamed.digest()) && !store.has(of_unnamed.digest()) && !store.has(&loose));
    assert!(!store.root().join("blobs/sha512").exists(), "it was empty");
    for name in ["image", "index"] {
        assert!(store.untag(name).expect("an index"));
    }
    // A clock that was set back makes no blob immortal.
    let later = store.blob(&store.add(b"later").expect("space")).expect("a blob");
    later.set_modified(SystemTime::now() + GRACE).expect("a time");
    store.gc_older_than(Duration::ZERO).expect("gc");
    assert_eq!((listed(&store, "blobs/sha256"), store.root().join("blobs/sha256").exists()), (0, true));
}

#[test]
fn gc_spares_what_was_asked_for_and_what_that_reaches() {
    let place = place();
    let store = open(&place);
    let (asked, other) = (image(&store, &[bytes(10, 1)], None), image(&store, &[bytes(10, 2)], None));
    let layer = store.add(&bytes(10, 3)).expect("space");
    age(&store);
    // One who pulls finds the manifest and a layer, and gives the name later.
    assert!(store.has(asked.digest()) && store.size(&layer).is_some());
    assert_eq!(store.gc().expect("gc").blobs, 3, "the other image");
    assert!(!store.has(other.digest()) && store.has(&layer));
    store.tag("asked", &asked).expect("it is there");
    let (_, Document::Manifest(manifest)) = store.document(asked.digest()).expect("a manifest") else { panic!() };
    assert!(store.has(manifest.config().digest()) && store.has(manifest.layers()[0].digest()));
}

#[test]
fn gc_takes_nothing_where_it_can_not_read_a_document() {
    let place = place();
    let store = open(&place);
    let named = image(&store, &[bytes(10, 1)], None);
    let loose = store.add(b"loose").expect("space");
    store.tag("named", &named).expect("a name");
    let mut wrong = fs::read(store.path(named.digest())).expect("a manifest");
    wrong[20] ^= 1;
    fs::write(store.path(named.digest()), wrong).expect("a broken manifest");
    assert!(is_mismatch(&store.gc_older_than(Duration::ZERO).expect_err("its layers are not known")));
    assert!(store.has(&loose));
    // One that was never pulled, as of other platforms, reaches nothing.
    store.remove(named.digest()).expect("it can be removed");
    store.gc_older_than(Duration::ZERO).expect("gc");
    assert!(!store.has(&loose));
}

/// No bytes have a digest that is in them; a disk may have such a file all the same.
#[test]
fn an_index_that_contains_itself_ends() {
    let place = place();
    let store = open(&place);
    let outer = index(&store, &[]);
    let text = json!({"schemaVersion": 2, "mediaType": MediaType::ImageIndex, "manifests": [&outer]}).to_string();
    store.tag("circle", &outer).expect("a name");
    fs::write(store.path(outer.digest()), text).expect("a broken index");
    assert!(is_mismatch(&store.gc().expect_err("its digest is another")));
    // One circle can be: an index of a manifest that is its subject too, so that each leads to the other.
    let store = Store::open(place.path().join("other")).expect("a store");
    let subject = image(&store, &[bytes(10, 1)], None);
    let text = json!({"schemaVersion": 2, "mediaType": MediaType::ImageIndex, "manifests": [&subject, &subject],
        "subject": subject});
    let both = add(&store, MediaType::ImageIndex, text.to_string().as_bytes());
    store.tag("a", &both).expect("a name");
    store.tag("b", &subject).expect("a name");
    assert_eq!(store.gc_older_than(Duration::ZERO).expect("gc"), Collected::default());
}

#[test]
fn gc_takes_downloads_that_nobody_goes_on_with() {
    let place = place();
    let store = open(&place);
    let begin = |seed| store.partial(&digest_of(&bytes(10, seed)), 10).expect("a download");
    begin(1).append(b"given up").expect("space");
    store.upload().expect("an upload").append(b"given up").expect("space");
    let (mut going_on, upload) = (begin(2), store.upload().expect("an upload"));
    fs::write(store.root().join(".rootfs-fetch/writing/left"), "by one who was killed").expect("a file");
    age(&store);
    begin(3).append(b"young").expect("space");
    let collected = store.gc().expect("gc");
    assert_eq!((collected.unfinished, collected.bytes, collected.blobs), (2, 16, 0), "{collected:?}");
    assert_eq!(listed(&store, ".rootfs-fetch/writing"), 0);
    assert_eq!(store.uploads().expect("a list"), [upload.id()]);
    assert_eq!(begin(3).position(), 5);
    going_on.append(&bytes(10, 2)).expect("space");
    going_on.finish().expect("nobody took it away");
}

/// Whoever was told that a blob is there finds it there, whatever others clear meanwhile.
#[test]
fn what_the_store_says_it_has_is_there_while_others_clear() {
    let place = place();
    let store = open(&place);
    let begun = Instant::now();
    let (cleared, told) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let going_on = || {
        assert!(begun.elapsed() < DEADLINE, "no race: {cleared:?} cleared, {told:?} told");
        cleared.load(Relaxed) < 50 || told.load(Relaxed) < 50
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            while going_on() {
                cleared.fetch_add(store.gc_older_than(GRACE).expect("gc").blobs, Relaxed);
            }
        });
        let digest = store.add(b"shared").expect("space");
        while going_on() {
            let _ = File::open(store.path(&digest)).map(|blob| blob.set_modified(SystemTime::now() - 2 * GRACE));
            if store.has(&digest) {
                told.fetch_add(1, Relaxed);
                assert!(store.blob(&digest).is_ok(), "it was said to be there");
            } else {
                store.add(b"shared").expect("space");
            }
        }
    });
}

/// Several processes add the same blobs, download the same blob, and change the names, while one clears.
#[test]
fn many_processes_lose_nothing() {
    const PROCESSES: usize = 4;
    const NAMES: usize = 12;
    let content = bytes(500_000, 9);
    let (digest, size) = (digest_of(&content), content.len() as u64);
    if let Some(store) = in_child() {
        let pid = std::process::id();
        for number in 0..NAMES {
            let image = image(&store, &[bytes(5000, number)], None);
            store.tag(&format!("p{pid}-{number}"), &image).expect("a name");
            store.tag(&format!("p{pid}-gone"), &image).expect("a name");
            assert!(store.untag(&format!("p{pid}-gone")).expect("an index"));
        }
        let mut partial = store.partial(&digest, size).expect("a download");
        let position = partial.position() as usize;
        for chunk in content[position..].chunks(10_000) {
            partial.append(chunk).expect("space");
        }
        return partial.finish().expect("the right bytes");
    }
    let place = place();
    let root = place.path().join("store");
    let start = |_| again("many_processes_lose_nothing", &root).stdout(Stdio::null()).spawn().expect("a child");
    // None of them finds a layout: they make it at once.
    let children: Vec<Child> = (0..PROCESSES).map(start).collect();
    let store = Store::open(&root).expect("a store");
    for child in children {
        store.gc().expect("gc");
        wait(child);
    }
    assert_eq!(store.names().expect("names").len(), PROCESSES * NAMES);
    assert!(store.has(&digest));
    assert_eq!(faults(&store), Vec::<String>::new());
    for unfinished in ["partial", "writing", "upload"] {
        assert_eq!(listed(&store, &format!(".rootfs-fetch/{unfinished}")), 0, "{unfinished}");
    }
}

#[test]
fn a_download_goes_on_after_kill_9() {
    let content = bytes(4_000_000, 3);
    let (digest, size) = (digest_of(&content), content.len() as u64);
    if let Some(store) = in_child() {
        let mut partial = store.partial(&digest, size).expect("a download");
        println!("\nfrom {}", partial.position());
        let position = partial.position() as usize;
        for chunk in content[position..].chunks(1000) {
            partial.append(chunk).expect("space");
            thread::sleep(Duration::from_micros(200));
        }
        panic!("nobody killed it");
    }
    let place = place();
    let store = open(&place);
    let mut last = 0;
    for _ in 0..3 {
        let mut child =
            again("a_download_goes_on_after_kill_9", store.root()).stdout(Stdio::piped()).spawn().expect("a child");
        let said = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let from = said.map_while(Result::ok).find_map(|line| line.strip_prefix("from ").map(str::to_owned));
        assert_eq!(from.expect("it begins").parse(), Ok(last), "it goes on where the one before it was killed");
        let file = store.root().join(".rootfs-fetch/partial").join(format!("sha256-{}", digest.digest()));
        let length = || fs::metadata(&file).map_or(0, |metadata| metadata.len());
        let begun = Instant::now();
        while length() < last + 50_000 {
            assert!(begun.elapsed() < DEADLINE, "nothing is written");
            thread::sleep(Duration::from_millis(1));
        }
        child.kill().expect("a child of ours");
        child.wait().expect("a child of ours");
        last = length();
        assert!(last < size && !store.has(&digest));
    }
    let mut partial = store.partial(&digest, size).expect("nobody holds the lock of one who was killed");
    assert_eq!(partial.position(), last);
    partial.append(&content[last as usize..]).expect("space");
    partial.finish().expect("all bytes are there, and right");
    assert_eq!((store.size(&digest), faults(&store)), (Some(size), Vec::new()));
}

#[test]
fn kill_9_at_any_moment_leaves_a_store() {
    if let Some(store) = in_child() {
        println!("\nbegun");
        for number in 0.. {
            let image = image(&store, &[bytes(20_000, number)], None);
            store.tag(&format!("n{}", number % 5), &image).expect("a name");
            let mut upload = store.upload().expect("an upload");
            upload.append(&bytes(20_000, number + 1)).expect("space");
            upload.finish(&digest_of(&bytes(20_000, number + 1))).expect("the right bytes");
        }
    }
    let place = place();
    let store = open(&place);
    let begun = Instant::now();
    let mut round = 0;
    // Until some came after a name too, however slow the disk is.
    while round < 8 || store.names().expect("an index that is whole").is_empty() {
        assert!(begun.elapsed() < DEADLINE, "every kill came before the first name");
        round += 1;
        let mut child = again("kill_9_at_any_moment_leaves_a_store", store.root());
        let mut child = child.stdout(Stdio::piped()).spawn().expect("a child");
        let mut said = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        assert!(said.any(|line| line == "begun"));
        thread::sleep(Duration::from_millis(5 + 7 * round));
        child.kill().expect("a child of ours");
        child.wait().expect("a child of ours");
        let store = Store::open(store.root()).expect("a store").patience(Duration::from_secs(1));
        assert_eq!(faults(&store), Vec::<String>::new(), "round {round}");
        for (name, descriptor) in store.names().expect("an index that is whole") {
            let (_, Document::Manifest(manifest)) = store.document(descriptor.digest()).expect("a manifest") else {
                panic!()
            };
            assert!(store.has(manifest.config().digest()) && store.has(manifest.layers()[0].digest()), "{name}");
        }
    }
    store.gc_older_than(Duration::ZERO).expect("nobody holds the lock of one who was killed");
    assert_eq!((listed(&store, ".rootfs-fetch/writing"), listed(&store, ".rootfs-fetch/upload")), (0, 0));
}

/// Runs this test again in a mount namespace of its own where `mount` was done before; nothing where that is not permitted.
fn with_mount(test: &str, root: &Path, mount: &str) -> bool {
    let namespace = match rustix::process::geteuid().is_root() {
        true => "-m",
        false => "-rm",
    };
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args([namespace, "sh", "-c", script, "sh"]).arg(root).stdin(Stdio::null());
        command
    };
    let tried = match unshare(mount).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("unshare: {error}")),
    };
    if let Err(why) = tried {
        skip(&format!("store::{test}"), &why);
        return false;
    }
    let mut command = unshare(&format!("{mount} && exec \"$2\" \"$3\" --exact --nocapture"));
    command.arg(env::current_exe().expect("this test")).arg(test).env(CHILD, root);
    let output = command.output().expect("unshare");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    true
}

#[test]
fn a_full_disk_is_told_and_the_store_is_valid() {
    const TEST: &str = "a_full_disk_is_told_and_the_store_is_valid";
    let full = |error: &StoreError| error.to_string().contains("No space left on device");
    if let Some(store) = in_child() {
        let named = image(&store, &[bytes(10_000, 1)], None);
        store.tag("named", &named).expect("a name");
        let content = bytes(2 << 20, 2);
        let (digest, size) = (digest_of(&content), content.len() as u64);
        let mut partial = store.partial(&digest, size).expect("a download");
        let error = content.chunks(10_000).find_map(|chunk| partial.append(chunk).err()).expect("the disk is smaller");
        assert!(full(&error), "{error}");
        let position = partial.position();
        assert!(position > 0 && position < size);
        drop(partial);
        let mut upload = store.upload().expect("a file without bytes");
        assert!(full(&upload.append(&bytes(10_000, 3)).expect_err("the disk is full")));
        upload.cancel().expect("it can be removed");
        for error in [store.add(&bytes(10_000, 4)).expect_err("full"), store.tag("more", &named).expect_err("full")] {
            assert!(full(&error), "{error}");
        }
        assert_eq!(faults(&store), Vec::<String>::new());
        assert_eq!(listed(&store, ".rootfs-fetch/writing"), 0);
        assert_eq!(store.names().expect("the index that was").len(), 1);
        let partial = store.partial(&digest, size).expect("what was written is kept");
        assert_eq!(partial.position(), position);
        partial.abandon().expect("it can be removed");
        return store.tag("more", &image(&store, &[bytes(10_000, 5)], None)).expect("there is space again");
    }
    let place = place();
    if with_mount(TEST, place.path(), "mount -t tmpfs -o size=1m store \"$1\"") {
        assert_eq!(fs::read_dir(place.path()).expect("a directory").count(), 0, "it was mounted there and not here");
    }
}

#[test]
fn a_read_only_store_can_be_read() {
    const TEST: &str = "a_read_only_store_can_be_read";
    let refused = |error: StoreError| error.to_string().contains("Read-only file system");
    if let Some(store) = in_child() {
        let named = store.resolve("named").expect("an index").expect("a name");
        store.document(named.digest()).expect("a manifest");
        assert!(store.has(named.digest()));
        assert_eq!((faults(&store), store.names().expect("an index").len()), (Vec::new(), 1));
        assert!(refused(store.add(b"abc").expect_err("read-only")));
        assert!(refused(store.tag("more", &named).expect_err("read-only")));
        assert!(refused(store.partial(&digest_of(b"abc"), 3).expect_err("read-only")));
        return assert!(refused(store.gc().expect_err("read-only")));
    }
    let place = place();
    let store = open(&place);
    store.tag("named", &image(&store, &[bytes(10, 1)], None)).expect("a name");
    // As another program makes it, without what is ours, and as we do.
    for _ in 0..2 {
        with_mount(TEST, store.root(), "mount --bind -o ro \"$1\" \"$1\"");
        let _ = fs::remove_dir_all(store.root().join(".rootfs-fetch"));
    }
}

/// Runs skopeo or umoci.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().expect("the program");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether a program is there; else the test is skipped.
fn installed(test: &str, program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        skip(&format!("store::{test}"), &format!("{program} is not installed"));
    }
    there
}

/// An empty tar archive, compressed: the least that is a layer.
fn empty_layer() -> (Vec<u8>, Digest) {
    let archive = [0; 1024];
    let mut layer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    layer.write_all(&archive).expect("memory");
    (layer.finish().expect("memory"), digest_of(&archive))
}

/// Puts an image in that others can take apart, and names it.
fn real_image(store: &Store, name: &str) -> Descriptor {
    let (layer, diff_id) = empty_layer();
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]}});
    let config = add(store, MediaType::ImageConfig, config.to_string().as_bytes());
    let layer = add(store, MediaType::ImageLayerGzip, &layer);
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MediaType::ImageManifest, "config": config, "layers": [layer]});
    let manifest = add(store, MediaType::ImageManifest, manifest.to_string().as_bytes());
    store.tag(name, &manifest).expect("a name");
    manifest
}

#[test]
fn skopeo_reads_and_writes_a_store() {
    if !installed("skopeo_reads_and_writes_a_store", "skopeo") {
        return;
    }
    let place = place();
    let store = open(&place);
    let manifest = real_image(&store, "made:1");
    let oci = |name: &str| format!("oci:{}:{name}", store.root().display());
    let told: Value = serde_json::from_str(&run("skopeo", &["inspect", &oci("made:1")])).expect("JSON");
    assert_eq!(told["Digest"], manifest.digest().to_string());
    let policy = "--insecure-policy";
    // Out of it, and from there into it.
    let other = format!("dir:{}", place.path().join("other").display());
    run("skopeo", &["copy", policy, &oci("made:1"), &other]);
    run("skopeo", &["copy", policy, &other, &oci("copied:2")]);
    let copied = store.resolve("copied:2").expect("an index").expect("skopeo's name");
    assert!(matches!(store.document(copied.digest()), Ok((_, Document::Manifest(_)))));
    store.tag("third", &manifest).expect("a name beside skopeo's");
    for name in ["made:1", "copied:2", "third"] {
        run("skopeo", &["inspect", &oci(name)]);
    }
    store.gc_older_than(Duration::ZERO).expect("gc");
    assert_eq!(faults(&store), Vec::<String>::new());
    // Into a layout that skopeo makes.
    let theirs = place.path().join("theirs");
    run("skopeo", &["copy", policy, &oci("copied:2"), &format!("oci:{}:first", theirs.display())]);
    let theirs = Store::open(theirs).expect("a layout");
    let first = theirs.resolve("first").expect("an index").expect("skopeo's name");
    theirs.tag("second", &first).expect("a name");
    assert_eq!((faults(&theirs), theirs.names().expect("names").len()), (Vec::new(), 2));
}

#[test]
fn umoci_reads_and_writes_a_store() {
    if !installed("umoci_reads_and_writes_a_store", "umoci") {
        return;
    }
    let place = place();
    let store = open(&place);
    real_image(&store, "made");
    let image = format!("{}:made", store.root().display());
    assert!(run("umoci", &["list", "--layout", &store.root().display().to_string()]).contains("made"));
    run("umoci", &["config", "--image", &image, "--tag", "changed", "--config.env", "A=b"]);
    let changed = store.resolve("changed").expect("an index").expect("umoci's name");
    assert!(matches!(store.document(changed.digest()), Ok((_, Document::Manifest(_)))));
    run("umoci", &["gc", "--layout", &store.root().display().to_string()]);
    assert_eq!((faults(&store), store.names().expect("an index").len()), (Vec::new(), 2));
    store.add(b"abc").expect("umoci left what is ours");
    let theirs = place.path().join("theirs").display().to_string();
    run("umoci", &["init", "--layout", &theirs]);
    real_image(&Store::open(&theirs).expect("a layout"), "first");
    assert!(run("umoci", &["list", "--layout", &theirs]).contains("first"));
}

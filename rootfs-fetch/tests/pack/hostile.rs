//! Trees that belong to somebody else.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rootfs_fetch::pack::{self, Options, PackError};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, mkdirat, open, openat, renameat_with};

use crate::lab::{Lab, plain, root, run};

#[test]
fn links_are_packed_and_not_followed() {
    let lab = Lab::new();
    let tree = lab.directory("tree");
    let outside = lab.directory("outside");
    fs::write(outside.join("secret"), "secret").expect("a file");
    symlink(&outside, tree.join("d")).expect("a link");
    symlink(outside.join("secret"), tree.join("f")).expect("a link");
    let layer = pack::tree(&lab.store, &tree, &plain()).expect("a layer");
    assert_eq!(lab.names(&layer), ["./", "d", "f"]);
    assert_eq!(layer.counts.bytes, 0);
    // A directory that became a link is one, and what was in it is gone with it.
    let lower = lab.directory("lower");
    fs::create_dir(lower.join("d")).expect("a directory");
    fs::write(lower.join("d/secret"), "").expect("a file");
    let layer = pack::diff(&lab.store, &lower, &tree, &plain()).expect("a layer");
    assert_eq!(lab.names(&layer), ["./", "d", "f"]);
}

/// Somebody puts a link to the outside in the place of a directory and back, as fast as they can.
#[test]
fn a_directory_that_becomes_a_link_meanwhile_leads_nowhere() {
    let lab = Lab::new();
    let tree = lab.directory("tree");
    let outside = lab.directory("outside");
    for at in [&tree.join("d"), &outside] {
        fs::create_dir_all(at).expect("a directory");
        for number in 0..40 {
            fs::write(at.join(number.to_string()), at.as_os_str().as_encoded_bytes()).expect("a file");
        }
    }
    symlink(&outside, tree.join("e")).expect("a link");
    let done = AtomicBool::new(false);
    let layers: Vec<_> = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                renameat_with(CWD, tree.join("d"), CWD, tree.join("e"), RenameFlags::EXCHANGE).expect("exchanged");
            }
        });
        let layers = (0..200).map(|_| pack::tree(&lab.store, &tree, &plain())).collect();
        done.store(true, Ordering::Relaxed);
        layers
    });
    let name = outside.as_os_str().as_encoded_bytes();
    for layer in layers {
        match layer {
            Ok(layer) => {
                let bytes = fs::read(lab.store.path(&layer.digest)).expect("a blob");
                // A link says it, and as it is moved perhaps twice; no file that is outside does.
                let said = bytes.windows(name.len()).filter(|window| *window == name).count();
                assert!(said <= 2, "{:?}", lab.names(&layer));
            }
            Err(error) => assert!(matches!(error, PackError::Changed { .. }), "{error}"),
        }
    }
}

/// Somebody writes to a file meanwhile.
#[test]
fn a_file_that_grows_meanwhile_is_told() {
    let lab = Lab::new();
    let tree = lab.directory("tree");
    let path = tree.join("f");
    fs::write(&path, vec![7; 1 << 20]).expect("a file");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let file = fs::OpenOptions::new().write(true).open(&path).expect("a file");
            for size in (1_u64 << 20..).take_while(|_| !done.load(Ordering::Relaxed)) {
                file.set_len(size).expect("a size");
            }
        });
        let told = (0..500).find_map(|_| pack::tree(&lab.store, &tree, &Options::default()).err());
        done.store(true, Ordering::Relaxed);
        let error = told.expect("a change that is seen");
        assert!(matches!(&error, PackError::Changed { path } if path.ends_with("f")), "{error}");
    });
}

#[test]
fn sockets_are_left_out_and_counted() {
    let lab = Lab::new();
    let [lower, upper] = ["lower", "upper"].map(|name| lab.directory(name));
    let _listener = UnixListener::bind(upper.join("socket")).expect("a socket");
    fs::write(lower.join("socket"), "a file").expect("a file");
    let _other = UnixListener::bind(lower.join("other")).expect("a socket");
    // Whatever the clock said: the roots differ.
    run(Command::new("chmod").arg("700").arg(&upper));
    let layer = pack::tree(&lab.store, &upper, &plain()).expect("a layer");
    assert_eq!((lab.names(&layer), layer.counts.sockets), (vec!["./".to_owned()], 1));
    // What the socket took the place of is gone; a socket that is gone was never in an image.
    let layer = pack::diff(&lab.store, &lower, &upper, &plain()).expect("a layer");
    assert_eq!(lab.names(&layer), ["./", ".wh.socket"]);
}

#[test]
fn files_that_readers_would_take_for_whiteouts_are_refused() {
    let lab = Lab::new();
    let [lower, upper] = ["lower", "upper"].map(|name| lab.directory(name));
    fs::write(lower.join(".wh..wh..opq"), "").expect("a file");
    for layer in [pack::tree(&lab.store, &lower, &plain()), pack::diff(&lab.store, &lower, &upper, &plain())] {
        assert!(matches!(layer, Err(PackError::Refused { .. })), "{layer:?}");
    }
}

#[test]
fn no_tree_is_too_deep_to_be_told_about() {
    let lab = Lab::new();
    let tree = lab.directory("tree");
    let deep = |name: &str, levels: usize| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = open(&tree, flags, Mode::empty()).expect("a directory");
        for _ in 0..levels {
            mkdirat(&at, name, Mode::RWXU).expect("a directory");
            at = openat(&at, name, flags, Mode::empty()).expect("a directory");
        }
    };
    deep("d", 500);
    let layer = pack::tree(&lab.store, &tree, &plain()).expect("a layer");
    assert_eq!(layer.counts.entries, 501);
    // 4095 bytes and no more make a path.
    deep(&"long".repeat(50), 30);
    let layer = pack::tree(&lab.store, &tree, &plain()).map(|layer| layer.counts);
    run(Command::new("rm").arg("-rf").arg(&tree));
    assert!(matches!(layer, Err(PackError::Refused { .. })), "{layer:?}");
}

#[test]
fn what_this_process_may_not_read_is_told() {
    let lab = Lab::new();
    let tree = lab.directory("tree");
    fs::write(tree.join("f"), "").expect("a file");
    run(Command::new("chmod").arg("000").arg(tree.join("f")));
    match pack::tree(&lab.store, &tree, &plain()) {
        Ok(_) => assert!(root()),
        Err(error) => {
            let error = error.to_string();
            assert!(!root() && error.contains("tree/f") && error.contains("Permission denied"), "{error}");
        }
    }
    assert!(matches!(pack::tree(&lab.store, Path::new("/none"), &plain()), Err(PackError::Io { .. })));
}

//! Directories for overlayfs: by themselves, and as the kernel shows them.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::process::Command;

use rootfs_fetch::layer::{LayerError, Target, Xattrs};
use rustix::fs::lgetxattr;

use crate::archive::{Entry, archive, directory, file, symlink, whiteout};
use crate::lab::{Lab, paths, root, xattrs};

fn trusted() -> bool {
    xattrs() == Xattrs::Trusted
}

fn opaque(lab: &Lab, path: &str) -> bool {
    let name = if trusted() { "trusted.overlay.opaque" } else { "user.overlay.opaque" };
    let mut value = [0; 8];
    lgetxattr(lab.path().join(path), name, &mut value[..]).is_ok_and(|length| &value[..length] == b"y")
}

fn hides(lab: &Lab, path: &str) -> bool {
    fs::symlink_metadata(lab.path().join(path))
        .is_ok_and(|found| found.file_type().is_char_device() && found.rdev() == 0)
}

#[test]
fn whiteouts_become_devices_and_opaque_directories_an_attribute() {
    let lab = Lab::new();
    let layer = archive([
        whiteout("d/.wh.x"),
        whiteout(".wh.both"),
        file("both", "this layer's"),
        file("first", "this layer's"),
        whiteout(".wh.first"),
        whiteout("o/.wh..wh..opq"),
        file("o/own", ""),
        // A directory is there, and that of lower layers is not: in each order.
        whiteout(".wh.new"),
        directory("new"),
        whiteout(".wh.implied"),
        file("implied/deep/f", ""),
        directory("late"),
        whiteout(".wh.late"),
        file("changed", ""),
        directory("changed"),
    ]);
    let (applied, _) = lab.bytes(&layer, &lab.overlay("overlay")).expect("a layer");
    assert!(hides(&lab, "overlay/d/x"));
    assert!(["o", "new", "implied", "late", "changed"].iter().all(|name| opaque(&lab, &format!("overlay/{name}"))));
    assert!(["d", "implied/deep"].iter().all(|name| !opaque(&lab, &format!("overlay/{name}"))));
    let all = paths(&lab.path().join("overlay"));
    assert_eq!(all.join(" "), "both changed d d/x first implied implied/deep implied/deep/f late new o o/own");
    assert_eq!(applied.counts.deleted, 0);
}

#[test]
fn a_directory_with_something_in_it_and_an_opaque_root_are_refused() {
    let lab = Lab::new();
    let target = lab.overlay("overlay");
    let root = lab.bytes(&archive([whiteout(".wh..wh..opq")]), &target);
    assert!(matches!(root, Err(LayerError::Refused { .. })), "{root:?}");
    lab.bytes(&archive([file("x", "")]), &target).expect("a layer");
    let again = lab.bytes(&archive([file("x", "")]), &target);
    assert!(matches!(again, Err(LayerError::Target { .. })), "{again:?}");
    let none = Target::Flat(lab.path().join("none"));
    assert!(matches!(lab.bytes(&[], &none), Err(LayerError::Target { .. })));
}

#[test]
fn what_is_below_a_file_of_a_lower_layer_is_refused() {
    let lab = Lab::new();
    lab.bytes(&archive([file("f", "")]), &lab.overlay("overlay-0")).expect("a layer");
    let above = lab.overlay_above("overlay-1", &["overlay-0".into()]);
    let error = lab.bytes(&archive([file("f/x", "")]), &above).expect_err("a file on the way");
    assert!(error.to_string().contains("Not a directory"), "{error}");
}

/// Images of a few layers.
fn images() -> Vec<Vec<Vec<Entry>>> {
    let base = vec![
        directory("a"),
        file("a/x", "base"),
        file("a/y", "base"),
        directory("a/sub").mode(0o751),
        file("a/sub/z", "base"),
        file("f", "base"),
        symlink("l", "a"),
        directory("tmp").mode(0o1777),
        file("implied/by/f", "base"),
    ];
    vec![
        vec![
            base.clone(),
            vec![directory("a"), whiteout("a/.wh.x"), file("a/new", "2")],
            vec![directory("a"), file("a/x", "3")],
        ],
        vec![
            base.clone(),
            vec![directory("a"), whiteout("a/.wh..wh..opq"), file("a/y", "2")],
            vec![directory("a").mode(0o700)],
        ],
        vec![base.clone(), vec![whiteout(".wh.a")], vec![directory("a"), file("a/again", "3")]],
        vec![
            base.clone(),
            vec![file("a", "a file"), directory("f"), file("f/x", "2")],
            vec![directory("a"), file("a/q", "3")],
        ],
        vec![base.clone(), vec![directory("a"), file("a/sub", "a file"), directory("a/sub"), file("a/sub/own", "2")]],
        vec![base.clone(), vec![whiteout(".wh.a"), directory("a"), directory("a/sub"), file("a/sub/own", "2")]],
        // Through what only lower layers have: directories with modes of their own, links, whiteouts, opaque directories.
        vec![
            base.clone(),
            vec![file("a/sub/own", "2"), file("tmp/own", "2")],
            vec![file("l/sub/third", "3"), whiteout("l/.wh.x")],
        ],
        vec![base.clone(), vec![whiteout(".wh.a")], vec![file("a/sub/own", "3")], vec![file("a/sub/fourth", "4")]],
        vec![
            base.clone(),
            vec![directory("a"), whiteout("a/.wh..wh..opq"), symlink("tmp", "a")],
            vec![file("a/sub/own", "3").mode(0o600), file("tmp/below/own", "3"), directory("a/sub/e").mode(0o711)],
        ],
        vec![base.clone(), vec![whiteout(".wh.a"), file("a/sub/own", "2"), symlink("k", "/l/sub"), file("k/p", "2")]],
        vec![base, vec![directory("a"), file("a/y", "2"), whiteout(".wh.a"), symlink("l", "f"), whiteout(".wh.none")]],
    ]
}

#[test]
fn the_kernel_shows_of_them_what_is_in_a_flat_directory() {
    let list = "find . -printf '%P %y %m %U:%G %s %l ' -a \\( -type f -exec cat {} \\; -o -true \\) -printf '\\n' | sed 's/ d \\([0-9]*\\) \\([0-9:]*\\) [0-9]* / d \\1 \\2 /' | sort";
    for (number, layers) in images().into_iter().enumerate() {
        let lab = Lab::new();
        let mut lower = Vec::new();
        for (layer, entries) in layers.into_iter().enumerate() {
            let bytes = archive(entries);
            let name = format!("overlay-{layer}");
            lab.bytes(&bytes, &lab.flat()).expect("a layer");
            lab.bytes(&bytes, &lab.overlay_above(&name, &lower)).expect("a layer for overlayfs");
            lower.insert(0, name);
        }
        let options = format!("lowerdir={}{}", lower.join(":"), if trusted() { "" } else { ",userxattr" });
        let script = format!(
            "(cd rootfs && {list}) >overlay-flat; mkdir overlay-view; \
             mount -t overlay -o {options} overlay overlay-view || exit 77; cd overlay-view && {list} | diff ../overlay-flat -"
        );
        let mut command = Command::new("unshare");
        command.args(if root() { &["--mount"][..] } else { &["--mount", "--map-root-user"] });
        // Both lists are made in the same namespaces, so that owners are the same.
        let output = command.args(["sh", "-c", &script]).current_dir(lab.path()).output().expect("unshare");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if output.status.code() == Some(77) || said.contains("unshare failed") {
            println!("SKIPPED overlayfs as an oracle: {}", said.trim());
            return;
        }
        assert!(output.status.success(), "image {number}: {said}");
    }
}

//! What a real overlayfs keeps in its upper directory, as a layer.

use std::fs;
use std::path::Path;
use std::process::Command;

use rootfs_fetch::image::{MediaType, here};
use rootfs_fetch::layer::{Layer, Target, Xattrs};
use rootfs_fetch::pack::{self, Compression, Format, ImageBuilder, Options, PackError};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, mknodat};

use crate::lab::{Lab, plain, root, tree};
use crate::round_trip::{apply, cases, ops};

/// Set where this program already is in a mount namespace of its own.
const INSIDE: &str = "HARDWAY_TEST_INSIDE";

/// The attributes that this process can set: as root of a user namespace, those of `user.` only.
fn xattrs() -> Xattrs {
    let ids = fs::read_to_string("/proc/self/uid_map").expect("the ids of this user namespace");
    if root() && ids.contains("4294967295") { Xattrs::Trusted } else { Xattrs::User }
}

/// Runs a test in a mount namespace of its own, and as root there.
fn inside(name: &str, test: impl Fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let mut command = Command::new("unshare");
    command.args(if root() { &["--mount"][..] } else { &["--mount", "--map-root-user"] });
    command.arg(std::env::current_exe().expect("this program")).args(["--exact", name, "--nocapture"]);
    let output = command.env(INSIDE, "1").output().expect("unshare");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare failed") || said.contains("SKIPPED") {
        println!("SKIPPED overlayfs: {}", said.trim());
        return;
    }
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Mounts an overlay of two directories at `view`, does something in it, and takes it away again.
fn mounted(lab: &Lab, options: &str, change: impl FnOnce(&Path)) -> bool {
    let [lower, upper, work, view] = ["lower", "upper", "work", "view"].map(|name| lab.path(name));
    let user = if xattrs() == Xattrs::User { ",userxattr" } else { "" };
    let (lower, upper, work) = (lower.display(), upper.display(), work.display());
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work},{options}{user}");
    let mut mount = Command::new("mount");
    let mounted = mount.args(["-t", "overlay", "-o", &options, "overlay"]).arg(&view).output().expect("mount");
    if !mounted.status.success() {
        println!("SKIPPED: {}", String::from_utf8_lossy(&mounted.stderr).trim());
        return false;
    }
    change(&view);
    assert!(Command::new("umount").arg(&view).status().expect("umount").success());
    true
}

fn overlay() -> Lab {
    let lab = Lab::new();
    for name in ["lower", "upper", "work", "view"] {
        lab.directory(name);
    }
    lab
}

#[test]
fn an_upper_directory_makes_of_the_lower_tree_what_the_kernel_shows() {
    inside("upper::an_upper_directory_makes_of_the_lower_tree_what_the_kernel_shows", || {
        cases(40, (ops(25), ops(20)), |before, after| {
            let lab = overlay();
            apply(&lab.path("lower"), before);
            let options = "redirect_dir=off,metacopy=off,index=off";
            let options = if xattrs() == Xattrs::Trusted { options } else { "index=off" };
            // Mounted again, the kernel has forgotten what it can not store: that a link was another before it got a second name.
            let show = |view: &Path| drop(lab.copy(view, "shown"));
            if !mounted(&lab, options, |view| apply(view, after)) || !mounted(&lab, options, show) {
                return;
            }
            let [upper, lower, shown] = ["upper", "lower", "shown"].map(|name| lab.path(name));
            let layer = pack::upper(&lab.store, &upper, xattrs(), &Options::default()).expect("a layer");
            lab.apply(&layer, &lower);
            assert_eq!(tree(&lower), tree(&shown));
            // And it becomes again the directory of overlayfs that it was, but for what that notes for itself.
            let directory = lab.directory("again");
            let target = Target::Overlay { directory: directory.clone(), xattrs: xattrs(), lower: Vec::new() };
            let blob = lab.store.blob(&layer.digest).expect("a blob");
            Layer::new(MediaType::ImageLayerGzip).apply(blob, &target, &mut |_| {}).expect("a layer for overlayfs");
            let again = pack::upper(&lab.store, &directory, xattrs(), &Options::default()).expect("a layer");
            assert_eq!(again.diff_id, layer.diff_id);
        });
    });
}

#[test]
fn what_is_left_in_a_lower_layer_is_refused() {
    inside("upper::what_is_left_in_a_lower_layer_is_refused", || {
        let lab = overlay();
        fs::create_dir(lab.path("lower/d")).expect("a directory");
        fs::write(lab.path("lower/f"), "contents").expect("a file");
        let [redirect, metacopy] = match xattrs() {
            Xattrs::Trusted => ["trusted.overlay.redirect", "trusted.overlay.metacopy"],
            Xattrs::User => ["user.overlay.redirect", "user.overlay.metacopy"],
        };
        let refused = |change: &dyn Fn(&Path)| {
            let upper = lab.path("upper");
            change(&upper);
            let layer = pack::upper(&lab.store, &upper, xattrs(), &plain());
            fs::remove_dir_all(&upper).expect("a directory");
            fs::create_dir(&upper).expect("a directory");
            assert!(matches!(layer, Err(PackError::Refused { .. })), "{layer:?}");
            layer.expect_err("refused").to_string()
        };
        // As the kernel leaves it where the mount allows it, which a user namespace's does not; else as it would.
        let error = if xattrs() == Xattrs::Trusted {
            refused(&|_| {
                let rename = |view: &Path| fs::rename(view.join("d"), view.join("e")).expect("renamed");
                assert!(mounted(&lab, "redirect_dir=on,metacopy=off", rename), "mounted");
            })
        } else {
            refused(&|upper| {
                fs::create_dir(upper.join("e")).expect("a directory");
                lsetxattr(upper.join("e"), redirect, b"d", XattrFlags::empty()).expect("an attribute");
            })
        };
        assert!(error.contains("redirect_dir=off"), "{error}");
        let error = refused(&|upper| {
            fs::write(upper.join("f"), "").expect("a file");
            lsetxattr(upper.join("f"), metacopy, b"", XattrFlags::empty()).expect("an attribute");
        });
        assert!(error.contains("metacopy=off"), "{error}");
    });
}

#[test]
fn a_commit_is_a_layer_with_what_was_changed_and_whiteouts() {
    inside("upper::a_commit_is_a_layer_with_what_was_changed_and_whiteouts", || {
        let lab = overlay();
        let lower = lab.path("lower");
        for directory in ["bin", "etc", "gone"] {
            fs::create_dir(lower.join(directory)).expect("a directory");
            fs::write(lower.join(directory).join("file"), directory).expect("a file");
        }
        let base = pack::tree(&lab.store, &lower, &Options::default()).expect("a layer");
        let base = ImageBuilder::new(&lab.store, &here()).layer(&base, "").write(Format::Oci).expect("an image");
        let image = lab.store.image(&base, &here()).expect("an image");
        let options = if xattrs() == Xattrs::Trusted { "redirect_dir=off,metacopy=off" } else { "index=off" };
        let done = mounted(&lab, options, |view| {
            fs::remove_file(view.join("bin/file")).expect("a file");
            fs::write(view.join("etc/file"), "changed").expect("a file");
            fs::remove_dir_all(view.join("gone")).expect("a directory");
            fs::create_dir(view.join("gone")).expect("a directory");
            fs::write(view.join("gone/new"), "new").expect("a file");
        });
        if !done {
            return;
        }
        let upper = lab.path("upper");
        let layer = pack::upper(&lab.store, &upper, xattrs(), &plain()).expect("a layer");
        let names = ["./", "bin/", "bin/.wh.file", "etc/", "etc/file", "gone/", "gone/.wh..wh..opq", "gone/new"];
        assert_eq!(lab.names(&layer), names);
        assert_eq!((layer.counts.entries, layer.counts.whiteouts, layer.counts.bytes), (8, 2, 10));
        let made = pack::commit(&lab.store, &image, (&upper, xattrs()), "RUN changes", &plain()).expect("an image");
        let made = lab.store.image(&made, &here()).expect("an image");
        assert_eq!(made.layers[1].diff_id, layer.diff_id);
        assert_eq!(made.layers[0], image.layers[0]);
    });
}

#[test]
fn what_is_mounted_in_a_tree_is_not_entered() {
    inside("upper::what_is_mounted_in_a_tree_is_not_entered", || {
        let lab = Lab::new();
        let tree = lab.directory("tree");
        let [outside, point] = [lab.directory("outside"), tree.join("point")];
        fs::write(outside.join("secret"), "secret").expect("a file");
        fs::create_dir(&point).expect("a directory");
        pack::tree(&lab.store, &tree, &plain()).expect("a layer");
        let mounted = Command::new("mount").arg("--bind").args([&outside, &point]).output().expect("mount");
        if !mounted.status.success() {
            println!("SKIPPED: {}", String::from_utf8_lossy(&mounted.stderr).trim());
            return;
        }
        let layer = pack::tree(&lab.store, &tree, &plain());
        assert!(Command::new("umount").arg(&point).status().expect("umount").success());
        let error = layer.expect_err("refused").to_string();
        assert!(error.contains("point") && error.contains("mounted"), "{error}");
    });
}

#[test]
fn attributes_that_can_not_be_read_are_not_taken_for_none() {
    let lab = Lab::new();
    let upper = lab.directory("upper");
    let trusted = pack::upper(&lab.store, &upper, Xattrs::Trusted, &plain());
    match xattrs() {
        Xattrs::Trusted => assert!(trusted.is_ok(), "{trusted:?}"),
        Xattrs::User => assert!(trusted.expect_err("refused").to_string().contains("CAP_SYS_ADMIN")),
    }
    assert!(pack::upper(&lab.store, &upper, Xattrs::User, &plain()).is_ok());
}

#[test]
fn a_whiteout_of_overlayfs_is_none_in_a_tree() {
    let lab = Lab::new();
    let upper = lab.directory("upper");
    // Since Linux 5.8 everybody may make this one.
    if let Err(error) = mknodat(CWD, upper.join("x"), FileType::CharacterDevice, Mode::empty(), 0) {
        println!("SKIPPED whiteouts of overlayfs: {error}");
        return;
    }
    let layer = pack::upper(&lab.store, &upper, xattrs(), &plain()).expect("a layer");
    assert_eq!(lab.names(&layer), ["./", ".wh.x"]);
    let options = Options { compression: Compression::None, ..Options::default() };
    assert!(matches!(pack::tree(&lab.store, &upper, &options), Err(PackError::Refused { .. })));
}

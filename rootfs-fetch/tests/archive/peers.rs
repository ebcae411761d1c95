//! skopeo, umoci and podman read what we write, and write what we read.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rootfs_fetch::archive::{Format, Limits, Named, load, save};
use rootfs_fetch::image::{Digest, MediaType, here};
use serde_json::Value;

use crate::place::{Place, layer, names};

const ANY: &str = "--insecure-policy";

fn output(place: &Place, program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).env("TMPDIR", place.place.path()).current_dir(place.place.path()).stdin(Stdio::null());
    command.output().expect("the program")
}

fn run(place: &Place, program: &str, arguments: &[&str]) -> String {
    let output = output(place, program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether a program is there; else the test is skipped.
fn installed(test: &str, program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        println!("SKIPPED archive::peers::{test}: {program} is not installed");
    }
    there
}

/// Two images that share a layer.
fn images(place: &Place) -> Vec<Named> {
    let made = ["one", "two"].map(|text| {
        let image = place.image(&MediaType::ImageLayerGzip, &[layer("shared"), layer(text)]);
        let name = format!("localhost/{text}:1");
        place.store.tag(&name, &image).expect("a name");
        (Some(name), image)
    });
    made.into()
}

/// By what an image is the same, in whatever format it is carried.
fn diff_ids(place: &Place, image: &Named) -> Vec<Digest> {
    let image = place.store.image(&image.1, &here()).expect("an image");
    image.layers.into_iter().map(|layer| layer.diff_id).collect()
}

fn written(place: &Place, name: &str, images: &[Named], format: &Format) -> String {
    let path = place.path(name);
    save(&place.store, images, format, File::create(&path).expect("a file")).expect("it can be saved");
    path.display().to_string()
}

fn read(place: &Place, path: impl AsRef<Path>) -> Vec<Named> {
    load(File::open(path).expect("a file"), &place.store, &Limits::default()).expect("an archive")
}

#[test]
fn what_skopeo_writes_is_loaded() {
    if !installed("what_skopeo_writes_is_loaded", "skopeo") {
        return;
    }
    let (from, to) = (Place::new(), Place::new());
    let images = images(&from);
    let source = format!("oci:{}:localhost/one:1", from.store.root().display());
    for kind in ["oci-archive", "docker-archive"] {
        let file = from.path(kind).display().to_string();
        run(&from, "skopeo", &["copy", ANY, &source, &format!("{kind}:{file}:localhost/one:1")]);
        let loaded = read(&to, &file);
        assert_eq!(names(&loaded), ["localhost/one:1"], "{kind}");
        assert_eq!(diff_ids(&to, &loaded[0]), diff_ids(&from, &images[0]), "{kind}");
        if kind == "oci-archive" {
            assert_eq!(loaded[0].1.digest(), images[0].1.digest());
        }
    }
    to.unharmed();
}

#[test]
fn skopeo_reads_what_we_write() {
    if !installed("skopeo_reads_what_we_write", "skopeo") {
        return;
    }
    let place = Place::new();
    let images = images(&place);
    for (kind, format) in [("oci-archive", Format::Oci), ("docker-archive", Format::Docker(here()))] {
        let file = written(&place, kind, &images, &format);
        for (number, (name, image)) in images.iter().enumerate() {
            let name = name.as_deref().expect("a name");
            let source = format!("{kind}:{file}:{name}");
            let inspected: Value = serde_json::from_str(&run(&place, "skopeo", &["inspect", &source])).expect("JSON");
            assert_eq!(inspected["Layers"].as_array().map(Vec::len), Some(2), "{inspected}");
            run(&place, "skopeo", &["copy", ANY, &source, &format!("dir:{kind}-{number}")]);
            let back = format!("{kind}-{number}-back:1");
            run(&place, "skopeo", &["copy", ANY, &source, &format!("oci:{}:{back}", place.store.root().display())]);
            let back = place.store.resolve(&back).expect("an index").expect("skopeo's name");
            let same = |image: &Named| diff_ids(&place, image);
            assert_eq!(same(&(None, back)), same(&(None, image.clone())), "{source}");
        }
    }
}

#[test]
fn umoci_reads_what_we_write() {
    if !installed("umoci_reads_what_we_write", "umoci") {
        return;
    }
    let place = Place::new();
    let file = written(&place, "archive", &images(&place), &Format::Oci);
    let layout = place.path("layout");
    ::tar::Archive::new(File::open(file).expect("a file")).unpack(&layout).expect("a layout");
    let layout = layout.display().to_string();
    assert_eq!(run(&place, "umoci", &["list", "--layout", &layout]).lines().count(), 2);
    run(&place, "umoci", &["raw", "unpack", "--rootless", "--image", &format!("{layout}:localhost/two:1"), "rootfs"]);
    assert_eq!(fs::read_to_string(place.path("rootfs/etc/text")).expect("the layer above"), "two");
}

/// podman with a store of its own, in namespaces where nobody else sees what it mounts.
fn podman(place: &Place, arguments: &[&str]) -> Output {
    let beside = |name: &str| place.path(name).display().to_string();
    fs::write(place.path("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).expect("a file");
    // No lock of it is in /dev/shm, which is the machine's.
    let conf = "[engine]\nevents_logger = \"file\"\nlock_type = \"file\"\ncgroup_manager = \"cgroupfs\"\n";
    fs::write(place.path("containers.conf"), conf).expect("a file");
    let script = "for at in /run /var/lib; do mount -t tmpfs test $at || exit; done
        CONTAINERS_CONF=$PWD/containers.conf exec podman --storage-driver vfs \"$@\"";
    let (root, runroot) = (beside("root"), beside("runroot"));
    let own = ["--mount", "--net", "--propagation", "private", "sh", "-c", script, "podman"];
    output(place, "unshare", &[&own, &["--root", &root, "--runroot", &runroot][..], arguments].concat())
}

#[test]
fn podman_loads_what_we_write_and_we_what_it_writes() {
    let test = "podman_loads_what_we_write_and_we_what_it_writes";
    if !installed(test, "podman") {
        return;
    }
    let place = Place::new();
    let tried = output(&place, "unshare", &["--mount", "--net", "--propagation", "private", "true"]);
    if !tried.status.success() {
        println!("SKIPPED archive::peers::{test}: {}", String::from_utf8_lossy(&tried.stderr).trim());
        return;
    }
    let said = |arguments: &[&str]| {
        let output = podman(&place, arguments);
        assert!(output.status.success(), "podman {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let images = images(&place);
    // Of an oci-archive it loads the first image only.
    for (kind, format, count) in [("docker-archive", Format::Docker(here()), 2), ("oci-archive", Format::Oci, 1)] {
        let file = written(&place, kind, &images[..count], &format);
        let loaded = said(&["load", "--signature-policy", "policy.json", "--input", &file]);
        assert!(images[..count].iter().all(|(name, _)| loaded.contains(name.as_deref().expect("a name"))), "{loaded}");
        let back = place.path(&format!("{kind}-back")).display().to_string();
        said(&["save", "--quiet", "--format", kind, "--output", &back, "localhost/one:1"]);
        let read = read(&place, back);
        assert_eq!(names(&read), ["localhost/one:1"], "{kind}");
        assert_eq!(diff_ids(&place, &read[0]), diff_ids(&place, &images[0]), "{kind}");
        said(&["rmi", "--all", "--force"]);
    }
}

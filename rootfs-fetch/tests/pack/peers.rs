//! What others make of our images, and we of theirs.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use rootfs_fetch::image::{Descriptor, here};
use rootfs_fetch::pack::{self, Compression, Format, ImageBuilder, Options};

use crate::lab::{Lab, plain, root, run, tree};

fn installed(test: &str, program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        println!("SKIPPED {test}: there is no {program} here");
    }
    found
}

/// A small root file system with what layers have.
fn rootfs(lab: &Lab) -> PathBuf {
    let at = lab.directory("rootfs");
    for directory in ["bin", "etc", "tmp"] {
        fs::create_dir(at.join(directory)).expect("a directory");
    }
    fs::write(at.join("bin/busybox"), "applets".repeat(10_000)).expect("a file");
    fs::set_permissions(at.join("bin/busybox"), Permissions::from_mode(0o755)).expect("a mode");
    fs::hard_link(at.join("bin/busybox"), at.join("bin/ls")).expect("a hard link");
    symlink("busybox", at.join("bin/sh")).expect("a link");
    fs::write(at.join("etc").join("name".repeat(40)), "long").expect("a file");
    fs::set_permissions(at.join("tmp"), Permissions::from_mode(0o1777)).expect("a mode");
    // Old enough that a change now has another second, which is all that umoci compares.
    run(Command::new("find").arg(&at).args(["-exec", "touch", "--no-dereference", "--date=@1000000000", "{}", "+"]));
    at
}

fn umoci(lab: &Lab, name: &str, to: &Path) {
    let mut command = Command::new("umoci");
    command.args(["unpack", "--image", &format!("{}:{name}", lab.store.root().display())]);
    if !root() {
        command.arg("--rootless");
    }
    run(command.arg(to));
}

/// The image of these two trees, the second a layer on the first.
fn image(lab: &Lab, [lower, upper]: [&Path; 2], compression: Compression, format: Format) -> Descriptor {
    let options = Options { compression, ..Options::default() };
    let base = pack::tree(&lab.store, lower, &options).expect("a layer");
    let builder = ImageBuilder::new(&lab.store, &here()).layer(&base, "COPY rootfs /").cmd(["/bin/sh"]);
    let base = builder.write(format).expect("an image");
    let base = lab.store.image(&base, &here()).expect("an image");
    pack::repack(&lab.store, &base, (lower, upper), "RUN rm", &options).expect("an image")
}

/// The base, changed: something deleted, added, replaced by another kind.
fn changed(lab: &Lab, base: &Path) -> PathBuf {
    let at = lab.copy(base, "changed");
    fs::remove_file(at.join("bin/sh")).expect("a link");
    fs::remove_dir_all(at.join("tmp")).expect("a directory");
    fs::write(at.join("tmp"), "a file").expect("a file");
    fs::create_dir(at.join("new")).expect("a directory");
    fs::hard_link(at.join("bin/busybox"), at.join("new/busybox")).expect("a hard link");
    let file = fs::File::open(at.join("tmp")).expect("a file");
    file.set_modified(UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789)).expect("a time");
    at
}

#[test]
fn umoci_unpacks_the_tree_that_was_packed() {
    if !installed("umoci_unpacks_the_tree_that_was_packed", "umoci") {
        return;
    }
    let lab = Lab::new();
    let base = rootfs(&lab);
    let upper = changed(&lab, &base);
    // umoci 0.4 knows neither zstd nor Docker's documents.
    for compression in [Compression::None, Compression::Gzip(6)] {
        let image = image(&lab, [&base, &upper], compression, Format::Oci);
        lab.store.tag("made", &image).expect("a name");
        let bundle = lab.path("bundle");
        umoci(&lab, "made", &bundle);
        assert_eq!(tree(&bundle.join("rootfs")), tree(&upper));
        run(Command::new("rm").arg("-rf").arg(bundle));
    }
}

#[test]
fn what_umoci_repacks_we_repack_to_the_same_names() {
    if !installed("what_umoci_repacks_we_repack_to_the_same_names", "umoci") {
        return;
    }
    let lab = Lab::new();
    let base = rootfs(&lab);
    let first = image(&lab, [&base, &base], Compression::Gzip(6), Format::Oci);
    lab.store.tag("made", &first).expect("a name");
    let bundle = lab.path("bundle");
    umoci(&lab, "made", &bundle);
    let rootfs = bundle.join("rootfs");
    fs::remove_file(rootfs.join("bin/sh")).expect("a link");
    fs::write(rootfs.join("etc/new"), "new").expect("a file");
    let image = format!("{}:repacked", lab.store.root().display());
    run(Command::new("umoci").args(["repack", "--image", &image]).arg(&bundle));
    let theirs = lab.store.resolve("repacked").expect("an index").expect("umoci's image");
    let theirs = lab.store.image(&theirs, &here()).expect("an image");
    let blob = lab.store.path(theirs.layers[1].descriptor.digest());
    let mut listed: Vec<String> =
        run(Command::new("tar").args(["--list", "--gzip", "--file"]).arg(blob)).lines().map(str::to_owned).collect();
    listed.sort();
    let ours = pack::diff(&lab.store, &base, &rootfs, &plain()).expect("a layer");
    let mut names = lab.names(&ours);
    names.sort();
    assert_eq!(names, ["bin/", "bin/.wh.sh", "etc/", "etc/new"]);
    assert_eq!(listed, names);
}

#[test]
fn skopeo_copies_both_formats_and_what_it_keeps_is_the_same() {
    if !installed("skopeo_copies_both_formats_and_what_it_keeps_is_the_same", "skopeo") {
        return;
    }
    let lab = Lab::new();
    let base = rootfs(&lab);
    let upper = changed(&lab, &base);
    for (number, (compression, format)) in [
        (Compression::None, Format::Oci),
        (Compression::Gzip(6), Format::Oci),
        (Compression::Zstd(3), Format::Oci),
        (Compression::None, Format::Docker),
        (Compression::Gzip(6), Format::Docker),
    ]
    .into_iter()
    .enumerate()
    {
        let image = image(&lab, [&base, &upper], compression, format);
        lab.store.tag("made", &image).expect("a name");
        let from = format!("oci:{}:made", lab.store.root().display());
        // skopeo reads no Docker manifest out of an OCI layout; it does from its own kind of directory.
        let place = lab.path(&format!("copy-{number}"));
        let from = if format == Format::Docker { docker_directory(&lab, &image, number) } else { from };
        run(Command::new("skopeo").args(["inspect", &from]));
        let copy = format!("dir:{}", place.display());
        run(Command::new("skopeo").args(["--insecure-policy", "copy", "--preserve-digests", &from, &copy]));
        let bytes = fs::read(place.join("manifest.json")).expect("a manifest");
        assert_eq!(bytes, lab.store.small(image.digest(), 1 << 20).expect("a manifest"));
        // To make one format of the other, it has to understand the config and find the history to be that of the layers.
        let other = if format == Format::Docker { "oci" } else { "v2s2" };
        let converted = format!("dir:{}", lab.path(&format!("converted-{number}")).display());
        if !matches!(compression, Compression::Zstd(_)) {
            run(Command::new("skopeo").args(["--insecure-policy", "copy", "--format", other, &from, &converted]));
        }
    }
}

/// The image as skopeo's `dir:` has it: the manifest, and the blobs by their digits.
fn docker_directory(lab: &Lab, image: &Descriptor, number: usize) -> String {
    let at = lab.directory(&format!("docker-{number}"));
    let found = lab.store.image(image, &here()).expect("an image");
    fs::write(at.join("version"), "Directory Transport Version: 1.1\n").expect("a file");
    fs::copy(lab.store.path(image.digest()), at.join("manifest.json")).expect("a copy");
    let layers = found.layers.iter().map(|layer| &layer.descriptor);
    for blob in layers.chain([found.manifest.config()]) {
        fs::copy(lab.store.path(blob.digest()), at.join(blob.digest().digest())).expect("a copy");
    }
    format!("dir:{}", at.display())
}

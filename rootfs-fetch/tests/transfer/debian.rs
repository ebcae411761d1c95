//! The registry that others run: Debian's docker-registry.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rootfs_fetch::image::{Descriptor, MediaType, Reference};
use rootfs_fetch::transfer::{Platforms, Transfer};
use serde_json::json;
use tempfile::TempDir;

use super::registry::{Image, bytes, descriptor, index};
use super::{Place, client, lab};

/// A docker-registry that ends with its test.
struct DockerRegistry {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl DockerRegistry {
    /// None where it is not installed; the test is skipped then.
    fn start(test: &str) -> Option<Self> {
        if !Command::new("docker-registry").arg("--version").output().is_ok_and(|output| output.status.success()) {
            lab::skip(&format!("transfer::debian::{test}"), "docker-registry is not installed");
            return None;
        }
        let directory = TempDir::new().expect("a temporary directory");
        let config = directory.path().join("config.yml");
        let root = directory.path().join("root");
        let text = json!({"version": 0.1, "http": {"addr": "127.0.0.1:0"},
            "storage": {"filesystem": {"rootdirectory": root}}});
        fs::write(&config, text.to_string()).expect("a file");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("docker-registry");
        let said = BufReader::new(child.stderr.take().expect("a pipe"));
        let (tell, told) = mpsc::channel();
        // What it says is read to its end, so that it is never held up.
        thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                let address = line.split_once("listening on ").map(|(_, rest)| rest);
                let address = address.map(|rest| rest.split(['"', ',', ' ']).next().unwrap_or_default().to_owned());
                let _ = address.map(|address| tell.send(address));
            }
        });
        let address = told.recv_timeout(Duration::from_secs(60)).expect("it says where it listens");
        Some(Self { child, address: address.parse().expect("an address"), _directory: directory })
    }

    fn tag(&self, tag: &str) -> Reference {
        format!("{}/team/app:{tag}", self.address).parse().expect("a reference")
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_pushed_to_docker_registry_comes_back_the_same() {
    let test = "what_is_pushed_to_docker_registry_comes_back_the_same";
    let Some(registry) = DockerRegistry::start(test) else { return };
    // More than one chunk.
    let image = Image::of(&[bytes(9 << 20, 1), bytes(1000, 2), Vec::new()]);
    let place = Place::with(&image);
    let (transfer, tag) = (Transfer::new(), registry.tag("v1"));
    let push = || transfer.push(&client(), &place.store, &image.descriptor(), &tag).expect("pushed");
    let first = push();
    assert_eq!((first.moved.blobs, first.moved.bytes), (4, image.size()));
    let second = push();
    assert_eq!((second.moved.blobs, second.moved.bytes, second.moved.there), (0, 0, 4));
    let other = Place::new();
    let pulled = transfer.pull(&client(), &tag, &other.store, "name").expect("an image");
    assert_eq!(pulled.moved.bytes, image.size());
    other.has(&image);
    // Into another repository of it, nothing has to go.
    let there: Reference = format!("{}/team/other:v1", registry.address).parse().expect("a reference");
    let transfer = Transfer::new().mount_from(vec!["team/app".into()]);
    let mounted = transfer.push(&client(), &place.store, &image.descriptor(), &there).expect("pushed");
    assert_eq!((mounted.moved.mounted, mounted.moved.bytes), (4, 0));
}

#[test]
fn an_index_goes_to_docker_registry_and_comes_back() {
    let test = "an_index_goes_to_docker_registry_and_comes_back";
    let Some(registry) = DockerRegistry::start(test) else { return };
    let (one, other) = (Image::of(&[bytes(1000, 1)]), Image::of(&[bytes(1000, 2)]));
    let place = Place::with(&one).and(&other);
    let index = index(&[one.entry("linux", "arm"), other.entry("linux", "mips")]);
    place.store.add(&index).expect("space");
    let index: Descriptor = descriptor(MediaType::ImageIndex, &index);
    let (all, tag) = (Transfer::new().platforms(Platforms::All), registry.tag("all"));
    all.push(&client(), &place.store, &index, &tag).expect("pushed");
    let back = Place::new();
    let pulled = all.pull(&client(), &tag, &back.store, "name").expect("an index");
    assert_eq!((pulled.descriptor.digest(), pulled.moved.blobs), (index.digest(), 4));
    let arm = serde_json::from_value(json!({"os": "linux", "architecture": "arm"})).expect("a platform");
    let chosen = Transfer::new().platforms(Platforms::One(arm));
    let fresh = Place::new();
    chosen.pull(&client(), &tag, &fresh.store, "name").expect("an image");
    fresh.has(&one);
}

/// It does not know referrers.
#[test]
fn what_is_about_an_image_is_found_in_docker_registry() {
    let test = "what_is_about_an_image_is_found_in_docker_registry";
    let Some(registry) = DockerRegistry::start(test) else { return };
    let image = Image::of(&[bytes(1000, 1)]);
    let note = Image::changed(&[bytes(10, 1)], |_, manifest| manifest["subject"] = json!(image.descriptor()));
    let place = Place::with(&image).and(&note);
    let (transfer, tag) = (Transfer::new(), registry.tag("v1"));
    transfer.push(&client(), &place.store, &image.descriptor(), &tag).expect("pushed");
    let pushed = transfer.push(&client(), &place.store, &note.descriptor(), &registry.tag("note")).expect("pushed");
    assert_eq!(pushed.referrers, 1);
    let found = client().referrers(&tag, image.descriptor().digest(), None).expect("a list");
    assert_eq!(found.iter().map(Descriptor::digest).collect::<Vec<_>>(), [note.descriptor().digest()]);
}

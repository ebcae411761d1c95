//! skopeo, umoci and podman of Debian use the embedded registry: they push, pull, look, list and delete, whatever it asks them; and they
//! read the store that it serves.
//!
//! All that they write is under a directory of the test's own. podman is in a mount namespace of its own, where storage without an overlay
//! is enough for it, and nothing is run.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rootfs_fetch::store::Store;
use serde_json::Value;
use support::{ANSWER, Output, bounded, skip};

/// So long one of these programs may take.
const COMMAND: Duration = Duration::from_secs(120);
const CREDENTIALS: &str = "learner:s3cret";

/// A registry that asks in one way, and a directory beside it with an image in `img:one`.
struct Served {
    directory: tempfile::TempDir,
    server: Child,
    address: String,
}

impl Served {
    fn asking(auth: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Command::new(env!("CARGO_BIN_EXE_hardway"));
        server.args(["registry", "serve", "--listen", "127.0.0.1:0", "--auth", auth, "--store"]);
        server.arg(directory.path().join("store")).env("HARDWAY_REGISTRY_PASSWORD", "s3cret");
        if auth != "none" {
            server.args(["--user", "learner"]);
        }
        let mut server = server.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("http://").and_then(|line| line.split_once("/v2/"));
        let address = address.unwrap_or_else(|| panic!("{line}")).0.to_owned();
        let served = Self { directory, server, address };
        fs::create_dir(served.path().join("tree")).unwrap();
        fs::write(served.path().join("tree/file"), "hello\n").unwrap();
        fs::write(served.path().join("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
        served.does("umoci init --layout img && umoci new --image img:one");
        served.does("umoci insert --rootless --image img:one tree /tree");
        served
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A shell line in the directory: `$R` is the registry, `$C` name and password, `$skopeo` and `$podman` the programs, with what they
    /// need to leave the machine alone.
    fn sh(&self, line: &str) -> Output {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.path()).env("R", &self.address).env("C", CREDENTIALS);
        command.env("skopeo", "skopeo --insecure-policy").env("HOME", self.path()).env("TMPDIR", self.path());
        command.env("XDG_RUNTIME_DIR", self.path());
        let podman = format!(
            "unshare --mount --propagation private podman --root {0}/storage --runroot {0}/running --storage-driver vfs \
             --cgroup-manager cgroupfs --events-backend none",
            self.path().display()
        );
        bounded(command.env("podman", podman), COMMAND)
    }

    #[track_caller]
    fn does(&self, line: &str) -> String {
        let output = self.sh(line);
        assert!(output.status.success(), "{line}: {output:?}");
        output.stdout
    }

    #[track_caller]
    fn says(&self, line: &str) -> Value {
        serde_json::from_str(&self.does(line)).unwrap()
    }

    #[track_caller]
    fn refuses(&self, line: &str, why: &str) {
        let output = self.sh(line);
        assert!(!output.status.success() && output.stderr.contains(why), "{line}: {output:?}");
    }

    /// The image under this name in a layout has the file in it.
    #[track_caller]
    fn unpacks(&self, image: &str) {
        self.does(&format!("rm -rf bundle && umoci unpack --rootless --image {image} bundle"));
        assert_eq!(fs::read_to_string(self.path().join("bundle/rootfs/tree/file")).unwrap(), "hello\n");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn with(programs: &[&str], test: &str, body: impl FnOnce()) {
    let is_missing = |program: &&&str| {
        !bounded(Command::new("sh").args(["-c", &format!("command -v {program}")]), ANSWER).status.success()
    };
    match programs.iter().find(is_missing) {
        Some(program) => skip(test, &format!("{program} is not installed")),
        None => body(),
    }
}

#[test]
fn skopeo_and_umoci_push_pull_look_and_delete() {
    with(&["skopeo", "umoci"], "skopeo_and_umoci_push_pull_look_and_delete", || {
        for auth in ["none", "basic", "token"] {
            let served = Served::asking(auth);
            // Where nobody asks, nobody may have to answer.
            let by = if auth == "none" { "" } else { "--src-creds $C" };
            let to = by.replace("src", "dest");
            let look = by.replace("src-", "");
            for (format, tag) in [("oci", "oci"), ("v2s2", "docker")] {
                served.does(&format!(
                    "$skopeo copy --dest-tls-verify=false {to} --format {format} oci:img:one docker://$R/web:{tag}"
                ));
                served.does(&format!("$skopeo copy --src-tls-verify=false {by} docker://$R/web:{tag} oci:back:{tag}"));
                served.unpacks(&format!("back:{tag}"));
            }
            // And the store itself, while it is served.
            served.unpacks("store:web:oci");
            let raw = |tag: &str| {
                served.says(&format!("skopeo inspect --tls-verify=false {look} --raw docker://$R/web:{tag}"))
            };
            assert_eq!(raw("docker")["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
            assert_eq!(raw("oci")["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
            let at = served.says(&format!("skopeo inspect --tls-verify=false {look} docker://$R/web:oci"));
            assert_eq!(at["Digest"], served.says("skopeo inspect oci:store:web:oci")["Digest"]);
            // From one repository to another, for which a token has to be for both.
            served.does(&format!(
                "$skopeo copy --src-tls-verify=false --dest-tls-verify=false {by} {to} docker://$R/web:oci docker://$R/far/web:1"
            ));
            let listed = served.says(&format!("skopeo list-tags --tls-verify=false {look} docker://$R/web"));
            assert_eq!(listed["Tags"], serde_json::json!(["docker", "oci"]));
            served.does(&format!("skopeo delete --tls-verify=false {look} docker://$R/web:docker"));
            let listed = served.says(&format!("skopeo list-tags --tls-verify=false {look} docker://$R/web"));
            assert_eq!(listed["Tags"], serde_json::json!(["oci"]));
            served.refuses(
                &format!("skopeo inspect --tls-verify=false {look} docker://$R/web:docker"),
                "manifest unknown",
            );
            if auth != "none" {
                served.refuses("skopeo inspect --tls-verify=false docker://$R/web:oci", "unauthorized");
                served.refuses(
                    "skopeo inspect --tls-verify=false --creds learner:wrong docker://$R/web:oci",
                    "unauthorized",
                );
            }
            assert!(Store::open(served.path().join("store")).unwrap().verify().is_empty());
        }
    });
}

#[test]
fn podman_pulls_and_pushes() {
    let test = "podman_pulls_and_pushes";
    if !support::am_root() {
        return skip(test, "podman's storage needs root here");
    }
    with(&["podman", "skopeo", "umoci", "unshare"], test, || {
        for auth in ["basic", "token"] {
            let served = Served::asking(auth);
            served.does("$skopeo copy --dest-tls-verify=false --dest-creds $C oci:img:one docker://$R/web:1");
            let with = "--signature-policy $PWD/policy.json --tls-verify=false --creds $C";
            let id = served.does(&format!("$podman pull -q {with} $R/web:1"));
            for format in ["oci", "v2s2"] {
                served.does(&format!("$podman push -q {with} --format {format} $R/web:1 $R/from/podman:{format}"));
                let look = "skopeo inspect --tls-verify=false --creds $C --raw";
                let manifest = served.says(&format!("{look} docker://$R/from/podman:{format}"));
                // The id of an image is the digest of its config.
                assert_eq!(manifest["config"]["digest"], format!("sha256:{}", id.trim()));
                served.does(&format!(
                    "$skopeo copy --src-tls-verify=false --src-creds $C docker://$R/from/podman:{format} oci:back:{format}"
                ));
                served.unpacks(&format!("back:{format}"));
            }
            let wrong = with.replace("$C", "learner:wrong");
            served.refuses(&format!("$podman pull -q {wrong} $R/from/podman:oci"), "unauthorized");
        }
    });
}

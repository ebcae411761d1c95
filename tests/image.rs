//! `hardway image` and `hardway registry serve`, as a person uses them: by their command lines, as root and as an ordinary user.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rootfs_fetch::image::here;
use rootfs_fetch::pack::{self, Format, ImageBuilder, Options};
use rootfs_fetch::store::Store;
use serde_json::Value;

const HARDWAY: &str = env!("CARGO_BIN_EXE_hardway");
const PASSWORD: &str = "s3cret";

/// A directory with a store, and commands that use it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("hardway-image").tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self(directory)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts an image with two layers into the store: the second changes one file of the first, deletes one and adds one.
    fn make(&self, name: &str) {
        let (lower, upper) = (self.at("lower"), self.at("upper"));
        for (tree, files) in [
            (&lower, [("etc/motd", "old"), ("etc/gone", "gone"), ("bin/tool", "tool")]),
            (&upper, [("etc/motd", "new"), ("etc/more", "more"), ("bin/tool", "tool")]),
        ] {
            for (path, text) in files {
                let path = tree.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, text).unwrap();
                let then = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
                fs::File::options().write(true).open(path).unwrap().set_times(then).unwrap();
            }
        }
        let store = Store::open(self.at("store")).unwrap();
        let first = pack::tree(&store, &lower, &Options::default()).unwrap();
        let second = pack::diff(&store, &lower, &upper, &Options::default()).unwrap();
        let builder = ImageBuilder::new(&store, &here()).layer(&first, "COPY lower /").env("GREETING", "hello");
        let image = builder.layer(&second, "RUN change").cmd(["/bin/tool"]).write(Format::Oci).unwrap();
        store.tag(name, &image).unwrap();
    }

    fn image(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(HARDWAY);
        command.arg("image").args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command.env("HARDWAY_IMAGES", self.at("store")).env("HARDWAY_REGISTRY_PASSWORD", PASSWORD);
        command.env("REGISTRY_AUTH_FILE", self.at("no-such-file"));
        command.output().unwrap()
    }

    /// What a command prints that succeeds.
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.image(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// What a command says that fails.
    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.image(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    fn serve(&self, options: &[&str]) -> Served {
        let mut command = Command::new(HARDWAY);
        command.args(["registry", "serve", "--listen", "127.0.0.1:0", "--store"]).arg(self.at("served")).args(options);
        command.env("HARDWAY_REGISTRY_PASSWORD", PASSWORD).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let host = line.strip_prefix("http://").and_then(|rest| rest.split_once('/')).unwrap().0.to_owned();
        Served { child, host }
    }
}

/// A registry in a process of its own.
struct Served {
    child: Child,
    host: String,
}

impl Served {
    fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.host)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn digest(object: &Value) -> &str {
    object["descriptor"]["digest"].as_str().unwrap()
}

#[test]
fn an_image_goes_to_a_registry_and_comes_back_the_same() {
    let place = Place::new();
    place.make("web");
    let served = place.serve(&[]);
    let there = served.name("lab/web:1");
    let pushed = place.json(&["push", "web", &there]);
    assert_eq!(pushed["moved"]["blobs"], 3);
    let again = place.json(&["push", "web", &there]);
    assert_eq!((&again["moved"]["blobs"], &again["moved"]["there"]), (&0.into(), &3.into()));
    let mounted = place.json(&["push", "web", &served.name("other/web:1"), "--mount-from", "lab/web"]);
    assert_eq!((&mounted["moved"]["bytes"], &mounted["moved"]["mounted"]), (&0.into(), &3.into()));
    place.ok(&["rm", "web"]);
    place.ok(&["gc", "--now"]);
    let pulled = place.json(&["pull", &there, "--name", "web"]);
    assert_eq!((digest(&pulled), &pulled["moved"]["blobs"]), (digest(&pushed), &3.into()));
    let listed = place.json(&["ls"]);
    assert_eq!((&listed[0]["name"], &listed[0]["digest"]), (&"web".into(), &digest(&pushed).into()));
}

#[test]
fn each_request_is_told_and_no_password() {
    let place = Place::new();
    place.make("web");
    let served = place.serve(&["--auth", "token", "--user", "teacher"]);
    let there = served.name("lab/web:1");
    let said = place.fails(&["push", "web", &there]);
    assert!(said.contains("401") && said.contains("fix: say who you are"), "{said}");
    place.ok(&["push", "web", &there, "--user", "teacher"]);
    let output = place.image(&["pull", &there, "--store", "other", "--user", "teacher", "-v"]);
    let told = String::from_utf8(output.stderr).unwrap();
    for part in [
        "< 401",
        "< www-authenticate: Bearer",
        "> authorization: B",
        "/v2/lab/web/manifests/1",
        "< (",
        "/blobs/sha256:",
    ] {
        assert!(told.contains(part), "no {part}: {told}");
    }
    assert!(!told.contains(PASSWORD), "{told}");
}

#[test]
fn everything_is_computed_anew_and_what_is_wrong_is_told() {
    let place = Place::new();
    place.make("web");
    let seen = place.json(&["inspect", "web"]);
    let parts: Vec<&str> =
        seen["parts"].as_array().unwrap().iter().map(|part| part["part"].as_str().unwrap()).collect();
    assert_eq!(parts, ["manifest", "config", "layer", "layer"]);
    assert_eq!(seen["config"]["config"]["Cmd"][0], "/bin/tool");
    let history = place.json(&["history", "web"]);
    let layers = seen["parts"].as_array().unwrap()[2..].iter().map(|part| &part["digest"]);
    let made: Vec<(&Value, &Value)> =
        history["entries"].as_array().unwrap().iter().map(|entry| (&entry["created_by"], &entry["layer"])).collect();
    assert_eq!(
        made.iter().map(|(_, layer)| *layer).filter(|layer| !layer.is_null()).collect::<Vec<_>>(),
        layers.collect::<Vec<_>>()
    );
    assert_eq!(made[0].0, "COPY lower /");
    assert!(place.ok(&["verify"]).contains("everything is what its digest says"));
    // One byte of a layer.
    let layer = seen["parts"][2]["digest"].as_str().unwrap().replace(':', "/");
    let path = place.at("store").join("blobs").join(layer);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let output = place.image(&["inspect", "web"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap().matches("WRONG").count(), 1);
    assert_eq!(place.image(&["verify"]).status.code(), Some(1));
    assert!(place.fails(&["unpack", "web", "rootfs"]).contains("can not be unpacked"));
    assert!(!place.at("rootfs").exists());
}

fn tree(root: &Path) -> Vec<(String, String)> {
    ["bin/tool", "etc/gone", "etc/more", "etc/motd"]
        .into_iter()
        .filter_map(|path| Some((path.to_owned(), fs::read_to_string(root.join(path)).ok()?)))
        .collect()
}

#[test]
fn archives_of_both_kinds_and_layouts_carry_an_image() {
    let place = Place::new();
    place.make("web");
    place.ok(&["unpack", "web", "first"]);
    let files = tree(&place.at("first"));
    let names: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(names, ["bin/tool", "etc/more", "etc/motd"]);
    assert_eq!(files[2].1, "new");
    for (format, transport) in [("oci", "oci-archive"), ("docker", "docker-archive")] {
        place.ok(&["save", "web", "-o", "saved.tar", "--format", format]);
        place.ok(&["copy", &format!("{transport}:saved.tar"), "back"]);
        place.ok(&["copy", "back", &format!("{transport}:again.tar")]);
        place.ok(&["copy", &format!("{transport}:again.tar"), &format!("oci:layout-{format}:x")]);
        place.ok(&["unpack", "x", format, "--store", &format!("layout-{format}")]);
        assert_eq!(tree(&place.at(format)), files);
    }
    let other = Place::new();
    let loaded = other.ok(&["load", "-i", place.at("saved.tar").to_str().unwrap()]);
    assert!(loaded.starts_with("web:latest is sha256:"), "{loaded}");
    // What the tag says need not be typed.
    other.ok(&["history", "web"]);
    let served = place.serve(&[]);
    place.ok(&["copy", "oci-archive:again.tar", &format!("docker://{}", served.name("a/b:1"))]).clear();
}

#[test]
fn layers_are_applied_one_at_a_time_and_each_entry_is_told() {
    let place = Place::new();
    place.make("web");
    fs::create_dir(place.at("root")).unwrap();
    let first = place.ok(&["apply", "web", "1", "root"]);
    assert!(first.lines().any(|line| line == "adds    /etc/gone"), "{first}");
    assert_eq!(tree(&place.at("root")).len(), 3);
    let second = place.ok(&["apply", "web", "2", "root"]);
    for line in ["changes /etc/motd", "adds    /etc/more", "deletes /etc/gone"] {
        assert!(second.lines().any(|it| it == line), "no {line:?} in {second}");
    }
    assert!(!second.contains("tool"), "{second}");
    place.ok(&["unpack", "web", "flat"]);
    assert_eq!(tree(&place.at("root")), tree(&place.at("flat")));
    assert!(place.fails(&["apply", "web", "3", "root"]).contains("it has 2 of them"));
    assert_eq!(place.image(&["apply", "web", "0", "root"]).status.code(), Some(2));

    // A byte of the first layer is another: what it would have brought is not what the image names.
    let seen = place.json(&["inspect", "web"]);
    let blob = place.at("store/blobs").join(seen["parts"][2]["digest"].as_str().unwrap().replace(':', "/"));
    let mut bytes = fs::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&blob, bytes).unwrap();
    fs::create_dir(place.at("broken")).unwrap();
    assert!(place.fails(&["apply", "web", "1", "broken"]).contains("can not be applied"));
}

#[test]
fn mistakes_are_told_with_what_can_be_done() {
    let place = Place::new();
    for (arguments, words) in [
        (["inspect", "web"].as_slice(), ["The store has no image web", "pull it"]),
        (&["pull", "Not A Reference"], ["can not be pulled", "is no reference"]),
        (&["pull", "127.0.0.1:1/a/b", "--platform", "linux"], ["linux is not a platform", "linux/arm64"]),
        (&["copy", "docker:a/b", "c"], ["can not be copied", "docker://"]),
        (&["copy", "oci:layout", "c"], ["can not be copied", "oci:DIR:NAME"]),
        (&["load", "-i", "/dev/null"], ["can not be loaded", "archive"]),
        (&["save", "web", "-o", "x.tar"], ["The store has no image web", "store is empty"]),
    ] {
        let said = place.fails(arguments);
        assert!(words.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
    }
    assert!(!place.at("x.tar").exists());
}

/// In a mount namespace of its own, so that nothing of it is on the machine; without root as root of a user namespace.
#[test]
fn a_mounted_image_is_the_unpacked_one_and_gc_spares_it() {
    let place = Place::new();
    place.make("web");
    place.ok(&["unpack", "web", "flat"]);
    let script = "set -e
        mkdir mounted upper-directory work
        mount -t tmpfs tmpfs work && mkdir work/upper work/work
        \"$0\" image mount web mounted --upper work/upper --work work/work
        cat mounted/etc/motd mounted/etc/more; ls mounted/etc
        echo mine >mounted/etc/mine && cat work/upper/etc/mine
        \"$0\" image rm web && \"$0\" image gc --now | tail -n 1
        cat mounted/etc/motd
        umount mounted && \"$0\" image gc --now | tail -n 1";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "--propagation", "private", "sh", "-c", script, HARDWAY]);
    command.current_dir(place.0.path()).env("HARDWAY_IMAGES", place.at("store")).stdin(Stdio::null());
    let output = command.output().unwrap();
    let (said, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    let lines = [
        "newmoremore\nmotd\nmine\n",
        "0 unpacked layers are gone, and 2 are in use\nnew",
        "2 unpacked layers are gone, and 0 are in use\n",
    ];
    assert!(output.status.success(), "{told}\n{said}");
    for line in lines {
        assert!(said.contains(line), "no {line:?} in {said}");
    }
}

/// An ordinary user does the same.
#[test]
fn an_ordinary_user_can_do_all_of_it() {
    let Ok(user) = std::env::var("HARDWAY_TEST_USER") else {
        println!("SKIPPED: HARDWAY_TEST_USER names no ordinary user; tests/run does so");
        return;
    };
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: these tests run as an ordinary user already");
        return;
    }
    // Where everybody may read it.
    let place = Place::new();
    let own = place.at("tests");
    fs::copy(std::env::current_exe().unwrap(), &own).unwrap();
    let output = Command::new("runuser")
        .args(["-u", &user, "--"])
        .arg(&own)
        .args(["--skip", "an_ordinary_user", "--test-threads", "2"])
        .current_dir("/")
        .env_remove("HARDWAY_TEST_USER")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && !said.contains(" 0 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The same tree is the same layer, however often; other settings of gzip make another blob of the same archive.
#[test]
fn directories_become_images() {
    let place = Place::new();
    place.make("whatever");
    let parts = |name: &str| place.json(&["inspect", name])["parts"].clone();
    let layers = |name: &str| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let all = parts(name);
        let layers = all.as_array().unwrap().iter().filter(|part| part["part"] == "layer");
        layers.map(|part| (text(&part["digest"]), text(&part["diff_id"]))).collect()
    };
    place.ok(&["pack", "one", "lower", "--cmd", "/bin/tool", "--cmd", "-v", "--env", "A=b"]);
    place.ok(&["pack", "again", "lower"]);
    place.ok(&["pack", "hard", "lower", "--level", "9"]);
    place.ok(&["pack", "soft", "lower", "--level", "1"]);
    assert_eq!(layers("one"), layers("again"));
    assert_eq!(layers("hard")[0].1, layers("soft")[0].1, "the same archive");
    assert_ne!(layers("hard")[0].0, layers("soft")[0].0, "in other bytes");
    let config = &place.json(&["inspect", "one"])["config"]["config"];
    assert_eq!(
        (&config["Cmd"], &config["Env"]),
        (&serde_json::json!(["/bin/tool", "-v"]), &serde_json::json!(["A=b"]))
    );

    place.ok(&["pack", "two", "upper", "--from", "one", "--lower", "lower", "--compression", "zstd"]);
    assert_eq!(layers("two").len(), 2);
    assert_eq!(layers("two")[0], layers("one")[0]);
    place.ok(&["unpack", "two", "tree"]);
    assert_eq!(fs::read_to_string(place.at("tree/etc/motd")).unwrap(), "new");
    assert!(!place.at("tree/etc/gone").exists());
    assert!(place.ok(&["pack", "same", "lower", "--from", "one", "--lower", "lower"]).contains("nothing differs"));
    assert_eq!(layers("same"), layers("one"));
    // No layer, and a line of the history.
    place.ok(&["pack", "three", "--from", "two", "--label", "a=b"]);
    assert_eq!(layers("three"), layers("two"));
    let history = place.json(&["history", "three"]);
    let last = history["entries"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["created_by"], &last["layer"]), (&"LABEL a=b".into(), &Value::Null));

    assert!(place.fails(&["pack", "no", "lower", "--level", "12"]).contains("0 to 9"));
    assert!(place.fails(&["pack", "no", "lower", "--env", "A"]).contains("no ="));
    assert!(place.fails(&["pack", "no", "nowhere"]).contains("nowhere"));
    // Docker's manifests have no word for zstd.
    assert!(place.fails(&["pack", "no", "--from", "two", "--format", "docker"]).contains("zstd"));
    assert!(place.image(&["inspect", "no"]).status.code() == Some(1));
}

/// An index leads each platform to its own, and a manifest list is Docker's word for it.
#[test]
fn images_for_several_platforms_have_one_name() {
    let place = Place::new();
    place.make("whatever");
    for (name, tree, platform) in [("amd", "lower", "linux/amd64"), ("arm", "upper", "linux/arm/v7")] {
        place.ok(&["pack", name, tree, "--platform", platform]);
        place.ok(&["pack", &format!("{name}-docker"), tree, "--platform", platform, "--format", "docker"]);
    }
    place.ok(&["index", "both", "amd", "arm"]);
    place.ok(&["index", "list", "amd-docker", "arm-docker", "--format", "docker"]);
    for (name, kind) in [
        ("both", "application/vnd.oci.image.index.v1+json"),
        ("list", "application/vnd.docker.distribution.manifest.list.v2+json"),
    ] {
        let seen = place.json(&["inspect", name, "--platform", "linux/arm/v7"]);
        assert_eq!(seen["parts"][0]["media_type"], kind);
        assert_eq!(seen["config"]["architecture"], "arm");
        let platforms: Vec<&Value> =
            seen["parts"][0]["manifests"].as_array().unwrap().iter().map(|entry| &entry["platform"]).collect();
        assert_eq!(platforms, ["linux/amd64", "linux/arm/v7"]);
    }
    // All that is in an index.
    place.ok(&["index", "three", "both", "arm"]);
    assert!(place.fails(&["index", "no", "amd", "--format", "docker"]).contains("manifest list"));
}

/// With our keys and with openssl's: what we sign is checked by openssl, and goes through a registry.
#[test]
fn signatures_are_those_that_others_make_and_read() {
    let place = Place::new();
    let registry = place.serve(&[]);
    let name = format!("{}/web:1", registry.host);
    place.make(&name);
    let told = place.ok(&["keygen", "ours"]);
    assert!(told.contains("ours.key") && told.contains("ours.pub"), "{told}");
    assert_eq!(fs::metadata(place.at("ours.key")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(place.fails(&["keygen", "ours"]).contains("exists"), "a key is not overwritten");
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(place.0.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "theirs.key"]);
    openssl(&["pkey", "-in", "theirs.key", "-pubout", "-out", "theirs.pub"]);
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", "other.key"]);

    assert!(place.fails(&["verify", &name, "--key", "ours.pub"]).contains("no signatures"));
    assert!(place.fails(&["sign", &name, "--key", "other.key"]).contains("P-256"));
    assert!(place.fails(&["sign", &name, "--key", "ours.pub"]).contains("PRIVATE KEY"));
    let signed = place.ok(&["sign", &name, "--key", "ours.key"]);
    let signatures = signed.rsplit_once(": ").unwrap().0.to_owned();
    assert!(place.ok(&["verify", &name, "--key", "ours.pub"]).contains(&name));
    assert!(place.fails(&["verify", &name, "--key", "theirs.pub"]).contains("none of 1 signatures"));
    place.ok(&["sign", &name, "--key", "theirs.key"]);
    for key in ["ours.pub", "theirs.pub"] {
        place.ok(&["verify", &name, "--key", key]);
    }

    // The payload, checked by openssl.
    let store = Store::open(place.at("store")).unwrap();
    let (bytes, _) = store.document(store.resolve(&signatures).unwrap().unwrap().digest()).unwrap();
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    for (layer, key) in manifest["layers"].as_array().unwrap().iter().zip(["ours.pub", "theirs.pub"]) {
        let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
        let raw = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, signature).unwrap();
        fs::write(place.at("raw"), raw).unwrap();
        let payload = store.path(&layer["digest"].as_str().unwrap().parse().unwrap());
        openssl(&["dgst", "-sha256", "-verify", key, "-signature", "raw", payload.to_str().unwrap()]);
    }

    // From the registry, by who has the public key only.
    place.ok(&["push", &name]);
    place.ok(&["push", &signatures]);
    let elsewhere = place.at("elsewhere");
    let there = ["--store", elsewhere.to_str().unwrap()];
    place.ok(&[&["pull", &name], &there[..]].concat());
    place.ok(&[&["pull", &signatures], &there[..]].concat());
    place.ok(&[&["verify", &name, "--key", "theirs.pub"], &there[..]].concat());
}

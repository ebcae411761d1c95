//! `cargo bench --bench pull`: pulling an image of this machine's own files from a registry on this machine, and unpacking it, as ratios to a
//! loop that does nothing but decompress, hash and write them, and beside what others need; measured in this one run, turn by turn.
//!
//! Nothing here passes or fails: machines are shared and noisy. The numbers are printed with their budget beside them. `TMPDIR` says where.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rootfs_fetch::client::{Client, Options};
use rootfs_fetch::image::{Descriptor, MediaType, here};
use rootfs_fetch::store::{Image, Store};
use rootfs_fetch::transfer::Transfer;
use rootfs_fetch::unpack::{Snapshots, Unpack};
use serde_json::json;
use sha2::{Digest as _, Sha256};

const LAYERS: usize = 5;
const TURNS: usize = 5;

/// An image of this machine's files.
struct Sort {
    /// As the registry asks for it.
    name: &'static str,
    /// Bytes of files in all its layers.
    total: u64,
    /// No file in it is larger, in bytes.
    largest: u64,
}

/// What comes is sooner limited by decompression in the one, and by the number of files in the other.
const SORTS: [Sort; 2] = [
    Sort { name: "image:1", total: 150_000_000, largest: 8_000_000 },
    Sort { name: "small:1", total: 20_000_000, largest: 16_000 },
];

/// What takes its turn: the loop, ours, and others as far as they are installed.
const WAYS: [(&str, &str); 7] = [
    ("floor", "decompress, hash, write: the floor"),
    ("flat", "unpack to one directory"),
    ("take", "unpack to layers for overlayfs"),
    ("pull", "pull, and unpack to one directory"),
    ("pull-take", "pull, and unpack to layers for overlayfs"),
    ("podman", "podman pull (layers for overlayfs)"),
    ("umoci", "skopeo copy, umoci unpack (one directory)"),
];

fn main() {
    // Each turn is a process of its own, so that its memory can be told.
    let arguments: Vec<String> = env::args().collect();
    if let [_, way, place, registry, name] = &arguments[..] {
        return turn(way, Path::new(place), registry, name);
    }
    let place = tempfile::tempdir().expect("a temporary directory");
    let made = SORTS.map(|sort| make_image(place.path(), &sort));
    let registry = Registry::serve(&place.path().join("store"));
    for (sort, (files, bytes)) in SORTS.iter().zip(made) {
        println!("{files} files with {:.0} MB in {LAYERS} layers", bytes as f64 / 1e6);
        measure(place.path(), &registry.host, sort.name);
        println!();
    }
}

fn measure(place: &Path, registry: &str, name: &str) {
    let ways: Vec<_> = WAYS.iter().filter(|(way, _)| can(way)).collect();
    let mut measured: Vec<Vec<(f64, u64)>> = vec![Vec::new(); ways.len()];
    for _ in 0..TURNS {
        for ((way, _), measured) in ways.iter().zip(&mut measured) {
            measured.push(child(way, place, registry, name));
        }
    }
    let results: Vec<_> = measured
        .into_iter()
        .map(|mut turns| {
            turns.sort_by(|one, other| one.0.total_cmp(&other.0));
            let most = turns.iter().map(|(_, memory)| *memory).max().unwrap_or_default();
            (turns[turns.len() / 2].0, turns[0].0, most)
        })
        .collect();
    println!("{:<44} {:>9} {:>9} {:>9} {:>9}", "what", "median", "best", "of floor", "memory");
    let floor = results[0];
    for ((way, what), (median, best, memory)) in ways.iter().zip(&results) {
        let memory = match *memory {
            0 => String::new(),
            kib => format!("{:.1} MB", kib as f64 / 1024.0),
        };
        let budget = if way.starts_with("pull") { "   at most 1.3, 64 MB, and faster than others" } else { "" };
        println!("{what:<44} {median:>7.0}ms {best:>7.0}ms {:>9.2} {memory:>9}{budget}", median / floor.0);
    }
}

/// `hardway registry serve` over the store with the image.
struct Registry {
    server: Child,
    host: String,
}

impl Registry {
    fn serve(store: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hardway"));
        command.args(["registry", "serve", "--listen", "127.0.0.1:0", "--store"]).arg(store);
        let mut server = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("a registry");
        let mut line = String::new();
        let said = server.stdout.take().expect("a pipe");
        BufReader::new(said).read_line(&mut line).expect("its address");
        let host = line.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("an address").0.to_owned();
        Self { server, host }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Whether the programs are here; podman's storage is root's.
fn can(way: &str) -> bool {
    let programs: &[&str] = match way {
        "podman" => &["podman", "unshare"],
        "umoci" => &["skopeo", "umoci"],
        _ => &[],
    };
    let path = env::var_os("PATH").unwrap_or_default();
    let installed = |program: &&str| env::split_paths(&path).any(|directory| directory.join(program).exists());
    programs.iter().all(installed) && (programs.is_empty() || hardway::kernel::host::effective_uid() == 0)
}

fn child(way: &str, place: &Path, registry: &str, name: &str) -> (f64, u64) {
    let mut command = Command::new(env::current_exe().expect("this program"));
    let output = command.arg(way).arg(place).args([registry, name]).output().expect("a turn");
    assert!(output.status.success(), "{way}: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    let (time, memory) = said.trim().split_once(' ').expect("two numbers");
    fs::remove_dir_all(place.join(way)).expect("it can be removed");
    (time.parse().expect("a number"), memory.parse().expect("a number"))
}

fn turn(way: &str, place: &Path, registry: &str, name: &str) {
    let at = place.join(way);
    let begin = Instant::now();
    match way {
        "podman" | "umoci" => {
            fs::create_dir(&at).expect("a directory");
            let begin = Instant::now();
            other(way, &at, registry, name);
            return println!("{} 0", begin.elapsed().as_secs_f64() * 1e3);
        }
        "pull" | "pull-take" => {
            fs::create_dir(&at).expect("a directory");
            let (client, store) = (Client::new(Options::default()), Store::open(at.join("store")).expect("a store"));
            let from = format!("{registry}/{name}").parse().expect("a reference");
            Transfer::new().pull(&client.expect("a client"), &from, &store, "image").expect("an image");
            unpack(if way == "pull" { "flat" } else { "take" }, &store, &at.join("tree"), "image");
        }
        _ => unpack(way, &Store::open(place.join("store")).expect("a store"), &at, name),
    }
    let time = begin.elapsed().as_secs_f64() * 1e3;
    let status = fs::read_to_string("/proc/self/status").expect("proc_pid_status(5)");
    let memory = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the most memory that it had");
    println!("{time} {}", memory.trim().trim_end_matches(" kB"));
}

fn unpack(way: &str, store: &Store, at: &Path, name: &str) {
    let image = store.resolve(name).expect("an index").expect("an image");
    let image = store.image(&image, &here()).expect("an image");
    match way {
        "flat" => drop(Unpack::new().flat(store, &image, at).expect("a root file system")),
        "take" => drop(Snapshots::open(at).expect("snapshots").take(store, &image).expect("layers")),
        _ => floor(store, &image, at),
    }
}

/// Other programs, in their own mount namespace, with all that they keep in `at`.
fn other(way: &str, at: &Path, registry: &str, name: &str) {
    let line = match way {
        "podman" => {
            "exec podman --root $PWD/storage --runroot $PWD/running --storage-driver overlay --events-backend none \
             --cgroup-manager cgroupfs pull -q --tls-verify=false --signature-policy $PWD/policy.json $0/$1"
        }
        _ => {
            "skopeo --insecure-policy copy -q --src-tls-verify=false docker://$0/$1 oci:layout:image &&
             exec umoci unpack --image layout:image tree"
        }
    };
    fs::write(at.join("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).expect("a file");
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", line, registry, name])
        .current_dir(at)
        .env("HOME", at);
    let output = command.env("TMPDIR", at).env("XDG_RUNTIME_DIR", at).output().expect("a program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

struct Hashed<R>(R, Sha256);

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.update(&buffer[..count]);
        Ok(count)
    }
}

/// No less can be done, by one thread.
fn floor(store: &Store, image: &Image, at: &Path) {
    fs::create_dir(at).expect("a directory");
    let mut buffer = vec![0; 64 * 1024];
    for layer in &image.layers {
        let blob = store.blob(layer.descriptor.digest()).expect("a blob");
        let mut archive = tar::Archive::new(Hashed(GzDecoder::new(blob), Sha256::new()));
        for entry in archive.entries().expect("an archive") {
            let mut entry = entry.expect("an entry");
            let path = at.join(entry.path().expect("a path"));
            match entry.header().entry_type() {
                tar::EntryType::Directory => fs::create_dir_all(path).expect("a directory"),
                tar::EntryType::Symlink => {
                    symlink(entry.link_name().expect("a link").expect("a link"), path).expect("a link");
                }
                _ => {
                    let mut file = File::create(path).expect("a file");
                    loop {
                        match entry.read(&mut buffer).expect("data") {
                            0 => break,
                            count => file.write_all(&buffer[..count]).expect("it can be written"),
                        }
                    }
                }
            }
        }
        let mut rest = archive.into_inner();
        io::copy(&mut rest, &mut io::sink()).expect("the rest");
        let found: String = rest.1.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, layer.diff_id.digest());
    }
}

/// Of files below /usr, in their order, until there are enough.
fn make_image(place: &Path, sort: &Sort) -> (usize, u64) {
    let store = Store::open(place.join("store")).expect("a store");
    let (mut files, mut bytes) = (0, 0);
    let mut left = ["share", "bin", "lib"].map(|name| Path::new("/usr").join(name)).to_vec();
    let mut layers = Vec::new();
    let mut diff_ids = Vec::new();
    for number in 1..=LAYERS {
        let mut builder = tar::Builder::new(Vec::new());
        builder.follow_symlinks(false);
        while bytes < sort.total * number as u64 / LAYERS as u64
            && let Some(path) = left.pop()
        {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let name = path.strip_prefix("/").expect("it is absolute").to_owned();
            if metadata.is_dir() {
                let mut inside: Vec<PathBuf> =
                    fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
                // In an order of its own, the files of a directory together.
                inside.sort_by_key(|path| (!path.is_dir(), path.clone()));
                left.extend(inside);
                builder.append_dir(name, &path).expect("memory");
            } else if (metadata.is_symlink() || (metadata.is_file() && metadata.size() < sort.largest))
                && builder.append_path_with_name(&path, name).is_ok()
            {
                files += 1;
                bytes += if metadata.is_file() { metadata.size() } else { 0 };
            }
        }
        let archive = builder.into_inner().expect("memory");
        diff_ids.push(rootfs_fetch::image::digest_of(&archive).to_string());
        let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
        gzip.write_all(&archive).expect("memory");
        layers.push(add(&store, MediaType::ImageLayerGzip, &gzip.finish().expect("memory")));
    }
    let config = json!({"architecture": here().architecture(), "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = add(&store, MediaType::ImageConfig, config.to_string().as_bytes());
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MediaType::ImageManifest, "config": config, "layers": layers});
    let manifest = add(&store, MediaType::ImageManifest, manifest.to_string().as_bytes());
    store.tag(sort.name, &manifest).expect("a name");
    (files, bytes)
}

fn add(store: &Store, kind: MediaType, bytes: &[u8]) -> Descriptor {
    Descriptor::new(kind, bytes.len() as u64, store.add(bytes).expect("it can be written"))
}

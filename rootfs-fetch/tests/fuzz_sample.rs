//! What the fuzzers of ELF files, and of what images are made of, look for, on a few inputs that are nearly right: so that it is looked for at every
//! run.

use std::path::Path;

use proptest::prelude::*;
use rootfs_fetch::image::{MediaType, digest_of};
use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "../../fuzz/properties/archive.rs"]
mod archive;
#[path = "../../fuzz/properties/challenge.rs"]
mod challenge;
#[path = "../../fuzz/properties/config.rs"]
mod config;
#[path = "../../fuzz/properties/elf.rs"]
mod elf;
#[path = "layers/archive.rs"]
#[allow(dead_code)]
mod entries;
#[path = "../../fuzz/properties/layer.rs"]
mod layer;
#[path = "../../fuzz/properties/manifest.rs"]
mod manifest;
#[path = "../../fuzz/properties/mended.rs"]
mod mended;
#[path = "../../fuzz/properties/reference.rs"]
mod reference;
mod support;
use entries::{Entry, directory, file, hardlink, symlink, whiteout};
use support::Made;

/// What some properties need, in a directory that goes away with the thread.
struct Places {
    archive: archive::Place,
    layer: layer::Place,
    reference: reference::Place,
    machine: TempDir,
}

thread_local! {
    static PLACES: Places = {
        let machine = TempDir::new().expect("a temporary directory");
        elf::machine(&machine.path().join("machine"));
        let place = |name: &str| machine.path().join(name);
        Places {
            archive: archive::Place::new(&place("archive")),
            layer: layer::Place::new(&place("layer")),
            reference: reference::Place::new(&place("reference")),
            machine,
        }
    };
}

fn elf(bytes: &[u8]) {
    PLACES.with(|places| elf::holds(&places.machine.path().join("machine"), bytes));
}

fn layer(bytes: &[u8]) -> bool {
    PLACES.with(|places| places.layer.holds(bytes))
}

fn archive(bytes: &[u8]) -> bool {
    PLACES.with(|places| places.archive.holds(bytes))
}

fn reference(bytes: &[u8]) -> bool {
    PLACES.with(|places| places.reference.holds(bytes))
}

fn programs() -> Vec<Vec<u8>> {
    let program = Made::program().needs(&["libx.so", "libc.so.6"]);
    let musl = Made { interpreter: Some("/lib/ld-musl-x86_64.so.1".into()), ..program.clone() };
    let paths = Made { runpath: Some("$ORIGIN/../lib:/lib/$LIB".into()), ..program.clone() };
    let narrow = Made { wide: false, big: true, ..program.clone() };
    let made = [program, musl, paths, narrow, Made::library()].map(|made| made.bytes());
    made.into_iter().chain([b"#! /bin/sh -e\ninclude /etc/*.conf\n/lib:/srv\n".to_vec()]).collect()
}

fn bytes(texts: impl IntoIterator<Item = impl ToString>) -> Vec<Vec<u8>> {
    texts.into_iter().map(|text| text.to_string().into_bytes()).collect()
}

fn references() -> Vec<Vec<u8>> {
    let digest = digest_of(b"");
    bytes([
        "busybox".to_owned(),
        "docker.io/library/busybox:1.36".to_owned(),
        "localhost:5000/a-b/c__d.e:TAG_1".to_owned(),
        format!("Example.org/a@{digest}"),
        format!("a:1@{digest}"),
    ])
}

fn challenges() -> Vec<Vec<u8>> {
    bytes([
        r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
        r#"Newauth realm="apps", type=1, title="Login to \"apps\"", , Basic realm="simple""#,
        "Negotiate YWJj==, BASIC Realm = x",
    ])
}

fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "size": bytes.len(), "digest": digest_of(bytes)})
}

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn manifest_of(config: &[u8], layer: &[u8]) -> Value {
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar", layer);
    json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config), "layers": [layer]})
}

fn manifests() -> Vec<Vec<u8>> {
    let mut whole = manifest_of(b"{}", b"layer");
    whole["subject"] = descriptor(MANIFEST, b"subject");
    whole["artifactType"] = json!("a/b");
    whole["annotations"] = json!({"a": "b"});
    whole["layers"][0]["urls"] = json!(["https://elsewhere.example/layer"]);
    let mut entry = descriptor(MANIFEST, b"manifest");
    entry["platform"] = json!({"os": "linux", "architecture": "arm64", "variant": "v8", "os.features": ["x"]});
    let docker = "application/vnd.docker.distribution.manifest.list.v2+json";
    bytes([whole, json!({"schemaVersion": 2, "mediaType": docker, "manifests": [entry]})])
}

fn config_of(layers: &[&[u8]]) -> Value {
    let diff_ids: Vec<_> = layers.iter().map(|layer| digest_of(layer)).collect();
    json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}})
}

fn configs() -> Vec<Vec<u8>> {
    let mut whole = config_of(&[b"a", b"b", b"a"]);
    whole["created"] = json!("2026-01-01T00:00:00Z");
    whole["author"] = json!("somebody");
    whole["config"] = json!({"User": "1:2", "ExposedPorts": {"80/tcp": {}}, "Env": ["A=b"], "Entrypoint": ["/a"], "Cmd": null,
        "Volumes": {"/v": {}}, "WorkingDir": "/w", "Labels": {"a": "b"}, "StopSignal": "SIGTERM"});
    whole["history"] = json!([{"created_by": "x", "comment": "y", "empty_layer": true}]);
    bytes([whole, config_of(&[])])
}

/// With the byte before it that says how it is read.
fn how(how: u8, bytes: &[u8]) -> Vec<u8> {
    [&[how], bytes].concat()
}

fn layers() -> Vec<Vec<u8>> {
    let sparse = Entry::new(b'S', "s").field(257, b"ustar  \0").field(329, &[0; 16]).field(483, b"00000000000\0");
    let plain = entries::archive([
        directory("a"),
        file("a/f", "text").pax("mtime", "1.5").pax("SCHILY.xattr.user.x", "1"),
        symlink("l", "../canary"),
        file("out/file", "changed"),
        Entry::new(b'L', "long").data("l/long\0"),
        hardlink("h", "a/f"),
        sparse,
        whiteout("a/.wh.f"),
        whiteout("out/.wh..wh..opq"),
    ]);
    let small = entries::archive([directory("a"), file("a/f", "text")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gzip, &small).expect("memory");
    let gzip = gzip.finish().expect("memory");
    vec![how(1, &plain), how(0, &small), how(2, &gzip), how(3, &zstd::encode_all(&small[..], 0).expect("memory"))]
}

fn archives() -> Vec<Vec<u8>> {
    let layer = entries::archive([file("f", "text")]);
    let config = config_of(&[&layer]).to_string();
    let list = json!([{"Config": "c", "RepoTags": ["a:1"], "Layers": ["1/layer.tar"]}]).to_string();
    let docker = [file("c", &config), file("l", &layer), symlink("1/layer.tar", "../l"), file("manifest.json", list)];
    let manifest = manifest_of(config.as_bytes(), &layer).to_string();
    let mut entry = descriptor(MANIFEST, manifest.as_bytes());
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "a:1"});
    let index = json!({"schemaVersion": 2, "mediaType": MediaType::ImageIndex, "manifests": [entry]}).to_string();
    let blob = |bytes: &[u8]| file(format!("blobs/sha256/{}", digest_of(bytes).digest()), bytes);
    let oci = [
        blob(config.as_bytes()),
        blob(&layer),
        blob(manifest.as_bytes()),
        file("index.json", index),
        file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#),
    ];
    vec![how(1, &entries::archive(docker)), how(1, &entries::archive(oci))]
}

/// Sees that these are right, and writes them down where that is wished.
fn right(target: &str, seeds: Vec<Vec<u8>>, holds: impl Fn(&[u8]) -> bool) {
    for (number, seed) in seeds.into_iter().enumerate() {
        if let Some(corpus) = std::env::var_os("HARDWAY_FUZZ_CORPUS") {
            let path = Path::new(&corpus).join(format!("{target}/{number}"));
            std::fs::write(path, &seed).expect("a directory for seeds");
        }
        assert!(holds(&seed), "{target} {number}: {}", seed.escape_ascii());
    }
}

#[test]
fn seeds_are_right_and_written_down_where_that_is_wished() {
    right("reference", references(), reference);
    right("manifest", manifests(), manifest::holds);
    right("config", configs(), config::holds);
    right("layer", layers(), layer);
    right("challenge", challenges(), challenge::holds);
    right("archive", archives(), archive);
    // What they make of these machines depends on what is there.
    right("elf", programs(), |program| {
        elf(program);
        true
    });
}

/// One of these, with some of its bytes replaced.
fn nearly(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        prop::sample::select(vec![
            &b"\""[..],
            b"\\u001b",
            b"\0",
            b"..",
            b"/",
            b":",
            b"@",
            b"[[[[",
            b"null",
            b"9",
            b","
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    let edit = (any::<prop::sample::Index>(), 0_usize..8, piece);
    let edits = prop::collection::vec(edit, 0..5);
    (prop::sample::select(seeds), edits).prop_map(|(mut bytes, edits)| {
        for (at, length, piece) in edits {
            let start = at.index(bytes.len() + 1);
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, piece);
        }
        bytes
    })
}

/// One of these, with some of its bytes changed where they are, and perhaps cut off.
fn changed(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0), Just(255), any::<u8>(), prop::sample::select(b"./0157gxLKS".to_vec())];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), byte), 0..5);
    let cut = prop::option::weighted(0.2, any::<prop::sample::Index>());
    (prop::sample::select(seeds), edits, cut).prop_map(|(mut bytes, edits, cut)| {
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn programs_are_planned_or_refused(bytes in changed(programs())) {
        elf(&bytes);
    }

    #[test]
    fn references_are_understood_or_refused(bytes in nearly(references())) {
        reference(&bytes);
    }

    #[test]
    fn manifests_are_understood_or_refused(bytes in nearly(manifests())) {
        manifest::holds(&bytes);
    }

    #[test]
    fn configs_are_understood_or_refused(bytes in nearly(configs())) {
        config::holds(&bytes);
    }

    #[test]
    fn challenges_are_understood_or_refused(bytes in nearly(challenges())) {
        challenge::holds(&bytes);
    }

    #[test]
    fn layers_are_applied_or_refused(bytes in changed(layers())) {
        layer(&bytes);
    }

    #[test]
    fn archives_are_loaded_or_refused(bytes in changed(archives())) {
        archive(&bytes);
    }
}

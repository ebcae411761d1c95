//! Images, indexes and artifacts: what is in their documents.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rootfs_fetch::image::{Descriptor, MediaType, here};
use rootfs_fetch::pack::{
    self, ArtifactBuilder, Compression, Content, Format, ImageBuilder, LayerWriter, Metadata, Options, PackError,
    PackedLayer,
};
use rootfs_fetch::store::{Image, Store, StoreError};
use serde_json::{Value, json};

use crate::lab::{Lab, plain, tree};

/// A layer with one file.
fn layer(store: &Store, text: &str, compression: Compression) -> PackedLayer {
    let mut writer = LayerWriter::new(store, &Options { compression, ..Options::default() }).expect("a writer");
    let content = Content::File { size: text.len() as u64, data: &mut text.as_bytes() };
    writer.add(Path::new("file"), &Metadata::new(0o644), content).expect("an entry");
    writer.finish().expect("a layer")
}

fn json_of(store: &Store, descriptor: &Descriptor) -> Value {
    let bytes = store.small(descriptor.digest(), 1 << 20).expect("a blob");
    assert_eq!(bytes.len() as u64, descriptor.size());
    serde_json::from_slice(&bytes).expect("JSON")
}

fn image(store: &Store, descriptor: &Descriptor) -> Image {
    store.image(descriptor, &here()).expect("an image")
}

fn builder(store: &Store) -> ImageBuilder {
    let gzip = layer(store, "one", Compression::Gzip(6));
    let builder = ImageBuilder::new(store, &here()).author("Ada <ada@example.org>");
    let builder = builder.created(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).expect("a time");
    let builder = builder.layer(&gzip, "COPY file /").env("PATH", "/bin").env("A", "1").env("PATH", "/usr/bin");
    let builder = builder.history("ENV PATH=/usr/bin").cmd(["sh", "-c", "true"]).entrypoint(["/init"]);
    let builder = builder.working_dir("/srv").user("7:8").expose("80/tcp").volume("/data").stop_signal("SIGINT");
    builder.label("z", "1").label("a", "2")
}

#[test]
fn a_config_says_how_it_came_to_be_and_what_is_run() {
    let lab = Lab::new();
    let descriptor = builder(&lab.store).annotation("org.example.b", "2").write(Format::Oci).expect("an image");
    assert_eq!(descriptor.platform(), &Some(here()));
    let found = image(&lab.store, &descriptor);
    let diff_id = found.layers[0].diff_id.to_string();
    let manifest = json_of(&lab.store, &descriptor);
    assert_eq!(manifest["annotations"], json!({"org.example.b": "2"}));
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    let time = "2001-09-09T01:46:40Z";
    let author = "Ada <ada@example.org>";
    let wanted = json!({
        "architecture": here().architecture(),
        "os": "linux",
        "created": time,
        "author": author,
        "config": {
            "Env": ["PATH=/usr/bin", "A=1"],
            "Cmd": ["sh", "-c", "true"],
            "Entrypoint": ["/init"],
            "WorkingDir": "/srv",
            "User": "7:8",
            "ExposedPorts": {"80/tcp": {}},
            "Volumes": {"/data": {}},
            "StopSignal": "SIGINT",
            "Labels": {"a": "2", "z": "1"},
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [
            {"created": time, "author": author, "created_by": "COPY file /"},
            {"created": time, "author": author, "created_by": "ENV PATH=/usr/bin", "empty_layer": true},
        ],
    });
    assert_eq!(json_of(&lab.store, found.manifest.config()), wanted);
}

#[test]
fn the_same_image_is_the_same_bytes_with_sorted_keys() {
    let (lab, other) = (Lab::new(), Lab::new());
    for format in [Format::Oci, Format::Docker] {
        let one = builder(&lab.store).write(format).expect("an image");
        assert_eq!(builder(&other.store).write(format).expect("an image"), one);
        let bytes = lab.store.small(image(&lab.store, &one).manifest.config().digest(), 1 << 20).expect("a config");
        let text = String::from_utf8(bytes).expect("text");
        assert!(text.starts_with(r#"{"architecture":"#) && text.contains(r#""Labels":{"a":"2","z":"1"}"#), "{text}");
    }
}

#[test]
fn an_image_on_another_keeps_what_it_does_not_know() {
    let lab = Lab::new();
    let base = layer(&lab.store, "base", Compression::Gzip(1));
    // As others write them: null for none, more fields than image-spec has, and no history.
    let config = json!({
        "architecture": "amd64", "os": "linux", "docker_version": "26.1", "created": "2024-01-01T00:00:00.123Z",
        "config": {"Env": null, "Healthcheck": {"Test": ["NONE"]}, "Cmd": ["old"]},
        "rootfs": {"type": "layers", "diff_ids": [base.diff_id.to_string()]}, "history": null,
    });
    let put = |kind: MediaType, value: &Value| {
        let bytes = value.to_string();
        Descriptor::new(kind, bytes.len() as u64, lab.store.add(bytes.as_bytes()).expect("a blob"))
    };
    let config = put("application/vnd.docker.container.image.v1+json".into(), &config);
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    let entry = Descriptor::new(gzip.into(), base.size, base.digest.clone());
    let manifest = json!({"schemaVersion": 2, "mediaType": docker, "config": config, "layers": [entry]});
    let base = image(&lab.store, &put(docker.into(), &manifest));
    assert_eq!(Format::of(&base.manifest), Format::Docker);

    let top = layer(&lab.store, "top", Compression::None);
    let builder = ImageBuilder::on(&lab.store, &base).expect("a builder").layer(&top, "RUN echo top >file");
    let builder = builder.env("A", "b");
    for (format, kinds) in [
        (Format::Docker, [gzip, "application/vnd.docker.image.rootfs.diff.tar"]),
        (Format::Oci, ["application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar"]),
    ] {
        let found = image(&lab.store, &builder.clone().write(format).expect("an image"));
        assert_eq!(Format::of(&found.manifest), format);
        let told: Vec<&str> = found.layers.iter().map(|layer| layer.descriptor.media_type().as_ref()).collect();
        assert_eq!(told, kinds);
        let config = json_of(&lab.store, found.manifest.config());
        assert_eq!(config["docker_version"], "26.1");
        assert_eq!(config["config"], json!({"Env": ["A=b"], "Healthcheck": {"Test": ["NONE"]}, "Cmd": ["old"]}));
        // One entry for each layer: nobody knows how the first came to be.
        assert_eq!(config["history"][0], json!({}));
        assert_eq!(config["history"][1]["created_by"], "RUN echo top >file");
    }
}

#[test]
fn docker_has_no_zstd_and_no_annotations() {
    let lab = Lab::new();
    let zstd = layer(&lab.store, "", Compression::Zstd(3));
    let builder = ImageBuilder::new(&lab.store, &here());
    let with_zstd = builder.clone().layer(&zstd, "");
    assert!(with_zstd.clone().write(Format::Oci).is_ok());
    for builder in [with_zstd, builder.annotation("a", "b")] {
        assert!(matches!(builder.write(Format::Docker), Err(PackError::Image(_))));
    }
    for compression in [Compression::Gzip(10), Compression::Zstd(0), Compression::Zstd(23)] {
        let options = Options { compression, ..Options::default() };
        assert!(matches!(LayerWriter::new(&lab.store, &options), Err(PackError::Image(_))), "{compression:?}");
    }
}

#[test]
fn an_index_leads_to_the_image_of_each_platform() {
    let lab = Lab::new();
    for format in [Format::Oci, Format::Docker] {
        let platforms = ["arm64", "riscv64"].map(|name| {
            let mut platform = here();
            platform.set_architecture(name.into());
            platform
        });
        let images = platforms.clone().map(|platform| {
            let text = platform.architecture().to_string();
            let layer = layer(&lab.store, &text, Compression::Gzip(6));
            ImageBuilder::new(&lab.store, &platform).layer(&layer, "").write(format).expect("an image")
        });
        let index = pack::index(&lab.store, &images, format).expect("an index");
        for (platform, wanted) in platforms.iter().zip(&images) {
            assert_eq!(lab.store.image(&index, platform).expect("an image").descriptor, *wanted);
        }
    }
}

#[test]
fn nothing_is_written_that_names_what_is_not_there() {
    let lab = Lab::new();
    let other = Lab::new();
    let elsewhere = builder(&other.store);
    let descriptor = elsewhere.write(Format::Oci).expect("an image");
    let gone = layer(&other.store, "gone", Compression::None);
    for made in [
        ImageBuilder::new(&lab.store, &here()).layer(&gone, "").write(Format::Oci),
        pack::index(&lab.store, std::slice::from_ref(&descriptor), Format::Oci),
        ArtifactBuilder::new(&lab.store, "text/plain").blob(descriptor.clone()).write(),
    ] {
        assert!(matches!(made, Err(PackError::Store(StoreError::NoBlob(_)))), "{made:?}");
    }
    // A list is of Docker's manifests only, each of a platform.
    let list = pack::index(&other.store, &[descriptor], Format::Docker);
    assert!(matches!(list, Err(PackError::Image(_))), "{list:?}");
}

#[test]
fn an_artifact_is_about_its_subject() {
    let lab = Lab::new();
    let subject = builder(&lab.store).write(Format::Oci).expect("an image");
    let artifact = ArtifactBuilder::new(&lab.store, "application/vnd.example.sbom").subject(&subject);
    let artifact = artifact.annotation("org.example.a", "1").bytes(b"[]", "application/json").expect("a blob");
    let descriptor = artifact.write().expect("an artifact");
    assert_eq!(descriptor.artifact_type().as_ref().map(AsRef::as_ref), Some("application/vnd.example.sbom"));
    let empty = json!({
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "size": 2,
    });
    let found = json_of(&lab.store, &descriptor);
    assert_eq!(found["config"], empty);
    assert_eq!(found["artifactType"], "application/vnd.example.sbom");
    assert_eq!(found["subject"]["digest"], subject.digest().to_string());
    assert_eq!(found["layers"][0]["mediaType"], "application/json");
    let (_, document) = lab.store.document(descriptor.digest()).expect("a document");
    assert_eq!(document.subject().map(Descriptor::digest), Some(subject.digest()));

    let bare = ArtifactBuilder::new(&lab.store, "text/plain").write().expect("an artifact");
    assert_eq!(json_of(&lab.store, &bare)["layers"], json!([empty]));
    assert!(matches!(ArtifactBuilder::new(&lab.store, "plain").write(), Err(PackError::Image(_))));
}

#[test]
fn a_changed_tree_is_a_layer_on_its_image_and_the_same_tree_is_none() {
    let lab = Lab::new();
    let lower = lab.directory("lower");
    std::fs::write(lower.join("busybox"), "applets").expect("a file");
    let base = pack::tree(&lab.store, &lower, &Options::default()).expect("a layer");
    let base = ImageBuilder::new(&lab.store, &here()).layer(&base, "FROM scratch").write(Format::Docker);
    let base = image(&lab.store, &base.expect("an image"));

    let same = lab.copy(&lower, "same");
    let same = pack::repack(&lab.store, &base, (&lower, &same), "RUN true", &plain()).expect("an image");
    let same = image(&lab.store, &same);
    assert_eq!(same.layers, base.layers);
    assert_eq!(json_of(&lab.store, same.manifest.config())["history"][1]["empty_layer"], true);

    let changed = lab.copy(&lower, "changed");
    std::fs::remove_file(changed.join("busybox")).expect("a file");
    let made = pack::repack(&lab.store, &base, (&lower, &changed), "RUN rm busybox", &plain()).expect("an image");
    let made = image(&lab.store, &made);
    assert_eq!(Format::of(&made.manifest), Format::Docker);
    assert_eq!(made.layers.len(), 2);
    assert_eq!(made.layers[0], base.layers[0]);
    let layer = pack::diff(&lab.store, &lower, &changed, &plain()).expect("a layer");
    assert_eq!(layer.diff_id, made.layers[1].diff_id);
    // The whiteout; and the root, whose time is now that of the removal.
    assert_eq!(lab.names(&layer), ["./", ".wh.busybox"]);
    lab.apply(&layer, &lower);
    assert_eq!(tree(&lower), tree(&changed));
}

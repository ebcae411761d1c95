//! A store with images that are made up.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use rootfs_fetch::image::{Descriptor, MediaType, digest_of, here};
use rootfs_fetch::store::{Image, Store};
use rootfs_fetch::unpack::{Snapshots, Taken, Unpack, UnpackError, Unpacked};
use serde_json::json;
use tempfile::TempDir;

use crate::archive::{Entry, archive, directory, file, hardlink, symlink, whiteout};

pub fn root() -> bool {
    rustix::process::geteuid().is_root()
}

pub fn in_a_user_namespace() -> bool {
    !fs::read_to_string("/proc/self/uid_map").expect("the ids of this user namespace").contains("4294967295")
}

pub struct Lab {
    place: TempDir,
    pub store: Store,
    /// Layers are compressed by so many ways, one after the other: gzip, none, zstd.
    pub ways: usize,
}

impl Lab {
    pub fn new() -> Self {
        Self::within(TempDir::new().expect("a temporary directory"))
    }

    pub fn within(place: TempDir) -> Self {
        let store = Store::open(place.path().join("store")).expect("a store");
        Self { place, store, ways: 3 }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Puts an image of these layers in, the lowest first, compressed by one way after the other.
    pub fn image(&self, name: &str, layers: impl IntoIterator<Item = Vec<Entry>>) -> Image {
        self.image_of(name, layers.into_iter().map(archive).collect(), |_, _| {})
    }

    /// As [`Lab::image`], of archives; the `diff_ids` can be changed.
    pub fn image_of(&self, name: &str, archives: Vec<Vec<u8>>, change: impl Fn(usize, &mut String)) -> Image {
        let mut diff_ids: Vec<_> = archives.iter().map(|archive| digest_of(archive).to_string()).collect();
        diff_ids.iter_mut().enumerate().for_each(|(number, diff_id)| change(number, diff_id));
        let layers: Vec<_> = archives.iter().enumerate().map(|(number, archive)| self.layer(number, archive)).collect();
        let config = json!({"architecture": here().architecture(), "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = self.add(MediaType::ImageConfig, config.to_string().as_bytes());
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MediaType::ImageManifest, "config": config, "layers": layers});
        let manifest = self.add(MediaType::ImageManifest, manifest.to_string().as_bytes());
        self.store.tag(name, &manifest).expect("a name");
        self.store.image(&manifest, &here()).expect("an image")
    }

    fn layer(&self, number: usize, archive: &[u8]) -> Descriptor {
        match number % self.ways {
            0 => {
                let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
                gzip.write_all(archive).expect("memory");
                self.add(MediaType::ImageLayerGzip, &gzip.finish().expect("memory"))
            }
            1 => self.add(MediaType::ImageLayer, archive),
            _ => self.add(MediaType::ImageLayerZstd, &zstd::encode_all(archive, 1).expect("memory")),
        }
    }

    fn add(&self, kind: MediaType, bytes: &[u8]) -> Descriptor {
        Descriptor::new(kind, bytes.len() as u64, self.store.add(bytes).expect("it can be written"))
    }

    pub fn flat(&self, image: &Image, name: &str) -> Result<Unpacked, UnpackError> {
        Unpack::new().flat(&self.store, image, &self.path(name))
    }

    pub fn snapshots(&self) -> Snapshots {
        Snapshots::open(self.path("snapshots")).expect("snapshots")
    }

    pub fn take(&self, image: &Image) -> Result<Taken, UnpackError> {
        self.snapshots().take(&self.store, image)
    }

    /// What is beside the store: nothing may be left there that nobody asked for.
    pub fn beside(&self) -> Vec<String> {
        names(self.place.path()).into_iter().filter(|name| name != "store").collect()
    }
}

pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

/// What images have, and what they should not.
pub fn nasty() -> Vec<Vec<Entry>> {
    let long = "a-long-name-".repeat(18);
    let many = (0..300).map(|number| file(format!("many/{number}"), format!("{number}").repeat(number)));
    let mut base = vec![
        directory("./").mode(0o755),
        directory("usr").mode(0o755),
        directory("usr/bin"),
        file("usr/bin/su", "#!/bin/sh\n").mode(0o4755),
        file("usr/bin/wall", "w").mode(0o2755),
        symlink("bin", "usr/bin"),
        directory("tmp").mode(0o1777),
        directory("group").mode(0o2775),
        file("group/inherits", "no"),
        file("old", "before 1970").pax("mtime", "-86400.5"),
        file("fine", "to the nanosecond").pax("mtime", "1234567890.123456789"),
        file("secret", "nobody's").mode(0o000),
        file("read-only", "for all").mode(0o444),
        file("wide", "for all").mode(0o777),
        directory("closed").mode(0o500),
        file("closed/inside", "1"),
        file("one", "of two names"),
        hardlink("other", "one"),
        symlink("loop", "loop"),
        symlink("nowhere", "/not/there"),
        directory(&long),
        file(format!("{long}/{long}"), "long"),
        Entry::new(b'6', "fifo").mode(0o622),
        file("attributed", "x").pax("SCHILY.xattr.user.colour", "blue\nand = green").mode(0o444),
        file("gone", "1"),
        directory("dir-to-file"),
        file("dir-to-file/inside", "1"),
        file("file-to-dir", "1"),
        symlink("link-to-file", "gone"),
        directory("opaque"),
        file("opaque/hidden", "1"),
        directory("opaque/deep"),
        file("opaque/deep/hidden", "1"),
        directory("kept").mode(0o711),
        file("kept/lower", "1"),
        directory("many"),
        file("large", vec![7; 3_000_000]),
        file("empty", ""),
        file(b"not-utf-8-\xff", "x"),
    ];
    if root() && !in_a_user_namespace() {
        base.extend([
            file("somebody's", "x").owner(1234, 5678).mode(0o4711),
            symlink("somebody's-link", "x").owner(1234, 5678),
            directory("somebody's-dir").owner(1234, 5678).mode(0o2750),
            Entry::new(b'3', "null").device(1, 3).mode(0o666),
            Entry::new(b'4', "disk").device(7, 200).mode(0o660).owner(0, 6),
            file("capable", "x")
                .pax("SCHILY.xattr.security.capability", b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ]);
    }
    base.extend(many);
    vec![
        base,
        vec![
            whiteout(".wh.gone"),
            whiteout(".wh.dir-to-file"),
            file("dir-to-file", "2"),
            whiteout(".wh.file-to-dir"),
            directory("file-to-dir"),
            file("file-to-dir/inside", "2"),
            file("link-to-file", "2"),
            directory("opaque").mode(0o750),
            whiteout("opaque/.wh..wh..opq"),
            file("opaque/own", "2"),
            directory("many"),
            whiteout("many/.wh.7"),
            file("many/8", "2"),
            hardlink("many/8-again", "many/8"),
        ],
        // Through what only lower layers have.
        vec![
            file("kept/upper", "3"),
            file("usr/bin/new", "3").mode(0o755),
            file("bin/by-link", "3"),
            file("closed/upper", "3"),
            whiteout("bin/.wh.wall"),
        ],
        vec![
            directory("./").mode(0o555).pax("mtime", "1111111111.5"),
            file("gone", "again"),
            whiteout(".wh.fifo"),
            directory("opaque"),
            directory("opaque/deep"),
            file("opaque/deep/again", "4"),
            file("one", "4"),
        ],
        Vec::new(),
    ]
}

/// Where one layer links to a file of another.
pub fn linked() -> Vec<Vec<Entry>> {
    vec![
        vec![
            directory("d").mode(0o751),
            file("d/f", "1").mode(0o4755).pax("SCHILY.xattr.user.colour", "red"),
            file("g", "1"),
        ],
        vec![hardlink("d/linked", "d/f"), directory("e"), hardlink("e/g", "g"), hardlink("e/again", "g")],
    ]
}

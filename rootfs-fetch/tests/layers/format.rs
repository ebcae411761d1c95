//! The archive itself: how it is compressed, where it ends, and what two readers could read differently.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use rootfs_fetch::image::{MediaType, Verified, digest_of};
use rootfs_fetch::layer::{Applied, Layer, LayerError, Limits};

use crate::archive::{Entry, archive, directory, file};
use crate::lab::Lab;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("bytes");
    encoder.finish().expect("gzip")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("zstd")
}

fn apply(lab: &Lab, layer: &Layer, bytes: impl Read + Send) -> Result<Applied, LayerError> {
    let applied = layer.apply(bytes, &lab.flat(), &mut |_| {});
    lab.unharmed();
    applied
}

fn small() -> Vec<u8> {
    archive([directory("d"), file("d/f", "text")])
}

#[test]
fn each_compression_is_read_under_its_own_name_only() {
    let tar = small();
    let docker = |suffix: &str| MediaType::from(&*format!("application/vnd.docker.image.rootfs.diff.tar{suffix}"));
    let (first, second) = tar.split_at(700);
    let kinds = [
        (tar.clone(), [MediaType::ImageLayer, MediaType::ImageLayerNonDistributable, docker("")]),
        // Members and frames follow each other, as parallel compressors write them.
        (
            [gzip(first), gzip(b""), gzip(second)].concat(),
            [MediaType::ImageLayerGzip, MediaType::ImageLayerNonDistributableGzip, docker(".gzip")],
        ),
        (
            [b"\x52\x2a\x4d\x18\x03\0\0\0abc".to_vec(), zstd(first), zstd(second)].concat(),
            [MediaType::ImageLayerZstd, MediaType::ImageLayerNonDistributableZstd, docker(".zstd")],
        ),
    ];
    for (number, (bytes, names)) in kinds.iter().enumerate() {
        for name in names {
            let lab = Lab::new();
            let applied = apply(&lab, &Layer::new(name.clone()).diff_id(digest_of(&tar)), &bytes[..]).expect("a layer");
            assert_eq!(lab.read("d/f"), "text");
            assert_eq!(applied.diff_id, digest_of(&tar));
        }
        let (others, _) = &kinds[(number + 1) % kinds.len()];
        let lab = Lab::new();
        let wrong = apply(&lab, &Layer::new(names[0].clone()), &others[..]);
        assert!(matches!(wrong, Err(LayerError::Compression { .. })), "{wrong:?}");
    }
    let unknown = apply(&Lab::new(), &Layer::new(MediaType::ImageConfig), &tar[..]);
    assert!(matches!(unknown, Err(LayerError::MediaType(_))), "{unknown:?}");
}

#[test]
fn the_bytes_are_read_to_their_end_where_their_own_digest_is_told() {
    let tar = small();
    for (bytes, kind) in [
        (tar.clone(), MediaType::ImageLayer),
        (gzip(&tar), MediaType::ImageLayerGzip),
        (zstd(&tar), MediaType::ImageLayerZstd),
    ] {
        let read = |announced: &[u8], size| {
            let verified = Verified::new(&bytes[..], &digest_of(announced), size).expect("a digest that is known");
            apply(&Lab::new(), &Layer::new(kind.clone()), verified).map_err(|error| error.to_string())
        };
        let size = bytes.len() as u64;
        read(&bytes, size).expect("the right bytes");
        let wrong = read(b"others", size).expect_err("other bytes");
        assert!(wrong.contains("the digest is"), "{kind}: {wrong}");
        let long = read(&bytes, size - 1).expect_err("more bytes");
        assert!(long.contains("goes on"), "{kind}: {long}");
    }
}

#[test]
fn the_digest_is_that_of_all_bytes() {
    let lab = Lab::new();
    let mut long = small();
    long.extend(b"what follows the end is no part of the archive, and of the digest");
    let layer = Layer::new(MediaType::ImageLayer);
    assert_eq!(apply(&lab, &layer, &long[..]).expect("a layer").diff_id, digest_of(&long));
    let wrong = apply(&lab, &layer.clone().diff_id(digest_of(&small())), &long[..]);
    assert!(matches!(wrong, Err(LayerError::DiffId { .. })), "{wrong:?}");
    let other = format!("sha384:{}", "0".repeat(96)).parse().expect("a digest");
    let wrong = apply(&lab, &layer.diff_id(other), &long[..]);
    assert!(matches!(wrong, Err(LayerError::Algorithm(_))), "{wrong:?}");
}

#[test]
fn an_archive_may_be_empty_and_without_an_end() {
    let lab = Lab::new();
    let without_end = file("f", "x").bytes();
    for bytes in [vec![], vec![0; 512], vec![0; 1024], vec![0; 10240], without_end.clone()] {
        lab.bytes(&bytes, &lab.flat()).expect("a layer");
    }
    assert_eq!(lab.paths(), ["f"]);
    // Nor does the last member need padding; but what it announces has to follow.
    for length in 513..1024 {
        let lab = Lab::new();
        lab.bytes(&without_end[..length], &lab.flat()).expect("a layer");
        assert_eq!(lab.read("f"), "x");
    }
    let announced = Entry::new(b'x', "pax").data("17 path=replaced\n").bytes();
    let error = lab.bytes(&announced[..512 + 17], &lab.flat()).expect_err("a member that is missing");
    assert!(error.to_string().contains("was announced"), "{error}");
}

#[test]
fn a_layer_that_is_cut_off_is_refused() {
    let tar = archive([directory("d"), file("d/f".repeat(60), "x".repeat(600)), file("g", "")]);
    // At each byte but those between members and in the padding of data, where an archive may end without its end blocks.
    let lab = Lab::new();
    let data = tar.len() - 1024 - 512 - 1024;
    for length in
        (1..tar.len() - 1024).filter(|length| length % 512 != 0 && !(data + 600..data + 1024).contains(length))
    {
        assert!(lab.bytes(&tar[..length], &lab.flat()).is_err(), "{length}");
    }
    for (bytes, kind) in [(gzip(&tar), MediaType::ImageLayerGzip), (zstd(&tar), MediaType::ImageLayerZstd)] {
        for length in 4..bytes.len() {
            assert!(apply(&lab, &Layer::new(kind.clone()), &bytes[..length]).is_err(), "{kind} {length}");
        }
        let garbage = [&bytes[..], b"garbage"].concat();
        assert!(apply(&lab, &Layer::new(kind), &garbage[..]).is_err());
    }
}

#[test]
fn bombs_are_stopped() {
    let lab = Lab::new();
    let limits = Limits { uncompressed: 1 << 20, entries: 100, file: 1 << 30, names: 1 << 10 };
    let (gz, zst) = (MediaType::ImageLayerGzip, MediaType::ImageLayerZstd);
    let large = archive([file("f", vec![0; 2 << 20])]);
    let garbage = [small(), vec![1; 2 << 20]].concat();
    for bytes in [&large, &garbage] {
        for (bytes, kind) in [(gzip(bytes), gz.clone()), (zstd(bytes), zst.clone())] {
            let stopped = apply(&lab, &Layer::new(kind).limits(limits), &bytes[..]);
            assert!(matches!(stopped, Err(LayerError::Limit { limit: 0x10_0000, .. })), "{stopped:?}");
        }
    }
    let many = archive((0..101).map(|_| file("same", "")));
    let stopped = apply(&lab, &Layer::new(MediaType::ImageLayer).limits(limits), &many[..]);
    assert!(matches!(stopped, Err(LayerError::Limit { what: "entries", limit: 100 })), "{stopped:?}");
    let deep = archive((0..9).map(|number| directory(format!("{number}/").repeat(100))));
    let stopped = apply(&lab, &Layer::new(MediaType::ImageLayer).limits(limits), &deep[..]);
    assert!(matches!(stopped, Err(LayerError::Limit { what: "bytes of names", .. })), "{stopped:?}");
    // A size that is only announced allocates nothing.
    assert!(lab.bytes(&archive([file("f", "").size(0o7_7777_7777)]), &lab.flat()).is_err());
}

#[test]
fn a_size_in_pax_must_be_that_of_the_header() {
    let lab = Lab::new();
    // The data of the one reader are an archive for the other.
    let inner = archive([file("smuggled", "x")]);
    let length = inner.len().to_string();
    lab.refused([file("outer", &inner).size(0).pax("size", "0").pax("size", &length).size(512)]);
    lab.refused([file("outer", &inner).pax("size", "0")]);
    for size in ["18446744073709551615", "-1", "x", "9223372036854775807"] {
        lab.refused([file("x", "").pax("size", size)]);
    }
    lab.refused([file("x", "").field(124, b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff")]);
    // Where a header has no room for it, it is 0 there.
    lab.apply([file("outer", &inner).size(0).pax("size", &length)]);
    assert_eq!(lab.paths(), ["outer"]);
    assert_eq!(lab.metadata("outer").len(), inner.len() as u64);
}

#[test]
fn what_is_no_member_is_refused() {
    let lab = Lab::new();
    let mut broken = file("x", "").bytes();
    broken[0] = b'y';
    assert!(lab.bytes(&broken, &lab.flat()).expect_err("a wrong checksum").to_string().contains("checksum"));
    let alone = [vec![0; 512], archive([file("hidden", "")])].concat();
    assert!(lab.bytes(&alone, &lab.flat()).expect_err("a single block").to_string().contains("stands alone"));
    for (entry, why) in [
        (Entry::new(b'Z', "x"), "no type of entry"),
        (directory("d").data("x"), "has data"),
        (Entry::new(b'2', "l").link("t").data("x"), "has data"),
        (Entry::new(b'1', "l").link("t").data("x"), "has data"),
        (file("d/", "x"), "has data"),
        (Entry::new(b'g', "global").data("17 path=replaced\n"), "global header"),
        (Entry::new(b'x', "pax").data("99 path=x\n"), "malformed"),
        (file("x", "").field(100, b"0000abc\0"), "mode"),
        (file("x", "").pax("GNU.sparse.map", "0,1"), "holes"),
        (directory("d").pax("GNU.sparse.major", "1").pax("GNU.sparse.minor", "0").pax("GNU.sparse.size", "9"), "holes"),
        (
            file("x", "1\n").pax("GNU.sparse.major", "1").pax("GNU.sparse.minor", "0").pax("GNU.sparse.size", "9"),
            "no end",
        ),
        (Entry::new(b'2', "l"), "no path"),
    ] {
        let said = lab.refused([entry, file("x", "")]);
        assert!(said.contains(why), "{said}");
    }
    assert!(lab.paths().is_empty());
}

#[test]
fn older_ways_to_say_the_same_are_read() {
    let lab = Lab::new();
    lab.apply([
        Entry::new(b'g', "global").data("26 comment=who made this\n\n"),
        Entry::new(b'\0', "old").field(257, &[0; 8]).data("1"),
        Entry::new(b'0', "old-directory/"),
        Entry::new(b'7', "contiguous").data("2"),
    ]);
    assert_eq!((lab.read("old"), lab.read("contiguous")), ("1".into(), "2".into()));
    assert!(lab.metadata("old-directory").is_dir());
}

#[test]
fn a_large_file_of_holes_takes_no_room() {
    use std::os::unix::fs::MetadataExt;
    let lab = Lab::new();
    let octal = |number: u64| format!("{number:011o}\0").into_bytes();
    let sparse = |map: &[(u64, u64)], real: u64| {
        let mut entry = Entry::new(b'S', "s").field(257, b"ustar  \0").field(329, &[0; 16]).field(483, &octal(real));
        for (number, (offset, length)) in map.iter().enumerate() {
            entry = entry.field(386 + 24 * number, &octal(*offset)).field(398 + 24 * number, &octal(*length));
        }
        entry
    };
    // 8 GiB is as much as eleven digits say.
    let end = (8 << 30) - 1;
    let data = [vec![b'a'; 512], b"end".to_vec()].concat();
    lab.apply([sparse(&[(512, 512), (end - 3, 3)], end).data(&data), file("after", "1")]);
    let found = lab.metadata("s");
    assert_eq!(found.len(), end);
    assert!(found.blocks() * 512 < 1 << 20, "{}", found.blocks());
    assert_eq!(lab.read("after"), "1");
    for (map, real) in [
        (&[(512, 512), (0, 3)][..], end),
        (&[(0, 512), (100, 3)], end),
        (&[(0, 512), (512, 4)], end),
        (&[(0, 512), (600, 3)], 601),
    ] {
        let lab = Lab::new();
        assert!(lab.bytes(&archive([sparse(map, real).data(&data)]), &lab.flat()).is_err(), "{map:?}");
    }
    let limited = Layer::new(MediaType::ImageLayer).limits(Limits { file: 1 << 20, ..Limits::default() });
    let stopped = apply(&lab, &limited, &archive([sparse(&[], end)])[..]);
    assert!(matches!(stopped, Err(LayerError::Limit { .. })), "{stopped:?}");
}

#[test]
fn many_entries_are_applied() {
    let lab = Lab::new();
    let count = 5_000;
    let applied = lab.apply((0..count).map(|number| file(format!("d{}/f{number}", number % 100), "x")));
    assert_eq!((applied.counts.added, applied.counts.bytes), (count, count));
    let applied = lab.apply([file(".wh..wh..opq", "")]);
    assert_eq!((applied.counts.deleted, lab.paths().len()), (count + 100, 0));
}

//! Whatever the bytes are, they are applied or refused, and nothing happens outside.

use proptest::prelude::*;

use crate::archive::{Entry, archive, directory, file, hardlink, symlink, whiteout};
use crate::lab::Lab;

/// Names that meet each other, and lead out where they can.
fn name() -> impl Strategy<Value = String> {
    let part =
        prop::sample::select(vec!["a", "b", "l", "..", ".", "", ".wh.a", ".wh.l", ".wh..wh..opq", "canary", "file"]);
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"))
}

fn entry() -> impl Strategy<Value = Entry> {
    let to = prop_oneof![name(), Just("../canary".to_owned()), Just("/".to_owned()), Just("../canary/file".to_owned())];
    (name(), to, 0..8_u8, prop::sample::select(vec![0, 0o4755, 0o555, 0o700])).prop_map(|(name, to, kind, mode)| {
        let entry = match kind {
            0 => directory(name),
            1 | 2 => symlink(name, to),
            3 => hardlink(name, to),
            4 => whiteout(&name),
            5 => Entry::new(b'6', name),
            _ => file(name, "text"),
        };
        entry.mode(mode)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_entries_are_applied_or_refused(layers in prop::collection::vec(prop::collection::vec(entry(), 1..12), 1..3)) {
        let lab = Lab::new();
        for (number, entries) in layers.into_iter().enumerate() {
            // One after the other, so that those after a refused one have their turn.
            for entry in &entries {
                drop(lab.bytes(&archive([entry.clone()]), &lab.flat()));
            }
            let whole = archive(entries);
            drop(lab.bytes(&whole, &lab.flat()));
            drop(lab.bytes(&whole, &lab.overlay(&format!("overlay-{number}"))));
        }
    }

    #[test]
    fn any_bytes_are_applied_or_refused(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        mend: bool,
    ) {
        let sparse = Entry::new(b'S', "s").field(257, b"ustar  \0").field(329, &[0; 16]).field(483, b"00000000000\0");
        let mut bytes = archive([
            directory("a"),
            file("a/f", "text").pax("mtime", "1.5").pax("SCHILY.xattr.user.x", "1"),
            symlink("l", "../canary"),
            Entry::new(b'L', "long").data("l/long\0"),
            hardlink("h", "a/f"),
            sparse,
            file("p", format!("{:\0<512}x", "1\n5\n1\n")).pax("GNU.sparse.major", "1").pax("GNU.sparse.minor", "0").pax("GNU.sparse.realsize", "9"),
            whiteout("a/.wh.f"),
        ]);
        let length = bytes.len();
        for (at, byte) in edits {
            let at = at.index(length);
            bytes[at] = byte;
            // Otherwise the checksum keeps most edits from being looked at.
            if mend {
                let header = &mut bytes[at / 512 * 512..][..512];
                header[148..156].fill(b' ');
                let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
                header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(length));
        }
        let lab = Lab::new();
        drop(lab.bytes(&bytes, &lab.flat()));
        drop(lab.bytes(&bytes, &lab.overlay("overlay")));
    }
}

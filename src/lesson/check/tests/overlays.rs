//! Checks on overlays.

use std::collections::BTreeMap;

use super::{Lab, NS, Reading};
use crate::probe::mounts::parse_mountinfo;
use crate::probe::overlay::{Layer, Overlay};
use crate::probe::{Mark, Root};

#[test]
fn what_hides_is_a_whiteout_or_opaque_and_never_both() {
    let mut lab = Lab::new();
    let marks =
        [("/u/gone".to_owned(), Mark::Whiteout), ("/u/new".to_owned(), Mark::Opaque("user.overlay.opaque".to_owned()))];
    lab.observation.roots = vec![Root {
        mnt: NS,
        device: 9,
        inode: 2,
        pids: vec![1],
        names: Reading::Value(Vec::new()),
        found: BTreeMap::new(),
        texts: BTreeMap::new(),
        marks: marks.into(),
    }];
    for (path, whiteout, opaque) in [("/u/gone", true, false), ("/u/new", false, true), ("/u/file", false, false)] {
        for (check, holds) in [("whiteout", whiteout), ("opaque", opaque)] {
            let verdict = lab.check(&format!("{check}: {{ of: host, path: {path} }}"));
            assert_eq!(verdict.holds, holds, "{check} {path}: {verdict:?}");
        }
    }
    let seen = lab.check("whiteout: { of: host, path: /u/new }").seen;
    assert_eq!(seen, "/u/new is an opaque directory, user.overlay.opaque=y");
    assert!(!lab.check("whiteout: { of: box, path: /u/gone }").holds, "with its root nobody has looked");
}

#[test]
fn the_upper_directory_is_that_of_the_overlay_at_the_place() {
    let mut lab = Lab::new();
    let line = b"1 0 0:7 / /web rw - overlay overlay rw\n2 0 0:8 / /ro rw - overlay overlay rw\n";
    lab.observation.mounts = [(NS, Reading::Value(parse_mountinfo(line).unwrap()))].into();
    let overlay = |device: &str, is_upper: bool, is_cut: bool| Overlay {
        device: device.to_owned(),
        seen_by: 1,
        target: "/elsewhere".to_owned(),
        layers: vec![Layer { path: "/u".to_owned(), is_upper, entries: 1, hiding: 0, kib: 12, is_cut }],
        work: None,
        options: String::new(),
        files: BTreeMap::new(),
    };
    lab.observation.overlays = vec![overlay("0:8", false, false), overlay("0:7", true, false)];
    assert_eq!(lab.value("upper_kib: { of: host, at: /web }").unwrap(), "12");
    assert_eq!(lab.value("upper_kib: { of: host, at: /ro }"), None, "it has no upper directory");
    assert_eq!(lab.value("upper_kib: { of: host, at: /elsewhere }"), None);
    lab.observation.overlays = vec![overlay("0:7", true, true)];
    assert_eq!(lab.value("upper_kib: { of: host, at: /web }"), None, "not all of it was counted");
}

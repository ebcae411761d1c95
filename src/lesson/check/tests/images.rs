//! Checks on images.

use super::Lab;
use crate::probe::Layout;
use crate::probe::image::{Archive, Found, Image, Kind, Line, Part};

fn part(kind: Kind, digest: &str) -> Part {
    let is_layer = kind == Kind::Layer;
    Part {
        kind,
        digest: format!("sha256:{}", digest.repeat(64)),
        size: 3,
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        found: Found::Same,
        archive: is_layer.then(|| Archive {
            said: "sha256:dddddddddddddddd".to_owned(),
            found: Ok("sha256:dddddddddddddddd".to_owned()),
            entries: 1,
            names: vec!["etc/.wh.motd".to_owned()],
        }),
    }
}

fn image(name: &str, manifest: &str, layer: &str) -> Image {
    Image {
        name: name.to_owned(),
        parts: vec![part(Kind::Manifest, manifest), part(Kind::Config, "c"), part(Kind::Layer, layer)],
        platforms: vec!["linux/amd64".to_owned()],
        history: vec![Line { created_by: "COPY".to_owned(), layer: Some(1) }],
        trouble: None,
    }
}

#[test]
fn an_image_is_judged_by_what_its_bytes_are() {
    let mut lab = Lab::new();
    let images = vec![image("a", "1", "5"), image("b", "2", "6")];
    let blobs = [("sha256:1".to_owned(), 3)].into();
    lab.observation.layouts = vec![Layout { path: "/lab/i".to_owned(), images, blobs, ..Layout::default() }];
    for (check, holds) in [
        ("image: { store: /lab/i, name: a, layers: 1, history: 1, platforms: [linux/amd64], format: oci }", true),
        ("image: { store: /lab/i, name: a, layers: 2 }", false),
        ("image: { store: /lab/i, name: a, history: 2 }", false),
        ("image: { store: /lab/i, name: a, platforms: [linux/arm64] }", false),
        ("image: { store: /lab/i, name: a, format: docker }", false),
        ("image: { store: /lab/j, name: a }", false),
        ("image: { store: /lab/i, name: c }", false),
        ("image_broken: { store: /lab/i, name: a }", false),
        ("image_broken: { store: /lab/i, name: c }", false),
        ("image_unnamed: { store: /lab/i, name: c }", true),
        ("image_unnamed: { store: /lab/i, name: a }", false),
        ("image_same: { store: /lab/i, one: a, other: b, part: diff_id }", true),
        ("image_same: { store: /lab/i, one: a, other: b, part: config }", true),
        ("image_same: { store: /lab/i, one: a, other: b, part: layer }", false),
        ("image_differs: { store: /lab/i, one: a, other: b, part: manifest }", true),
        ("image_differs: { store: /lab/i, one: a, other: b, part: config }", false),
    ] {
        let verdict = lab.check(check);
        assert_eq!(verdict.holds, holds, "{check}: {verdict:?}");
    }
    assert_eq!(lab.value("blobs: { store: /lab/i }").unwrap(), "1");
    let digest = "image_digest: { store: /lab/i, name: b, part: layer }";
    assert_eq!(lab.value(digest).unwrap(), "6".repeat(12));
    lab.observation.layouts[0].images[1].parts[2].found = Found::Other("sha256:7".to_owned(), 3);
    assert!(lab.check("image_broken: { store: /lab/i, name: b }").holds);
    assert!(
        !lab.check("image_differs: { store: /lab/i, one: a, other: b, part: layer }").holds,
        "of what is broken nothing is known"
    );
    assert_eq!(lab.value(digest), None);
}

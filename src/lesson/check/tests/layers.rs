//! Checks on the layers of images.

use super::Lab;
use crate::probe::Layers;
use crate::probe::layers::{Entry, Is, Layer};

fn entry(name: &str, is: Is, line: Option<&str>) -> Entry {
    Entry { name: name.into(), is, size: 0, line: line.map(String::from) }
}

#[test]
fn a_layer_is_found_by_store_name_and_number_from_one() {
    let mut lab = Lab::new();
    let layer = |entries: Vec<Entry>| Layer { digest: "sha256:00".into(), size: 1, entries, trouble: None };
    let layers = vec![
        layer(vec![entry("secret", Is::File, Some("hunter2")), entry("etc", Is::Directory, None)]),
        layer(vec![entry(".wh.secret", Is::Whiteout, None), entry("etc/.wh..wh..opq", Is::Opaque, None)]),
    ];
    lab.observation.layers = vec![Layers { store: "/lab/images".into(), images: vec![("web".into(), layers)] }];
    let place = |store: &str, name: &str, layer: usize| format!("store: {store}, name: {name}, layer: {layer}");
    for (at, entry, holds) in [
        (place("/lab/images", "web", 1), "secret", true),
        (place("/lab/images", "web", 2), "etc/.wh..wh..opq", true),
        (place("/lab/images", "web", 2), "secret", false),
        (place("/lab/images", "web", 0), "secret", false),
        (place("/lab/images", "web", 3), "secret", false),
        (place("/lab/images", "db", 1), "secret", false),
        (place("/lab/other", "web", 1), "secret", false),
    ] {
        let verdict = lab.check(&format!("layer_holds: {{ {at}, entry: {entry} }}"));
        assert_eq!(verdict.holds, holds, "{at} {entry}: {verdict:?}");
    }
    let at = |layer| place("/lab/images", "web", layer);
    assert_eq!(lab.value(&format!("layer_whiteouts: {{ {} }}", at(1))).unwrap(), "0");
    assert_eq!(lab.value(&format!("layer_whiteouts: {{ {} }}", at(2))).unwrap(), "2");
    assert_eq!(lab.value(&format!("layer_text: {{ {}, entry: secret }}", at(1))).unwrap(), "hunter2");
    assert_eq!(lab.value(&format!("layer_text: {{ {}, entry: etc }}", at(1))), None, "it is no file");
    lab.observation.layers[0].images[0].1[1].trouble = Some("too much".into());
    assert_eq!(lab.value(&format!("layer_whiteouts: {{ {} }}", at(2))), None, "not all of it was read");
}

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

const EXAMPLE: &str = r#"{
  "cniVersion": "1.1.0", "cniVersions": ["0.3.1", "1.0.0", "9.9.9"], "name": "dbnet", "disableCheck": "TRUE",
  "plugins": [
    {"type": "bridge", "keyB": 1.50, "keyA": ["some", {"z": 1, "a": 2}], "ipam": {"type": "host-local"}, "name": "other",
     "prevResult": {}, "runtimeConfig": {}, "cni.dev/x": 1},
    {"type": "tuning", "capabilities": {"mac": true, "bandwidth": false}, "cniVersion": "0.1.0"}
  ]}"#;

fn parse(text: &str) -> Result<NetworkList, Explanation> {
    NetworkList::parse(text.as_bytes(), "x.conflist")
}

#[test]
fn a_list_is_read() {
    let list = parse(EXAMPLE).unwrap();
    assert_eq!((list.name.as_str(), list.version), ("dbnet", Version::V1_1_0));
    assert_eq!((list.disable_check, list.disable_gc, list.load_only_inlined_plugins), (true, false, false));
    assert_eq!(list.plugins[1].capabilities, ["mac"]);
}

#[test]
fn what_a_plugin_is_given_is_its_own_and_what_belongs_to_the_request() {
    let list = parse(EXAMPLE).unwrap();
    assert_eq!(
        list.request(&list.plugins[0], &Added::default()),
        r#"{"cniVersion":"1.1.0","name":"dbnet","type":"bridge","keyB":1.50,"keyA":["some", {"z": 1, "a": 2}],"ipam":{"type": "host-local"}}"#
    );
    let capabilities: BTreeMap<String, Value> =
        [("mac".to_owned(), json!("00:11:22:33:44:66")), ("bandwidth".to_owned(), json!({}))].into();
    let previous = AddResult::parse(br#"{"ips":[]}"#, Version::V1_1_0).unwrap();
    let valid = [ValidAttachment { container_id: "c".into(), ifname: "eth0".into() }];
    let added = Added { capabilities: Some(&capabilities), prev_result: Some(&previous), valid: Some(&valid) };
    let attachments = r#"[{"containerID":"c","ifname":"eth0"}]"#;
    assert_eq!(
        list.request(&list.plugins[1], &added),
        format!(
            r#"{{"cniVersion":"1.1.0","name":"dbnet","type":"tuning","runtimeConfig":{{"mac":"00:11:22:33:44:66"}},"prevResult":{{"cniVersion":"1.1.0"}},"cni.dev/valid-attachments":{attachments},"cni.dev/attachments":{attachments}}}"#
        )
    );
}

#[test]
fn a_single_plugin_is_a_list_of_one() {
    let list = parse(r#"{"cniVersion":"0.3.1","name":"n","type":"ptp","mtu":1400}"#).unwrap();
    let request = list.request(&list.plugins[0], &Added::default());
    assert_eq!(request, r#"{"cniVersion":"0.3.1","name":"n","type":"ptp","mtu":1400}"#);
    let again = parse(&list.to_text()).unwrap();
    assert_eq!(again.request(&again.plugins[0], &Added::default()), request);
}

#[test]
fn what_is_kept_is_the_same_list() {
    let list = parse(EXAMPLE).unwrap();
    let again = parse(&list.to_text()).unwrap();
    assert!(again.disable_check && !again.disable_gc && again.load_only_inlined_plugins);
    assert_eq!(again.to_text(), list.to_text());
    for (one, other) in list.plugins.iter().zip(&again.plugins) {
        let text = |plugin| list.request(plugin, &Added::default());
        assert_eq!(text(one), text(other));
    }
}

#[test]
fn the_highest_version_known_is_taken() {
    let version = |keys: &str| parse(&format!(r#"{{{keys},"name":"n","type":"x"}}"#)).map(|list| list.version);
    assert_eq!(version(r#""cniVersion":"0.3.0""#), Ok(Version::V0_3_0));
    assert_eq!(version(r#""cniVersion":"0.4.0","cniVersions":["1.0.0","0.3.1"]"#), Ok(Version::V1_0_0));
    assert_eq!(version(r#""cniVersions":["0.1.0","0.4.0","2.0.0"]"#), Ok(Version::V0_4_0));
    assert_eq!(version(r#""cniVersion":"2.0.0","cniVersions":["1.1.0"]"#), Ok(Version::V1_1_0));
    for (keys, why) in [
        (r#""x":1"#, "it has no `cniVersion`"),
        (r#""cniVersions":[]"#, "it has no `cniVersion`"),
        (r#""cniVersion":"0.2.0""#, "of its versions, 0.2.0, none is known here"),
        (r#""cniVersion":"1.1""#, "`1.1` is no version"),
        (r#""cniVersion":1"#, "`cniVersion` has a value that does not fit"),
        (r#""cniVersion":"1.0.0","cniVersions":"1.0.0""#, "`cniVersions` has a value that does not fit"),
    ] {
        let told = version(keys).unwrap_err();
        assert!(told.why.contains(why), "{keys}: {told}");
    }
}

#[test]
fn what_is_wrong_is_told() {
    let plugins = |plugins: &str| format!(r#"{{"cniVersion":"1.0.0","name":"n","plugins":{plugins}}}"#);
    let many = |count: usize| plugins(&format!("[{}]", vec![r#"{"type":"x"}"#; count].join(",")));
    assert_eq!(parse(&many(64)).unwrap().plugins.len(), 64);
    for (text, why) in [
        (String::new(), "it is no JSON object"),
        ("[]".into(), "it is no JSON object"),
        (r#"{"name":"a","name":"b"}"#.into(), "the key `name` is there twice"),
        (r#"{"cniVersion":"1.0.0","type":"x"}"#.into(), "it has no `name`"),
        (r#"{"cniVersion":"1.0.0","name":7}"#.into(), "`name` has a value that does not fit"),
        (r#"{"cniVersion":"1.0.0","name":"a/../b"}"#.into(), "`a/../b` can not be used as name of a network"),
        (plugins("[]"), "`plugins` is empty"),
        (plugins("{}"), "`plugins` has a value that does not fit"),
        (plugins("[1]"), "`plugins` has a value that does not fit"),
        (plugins("[{}]"), "plugin 1: it has no `type`"),
        (plugins(r#"[{"type":"x"},{"type":"a/b"}]"#), "plugin 2: `a/b` can not be used as type of a plugin"),
        (plugins(r#"[{"type":"x","capabilities":["mac"]}]"#), "plugin 1: `capabilities` has a value that does not fit"),
        (many(65), "plugin 65: there are more than 64 of them"),
        (r#"{"cniVersion":"1.0.0","name":"n","disableGC":1}"#.into(), "`disableGC` is neither true nor false"),
        (r#"{"cniVersion":"1.0.0","name":"n","loadOnlyInlinedPlugins":true}"#.into(), "there are no `plugins`"),
        (" ".repeat(MAX_FILE + 1), "it has more than 1048576 bytes"),
    ] {
        let told = parse(&text).unwrap_err();
        assert!(told.why.contains(why), "{}: {told}", &text[..text.len().min(80)]);
        assert!(told.what == "x.conflist is no network configuration" && !told.fix.is_empty(), "{told}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_list_or_is_refused(text in ".{0,80}", at in 0..EXAMPLE.len(), length in 0..12_usize, put in ".{0,4}") {
        let _ = parse(&text);
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        bytes.splice(at..(at + length).min(EXAMPLE.len()), put.bytes());
        if let Ok(list) = NetworkList::parse(&bytes, "x")
            && !list.plugins.is_empty()
        {
            let again = parse(&list.to_text()).unwrap();
            prop_assert_eq!(again.to_text(), list.to_text());
        }
    }
}

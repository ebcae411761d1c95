#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::cni::version::Version;

fn list(name: &str) -> NetworkList {
    let text =
        format!(r#"{{"cniVersion":"1.0.0","name":"{name}","plugins":[{{"type":"x","deep":{{"b":1, "a":2}}}}]}}"#);
    NetworkList::parse(text.as_bytes(), "x").unwrap()
}

fn attachment(id: &str, ifname: &str) -> Attachment {
    Attachment {
        container_id: id.into(),
        netns: Some("/run/netns/blue".into()),
        ifname: ifname.into(),
        args: vec![("A".into(), "1".into())],
        capabilities: [("mac".to_owned(), Value::from("00:11"))].into(),
    }
}

fn result() -> AddResult {
    AddResult::parse(br#"{"ips":[{"address":"10.0.0.2/24"}]}"#, Version::V1_0_0).unwrap()
}

#[test]
fn what_is_kept_comes_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(dir.path().join("new/one"));
    let (list, one) = (list("net"), attachment("c1", "eth0"));
    assert!(cache.entry("net", &one).unwrap().is_none() && cache.entries("net").unwrap().is_empty());
    cache.keep(&list, &one, Some(&result())).unwrap();
    let path = dir.path().join("new/one/results/net-c1-eth0");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let id_alone = Attachment { container_id: "c1".into(), ifname: "eth0".into(), ..Attachment::default() };
    let entry = cache.entry("net", &id_alone).unwrap().unwrap();
    assert_eq!((&entry.attachment, entry.result.unwrap()), (&one, result()));
    assert_eq!(entry.list.unwrap().to_text(), list.to_text());
    // Another runtime reads it as its own.
    let stored: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!((&stored["kind"], &stored["cniArgs"][0][1]), (&Value::from("cniCacheV1"), &Value::from("1")));
    cache.forget("net", &id_alone).unwrap();
    cache.forget("net", &id_alone).unwrap();
    assert_eq!(fs::read_dir(dir.path().join("new/one/results")).unwrap().count(), 0);
}

#[test]
fn what_libcni_has_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("results")).unwrap();
    let config = STANDARD.encode(list("net").to_text().as_bytes());
    let text = format!(
        r#"{{"kind":"cniCacheV1","containerId":"c","config":"{config}","ifName":"eth0","networkName":"net",
            "cniArgs":[["K","V"]],"result":{{"cniVersion":"0.4.0","dns":{{}},"ips":[{{"version":"4","address":"10.0.0.2/24"}}]}}}}"#
    );
    fs::write(dir.path().join("results/net-c-eth0"), text).unwrap();
    let entry = Cache::at(dir.path()).entries("net").unwrap().remove(0);
    assert_eq!(entry.attachment.args, [("K".to_owned(), "V".to_owned())]);
    assert_eq!(entry.result.unwrap().cni_version, Some(Version::V0_4_0));
}

#[test]
fn two_attachments_of_one_file_name_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(dir.path());
    cache.keep(&list("a-b"), &attachment("c", "eth0"), Some(&result())).unwrap();
    let other = attachment("b-c", "eth0");
    assert!(cache.entry("a", &other).unwrap().is_none() && matches!(cache.find("a", &other), Ok(Found::Other)));
    cache.forget("a", &other).unwrap();
    assert_eq!((cache.entries("a").unwrap().len(), cache.entries("a-b").unwrap().len()), (0, 1));
}

#[test]
fn no_name_leads_elsewhere_and_what_is_broken_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(dir.path());
    for (network, id, ifname) in [("../x", "c", "eth0"), ("n", "../c", "eth0"), ("n", "c", "../e"), ("n", "", "eth0")] {
        assert!(cache.keep(&list("n"), &attachment(id, ifname), Some(&result())).is_err() || network != "n");
        assert!(cache.entry(network, &attachment(id, ifname)).is_err(), "{network} {id} {ifname}");
    }
    let long = attachment(&"x".repeat(250), "eth0");
    assert!(cache.entry("net", &long).unwrap_err().why.contains("more than 253 bytes"));
    fs::create_dir_all(dir.path().join("results")).unwrap();
    for (text, why) in
        [("{", "EOF"), (r#"{"kind":"x","containerId":"c","config":"","ifName":"e","networkName":"n"}"#, "kind `x`")]
    {
        fs::write(dir.path().join("results/n-c-eth0"), text).unwrap();
        let told = cache.entry("n", &attachment("c", "eth0")).unwrap_err();
        assert!(told.why.contains(why), "{told}");
        assert!(cache.entries("n").unwrap().is_empty());
    }
    fs::write(dir.path().join("results/.new-1-1"), "").unwrap();
    cache.tidy();
    cache.forget("n", &attachment("c", "eth0")).unwrap();
    assert_eq!(fs::read_dir(dir.path().join("results")).unwrap().count(), 0);
}

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::loopback::Loopback;
use super::super::static_addresses::Static;
use super::*;

/// What a plugin answers, with variables that are all right but for `CNI_ARGS`.
pub(in super::super) fn asked<P: Plugin>(command: &str, text: &str, args: &str) -> Result<String, Fault> {
    let variables = |name: &str| {
        let value = match name {
            "CNI_COMMAND" => command,
            "CNI_CONTAINERID" => "c1",
            "CNI_IFNAME" => "eth0",
            "CNI_NETNS" => "/nowhere/net",
            "CNI_ARGS" => args,
            _ => "",
        };
        (!value.is_empty()).then(|| value.to_owned())
    };
    carried_out::<P>(&variables, &mut text.as_bytes(), &mut Version::V1_1_0.clone())
}

/// [`asked`] for a result.
#[track_caller]
pub(in super::super) fn result<P: Plugin>(command: &str, text: &str, args: &str) -> AddResult {
    serde_json::from_str(&asked::<P>(command, text, args).unwrap()).unwrap()
}

const CONFIG: &str = r#"{"cniVersion":"1.1.0","name":"n","type":"loopback"}"#;

fn with<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    move |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
}

fn code_of(variables: &[(&str, &str)], text: &str) -> u32 {
    let outcome = run_on::<Loopback>(&with(variables), &mut text.as_bytes());
    assert!(!outcome.well);
    let fault: Fault = serde_json::from_str(&outcome.text).unwrap();
    assert!(fault.cni_version.is_some() && !fault.msg.is_empty());
    fault.code
}

#[test]
fn each_mistake_has_its_code() {
    let add = [("CNI_COMMAND", "ADD"), ("CNI_CONTAINERID", "c1"), ("CNI_IFNAME", "lo"), ("CNI_NETNS", "/nowhere/net")];
    assert_eq!(code_of(&add, r#"{"cniVersion":"9.0.0","name":"n"}"#), 1);
    assert_eq!(code_of(&add, r#"{"name":"n"}"#), 1);
    assert_eq!(code_of(&add, "not JSON"), 6);
    assert_eq!(code_of(&add, r#"{"cniVersion":"1.1.0","name":"n/"}"#), 7);
    assert_eq!(code_of(&add, r#"{"cniVersion":"1.1.0","name":7}"#), 7);
    assert_eq!(code_of(&add, r#"{"cniVersion":"1.1.0","name":"n","prevResult":{"ips":[{"address":"x"}]}}"#), 7);
    assert_eq!(code_of(&add, CONFIG), 4, "there is no such namespace");
    for missing in 0..add.len() {
        let mut fewer = add.to_vec();
        fewer.remove(missing);
        assert_eq!(code_of(&fewer, CONFIG), 4, "{missing}");
    }
    for (key, bad) in
        [("CNI_COMMAND", "add"), ("CNI_CONTAINERID", "../c"), ("CNI_IFNAME", "a/b"), ("CNI_IFNAME", "sixteen-bytes-xx")]
    {
        let changed: Vec<_> = add.iter().map(|(own, value)| (*own, if *own == key { bad } else { *value })).collect();
        assert_eq!(code_of(&changed, CONFIG), 4, "{key}={bad}");
    }
    let old = r#"{"cniVersion":"0.3.1","name":"n"}"#;
    let check: Vec<_> = add.iter().map(|(key, value)| (*key, if *value == "ADD" { "CHECK" } else { *value })).collect();
    assert_eq!(code_of(&check, old), 1);
    assert_eq!([code_of(&[("CNI_COMMAND", "STATUS")], old), code_of(&[("CNI_COMMAND", "GC")], old)], [1, 1]);
}

#[test]
fn versions_and_what_needs_nothing() {
    let answer = |command: &str, text: &str| {
        let outcome = run_on::<Loopback>(&with(&[("CNI_COMMAND", command)]), &mut text.as_bytes());
        assert!(outcome.well, "{}", outcome.text);
        outcome.text
    };
    let told = answer("VERSION", r#"{"cniVersion":"1.0.0"}"#);
    assert_eq!(
        told,
        "{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n"
    );
    assert_eq!((answer("STATUS", CONFIG), answer("GC", CONFIG)), (String::new(), String::new()));
    let gone = [("CNI_COMMAND", "DEL"), ("CNI_CONTAINERID", "c1"), ("CNI_IFNAME", "lo"), ("CNI_NETNS", "/nowhere/net")];
    assert!(run_on::<Loopback>(&with(&gone), &mut CONFIG.as_bytes()).well);
    assert!(run_on::<Loopback>(&with(&gone[..3]), &mut CONFIG.as_bytes()).well);
}

#[test]
fn a_result_is_written_in_the_version_that_was_asked_for() {
    let config = |version: &str| {
        format!(r#"{{"cniVersion":"{version}","name":"n","ipam":{{"addresses":[{{"address":"fd00::5/64"}}]}}}}"#)
    };
    let version = |text: &str| result::<Static>("ADD", &config(text), "").ips[0].version.clone();
    assert_eq!([version("0.3.1"), version("0.4.0"), version("1.0.0")], [Some("6".into()), Some("6".into()), None]);
}

#[test]
fn hardware_addresses() {
    assert_eq!(mac([None, Some(""), Some("02:00:00:00:00:0a")]), Ok(Some([2, 0, 0, 0, 0, 10])));
    assert_eq!(mac([None; 3]), Ok(None));
    for bad in [
        "x",
        "01:00:00:00:00:01",
        "00:00:00:00:00:00",
        "02:00:00:00:00",
        "02:00:00:00:00:01:02",
        "2:0:0:0:0:1",
        "+2:00:00:00:00:01",
    ] {
        assert!(mac([Some(bad), None, None]).is_err(), "{bad}");
    }
    assert_eq!(mac_text([2, 0, 0, 0, 0, 10]), "02:00:00:00:00:0a");
}

proptest! {
    #[test]
    fn no_input_makes_it_panic(command in "(ADD|DEL|CHECK|GC|STATUS|VERSION)", text in any::<String>(), args in any::<String>()) {
        let _ = asked::<Loopback>(&command, &text, &args);
    }
}

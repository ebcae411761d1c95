//! What the fuzzers of `fuzz/` look for, on a few inputs that are nearly right: so that it is looked for at every run.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use hardway::agent::protocol::{KeeperReply, KeeperRequest, LabSpec, Reply, Request, Sample};
use hardway::explain::Explanation;
use hardway::kernel::host::Mode;
use hardway::lesson::builtin;
use hardway::probe::Panel;
use proptest::prelude::*;
use serde::Serialize;

#[path = "../fuzz/properties/cni.rs"]
mod cni;
#[path = "../fuzz/properties/frame.rs"]
mod frame;
#[path = "../fuzz/properties/lesson.rs"]
mod lesson;
#[path = "../fuzz/properties/mountinfo.rs"]
mod mountinfo;

/// One of these, with some of its bytes replaced.
fn nearly(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        prop::sample::select(vec![&b"\\040"[..], b" - ", b"\xff", b"\0", b"4294967296", b"[[[[", b"\"", b"&a ", b"*a"])
            .prop_map(<[u8]>::to_vec),
    ];
    let edit = (any::<prop::sample::Index>(), 0usize..12, bytes);
    (prop::sample::select(seeds), prop::collection::vec(edit, 0..5)).prop_map(|(mut text, edits)| {
        for (at, length, bytes) in edits {
            let start = at.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, bytes);
        }
        text
    })
}

/// The kind of message, and its frame.
fn framed(kind: u8, message: &impl Serialize) -> Vec<u8> {
    let body = serde_json::to_vec(message).unwrap();
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&[kind][..], b"HW\x01\0", &length, &body].concat()
}

fn frames() -> Vec<Vec<u8>> {
    let lessons = builtin::all();
    let steps = lessons.iter().flat_map(|lesson| &lesson.steps);
    // So many that they fit into what a property takes.
    let actions = steps.flat_map(|step| step.actions.clone()).take(12).collect();
    let trouble = || Explanation::new("what", "why", "fix");
    let spec = LabSpec {
        mode: Mode::Root,
        uid: 0,
        gid: 0,
        sub_ids: None,
        cgroups: Vec::new(),
        controllers: false,
        private: Vec::new(),
        real_host: false,
        lasting: BTreeSet::new(),
        device_programs: false,
    };
    vec![
        framed(0, &Request::Perform(actions)),
        framed(0, &Request::Observe(vec![Panel::Processes, Panel::Mounts], vec!["bin/sh".to_owned()])),
        framed(0, &Request::OpenShell(24, 80)),
        framed(1, &Reply::Observed(Box::<Sample>::default())),
        framed(1, &Reply::Failed(trouble())),
        framed(2, &KeeperRequest::Start(spec)),
        framed(3, &KeeperReply::Started(7)),
        framed(3, &KeeperReply::Failed(trouble())),
    ]
}

/// A list, a single plugin, results of the old form and the new, an error.
fn cni_texts() -> Vec<Vec<u8>> {
    [
        r#"{"cniVersion":"1.1.0","cniVersions":["0.3.1","1.0.0"],"name":"net","disableCheck":true,"disableGC":"false","plugins":[{"type":"bridge",
            "ipam":{"type":"host-local"},"n":1.50},{"type":"portmap","capabilities":{"portMappings":true},"cni.dev/x":1}]}"#,
        r#"{"cniVersion":"0.4.0","name":"n","type":"ptp","loadOnlyInlinedPlugins":false,"dns":{"nameservers":["10.1.0.1"]}}"#,
        r#"{"cniVersion":"1.1.0","interfaces":[{"name":"eth0","mac":"00:11:22:33:44:55","mtu":1500,"sandbox":"/n","socketPath":"/s","pciID":"p"}],
            "ips":[{"address":"10.1.0.5/16","gateway":"10.1.0.1","interface":0}],"routes":[{"dst":"::/0","gw":"fd00::1","mtu":1,"advmss":2,
            "priority":3,"table":4,"scope":253}],"dns":{"domain":"d","search":["a"],"options":["o"]}}"#,
        r#"{"cniVersion":"0.3.1","ips":[{"version":"6","address":"fd00::5/64","gateway":""}],"interfaces":null,"dns":{}}"#,
        r#"{"cniVersion":"1.0.0","code":7,"msg":"Invalid Configuration","details":"too small"}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

#[test]
fn seeds_are_right_and_written_down_where_that_is_wished() {
    for (number, frame) in frames().into_iter().enumerate() {
        if let Some(corpus) = std::env::var_os("HARDWAY_FUZZ_CORPUS") {
            std::fs::write(Path::new(&corpus).join(format!("frame/{number}")), &frame).unwrap();
        }
        assert_eq!(frame::holds(&frame), 1, "{}", String::from_utf8_lossy(&frame));
        assert_eq!(frame::holds(&[&frame[..], &frame[1..]].concat()), 2);
    }
    for (number, text) in cni_texts().into_iter().enumerate() {
        if let Some(corpus) = std::env::var_os("HARDWAY_FUZZ_CORPUS") {
            std::fs::write(Path::new(&corpus).join(format!("cni/{number}")), &text).unwrap();
        }
        assert!(cni::holds(&text), "{}", String::from_utf8_lossy(&text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn frames_are_messages_or_refused(bytes in nearly(frames())) {
        frame::holds(&bytes);
    }

    #[test]
    fn configurations_and_results_are_understood_or_refused(bytes in nearly(cni_texts())) {
        cni::holds(&bytes);
    }

    #[test]
    fn mountinfo_is_understood_or_refused(bytes in nearly(vec![std::fs::read("/proc/self/mountinfo").unwrap()])) {
        mountinfo::holds(&bytes);
    }
}

proptest! {
    // A lesson takes longer than all of the above.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn lessons_compile_or_have_faults_somewhere_in_them(bytes in nearly(
        builtin::all().iter().map(|lesson| builtin::source(&lesson.name).unwrap().as_bytes().to_vec()).collect()
    )) {
        lesson::holds(&bytes);
    }
}

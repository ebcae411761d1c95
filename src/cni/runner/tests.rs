//! The runner over plugins that are shell scripts.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::cni::exchange::Ending;

/// Writes down what it was given, passes prevResult on or answers with a first result, and does as its configuration says:
/// `fail` names the command at which it fails.
const PLUGIN: &str = r#"#!/bin/sh
config=$(cat)
printf '%s %s %s\n' "$CNI_COMMAND" "${0##*/}" "$config" >>"${0%/*}/log"
case $config in *"\"fail\":\"$CNI_COMMAND\""*)
    echo '{"cniVersion":"1.0.0","code":7,"msg":"as told","details":"'"${0##*/}"'"}'
    exit 1 ;;
esac
case $CNI_COMMAND in
    ADD) case $config in
        *'"prevResult":'*) printf '%s' "$config" | sed 's/.*"prevResult":\(.*\)}$/\1/' ;;
        *) echo '{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.0.0.2/24"}],"interfaces":[{"name":"eth0"}]}' ;;
    esac ;;
    VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.1.0"]}' ;;
esac
"#;

struct World {
    dir: tempfile::TempDir,
    runner: Runner,
    seen: Vec<Exchange>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bin");
        fs::create_dir(&path).unwrap();
        let plugins =
            Plugins { path: format!("/nowhere::{}", path.display()), timeout: Duration::from_secs(20), own: None };
        let runner = Runner { plugins, cache: Cache::at(dir.path().join("cache")) };
        let world = Self { dir, runner, seen: Vec::new() };
        ["a", "b", "c"].iter().for_each(|name| world.plugin(name, PLUGIN));
        world
    }

    fn plugin(&self, name: &str, text: &str) {
        let path = self.dir.path().join("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What the plugins have written down since: command, plugin, configuration.
    fn log(&self) -> Vec<(String, String, Value)> {
        let path = self.dir.path().join("bin/log");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        let line = |line: &str| {
            let mut words = line.splitn(3, ' ').map(str::to_owned);
            let mut word = || words.next().unwrap();
            (word(), word(), serde_json::from_str(&word()).unwrap())
        };
        text.lines().map(line).collect()
    }

    fn commands(&self) -> Vec<String> {
        self.log().into_iter().map(|(command, plugin, _)| format!("{command} {plugin}")).collect()
    }

    fn kept(&self) -> usize {
        fs::read_dir(self.dir.path().join("cache/results")).map_or(0, Iterator::count)
    }

    fn add(&mut self, list: &NetworkList, attachment: &Attachment) -> Result<AddResult, Failure> {
        self.runner.add(list, attachment, &mut |one| self.seen.push(one))
    }

    fn del(&mut self, list: &NetworkList, attachment: &Attachment) -> Result<(), Failure> {
        self.runner.del(list, attachment, &mut |one| self.seen.push(one))
    }

    fn check(&mut self, list: &NetworkList, attachment: &Attachment) -> Result<Asked, Failure> {
        self.runner.check(list, attachment, &mut |one| self.seen.push(one))
    }
}

fn list(version: &str, plugins: &Value) -> NetworkList {
    list_with(version, plugins, json!({}))
}

fn list_with(version: &str, plugins: &Value, more: Value) -> NetworkList {
    let mut object = json!({ "cniVersion": version, "name": "net", "plugins": plugins });
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    NetworkList::parse(object.to_string().as_bytes(), "test").unwrap()
}

fn abc() -> Value {
    json!([{ "type": "a" }, { "type": "b", "capabilities": { "mac": true } }, { "type": "c" }])
}

fn attachment(id: &str) -> Attachment {
    Attachment {
        container_id: id.into(),
        netns: Some("/proc/self/ns/net".into()),
        ifname: "eth0".into(),
        args: vec![("K".into(), "V".into())],
        capabilities: [("mac".to_owned(), json!("00:11:22:33:44:55")), ("other".to_owned(), json!(1))].into(),
    }
}

fn id_alone(id: &str) -> Attachment {
    Attachment { container_id: id.into(), ifname: "eth0".into(), ..Attachment::default() }
}

#[test]
fn a_life_of_an_attachment() {
    let mut world = World::new();
    let list = list("1.0.0", &abc());
    let result = world.add(&list, &attachment("c1")).unwrap();
    assert_eq!((result.cni_version, &result.ips[0].version), (Some(Version::V1_0_0), &None), "in the list's version");
    let log = world.log();
    let result = serde_json::to_value(&result).unwrap();
    assert_eq!(log.iter().map(|one| one.1.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(log[0].2, json!({ "cniVersion": "1.0.0", "name": "net", "type": "a" }));
    assert_eq!((&log[1].2["prevResult"], &log[2].2["prevResult"]), (&result, &result));
    assert_eq!(log[1].2["runtimeConfig"], json!({ "mac": "00:11:22:33:44:55" }));
    let first = &world.seen[0];
    let names: Vec<&str> = first.variables.keys().map(String::as_str).collect();
    let all = ["CNI_ARGS", "CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_PATH", "PATH"];
    assert_eq!(
        (names, first.variables["CNI_ARGS"].as_str(), first.status),
        (all.to_vec(), "K=V", Some(Ending::Exited(0)))
    );

    let again = world.add(&list, &attachment("c1")).unwrap_err();
    assert!(again.explanation.why.contains("ADD without a DEL") && world.log().is_empty(), "{again:?}");

    // Id and interface are enough: the rest is known.
    assert_eq!(world.check(&list, &id_alone("c1")), Ok(Asked::Yes));
    assert_eq!(world.commands(), ["CHECK a", "CHECK b", "CHECK c"]);
    world.seen.clear();
    world.del(&list, &id_alone("c1")).unwrap();
    assert_eq!(world.seen[0].variables["CNI_NETNS"], "/proc/self/ns/net");
    assert_eq!(world.seen[0].variables["CNI_ARGS"], "K=V");
    let log = world.log();
    assert_eq!(log.iter().map(|one| one.1.as_str()).collect::<Vec<_>>(), ["c", "b", "a"]);
    assert!(log.iter().all(|one| one.2["prevResult"] == result), "{log:?}");
    assert_eq!((&log[1].2["runtimeConfig"]["mac"], world.kept()), (&json!("00:11:22:33:44:55"), 0));

    world.del(&list, &id_alone("c1")).unwrap();
    assert!(world.log().iter().all(|one| one.2.get("prevResult").is_none()));
    let gone = world.check(&list, &id_alone("c1")).unwrap_err();
    assert!(gone.explanation.why.contains("no result of an ADD") && world.log().is_empty(), "{gone:?}");
    assert_eq!(fs::read_dir(world.dir.path().join("cache/locks")).unwrap().count(), 0);
}

#[test]
fn versions_differ() {
    let mut world = World::new();
    let old = list("0.3.1", &abc());
    let result = world.add(&old, &attachment("c")).unwrap();
    assert_eq!(result.ips[0].version.as_deref(), Some("4"));
    world.log();
    let told = world.check(&old, &attachment("c")).unwrap_err();
    assert!(told.explanation.why.contains("CHECK is there from 0.4.0 on"), "{told:?}");
    world.del(&old, &attachment("c")).unwrap();
    assert!(world.log().iter().all(|one| one.0 == "DEL" && one.2.get("prevResult").is_none()), "not before 0.4.0");
    let mut ignore = |_| {};
    assert!(matches!(world.runner.status(&list("1.0.0", &abc()), &mut ignore), Ok(Asked::No(_))));
    let disabled = list_with("1.1.0", &abc(), json!({ "disableCheck": true, "disableGC": true }));
    assert!(matches!(world.check(&disabled, &attachment("c")), Ok(Asked::No(_))));
    let collected = world.runner.gc(&disabled, &Valid::Living, &mut ignore).unwrap();
    assert!(matches!(collected.asked, Asked::No(_)) && world.log().is_empty());
    let support =
        world.runner.versions(&list("1.0.0", &json!([{ "type": "a" }, { "type": "a" }])), &mut ignore).unwrap();
    assert_eq!(support, [Support { plugin: "a".into(), versions: vec!["0.4.0".into(), "1.1.0".into()], fits: false }]);
}

#[test]
fn an_add_that_fails_is_taken_back() {
    let mut world = World::new();
    let plugins = json!([{ "type": "a", "x": { "fail": "DEL" } }, { "type": "b", "fail": "ADD" }, { "type": "c" }]);
    let failing = list("1.0.0", &plugins);
    let failure = world.add(&failing, &attachment("c")).unwrap_err();
    assert_eq!(world.commands(), ["ADD a", "ADD b", "DEL b", "DEL a"]);
    let error = failure.error.as_ref().unwrap();
    assert_eq!((error.code, error.details.as_str()), (7, "b"), "the first error is the one that is told");
    assert_eq!(failure.explanation.fix, "change the configuration as the message says");
    assert!(failure.also[0].what.ends_with("/bin/a failed (DEL)"), "{failure:?}");
    // Not all was taken back, so it is still known, and can be.
    assert_eq!(world.kept(), 1);
    assert!(failure.also[1].why.contains("cni del --net net --id c --ifname eth0"), "{failure:?}");
    let again = world.add(&failing, &attachment("c")).unwrap_err();
    assert!(again.explanation.why.contains("an ADD was begun") && world.log().is_empty(), "{again:?}");
    assert!(world.check(&failing, &id_alone("c")).is_err() && world.log().is_empty());
    world.del(&list("1.0.0", &abc()), &id_alone("c")).unwrap();
    assert_eq!(world.seen.last().unwrap().variables["CNI_ARGS"], "K=V");
    assert_eq!((world.log().len(), world.kept()), (3, 0));
    // One that is not there is noticed before any is run.
    let failure =
        world.add(&list("1.0.0", &json!([{ "type": "a" }, { "type": "none" }])), &attachment("c")).unwrap_err();
    assert!(failure.explanation.what.contains("no plugin `none`") && world.log().is_empty(), "{failure:?}");
    // Where nothing can be kept, nothing is begun.
    fs::remove_dir(world.dir.path().join("cache/results")).unwrap();
    fs::write(world.dir.path().join("cache/results"), "").unwrap();
    let failure = world.add(&list("1.0.0", &abc()), &attachment("c")).unwrap_err();
    assert!(failure.explanation.what.contains("can not be") && world.log().is_empty(), "{failure:?}");
}

#[test]
fn a_del_that_fails_can_be_run_again() {
    let mut world = World::new();
    let plugins = json!([{ "type": "a" }, { "type": "b", "fail": "DEL" }, { "type": "c" }]);
    let failing = list("1.0.0", &plugins);
    world.add(&failing, &attachment("c")).unwrap();
    world.log();
    assert_eq!(world.del(&failing, &id_alone("c")).unwrap_err().error.unwrap().details, "b");
    assert_eq!((world.commands(), world.kept()), (vec!["DEL c".to_owned(), "DEL b".to_owned()], 1));
    world.del(&list("1.0.0", &abc()), &id_alone("c")).unwrap();
    assert_eq!(world.kept(), 0);
    // What is kept and broken is no reason not to.
    fs::write(world.dir.path().join("cache/results/net-c-eth0"), "{").unwrap();
    world.del(&list("1.0.0", &abc()), &id_alone("c")).unwrap();
    assert_eq!(world.kept(), 0);
}

#[test]
fn garbage_is_collected() {
    let mut world = World::new();
    let plugins = json!([{ "type": "a", "fail": "GC" }, { "type": "b" }]);
    let network = list("1.1.0", &plugins);
    let gone = Attachment { netns: Some("/nowhere/netns".into()), ..attachment("gone") };
    let here = attachment("here");
    for one in [&gone, &here] {
        world.add(&network, one).unwrap();
    }
    world.log();
    // Every plugin is asked, whatever one says.
    let failure = world.runner.gc(&network, &Valid::Living, &mut |_| {}).unwrap_err();
    assert_eq!(failure.error.unwrap().details, "a");
    let log = world.log();
    let commands: Vec<String> = log.iter().map(|one| format!("{} {}", one.0, one.1)).collect();
    assert_eq!(commands, ["DEL b", "DEL a", "GC a", "GC b"]);
    let valid = json!([{ "containerID": "here", "ifname": "eth0" }]);
    assert_eq!((&log[2].2["cni.dev/valid-attachments"], &log[3].2["cni.dev/valid-attachments"]), (&valid, &valid));
    assert_eq!(world.kept(), 1);

    let other = ValidAttachment { container_id: "other".into(), ifname: "eth0".into() };
    let well = list("1.1.0", &json!([{ "type": "b" }]));
    let collected = world.runner.gc(&well, &Valid::Given(vec![other.clone()]), &mut |_| {}).unwrap();
    assert_eq!(collected, Collected { stale: vec![here.named()], valid: vec![other], asked: Asked::Yes });
    assert_eq!((world.commands(), world.kept()), (vec!["DEL b".to_owned(), "GC b".to_owned()], 0));
    let bad = ValidAttachment { container_id: "../x".into(), ifname: "eth0".into() };
    assert!(world.runner.gc(&well, &Valid::Given(vec![bad]), &mut |_| {}).is_err());
    assert!(world.runner.status(&well, &mut |_| {}) == Ok(Asked::Yes) && world.commands() == ["STATUS b"]);
}

#[test]
fn each_way_to_fail_is_told_apart() {
    let mut world = World::new();
    world.runner.plugins.timeout = Duration::from_secs(2);
    let cases = [
        ("hang", "sleep 600", "did not end in time", "after 2s it was killed"),
        ("crash", "echo dying >&2; kill -SEGV $$", "crashed", "signal 11 ended it; its standard error: dying"),
        ("flood", "yes", "answered too much", "more than 1048576 bytes"),
        (
            "mute",
            "echo log >&2; exit 3",
            "failed (ADD)",
            "status 3, and no error object on its standard output; its standard error: log",
        ),
        ("babble", "echo no; exit 4", "failed (ADD)", "status 4, and what it answers is no error object: no"),
        ("garbage", "echo hello", "can not be used", "its answer is no result: expected value"),
        ("empty", "true", "can not be used", "it answered nothing"),
        (
            "liar",
            r#"echo '{"code":11,"msg":"busy"}'"#,
            "can not be used",
            "its answer an error: code 11 (try again later): busy",
        ),
        (
            "error",
            r#"echo '{"code":11,"msg":"busy\u001b"}'; exit 1"#,
            "failed (ADD)",
            "code 11 (try again later): busy\\u{1b}; status 1",
        ),
    ];
    for (name, line, what, why) in cases {
        // They do as they should at DEL, so that this is the only failure.
        world.plugin(name, &format!("#!/bin/sh\n[ $CNI_COMMAND = DEL ] && exit\n{line}\n"));
        let started = Instant::now();
        let failure = world.add(&list("1.0.0", &json!([{ "type": name }])), &attachment("c")).unwrap_err();
        assert!(
            failure.explanation.what.contains(what) && failure.explanation.why.contains(why),
            "{name}: {failure:?}"
        );
        assert!(failure.also.is_empty() && !failure.explanation.fix.is_empty(), "{name}: {failure:?}");
        assert!(started.elapsed() < Duration::from_secs(15), "{name}");
        assert_eq!(world.kept(), 0, "{name}");
    }
    let told = |at: usize| world.seen[2 * at].status;
    assert_eq!(
        [told(0), told(1), told(2), told(3)],
        [Some(Ending::Late), Some(Ending::Signalled(11)), Some(Ending::TooLong), Some(Ending::Exited(3))]
    );
    world.plugin("none", "#!/no/such/interpreter\n");
    let failure = world.add(&list("1.0.0", &json!([{ "type": "none" }])), &attachment("c")).unwrap_err();
    assert!(failure.explanation.what.contains("could not be started"), "{failure:?}");
    fs::write(world.dir.path().join("bin/text"), "").unwrap();
    let failure = world.add(&list("1.0.0", &json!([{ "type": "text" }])), &attachment("c")).unwrap_err();
    assert!(failure.explanation.why.contains("may not be executed"), "{failure:?}");
}

#[test]
fn many_containers_at_once() {
    let world = World::new();
    let (runner, network) = (&world.runner, list("1.0.0", &abc()));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let network = &network;
            scope.spawn(move || {
                for turn in 0..3 {
                    let one = attachment(&format!("c{thread}-{turn}"));
                    runner.add(network, &one, &mut |_| {}).unwrap();
                    runner.check(network, &one, &mut |_| {}).unwrap();
                    runner.del(network, &one, &mut |_| {}).unwrap();
                }
            });
        }
    });
    assert_eq!((world.log().len(), world.kept()), (4 * 3 * 9, 0));
}

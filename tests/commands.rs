//! The commands beside the workbench: what they print, how they end, and that the machine is as before.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use serde_json::Value;
use support::{ANSWER, COMMAND, Machine, Mode, Output, World, bounded, expected_skips};

in_each_mode!(the_doctor_knows_what_run_skips);

#[track_caller]
fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error} in {output:?}"))
}

#[track_caller]
fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// What the doctor says does not work is what `run` skips, and its exit status says whether there is any.
fn the_doctor_knows_what_run_skips(world: &World) {
    let before = Machine::now(world);
    let output = bounded(&mut world.lab(&["doctor", "--json"]), ANSWER);
    let report = json(&output);
    assert_eq!((text(&report, "mode"), &report["format"]), (world.mode.name(), &Value::from(1)));
    let lessons = report["lessons"].as_array().unwrap();
    let skipped: BTreeSet<String> = lessons
        .iter()
        .flat_map(|lesson| {
            assert!(lesson["unavailable"].is_null(), "{lesson}");
            let steps = lesson["without"].as_array().unwrap().iter().filter(|step| step["unavailable"].is_string());
            steps.map(|step| format!("{}:{}", text(lesson, "name"), text(step, "step"))).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(skipped, expected_skips(world.mode));
    let works = lessons.iter().all(|lesson| lesson["without"] == serde_json::json!([]));
    assert_eq!(report["works"], works);
    assert_eq!(output.status.code(), Some(i32::from(!works)));
    let findings = report["findings"].as_array().unwrap();
    let state = |topic: &str, name: &str| {
        let found = findings.iter().find(|one| one["topic"] == topic && one["name"] == name);
        text(found.unwrap_or_else(|| panic!("no {topic} {name}")), "state").to_owned()
    };
    assert_eq!(state("machine", "lab host"), "good");
    for kind in ["mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time"] {
        let there = std::path::Path::new("/proc/self/ns").join(kind).exists();
        assert_eq!(state("namespaces", kind), if there { "good" } else { "missing" }, "{kind}");
    }
    let names: BTreeSet<(&str, &str)> = findings.iter().map(|one| (text(one, "topic"), text(one, "name"))).collect();
    assert_eq!(names.len(), findings.len(), "each name once in its topic");

    let told = bounded(&mut world.lab(&["doctor"]), ANSWER);
    assert_eq!(told.status.code(), output.status.code());
    let last = told.stdout.lines().last().unwrap_or_default();
    assert_eq!(last.starts_with("Everything works here"), works, "{last}");
    for step in skipped {
        assert!(told.stdout.contains(step.split_once(':').unwrap().1), "{step}: {}", told.stdout);
    }
    world.is_empty_soon("after doctor");
    before.is_as_before(world);
}

/// Where nothing can be made, the doctor says why and what to do, and every lesson says that it is not there.
#[test]
fn the_doctor_of_a_machine_that_forbids_everything() {
    let name = "the_doctor_of_a_machine_that_forbids_everything";
    let world = match World::new(Mode::Root) {
        Ok(world) => world,
        Err(reason) => return support::skip(name, &reason),
    };
    let mut command = world.as_person("setpriv");
    command.args(["--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", "--"]);
    let output = bounded(command.arg(&world.binary).args(["doctor", "--json"]), ANSWER);
    let report = json(&output);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((&report["mode"], &report["works"]), (&Value::Null, &Value::Bool(false)));
    assert!(report["lessons"].as_array().unwrap().iter().all(|lesson| lesson["unavailable"].is_string()));
    let lab = report["findings"].as_array().unwrap().iter().find(|one| one["name"] == "lab host").unwrap();
    assert_eq!(lab["state"], "missing");
    assert!(text(lab, "value").contains("CAP_SYS_ADMIN") && !text(lab, "fix").is_empty(), "{lab}");
}

/// The exported script of each lesson makes a lab host by itself, does all that is possible there, and leaves nothing.
fn scripts_run_by_themselves(world: &World) {
    let before = Machine::now(world);
    for lesson in support::course() {
        let text = bounded(&mut world.hardway(&["lesson", "script", &lesson.name]), ANSWER);
        assert!(text.status.success(), "{}", text.stderr);
        let path = world.path().join(format!("{}.sh", lesson.name));
        std::fs::write(&path, &text.stdout).unwrap();
        let output = bounded(world.as_person("bash").arg(&path), COMMAND);
        assert_eq!(output.status.code(), Some(0), "{}\n{}\n{}", lesson.name, output.stdout, output.stderr);
        for step in &lesson.steps {
            assert!(output.stdout.contains(&format!("\n── {}: ", step.id)), "{}: {}", step.id, output.stdout);
        }
        assert!(output.stdout.contains("── reached: ") && !output.stdout.contains('✗'), "{}", output.stdout);
        assert_eq!(output.stderr, "", "{}", lesson.name);
    }
    before.is_as_before(world);
}

#[test]
fn scripts_as_root() {
    support::in_mode("scripts_as_root", Mode::Root, scripts_run_by_themselves);
}

#[test]
fn scripts_as_an_ordinary_user() {
    support::in_mode("scripts_as_an_ordinary_user", Mode::RootlessRange, scripts_run_by_themselves);
}

/// A script says so where the kernel does something else than the lesson.
#[test]
fn a_script_that_is_wrong_fails() {
    let name = "a_script_that_is_wrong_fails";
    let world = match World::new(Mode::Root).or_else(|_| World::new(Mode::RootlessSingle)) {
        Ok(world) => world,
        Err(reason) => return support::skip(name, &reason),
    };
    let text = bounded(&mut world.hardway(&["lesson", "script", "uts", "--until", "too-long"]), ANSWER).stdout;
    assert!(text.contains("fails 1 'name too long'") && !text.contains("step ordinary-user"));
    let path = world.path().join("wrong.sh");
    std::fs::write(&path, text.replace("fails 1 'name too long'", "fails 3 'name too short'")).unwrap();
    let output = bounded(world.as_person("bash").arg(&path), COMMAND);
    assert_eq!(output.status.code(), Some(1), "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("✗ the lesson says that it fails with status 3"), "{}", output.stdout);
}

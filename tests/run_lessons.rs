//! `hardway run` walks the course, by calls, by shell and by script, in every mode, and the machine is as before.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use support::{COMMAND, Machine, World, bounded, course, expected_skips, json_lines};

in_each_mode!(by_calls, by_shell, by_script);

fn by_calls(world: &World) {
    walks(world, "calls");
}

fn by_shell(world: &World) {
    walks(world, "shell");
}

fn by_script(world: &World) {
    walks(world, "script");
}

fn walks(world: &World, via: &str) {
    let before = Machine::now(world);
    let output = bounded(&mut world.lab(&["run", "--all", "--json", "--via", via]), COMMAND);
    let lines = json_lines(&output);
    let (summary, steps) = lines.split_last().expect("lines");
    let failed: Vec<_> = steps.iter().filter(|step| step["skipped"].is_null() && step["held"] != true).collect();
    assert!(failed.is_empty(), "steps that did not hold: {failed:#?}");
    assert!(output.status.success(), "{}: {summary}\n{}", output.status, output.stderr);
    assert_eq!(summary["mode"], world.mode.name());
    assert_eq!(summary["via"], via);
    assert_eq!(summary["failed"], 0);
    assert_eq!(summary["left_behind"], serde_json::json!([]));

    let told = |step: &serde_json::Value, key: &str| step[key].as_str().unwrap().to_owned();
    let name = |step: &serde_json::Value| format!("{}:{}", told(step, "lesson"), told(step, "step"));
    let walked: Vec<String> = steps.iter().map(name).collect();
    assert_eq!(walked, every_step(world), "each step once, in order");
    let skipped: BTreeSet<String> = steps.iter().filter(|step| !step["skipped"].is_null()).map(name).collect();
    assert_eq!(skipped, expected_skips(world.mode));
    for step in steps.iter().filter(|step| step["skipped"].is_null()) {
        assert_eq!(step["via"], via);
        assert!(!step["verdicts"].as_array().unwrap().is_empty(), "nothing was claimed: {step}");
        let (calls, typed) = (step["calls"].is_array(), step["typed"].is_array());
        match via {
            "calls" => assert!(!typed && (calls || step["kind"] == "observe"), "a step by calls has calls: {step}"),
            _ => assert!(typed && !calls, "a step by hand has lines, and no calls: {step}"),
        }
        if step["kind"] == "change" {
            assert!(step["changes"].as_u64().unwrap() > 0, "a change that nobody sees: {step}");
        }
    }
    world.is_empty_soon("after run");
    before.is_as_before(world);
}

/// As `hardway lessons` counts them and the lesson files name them.
fn every_step(world: &World) -> Vec<String> {
    let steps: Vec<String> = course()
        .iter()
        .flat_map(|lesson| lesson.steps.iter().map(|step| format!("{}:{}", lesson.name, step.id)))
        .collect();
    let listed = bounded(&mut world.hardway(&["lessons", "--json"]), COMMAND);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let counted: u64 = listed.as_array().unwrap().iter().map(|lesson| lesson["steps"].as_u64().unwrap()).sum();
    assert_eq!(counted, steps.len() as u64, "the course in the program is the one in the files");
    steps
}

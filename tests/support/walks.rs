//! What the JSON of a walk through the whole course, and that of the doctor, have to say.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Mode, course};

/// Each of these steps was walked once and held, but for those that may, and must, be skipped; and nothing was left behind.
#[track_caller]
pub fn holds(lines: &[Value], mode: Mode, via: &str, all: &[String], skips: &BTreeSet<String>) {
    let (summary, steps) = lines.split_last().expect("lines");
    let has_failed =
        |step: &&Value| step["not_available"].is_null() && step["skipped"].is_null() && step["held"] != true;
    let failed: Vec<_> = steps.iter().filter(has_failed).collect();
    assert!(failed.is_empty(), "steps that did not hold: {failed:#?}");
    assert_eq!(summary["mode"], mode.name());
    assert_eq!(summary["via"], via);
    assert_eq!(summary["failed"], 0);
    assert_eq!(summary["left_behind"], serde_json::json!([]));

    let told = |step: &Value, key: &str| step[key].as_str().unwrap().to_owned();
    // A lesson of which nothing works here has one line for all of its steps.
    let is_walked = |line: &Value| line["not_available"].is_null();
    let names = |line: &Value| match is_walked(line) {
        true => vec![format!("{}:{}", told(line, "lesson"), told(line, "step"))],
        false => steps_of(all, &told(line, "lesson")),
    };
    let walked: Vec<String> = steps.iter().flat_map(names).collect();
    assert_eq!(walked, all, "each step once, in order");
    let is_skipped = |line: &&Value| !is_walked(line) || !line["skipped"].is_null();
    let skipped: BTreeSet<String> = steps.iter().filter(is_skipped).flat_map(names).collect();
    let expected: BTreeSet<String> = skips.iter().filter(|one| all.contains(one)).cloned().collect();
    assert_eq!(skipped, expected);
    for step in steps.iter().filter(|line| !is_skipped(line)) {
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
}

/// The steps of the course as the lesson files name them.
pub fn every_step() -> Vec<String> {
    let of = |lesson: &super::Written| -> Vec<String> {
        lesson.steps.iter().map(|step| format!("{}:{}", lesson.name, step.id)).collect()
    };
    course().iter().flat_map(of).collect()
}

/// Those of one lesson among such names.
fn steps_of(all: &[String], lesson: &str) -> Vec<String> {
    all.iter().filter(|step| step.split_once(':').is_some_and(|(of, _)| of == lesson)).cloned().collect()
}

/// What the doctor says does not work is what `run` skips, and it says so if there is any.
#[track_caller]
pub fn doctor_knows(report: &Value, mode: Mode, skips: &BTreeSet<String>) {
    assert_eq!((&report["mode"], &report["format"]), (&Value::from(mode.name()), &Value::from(1)));
    let lessons = report["lessons"].as_array().unwrap();
    let without = |lesson: &Value| lesson["without"].as_array().unwrap().clone();
    let mut skipped = BTreeSet::new();
    for lesson in lessons {
        let name = lesson["name"].as_str().unwrap();
        if !lesson["unavailable"].is_null() {
            skipped.extend(steps_of(&every_step(), name));
        }
        for step in without(lesson).iter().filter(|step| step["unavailable"].is_string()) {
            skipped.insert(format!("{name}:{}", step["step"].as_str().unwrap()));
        }
    }
    assert_eq!(&skipped, skips);
    // A step whose twin does the same on this machine is no loss.
    let works = lessons
        .iter()
        .all(|lesson| lesson["unavailable"].is_null() && without(lesson).iter().all(|step| step["twin"] == true));
    assert_eq!(report["works"], works);
}

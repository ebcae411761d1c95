//! The gate proves all lessons in every mode; and it can fail: lessons that are wrong on purpose do not pass.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;

use support::{COMMAND, Machine, Output, World, bounded, course, expected_skips, json_lines};

in_each_mode!(every_proof_holds, wrong_lessons_fail);

fn every_proof_holds(world: &World) {
    let before = Machine::now(world);
    let course = course();
    let names = course.iter().map(|lesson| lesson.name.as_str());
    let args: Vec<&str> = ["lesson", "test", "--json"].into_iter().chain(names).collect();
    let output = bounded(&mut world.lab(&args), COMMAND * 4);
    let lines = json_lines(&output);
    let (summary, proofs) = lines.split_last().expect("lines");
    // Where wrong lines were typed, the check must not hold.
    let holds = |proof: &serde_json::Value| {
        proof["held"] == proof["wrong"].is_null()
            && proof["gate"].as_array().unwrap().iter().all(|verdict| verdict["holds"] == true)
    };
    let failed: Vec<_> = proofs.iter().filter(|proof| proof["skipped"].is_null() && !holds(proof)).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(output.status.success(), "{}: {summary}\n{}", output.status, output.stderr);

    let name = |proof: &serde_json::Value| {
        format!("{}:{}", proof["lesson"].as_str().unwrap(), proof["step"].as_str().unwrap())
    };
    let skipped: BTreeSet<String> = proofs.iter().filter(|proof| !proof["skipped"].is_null()).map(name).collect();
    assert_eq!(skipped, expected_skips(world.mode));
    // Each step twice, by calls and by shell; and wrong answers beyond.
    for via in ["calls", "shell"] {
        let proved: BTreeSet<String> = proofs.iter().filter(|proof| proof["via"] == via).map(name).collect();
        assert_eq!(proved.len(), course.iter().map(|lesson| lesson.steps.len()).sum::<usize>(), "by {via}: {proved:?}");
    }
    let undone = |proof: &&serde_json::Value| proof["kind"] == "change" && proof["calls"].is_array();
    for proof in proofs.iter().filter(undone) {
        let claims = proof["gate"].to_string();
        assert!(claims.contains("one step back"), "no proof of undo: {proof}");
    }
    let wrong = proofs.iter().filter(|proof| proof["wrong"].is_array()).count();
    assert!(wrong >= 10, "only {wrong} wrong answers were tried");
    world.is_empty_soon("after the gate");
    before.is_as_before(world);
}

/// The beginning of every lesson here.
const HEAD: &str = "\
format: 1
id: wrong
stage: uts
title: Wrong on purpose
minutes: 1
needs: [uts_namespace]
goal: Nothing.
steps:
";

/// One step of kind *change* that holds, so that a file differs from a right one in one point only.
const GOOD: &str = "
  - id: unshare
    kind: change
    title: A name of its own
    explain: Words.
    actions:
      - box: {}
      - unshare: { in: box, namespaces: [uts] }
    by_hand: ['unshare --uts bash --norc']
    watch: [hostname, namespaces]
    check:
      - namespace_differs: { of: box, kind: uts, from: host }
    wrong:
      - ['bash --norc']
    hints: [One, Two, Three]
    notes: Words.
    debrief: Words.
";

/// One step of kind *fail* that holds.
const GOOD_FAIL: &str = "
  - id: too-long
    kind: fail
    title: Too long
    explain: Words.
    actions:
      - set_hostname: { in: box, name: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, fails_with: EINVAL }
    by_hand: [\"hostname $(printf 'x%.0s' {1..65})\"]
    by_hand_fails: { status: 1, says: name too long }
    watch: [hostname]
    check:
      - namespace_differs: { of: box, kind: uts, from: host }
    hints: [One, Two, Three]
    notes: Words.
    debrief: Words.
";

fn gate(world: &World, text: &str) -> Output {
    let path = world.path().join("wrong.yaml");
    fs::write(&path, text).unwrap();
    let checked = bounded(&mut world.hardway(&["lesson", "check", path.to_str().unwrap()]), COMMAND);
    assert!(checked.status.success(), "the file itself must be right: {}", checked.stderr);
    bounded(&mut world.lab(&["lesson", "test", path.to_str().unwrap()]), COMMAND)
}

fn wrong_lessons_fail(world: &World) {
    let right = format!("{HEAD}{GOOD}{GOOD_FAIL}");
    let output = gate(world, &right);
    assert!(output.status.success(), "the right lesson passes:\n{}{}", output.stdout, output.stderr);
    let change = |from: &str, to: &str| {
        assert!(right.contains(from));
        right.replacen(from, to, 1)
    };
    let wrong = [
        (
            "a check that holds before the step",
            change("namespace_differs: { of: box, kind: uts, from: host }", "exists: { of: host }"),
            "the check does not hold before the step",
        ),
        ("another errno than the kernel's", change("fails_with: EINVAL", "fails_with: EPERM"), "EPERM"),
        ("another message than the shell's", change("says: name too long", "says: no such name"), "no such name"),
        ("another status than the shell's", change("status: 1", "status: 3"), "3"),
        ("a wrong answer that is right", change("['bash --norc']", "['unshare --uts sh']"), "does not pass"),
        (
            "hands that do something else than the calls",
            change("by_hand: ['unshare --uts bash", "by_hand: ['unshare --uts --ipc bash"),
            "calls and shell lead to the same state",
        ),
        ("hands that do nothing", change("by_hand: ['unshare --uts bash", "by_hand: ['bash"), "does not hold"),
        ("calls that do something else", change("namespaces: [uts]", "namespaces: [ipc]"), "does not hold"),
        (
            "a failure that does not happen",
            change("name: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "name: short"),
            "does not hold",
        ),
    ];
    for (what, text, claim) in wrong {
        let output = gate(world, &text);
        assert_eq!(output.status.code(), Some(1), "{what} must fail:\n{}{}", output.stdout, output.stderr);
        assert!(output.stdout.contains(claim), "{what}: it does not say {claim:?}:\n{}", output.stdout);
    }
    world.is_empty_soon("after the gate has failed");
}

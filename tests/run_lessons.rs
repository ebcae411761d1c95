//! `hardway run` walks the course, by calls, by shell and by script, in every mode, and the machine is as before.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use support::walks::{every_step, holds};
use support::{COMMAND, Machine, World, bounded, expected_skips, json_lines, shown_course};

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
    holds(&lines, world.mode, via, &every_step(), &expected_skips(world.mode));
    assert!(output.status.success(), "{}: {}", output.status, output.stderr);
    counts_its_steps(world);
    world.is_empty_soon("after run");
    before.is_as_before(world);
}

/// The course that the program shows is the one in the files.
fn counts_its_steps(world: &World) {
    let listed = bounded(&mut world.hardway(&["lessons", "--json"]), COMMAND);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let counted: u64 = listed.as_array().unwrap().iter().map(|lesson| lesson["steps"].as_u64().unwrap()).sum();
    let shown: usize = shown_course(world.mode).iter().map(|lesson| lesson.steps.len()).sum();
    assert_eq!(counted, shown as u64);
}

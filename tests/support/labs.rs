//! The harness of tests that use lab hosts by the library, and not through a session. It is none of the usual ones: the keeper must be forked
//! while this process has one thread.

#![allow(dead_code)]

use std::process::{Command, ExitCode};

use hardway::agent::client::{Keeper, Lab};
use hardway::kernel::host::{Person, Wish};
use hardway::probe::{Names, Observation, Panel};
use hardway::runtime::action::Action;

/// What a test is called, and what it does.
pub type Test = (&'static str, fn(&mut Lab));

/// Makes a lab host ready for the tests, or says why they can not run there.
pub type Ready = fn(&mut Lab) -> Result<(), String>;

/// Runs the tests in a lab host of each mode that is possible here, one after the other.
pub fn in_each_mode(oracle: &str, ready: Ready, tests: &[Test]) -> ExitCode {
    // Lab hosts show this program as the one that works, and as CNI plugins.
    if let Some(code) = hardway::workload::asked().or_else(hardway::cni::plugins::asked) {
        return code;
    }
    let person = Person::current();
    let single = Wish { rootless: true, single_id: true, ..Wish::default() };
    let run = |mode: &str, wish: Wish| in_a_lab(&person, oracle, mode, wish, ready, tests);
    match (person.uid, std::env::var("HARDWAY_TEST_USER")) {
        (0, Ok(user)) => {
            // As that user first: a process of its own, because there is no way back.
            let program = std::env::current_exe().expect("this program");
            let mut command = Command::new("setpriv");
            command.args(["--reuid", &user, "--regid", &user, "--init-groups"]).arg(program);
            assert!(command.status().expect("setpriv").success(), "as {user}");
        }
        (0, Err(_)) => {
            println!("SKIPPED {oracle}, rootless: HARDWAY_TEST_USER names no ordinary user; tests/run does so");
        }
        (_, _) => run("rootless_single", single),
    }
    run(if person.uid == 0 { "root" } else { "rootless" }, Wish::default());
    ExitCode::SUCCESS
}

fn in_a_lab(person: &Person, oracle: &str, mode: &str, wish: Wish, ready: Ready, tests: &[Test]) {
    let made = person.offer(wish).and_then(|offer| {
        let mut keeper = Keeper::fork(person, &offer)?;
        let lab = keeper.start_lab()?;
        Ok((keeper, lab))
    });
    let (keeper, mut lab) = match made {
        Ok(made) => made,
        Err(explanation) => return println!("SKIPPED {oracle}::{mode}: {explanation}"),
    };
    match ready(&mut lab) {
        Ok(()) => {
            for (what, test) in tests {
                test(&mut lab);
                println!("test {what}::{mode} ... ok");
            }
        }
        Err(reason) => println!("SKIPPED {oracle}::{mode}: {reason}"),
    }
    drop(lab);
    let left = keeper.end();
    assert!(left.is_empty(), "{left:?}");
}

/// Actions as lessons write them, in JSON.
pub fn actions(json: &str) -> Vec<Action> {
    serde_json::from_str(json).expect("actions")
}

/// Performs actions that must not fail.
pub fn perform(lab: &mut Lab, actions: &[Action]) {
    for one in lab.perform(actions).expect("performed") {
        assert!(one.result.is_ok(), "{:?}", one.result);
    }
}

/// A shell line on the lab host: its status, and what it prints.
pub fn run(lab: &mut Lab, line: &str) -> (Option<i32>, String) {
    let run = serde_json::json!([{ "run": { "in": "host", "argv": ["sh", "-c", line] } }]);
    let performed = lab.perform(&actions(&run.to_string())).expect("performed").remove(0);
    let outcome = performed.result.unwrap_or_else(|error| panic!("{line}: {error}"));
    (outcome.status, outcome.output)
}

/// What a shell line prints that ends well.
pub fn printed(lab: &mut Lab, line: &str) -> String {
    let (status, output) = run(lab, line);
    assert_eq!(status, Some(0), "{line}: {output}");
    output
}

/// A sample of everything.
pub fn sample(lab: &mut Lab) -> (Observation, Names) {
    let sample = lab.observe(&Panel::ALL, &[]).expect("a sample");
    (sample.observation, sample.names)
}

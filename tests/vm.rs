//! The course on a machine with systemd and cgroups of version 2 alone: what `tests/vm/run` has brought back from a VM.
//!
//! `cargo test --test vm` boots the VM, with `target/release/hardway` in it. `HARDWAY_VM_BINARY` names another program,
//! `HARDWAY_VM_TESTS` test binaries that are run there as well, one on a line, with names of tests where not all are wanted, and
//! `HARDWAY_VM_OUT` the `out` of an earlier `tests/vm/run`: that is
//! judged then, and nothing is run.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use support::walks::{doctor_knows, every_step, holds};
use support::{Mode, expected_skips_on, json_lines_of, names, skip};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// For all of it. `tests/vm/run` bounds the parts.
const SECONDS: &str = "2800";

/// The exit status of `tests/vm/run` where there can be no VM.
const CAN_NOT: i32 = 77;

/// The lessons that are different with version 2, and with a cgroup that was delegated: of the others each has been walked there already.
const GROUPED: [&str; 8] = [
    "08-cgroup-ns",
    "10-cgroups",
    "11-cpu",
    "12-memory",
    "13-pids",
    "14-io",
    "15-devices-freezer",
    "16-net-perf-hugetlb",
];

/// Files that `tests/vm/inside` has written, by their names.
type Brought = BTreeMap<String, String>;

enum Trouble {
    CanNot(String),
    Broken(String),
}

/// Booted once, by the test that needs it first.
static BROUGHT: LazyLock<Result<Brought, Trouble>> = LazyLock::new(|| {
    if let Some(out) = std::env::var_os("HARDWAY_VM_OUT") {
        return Ok(read(Path::new(&out)));
    }
    let directory = tempfile::Builder::new().prefix("hwvm-").tempdir_in("/tmp").unwrap();
    let mut run = Command::new("setpriv");
    run.args(["--pdeathsig", "TERM", "timeout", "--foreground", "--kill-after=20", SECONDS]);
    run.arg(format!("{ROOT}/tests/vm/run")).arg(directory.path());
    run.args(std::env::var_os("HARDWAY_VM_BINARY"));
    // What goes on is told on standard error, as it goes on.
    let output = run.stdin(Stdio::null()).stderr(Stdio::inherit()).output().unwrap();
    match output.status.code() {
        Some(0 | 1) => Ok(read(&directory.path().join("out"))),
        Some(CAN_NOT) => Err(Trouble::CanNot(String::from_utf8_lossy(&output.stdout).trim().to_owned())),
        _ => Err(Trouble::Broken(format!("tests/vm/run: {}", output.status))),
    }
});

fn read(out: &Path) -> Brought {
    names(out).into_iter().map(|name| (name.clone(), fs::read_to_string(out.join(name)).unwrap())).collect()
}

fn in_the_vm(test: &str, body: impl FnOnce(&Brought)) {
    match &*BROUGHT {
        Ok(brought) => body(brought),
        Err(Trouble::CanNot(reason)) => skip(&format!("vm::{test}"), reason),
        Err(Trouble::Broken(why)) => panic!("{why}"),
    }
}

/// A test for each walk and each report of the doctor, by the name of its step in `tests/vm/inside`: how ids are mapped, how
/// cgroups are mounted.
macro_rules! steps {
    ($($name:ident: $judge:ident $mode:expr, $cgroups:literal;)*) => {
        $(#[test]
        fn $name() {
            in_the_vm(stringify!($name), |brought| $judge(brought, stringify!($name), $mode, $cgroups));
        })*

        const STEPS: &[&str] = &[$(stringify!($name)),*];
    };
}

steps! {
    root_by_calls: walk Mode::Root, "v2";
    root_by_shell: walk Mode::Root, "v2";
    root_by_script: walk Mode::Root, "v2";
    range_by_calls: walk Mode::RootlessRange, "v2";
    range_by_shell: walk Mode::RootlessRange, "v2";
    single_by_calls: walk Mode::RootlessSingle, "v2";
    single_by_shell: walk Mode::RootlessSingle, "v2";
    delegated_by_calls: walk Mode::RootlessRange, "v2_delegated";
    delegated_by_shell: walk Mode::RootlessRange, "v2_delegated";
    scope_by_calls: walk Mode::RootlessRange, "v2";
    doctor_root: doctor Mode::Root, "v2";
    doctor_range: doctor Mode::RootlessRange, "v2";
    doctor_single: doctor Mode::RootlessSingle, "v2";
    doctor_delegated: doctor Mode::RootlessRange, "v2_delegated";
}

fn walk(brought: &Brought, name: &str, mode: Mode, cgroups: &str) {
    let (who, via) = name.split_once("_by_").unwrap();
    let errors = &brought[&format!("{name}.err")];
    assert!(!brought[name].is_empty(), "{errors}");
    let mut all = every_step();
    if via == "script" || ["delegated", "scope"].contains(&who) {
        all.retain(|step| step.split_once(':').is_some_and(|(lesson, _)| GROUPED.contains(&lesson)));
    }
    holds(&json_lines_of(&brought[name]), mode, via, &all, &expected_skips_on(mode, cgroups, &brought["release"]));
    assert_eq!(brought[&format!("{name}.status")].trim(), "0", "{errors}");
}

fn doctor(brought: &Brought, name: &str, mode: Mode, cgroups: &str) {
    assert!(!brought[name].is_empty(), "{}", brought[&format!("{name}.err")]);
    let report = serde_json::from_str(&brought[name]).unwrap();
    doctor_knows(&report, mode, &expected_skips_on(mode, cgroups, &brought["release"]));
}

/// Among the steps are those that compare the machine before and after.
#[test]
fn every_step_ends_well_and_is_judged() {
    in_the_vm("every_step_ends_well_and_is_judged", |brought| {
        let steps: BTreeMap<&str, &str> =
            brought.iter().filter_map(|(name, status)| Some((name.strip_suffix(".status")?, status.trim()))).collect();
        let failed: Vec<String> = steps
            .iter()
            .filter(|(_, status)| **status != "0")
            .map(|(name, status)| format!("{name}: {status}\n{}{}", brought[*name], brought[&format!("{name}.err")]))
            .collect();
        assert!(failed.is_empty(), "{}", failed.join("\n"));
        assert!(brought["before"].lines().any(|line| line.contains(" - cgroup2 ")), "{}", brought["before"]);
        for name in ["gate", "cleanup_root", "cleanup_attendee", "as_before"] {
            assert!(steps.contains_key(name), "{name} was not run");
        }
        for test in
            std::env::var("HARDWAY_VM_TESTS").unwrap_or_default().lines().filter_map(|line| line.rsplit('/').next())
        {
            let name = format!("test_{}", test.split('-').next().unwrap());
            assert!(steps.contains_key(name.as_str()), "{name} was not run");
        }
        let judged = |name: &&str| name.contains("_by_") || name.starts_with("doctor_");
        let run: BTreeSet<&str> = steps.keys().copied().filter(judged).collect();
        assert_eq!(
            run,
            STEPS.iter().copied().collect(),
            "what is run in the VM is judged here, and the other way round"
        );
    });
}

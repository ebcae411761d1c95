//! The commands beside the workbench: what they print, how they end, and that the machine is as before.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use serde_json::Value;
use support::walks::doctor_knows;
use support::{ANSWER, COMMAND, Machine, Mode, Output, World, bounded, expected_skips};

in_each_mode!(the_doctor_knows_what_run_skips, a_new_lesson_passes);

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
    let skipped = expected_skips(world.mode);
    doctor_knows(&report, world.mode, &skipped);
    let works = report["works"] == true;
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
        // Some shells start what runs in the background with SIGINT ignored.
        let ignored: &[&str] = if world.mode == Mode::Root { &["--ignore-signal=INT"] } else { &[] };
        // Scripts on limits let hardway do the work.
        let programs = format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", world.binary.parent().unwrap().display());
        let output = bounded(world.as_person("env").args(ignored).arg(programs).arg("bash").arg(&path), COMMAND);
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

/// A shell that is opened in the middle of a lesson is brought to where the step begins, by lines whose changes are not the
/// step's.
#[test]
fn what_leads_to_a_step_is_not_its_change() {
    let name = "what_leads_to_a_step_is_not_its_change";
    let world = match World::new(Mode::Root).or_else(|_| World::new(Mode::RootlessSingle)) {
        Ok(world) => world,
        Err(reason) => return support::skip(name, &reason),
    };
    let mut session = support::Session::open(&world, "05-pid");
    session.say("g 4");
    let text = session.say("t");
    assert!(text.contains("done by hand") && text.contains("| unshare --pid --fork"), "{text}");
    let changes: Vec<&str> = text.lines().filter(|line| line.starts_with("  + ") || line.starts_with("  ~ ")).collect();
    assert!(changes.iter().any(|line| line.contains("mnt = ") && line.contains("(was ")), "{text}");
    assert!(!changes.iter().any(|line| line.contains("pid_for_children") || line.contains("owner of pid")), "{text}");
    session.quit();
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

/// A new lesson passes as it is, in every mode, and is never written over another one.
fn a_new_lesson_passes(world: &World) {
    let dir = world.path().join("authors");
    world.make_directory(&dir);
    let new =
        |id: &str| bounded(&mut world.hardway(&["lesson", "new", id, "--stage", "pid", dir.to_str().unwrap()]), ANSWER);
    let made = new("own");
    assert!(made.status.success(), "{}", made.stderr);
    let path = dir.join("own.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# yaml-language-server: $schema=") && text.contains("\nstage: pid"));
    let test = bounded(&mut world.lab(&["lesson", "test", path.to_str().unwrap()]), COMMAND);
    assert!(test.status.success(), "{}{}", test.stdout, test.stderr);
    assert!(test.stdout.trim_end().ends_with("0 failed, 0 skipped"), "{}", test.stdout);

    std::fs::write(&path, "mine").unwrap();
    let again = new("own");
    assert_eq!((again.status.code(), std::fs::read_to_string(&path).unwrap().as_str()), (Some(1), "mine"));
    assert!(again.stderr.contains("never overwrites"), "{}", again.stderr);
    for wrong in ["Own", "../own", "a b"] {
        assert_eq!(new(wrong).status.code(), Some(1), "{wrong}");
    }
    assert_eq!(support::names(&dir).len(), 1);
}

fn any_world() -> World {
    World::new(Mode::Root).or_else(|_| World::new(Mode::RootlessSingle)).unwrap()
}

/// Every command has examples, and the manual page has every command.
#[test]
fn help_and_manual_have_every_command() {
    let world = any_world();
    let ask = |args: &[&str]| {
        let output = bounded(&mut world.hardway(args), ANSWER);
        assert!(output.status.success(), "{args:?}: {}", output.stderr);
        output.stdout
    };
    let commands = |help: &str| -> Vec<String> {
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        // A long description goes on below itself.
        let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        names.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(|name| name != "help").collect()
    };
    let top = ask(&["--help"]);
    assert!(["Examples:", "Exit status:", "Environment:"].iter().all(|part| top.contains(part)), "{top}");
    let manual = ask(&["man"]);
    let mut all: Vec<Vec<String>> = Vec::new();
    for name in commands(&top) {
        let below = commands(&ask(&[&name, "--help"]));
        if below.is_empty() {
            all.push(vec![name]);
        } else {
            all.extend(below.into_iter().map(|sub| vec![name.clone(), sub]));
        }
    }
    assert!(all.len() >= 12, "{all:?}");
    for command in all {
        let args: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        assert!(ask(&args).contains("Examples:"), "{command:?} has no examples");
        let heading = format!(".SS \"hardway {}", command.join(" "));
        assert!(manual.replace(".SS hardway", ".SS \"hardway").contains(&heading), "no {heading} in the manual");
    }
    let parts =
        ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS", "EXIT STATUS", "FILES", "ENVIRONMENT", "EXAMPLES"];
    for part in parts {
        assert!(manual.contains(&format!(".SH {part}")) || manual.contains(&format!(".SH \"{part}\"")), "no {part}");
    }
}

/// A command line that can not be understood is status 2, as it says.
#[test]
fn what_can_not_be_understood_is_status_2() {
    let world = any_world();
    for args in [&["run"][..], &["doctor", "--no-such-option"], &["lesson"], &["completions", "csh"]] {
        assert_eq!(bounded(&mut world.hardway(args), ANSWER).status.code(), Some(2), "{args:?}");
    }
}

/// What bash offers at the Tab key, asked of the script as bash asks it.
#[test]
fn completions_know_lessons_and_steps() {
    const ASK: &str = r#"
        source /dev/stdin
        COMP_LINE=$1 COMP_POINT=${#1}
        read -ra COMP_WORDS <<<"$1"
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        function=$(complete -p hardway | sed 's/.*-F \([^ ]*\).*/\1/')
        "$function" hardway "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        echo "${COMPREPLY[*]}""#;
    let world = any_world();
    let path = world.path().join("completions");
    for shell in ["zsh", "fish", "bash"] {
        let output = bounded(&mut world.hardway(&["completions", shell]), ANSWER);
        for word in ["05-pid", "05-pid:own-proc", "doctor", "until"] {
            assert!(output.stdout.contains(word), "{shell}: no {word}");
        }
        std::fs::write(&path, output.stdout).unwrap();
    }
    let cases = [
        ("hardway 05-pid:o", "old-proc own-proc orphan"),
        ("hardway run 05", "05-pid"),
        ("hardway run --until own-p", "own-proc"),
        ("hardway lesson script 03", "03-uts"),
        ("hardway doc", "doctor"),
        ("hardway run --via s", "shell script"),
    ];
    for (typed, offered) in cases {
        let mut bash = world.as_person("bash");
        bash.args(["-c", ASK, "bash", typed]).stdin(std::fs::File::open(&path).unwrap());
        let output = bounded(&mut bash, ANSWER);
        assert_eq!(output.stdout.trim_end(), offered, "{typed}: {}", output.stderr);
    }
}

/// `state` tells of the shell that it is typed into, or of another process, each value with its source.
#[test]
fn state_of_a_process() {
    let world = any_world();
    let mut shell = world.as_person("bash");
    // The `:` keeps bash from becoming hardway, which would then have another parent.
    shell.args(["-c", "echo $$; \"$0\" state --json; :", world.binary.to_str().unwrap()]);
    let output = bounded(&mut shell, ANSWER);
    let (pid, report) = output.stdout.split_once('\n').unwrap();
    let report: Value = serde_json::from_str(report).unwrap();
    assert_eq!((report["pid"].to_string(), &report["format"]), (pid.to_owned(), &Value::from(1)));
    let rows = report["rows"].as_array().unwrap();
    let row = |key: &str| rows.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("no {key}"));
    assert_eq!(text(row("comm"), "value"), "bash");
    assert_eq!(text(row("comm"), "source"), format!("/proc/{pid}/stat"));
    let panels: BTreeSet<&str> = rows.iter().map(|row| text(row, "panel")).collect();
    assert!(["credentials", "hostname", "mounts", "namespaces", "processes"].iter().all(|one| panels.contains(one)));
    for row in rows {
        assert!(
            ["subject", "key", "value", "source", "meaning"].iter().all(|field| !text(row, field).is_empty()),
            "{row}"
        );
    }

    let told = bounded(&mut world.hardway(&["state", "1"]), ANSWER);
    assert!(told.status.success() && told.stdout.contains("[/proc/1/status]"), "{}", told.stdout);
    let gone = bounded(&mut world.hardway(&["state", "2147483647"]), ANSWER);
    assert_eq!((gone.status.code(), gone.stdout.as_str()), (Some(1), ""));
    assert!(gone.stderr.contains("There is no process 2147483647"), "{}", gone.stderr);
}

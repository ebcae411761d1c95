//! Bad input and trouble: a clear message with a way on, nothing lost, nothing left behind.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use support::{COMMAND, Machine, Mode, Output, PROMISE, Session, World, am_root, bounded, eventually, in_mode, skip};

in_each_mode!(
    unknown_names,
    a_twin_of_the_other_version,
    lines_for_what_calls_have_done,
    no_terminal,
    a_dumb_terminal,
    progress_that_can_not_be_written,
    two_at_once,
    signals,
    a_stuck_shell,
    a_box_that_is_gone,
    a_reader_that_has_gone,
    a_full_disk,
);

/// The mode in which a test that needs no lab runs.
fn any_mode() -> Mode {
    if am_root() { Mode::Root } else { Mode::RootlessSingle }
}

/// Runs a command with this text as its input.
fn with_input(world: &World, command: &mut Command, text: &str) -> Output {
    let path = world.path().join("input");
    fs::write(&path, text).unwrap();
    bounded(command.stdin(Stdio::from(File::open(path).unwrap())), COMMAND)
}

/// An explanation: what, why, how to go on; and exit status 1.
#[track_caller]
fn explains(output: &Output, words: &[&str]) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.starts_with("hardway: "), "{output:?}");
    for word in ["\n  why: ", "\n  fix: "].iter().chain(words) {
        assert!(output.stderr.contains(word), "it does not say {word:?}: {}", output.stderr);
    }
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
}

fn unknown_names(world: &World) {
    for args in [&["run", "utss"][..], &["--plain", "utss"], &["lesson", "test", "utss"], &["run", "pid", "utss"]] {
        let output = bounded(&mut world.lab(args), COMMAND);
        explains(&output, &["did you mean `uts`?", "00-process, ", ", 03-uts, ", ", 05-pid"]);
        assert_eq!(output.stdout, "", "nothing is done before all names are known");
    }
    for args in [&["--plain", "pid:frok"][..], &["run", "pid", "--until", "frok"], &["--plain", "pid:99"]] {
        let output = bounded(&mut world.lab(args), COMMAND);
        explains(&output, &["without-fork", "fork", "own-proc", "05-pid"]);
    }
    let output = with_input(world, &mut world.lab(&["--plain", "pid"]), "g 99\ng x\no utss\nzzz\nq\n");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.contains("did you mean `uts`?"), "{output:?}");
    assert!(output.stdout.contains("which step?"), "{output:?}");
    assert!(!output.stderr.contains("panicked"), "{output:?}");
    let output = bounded(&mut world.hardway(&["no", "such", "command"]), COMMAND);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    world.is_empty_soon("after unknown names");
}

/// Links to a step lead to it on every machine, whichever of it and its twin that has.
fn a_twin_of_the_other_version(world: &World) {
    for step in ["11-cpu:throttled", "11-cpu:throttled-v1"] {
        let output = with_input(world, &mut world.lab(&["--plain", step]), "q\n");
        assert!(output.stdout.contains(": A busy loop that stands still"), "{step}: {output:?}");
    }
}

/// Lines are typed where calls have not done what they do.
fn lines_for_what_calls_have_done(world: &World) {
    let output = with_input(world, &mut world.lab(&["--plain", "02-mount:2"]), "n\nn\nn\nt\nq\n");
    assert!(output.stdout.contains("done by hand: the check holds"), "{output:?}");
    assert!(!output.stdout.contains("File exists"), "{output:?}");
    world.is_empty_soon("after lines were typed");
}

#[test]
fn broken_yaml() {
    in_mode("trouble::broken_yaml", any_mode(), |world| {
        let file = world.path().join("broken.yaml");
        let text = "\
format: 1
id: broken
stage: uts
title: Broken
minutes: 1
goal: Nothing.
colour: red
steps:
  - id: one
    kind: chnage
    title: One
    explain: Words.
    actions:
      - unshare: { in: box, namespaces: [utz] }
    by_hand: ['true']
    watch: [hostnames]
    check:
      - hostnam: { of: box, is: web }
    hints: [One, Two, Three]
    notes: Words.
    debrief: Words.
";
        fs::write(&file, text).unwrap();
        for args in [["lesson", "check"], ["lesson", "test"]] {
            let output = bounded(world.hardway(&args).arg(&file), COMMAND);
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            // All faults at once, each where it is.
            for (line, word) in [(7, "colour"), (10, "chnage"), (14, "utz"), (16, "hostnames"), (18, "hostnam")] {
                let column = text.lines().nth(line - 1).unwrap().find(word).unwrap() + 1;
                let place = format!("broken.yaml:{line}:");
                let told = output.stderr.lines().find(|told| told.contains(&place));
                let told = told.unwrap_or_else(|| panic!("no fault at {place} ({word}): {}", output.stderr));
                let told: usize = told.split(&place).nth(1).unwrap().split(':').next().unwrap().parse().unwrap();
                let value = text.lines().nth(line - 1).unwrap().split(": ").next().unwrap().len() + 1;
                assert!(told <= column && told + value >= column, "column {told} for {word} at {column}");
            }
            assert!(output.stderr.contains("did you mean"), "{}", output.stderr);
            assert!(output.stderr.matches("fix: ").count() >= 5, "each with a fix: {}", output.stderr);
            assert!(output.stderr.contains("kind: chnage"), "with a snippet: {}", output.stderr);
        }
        for (name, bytes) in [
            ("empty.yaml", &b""[..]),
            ("binary.yaml", &[0, 159, 255][..]),
            ("list.yaml", b"- 1\n"),
            ("tab.yaml", b"\tid: x\n"),
        ] {
            let file = world.path().join(name);
            fs::write(&file, bytes).unwrap();
            let output = bounded(world.hardway(&["lesson", "check"]).arg(&file), COMMAND);
            assert_eq!(output.status.code(), Some(1), "{name}: {output:?}");
            assert!(output.stderr.contains(name) && !output.stderr.contains("panicked"), "{name}: {}", output.stderr);
        }
        let output = bounded(&mut world.hardway(&["lesson", "check", "/no/such/lesson.yaml"]), COMMAND);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stderr.contains("/no/such/lesson.yaml") && output.stderr.contains("No such file"), "{output:?}");
    });
}

fn no_terminal(world: &World) {
    let output = bounded(&mut world.lab(&["05-pid"]), COMMAND);
    explains(&output, &["terminal", "hardway --plain", "hardway run --all"]);
    assert_eq!(output.stdout, "");
    world.is_empty_soon("after the refusal");
}

fn a_dumb_terminal(world: &World) {
    let output = with_input(world, world.lab(&["05-pid"]).env("TERM", "dumb"), "n\nq\n");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.contains("step 1 of 8") && output.stdout.contains("ENOMEM"), "{output:?}");
    assert!(!output.stdout.contains('\x1b'), "no control sequences: {output:?}");
    world.is_empty_soon("after q");
}

fn progress_that_can_not_be_written(world: &World) {
    // A file where the directory should be stops root as well; a directory that may not be written stops the others.
    let file = world.path().join("file");
    fs::write(&file, "").unwrap();
    let locked = world.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    for place in if world.mode == Mode::Root { vec![file] } else { vec![file, locked] } {
        let output = with_input(world, world.lab(&["--plain", "uts"]).env("XDG_STATE_HOME", &place), "n\nn\nn\nq\n");
        assert!(output.status.success(), "the course goes on: {output:?}");
        assert!(output.stdout.contains("unshare("), "steps are done: {output:?}");
        let told = format!("{}{}", output.stdout, output.stderr);
        assert_eq!(told.matches(place.to_str().unwrap()).count().min(1), 1, "it says where: {told}");
        assert!(told.contains("fix: "), "{told}");
    }
    let listed = bounded(world.lab(&["lessons"]).env("HOME", "/proc/no/home"), COMMAND);
    assert!(listed.status.success() && listed.stdout.contains("05-pid"), "{listed:?}");
    world.is_empty_soon("after q");
}

fn two_at_once(world: &World) {
    let mut one = Session::open(world, "05-pid");
    let mut two = Session::open(world, "03-uts");
    assert!(one.say("n").contains("ENOMEM"));
    two.say("n");
    two.say("n");
    assert!(two.say("n").contains("unshare("));
    // What lives is nobody's to clean up.
    let cleaned = bounded(&mut world.hardway(&["cleanup"]), COMMAND);
    assert!(cleaned.status.success() && !cleaned.stdout.contains("taken away"), "{cleaned:?}");
    let run = bounded(&mut world.lab(&["run", "00-process"]), COMMAND);
    assert!(run.status.success(), "a third one is not confused by the others: {run:?}");
    assert!(one.runs());
    one.quit();
    assert!(two.runs());
    assert!(two.say("! hostname").contains("lab"));
    assert!(two.say("r").contains("step 1 of"));
    two.quit();
}

fn signals(world: &World) {
    let before = Machine::now(world);
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        let mut session = Session::open(world, "05-pid");
        session.say("g 6");
        session.say("! sleep 1000 &");
        session.ui().signal(signal);
        session.ended();
        session.has_left_nothing(&format!("{signal} to --plain"));
    }
    for (signal, via) in [(Signal::SIGTERM, "calls"), (Signal::SIGHUP, "shell"), (Signal::SIGINT, "shell")] {
        let mut session = Session::start(world, &mut world.lab(&["run", "--all", "--via", via]));
        eventually(PROMISE, || {
            session.remember();
            session.agent().map(drop).ok_or_else(|| "no agent".into())
        });
        session.ui().signal(signal);
        session.ended();
        session.has_left_nothing(&format!("{signal} to run"));
    }
    // Stopped and continued, as by Ctrl-Z and `fg`. By SIGSTOP: SIGTSTP does nothing to an orphaned process group (setpgid(2)), and
    // that is what tests may run in.
    let mut session = Session::open(world, "05-pid");
    session.ui().signal(Signal::SIGSTOP);
    let ui = session.ui();
    eventually(PROMISE, || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", ui.pid)).unwrap();
        if stat.contains(") T ") { Ok(()) } else { Err(format!("not stopped: {stat}")) }
    });
    ui.signal(Signal::SIGCONT);
    assert!(session.say("n").contains("ENOMEM"));
    // The end of the input is the end of the session.
    session.hang_up();
    assert!(session.ended().success());
    session.has_left_nothing("after the end of the input");
    before.is_as_before(world);
}

/// `sleep` as PID 1 of a namespace has no handler for SIGINT: Ctrl-C does not end it.
fn a_stuck_shell(world: &World) {
    let mut session = Session::open(world, "05-pid");
    session.say("n");
    let stuck = session.say("! unshare --pid --fork sleep 1d");
    assert!(stuck.contains("still in the foreground"), "{stuck}");
    let again = session.say("r");
    assert!(again.contains("step 1 of"), "{again}");
    let fresh = session.say("! echo one; echo two");
    assert!(fresh.contains("| one") && fresh.contains("| two"), "a new shell answers: {fresh}");
    session.say("! unshare --pid --fork sleep 1d");
    // Also with a shell that does not answer the session ends.
    session.quit();
}

fn a_box_that_is_gone(world: &World) {
    let mut session = Session::open(world, "05-pid");
    session.say("g 2");
    session.say("n");
    let boxes = session.boxes();
    boxes.last().expect("a box").signal(Signal::SIGKILL);
    eventually(PROMISE, || if boxes.last().unwrap().lives() { Err("it lives".into()) } else { Ok(()) });
    session.say("g 4");
    let text = session.say("n");
    assert!(text.contains("box") && text.contains("fix: "), "it says that the box is gone, and a way on: {text}");
    let text = session.say("b");
    assert!(!text.contains("panicked"), "{text}");
    session.say("r");
    session.say("g 4");
    let text = session.say("n");
    assert!(text.contains("mount("), "after a reset it works: {text}");
    session.quit();
}

fn a_reader_that_has_gone(world: &World) {
    let mut child =
        world.lab(&["run", "--all", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    // The reader takes one line and goes, as `head -1` does.
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    child.wait().unwrap();
    assert!(!stderr.contains("panicked"), "{stderr}");
    world.is_empty_soon("after head -1");
}

/// No room for the ledger: nothing is begun that could not be written down.
fn a_full_disk(world: &World) {
    if !am_root() {
        return skip(&format!("trouble::a_full_disk::{}", world.mode.name()), "needs root, to mount a full disk");
    }
    const FULL: &str = r#"
        mkdir -p "$PLACE"
        mount -t tmpfs -o size=4k,mode=700,uid="$OWNER" full "$PLACE" || exit 9
        dd if=/dev/zero of="$PLACE/filler" bs=4k count=1 2>/dev/null
        exec "$@""#;
    let command = world.lab(&["run", "00-process"]);
    let place = if world.mode == Mode::Root { Path::new("/run/hardway") } else { &world.runtime };
    let owner = world.person.as_ref().map_or(0, |person| person.uid);
    let mut full = Command::new("unshare");
    full.args(["--mount", "--propagation", "private", "sh", "-c", FULL, "sh"]);
    full.arg(command.get_program()).args(command.get_args()).env_clear();
    full.env("PLACE", place).env("OWNER", owner.to_string()).current_dir("/").stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        full.env(name, value.unwrap_or_default());
    }
    let output = bounded(&mut full, COMMAND);
    explains(&output, &["No space left on device", "make room"]);
    assert_eq!(output.stdout, "", "no step was done");
    world.is_empty_soon("after a full disk");
}

#[test]
fn no_user_namespaces() {
    let test = "trouble::no_user_namespaces";
    in_mode(test, Mode::RootlessSingle, |world| {
        // In a new user namespace that allows none below it: the limit there is this namespace's own.
        let script = "echo 0 > /proc/sys/user/max_user_namespaces || exit 9; \
                      exec setpriv --inh-caps=-all --ambient-caps=-all -- \"$@\"";
        let mut command = world.as_person("unshare");
        command.args(["--user", "--map-current-user", "--keep-caps", "sh", "-c", script, "sh"]);
        command.arg(&world.binary).args(["run", "00-process"]);
        let output = bounded(&mut command, COMMAND);
        explains(&output, &["user.max_user_namespaces is 0", "sudo sysctl -w user.max_user_namespaces"]);
        world.is_empty_soon("after the refusal");
    });
}

/// As in a container: root without CAP_SYS_ADMIN.
#[test]
fn root_that_may_not() {
    in_mode("trouble::root_that_may_not", Mode::Root, |world| {
        let mut command = world.as_person("setpriv");
        command.args(["--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--"]).arg(&world.binary);
        let output = bounded(command.args(["run", "--all"]), COMMAND);
        explains(&output, &["CAP_SYS_ADMIN", "container"]);
        world.is_empty_soon("after the refusal");
    });
}

/// What a rootless lab of root would be: the machine's own ids.
#[test]
fn rootless_root() {
    in_mode("trouble::rootless_root", Mode::Root, |world| {
        for wish in ["--rootless", "--single-id"] {
            explains(&bounded(&mut world.hardway(&["run", "--all", wish]), COMMAND), &["ordinary user"]);
        }
    });
}

//! The screen, in a real terminal: tmux, with a server of the test's own. Keys go in, the text of the screen comes out, and
//! every wait has a deadline.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::{
    COMMAND, Machine, PROMISE, Process, World, Written, WrittenStep, am_root, bounded, eventually, expected_skips,
    shown_course, skip,
};

in_each_mode!(forth_and_back, by_hand, every_lesson_by_hand, workbench, ends_well);

/// Longest wait for the screen to show something.
const SCREEN: Duration = Duration::from_secs(20);

const SIZES: [(u16, u16); 2] = [(80, 24), (160, 45)];

/// What the line above the keys says when a step has been done, or can not be.
const DONE: [&str; 3] = ["done: n goes on", "the lesson is done", "can not be done here"];

/// A terminal in which hardway runs.
struct Terminal<'a> {
    world: &'a World,
    name: String,
    wide: bool,
}

impl<'a> Terminal<'a> {
    /// Starts hardway in a new terminal of this size. Before it and after it `stty -a` is taken down.
    fn start(world: &'a World, (columns, rows): (u16, u16), lesson: &str, name: &str) -> Self {
        let name = format!("hardway-test-{}-{name}", std::process::id());
        let terminal = Self { world, name, wide: columns >= 120 };
        let place = world.path().join(&terminal.name);
        fs::create_dir(&place).unwrap();
        let command = world.lab(&[lesson]);
        let quote = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap().replace('\'', r"'\''"));
        let mut line = vec!["env -i".to_owned()];
        // Of its own, so that every terminal begins at the beginning.
        line.push(format!("XDG_STATE_HOME='{}'", world.home.join(format!(".local/{}", terminal.name)).display()));
        for (key, value) in command.get_envs() {
            line.push(format!("{}={}", key.to_str().unwrap(), quote(value.unwrap())));
        }
        line.push(quote(command.get_program()));
        line.extend(command.get_args().map(quote));
        let script = format!(
            "cd {}; stty -a >before; {} ; echo \"exit=$?\"; stty -a >after; echo finished; exec cat",
            place.display(),
            line.join(" ")
        );
        let script_file = place.join("script");
        fs::write(&script_file, script).unwrap();
        let (columns, rows) = (columns.to_string(), rows.to_string());
        terminal.tmux(&[
            "new-session",
            "-d",
            "-s",
            "it",
            "-x",
            &columns,
            "-y",
            &rows,
            "sh",
            script_file.to_str().unwrap(),
        ]);
        terminal
    }

    fn place(&self) -> std::path::PathBuf {
        self.world.path().join(&self.name)
    }

    #[track_caller]
    fn tmux(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.name, "-f", "/dev/null"]).args(args);
        command.env_remove("TMUX").env("TMUX_TMPDIR", self.world.path()).env("LC_ALL", "C.UTF-8");
        let output = bounded(&mut command, COMMAND);
        assert!(output.status.success(), "tmux {args:?}: {}", output.stderr);
        output.stdout
    }

    /// The screen as text.
    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", "it"])
    }

    /// Presses keys, by tmux's names for them.
    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys", "-t", "it"], keys].concat());
    }

    /// Types text as it is.
    fn type_text(&self, text: &str) {
        self.tmux(&["send-keys", "-t", "it", "-l", text]);
    }

    /// Waits until the screen is as it should be; the screen then.
    #[track_caller]
    fn wait(&self, what: &str, shown: impl Fn(&str) -> bool) -> String {
        let mut screen = String::new();
        eventually(SCREEN, || {
            screen = self.screen();
            if shown(&screen) { Ok(()) } else { Err(format!("the screen does not show: {what}\n{screen}")) }
        });
        screen
    }

    #[track_caller]
    fn wait_for(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    /// Waits until a step is shown, done or not.
    #[track_caller]
    fn wait_step(&self, step: usize, of: usize, done: bool) -> String {
        let at = format!("step {step}/{of}");
        let state = if done { "done" } else { "not done" };
        self.wait(&format!("{at}, {state}"), |screen| screen.contains(&at) && is_done(screen) == Some(done))
    }

    /// Waits until a step is shown that can not be done here.
    #[track_caller]
    fn wait_skipped(&self, step: usize, of: usize) -> String {
        let at = format!("step {step}/{of}");
        self.wait(&format!("{at}, left out"), |screen| screen.contains(&at) && cannot_be_done(screen))
    }

    /// Waits until the shell's last prompt has nothing behind it.
    #[track_caller]
    fn wait_prompt(&self) {
        self.wait("an empty prompt", |screen| {
            let last = screen.lines().rev().find_map(|line| line.rsplit_once("lab:~#").map(|(_, typed)| typed));
            // Of the wide layout the line also has what stands beside the pane.
            last.is_some_and(|typed| typed.split(['│', '┃', '├']).next().unwrap_or("").trim().is_empty())
        });
    }

    /// Waits until nothing has been drawn for a while: what was typed has been answered.
    #[track_caller]
    fn wait_quiet(&self) -> String {
        const QUIET: u32 = 6;
        let (mut last, mut same) = (String::new(), 0);
        eventually(SCREEN, || {
            let screen = self.screen();
            same = if screen == last { same + 1 } else { 0 };
            last = screen;
            if same >= QUIET { Ok(()) } else { Err(format!("the screen does not come to rest:\n{last}")) }
        });
        last
    }

    /// The program in the terminal.
    fn ui(&self) -> Process {
        let all = self.world.processes();
        all.into_iter().find(|process| process.comm == "hardway").expect("it runs")
    }

    /// Waits for the end of the program: the terminal is as before, and nothing is left.
    #[track_caller]
    fn is_over(&self, status: &str) {
        self.wait("finished", |screen| screen.lines().any(|line| line == "finished"));
        let screen = self.screen();
        assert!(screen.contains(&format!("exit={status}")), "{screen}");
        assert_eq!(
            self.tmux(&["display-message", "-p", "-t", "it", "#{alternate_on}"]).trim(),
            "0",
            "alternate screen"
        );
        let modes = "#{mouse_any_flag}#{mouse_button_flag}#{mouse_sgr_flag}#{cursor_flag}#{keypad_cursor_flag}";
        assert_eq!(self.tmux(&["display-message", "-p", "-t", "it", modes]).trim(), "00010", "mouse off, cursor on");
        // All but the first line, which has the size.
        let settings = |name: &str| {
            let text = fs::read_to_string(self.place().join(name)).unwrap();
            text.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap()
        };
        assert_eq!(settings("before"), settings("after"), "stty -a");
        self.world.is_empty_soon("after the end");
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.name, "kill-server"]).env_remove("TMUX").env("TMUX_TMPDIR", self.world.path());
        let _ = bounded(&mut command, COMMAND);
        // The terminal has hung up. Until what ran in it has ended, it could write into the directory that goes next.
        let deadline = std::time::Instant::now() + PROMISE;
        while !self.world.processes().is_empty() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What the line above the keys says.
fn guide(screen: &str) -> &str {
    screen.lines().rev().find(|line| line.starts_with(" ›")).unwrap_or("")
}

/// Whether the step is done; none where the screen does not tell.
fn is_done(screen: &str) -> Option<bool> {
    let guide = guide(screen);
    (!guide.is_empty()).then(|| DONE.iter().any(|words| guide.contains(words)))
}

/// A step that can not be done here says so before and after.
fn cannot_be_done(screen: &str) -> bool {
    guide(screen).contains("can not be done")
}

/// Whether there is a tmux; says so where there is none.
fn no_tmux(world: &World, test: &str) -> bool {
    let missing = Command::new("tmux").arg("-V").output().is_err();
    if missing {
        skip(&format!("e2e_tmux::{test}::{}", world.mode.name()), "tmux is not installed");
    }
    missing
}

/// Every lesson by keys, to its end and back to its beginning.
fn forth_and_back(world: &World) {
    if no_tmux(world, "forth_and_back") {
        return;
    }
    let before = Machine::now(world);
    let skips = expected_skips(world.mode);
    for (index, size) in SIZES.into_iter().enumerate() {
        for Written { name: lesson, steps } in shown_course(world.mode) {
            let terminal = Terminal::start(world, size, &lesson, &format!("walk-{index}-{lesson}"));
            let of = steps.len();
            let is_skipped = |number: usize| skips.contains(&format!("{lesson}:{}", steps[number - 1].id));
            let comes_to = |number: usize| match is_skipped(number) {
                true => terminal.wait_skipped(number, of),
                false => terminal.wait_step(number, of, false),
            };
            for (number, WrittenStep { kind, calls, .. }) in (1..).zip(&steps) {
                comes_to(number);
                if !is_skipped(number) {
                    terminal.press(&["n"]);
                    terminal.wait_step(number, of, true);
                    shows_what_happened(&terminal, kind, *calls);
                }
                if number < of {
                    terminal.press(&["n"]);
                }
            }
            // A last step that is left out is not taken back either.
            for number in (1..=of - usize::from(is_skipped(of))).rev() {
                terminal.press(&["b"]);
                let screen = comes_to(number);
                assert!(!screen.contains("fix:"), "{screen}");
            }
            // What was taken back can be done again.
            if !is_skipped(1) {
                terminal.press(&["n"]);
                terminal.wait_step(1, of, true);
            }
            terminal.press(&["q"]);
            terminal.is_over("0");
        }
    }
    before.is_as_before(world);
}

/// The trace of a step that makes calls, and what changed in the kernel by one that changes something.
#[track_caller]
fn shows_what_happened(terminal: &Terminal, kind: &str, calls: bool) {
    let traced = |screen: &str| screen.contains(") = ") || screen.contains(" µs");
    let number_after = |screen: &str, mark: &str| {
        let rest = screen.split(mark).nth(1).unwrap_or("");
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<usize>().unwrap_or(0)
    };
    if terminal.wide {
        let screen = terminal.wait_for("System calls");
        assert!(!calls || traced(&screen), "no trace:\n{screen}");
        if kind == "change" {
            terminal.wait("differences", |screen| number_after(screen, "Changed by this step: ") > 0);
        }
        return;
    }
    // One pane at a time: Step, Calls, Shell, State.
    terminal.press(&["Tab"]);
    if calls {
        terminal.wait("the trace", traced);
    }
    terminal.press(&["Tab", "Tab"]);
    terminal.wait("live state", |screen| screen.contains("Changed by this step: "));
    if kind == "change" {
        terminal.wait("differences", |screen| number_after(screen, "Changed by this step: ") > 0);
    }
    terminal.press(&["BTab", "BTab", "BTab"]);
}

fn by_hand(world: &World) {
    if no_tmux(world, "by_hand") {
        return;
    }
    let before = Machine::now(world);
    for (index, size) in SIZES.into_iter().enumerate() {
        let terminal = Terminal::start(world, size, "05-pid:fork", &format!("hand-{index}"));
        terminal.wait_step(2, 8, false);
        terminal.press(&["s"]);
        terminal.wait("the shell's prompt", |screen| screen.contains("every key goes") && screen.contains("lab:~#"));
        // Keys that mean something outside of this pane.
        terminal.type_text("echo nq$((20+3))bcht");
        terminal.press(&["Enter"]);
        let screen = terminal.wait_for("nq23bcht");
        assert!(screen.contains("step 2/8"), "the keys were not for the screen:\n{screen}");
        terminal.type_text("echo /etc/passw");
        terminal.press(&["Tab"]);
        terminal.wait_for("echo /etc/passwd");
        terminal.press(&["C-c"]);
        // Ctrl-C throws away what was typed after it and not yet read.
        terminal.wait_prompt();
        terminal.type_text("sleep 1000");
        terminal.press(&["Enter"]);
        let sleeping = || world.processes().iter().any(|process| process.comm == "sleep");
        eventually(PROMISE, || if sleeping() { Ok(()) } else { Err("sleep does not run".into()) });
        terminal.press(&["C-c"]);
        terminal.wait_prompt();
        terminal.type_text("echo interrupted=$?");
        terminal.press(&["Enter"]);
        terminal.wait_for("interrupted=130");
        // Many keys at once: none is lost. 700 letters in one write, counted by the shell.
        terminal.type_text(&format!("echo count=$(printf %s {} | wc -c)", "abcdefg".repeat(100)));
        terminal.press(&["Enter"]);
        terminal.wait_for("count=700");
        terminal.type_text("clear");
        terminal.press(&["Enter"]);
        // The step, by hand.
        terminal.type_text("unshare --pid --fork bash --norc");
        terminal.press(&["Enter"]);
        terminal.wait_for("done by hand");
        terminal.type_text("echo I am $$");
        terminal.press(&["Enter"]);
        terminal.wait_for("I am 1");
        terminal.press(&["C-]"]);
        let screen = terminal.wait_step(2, 8, true);
        assert!(!screen.contains("every key goes"), "{screen}");
        // On by calls, as if the hands had been calls.
        terminal.press(&["n"]);
        terminal.wait_step(3, 8, false);
        terminal.press(&["n"]);
        terminal.wait_step(3, 8, true);
        terminal.press(&["q"]);
        // Something runs in the shell: it asks.
        terminal.wait_for("Something runs in your shell");
        terminal.press(&["y"]);
        terminal.is_over("0");
    }
    // Typed for the learner: a shell that is opened in the middle is first brought to where the step begins.
    for (at, lines) in [("03-uts:rename", 1), ("05-pid:own-proc", 2), ("05-pid:orphan", 1)] {
        let terminal = Terminal::start(world, SIZES[1], at, &format!("typed-{}", at.replace(':', "-")));
        terminal.wait("the lesson", |screen| screen.contains("By hand"));
        for _ in 0..lines {
            terminal.press(&["t"]);
        }
        terminal.wait_for("done by hand");
        terminal.press(&["q"]);
        terminal.wait_for("Something runs in your shell");
        terminal.press(&["y"]);
        terminal.is_over("0");
    }
    before.is_as_before(world);
}

/// Every line of every lesson, typed into the shell pane: each step that can be done by hand is done by that. As root on the one
/// size, in the other modes on the other, turn by turn.
fn every_lesson_by_hand(world: &World) {
    if no_tmux(world, "every_lesson_by_hand") {
        return;
    }
    let before = Machine::now(world);
    let skips = expected_skips(world.mode);
    for (number, lesson) in shown_course(world.mode).iter().enumerate() {
        let turn = number + usize::from(world.mode != support::Mode::Root);
        lesson_by_hand(world, SIZES[turn % SIZES.len()], lesson, &skips);
    }
    before.is_as_before(world);
}

fn lesson_by_hand(world: &World, size: (u16, u16), lesson: &Written, skips: &BTreeSet<String>) {
    let Written { name, steps } = lesson;
    let terminal = Terminal::start(world, size, name, &format!("hands-{}-{name}", size.0));
    let of = steps.len();
    // A step without lines of its own has those of its actions, which only the program knows.
    let built = hardway::lesson::builtin::find(name).unwrap();
    for (number, step) in (1..).zip(steps) {
        terminal.wait_for(&format!("step {number}/{of}"));
        let place = format!("{name}:{}", step.id);
        if !skips.contains(&place) {
            let built = built.steps.iter().find(|it| it.id == step.id).unwrap();
            for _ in 0..built.by_hand.len() {
                terminal.press(&["t"]);
                terminal.wait_quiet();
            }
            if step.kind == "observe" {
                // The question is answered by the screen itself.
                terminal.press(&["n"]);
                let anew = "Do this step by calls?";
                let is = |screen: &str| screen.contains(anew) || is_done(screen) == Some(true);
                if terminal.wait("the answer, or a question", is).contains(anew) {
                    terminal.press(&["y"]);
                }
            }
            // A word on it stands for some seconds where the guide will be.
            let done = |screen: &str| screen.contains("● done by hand") || is_done(screen) == Some(true);
            let screen = terminal.wait(&format!("{place}, done"), done);
            assert!(!screen.contains("the step did not do what it should"), "{place}:\n{screen}");
        }
        if number < of {
            terminal.press(&["n"]);
        }
    }
    terminal.press(&["q"]);
    let asks =
        |screen: &str| screen.contains("Something runs in your shell") || screen.lines().any(|it| it == "finished");
    if terminal.wait("the end", asks).contains("Something runs in your shell") {
        terminal.press(&["y"]);
    }
    terminal.is_over("0");
}

/// Keys of one's own, calls of earlier steps, frozen panels, words, the map of the course, search, themes.
fn workbench(world: &World) {
    if no_tmux(world, "workbench") {
        return;
    }
    let config = world.home.join(".config/hardway");
    for place in [config.parent().unwrap(), config.as_path()] {
        world.make_directory(place);
    }
    fs::write(config.join("keys"), "type = f5\n\nfoo = x\n").unwrap();
    world.give(&config.join("keys"));
    for (index, size) in SIZES.into_iter().enumerate() {
        let terminal = Terminal::start(world, size, "05-pid", &format!("bench-{index}"));
        terminal.wait_for("line 3: there is no command \"foo\"");
        terminal.press(&["Enter"]);
        terminal.wait_step(1, 8, false);
        let screen = terminal.wait_for("F5 type");
        assert!(!screen.contains("no command"), "{screen}");
        for (number, done) in [(1, true), (2, false), (2, true)] {
            terminal.press(&["n"]);
            terminal.wait_step(number, 8, done);
        }
        terminal.press(&["["]);
        let screen = terminal.wait_for("1  unshare alone is not enough");
        assert!(screen.contains("made  the process box"), "{screen}");
        terminal.press(&["]"]);
        terminal.wait("the calls of this step", |screen| !screen.contains("1  unshare alone is not enough"));
        terminal.press(&["f"]);
        terminal.wait_for("FROZEN");
        terminal.press(&["f"]);
        terminal.wait("live panels", |screen| !screen.contains("FROZEN"));
        terminal.press(&["w"]);
        terminal.type_text("zombie");
        terminal.press(&["Enter"]);
        terminal.wait_for("See also: wait(2)");
        terminal.press(&["Enter"]);
        terminal.press(&["m"]);
        terminal.wait_for("Namespaces: the OS lies");
        terminal.press(&["Escape"]);
        terminal.wait_step(2, 8, true);
        terminal.press(&["/"]);
        terminal.type_text("65 bytes");
        terminal.press(&["Enter"]);
        let screen = terminal.wait_step(5, 8, false);
        assert!(screen.contains("A host name of its own"), "{screen}");
        terminal.press(&["C-t"]);
        terminal.type_text("light");
        terminal.press(&["Enter"]);
        terminal.wait_for("the theme light, from now on");
        assert_eq!(fs::read_to_string(config.join("theme")).unwrap(), "light\n");
        terminal.press(&["q"]);
        terminal.is_over("0");
    }
}

/// Other ends than `q`, other sizes, and keys that must not end it.
fn ends_well(world: &World) {
    if no_tmux(world, "ends_well") {
        return;
    }
    let before = Machine::now(world);
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let terminal = Terminal::start(world, SIZES[0], "05-pid", &format!("end-{}", signal as i32));
        terminal.wait_step(1, 8, false);
        terminal.press(&["n"]);
        terminal.wait_step(1, 8, true);
        terminal.ui().signal(signal);
        terminal.wait("finished", |screen| screen.lines().any(|line| line == "finished"));
        let status = terminal.screen().lines().find_map(|line| line.strip_prefix("exit=").map(str::to_owned)).unwrap();
        terminal.is_over(&status);
    }

    let terminal = Terminal::start(world, SIZES[1], "03-uts", "sizes");
    terminal.wait_step(1, 8, false);
    terminal.tmux(&["set-option", "-g", "window-size", "manual"]);
    terminal.tmux(&["resize-window", "-t", "it", "-x", "40", "-y", "10"]);
    terminal.wait("too small", |screen| screen.contains("80") && screen.contains("24") && !screen.contains("step 1/8"));
    terminal.tmux(&["resize-window", "-t", "it", "-x", "80", "-y", "24"]);
    terminal.wait_step(1, 8, false);
    // The lab host's init dies: r is a way on.
    let agent = || world.processes().into_iter().find(|process| process.comm == "hw-agent");
    agent().expect("an agent").signal(Signal::SIGKILL);
    eventually(PROMISE, || if agent().is_none() { Ok(()) } else { Err("it lives".into()) });
    terminal.press(&["n"]);
    terminal.wait_for("does not answer");
    // Not Escape: with the key after it close behind, a terminal's bytes could be those of Alt-r.
    terminal.press(&["Enter"]);
    terminal.wait("no message", |screen| !screen.contains("does not answer"));
    terminal.press(&["r"]);
    eventually(PROMISE, || agent().map(drop).ok_or_else(|| "no new lab host".into()));
    terminal.wait_step(1, 8, false);
    terminal.press(&["n"]);
    terminal.wait_step(1, 8, true);
    // The keeper dies: the screen ends, says why, and the terminal is restored.
    let keeper = world.processes().into_iter().find(|process| process.comm == "hw-keeper").expect("a keeper");
    keeper.signal(Signal::SIGKILL);
    eventually(PROMISE, || if keeper.lives() { Err("it lives".into()) } else { Ok(()) });
    terminal.press(&["n"]);
    terminal.wait("finished", |screen| screen.lines().any(|line| line == "finished"));
    let status = terminal.screen().lines().find_map(|line| line.strip_prefix("exit=").map(str::to_owned)).unwrap();
    terminal.is_over(&status);
    drop(terminal);

    if am_root() {
        assert!(!Path::new("/tmp/tmux-0").join(format!("hardway-test-{}-sizes", std::process::id())).exists());
    }
    before.is_as_before(world);
}

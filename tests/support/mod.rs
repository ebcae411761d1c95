//! What the tests on the real kernel share: the ways to start hardway, a session with somebody typing, the processes that
//! belong to it, and the machine before and after.

#![allow(dead_code, missing_docs, clippy::unwrap_used)]

pub mod rows;
pub mod walks;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Within this time nothing of a killed session may be left.
pub const PROMISE: Duration = Duration::from_secs(5);

/// Longest wait for one answer of a session.
pub const ANSWER: Duration = Duration::from_secs(40);

/// Longest wait for a whole command.
pub const COMMAND: Duration = Duration::from_secs(240);

const PROMPT: &str = "hardway> ";

/// The three ways in which ids are mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Root,
    RootlessRange,
    RootlessSingle,
}

impl Mode {
    /// As `hardway run --json` and `expected-skips.yaml` call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::RootlessRange => "rootless_range",
            Self::RootlessSingle => "rootless_single",
        }
    }
}

/// One test for each mode, of a function that takes a [`World`].
#[macro_export]
macro_rules! in_each_mode {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            #[test]
            fn root() {
                $crate::support::in_mode(concat!(module_path!(), "::root"), $crate::support::Mode::Root, super::$name);
            }
            #[test]
            fn rootless_range() {
                let name = concat!(module_path!(), "::rootless_range");
                $crate::support::in_mode(name, $crate::support::Mode::RootlessRange, super::$name);
            }
            #[test]
            fn rootless_single() {
                let name = concat!(module_path!(), "::rootless_single");
                $crate::support::in_mode(name, $crate::support::Mode::RootlessSingle, super::$name);
            }
        })*
    };
}

/// Runs a test in a mode, or says why it can not.
pub fn in_mode(test: &str, mode: Mode, body: impl FnOnce(&World)) {
    match World::new(mode) {
        Ok(world) => body(&world),
        Err(reason) => skip(test, &reason),
    }
}

/// Says that a test can not run here. The script collects these lines and prints them. Where CI runs as root everything that
/// the tests need is there, so that a skip that `expected-skips.yaml` does not list is a failure.
pub fn skip(test: &str, reason: &str) {
    eprintln!("SKIPPED {test}: {reason}");
    if let Some(path) = std::env::var_os("HARDWAY_SKIPS") {
        let mut file = fs::File::options().append(true).create(true).open(path).unwrap();
        writeln!(file, "{test}: {reason}").unwrap();
    }
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let allowed = expectations().tests.iter().any(|known| test.contains(known.as_str()));
    assert!(!(ci && am_root()) || allowed, "a skip that tests/expected-skips.yaml does not list: {test}: {reason}");
}

/// `expected-skips.yaml`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// Mode → cgroup mode → steps.
    pub steps: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// Steps that are skipped as well, without root, on kernels before this version.
    pub rootless_before: BTreeMap<String, BTreeSet<String>>,
    /// Tests that may be skipped in CI as root.
    pub tests: Vec<String>,
}

/// Reads `expected-skips.yaml`.
pub fn expectations() -> Expectations {
    serde_yaml::from_str(include_str!("../expected-skips.yaml")).unwrap()
}

/// The steps that may, and must, be skipped in a mode on this machine.
pub fn expected_skips(mode: Mode) -> BTreeSet<String> {
    expected_skips_on(mode, cgroup_mode(), &fs::read_to_string("/proc/sys/kernel/osrelease").unwrap())
}

/// The steps that may, and must, be skipped in a mode on a machine that mounts cgroups so and has a kernel of this release.
pub fn expected_skips_on(mode: Mode, cgroups: &str, release: &str) -> BTreeSet<String> {
    let expected = expectations();
    let mut listed = expected.steps[mode.name()][cgroups].clone();
    let number = |text: &str| -> Vec<u32> { text.split(['.', '-']).map_while(|part| part.parse().ok()).collect() };
    let release = number(release);
    let is_older = |version: &str| mode != Mode::Root && release < number(version);
    listed.extend(expected.rootless_before.into_iter().filter(|(it, _)| is_older(it)).flat_map(|(_, steps)| steps));
    // Of two steps beside each other one is for this machine; and a lab host has no uplink.
    let others = [Only::Uplink, if cgroups.starts_with("v2") { Only::V1 } else { Only::V2 }];
    let other = |step: &WrittenStep| step.only.is_some_and(|only| others.contains(&only));
    let mut steps: BTreeSet<String> = course()
        .iter()
        .flat_map(|lesson| {
            let all = listed.contains(&format!("{}:*", lesson.name));
            let left_out = lesson.steps.iter().filter(move |step| all || other(step));
            left_out.map(|step| format!("{}:{}", lesson.name, step.id)).collect::<Vec<_>>()
        })
        .collect();
    steps.extend(listed.iter().filter(|name| !name.ends_with(":*") && !name.starts_with('!')).cloned());
    steps.retain(|name| !listed.contains(&format!("!{name}")));
    steps
}

/// The course as the screen shows it in a mode: of two steps beside each other the one that can be done, the first where none
/// can.
pub fn shown_course(mode: Mode) -> Vec<Written> {
    let skips = expected_skips(mode);
    let mut course = course();
    for lesson in &mut course {
        let skipped = |step: &WrittenStep| skips.contains(&format!("{}:{}", lesson.name, step.id));
        let of_pair = |pair: &[WrittenStep]| match (pair[0].only, pair[1].only, skipped(&pair[0]), skipped(&pair[1])) {
            (Some(Only::V2), _, true, false) => Some(pair[0].id.clone()),
            (Some(Only::V2), _, _, true) | (_, Some(Only::Uplink), _, true) => Some(pair[1].id.clone()),
            _ => None,
        };
        let hidden: BTreeSet<String> = lesson.steps.windows(2).filter_map(of_pair).collect();
        lesson.steps.retain(|step| !hidden.contains(&step.id));
    }
    course
}

/// A lesson as its file has it.
#[derive(Clone, Debug)]
pub struct Written {
    /// The name of its file without `.yaml`.
    pub name: String,
    pub steps: Vec<WrittenStep>,
}

/// A step as the file has it.
#[derive(Clone, Debug)]
pub struct WrittenStep {
    pub id: String,
    pub kind: String,
    /// Whether it makes calls.
    pub calls: bool,
    /// For which machines it is, where there is one for others beside it.
    pub only: Option<Only>,
}

/// A kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// With cgroups of version 1.
    V1,
    /// With cgroups of version 2.
    V2,
    /// Which is the lab host itself, and connected.
    Uplink,
}

/// The course, read from the files and not asked of the program.
pub fn course() -> Vec<Written> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("lessons");
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut course: Vec<Written> = files
        .filter(|path| path.extension().is_some_and(|it| it == "yaml"))
        .map(|path| {
            let file: serde_yaml::Value = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            let step = |step: &serde_yaml::Value| {
                let calls = |of: &serde_yaml::Value| of["actions"].as_sequence().map(|all| !all.is_empty());
                let one = WrittenStep {
                    id: step["id"].as_str().unwrap().to_owned(),
                    kind: step["kind"].as_str().unwrap().to_owned(),
                    calls: calls(step) == Some(true),
                    only: step.get("v1").map(|_| Only::V2),
                };
                let twins = [("v1", Only::V1), ("uplink", Only::Uplink)].into_iter().filter_map(|(key, only)| {
                    let twin = step.get(key)?;
                    let id = format!("{}-{key}", one.id);
                    Some(WrittenStep { id, calls: calls(twin).unwrap_or(one.calls), only: Some(only), ..one.clone() })
                });
                [one.clone()].into_iter().chain(twins).collect::<Vec<_>>()
            };
            let steps = file["steps"].as_sequence().unwrap().iter().flat_map(step).collect();
            Written { name: path.file_stem().unwrap().to_str().unwrap().to_owned(), steps }
        })
        .collect();
    course.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(course.len() >= 3, "{course:?}");
    course
}

/// `v1`, `hybrid` or `v2`.
pub fn cgroup_mode() -> &'static str {
    match (Path::new("/sys/fs/cgroup/cgroup.procs").exists(), Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists())
    {
        (true, _) => "v2",
        (false, true) => "hybrid",
        (false, false) => "v1",
    }
}

pub fn am_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The program that is tested: `HARDWAY_TEST_BINARY` names another build of it than this one's, such as that of the release, which does
/// in a walk half the work.
pub fn program() -> PathBuf {
    std::env::var_os("HARDWAY_TEST_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_hardway").into(), PathBuf::from)
}

/// The ordinary user of the rootless modes.
#[derive(Clone, Debug)]
pub struct Person {
    pub uid: u32,
    pub gid: u32,
    pub name: String,
}

/// A place of its own to run hardway from: a copy of the program that everybody may run, a home and a runtime directory.
pub struct World {
    pub mode: Mode,
    /// The copy of the program. No other process on the machine runs it.
    pub binary: PathBuf,
    pub home: PathBuf,
    pub runtime: PathBuf,
    /// Whom to become; none where this process is who it should be.
    pub person: Option<Person>,
    directory: tempfile::TempDir,
}

impl World {
    /// # Errors
    /// Why this mode can not be tested here.
    pub fn new(mode: Mode) -> Result<Self, String> {
        let person = match (mode, am_root()) {
            (Mode::Root, true) | (Mode::RootlessRange | Mode::RootlessSingle, false) => None,
            (Mode::Root, false) => return Err("needs root".into()),
            (Mode::RootlessRange | Mode::RootlessSingle, true) => {
                let name = std::env::var("HARDWAY_TEST_USER")
                    .map_err(|_| "HARDWAY_TEST_USER names no ordinary user; tests/run does so".to_owned())?;
                let user = nix::unistd::User::from_name(&name).unwrap().ok_or(format!("there is no user {name}"))?;
                Some(Person { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name })
            }
        };
        let directory = tempfile::Builder::new()
            .prefix("hwtest-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in("/tmp")
            .unwrap();
        let binary = directory.path().join("hardway");
        // By cp(1): were this process to write the file, a child that another test forks meanwhile could hold it open for
        // writing, and executing it would be ETXTBSY.
        let copied = Command::new("cp").arg(program()).arg(&binary).status().unwrap();
        assert!(copied.success());
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
        let world = Self {
            mode,
            binary,
            home: directory.path().join("home"),
            runtime: directory.path().join("runtime"),
            person,
            directory,
        };
        for place in [&world.home, &world.runtime] {
            world.make_directory(place);
        }
        if mode != Mode::Root {
            let allowed = bounded(world.as_person("unshare").args(["--user", "true"]), ANSWER);
            if !allowed.status.success() {
                return Err(format!("user namespaces are not allowed here: {}", allowed.stderr.trim()));
            }
        }
        if mode == Mode::RootlessRange {
            world.has_range()?;
        }
        Ok(world)
    }

    fn has_range(&self) -> Result<(), String> {
        let own = nix::unistd::geteuid();
        let (uid, name) = match &self.person {
            Some(person) => (person.uid, person.name.clone()),
            None => (own.as_raw(), nix::unistd::User::from_uid(own).unwrap().map_or(String::new(), |user| user.name)),
        };
        for file in ["/etc/subuid", "/etc/subgid"] {
            let text = fs::read_to_string(file).unwrap_or_default();
            let mine = |line: &str| line.split(':').next().is_some_and(|who| who == name || who == uid.to_string());
            if !text.lines().any(mine) {
                return Err(format!("{file} has no range for user {uid}"));
            }
        }
        for program in ["newuidmap", "newgidmap"] {
            if !["/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin"]
                .iter()
                .any(|place| Path::new(place).join(program).exists())
            {
                return Err(format!("{program} is not installed (Debian: uidmap)"));
            }
        }
        Ok(())
    }

    /// A directory of the person's.
    pub fn make_directory(&self, path: &Path) {
        fs::create_dir(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
        self.give(path);
    }

    /// Makes a file the person's.
    pub fn give(&self, path: &Path) {
        if let Some(person) = &self.person {
            std::os::unix::fs::chown(path, Some(person.uid), Some(person.gid)).unwrap();
        }
    }

    /// The place where this world's files are.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Any program, as the person and with a clean environment. The process that is started is the program itself.
    pub fn as_person(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = match &self.person {
            None => Command::new(program),
            Some(person) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &person.uid.to_string(), "--regid", &person.gid.to_string()]);
                command.args(["--clear-groups", "--"]).arg(program);
                command
            }
        };
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", &self.home)
            .env("LANG", "C.UTF-8")
            .env("TERM", "xterm-256color")
            .env("XDG_RUNTIME_DIR", &self.runtime)
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }

    /// hardway, without a word on ids.
    pub fn hardway(&self, args: &[&str]) -> Command {
        let mut command = self.as_person(&self.binary);
        command.args(args);
        command
    }

    /// hardway, with ids mapped as this mode says: for what makes a lab host.
    pub fn lab(&self, args: &[&str]) -> Command {
        let mut command = self.hardway(args);
        if self.mode == Mode::RootlessSingle {
            command.arg("--single-id");
        }
        command
    }

    /// Where ledgers of this world are.
    pub fn ledgers(&self) -> PathBuf {
        if self.mode == Mode::Root { PathBuf::from("/run/hardway") } else { self.runtime.join("hardway") }
    }

    /// The processes of this world that live: those that run its copy of the program, and all below them.
    pub fn processes(&self) -> Vec<Process> {
        let all = processes();
        let own =
            |process: &Process| fs::read_link(format!("/proc/{}/exe", process.pid)).is_ok_and(|exe| exe == self.binary);
        let mut found: Vec<Process> = all.iter().filter(|process| own(process)).cloned().collect();
        let mut next = 0;
        while next < found.len() {
            let parent = found[next].pid;
            let children = all.iter().filter(|process| process.ppid == parent);
            let new: Vec<Process> = children.filter(|child| !found.contains(child)).cloned().collect();
            found.extend(new);
            next += 1;
        }
        found
    }

    /// Nothing of this world runs any more, within the time that hardway promises.
    pub fn is_empty_soon(&self, when: &str) {
        eventually(PROMISE, || {
            let left: Vec<Process> = self.processes().into_iter().filter(Process::lives).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{when}: still there: {left:?}")) }
        });
    }
}

/// A process, told from a later one of the same number by its start time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub ppid: i32,
    pub start: u64,
    pub comm: String,
}

impl Process {
    /// Whether all of its threads have stopped: a signal that stops is sent to a process, and its threads follow when they can.
    pub fn has_stopped(&self) -> bool {
        let tasks = names(format!("/proc/{}/task", self.pid));
        let stat =
            |task: &String| fs::read_to_string(format!("/proc/{}/task/{task}/stat", self.pid)).unwrap_or_default();
        tasks.iter().all(|task| stat(task).rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 'Z', 'X'])))
    }

    /// Whether it is in a frozen cgroup of version 1, where not even SIGKILL ends it before the thaw.
    pub fn is_frozen(&self) -> bool {
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", self.pid)).unwrap_or_default();
        let group = groups.lines().find_map(|line| line.split_once(":freezer:")).map(|(_, path)| path.to_owned());
        let state =
            |path| fs::read_to_string(format!("/sys/fs/cgroup/freezer{path}/freezer.state")).unwrap_or_default();
        group.is_some_and(|path| state(path).trim() == "FROZEN")
    }

    /// Reads `/proc/PID/stat`; none for one that has ended, zombies included.
    pub fn read(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (open, close) = (text.find('(')?, text.rfind(')')?);
        let fields: Vec<&str> = text[close + 1..].split_whitespace().collect();
        if matches!(fields[0], "Z" | "X") {
            return None;
        }
        let comm = text[open + 1..close].to_owned();
        Some(Self { pid, ppid: fields[1].parse().ok()?, start: fields[19].parse().ok()?, comm })
    }

    /// Whether this very process still lives.
    pub fn lives(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.start == self.start)
    }

    /// SIGKILL, or another signal, to this very process.
    pub fn signal(&self, signal: Signal) {
        // One that has ended meanwhile, with another part or by itself, is a case of its own and none to fail for.
        if self.lives() {
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// The namespaces that it is in.
    pub fn namespaces(&self) -> BTreeSet<String> {
        let Ok(entries) = fs::read_dir(format!("/proc/{}/ns", self.pid)) else { return BTreeSet::new() };
        entries
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .map(|link| link.to_string_lossy().into_owned())
            .collect()
    }
}

/// All processes of the machine that this one can see.
pub fn processes() -> Vec<Process> {
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter_map(Process::read).collect()
}

/// Whether a process is, or descends from, a keeper.
fn under_a_keeper(all: &[Process], process: &Process) -> bool {
    let mut next = Some(process);
    for _ in 0..all.len() {
        match next {
            Some(process) if process.comm == "hw-keeper" => return true,
            Some(process) => next = all.iter().find(|parent| parent.pid == process.ppid),
            None => break,
        }
    }
    false
}

/// Waits for a condition; when the time is up, fails with what it said last. Of a round that took longer than it should only a
/// part counts: then the machine stood still, and whoever is waited for did as well.
#[track_caller]
pub fn eventually(at_most: Duration, mut condition: impl FnMut() -> Result<(), String>) {
    const ROUND: Duration = Duration::from_millis(250);
    let mut left = at_most;
    loop {
        let begun = Instant::now();
        let Err(why) = condition() else { return };
        assert!(!left.is_zero(), "not within {at_most:?}: {why}");
        std::thread::sleep(Duration::from_millis(10));
        left = left.saturating_sub(begun.elapsed().min(ROUND));
    }
}

/// What a command came to.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end, which must come in time.
#[track_caller]
pub fn bounded(command: &mut Command, at_most: Duration) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let (tell, told) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let _ = tell.send(child.wait_with_output());
    });
    let Ok(output) = told.recv_timeout(at_most) else {
        // It has not been waited for, so the number is still its own.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        panic!("{command:?} did not end within {at_most:?}");
    };
    waiter.join().unwrap();
    let output = output.unwrap();
    Output {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The JSON objects of a command's output, one a line.
#[track_caller]
pub fn json_lines(output: &Output) -> Vec<serde_json::Value> {
    json_lines_of(&output.stdout)
}

/// The JSON objects of a text, one a line.
#[track_caller]
pub fn json_lines_of(text: &str) -> Vec<serde_json::Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
    text.lines().map(parse).collect()
}

/// What comes out of a pipe, read by a thread of its own, so that whoever writes into it never waits.
fn chunks_of(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut chunk = [0; 8192];
        while let Ok(n @ 1..) = pipe.read(&mut chunk) {
            if tell.send(chunk[..n].to_vec()).is_err() {
                break;
            }
        }
    });
    told
}

/// A session of `hardway --plain` with somebody typing.
pub struct Session<'a> {
    pub world: &'a World,
    child: Child,
    input: Option<std::process::ChildStdin>,
    output: mpsc::Receiver<Vec<u8>>,
    /// Its standard error, which is of interest where a test fails.
    errors: mpsc::Receiver<Vec<u8>>,
    received: Vec<u8>,
    pub keeper: Process,
    /// Every process that was seen to belong to the session, and the namespaces that were its own.
    seen: Vec<Process>,
    namespaces: BTreeSet<String>,
}

impl<'a> Session<'a> {
    /// Opens a lesson, without progress from before, and waits for the prompt.
    pub fn open(world: &'a World, lesson: &str) -> Self {
        static SESSIONS: AtomicUsize = AtomicUsize::new(0);
        let state = world.home.join(format!(".local/state-{}", SESSIONS.fetch_add(1, Ordering::Relaxed)));
        let mut session = Self::start(world, world.lab(&["--plain", lesson]).env("XDG_STATE_HOME", state));
        session.opened();
        session
    }

    /// Waits for the first prompt, at the first step of a lesson.
    #[track_caller]
    pub fn opened(&mut self) -> String {
        let text = self.begun();
        assert!(text.contains("step 1 of"), "not at a first step: {text}\n{}", self.rest());
        text
    }

    /// Waits for the first prompt, at any step.
    #[track_caller]
    pub fn begun(&mut self) -> String {
        let text = self.answer();
        self.remember();
        text
    }

    /// Starts a session without waiting for its prompt.
    pub fn start(world: &'a World, command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = chunks_of(child.stdout.take().unwrap());
        let errors = chunks_of(child.stderr.take().unwrap());
        let ui = i32::try_from(child.id()).unwrap();
        let mut keeper = None;
        eventually(ANSWER, || {
            keeper = processes().into_iter().find(|process| process.ppid == ui && process.comm == "hw-keeper");
            keeper.as_ref().map(|_| ()).ok_or_else(|| format!("{ui} has no keeper"))
        });
        Self {
            world,
            input: child.stdin.take(),
            child,
            output,
            errors,
            received: Vec::new(),
            keeper: keeper.unwrap(),
            seen: Vec::new(),
            namespaces: BTreeSet::new(),
        }
    }

    /// Types a line; what the session says until its next prompt.
    #[track_caller]
    pub fn say(&mut self, line: &str) -> String {
        self.write(line).unwrap();
        let text = self.answer();
        self.remember();
        text
    }

    /// Types a line and waits for nothing.
    ///
    /// # Errors
    /// Where nobody reads any more.
    pub fn write(&mut self, line: &str) -> std::io::Result<()> {
        writeln!(self.input.as_mut().unwrap(), "{line}")
    }

    #[track_caller]
    fn answer(&mut self) -> String {
        let deadline = Instant::now() + ANSWER;
        while !self.received.ends_with(PROMPT.as_bytes()) {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(chunk) => self.received.extend(chunk),
                Err(error) => panic!("no prompt ({error}) after {}", String::from_utf8_lossy(&self.received)),
            }
        }
        let text = String::from_utf8_lossy(&self.received).into_owned();
        self.received.clear();
        text.trim_end_matches(PROMPT).to_owned()
    }

    /// What has been said and not been read.
    fn rest(&mut self) -> String {
        self.received.extend(self.output.try_iter().flatten());
        String::from_utf8_lossy(&self.received).into_owned()
    }

    /// The living processes that descend from what was started, and those seen before that live on.
    pub fn world_processes(&self) -> Vec<Process> {
        let all = processes();
        let mut found: Vec<Process> = self.seen.iter().filter(|process| process.lives()).cloned().collect();
        found.extend(Process::read(i32::try_from(self.child.id()).unwrap()).filter(|ui| !found.contains(ui)));
        let mut next = 0;
        while next < found.len() {
            let parent = found[next].pid;
            let new: Vec<Process> = all.iter().filter(|it| it.ppid == parent && !found.contains(it)).cloned().collect();
            found.extend(new);
            next += 1;
        }
        found
    }

    /// Takes down who belongs to the session now.
    pub fn remember(&mut self) {
        // Those of whoever started it, and those that it was started in, are not the session's.
        let outside = [std::process::id(), self.child.id()].map(|pid| Process::read(i32::try_from(pid).unwrap()));
        let outside: BTreeSet<String> = outside.into_iter().flatten().flat_map(|it| it.namespaces()).collect();
        for process in self.world_processes() {
            self.namespaces.extend(process.namespaces().difference(&outside).cloned());
            if !self.seen.contains(&process) {
                self.seen.push(process);
            }
        }
    }

    pub fn ui(&self) -> Process {
        Process::read(i32::try_from(self.child.id()).unwrap()).expect("the ui lives")
    }

    /// The init of the lab host; none between two.
    pub fn agent(&self) -> Option<Process> {
        processes().into_iter().find(|process| process.ppid == self.keeper.pid && process.comm == "hw-agent")
    }

    /// The boxes: what the agent has made, workers and the learner's shell left out. The outermost first.
    pub fn boxes(&self) -> Vec<Process> {
        let Some(agent) = self.agent() else { return Vec::new() };
        let all = processes();
        let mut found: Vec<Process> = Vec::new();
        let mut parents = vec![agent.pid];
        while let Some(parent) = parents.pop() {
            for child in all.iter().filter(|child| child.ppid == parent && child.comm != "hw-worker") {
                parents.push(child.pid);
                found.push(child.clone());
            }
        }
        found
    }

    /// Whether the program that was started still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end of the program that was started.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually(PROMISE, || {
            status = self.child.try_wait().unwrap();
            status.map(drop).ok_or_else(|| "the ui still runs".into())
        });
        status.unwrap()
    }

    /// Says `q` and waits for the end.
    #[track_caller]
    pub fn quit(&mut self) {
        self.write("q").unwrap();
        let status = self.ended();
        assert!(status.success(), "{status}: {}", self.rest());
        self.has_left_nothing("after q");
    }

    /// Closes the session's input.
    pub fn hang_up(&mut self) {
        self.input = None;
    }

    /// No process, no namespace and no ledger of the session is left, within the promised time.
    #[track_caller]
    pub fn has_left_nothing(&mut self, when: &str) {
        let _ = self.child.try_wait();
        eventually(PROMISE, || {
            let _ = self.child.try_wait();
            let mut left: Vec<String> =
                self.seen.iter().filter(|process| process.lives()).map(|process| format!("{process:?}")).collect();
            left.extend(self.cgroups());
            left.extend(self.ledger().filter(|path| path.exists()).map(|path| path.display().to_string()));
            if left.is_empty() { Ok(()) } else { Err(format!("{when}: left behind: {left:?}")) }
        });
        // Numbers of namespaces are used again at once, by later sessions, whose processes live under a keeper, and by other
        // people; a process of this session would share several with it, and stay.
        eventually(PROMISE, || {
            let all = processes();
            for process in all.iter().filter(|process| !under_a_keeper(&all, process)) {
                let left: Vec<String> = process.namespaces().intersection(&self.namespaces).cloned().collect();
                if left.len() > 1 {
                    return Err(format!("{when}: {process:?} is in namespaces of the session: {left:?}"));
                }
            }
            Ok(())
        });
    }

    /// The session's cgroups, by the name that its keeper gives them.
    pub fn cgroups(&self) -> Vec<String> {
        let name = format!("hardway-{}-{}", self.keeper.pid, self.keeper.start);
        let all = directories_below(Path::new("/sys/fs/cgroup"));
        all.iter().map(|path| path.display().to_string()).filter(|path| path.contains(&name)).collect()
    }

    /// The session's ledger.
    pub fn ledger(&self) -> std::option::IntoIter<PathBuf> {
        Some(self.world.ledgers().join(format!("session-{}", self.keeper.pid))).into_iter()
    }
}

impl Drop for Session<'_> {
    /// A test that has failed leaves nothing either.
    fn drop(&mut self) {
        self.input = None;
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        if std::thread::panicking() {
            let errors: Vec<u8> = self.errors.try_iter().flatten().collect();
            eprintln!("hardway said: {}", String::from_utf8_lossy(&errors));
            for process in self.world_processes() {
                let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            }
            let _ = bounded(&mut self.world.hardway(&["cleanup"]), COMMAND);
        }
    }
}

/// What hardway could change of the machine. Other people use it as well, so this leaves out what they change by rights.
#[derive(Debug, PartialEq, Eq)]
pub struct Machine {
    /// `/proc/self/mountinfo`, exactly.
    mounts: Vec<String>,
    /// Network links, exactly.
    links: BTreeSet<String>,
    /// Cgroups, without those that service managers and other people make in groups of their own.
    cgroups: BTreeSet<String>,
    /// Controllers of version 1 that are in a hierarchy, mounted or not.
    controllers: BTreeSet<String>,
    /// Settings of the whole machine.
    settings: BTreeMap<String, String>,
    /// Size, owner and times of files.
    files: BTreeMap<PathBuf, Option<(u64, u32, i64, i64)>>,
    /// Names in `/tmp` and `/` that the making of a lab host has to do with.
    names: BTreeSet<String>,
}

impl Machine {
    pub fn now(world: &World) -> Self {
        let lines = |path: &str| fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect();
        let settings = [
            "vm/swappiness",
            "vm/overcommit_memory",
            "kernel/hostname",
            "kernel/domainname",
            "kernel/sysrq",
            "kernel/core_pattern",
            "kernel/pid_max",
            "net/ipv4/ip_forward",
            "user/max_user_namespaces",
        ];
        let read = |name: &&str| {
            (String::from(*name), fs::read_to_string(Path::new("/proc/sys").join(name)).unwrap_or_default())
        };
        let mut files: Vec<PathBuf> =
            ["passwd", "shadow", "group", "hostname", "hosts", "resolv.conf", "profile", "subuid", "subgid"]
                .map(|name| Path::new("/etc").join(name))
                .to_vec();
        files.extend(["/usr/bin/env", "/bin", "/usr/bin", "/etc", "/home", "/root", "/var", "/usr"].map(PathBuf::from));
        // The directories' own times change when other people install something; their owners do not.
        let of_directory = |path: &Path| path.is_dir();
        let mut files: BTreeMap<PathBuf, _> = files
            .into_iter()
            .map(|path| {
                let facts = fs::symlink_metadata(&path).ok().map(|it| {
                    if of_directory(&path) {
                        (0, it.uid() ^ it.mode() << 8, 0, 0)
                    } else {
                        (it.size(), it.uid() ^ it.mode() << 8, it.mtime(), it.mtime_nsec())
                    }
                });
                (path, facts)
            })
            .collect();
        for path in below(&world.home).into_iter().filter(|path| !path.starts_with(world.home.join(".local"))) {
            let facts = fs::symlink_metadata(&path).ok().map(|it| (it.size(), it.uid(), it.mtime(), it.mtime_nsec()));
            if path != world.home {
                files.insert(path, facts);
            }
        }
        // Where this world's ledger would be, had it no runtime directory; those of other people come and go.
        let uid = world.person.as_ref().map_or_else(|| nix::unistd::geteuid().as_raw(), |person| person.uid);
        let made =
            |name: &String| ["root", "layers", "lab"].contains(&name.as_str()) || *name == format!("hardway-{uid}");
        // What others put into groups of their own is theirs; hardway would begin at the top of a hierarchy, or where it is.
        let own: Vec<PathBuf> = fs::read_to_string("/proc/self/cgroup")
            .unwrap_or_default()
            .lines()
            .filter_map(|line| line.splitn(3, ':').nth(2).map(|path| PathBuf::from(path.trim_start_matches('/'))))
            .filter(|path| path.components().next().is_some())
            .collect();
        let possible = |path: &Path| {
            let below = path.strip_prefix("/sys/fs/cgroup").unwrap_or(path);
            let inside = below.components().skip(1).collect::<PathBuf>();
            let named = path.components().any(|part| part.as_os_str().to_string_lossy().contains("hardway"));
            let managed = path.components().any(|part| {
                let part = part.as_os_str().to_string_lossy();
                [".slice", ".scope", ".service"].iter().any(|end| part.ends_with(end))
            });
            let where_we_are = own.iter().any(|own| below.starts_with(own) || inside.starts_with(own));
            named || (!managed && (below.components().count() <= 2 || where_we_are))
        };
        Self {
            mounts: lines("/proc/self/mountinfo"),
            links: names("/sys/class/net"),
            cgroups: directories_below(Path::new("/sys/fs/cgroup"))
                .into_iter()
                // Other sessions may live.
                .filter(|path| possible(path) && of_a_session(path) != Some(true))
                .map(|path| path.display().to_string())
                .collect(),
            // Only root can make hierarchies, and may do so for another test just now.
            controllers: if world.mode == Mode::Root { in_hierarchies() } else { BTreeSet::new() },
            settings: settings.iter().map(read).collect(),
            files,
            names: names("/tmp").into_iter().filter(made).chain(names("/")).collect(),
        }
    }

    /// Fails where something is not as it was, within the time that hardway promises.
    #[track_caller]
    pub fn is_as_before(&self, world: &World) {
        eventually(PROMISE, || {
            let now = Self::now(world);
            same("mounts", &self.mounts, &now.mounts)?;
            same("links", &self.links, &now.links)?;
            // The rest of sessions that had died before may be taken away meanwhile, by whoever starts next.
            let mut cgroups = self.cgroups.clone();
            cgroups.retain(|path| now.cgroups.contains(path) || of_a_session(Path::new(path)).is_none());
            same("cgroups", &cgroups, &now.cgroups)?;
            // One that was there before may have been that of another session, which has ended.
            let controllers: BTreeSet<String> = self.controllers.intersection(&now.controllers).cloned().collect();
            same("controllers in hierarchies", &controllers, &now.controllers)?;
            same("settings", &self.settings, &now.settings)?;
            same("files", &self.files, &now.files)?;
            same("names in /tmp and /", &self.names, &now.names)
        });
    }
}

fn same<'a, T: PartialEq + std::fmt::Debug + 'a, C>(what: &str, before: &'a C, now: &'a C) -> Result<(), String>
where
    &'a C: IntoIterator<Item = T>,
{
    let gone: Vec<T> = before.into_iter().filter(|one| now.into_iter().all(|other| other != *one)).collect();
    let new: Vec<T> = now.into_iter().filter(|one| before.into_iter().all(|other| other != *one)).collect();
    if gone.is_empty() && new.is_empty() { Ok(()) } else { Err(format!("{what}: new {new:?}, gone {gone:?}")) }
}

/// The controllers of version 1 that are in a hierarchy, mounted or not.
fn in_hierarchies() -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let line = |line: &str| {
        let mut fields = line.split_whitespace();
        let (name, hierarchy) = (fields.next()?, fields.next()?);
        hierarchy.parse::<u32>().is_ok_and(|number| number > 0).then(|| name.to_owned())
    };
    table.lines().filter_map(line).collect()
}

/// Whether a controller is in one.
pub fn in_a_hierarchy(controller: &str) -> bool {
    in_hierarchies().contains(controller)
}

/// Whether this is a cgroup of a session that lives, or the rest of one that had died before: `hardway-PID-STARTTIME`, with more
/// behind it where the ui is in it.
fn of_a_session(path: &Path) -> Option<bool> {
    let name = path.components().find_map(|part| part.as_os_str().to_str()?.strip_prefix("hardway-"))?;
    let (pid, start) = name.split_once('-')?;
    let start = start.trim_end_matches(".scope").trim_end_matches("-self");
    let (pid, start): (i32, u64) = (pid.parse().ok()?, start.parse().ok()?);
    Some(Process::read(pid).is_some_and(|process| process.start == start))
}

/// The names in a directory.
pub fn names(path: impl AsRef<Path>) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(path) else { return BTreeSet::new() };
    entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect()
}

/// A directory and all that is in it.
pub fn below(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    let mut next = 0;
    while next < found.len() {
        if fs::symlink_metadata(&found[next]).is_ok_and(|it| it.is_dir()) {
            let directory = found[next].clone();
            found.extend(names(&directory).iter().map(|name| directory.join(name)));
        }
        next += 1;
    }
    found
}

/// The directories in a directory and below, itself included.
pub fn directories_below(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    let mut next = 0;
    while next < found.len() {
        let entries = fs::read_dir(&found[next]).into_iter().flatten().flatten();
        let new: Vec<PathBuf> = entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect();
        found.extend(new);
        next += 1;
    }
    found
}

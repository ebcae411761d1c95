//! A hand-made lesson and kernel state for the tests of the screen. Nothing here is shown to a learner.
#![allow(clippy::unwrap_used)]

pub(crate) mod network;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::app::{Model, ShellState};
use super::event::Message;
use super::keymap::Chord;
use super::settings::Settings;
use super::update::{Effect, update};
use super::{CourseEntry, Setup};
use crate::kernel::cgroup::{Hierarchy, Layout, Version};
use crate::kernel::errno::Errno;
use crate::kernel::namespace::Namespace;
use crate::kernel::trace::{Answer, Call, CallError};
use crate::lesson::{Depth, Hint, Kind, Lesson, Predict, Question, Step, Value, Verdict};
use crate::probe::cgroups::gauges::Gauged;
use crate::probe::cgroups::{Cgroups, Group, Membership};
use crate::probe::{Change, ChangeKind, Credentials, Names, Namespaces, Observation, Panel, Process, Reading, Row};
use crate::runtime::action::{Action, Outcome, Performed};
use crate::runtime::namespace::Unshare;
use crate::runtime::process::{MakeBox, Run};
use crate::session::{How, Position, Record};
use crate::walk::{Mode, News, Order, StepReport, View};

pub(crate) fn setup() -> Setup {
    let entry = |number: usize, id: &str, title: &str, goal: &str, steps: usize, done: usize| {
        let name = format!("{number:02}-{id}");
        let mut lesson = if id == "pid" { lesson() } else { Lesson { steps: Vec::new(), ..lesson() } };
        for step in lesson.steps.len()..steps {
            lesson.steps.push(self::step(&format!("step-{step}"), &format!("Step {} of {id}", step + 1)));
        }
        let lesson = Arc::new(Lesson { name: name.clone(), id: id.to_owned(), title: title.to_owned(), ..lesson });
        let how = |step: usize| (step < done).then_some(How::Calls);
        CourseEntry {
            name,
            id: id.to_owned(),
            title: title.to_owned(),
            goal: goal.to_owned(),
            minutes: 8 + u32::try_from(number).unwrap(),
            steps,
            done,
            unavailable: None,
            lesson,
            records: (0..steps).map(|step| Record { how: how(step), ..Record::default() }).collect(),
            skipped: vec![None; steps],
        }
    };
    let mut course = vec![
        entry(
            1,
            "process",
            "What a process is to the kernel",
            "Read everything that /proc tells of one process.",
            5,
            5,
        ),
        entry(2, "uts", "A host name of its own", "Give a process a host name that nobody else sees.", 6, 6),
        entry(
            3,
            "pid",
            "A process tree of its own",
            "Make a process that is PID 1 of its own tree, and see what that costs.",
            7,
            2,
        ),
        entry(4, "mount", "A file tree of its own", "Mount where only the box can see it.", 8, 0),
        entry(5, "user", "Root that is nobody", "Map ids so that root inside is an ordinary user outside.", 9, 0),
    ];
    course[4].unavailable = Some(
        "the kernel refuses user namespaces to ordinary users (sysctl kernel.unprivileged_userns_clone=0)".to_owned(),
    );
    Setup { course, mode: "rootless, id range".to_owned(), ..Setup::default() }
}

fn run(argv: &[&str], fails: Option<&str>) -> Action {
    Action::Run(Run {
        r#in: "box".to_owned(),
        root: None,
        ends_with: None,
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        fails_with: fails.map(|name| name.parse().unwrap()),
    })
}

fn step(id: &str, title: &str) -> Step {
    Step {
        id: id.to_owned(),
        kind: Kind::Change,
        title: title.to_owned(),
        explain: "A sentence that explains.".to_owned(),
        predict: None,
        question: None,
        actions: Vec::new(),
        by_hand: Vec::new(),
        by_hand_fails: None,
        watch: vec![Panel::Processes, Panel::Namespaces],
        check: Vec::new(),
        wrong: Vec::new(),
        hints: Vec::new(),
        notes: String::new(),
        debrief: String::new(),
        depth: Depth::Core,
        twin_of: None,
        needs: Vec::new(),
    }
}

pub(crate) fn lesson() -> Lesson {
    let mut first = step("box", "A process to work on");
    first.actions = vec![Action::Box(MakeBox { name: "box".to_owned() })];
    first.by_hand = vec!["bash --norc".to_owned()];
    let mut change = step("unshare", "A new tree for the children");
    change.explain =
        "`unshare(CLONE_NEWPID)` makes a **new pid namespace**, but moves nobody into it: a process can not \
        change the number that others know it by.\n\nOnly its *children* are born there. Watch two links of \
        `/proc/PID/ns`:\n\n- `pid` is where the process itself is: it stays.\n- `pid_for_children` is where its next \
        child will be born, and that one changes at once.\n\n```\nls -l /proc/self/ns\n```\n"
            .to_owned();
    change.predict = Some(Predict {
        ask: "Which link of the box will change?".to_owned(),
        choices: vec!["pid".to_owned(), "pid_for_children".to_owned(), "both, and its pid becomes 1".to_owned()],
        answer: 1,
        because: "A process keeps its number for life. The new namespace begins with the first child.".to_owned(),
    });
    change.actions =
        vec![Action::Unshare(Unshare { r#in: "box".to_owned(), namespaces: vec![Namespace::Pid], fails_with: None })];
    change.by_hand = vec!["unshare --pid bash --norc".to_owned()];
    change.hints = vec![
        Hint::Always("Which program makes namespaces?".to_owned()),
        Hint::Always("unshare(1) has an option for each kind.".to_owned()),
    ];
    change.check = vec![crate::lesson::Check::NamespaceDiffers(crate::lesson::check::namespace::Differs {
        of: "box".to_owned(),
        kind: Namespace::PidForChildren,
        from: "host".to_owned(),
    })];
    change.notes = "Ask the room **before** pressing n.".to_owned();
    change.debrief = "`docker run` forks after this call, which is why its first process is PID 1.".to_owned();
    let mut fail = step("without-fork", "unshare alone is not enough");
    fail.kind = Kind::Fail;
    fail.explain = "The first child of the box becomes PID 1 of the new tree. When it ends, the kernel shuts the tree \
        for good: nobody can be born there any more."
        .to_owned();
    fail.actions = vec![run(&["true"], None), run(&["true"], Some("ENOMEM"))];
    fail.by_hand = vec!["true; /bin/true".to_owned(), "/bin/true".to_owned()];
    fail.debrief = "ENOMEM here has nothing to do with memory.".to_owned();
    let mut observe = step("count", "How many namespaces differ?");
    observe.kind = Kind::Observe;
    observe.question = Some(Question {
        ask: "In how many namespaces does the box differ from the lab host?".to_owned(),
        value: Value::NamespacesThatDiffer(crate::lesson::check::namespace::HowManyDiffer {
            of: "box".to_owned(),
            from: "host".to_owned(),
        }),
    });
    let mut deep = step("limits", "How deep can trees be nested?");
    deep.depth = Depth::Deep;
    Lesson {
        name: "03-pid".to_owned(),
        id: "pid".to_owned(),
        stage: "pid".to_owned(),
        title: "A process tree of its own".to_owned(),
        minutes: 12,
        needs: Vec::new(),
        goal: "Make a process that is PID 1 of its own tree, and see what that costs.".to_owned(),
        steps: vec![first, change, fail, observe, deep],
    }
}

fn process(pid: i32, ppid: i32, argv: &[&str], nspid: &[i32]) -> Process {
    let namespaces = Namespace::ALL.iter().zip(4_026_531_835_u64..).map(|(kind, inode)| {
        let inode = match kind {
            // The host is itself in the namespaces that its children get.
            Namespace::PidForChildren | Namespace::TimeForChildren => inode - 1,
            _ => inode,
        };
        (*kind, Reading::Value(inode))
    });
    let missing = || Reading::Missing("EACCES".parse().unwrap());
    Process {
        pid,
        ppid,
        pgrp: pid,
        comm: argv[0].to_owned(),
        state: 'S',
        start_time: 100,
        cmdline: argv.iter().map(|word| (*word).to_owned()).collect(),
        nspid: nspid.to_vec(),
        cpus_allowed: "0-1".to_owned(),
        namespaces: Namespaces(namespaces.collect()),
        credentials: Credentials {
            uid: [0; 4],
            gid: [0; 4],
            groups: Vec::new(),
            caps: [0; 5],
            no_new_privs: false,
            seccomp: 0,
            uid_map: missing().map(|(): ()| Vec::new()),
            gid_map: missing().map(|(): ()| Vec::new()),
            setgroups: missing().map(|(): ()| String::new()),
        },
        root: Reading::Value("/".to_owned()),
        cwd: Reading::Value("/lab".to_owned()),
        exe: Reading::Value("/usr/bin/true".to_owned()),
    }
}

/// What `rows` of the probe would say: enough of it for the screen.
fn rows(observation: &Observation, names: &Names) -> Vec<Row> {
    let mut rows = Vec::new();
    for process in &observation.processes {
        let subject = names.of(process.pid).map_or_else(
            || format!("pid {} {}", process.pid, process.comm),
            |name| format!("{name} (pid {})", process.pid),
        );
        let row = |panel, key: &str, value: String, file: &str, meaning: &str| Row {
            panel,
            subject: subject.clone(),
            key: key.to_owned(),
            value,
            source: format!("/proc/{}/{file}", process.pid),
            command: format!("readlink /proc/{}/{file}", process.pid),
            meaning: meaning.to_owned(),
            passing: false,
        };
        rows.push(row(Panel::Processes, "comm", process.comm.clone(), "comm", "the name of its program"));
        for (kind, reading) in &process.namespaces.0 {
            let link = kind.link();
            let value = reading.text(|inode| format!("{link}:[{inode}]"));
            rows.push(row(Panel::Namespaces, link, value, &format!("ns/{link}"), kind.meaning()));
        }
        let capabilities = if process.pid == 12 { "none" } else { "all 41" };
        for (key, value) in [("uid", "0 0 0 0"), ("CapEff", capabilities)] {
            rows.push(row(Panel::Credentials, key, value.to_owned(), "status", "who it is"));
        }
    }
    let names = |subject: &str, value: &str| Row {
        panel: Panel::Hostname,
        subject: subject.to_owned(),
        key: "hostname".to_owned(),
        value: value.to_owned(),
        source: "/proc/sys/kernel/hostname".to_owned(),
        command: "hostname".to_owned(),
        meaning: "the name of the machine, as processes of this uts namespace see it".to_owned(),
        passing: false,
    };
    rows.push(names("uts:[4026531836]", "lab"));
    rows
}

/// The lesson at a step, before or after its effect.
pub(crate) fn view(at: usize, done: bool) -> View {
    let lesson = lesson();
    let mut processes = vec![
        process(1, 0, &["hardway", "agent"], &[1]),
        process(12, 1, &["hardway", "box"], &[12]),
        process(15, 1, &["bash", "--norc"], &[15]),
        process(19, 15, &["sleep", "600"], &[19]),
    ];
    let changed = at > 1 || (at == 1 && done);
    if changed {
        processes[1].namespaces.0.insert(Namespace::PidForChildren, Reading::Value(4_026_532_201));
    }
    let names = Names {
        host: 1,
        boxes: BTreeMap::from([("box".to_owned(), 12)]),
        shell: Some(15),
        subject: None,
        foreground: Some(15),
    };
    let observation = Observation { processes, ..Observation::default() };
    let rows = rows(&observation, &names);
    let mut since_step = Vec::new();
    if at == 1 && done {
        let link = |row: &&Row| row.subject == "box (pid 12)" && row.key == "pid_for_children";
        let row = rows.iter().find(link).unwrap().clone();
        since_step
            .push(Change { kind: ChangeKind::Changed { before: "pid:[4026531838]".to_owned() }, row: row.clone() });
        since_step.push(Change {
            kind: ChangeKind::Removed,
            row: Row {
                panel: Panel::Processes,
                subject: "pid 17 ls".to_owned(),
                key: "comm".to_owned(),
                value: "ls".to_owned(),
                ..row
            },
        });
    }
    let mut since_start = since_step.clone();
    since_start.insert(0, Change { kind: ChangeKind::Added, row: rows[11].clone() });
    let mut records = vec![Record::default(); lesson.steps.len()];
    records[0].how = Some(How::Hands);
    for record in records.iter_mut().take(at + usize::from(done)).skip(1) {
        record.how = Some(How::Calls);
    }
    if at == 1 {
        records[1].predicted = done.then_some(2);
    }
    let mut skipped = vec![None; lesson.steps.len()];
    skipped[4] = Some("this kernel allows one level only".to_owned());
    let report = done.then(|| Arc::new(report(&lesson, at)));
    let verdicts = if at == 1 && done {
        vec![Verdict {
            claim: "box gives its children another pid namespace than host".to_owned(),
            holds: true,
            seen: "box 4026532201, host 4026531838".to_owned(),
        }]
    } else {
        Vec::new()
    };
    View {
        lesson: Arc::new(lesson),
        mode: Mode::RootlessRange,
        position: Position { step: at, done },
        records,
        skipped,
        history: report.iter().cloned().collect(),
        report,
        verdicts,
        answer: None,
        hints: Vec::new(),
        observation: Arc::new(observation),
        names,
        rows: Arc::new(rows),
        since_step: Arc::new(since_step),
        since_start: Arc::new(since_start),
        shell_at_stake: false,
        next_is_anew: false,
        hands_fit: true,
    }
}

/// A step that watches one panel, whichever, with rows that any probe may have: on the host and in the box, the same and
/// another, added, changed and removed, empty, long, and in wide letters.
pub(crate) fn panel_view(panel: Panel) -> View {
    let mut shown = view(1, true);
    Arc::make_mut(&mut shown.lesson).steps[1].watch = vec![panel];
    let row = |subject: &str, key: &str, value: &str| Row {
        panel,
        subject: subject.to_owned(),
        key: key.to_owned(),
        value: value.to_owned(),
        source: format!("/proc/12/{key}"),
        command: format!("cat /proc/12/{key}"),
        meaning: "what a probe says of it".to_owned(),
        passing: false,
    };
    let long = "one-of-many-words ".repeat(40);
    let rows = vec![
        row("host (pid 1)", "same", "as everywhere"),
        row("host (pid 1)", "other", "of the host"),
        row("box (pid 12)", "same", "as everywhere"),
        row("box (pid 12)", "other", "of the box"),
        row("box (pid 12)", "changed", "after"),
        row("box (pid 12)", "long", long.trim()),
        row("box (pid 12)", "empty", ""),
        row("名前 (pid 19)", "ключ", "値が広い"),
        row("ns:[4026532201]", "added", "new"),
    ];
    let change = |kind, row: &Row| Change { kind, row: row.clone() };
    let changes = vec![
        change(ChangeKind::Changed { before: "before".to_owned() }, &rows[4]),
        change(ChangeKind::Added, &rows[8]),
        change(ChangeKind::Removed, &row("pid 17 ls", "removed", "gone")),
    ];
    shown.rows = Arc::new(rows);
    shown.since_start = Arc::new(changes.clone());
    shown.since_step = Arc::new(changes);
    shown
}

/// A step that watches cgroups, with groups of version 2 or, as on a hybrid machine, of both: what is limited, what is not, one
/// below another, and what the step has changed.
pub(crate) fn cgroups_view(hybrid: bool) -> View {
    let mut shown = view(1, true);
    Arc::make_mut(&mut shown.lesson).steps[1].watch = vec![Panel::Cgroups];
    let v2 = |directory: &str, members: &[i32], files: &[(&str, &str)]| Group {
        directory: directory.to_owned(),
        members: Reading::Value(members.to_vec()),
        device_programs: None,
        files: files.iter().map(|(file, text)| ((*file).to_owned(), Reading::Value((*text).to_owned()))).collect(),
    };
    let hierarchy = |version, options: &str, mount: &str| Hierarchy {
        version,
        mount: mount.into(),
        options: options.to_owned(),
        own: mount.into(),
    };
    let mut observation = (*shown.observation).clone();
    let mut groups = BTreeMap::new();
    let mut others = Vec::new();
    if hybrid {
        let memory = [
            ("memory.failcnt", "23"),
            ("memory.limit_in_bytes", "20971520"),
            ("memory.memsw.limit_in_bytes", "20971520"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1"),
            ("memory.usage_in_bytes", "20021248"),
        ];
        groups.insert("memory:/hungry".to_owned(), v2("/sys/fs/cgroup/memory/hungry", &[12], &memory));
        let cpu = [
            ("cpu.cfs_period_us", "100000"),
            ("cpu.cfs_quota_us", "20000"),
            ("cpu.shares", "1024"),
            ("cpu.stat", "nr_periods 21\nnr_throttled 21\nthrottled_time 1600000000"),
        ];
        groups.insert("cpu:/calm".to_owned(), v2("/sys/fs/cgroup/cpu/calm", &[12, 19], &cpu));
        groups.insert("/web".to_owned(), v2("/lab/cgroup/web", &[], &[("cgroup.events", "populated 0\nfrozen 0")]));
        others.push(hierarchy(Version::V1, "cpu", "/sys/fs/cgroup/cpu"));
        others.push(hierarchy(Version::V1, "memory", "/sys/fs/cgroup/memory"));
    } else {
        let all = "cpuset cpu io memory pids";
        let root = [("cgroup.controllers", all), ("cgroup.subtree_control", all)];
        groups.insert("/".to_owned(), v2("/lab/cgroup", &[1], &root));
        let web = [
            ("cgroup.controllers", all),
            ("cgroup.events", "populated 1\nfrozen 0"),
            ("cgroup.freeze", "0"),
            ("cgroup.subtree_control", ""),
            ("cpu.max", "20000 100000"),
            (
                "cpu.pressure",
                "some avg10=12.50 avg60=1.00 avg300=0.10 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0",
            ),
            ("cpu.stat", "usage_usec 420000\nnr_periods 21\nnr_throttled 20\nthrottled_usec 1600000"),
            ("cpu.weight", "100"),
            ("cpuset.cpus", ""),
            ("cpuset.cpus.effective", "0-1"),
            ("memory.current", "19084083"),
            ("memory.events", "low 0\nhigh 0\nmax 23\noom 1\noom_kill 1"),
            ("memory.max", "20971520"),
            (
                "memory.pressure",
                "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0",
            ),
            ("memory.swap.max", "0"),
            ("pids.current", "2"),
            ("pids.events", "max 0"),
            ("pids.max", "max"),
        ];
        groups.insert("/web".to_owned(), v2("/lab/cgroup/web", &[12, 19], &web));
        let below = [("memory.current", "4096"), ("memory.max", "max"), ("pids.current", "0"), ("pids.max", "5")];
        groups.insert("/web/db".to_owned(), v2("/lab/cgroup/web/db", &[], &below));
        groups.insert("/web-2".to_owned(), v2("/lab/cgroup/web-2", &[], &[]));
    }
    let own = if hybrid {
        hierarchy(Version::V2, "", "/sys/fs/cgroup/unified")
    } else {
        hierarchy(Version::V2, "", "/sys/fs/cgroup")
    };
    let member = |pid: i32, path: &str| {
        let path = path.to_owned();
        (pid, Reading::Value([Membership { version: Version::V2, controllers: String::new(), path }].into()))
    };
    let memberships = BTreeMap::from([member(1, "/"), member(12, "/web"), member(15, "/")]);
    let layout = Some(if hybrid { Layout::Hybrid } else { Layout::V2 });
    observation.cgroups = Cgroups { layout, own: Some(own), others, memberships, groups, ..Cgroups::default() };
    let rows: Vec<Row> =
        crate::probe::rows(&observation, &shown.names).into_iter().filter(|row| row.panel == Panel::Cgroups).collect();
    let change = |key: &str, before: &str| {
        let row = rows.iter().find(|row| row.key == key)?.clone();
        Some(Change { kind: ChangeKind::Changed { before: before.to_owned() }, row })
    };
    let mut changes: Vec<Change> = [
        change("memory.max", "max"),
        change("memory.limit_in_bytes", "9223372036854771712"),
        change("memory.events", "low 0, high 0, max 3, oom 0, oom_kill 0"),
        change("memory.current", "4096"),
        change("memory.usage_in_bytes", "4096"),
        change("cpu.weight", "50"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let gone =
        Row { subject: "group /old".to_owned(), ..rows.iter().find(|row| row.key == "members").unwrap().clone() };
    changes.push(Change { kind: ChangeKind::Removed, row: gone });
    shown.observation = Arc::new(observation);
    shown.rows = Arc::new(rows);
    shown.since_step = Arc::new(changes.clone());
    shown.since_start = Arc::new(changes);
    shown
}

/// What the files of the graphs that are seen said, sample by sample.
pub(crate) fn sampled(model: &mut Model, samples: u64) {
    for at in 0..samples {
        let effects = update(model, Message::Beat);
        let Some(Effect::Send(Order::Gauge(files))) = effects.into_iter().next() else {
            panic!("nothing is asked for")
        };
        let text = |file: String| {
            let text = match file.rsplit('/').next().unwrap() {
                "cpu.stat" => format!("usage_usec {}\nthrottled_time {}", at * 50_000 + at % 7 * 400, at * 200_000_000),
                "pids.current" => (at % 5).to_string(),
                // Up to the limit, and down again.
                "memory.current" | "memory.usage_in_bytes" => (at * 700_000 % 21_000_000).to_string(),
                other => panic!("{other} is read"),
            };
            (file, Reading::Value(text))
        };
        let texts = files.into_iter().map(text).collect();
        update(model, Message::News(News::Gauged(Gauged { at: at * 250_000_000, texts })));
    }
}

fn report(lesson: &Lesson, at: usize) -> StepReport {
    let call = |by: &str, name: &str, args: &[&str], answer, nanos| Call {
        by: by.to_owned(),
        name: name.to_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        answer,
        nanos,
    };
    let enomem: Errno = "ENOMEM".parse().unwrap();
    let clone = "{flags=CLONE_PIDFD, exit_signal=SIGCHLD}";
    let fine =
        |calls, status| Performed { calls, result: Ok(Outcome { output: String::new(), status }), told: String::new() };
    let performed = match at {
        1 => vec![fine(vec![call("box", "unshare", &["CLONE_NEWPID"], Answer::Returned(0), 12_400)], None)],
        2 => {
            let failed = call("box", "clone3", &[clone], Answer::Failed(enomem), 8_100);
            vec![
                fine(
                    vec![
                        call("box", "clone3", &[clone], Answer::Returned(21), 91_000),
                        call(
                            "child",
                            "execve",
                            &["\"/usr/bin/true\"", "[\"true\"]", "environ"],
                            Answer::Returned(0),
                            0,
                        ),
                        call("box", "wait4", &["21", "&status", "0", "NULL"], Answer::Returned(21), 1_204_000),
                    ],
                    Some(0),
                ),
                Performed {
                    calls: vec![failed.clone()],
                    result: Err(CallError { call: failed, errno: enomem }),
                    told: String::new(),
                },
            ]
        }
        _ => Vec::new(),
    };
    StepReport { step: at, actions: lesson.steps[at].actions.iter().cloned().zip(performed).collect() }
}

/// The screen before anything has happened.
pub(crate) fn model(columns: u16, rows: u16) -> Model {
    Model::new(&setup(), Settings::read(None, |_| None).unwrap(), (columns, rows))
}

/// The screen in a lesson.
pub(crate) fn in_lesson(columns: u16, rows: u16, view: View) -> Model {
    let mut model = model(columns, rows);
    press(&mut model, "enter");
    update(&mut model, Message::News(News::View(Arc::new(view))));
    model
}

/// The screen with an open shell that has printed something.
pub(crate) fn with_shell(model: &mut Model) {
    press(model, "s");
    assert_eq!(model.shell.state, ShellState::Asked);
    update(model, Message::ShellOpened);
    // As if the lines that lead to the step had been typed.
    model.shell.pending.clear();
    let text =
        "\x1b]133;D;0\x07\x1b[1;32mlab\x1b[0m:/# unshare --pid bash --norc\r\n\x1b]133;D;0\x07\x1b[1;32mlab\x1b[0m:/# ";
    update(model, Message::Output(text.as_bytes().to_vec()));
}

/// Presses keys, written as in the command table, separated by spaces.
pub(crate) fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for key in keys.split(' ') {
        let event = Chord::parse(key).unwrap().event();
        effects.extend(update(model, Message::Key(event)));
    }
    effects
}

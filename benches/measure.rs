//! `cargo bench`: the budgets of the design, each as a ratio or share measured in this one run.
//!
//! Nothing here passes or fails: machines are shared and noisy. The numbers are printed with their budget beside them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hardway::agent::client::Keeper;
use hardway::kernel::children::readable;
use hardway::kernel::host::{Person, Wish, effective_uid};
use hardway::kernel::namespace::Namespace;
use hardway::kernel::netlink::Netlink;
use hardway::kernel::nftables::{Base, ChainType, Family, Hook, Nftables, Policy, Priority};
use hardway::kernel::sys::{self, Forked};
use hardway::kernel::trace::Trace;
use hardway::lesson::{Lesson, builtin};
use hardway::probe::Panel;
use hardway::probe::cgroups::gauges::{Gauge, Gauged};
use hardway::runtime::action::Action;
use hardway::session::{Position, Session};
use hardway::tui::Setup;
use hardway::tui::app::{Model, Pane};
use hardway::tui::event::Message;
use hardway::tui::settings::Settings;
use hardway::tui::update::{Effect, update};
use hardway::walk::walker::Walker;
use hardway::walk::{News, Order};

/// Repetitions of what takes well under a millisecond.
const MANY: usize = 200;

/// Repetitions of what takes milliseconds.
const SOME: usize = 20;

/// Repetitions of what may take a quarter of a second.
const FEW: usize = 7;

/// How long after network namespaces have ended the kernel is left to take them away: it does so by itself, and whoever makes a change
/// to a network meanwhile waits for it. Neither side of a comparison shall pay for the turn before.
const CALM: Duration = Duration::from_millis(200);

/// The same, after processes have ended: the end of one costs as much as its birth.
const REST: Duration = Duration::from_millis(2);

/// What the screen writes behind each frame: the end of a synchronised update.
const END_OF_FRAME: &str = "\x1b[?2026l";

/// How long 500 processes may take to be there.
const GROUPS_DEADLINE: Duration = Duration::from_secs(60);

/// How long idleness is watched.
const IDLE: Duration = Duration::from_secs(20);

fn main() {
    // What works in lab hosts, and is typed there.
    hardway::agent::tree::show_another(env!("CARGO_BIN_EXE_hardway"));
    measure();
}

fn measure() {
    println!("{:<52} {:>22}   budget", "what", "measured");
    // Before anything else: the keeper must be forked while this process has one thread.
    let person = Person::current();
    let offer = match person.offer(Wish::default()) {
        Ok(offer) => offer,
        Err(explanation) => return println!("{explanation}"),
    };
    let keeper = match Keeper::fork(&person, &offer) {
        Ok(keeper) => keeper,
        Err(explanation) => return println!("{explanation}"),
    };
    let keeper = in_a_lab(keeper);
    drop(keeper);
    plugins();
    screen();
}

fn row(what: &str, measured: &str, budget: &str) {
    println!("{what:<52} {measured:>22}   {budget}");
}

/// The middle of many measurements, in microseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

fn times(count: usize, mut deed: impl FnMut() -> Duration) -> f64 {
    median((0..count).map(|_| deed()).collect())
}

fn action(text: &str) -> Action {
    serde_json::from_str(text).expect("an action")
}

fn in_a_lab(keeper: Keeper) -> Keeper {
    let mut keeper = keeper;
    let start = times(SOME, || {
        let begin = Instant::now();
        let lab = keeper.start_lab().expect("a lab host");
        let took = begin.elapsed();
        drop(lab);
        took
    });
    row("a new lab host, file tree and all", &format!("{:.1} ms", start / 1e3), "");

    // First: the larger this program has become, the longer takes a fork of it, which the bare calls begin with.
    step_by_calls(&mut keeper);
    network(&mut keeper);
    observations(&mut keeper);
    keeper = groups(keeper);
    for lesson in builtin::all().into_iter().map(Arc::new) {
        keeper = forth_and_back(keeper, &lesson);
    }
    keeper
}

/// A step; the calls that it can not do without, made by nobody but a process and its child; and the same calls on their way from
/// this process to another, which forks a third, and back: what no program can do without that, as this one, leaves all that changes
/// anything to a process inside the lab host.
fn step_by_calls(keeper: &mut Keeper) {
    let [make, unshare, name, kill] = [
        r#"{"box":{}}"#,
        r#"{"unshare":{"in":"box","namespaces":["uts"]}}"#,
        r#"{"set_hostname":{"in":"box","name":"measured"}}"#,
        r#"{"kill":{"who":"box","from":"host","signal":"KILL"}}"#,
    ]
    .map(action);
    let (step, kill) = ([make, unshare, name], [kill]);
    let mut took: [Vec<Duration>; 3] = Default::default();
    // Several of each: how long one takes depends on where in memory it happens to lie, and that differs more than its steps do.
    for _ in 0..FEW {
        let mut lab = keeper.start_lab().expect("a lab host");
        let mut agent = BareAgent::fork();
        // Turn by turn, so that all have the same caches and the same neighbours on this machine.
        for _ in 0..MANY / 2 {
            std::thread::sleep(REST);
            let begin = Instant::now();
            lab.perform(&step).expect("performed");
            took[0].push(begin.elapsed());
            lab.perform(&kill).expect("performed");
            std::thread::sleep(REST);
            let (asked, bare) = agent.step();
            took[1].push(asked);
            took[2].push(bare);
        }
    }
    let [ours, through_agent, bare] = took.map(median);
    row("a step by calls (fork, unshare, sethostname)", &format!("{ours:.0} µs"), "");
    row("the same three calls bare, asked of another process", &format!("{through_agent:.0} µs"), "");
    row("ratio", &format!("{:.2} ×", ours / through_agent), "≤ 1.5 ×");
    row("the same three calls bare", &format!("{bare:.0} µs"), "");
    row("ratio", &format!("{:.2} ×", ours / bare), "");
}

/// A bridge, two boxes on it, forwarding and masquerade, as the lessons make them; and the same requests to the kernel by processes
/// that do nothing else.
fn network(keeper: &mut Keeper) {
    let host = [
        r#"{"add_bridge":{"in":"host","link":"br0"}}"#,
        r#"{"add_address":{"in":"host","link":"br0","address":"10.12.0.1/24"}}"#,
        r#"{"link_up":{"in":"host","link":"br0"}}"#,
        r#"{"write":{"in":"host","at":"/proc/sys/net/ipv4/ip_forward","text":"1"}}"#,
        r#"{"nft_table":{"in":"host","table":"lab"}}"#,
        r#"{"nft_chain":{"in":"host","table":"lab","chain":"leaving","type":"nat","hook":"postrouting","priority":"srcnat"}}"#,
        r#"{"nft_rule":{"in":"host","table":"lab","chain":"leaving","rule":"ip saddr 10.12.0.0/24 oifname != \"br0\" masquerade"}}"#,
    ];
    let of_box = |number: u8| {
        [
            format!(r#"{{"box":{{"name":"box{number}"}}}}"#),
            format!(r#"{{"unshare":{{"in":"box{number}","namespaces":["net"]}}}}"#),
            format!(r#"{{"add_veth":{{"in":"box{number}","link":"eth0","peer":"v{number}"}}}}"#),
            format!(r#"{{"move_link":{{"in":"box{number}","link":"v{number}","to":"host"}}}}"#),
            format!(r#"{{"add_address":{{"in":"box{number}","link":"eth0","address":"10.12.0.{}/24"}}}}"#, number + 2),
            format!(r#"{{"link_up":{{"in":"box{number}","link":"eth0"}}}}"#),
            format!(r#"{{"add_route":{{"in":"box{number}","to":"0.0.0.0/0","via":"10.12.0.1"}}}}"#),
            format!(r#"{{"set_master":{{"in":"host","link":"v{number}","master":"br0"}}}}"#),
            format!(r#"{{"link_up":{{"in":"host","link":"v{number}"}}}}"#),
        ]
    };
    let boxes = [0, 1].into_iter().flat_map(of_box);
    let actions: Vec<Action> = host.map(str::to_owned).into_iter().chain(boxes).map(|text| action(&text)).collect();
    let mut took: [Vec<Duration>; 2] = Default::default();
    for _ in 0..SOME {
        let mut lab = keeper.start_lab().expect("a lab host");
        std::thread::sleep(CALM);
        let begin = Instant::now();
        let performed = lab.perform(&actions).expect("performed");
        took[0].push(begin.elapsed());
        assert!(performed.iter().all(|one| one.result.is_ok()), "{performed:?}");
        std::thread::sleep(CALM);
        took[1].push(bare_network());
    }
    let [ours, bare] = took.map(median);
    row("a bridge, two boxes and NAT", &format!("{:.2} ms", ours / 1e3), "");
    row("the same requests bare", &format!("{:.2} ms", bare / 1e3), "");
    row("ratio", &format!("{:.2} ×", ours / bare), "≤ 1.5 ×");
}

/// How long the requests of [`network`] take in a network namespace that stands for the host.
fn bare_network() -> Duration {
    let rootless = effective_uid() != 0;
    let own: &[Namespace] = if rootless { &[Namespace::User, Namespace::Net] } else { &[Namespace::Net] };
    let (mut report, end) = hardway::kernel::stdio::pipe();
    match sys::clone3(&mut Trace::new("bench"), own).expect("a child") {
        Forked::Child => {
            let micros = bare_requests().map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            hardway::kernel::stdio::report(&end, &micros);
            hardway::kernel::stdio::exit_now(0);
        }
        Forked::Parent { pid, .. } => {
            drop(end);
            let mut text = String::new();
            report.read_to_string(&mut text).expect("a report");
            let _ = sys::wait4(&mut Trace::new("bench"), pid);
            let micros: Option<u64> = serde_json::from_str(&text).expect("a number");
            Duration::from_micros(micros.expect("all requests were granted"))
        }
    }
}

/// None where the kernel refused one of them.
fn bare_requests() -> Option<Duration> {
    let begin = Instant::now();
    let mut trace = Trace::new("bench");
    let [network, anywhere, gateway] =
        ["10.12.0.1", "0.0.0.0", "10.12.0.1"].map(|ip| ip.parse::<IpAddr>().expect("an address"));
    let mut netlink = Netlink::open().ok()?;
    netlink.add_bridge(&mut trace, "br0").ok()?;
    netlink.add_address(&mut trace, "br0", network, 24).ok()?;
    netlink.set_link(&mut trace, "br0", true).ok()?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").ok()?;
    let mut nftables = Nftables::open().ok()?;
    let (family, hook) = (Family::Ip, Hook::Postrouting);
    let base = Base { kind: ChainType::Nat, hook, priority: Priority(100), policy: Policy::Accept };
    let rule = "ip saddr 10.12.0.0/24 oifname != \"br0\" masquerade".parse().ok()?;
    nftables.add_table(&mut trace, family, "lab").ok()?;
    nftables.add_chain(&mut trace, family, "lab", "leaving", Some(&base)).ok()?;
    nftables.add_rule(&mut trace, family, "lab", "leaving", &rule).ok()?;
    let host = i32::try_from(std::process::id()).ok()?;
    let mut children = Vec::new();
    for number in 0..2 {
        let (mut done, end) = hardway::kernel::stdio::pipe();
        let (mut stay, go) = hardway::kernel::stdio::pipe();
        let peer = format!("v{number}");
        match sys::clone3(&mut trace, &[Namespace::Net]).ok()? {
            Forked::Child => {
                drop((done, go));
                let requests = |trace: &mut Trace| {
                    let mut netlink = Netlink::open().ok()?;
                    netlink.add_veth(trace, "eth0", &peer).ok()?;
                    netlink.move_link(trace, &peer, host).ok()?;
                    netlink.add_address(trace, "eth0", IpAddr::from([10, 12, 0, number + 2]), 24).ok()?;
                    netlink.set_link(trace, "eth0", true).ok()?;
                    netlink.add_route(trace, anywhere, 0, gateway).ok()
                };
                hardway::kernel::stdio::report(&end, &requests(&mut trace).is_some());
                drop(end);
                // Its network namespace lasts as long as it does.
                let _ = stay.read(&mut [0]);
                hardway::kernel::stdio::exit_now(0);
            }
            Forked::Parent { pid, .. } => {
                drop((end, stay));
                let mut text = String::new();
                done.read_to_string(&mut text).ok().filter(|_| text == "true")?;
                children.push((pid, go));
                netlink.set_master(&mut trace, &peer, "br0").ok()?;
                netlink.set_link(&mut trace, &peer, true).ok()?;
            }
        }
    }
    let took = begin.elapsed();
    // All of them first: a later child has the earlier one's pipe, too.
    let (pids, pipes): (Vec<i32>, Vec<_>) = children.into_iter().unzip();
    drop(pipes);
    for pid in pids {
        let _ = sys::wait4(&mut trace, pid);
    }
    Some(took)
}

/// Samples of every panel: of a new lab host with one box, and with ten, each in namespaces of its own of every kind.
fn observations(keeper: &mut Keeper) {
    let mut lab = keeper.start_lab().expect("a lab host");
    let [one, ten] = [0..1, 1..10].map(|numbers| {
        for number in numbers {
            let steps = [
                format!(r#"{{"box":{{"name":"box{number}"}}}}"#),
                format!(
                    r#"{{"unshare":{{"in":"box{number}","namespaces":["mnt","uts","ipc","net","cgroup","time","pid"]}}}}"#
                ),
                format!(r#"{{"fork":{{"in":"box{number}"}}}}"#),
            ];
            lab.perform(&steps.map(|step| action(&step))).expect("a box");
        }
        let mut bytes = 0;
        let took = times(MANY, || {
            let begin = Instant::now();
            let sample = lab.observe(&Panel::ALL, &[]).expect("a sample");
            let took = begin.elapsed();
            bytes = serde_json::to_vec(&sample).map_or(0, |bytes| bytes.len());
            took
        });
        (took / 1e3, bytes as f64 / 1e3)
    });
    let text = |(took, bytes): (f64, f64)| format!("{took:.2} ms, {bytes:.0} kB");
    row("observation of a lab host with one box", &text(one), "");
    row("of a lab host with ten boxes", &text(ten), "≤ 10 ms");
    row("of a box: what each adds to it", &format!("{:.2} ms", (ten.0 - one.0) / 9.0), "≤ 2 ms");
}

/// Fifty groups for each of three controllers, or for all of them at once in version 2, and 500 processes in them. What is read
/// while graphs are seen; and that nothing is while none is.
fn groups(mut keeper: Keeper) -> Keeper {
    keeper.hand_down(true);
    let mut lab = keeper.start_lab().expect("a lab host");
    let master = lab.open_shell(24, 80).expect("a shell");
    let mut shell = File::from(master);
    let make = "d=$(ls -d /sys/fs/cgroup/{memory,pids,cpu}/cgroup.procs 2>/dev/null); \
        d=${d//cgroup.procs}; d=${d:-/lab/cgroup/}; stty -echo; \
        for g in {1..50}; do for c in $d; do mkdir $c$g; done; \
        for i in {1..10}; do (for c in $d; do echo $BASHPID > $c$g/cgroup.procs; done; exec sleep 1000) & done; done 2>/dev/null\r";
    shell.write_all(make.as_bytes()).expect("a terminal");
    let begin = Instant::now();
    let (sample, members) = loop {
        let sample = lab.observe(&[Panel::Cgroups], &[]).expect("a sample");
        let groups = sample.observation.cgroups.groups.values();
        let members: BTreeSet<i32> = groups.filter_map(|group| group.members.value()).flatten().copied().collect();
        if members.len() >= 500 || begin.elapsed() > GROUPS_DEADLINE {
            break (sample, members.len());
        }
        // What the shell says is of no interest, but must not fill its terminal.
        let [ready] = readable([shell.as_fd()], Some(Duration::from_millis(100)));
        if ready {
            let _ = shell.read(&mut [0; 16 * 1024]);
        }
    };
    let groups = &sample.observation.cgroups.groups;
    let files: Vec<String> = groups
        .values()
        .flat_map(|group| Gauge::of(group).map(|gauge| format!("{}/{}", group.directory, gauge.file)))
        .collect();
    let light = times(MANY, || {
        let begin = Instant::now();
        lab.gauge(&files).expect("a light sample");
        begin.elapsed()
    });
    let full = times(SOME, || {
        let begin = Instant::now();
        lab.observe(&[Panel::Cgroups], &[]).expect("a sample");
        begin.elapsed()
    });
    let what = format!("graphs of {} groups, {members} processes: a sample", groups.len());
    row(&what, &format!("{:.2} ms, {} files", light / 1e3, files.len()), "≤ 10 ms");
    row("the whole panel of the same", &format!("{:.1} ms", full / 1e3), "");
    drop((shell, lab));
    keeper.end_lab().expect("the end of the lab host");
    keeper.hand_down(false);
    graphs(keeper)
}

/// How many samples the screen asks for in a second, while a graph is seen on it and while another tab is in front.
fn graphs(keeper: Keeper) -> Keeper {
    let lesson = builtin::find("12-memory").map(Arc::new).expect("a lesson");
    let steps = lesson.steps.len();
    let Ok(mut walker) = Walker::open(keeper, Arc::clone(&lesson), Session::new(steps)) else { panic!("no walk") };
    walker.go(Position { step: 1, done: true }).expect("a group with a limit");
    let view = Arc::new(walker.view());
    let setup = Setup { start: Some((lesson.name.clone(), None)), ..Setup::default() };
    let settings = Settings::read(None, |_| None).expect("settings");
    let mut model = Model::new(&setup, settings, (80, 24));
    update(&mut model, Message::News(News::View(view)));
    let [hidden, seen] = [Pane::Text, Pane::State].map(|pane| {
        model.focus = pane;
        update(&mut model, Message::Resized(80, 24));
        let mut asked = 0;
        for _ in 0..4 {
            let effects = update(&mut model, Message::Beat);
            asked += effects.iter().filter(|it| matches!(it, Effect::Send(Order::Gauge(_)))).count();
            update(&mut model, Message::News(News::Gauged(Gauged::default())));
        }
        asked
    });
    row("samples in a second without a graph", &hidden.to_string(), "0");
    row("samples in a second with one", &seen.to_string(), "4");
    walker.close()
}

/// The longest ways through a lesson, and an observation of all that it has made by its end.
fn forth_and_back(keeper: Keeper, lesson: &Arc<Lesson>) -> Keeper {
    let last = lesson.steps.len() - 1;
    let Ok(mut walker) = Walker::open(keeper, Arc::clone(lesson), Session::new(last + 1)) else { panic!("no walk") };
    let jump = times(FEW, || {
        walker.go(Position { step: 0, done: false }).expect("back at the start");
        let begin = Instant::now();
        walker.go(Position { step: last, done: true }).expect("at the end");
        begin.elapsed()
    });
    let look = times(SOME, || {
        let begin = Instant::now();
        walker.observe().expect("a sample");
        begin.elapsed()
    });
    let undo = times(FEW, || {
        walker.go(Position { step: last, done: true }).expect("at the end");
        let begin = Instant::now();
        walker.go(Position { step: last, done: false }).expect("one back");
        begin.elapsed()
    });
    let what = format!("{}: jump over {} steps; one back; a look", lesson.name, last + 1);
    let [jump, undo, look] = [jump, undo, look].map(|micros| micros / 1e3);
    row(&what, &format!("{jump:.1}; {undo:.1}; {look:.1} ms"), "≤ 250 ms; ≤ 250 ms; ≤ 10 ms");
    walker.close()
}

/// clone3, then unshare and sethostname in the child, and a byte back: what no step can do without. As root only; else in
/// a user namespace made by the same clone3. The pid of the child that has made the calls.
fn bare_calls() -> i32 {
    let rootless = effective_uid() != 0;
    let first: &[Namespace] = if rootless { &[Namespace::User] } else { &[] };
    let (mut done, end) = hardway::kernel::stdio::pipe();
    match sys::clone3(&mut Trace::new("bench"), first).expect("a child") {
        Forked::Child => {
            let mut trace = Trace::new("bench");
            let worked =
                sys::unshare(&mut trace, &[Namespace::Uts]).is_ok() && sys::sethostname(&mut trace, "bare").is_ok();
            hardway::kernel::stdio::report(&end, &worked);
            hardway::kernel::stdio::exit_now(0);
        }
        Forked::Parent { pid, .. } => {
            drop(end);
            let _ = done.read(&mut [0]);
            pid
        }
    }
}

/// A process that makes the bare calls when it is asked to, by a byte on a socket, and answers with the nanoseconds that they took. This process itself forks nothing between two steps,
/// as the ui does not: whoever has just forked copies each page that it then writes.
struct BareAgent {
    socket: UnixStream,
    pid: i32,
}

impl BareAgent {
    fn fork() -> Self {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        match sys::clone3(&mut Trace::new("bench"), &[]).expect("a child") {
            Forked::Child => {
                drop(ours);
                while theirs.read_exact(&mut [0]).is_ok() {
                    let begin = Instant::now();
                    let child = bare_calls();
                    let nanos = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    let _ = theirs.write_all(&nanos.to_le_bytes());
                    let _ = sys::wait4(&mut Trace::new("bench"), child);
                }
                hardway::kernel::stdio::exit_now(0);
            }
            Forked::Parent { pid, .. } => Self { socket: ours, pid },
        }
    }

    /// How long it takes to have the calls made, and how long the calls alone.
    fn step(&mut self) -> (Duration, Duration) {
        let begin = Instant::now();
        let mut nanos = [0; 8];
        self.socket.write_all(&[0]).expect("an agent");
        self.socket.read_exact(&mut nanos).expect("an answer");
        (begin.elapsed(), Duration::from_nanos(u64::from_le_bytes(nanos)))
    }
}

impl Drop for BareAgent {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        let _ = sys::wait4(&mut Trace::new("bench"), self.pid);
    }
}

/// hardway on a terminal of its own, started as a person starts it.
struct Screen {
    child: Child,
    master: File,
}

impl Screen {
    fn start(args: &[&str]) -> Self {
        let size = nix::pty::Winsize { ws_row: 45, ws_col: 160, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = nix::pty::openpty(&size, None).expect("a terminal");
        // Not for the child: a terminal is hung up, and what runs on it told so, when the last copy of its master closes.
        nix::fcntl::fcntl(&pty.master, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))
            .expect("a descriptor");
        let slave: OwnedFd = pty.slave;
        let stdio = || Stdio::from(slave.try_clone().expect("a descriptor"));
        let home = std::env::temp_dir().join(format!("hardway-bench-{}", std::process::id()));
        let _ = fs::create_dir_all(&home);
        let mut command = Command::new(env!("CARGO_BIN_EXE_hardway"));
        command.args(args).env("HOME", &home).env("XDG_STATE_HOME", &home).env("TERM", "xterm-256color");
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        // SAFETY: setsid and the ioctl are async-signal-safe, and nothing else is done between fork and exec.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let child = command.spawn().expect("hardway starts");
        Self { child, master: pty.master.into() }
    }

    /// Reads until this text has been drawn; how long that took.
    fn wait_for(&mut self, text: &str) -> Duration {
        let begin = Instant::now();
        let mut seen = Vec::new();
        let mut chunk = [0; 16 * 1024];
        while begin.elapsed() < Duration::from_secs(10) {
            let [ready] = readable([self.master.as_fd()], Some(Duration::from_millis(50)));
            if !ready {
                continue;
            }
            match self.master.read(&mut chunk) {
                Ok(n) if n > 0 => seen.extend_from_slice(&chunk[..n]),
                _ => break,
            }
            if seen.windows(text.len()).any(|window| window == text.as_bytes()) {
                break;
            }
        }
        begin.elapsed()
    }

    fn press(&mut self, keys: &[u8]) {
        self.master.write_all(keys).expect("a terminal");
    }

    fn drain(&mut self, at_most: Duration) -> usize {
        let begin = Instant::now();
        let mut chunk = [0; 16 * 1024];
        let mut bytes = 0;
        while let Some(left) = at_most.checked_sub(begin.elapsed()) {
            let [ready] = readable([self.master.as_fd()], Some(left));
            if ready {
                bytes += self.master.read(&mut chunk).unwrap_or(0);
            }
        }
        bytes
    }

    fn end(mut self) {
        let pid = i32::try_from(self.child.id()).unwrap_or(0);
        let _ = sys::kill(&mut Trace::new("bench"), pid, sys::Signal::SIGTERM);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(5) && matches!(self.child.try_wait(), Ok(None)) {
            self.drain(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn screen() {
    let first = times(SOME, || {
        let begin = Instant::now();
        let mut screen = Screen::start(&[]);
        screen.wait_for("course");
        let took = begin.elapsed();
        screen.end();
        took
    });
    let exec = times(SOME, || {
        let begin = Instant::now();
        let _ = Command::new(env!("CARGO_BIN_EXE_hardway")).arg("--version").stdout(Stdio::null()).status();
        begin.elapsed()
    });
    row("start to first frame", &format!("{:.1} ms", first / 1e3), "≤ 50 ms");
    row("of that: start of the program alone (--version)", &format!("{:.1} ms", exec / 1e3), "");

    let mut screen = Screen::start(&["05-pid:2"]);
    screen.wait_for("live");
    screen.drain(Duration::from_millis(1500));
    let ui = i32::try_from(screen.child.id()).unwrap_or(0);
    let before = cpu_ticks(ui);
    let drawn = screen.drain(IDLE);
    let spent = cpu_ticks(ui) - before;
    // sysconf(_SC_CLK_TCK) is 100 on Linux.
    let share = spent as f64 / 100.0 / IDLE.as_secs_f64() * 100.0;
    row("idle with live state on, ui and agent and workers", &format!("{share:.2} % of a core"), "< 0.5 %");
    row("bytes drawn meanwhile", &format!("{drawn}"), "0");
    row("resident memory of the ui", &format!("{:.1} MB", resident(ui) as f64 / 1e3), "≤ 30 MB");
    screen.end();
    keys();
    let _ = fs::remove_dir_all(std::env::temp_dir().join(format!("hardway-bench-{}", std::process::id())));
}

/// ADD of a bridge with host-local by hardway's own plugins against the reference's, in turns, in a network and mounts of their own. Both
/// masquerade: the reference runs iptables for it.
fn plugins() {
    const REFERENCE: &str = "/usr/lib/cni";
    let what = "ADD of a bridge: own plugins / the reference's";
    let skipped = |why: &str| row(what, &format!("skipped: {why}"), "");
    if effective_uid() != 0 {
        return skipped("needs root");
    }
    if !fs::exists(format!("{REFERENCE}/bridge")).unwrap_or(false) {
        return skipped("/usr/lib/cni/bridge is not installed");
    }
    let script = r#"mount -t tmpfs t /run && mount -t tmpfs t /var/lib && mkdir /run/netns && ip link set lo up || exit 1
        "$0" cni install /run/own >/dev/null || exit 1
        export CNI_CONTAINERID=c CNI_IFNAME=eth0 CNI_NETNS=/run/netns/n
        turn() {
            export CNI_PATH=$1
            conf="{\"cniVersion\":\"1.0.0\",\"name\":\"$2\",\"bridge\":\"$2\",\"isGateway\":true,\"ipMasq\":true,\"ipam\":{\"type\":\"host-local\",\"subnet\":\"$3\"}}"
            ip netns add n; from=$(date +%s%N)
            echo "$conf" | CNI_COMMAND=ADD $1/bridge >/run/answer || { cat /run/answer >&2; exit 1; }
            echo $2 $(($(date +%s%N) - from))
            echo "$conf" | CNI_COMMAND=DEL $1/bridge; ip netns del n
        }
        for i in $(seq 20); do turn /run/own own 10.1.0.0/16; turn /usr/lib/cni ref 10.2.0.0/16; done"#;
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private", "sh", "-c", script, env!("CARGO_BIN_EXE_hardway")])
        .output()
        .expect("unshare");
    let text = String::from_utf8_lossy(&output.stdout);
    let of = |name: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        lines.map(Duration::from_nanos).collect::<Vec<_>>()
    };
    let (own, reference) = (of("own "), of("ref "));
    if !output.status.success() || own.is_empty() || reference.is_empty() {
        return skipped(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("it failed"));
    }
    row(what, &format!("{:.2} ×", median(own) / median(reference)), "< 1 ×");
}

/// Keys while 500 processes and 200 mounts are on the screen and are sampled once a second: from the key to the end of the
/// frame that answers it.
fn keys() {
    let mut screen = Screen::start(&["02-mount"]);
    screen.wait_for("live");
    screen.press(b"s");
    screen.wait_for("\x1b]133;D");
    screen.drain(Duration::from_millis(500));
    screen.press(
        b"for i in {1..200}; do mkdir /tmp/$i && mount -t tmpfs m$i /tmp/$i; done; \
          for i in {1..500}; do sleep 1000 & done 2>/dev/null; echo all-$((1+1))there\r",
    );
    screen.wait_for("all-2there");
    screen.press(b"\x1d");
    screen.drain(Duration::from_secs(3));
    // Next pane, zoom and back, difference and back: all are drawn anew.
    let keys = [b"\t", b"+", b"-", b"d", b"d"];
    let mut times: Vec<Duration> = (0..MANY)
        .map(|turn| {
            screen.drain(Duration::from_millis(10));
            screen.press(keys[turn % keys.len()]);
            screen.wait_for(END_OF_FRAME)
        })
        .collect();
    times.sort();
    let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e3;
    row(
        "key to frame, 500 processes, 200 mounts: median; p99",
        &format!("{:.1} ms; {:.1} ms", at(50), at(99)),
        "≤ 16 ms",
    );
    screen.end();
}

/// Clock ticks spent by a process, its descendants that live, and its children that have been waited for.
fn cpu_ticks(root: i32) -> u64 {
    let stats: Vec<(i32, i32, u64)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
            let spent = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
            Some((pid, fields.get(1)?.parse().ok()?, spent))
        })
        .collect();
    let mut family = vec![root];
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        family.extend(stats.iter().filter(|(_, ppid, _)| *ppid == parent).map(|(pid, ..)| *pid));
        next += 1;
    }
    stats.iter().filter(|(pid, ..)| family.contains(pid)).map(|(.., spent)| spent).sum()
}

/// `VmRSS` in kilobytes.
fn resident(pid: i32) -> u64 {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

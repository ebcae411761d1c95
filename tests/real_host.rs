//! `--real-host`: lessons on the machine itself. Its processes, network, host name and files are the lab's; nothing is left.
//!
//! Its network is one that the tests make: a machine with an uplink, somebody's firewall and a network of containers already.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use support::{COMMAND, Machine, Mode, PROMISE, Process, Session, World, bounded, eventually, in_mode, json_lines};

fn as_root(test: &str, body: impl FnOnce(&World)) {
    in_mode(&format!("real_host::{test}"), Mode::Root, |world| {
        if !std::path::Path::new("/lab").exists() {
            body(world);
        } else {
            support::skip(&format!("real_host::{test}"), "there is a /lab on this machine that is not hardway's");
        }
    });
}

/// Network and mount namespaces in which hardway finds a machine: connected by `up0` to a router that answers on port 80, and with the
/// network 10.12.0.0/24 in use. It ends with its process.
struct Elsewhere {
    holder: Child,
    router: Child,
}

impl Elsewhere {
    fn new(world: &World) -> Self {
        let work = world.path().join("work");
        let _ = std::os::unix::fs::symlink(&world.binary, &work);
        let start = |program: &str, words: &[&str]| {
            let mut command = Command::new("unshare");
            command.args(words).args(["--", "sh", "-c", program]).arg(&work);
            command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
        };
        let router = start("ip link set lo up; exec \"$0\" serve 0.0.0.0:80", &["--net"]);
        let holder = start("exec sleep 1000", &["--net", "--mount", "--propagation", "private"]);
        let own = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/net"));
        eventually(PROMISE, || {
            let outside = own(std::process::id()).unwrap();
            let inside = |child: &Child| own(child.id()).is_ok_and(|link| link != outside);
            if inside(&router) && inside(&holder) { Ok(()) } else { Err("no namespaces".into()) }
        });
        let it = Self { holder, router };
        it.run(&format!(
            "ip link set lo up
             ip link add up0 type veth peer name down0 netns {router}
             ip address add 198.18.0.2/24 dev up0; ip link set up0 up
             nsenter -t {router} -n ip address add 198.18.0.1/24 dev down0; nsenter -t {router} -n ip link set down0 up
             ip route add default via 198.18.0.1
             ip link add own0 type veth peer name own1; ip address add 10.12.0.77/24 dev own0; ip link set own0 up
             echo 0 > /proc/sys/net/ipv4/ip_forward",
            router = it.router.id()
        ));
        it
    }

    /// Somebody's firewall, as Docker's.
    fn with_a_firewall(self) -> Self {
        self.run(
            "nft 'add table ip filter; add chain ip filter DOCKER-USER'
             nft 'add chain ip filter FORWARD { type filter hook forward priority filter; policy drop; }'
             nft add rule ip filter FORWARD counter jump DOCKER-USER",
        );
        self
    }

    /// A command as it is given there.
    fn command(&self, command: &Command) -> Command {
        let mut there = Command::new("nsenter");
        there.arg(format!("--target={}", self.holder.id())).args(["--net", "--mount", "--"]);
        there.arg(command.get_program()).args(command.get_args());
        there.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        there
    }

    /// What a shell prints there.
    #[track_caller]
    fn run(&self, line: &str) -> String {
        let output = bounded(self.command(&Command::new("sh")).args(["-ec", line]), COMMAND);
        assert!(output.status.success(), "{line}: {output:?}");
        output.stdout
    }

    /// All of its network that can be told: what must be as before.
    fn state(&self) -> String {
        self.run(
            "ip -o link | sed 's/ qdisc.*//'; ip -o address | sed 's/ scope.*//'; ip route; ip rule; nft list ruleset | sed 's/packets.*bytes [0-9]*//'
             grep . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/*/route_localnet /proc/sys/net/ipv6/conf/all/forwarding",
        )
    }

    /// Fails where it is not so within the time that hardway promises.
    #[track_caller]
    fn is(&self, before: &str) {
        eventually(PROMISE, || {
            let now = self.state();
            if now == before { Ok(()) } else { Err(format!("before:\n{before}\nnow:\n{now}")) }
        });
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        for child in [&mut self.holder, &mut self.router] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// One after the other: only one session at a time may have the machine for a lab host.
#[test]
fn on_the_machine_itself() {
    as_root("on_the_machine_itself", |world| {
        let before = Machine::now(world);
        every_lesson(world, &Elsewhere::new(world));
        before.is_as_before(world);
        behind_a_firewall(world, &Elsewhere::new(world).with_a_firewall());
        before.is_as_before(world);
        what_is_somebody_elses_stays(world, &Elsewhere::new(world));
        whoever_is_killed_the_network_is_as_before(world, &Elsewhere::new(world).with_a_firewall());
        before.is_as_before(world);
        whoever_is_killed_nothing_runs_any_more(world, &Elsewhere::new(world), &before);
        world.is_empty_soon("after all");
        before.is_as_before(world);
    });
}

fn every_lesson(world: &World, machine: &Elsewhere) {
    let network = machine.state();
    let run = |args: &[&str]| bounded(&mut machine.command(&world.hardway(args)), COMMAND);
    let output = run(&["run", "--all", "--json", "--real-host"]);
    let lines = json_lines(&output);
    let failed: Vec<_> = lines.iter().filter(|line| line["skipped"].is_null() && line["held"] == false).collect();
    assert!(failed.is_empty() && output.status.success(), "{failed:#?}");
    let of_networks = |line: &&serde_json::Value| line["lesson"].as_str().is_some_and(|name| name >= "17");
    let done = lines.iter().filter(of_networks).filter(|line| line["held"] == true).count();
    assert!(done > 60, "{done} steps about networks");
    // The machine has that network itself, so the lessons had another.
    assert!(!output.stdout.contains("10.12.0.2") && output.stdout.contains("10.99.255.2"));
    assert!(!std::path::Path::new("/lab").exists());
    machine.is(&network);

    let mut session =
        Session::start(world, &mut machine.command(&world.hardway(&["--plain", "--real-host", "05-pid"])));
    session.opened();
    let namespace = |of: u32, kind: &str| std::fs::read_link(format!("/proc/{of}/ns/{kind}")).unwrap();
    let agent = session.agent().unwrap();
    for kind in ["pid", "net", "uts", "user"] {
        let its = namespace(agent.pid.unsigned_abs(), kind);
        assert_eq!(its, namespace(machine.holder.id(), kind), "{kind} is the machine's");
    }
    let other = run(&["run", "03-uts", "--real-host"]);
    assert!(other.status.code() == Some(1) && other.stderr.contains("another hardway"), "{other:?}");
    session.quit();
}

/// A container's packets leave by the machine's own uplink, though somebody drops what he does not know.
fn behind_a_firewall(world: &World, machine: &Elsewhere) {
    let network = machine.state();
    let mut session =
        Session::start(world, &mut machine.command(&world.hardway(&["--plain", "--real-host", "19-outside:guard"])));
    session.begun();
    let ask = "! ip netns exec web /lab/work ask 198.18.0.1:80";
    let told = session.say(ask);
    assert!(told.contains("198.18.0.2"), "the router sees the machine's address: {told}");
    let rules = machine.run("nft -a list chain ip filter DOCKER-USER");
    assert_eq!(rules.matches("a lesson's bridge").count(), 2, "{rules}");
    assert!(
        rules.contains("iifname \"br0\" counter packets ") && !rules.contains("iifname \"br0\" counter packets 0"),
        "{rules}"
    );
    // Without them it would be dropped: they are what lets it through.
    machine.run("nft flush chain ip filter DOCKER-USER");
    let told = session.say(ask);
    assert!(told.contains("timed out"), "{told}");
    session.quit();
    machine.is(&network);
}

fn what_is_somebody_elses_stays(world: &World, machine: &Elsewhere) {
    machine.run("ip link add br0 type bridge; nft add table ip lab");
    let network = machine.state();
    for (lesson, what) in [("18-bridge", "a link br0"), ("20-publish", "a link br0"), ("19-outside", "a link br0")] {
        let refused = bounded(&mut machine.command(&world.hardway(&["run", lesson, "--real-host"])), COMMAND);
        assert!(refused.status.code() == Some(1) && refused.stderr.contains(what), "{refused:?}");
        assert_eq!(machine.state(), network);
    }
    machine.run("ip link delete br0");
    let refused = bounded(&mut machine.command(&world.hardway(&["run", "19-outside", "--real-host"])), COMMAND);
    assert!(refused.status.code() == Some(1) && refused.stderr.contains("a table ip lab"), "{refused:?}");
}

/// By hand and by calls: bridges, tables, settings. From there, and from another network namespace.
fn whoever_is_killed_the_network_is_as_before(world: &World, machine: &Elsewhere) {
    let network = machine.state();
    for (round, lesson) in ["20-publish:around", "21-cni:check", "19-outside:inside"].into_iter().enumerate() {
        let mut command = world.hardway(&["--plain", "--real-host", lesson]);
        command.env("XDG_STATE_HOME", world.path().join(format!("state-network-{round}")));
        let mut session = Session::start(world, &mut machine.command(&command));
        session.begun();
        if round == 2 {
            session.say("! ip link add br0 type bridge; nft add table ip lab; echo 1 > /proc/sys/net/ipv4/ip_forward");
        }
        let bridges = machine.run("ip -o link show type bridge");
        assert!(bridges.contains(["br0", "cni0", "br0"][round]), "{lesson}: {bridges}");
        let parts = [session.ui(), session.keeper.clone(), session.agent().unwrap()];
        parts.iter().for_each(|part| part.signal(Signal::SIGSTOP));
        parts.iter().for_each(|part| part.signal(Signal::SIGKILL));
        eventually(PROMISE, || {
            let alive = parts.iter().any(Process::lives);
            if alive { Err("a part lives".into()) } else { Ok(()) }
        });
        let cleanup = world.hardway(&["cleanup"]);
        let mut cleanup = if round == 0 { cleanup } else { machine.command(&cleanup) };
        assert!(bounded(&mut cleanup, COMMAND).status.success());
        machine.is(&network);
        session.has_left_nothing(lesson);
    }
}

fn whoever_is_killed_nothing_runs_any_more(world: &World, machine: &Elsewhere, before: &Machine) {
    for part in 0..4 {
        let mut command = world.hardway(&["--plain", "--real-host", "05-pid"]);
        command.env("XDG_STATE_HOME", world.path().join(format!("state-{part}")));
        let mut session = Session::start(world, &mut machine.command(&command));
        session.opened();
        session.say("g 7");
        session.say("! sleep 1000 &");
        let parts = [session.ui(), session.keeper.clone(), session.agent().unwrap()];
        let chosen: Vec<&Process> = if part < 3 { vec![&parts[part]] } else { parts.iter().collect() };
        chosen.iter().for_each(|part| part.signal(Signal::SIGSTOP));
        chosen.iter().for_each(|part| part.signal(Signal::SIGKILL));
        let sleeps = || world.processes().iter().any(|process| process.comm == "sleep");
        if part == 3 {
            eventually(PROMISE, || {
                let alive = chosen.iter().any(|part| part.lives());
                if alive { Err("a part lives".into()) } else { Ok(()) }
            });
            assert!(bounded(&mut world.hardway(&["cleanup"]), COMMAND).status.success());
        }
        eventually(PROMISE, || if sleeps() { Err(format!("part {part} killed: sleep lives")) } else { Ok(()) });
        if part == 2 {
            session.quit();
        }
        session.has_left_nothing(&format!("part {part} killed"));
        eventually(PROMISE, || {
            let there = std::path::Path::new("/lab").exists();
            if there { Err(format!("part {part} killed: /lab is there")) } else { Ok(()) }
        });
    }
    before.is_as_before(world);
}

#[test]
fn only_root_may() {
    in_mode("real_host::only_root_may", Mode::RootlessSingle, |world| {
        let told = bounded(&mut world.hardway(&["run", "03-uts", "--real-host"]), COMMAND);
        assert_eq!(told.status.code(), Some(1), "{told:?}");
        assert!(told.stderr.contains("only root may") && told.stderr.contains("fix:"), "{told:?}");
    });
}

//! Debian's podman drives hardway's plugins, and what it started without a network is joined to one by `hardway cni`.
//!
//! podman is in network, mount and process namespaces of its own, with `/run` and `/var/lib` that nobody else sees, and makes no cgroups: the
//! machine has nothing of it, and with the first process there everything ends.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rootfs_fetch::Recipe;
use serde_json::{Value, json};
use support::{ANSWER, COMMAND, Machine, Mode, Output, World, below, bounded, eventually, names};

/// So long it may take until a container answers, or is gone.
const SOON: Duration = Duration::from_secs(10);

/// The default network, as podman's package has it.
const DEFAULT: &str = r#"{"cniVersion":"0.4.0","name":"podman","plugins":[
    {"type":"bridge","bridge":"cni-podman0","isGateway":true,"ipMasq":true,"hairpinMode":true,
     "ipam":{"type":"host-local","routes":[{"dst":"0.0.0.0/0"}],"ranges":[[{"subnet":"10.88.0.0/16","gateway":"10.88.0.1"}]]}},
    {"type":"portmap","capabilities":{"portMappings":true}},{"type":"firewall"},{"type":"tuning"}]}"#;

/// A machine of podman's own. Beside its network is a far one, 192.0.2.2, with a server at port 80.
struct Place<'a> {
    world: &'a World,
    holder: Child,
    /// The processes before podman comes.
    processes: BTreeSet<String>,
}

impl<'a> Place<'a> {
    fn new(world: &'a World) -> Self {
        for name in ["conf", "rootfs"] {
            fs::create_dir(world.path().join(name)).unwrap();
        }
        let work = world.path().join("work");
        symlink(&world.binary, &work).unwrap();
        Recipe::programs([&work]).make(world.path().join("rootfs")).unwrap();
        fs::write(world.path().join("conf/87-podman.conflist"), DEFAULT).unwrap();
        let plugins = world.path().join("plugins");
        let installed = bounded(world.hardway(&["cni", "install"]).arg(&plugins), COMMAND);
        assert!(installed.status.success(), "{installed:?}");
        // Only crun can do without cgroups, and only where it sees version 2. No lock of podman's is in /dev/shm, which is the machine's; limits are
        // lowered, since root may be unable to raise them.
        let conf = format!(
            "[containers]\ncgroups = \"disabled\"\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n\
             apparmor_profile = \"unconfined\"\nlog_driver = \"k8s-file\"\n\
             [network]\nnetwork_backend = \"cni\"\ncni_plugin_dirs = [{plugins:?}]\nnetwork_config_dir = {:?}\n\
             [engine]\nruntime = \"crun\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nlock_type = \"file\"\n",
            world.path().join("conf")
        );
        fs::write(world.path().join("containers.conf"), conf).unwrap();
        // The first process there reaps what loses its parent, and ends when this one does, since its standard input does.
        let script = format!(
            "for place in /run /var/lib; do mount -t tmpfs test $place || exit 1; done
             mount -t cgroup2 none /sys/fs/cgroup && ip link set lo up && ip netns add far &&
             ip link add far type veth peer name eth0 netns far && ip address add 192.0.2.1/24 dev far && ip link set far up &&
             ip -n far address add 192.0.2.2/24 dev eth0 && ip -n far link set eth0 up || exit 1
             ip netns exec far {work} serve 192.0.2.2:80 & touch {ready}; cat; exit",
            work = work.display(),
            ready = world.path().join("ready").display(),
        );
        let mut holder = world.as_person("unshare");
        holder.args([
            "--net",
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
        ]);
        let holder = holder.args(["sh", "-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
        let mut place = Self { world, holder, processes: BTreeSet::new() };
        eventually(ANSWER, || world.path().join("ready").exists().then_some(()).ok_or("no place yet".to_owned()));
        // And far's server is up.
        place.answers("192.0.2.2:80", "192.0.2.1");
        place.processes = place.processes_now();
        place
    }

    /// A path as podman sees it.
    fn inside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.holder.id()))
    }

    fn processes_now(&self) -> BTreeSet<String> {
        names(self.inside("/proc")).into_iter().filter(|name| name.bytes().all(|it| it.is_ascii_digit())).collect()
    }

    /// A shell line there, which must be on a network of its own.
    fn sh(&self, line: &str) -> Output {
        let of = |who: &str| fs::read_link(format!("/proc/{who}/ns/net")).unwrap();
        let holder = self.holder.id().to_string();
        assert_ne!(of("self"), of(&holder), "never on the machine itself");
        let mut command = self.world.as_person("nsenter");
        command.env("CONTAINERS_CONF", self.world.path().join("containers.conf"));
        command.args(["--target", &holder, "--net", "--mount", &format!("--pid=/proc/{holder}/ns/pid_for_children")]);
        bounded(command.args(["sh", "-c", line]), COMMAND)
    }

    #[track_caller]
    fn printed(&self, line: &str) -> String {
        let output = self.sh(line);
        assert!(output.status.success(), "{line}: {output:?}");
        output.stdout
    }

    #[track_caller]
    fn podman(&self, arguments: &str) -> String {
        self.printed(&format!("podman {arguments}"))
    }

    /// `podman run` of hardway's own workload.
    #[track_caller]
    fn run(&self, options: &str, work: &str) -> String {
        self.podman(&self.of_run(options, work))
    }

    fn of_run(&self, options: &str, work: &str) -> String {
        let path = self.world.path().display();
        format!("run {options} --rootfs {path}/rootfs {path}/work {work}")
    }

    /// What podman says of a container.
    #[track_caller]
    fn of(&self, container: &str) -> Value {
        let all: Value = serde_json::from_str(&self.podman(&format!("inspect {container}"))).unwrap();
        all[0].clone()
    }

    #[track_caller]
    fn address(&self, container: &str, network: &str, field: &str) -> String {
        let of = self.of(container);
        let address = of["NetworkSettings"]["Networks"][network][field].as_str().unwrap_or_default().to_owned();
        assert!(!address.is_empty(), "{field}: {of:#}");
        address
    }

    /// ip(8) in a container, with what it says as JSON.
    #[track_caller]
    fn ip(&self, container: &str, arguments: &str) -> Value {
        let line = format!("nsenter --net --target {} ip -json {arguments}", self.of(container)["State"]["Pid"]);
        serde_json::from_str(&self.printed(&line)).unwrap()
    }

    #[track_caller]
    fn links(&self, container: &str) -> BTreeSet<String> {
        names_of(&self.ip(container, "link"))
    }

    /// Connects, and is told from which address. `by` goes before the command: somewhere else.
    fn ask(&self, by: &str, to: &str) -> Output {
        self.sh(&format!("{by} {}/work ask '{to}'", self.world.path().display()))
    }

    /// Somebody answers there soon.
    #[track_caller]
    fn answers(&self, to: &str, from: &str) {
        self.answers_to("", to, from);
    }

    #[track_caller]
    fn answers_to(&self, by: &str, to: &str, from: &str) {
        let expected = format!("you are {from}\n");
        eventually(SOON, || {
            let output = self.ask(by, to);
            if output.stdout == expected { Ok(()) } else { Err(format!("{by} {to}: {output:?}")) }
        });
    }

    #[track_caller]
    fn nobody_answers(&self, to: &str) {
        let output = self.ask("", to);
        assert!(!output.status.success() && output.stdout.is_empty(), "{to}: {output:?}");
    }

    /// What plugins have made of rules.
    fn rules(&self) -> String {
        self.printed("nft list ruleset")
    }

    /// No container is there, and of none is anything left but these bridges.
    #[track_caller]
    fn nothing_is_left(&self, bridges: &[&str]) {
        let links: BTreeSet<String> = ["lo", "far"].iter().chain(bridges).map(|name| String::from(*name)).collect();
        eventually(SOON, || {
            let now = names_of(&serde_json::from_str(&self.printed("ip -json link")).unwrap());
            let files: Vec<PathBuf> = ["/var/lib/cni", "/var/lib/hardway"]
                .into_iter()
                .flat_map(|directory| below(&self.inside(directory)))
                .filter(|path| path.is_file() && !is_kept(path))
                .collect();
            let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", self.holder.id())).unwrap();
            let of_containers = |line: &&str| line.contains("/run/netns/netns-") || line.contains("/userdata/");
            let mounts: Vec<&str> = mounts.lines().filter(of_containers).collect();
            let named: BTreeSet<String> = names(self.inside("/run/netns"));
            let rules = self.rules();
            let processes: Vec<String> = self.processes_now().difference(&self.processes).cloned().collect();
            let well = now == links
                && (rules.is_empty() && files.is_empty() && mounts.is_empty() && processes.is_empty())
                && named == BTreeSet::from(["far".to_owned()]);
            let left = || format!("{now:?} {rules} {files:?} {mounts:?} {processes:?} {named:?}");
            if well { Ok(()) } else { Err(left()) }
        });
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // The first process ends with its standard input, and the kernel all others before it.
        drop(self.holder.stdin.take());
        let begin = Instant::now();
        while matches!(self.holder.try_wait(), Ok(None)) && begin.elapsed() < ANSWER {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn names_of(links: &Value) -> BTreeSet<String> {
    links.as_array().unwrap().iter().map(|link| link["ifname"].as_str().unwrap().to_owned()).collect()
}

/// Whether host-local and the runner keep this file whoever comes and goes.
fn is_kept(path: &std::path::Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    name == "lock" || name.starts_with("last_reserved_ip.")
}

/// Why there can be no podman here that runs CNI plugins.
fn lacking() -> Option<String> {
    let said = |line: &str| bounded(Command::new("sh").args(["-c", line]), ANSWER);
    let missing = |program: &&str| !said(&format!("command -v {program}")).status.success();
    if let Some(program) = ["podman", "crun", "conmon", "nft", "ip"].into_iter().find(missing) {
        return Some(format!("{program} is not installed"));
    }
    // Older ones know networks of one family only, later ones have nothing of CNI any more.
    let version = said("podman --version").stdout;
    (!version.starts_with("podman version 4."))
        .then(|| format!("only podman 4 will do, and this is {}", version.trim()))
}

fn at_a_place(test: &str, body: impl FnOnce(&Place)) {
    match World::new(Mode::Root).and_then(|world| lacking().map_or(Ok(world), Err)) {
        Ok(world) => {
            let before = Machine::now(&world);
            body(&Place::new(&world));
            before.is_as_before(&world);
        }
        Err(reason) => support::skip(test, &reason),
    }
}

/// A container with a published port: reached from everywhere, reaches others, and goes, however it ends.
#[test]
fn podman_has_our_plugins_make_its_network() {
    at_a_place("podman_has_our_plugins_make_its_network", |place| {
        place.nobody_answers("127.0.0.1:8080");
        place.run("-d --name web -p 8080:80", "serve 0.0.0.0:80");
        let reached = || {
            let address = place.address("web", "podman", "IPAddress");
            place.answers(&format!("{address}:80"), "10.88.0.1");
            place.answers("127.0.0.1:8080", "10.88.0.1");
            place.answers_to("ip netns exec far", "192.0.2.1:8080", "192.0.2.2");
            address
        };
        let address = reached();
        let rules = place.rules();
        for purpose in ["masq", "portmap", "firewall"] {
            assert_eq!(rules.matches(&format!("table inet hardway_{purpose}_")).count(), 1, "{rules}");
        }
        let other = place.run("--rm", &format!("ask {address}:80"));
        assert!(other.starts_with("you are 10.88.0.") && other != "you are 10.88.0.1\n", "straight: {other}");
        assert_eq!(place.run("--rm", "ask 192.0.2.1:8080"), "you are 10.88.0.1\n", "by the published port");
        assert_eq!(place.run("--rm", "ask 192.0.2.2:80"), "you are 192.0.2.1\n", "masqueraded");

        place.podman("stop --time 0 web");
        place.nothing_is_left(&["cni-podman0"]);
        place.nobody_answers("127.0.0.1:8080");
        place.podman("start web");
        reached();
        // Its own end, at which nobody waits.
        place.printed(&format!("kill -9 {}", place.of("web")["State"]["Pid"]));
        place.nothing_is_left(&["cni-podman0"]);
        place.podman("rm web");
        assert_eq!(place.podman("ps --all --quiet"), "");
    });
}

/// Networks as podman writes them: both families, addresses that it wants, several at once.
#[test]
fn podman_makes_networks_for_our_plugins() {
    at_a_place("podman_makes_networks_for_our_plugins", |place| {
        place.podman("network create --subnet 10.90.0.0/24 --subnet fd90::/64 --ipv6 --opt mtu=1400 blue");
        let wished = "--ip 10.90.0.77 --mac-address 02:00:00:00:00:77";
        place.run(&format!("-d --name web --network blue {wished} -p 127.0.0.1:8080:80"), "serve [::]:80");
        place.answers("10.90.0.77:80", "10.90.0.1");
        place.answers(&format!("[{}]:80", place.address("web", "blue", "GlobalIPv6Address")), "fd90::1");
        place.answers("127.0.0.1:8080", "10.90.0.1");
        place.nobody_answers("192.0.2.1:8080");
        let link = place.ip("web", "link show eth0");
        assert_eq!((&link[0]["mtu"], &link[0]["address"]), (&json!(1400), &json!("02:00:00:00:00:77")), "{link:#}");

        // Both networks have a default route, and the first one's stays.
        place.podman("network connect podman web");
        assert_eq!(place.links("web"), ["eth0", "eth1", "lo"].map(str::to_owned).into());
        place.answers(&format!("{}:80", place.address("web", "podman", "IPAddress")), "10.88.0.1");
        let default = place.ip("web", "route show default");
        assert_eq!(
            (default.as_array().unwrap().len(), &default[0]["gateway"]),
            (1, &json!("10.90.0.1")),
            "{default:#}"
        );
        place.podman("network reload web");
        place.answers("10.90.0.77:80", "10.90.0.1");
        place.podman("network disconnect podman web");
        assert_eq!(place.links("web"), ["eth0", "lo"].map(str::to_owned).into());
        place.podman("rm --force --time 0 web");
        place.podman("network rm blue");
        place.nothing_is_left(&["cni-podman0"]);

        // What a plugin refuses is podman's error, in the plugin's words.
        place.podman("network create --opt isolate=true closed");
        let refused = place.sh(&format!("podman {}", place.of_run("--rm --network closed", "ask 127.0.0.1:80")));
        assert!(!refused.status.success() && refused.stderr.contains("ingressPolicy is not supported"), "{refused:?}");
        place.podman("network rm closed");
        place.nothing_is_left(&["cni-podman0"]);
    });
}

/// A container that was started with no network gets one of ours, loses it, gets it again, and ends with it.
#[test]
fn a_container_without_network_is_joined_to_ours() {
    at_a_place("a_container_without_network_is_joined_to_ours", |place| {
        let ipam = json!({ "type": "host-local", "subnet": "10.77.0.0/24", "routes": [{ "dst": "0.0.0.0/0" }] });
        let list = json!({ "cniVersion": "1.1.0", "name": "ours", "plugins": [
            { "type": "bridge", "bridge": "ours", "isGateway": true, "ipMasq": true, "ipam": ipam },
            { "type": "portmap", "capabilities": { "portMappings": true } }, { "type": "firewall" } ] });
        let conf = place.world.path().join("ours");
        fs::create_dir(&conf).unwrap();
        fs::write(conf.join("ours.conflist"), list.to_string()).unwrap();
        let cni = |arguments: &str| {
            let (program, conf) = (place.world.binary.display(), conf.display());
            place
                .sh(&format!("{program} cni {arguments} --net ours --id lone --json --conf-dir {conf} --path /nowhere"))
        };
        let well = |arguments: &str| -> Value {
            let output = cni(arguments);
            assert!(output.status.success(), "{arguments}: {output:?}");
            serde_json::from_str(&output.stdout).unwrap()
        };
        place.run("-d --name lone --network none", "serve 0.0.0.0:80");
        let alone = BTreeSet::from(["lo".to_owned()]);
        assert_eq!(place.links("lone"), alone);
        let add = format!(
            r#"add --netns /proc/{}/ns/net --capability 'portMappings=[{{"hostPort":8080,"containerPort":80,"protocol":"tcp"}}]'"#,
            place.of("lone")["State"]["Pid"]
        );
        let reached = || {
            let added = well(&add);
            let address = added["result"]["ips"][0]["address"].as_str().unwrap().trim_end_matches("/24");
            place.answers(&format!("{address}:80"), "10.77.0.1");
            place.answers("127.0.0.1:8080", "10.77.0.1");
            place.answers_to("ip netns exec far", "192.0.2.1:8080", "192.0.2.2");
            well("check");
        };
        place.nobody_answers("127.0.0.1:8080");
        reached();
        place.printed(&format!("nsenter --net --target {} ip route delete default", place.of("lone")["State"]["Pid"]));
        let checked = cni("check");
        assert!(!checked.status.success() && checked.stderr.contains("0.0.0.0/0 is missing"), "{checked:?}");
        well("del");
        assert_eq!((place.links("lone"), place.rules().as_str()), (alone, ""));
        place.nobody_answers("127.0.0.1:8080");

        reached();
        place.podman("rm --force --time 0 lone");
        assert!(place.rules().contains("dport 8080"), "nobody has told the plugins");
        well("del");
        place.nothing_is_left(&["ours"]);
    });
}

//! `hardway cni` with the reference plugins of Debian and with its own, in network and mount namespaces of their own: plugins write rules and turn on
//! forwarding, and none of that may happen on the machine.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::{ANSWER, COMMAND, Mode, Output, World, bounded, eventually};

const PLUGINS: &str = "/usr/lib/cni";

/// A machine of its own: network and mounts, with /run, /var/lib and /etc/cni that nobody else sees. It lives as long as one
/// process does, and with it ends everything that plugins made.
struct Machine {
    world: World,
    holder: std::process::Child,
}

impl Machine {
    /// # Errors
    /// Why there can be none.
    fn new() -> Result<Self, String> {
        let world = World::new(Mode::Root)?;
        for plugin in ["bridge", "host-local", "portmap", "loopback", "tuning"] {
            if !PathBuf::from(PLUGINS).join(plugin).exists() {
                return Err(format!("{PLUGINS}/{plugin} is not installed (Debian: containernetworking-plugins)"));
            }
        }
        let programs = world.path().join("bin");
        fs::create_dir(&programs).unwrap();
        for program in ["iptables", "iptables-save", "ip", "nft", "nsenter", "ruby", "tc"] {
            let found = bounded(Command::new("sh").args(["-c", &format!("command -v {program}")]), ANSWER);
            if !found.status.success() {
                return Err(format!("{program} is not installed"));
            }
            std::os::unix::fs::symlink(found.stdout.trim(), programs.join(program)).unwrap();
        }
        let mut holder = Command::new("unshare");
        holder.args(["--net", "--mount", "--propagation", "private", "sh", "-c"]);
        holder.arg(
            "mount -t tmpfs test /run && mount -t tmpfs test /var/lib && mkdir /run/netns && ip link set lo up &&
             touch /run/ready && exec sleep 900",
        );
        let holder = holder.spawn().map_err(|error| error.to_string())?;
        let machine = Self { world, holder };
        let ready = format!("/proc/{}/root/run/ready", machine.holder.id());
        let mine = || {
            fs::read_link("/proc/self/ns/mnt").unwrap() != fs::read_link(machine.namespace("mnt")).unwrap_or_default()
        };
        eventually(ANSWER, || {
            (mine() && PathBuf::from(&ready).exists()).then_some(()).ok_or("no machine yet".to_owned())
        });
        Ok(machine)
    }

    fn namespace(&self, kind: &str) -> String {
        format!("/proc/{}/ns/{kind}", self.holder.id())
    }

    /// A shell line there, which must be on a network of its own.
    fn sh(&self, line: &str) -> Output {
        let net = fs::read_link(self.namespace("net")).unwrap();
        assert_ne!(fs::read_link("/proc/self/ns/net").unwrap(), net, "never on the machine itself");
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--net", "--mount", "sh", "-c", line]);
        bounded(&mut command, COMMAND)
    }

    #[track_caller]
    fn printed(&self, line: &str) -> String {
        let output = self.sh(line);
        assert!(output.status.success(), "{line}: {output:?}");
        output.stdout
    }

    /// `hardway cni` there; what it prints as JSON.
    #[track_caller]
    fn cni(&self, arguments: &str) -> (i32, Value, String) {
        self.cni_of(PLUGINS, arguments)
    }

    /// The same with plugins from elsewhere.
    #[track_caller]
    fn cni_of(&self, path: &str, arguments: &str) -> (i32, Value, String) {
        let conf = self.world.path().join("conf");
        // Plugins find no ip6tables: where there is one, the reference's portmap 1.1.1 looks at CHECK for the rules of IPv4 in its tables
        // too, and never finds them.
        let line = format!(
            "PATH={}/bin {} cni {arguments} --json --conf-dir {} --path {path}",
            self.world.path().display(),
            self.world.binary.display(),
            conf.display()
        );
        let output = self.sh(&line);
        let object = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{line}: {error}: {output:?}"));
        (output.status.code().unwrap(), object, output.stderr)
    }

    #[track_caller]
    fn well(&self, arguments: &str) -> Value {
        self.well_of(PLUGINS, arguments)
    }

    #[track_caller]
    fn well_of(&self, path: &str, arguments: &str) -> Value {
        let (status, object, stderr) = self.cni_of(path, arguments);
        assert_eq!((status, &object["well"]), (0, &Value::Bool(true)), "{arguments}: {object:#} {stderr}");
        object
    }

    fn network(&self, name: &str, version: &str, plugins: &Value) {
        let directory = self.world.path().join("conf");
        let _ = fs::create_dir(&directory);
        let list = json!({ "cniVersion": version, "name": name, "plugins": plugins });
        fs::write(directory.join(format!("{name}.conflist")), list.to_string()).unwrap();
    }

    fn links(&self) -> BTreeSet<String> {
        let links: Value = serde_json::from_str(&self.printed("ip -json link")).unwrap();
        links.as_array().unwrap().iter().map(|link| link["ifname"].as_str().unwrap().to_owned()).collect()
    }

    /// Rules of both kinds that are no empty chains: the reference's portmap leaves those.
    fn rules(&self) -> Vec<String> {
        let text = self.printed("iptables-save; if command -v ip6tables-save >/dev/null; then ip6tables-save; fi");
        text.lines().filter(|line| line.starts_with("-A ")).map(str::to_owned).collect()
    }

    fn files(&self, directory: &str) -> Vec<String> {
        let text = self.printed(&format!("find {directory} -type f 2>/dev/null || true"));
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn on_a_machine(name: &str, test: impl FnOnce(&Machine)) {
    match Machine::new() {
        Ok(machine) => test(&machine),
        Err(reason) => support::skip(name, &reason),
    }
}

fn bridge() -> Value {
    let ipam = json!({ "type": "host-local", "subnet": "10.77.0.0/24", "routes": [{ "dst": "0.0.0.0/0" }] });
    json!({ "type": "bridge", "bridge": "cni-test", "isGateway": true, "ipMasq": true, "ipam": ipam })
}

const LEASES: &str = "/var/lib/cni/networks";
const CACHE: &str = "/var/lib/hardway/cni";

/// The life of an attachment by bridge, host-local and portmap: traffic flows, CHECK holds, and DEL leaves nothing, however often.
#[test]
fn an_attachment_lives_and_goes() {
    on_a_machine("an_attachment_lives_and_goes", |machine| {
        let portmap = json!({ "type": "portmap", "capabilities": { "portMappings": true } });
        machine.network("net", "1.0.0", &json!([bridge(), portmap, { "type": "loopback" }]));
        machine.printed("ip netns add blue && ip netns add red");
        let ports = r#"'portMappings=[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]'"#;
        let added = machine.well(&format!("add --net net --id c1 --netns /run/netns/blue --capability {ports}"));
        let result = &added["result"];
        assert_eq!((&result["cniVersion"], &result["ips"][0]["interface"]), (&json!("1.0.0"), &json!(2)), "{result:#}");
        assert_eq!(result["interfaces"][2]["sandbox"], "/run/netns/blue");
        let address = result["ips"][0]["address"].as_str().unwrap().trim_end_matches("/24").to_owned();
        machine.well("add --net net --id c2 --netns /run/netns/red");
        assert_eq!(machine.files(LEASES).iter().filter(|path| path.contains("/net/10.77.0.")).count(), 2);

        let gateway = result["ips"][0]["gateway"].as_str().unwrap();
        traffic_flows(machine, &address, gateway);
        assert!(machine.printed("ip -n blue link show lo").contains(",UP"), "loopback has set it up");

        let checked = machine.well("check --net net --id c1");
        let first = &checked["exchanges"][0];
        assert_eq!(first["variables"]["CNI_NETNS"], "/run/netns/blue");
        let given: Value = serde_json::from_str(first["stdin"].as_str().unwrap()).unwrap();
        assert_eq!(&given["prevResult"], result);
        machine.printed("ip -n blue address flush dev eth0");
        let (status, object, stderr) = machine.cni("check --net net --id c1");
        assert_eq!((status, &object["well"]), (1, &Value::Bool(false)));
        assert!(
            object["error"]["code"].as_u64().is_some() && stderr.contains("bridge failed (CHECK)"),
            "{object:#} {stderr}"
        );

        machine.printed(&format!(
            "ip -n blue address add {address}/24 dev eth0 && ip -n blue route replace default via {gateway}"
        ));
        machine.well("check --net net --id c1");

        // A second ADD would end in tearing down the first.
        let (status, object, stderr) = machine.cni("add --net net --id c1 --netns /run/netns/blue");
        assert_eq!((status, object["exchanges"].as_array().unwrap().len()), (1, 0));
        assert!(stderr.contains("from an ADD without a DEL"), "{stderr}");

        machine.well("del --net net --id c1");
        let left = machine.rules();
        assert!(
            !left.iter().any(|rule| rule.contains("c1") || rule.contains("8080") || rule.contains(&address)),
            "{left:#?}"
        );
        let again = machine.well("del --net net --id c1");
        assert_eq!(again["exchanges"].as_array().unwrap().len(), 3);
        assert!(!machine.printed("ip -n blue -json link").contains("eth0"));
        // The other one's namespace goes first, and its configuration too: what is kept of it is enough.
        machine.printed("ip netns del red && ip netns del blue");
        fs::remove_file(machine.world.path().join("conf/net.conflist")).unwrap();
        machine.well("del --net net --id c2");
        eventually(ANSWER, || {
            let veths: Vec<String> = machine.links().into_iter().filter(|name| name.starts_with("veth")).collect();
            if veths.is_empty() { Ok(()) } else { Err(format!("{veths:?}")) }
        });
        // The bridge stays, for the next one: so does the reference.
        assert_eq!(machine.links(), ["cni-test", "lo"].map(str::to_owned).into());
        assert_eq!(machine.files(CACHE), [format!("{CACHE}/lock")]);
        let leases = machine.files(LEASES);
        assert!(leases.iter().all(|path| !path.contains("/10.77.0.")), "{leases:?}");
        // Where the namespace is gone the reference's bridge 1.1.1 does not find the address any more whose masquerading it would take back.
        let left: Vec<String> = machine.rules().into_iter().filter(|rule| !rule.contains("id: \\\"c2\\\"")).collect();
        assert!(!left.iter().any(|rule| names_an_attachment(rule)), "{left:#?}");
    });
}

/// Whether a rule is about a container, its address or its port: portmap leaves rules that mark what comes from the host, for all.
fn names_an_attachment(rule: &str) -> bool {
    ["10.77.0.", "id: ", "CNI-DN-", "8080"].iter().any(|part| rule.contains(part))
}

/// TCP connections from the one container to the other: straight, and by port 8080 of the host.
#[track_caller]
fn traffic_flows(machine: &Machine, container: &str, host: &str) {
    let serve = "require 'socket'; s = TCPServer.new(80); 2.times { c = s.accept; c.write('well'); c.close }";
    let ask = format!(
        "require 'socket'
        def ask(host, port)
          100.times do
            return puts(Socket.tcp(host, port, connect_timeout: 5) {{ |c| c.read }})
          rescue Errno::ECONNREFUSED
            sleep 0.05
          end
        end
        ask('{container}', 80); ask('{host}', 8080)"
    );
    let line = format!(
        "timeout 60 ip netns exec blue ruby -e \"{serve}\" & timeout 60 ip netns exec red ruby -e \"{ask}\"; wait"
    );
    assert_eq!(machine.printed(&line), "well\nwell\n");
}

/// An ADD that fails in the middle leaves nothing, and the first error is the one that is told. What could not be taken back is known.
#[test]
fn an_add_that_fails_leaves_nothing() {
    on_a_machine("an_add_that_fails_leaves_nothing", |machine| {
        let portmap = json!({ "type": "portmap", "capabilities": { "portMappings": true } });
        let tuning = json!({ "type": "tuning", "sysctl": { "net.ipv4.no_such_value": "1" } });
        machine.network("net", "1.0.0", &json!([bridge(), tuning, portmap]));
        machine.printed("ip netns add blue");
        let ran = |object: &Value| -> Vec<String> {
            let one = |one: &Value| format!("{} {}", one["command"].as_str().unwrap(), one["plugin"].as_str().unwrap());
            object["exchanges"].as_array().unwrap().iter().map(one).collect()
        };
        let (status, object, stderr) = machine.cni("add --net net --id c1 --netns /run/netns/blue");
        let all =
            ["ADD bridge", "ADD tuning", "DEL tuning", "DEL bridge"].map(|one| one.replace(' ', " /usr/lib/cni/"));
        assert_eq!((status, ran(&object)), (1, all.to_vec()), "{object:#}");
        assert!(object["error"]["msg"].is_string() && stderr.contains("tuning failed (ADD)"), "{object:#}");
        let nothing_left = || {
            assert!(!machine.printed("ip -n blue -json link").contains("eth0"));
            assert!(machine.files(LEASES).iter().all(|path| !path.contains("/10.77.0.")));
        };
        nothing_left();
        assert_eq!(machine.files(CACHE), [format!("{CACHE}/lock")]);

        // The reference's portmap refuses this at DEL as well.
        machine.network(
            "net",
            "1.0.0",
            &json!([bridge(), { "type": "portmap", "capabilities": { "portMappings": true } }]),
        );
        let bad = r#"'portMappings=[{"hostPort":8080,"containerPort":0,"protocol":"tcp"}]'"#;
        let arguments = format!("add --net net --id c1 --netns /run/netns/blue --capability {bad}");
        let (status, object, stderr) = machine.cni(&arguments);
        assert_eq!((status, ran(&object).len()), (1, 4), "{object:#}");
        assert!(stderr.contains("portmap failed (ADD)") && stderr.contains("then: "), "{stderr}");
        nothing_left();
        assert_eq!(machine.files(CACHE).len(), 2);
        let good = r#"'portMappings=[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]'"#;
        machine.well(&format!("del --net net --id c1 --capability {good}"));
        assert_eq!(machine.files(CACHE), [format!("{CACHE}/lock")]);
    });
}

/// What plugins say that know no newer version, of the interface's name, and that GC finds containers that are gone.
#[test]
fn versions_names_and_garbage() {
    on_a_machine("versions_names_and_garbage", |machine| {
        machine.network("net", "1.0.0", &json!([bridge()]));
        let version = machine.well("version --net net");
        assert!(version["plugins"][0]["versions"].as_array().unwrap().contains(&json!("0.4.0")), "{version:#}");
        let (status, _, stderr) = machine.cni("add --net net --id c1 --netns /run/netns/none");
        assert!(status == 1 && stderr.contains("bridge failed (ADD)"), "{stderr}");
        for (arguments, why) in [
            ("add --net net --id ../c --netns /run/netns/blue", "as container id"),
            ("add --net net --id c --ifname a/b --netns /run/netns/blue", "as name of an interface"),
            ("add --net net --id c", "none was named"),
            ("check --net net --id c", "no result of an ADD"),
        ] {
            let output = machine.sh(&format!(
                "{} cni {arguments} --conf-dir {} --path {PLUGINS}",
                machine.world.binary.display(),
                machine.world.path().join("conf").display()
            ));
            assert!(output.status.code() == Some(1) && output.stderr.contains(why), "{arguments}: {output:?}");
        }
        machine.printed("ip netns add blue && ip netns add red");
        for (id, netns) in [("c1", "blue"), ("c2", "red")] {
            machine.well(&format!("add --net net --id {id} --netns /run/netns/{netns}"));
        }
        machine.printed("ip netns del red");
        let collected = machine.well("gc --net net");
        let one = |id: &str| json!([{ "containerID": id, "ifname": "eth0" }]);
        assert_eq!((&collected["stale"], &collected["valid"]), (&one("c2"), &one("c1")));
        assert_eq!(collected["asked"], false, "a list of 1.0.0 has no GC");
        assert_eq!(machine.files(LEASES).iter().filter(|path| path.contains("/net/10.77.0.")).count(), 1);
        let collected = machine.well("gc --net net --none-valid");
        assert_eq!(collected["stale"], one("c1"));
        assert_eq!(machine.files(LEASES).iter().filter(|path| path.contains("/net/10.77.0.")).count(), 0);
    });
}

/// Ten containers at once get ten addresses, and give them back.
#[test]
fn ten_at_once() {
    on_a_machine("ten_at_once", |machine| {
        machine.network("net", "0.4.0", &json!([bridge()]));
        let hardway = format!(
            "{} cni \"$@\" --net net --conf-dir {} --path {PLUGINS} --timeout 120",
            machine.world.binary.display(),
            machine.world.path().join("conf").display()
        );
        let line = format!(
            "hw() {{ {hardway}; }}; for i in 1 2 3 4 5 6 7 8 9 10; do ip netns add n$i; done
             for i in 1 2 3 4 5 6 7 8 9 10; do hw add --id c$i --netns /run/netns/n$i >/run/out$i & done; wait
             for i in 1 2 3 4 5 6 7 8 9 10; do hw check --id c$i >/dev/null || exit 1; done
             ls /var/lib/cni/networks/net | grep -c '^10\\.'
             for i in 1 2 3 4 5 6 7 8 9 10; do hw del --id c$i >/dev/null & done; wait
             ls /var/lib/cni/networks/net | grep -c '^10\\.'; true"
        );
        assert_eq!(machine.printed(&line), "10\n0\n");
        assert_eq!(machine.files(CACHE), [format!("{CACHE}/lock")]);
        eventually(Duration::from_secs(10), || {
            let links = machine.links();
            if links.len() == 2 { Ok(()) } else { Err(format!("{links:?}")) }
        });
    });
}

/// The soak has a machine of its own, and says what is left there.
#[test]
fn a_short_soak() {
    on_a_machine("a_short_soak", |machine| {
        machine.network(
            "net",
            "1.0.0",
            &json!([bridge(), { "type": "portmap", "capabilities": { "portMappings": true } }]),
        );
        let before = (machine.links(), machine.rules(), machine.files("/run"), machine.files("/var/lib"));
        let soaked = machine.well("soak --net net --cycles 2 --at-once 4 --timeout 120");
        assert_eq!((&soaked["attachments"], &soaked["failed"]), (&json!(8), &json!(0)), "{soaked:#}");
        assert_eq!(soaked["left"]["links"], json!(["cni-test"]), "{soaked:#}");
        let files = soaked["left"]["files"].as_array().unwrap();
        assert!(files.iter().all(|path| !path.as_str().unwrap().contains("/10.77.0.")), "{soaked:#}");
        assert_eq!((machine.links(), machine.rules(), machine.files("/run"), machine.files("/var/lib")), before);
    });
}

/// hardway is killed in the middle of an ADD: the attachment is known, and can be taken away.
#[test]
fn killed_in_the_middle() {
    on_a_machine("killed_in_the_middle", |machine| {
        machine.network("net", "1.0.0", &json!([bridge(), { "type": "slow" }]));
        machine.printed("ip netns add blue");
        let plugins = machine.world.path().join("bin");
        // By cat(1): this process never has the file open for writing while another test forks.
        let text = "#!/bin/sh\n[ $CNI_COMMAND = ADD ] && touch /run/waits && sleep 3\ntrue\n";
        machine.printed(&format!("printf '{text}' | cat >{0}/slow && chmod 755 {0}/slow", plugins.display()));
        let hardway = format!(
            "{} cni \"$@\" --net net --id c1 --conf-dir {} --path {PLUGINS}:{}",
            machine.world.binary.display(),
            machine.world.path().join("conf").display(),
            plugins.display()
        );
        let line = format!(
            "hw() {{ exec {hardway}; }}; (hw add --netns /run/netns/blue) & pid=$!
             for turn in $(seq 400); do [ -e /run/waits ] && break; sleep 0.05; done
             kill -9 $pid; wait $pid; ls /var/lib/cni/networks/net | grep -c '^10\\.'; (hw check) 2>&1; (hw add --netns /run/netns/blue) 2>&1
             (hw del) || exit 1; ls /var/lib/cni/networks/net | grep -c '^10\\.'; true"
        );
        let printed = machine.printed(&line);
        assert!(printed.starts_with("1\n") && printed.ends_with("is detached from net\n0\n"), "{printed}");
        assert!(printed.contains("no result of an ADD") && printed.contains("an ADD was begun"), "{printed}");
        assert!(!machine.printed("ip -n blue -json link").contains("eth0"));
        assert_eq!(machine.files(CACHE), [format!("{CACHE}/lock")]);
    });
}

/// No directory has a plugin there: hardway's own are run.
const NOWHERE: &str = "/nowhere";

/// Everything that our plugins leave by nftables, as text.
fn tables(machine: &Machine) -> String {
    machine.printed("nft list ruleset")
}

/// The life of an attachment by all of our own plugins that can be chained.
#[test]
fn our_own_plugins_come_and_go() {
    on_a_machine("our_own_plugins_come_and_go", |machine| {
        let chained = json!([
            bridge(),
            { "type": "portmap", "capabilities": { "portMappings": true } },
            { "type": "firewall" },
            { "type": "tuning", "sysctl": { "net.core.somaxconn": "500" }, "mac": "02:00:00:00:00:77", "mtu": 1400 },
            { "type": "bandwidth", "capabilities": { "bandwidth": true } },
        ]);
        machine.network("net", "1.1.0", &chained);
        machine.printed("ip netns add blue && ip netns add red");
        let (well, cni) = (|text: &str| machine.well_of(NOWHERE, text), |text: &str| machine.cni_of(NOWHERE, text));
        assert_eq!(well("status --net net")["asked"], true);
        let rates = r#"'bandwidth={"ingressRate":800000000,"ingressBurst":8000000,"egressRate":80000000,"egressBurst":800000}'"#;
        let ports = r#"'portMappings=[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]'"#;
        let added =
            well(&format!("add --net net --id c1 --netns /run/netns/blue --capability {ports} --capability {rates}"));
        let result = &added["result"];
        let container = &result["interfaces"][2];
        assert_eq!((&container["mac"], &container["mtu"]), (&json!("02:00:00:00:00:77"), &json!(1400)), "{result:#}");
        assert!(added["exchanges"][0]["plugin"].as_str().unwrap().contains("own bridge"), "{added:#}");
        let address = result["ips"][0]["address"].as_str().unwrap().trim_end_matches("/24").to_owned();
        let gateway = result["ips"][0]["gateway"].as_str().unwrap().to_owned();
        well("add --net net --id c2 --netns /run/netns/red");
        // Both links have the hardware address that tuning gives: they are on one bridge.
        machine.printed("ip -n red link set eth0 address 02:00:00:00:00:78");
        traffic_flows(machine, &address, &gateway);
        let host = result["interfaces"][1]["name"].as_str().unwrap();
        assert!(machine.printed(&format!("tc qdisc show dev {host}")).contains("tbf"));
        assert!(machine.printed(&format!("tc filter show dev {host} parent ffff:")).contains("mirred"));
        assert_eq!(machine.printed("ip netns exec blue cat /proc/sys/net/core/somaxconn").trim(), "500");
        assert_eq!(machine.links().iter().filter(|name| name.starts_with("bwp")).count(), 1);

        well("check --net net --id c1");
        for (broken, repaired) in [
            (
                "ip -n blue address flush dev eth0 scope global".to_owned(),
                format!("ip -n blue address add {address}/24 dev eth0"),
            ),
            ("ip -n blue route delete default".to_owned(), format!("ip -n blue route replace default via {gateway}")),
            (format!("ip link set {host} nomaster"), format!("ip link set {host} master cni-test")),
            ("ip -n blue link set eth0 mtu 1300".to_owned(), "ip -n blue link set eth0 mtu 1400".to_owned()),
        ] {
            machine.printed(&broken);
            let (status, object, _) = cni("check --net net --id c1");
            assert_eq!((status, &object["error"]["code"]), (1, &json!(999)), "{broken}: {object:#}");
            machine.printed(&format!("{repaired}; ip -n blue route replace default via {gateway}"));
            well("check --net net --id c1");
        }
        let all = tables(machine);
        assert!(all.contains("dport 8080") && all.contains("masquerade"), "{all}");
        machine.printed("nft flush ruleset");
        assert_eq!(cni("check --net net --id c1").0, 1, "rules that are gone are missed");

        well("del --net net --id c1");
        well("del --net net --id c1");
        assert!(!machine.printed("ip -n blue -json link").contains("eth0"));
        machine.printed("ip netns del red && ip netns del blue");
        well("del --net net --id c2");
        well("del --net net --id c2");
        eventually(ANSWER, || {
            let links = machine.links();
            if links == ["cni-test", "lo"].map(str::to_owned).into() { Ok(()) } else { Err(format!("{links:?}")) }
        });
        assert_eq!((tables(machine).as_str(), machine.files(CACHE)), ("", vec![format!("{CACHE}/lock")]));
        assert!(machine.files(LEASES).iter().all(|path| !path.contains("/10.77.0.")));
    });
}

/// Two networks that both have a default route: the first one's stays, and CHECK of the second knows.
#[test]
fn the_first_networks_default_route_stays() {
    on_a_machine("the_first_networks_default_route_stays", |machine| {
        let mut other = bridge();
        other["bridge"] = json!("cni-other");
        other["ipam"]["subnet"] = json!("10.78.0.0/24");
        machine.network("net", "1.0.0", &json!([bridge()]));
        machine.network("other", "1.0.0", &json!([other]));
        machine.printed("ip netns add blue");
        let second = "--net other --id c1 --ifname eth1";
        machine.well_of(NOWHERE, "add --net net --id c1 --netns /run/netns/blue");
        machine.well_of(NOWHERE, &format!("add {second} --netns /run/netns/blue"));
        let default = || machine.printed("ip -n blue route show default");
        assert_eq!(default().trim(), "default via 10.77.0.1 dev eth0");
        machine.well_of(NOWHERE, &format!("check {second}"));
        machine.printed("ip -n blue route delete default");
        assert_eq!(machine.cni_of(NOWHERE, &format!("check {second}")).0, 1);
        machine.well_of(NOWHERE, &format!("del {second}"));
        machine.well_of(NOWHERE, "del --net net --id c1");
    });
}

/// A namespace that lives on when the path to it is gone: DEL takes the cable away from here, and no other link.
#[test]
fn a_cable_goes_before_its_namespace() {
    on_a_machine("a_cable_goes_before_its_namespace", |machine| {
        machine.network("net", "1.0.0", &json!([bridge()]));
        machine.printed("ip netns add blue && ip netns add red");
        let added = machine.well_of(NOWHERE, "add --net net --id c1 --netns /run/netns/blue");
        machine.well_of(NOWHERE, "add --net net --id c2 --netns /run/netns/red");
        let own = added["result"]["interfaces"][1]["name"].as_str().unwrap();
        machine.printed(&format!(
            "touch /run/held && mount --bind /run/netns/blue /run/held && ip netns del blue && ip link show {own}"
        ));
        machine.well_of(NOWHERE, "del --net net --id c1");
        let left = machine.links();
        assert!(!left.contains(own) && left.len() == 3, "{left:?}");
        // One that has taken the name meanwhile is another one.
        let added = machine.well_of(NOWHERE, "add --net net --id c1 --netns /run/netns/red --ifname eth1");
        let own = added["result"]["interfaces"][1]["name"].as_str().unwrap();
        machine.printed(&format!("ip link del {own}; ip netns del red; ip link add {own} type veth peer name other"));
        machine.well_of(NOWHERE, "del --net net --id c1 --ifname eth1");
        assert!(machine.links().contains(own));
    });
}

/// What is left of containers that nobody has deleted goes with GC, and what is valid stays.
#[test]
fn our_own_plugins_collect_garbage() {
    on_a_machine("our_own_plugins_collect_garbage", |machine| {
        let portmap = json!({ "type": "portmap", "capabilities": { "portMappings": true } });
        machine.network("net", "1.1.0", &json!([bridge(), portmap]));
        machine.network("other", "1.1.0", &json!([bridge()]));
        machine.printed("ip netns add blue && ip netns add red && ip netns add green");
        let well = |text: &str| machine.well_of(NOWHERE, text);
        let ports = |port: u16| {
            format!(r#"--capability 'portMappings=[{{"hostPort":{port},"containerPort":80,"protocol":"tcp"}}]'"#)
        };
        well(&format!("add --net net --id c1 --netns /run/netns/blue {}", ports(8081)));
        well(&format!("add --net net --id c2 --netns /run/netns/red {}", ports(8082)));
        well("add --net other --id c3 --netns /run/netns/green");
        // Whatever the runtime knew is lost.
        machine.printed("rm -rf /var/lib/hardway && ip netns del red");
        assert_eq!(well("gc --net net --valid c1:eth0")["asked"], true);
        let left = tables(machine);
        assert!(left.contains("8081") && !left.contains("8082"), "{left}");
        assert_eq!(left.matches("masquerade").count(), 2 + 2, "c1 and c3 stay as they were: {left}");
        assert_eq!(machine.files(LEASES).iter().filter(|path| path.contains("/10.77.0.")).count(), 2);
        well("gc --net net --none-valid");
        well("gc --net other --none-valid");
        assert_eq!(tables(machine), "");
    });
}

/// Fifty containers at once get fifty addresses, and nothing of them stays.
#[test]
fn fifty_at_once_with_our_own_plugins() {
    on_a_machine("fifty_at_once_with_our_own_plugins", |machine| {
        let portmap = json!({ "type": "portmap", "capabilities": { "portMappings": true } });
        machine.network("net", "1.1.0", &json!([bridge(), portmap]));
        let hardway = format!(
            "{} cni \"$@\" --net net --conf-dir {} --path {NOWHERE} --timeout 120",
            machine.world.binary.display(),
            machine.world.path().join("conf").display()
        );
        let line = format!(
            "hw() {{ {hardway}; }}; all=$(seq 50); for i in $all; do ip netns add n$i; done
             for i in $all; do hw add --id c$i --netns /run/netns/n$i >/run/out$i & done; wait
             for i in $all; do hw check --id c$i >/dev/null || exit 1; done
             ls /var/lib/cni/networks/net | grep -c '^10\\.'; nft list tables | wc -l
             for i in $all; do hw del --id c$i >/dev/null & done; wait
             ls /var/lib/cni/networks/net | grep -c '^10\\.'; nft list tables | wc -l"
        );
        assert_eq!(machine.printed(&line), "50\n50\n0\n0\n");
        assert_eq!(machine.files(CACHE), [format!("{CACHE}/lock")]);
        eventually(Duration::from_secs(10), || {
            let links = machine.links();
            if links.len() == 2 { Ok(()) } else { Err(format!("{links:?}")) }
        });
    });
}

/// A plugin without any runner: variables, standard input, and what comes back.
fn exchange(machine: &Machine, plugin: &str, command: &str, netns: &str, config: &Value) -> (i32, Value) {
    let line = format!(
        "CNI_COMMAND={command} CNI_CONTAINERID=c1 CNI_IFNAME=eth0 CNI_NETNS=/run/netns/{netns} CNI_PATH=${{plugin%/*}} \
         PATH={}/bin:$PATH $plugin",
        machine.world.path().display()
    );
    let output = machine.sh(&format!("plugin={plugin}; echo '{config}' | {line}"));
    let value = serde_json::from_str(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap(), value)
}

/// Results of ours are those of the reference, field by field, but for what is made up: hardware addresses and names of links.
#[test]
fn results_are_those_of_the_reference() {
    on_a_machine("results_are_those_of_the_reference", |machine| {
        machine.printed(&format!("{} cni install /run/own", machine.world.binary.display()));
        let local =
            |ranges: Value| json!({ "type": "host-local", "ranges": ranges, "routes": [{ "dst": "0.0.0.0/0" }] });
        let both =
            local(json!([[{ "subnet": "10.77.0.0/24" }], [{ "subnet": "fd77::/64", "rangeStart": "fd77::10" }]]));
        let fixed = json!({ "type": "static", "addresses": [{ "address": "10.77.9.5/24", "gateway": "10.77.9.1" }],
            "routes": [{ "dst": "10.5.0.0/16", "gw": "10.77.9.7" }] });
        // The reference's bridge 1.1.1 forgets what the plugin for addresses says of DNS.
        let mut named = fixed.clone();
        named["dns"] = json!({ "nameservers": ["192.0.2.1"] });
        let configs = [
            ("loopback", json!({})),
            ("host-local", json!({ "ipam": both })),
            ("static", json!({ "ipam": named })),
            ("bridge", json!({ "bridge": "one", "isGateway": true, "ipMasq": true, "ipam": both })),
            (
                "bridge",
                json!({ "bridge": "two", "isDefaultGateway": true, "mtu": 1400, "ipam": { "type": "host-local", "subnet": "10.78.0.0/24" } }),
            ),
            ("bridge", json!({ "bridge": "three", "ipam": fixed })),
            ("bridge", json!({ "bridge": "four", "runtimeConfig": { "mac": "02:00:00:00:00:09" } })),
            ("ptp", json!({ "ipMasq": true, "ipam": local(json!([[{ "subnet": "10.79.0.0/24" }]])) })),
        ];
        for version in ["0.3.1", "0.4.0", "1.0.0"] {
            for (number, (plugin, config)) in configs.iter().enumerate() {
                let mut config = config.clone();
                config["type"] = json!(plugin);
                config["cniVersion"] = json!(version);
                let seen = ["/run/own", PLUGINS].map(|directory| {
                    let program = format!("{directory}/{plugin}");
                    config["name"] = json!(format!("net{number}-{}-{version}", directory.len()));
                    machine.printed("ip netns add blue");
                    let (status, mut result) = exchange(machine, &program, "ADD", "blue", &config);
                    assert_eq!(status, 0, "{program} {config}: {result}");
                    let inside = machine.printed("ip -n blue -o route show; ip -n blue -o -6 route show | grep -v fe80; ip -n blue -o -4 address");
                    let mut with = config.clone();
                    with["prevResult"] = result.clone();
                    // The reference's bridge 1.1.1 does not find its own bridge again where there are no addresses.
                    let can = directory != PLUGINS || *plugin != "bridge" || config["ipam"].is_object();
                    if version != "0.3.1" && can {
                        assert_eq!(exchange(machine, &program, "CHECK", "blue", &with).0, 0, "{program} {with}");
                    }
                    for _ in 0..2 {
                        assert_eq!(exchange(machine, &program, "DEL", "blue", &with).0, 0, "{program} {with}");
                    }
                    machine.printed("ip netns del blue");
                    for bridge in ["one", "two", "three", "four"] {
                        machine.sh(&format!("ip link del {bridge}"));
                    }
                    // The reference's loopback leaves the family out before 1.0.0.
                    let ips = result["ips"].as_array_mut().into_iter().flatten().filter(|_| *plugin == "loopback");
                    ips.for_each(|ip| drop(ip.as_object_mut().unwrap().remove("version")));
                    (alike(result), inside.replace(" noprefixroute", ""))
                });
                assert_eq!(seen[0], seen[1], "{plugin} {config}");
            }
        }
    });
}

/// A result without what is made up anew each time.
fn alike(mut result: Value) -> Value {
    // Nothing, and an object with nothing in it, are the same.
    if result["dns"] == json!({}) || result["dns"].is_null() {
        result.as_object_mut().unwrap().remove("dns");
    }
    for interface in result["interfaces"].as_array_mut().into_iter().flatten() {
        let mac = interface["mac"].as_str().unwrap_or_default();
        assert_eq!(mac.len(), 17);
        if !mac.starts_with("02:00:00") {
            interface["mac"] = json!("any");
        }
        if interface["name"].as_str().unwrap().starts_with("veth") {
            assert_eq!(interface["name"].as_str().unwrap().len(), 12);
            interface["name"] = json!("veth");
        }
    }
    result
}

/// What the specification asks of a plugin, by a shell alone.
#[test]
fn the_contract_holds_without_our_runner() {
    on_a_machine("the_contract_holds_without_our_runner", |machine| {
        machine.printed(&format!("{} cni install /run/own && ip netns add blue", machine.world.binary.display()));
        let script = r#"
            export CNI_PATH=/run/own CNI_CONTAINERID=c1 CNI_IFNAME=eth0 CNI_NETNS=/run/netns/blue
            conf='"name":"n","bridge":"br1","isGateway":true,"ipMasq":true,"ipam":{"type":"host-local","subnet":"10.9.0.0/29"}'
            new="{\"cniVersion\":\"1.1.0\",$conf}"
            run() { printf '%s' "$2" | CNI_COMMAND=$1 "${3:-/run/own/bridge}" >/run/answer 2>/run/said; status=$?; }
            code() { sed -n 's/^ *"code": \([0-9]*\),*$/\1/p' /run/answer; }
            is() { [ "$status $(code)" = "$1" ] || { echo "$2: $status $(cat /run/answer)"; exit 1; }; }
            run VERSION '{"cniVersion":"1.0.0"}'; is '0 ' version; grep -q '"supportedVersions":\[.*"1.1.0"\]' /run/answer || exit 2
            run STATUS "$new"; is '0 ' status; [ ! -s /run/answer ] || exit 3
            run ADD '{"cniVersion":"9.0.0","name":"n"}'; is '1 1' 'a version that is unknown'
            run ADD 'not JSON'; is '1 6' 'no JSON'
            (unset CNI_NETNS; run ADD "$new"; is '1 4' 'no namespace') || exit 4
            (CNI_IFNAME=a/b; run ADD "$new"; is '1 4' 'a name') || exit 5
            run WHAT "$new"; is '1 4' 'a command'
            run ADD "$new"; is '0 ' add; cp /run/answer /run/first
            run ADD "$new"; is '1 999' 'a second time'
            ip -n blue -o address show eth0 | grep -q 10.9.0.2/29 || exit 6
            with="{\"cniVersion\":\"1.1.0\",$conf,\"prevResult\":$(cat /run/first)}"
            run CHECK "$with"; is '0 ' check; [ ! -s /run/answer ] || exit 7
            run CHECK "$new"; is '1 7' 'no prevResult'
            for i in 3 4 5 6; do ip netns add n$i; (CNI_CONTAINERID=c$i; CNI_NETNS=/run/netns/n$i; run ADD "$new"; is '0 ' "c$i") || exit 8; done
            run STATUS "$new"; is '1 50' 'no address is free'
            ip netns add n7; (CNI_CONTAINERID=c7; CNI_NETNS=/run/netns/n7; run ADD "$new"; is '1 999' 'all are taken') || exit 9
            ip -n n7 link show eth0 2>/dev/null && exit 10
            run GC "{\"cniVersion\":\"1.1.0\",$conf,\"cni.dev/valid-attachments\":[{\"containerID\":\"c1\",\"ifname\":\"eth0\"}]}"; is '0 ' gc
            [ "$(ls /var/lib/cni/networks/n | grep -c '^10')" = 1 ] || exit 11
            ip netns del blue
            run DEL "$with"; is '0 ' del; run DEL "$new"; is '0 ' 'del again'
            [ "$(ls /var/lib/cni/networks/n | grep -c '^10')" = 0 ] || exit 12
            [ -z "$(nft list ruleset)" ] || { nft list ruleset; exit 13; }
            # A container with two networks: what comes from the second's address goes by the second.
            ip netns add two; CNI_NETNS=/run/netns/two
            run ADD "$new"; is '0 ' 'the first network'
            CNI_IFNAME=net1; other='{"cniVersion":"1.0.0","name":"o","bridge":"br2","isGateway":true,"ipam":{"type":"host-local","subnet":"10.8.0.0/24"}}'
            run ADD "$other"; is '0 ' 'the second network'
            sbr="{\"cniVersion\":\"1.0.0\",\"name\":\"o\",\"prevResult\":$(cat /run/answer)}"
            run ADD "$sbr" /run/own/sbr; is '0 ' sbr
            run CHECK "$sbr" /run/own/sbr; is '0 ' 'check of sbr'
            ip -n two route get 192.0.2.1 from 10.8.0.2 | grep -q 'via 10.8.0.1 dev net1 table 100' || { ip -n two rule; exit 14; }
            run DEL "$sbr" /run/own/sbr; is '0 ' 'del of sbr'; run DEL "$sbr" /run/own/sbr; is '0 ' 'del of sbr again'
            ip -n two rule | grep 10.8 && exit 15
            echo well"#;
        let path = machine.world.path().join("contract.sh");
        fs::write(&path, script).unwrap();
        assert_eq!(machine.printed(&format!("sh {}", path.display())), "well\n");
    });
}

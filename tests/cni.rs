//! `hardway cni` with the reference plugins of Debian, in network and mount namespaces of their own: plugins write rules and turn on
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
        for program in ["iptables", "iptables-save", "ip", "nsenter", "ruby"] {
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
        let conf = self.world.path().join("conf");
        // Plugins find no ip6tables: where there is one, the reference's portmap 1.1.1 looks at CHECK for the rules of IPv4 in its tables
        // too, and never finds them.
        let line = format!(
            "PATH={}/bin {} cni {arguments} --json --conf-dir {} --path {PLUGINS}",
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
        let (status, object, stderr) = self.cni(arguments);
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

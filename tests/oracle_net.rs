//! The network panel and the owners of namespaces, with ip, bridge, ss, lsns and nsenter inside the lab as independent oracles.

#[path = "support/labs.rs"]
mod labs;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hardway::agent::client::Lab;
use hardway::kernel::namespace::Namespace;
use hardway::probe::{Panel, Row, rows};
use labs::{actions, printed, sample};
use serde_json::Value;

fn main() -> ExitCode {
    labs::in_each_mode(
        "oracle_net",
        |_| Ok(()),
        &[
            ("rows_are_what_ip_prints", rows_are_what_ip_prints),
            ("owners_are_what_lsns_prints", owners_are_what_lsns_prints),
            ("nsenter_lands_where_setns_lands", nsenter_lands_where_setns_lands),
            ("links_move_and_go", links_move_and_go),
            ("many_links_are_read_quickly", many_links_are_read_quickly),
        ],
    )
}

fn perform(lab: &mut Lab, json: &str) {
    labs::perform(lab, &actions(json));
}

/// The errno with which one action fails.
fn refused(lab: &mut Lab, action: &str) -> String {
    let performed = lab.perform(&actions(&format!("[{action}]"))).expect("performed").remove(0);
    performed.result.expect_err(action).errno.name()
}

/// A box with a network of its own, linked to the host by veth pair and bridge; names that are hard to bear; and a namespace
/// that only a mount holds.
fn build(lab: &mut Lab) {
    perform(
        lab,
        r#"[{"box":{}}, {"unshare":{"in":"box","namespaces":["net"]}}, {"link_up":{"in":"box","link":"lo"}},
            {"add_address":{"in":"box","link":"lo","address":"10.77.0.1/32"}},
            {"add_veth":{"in":"host","link":"v0","peer":"eth0"}}, {"move_link":{"in":"host","link":"eth0","to":"box"}},
            {"listen":{"in":"box","at":"127.0.0.1:8080"}}, {"listen":{"in":"box","at":"[::]:8081"}},
            {"connect":{"in":"box","to":"127.0.0.1:8080"}}, {"connect":{"in":"box","to":"10.77.0.1:8081"}},
            {"box":{"name":"other"}}, {"unshare":{"in":"other","namespaces":["net"]}},
            {"pin":{"in":"other","kind":"net","at":"/run/netns/a b"}},
            {"kill":{"who":"other","from":"host","signal":"KILL"}}]"#,
    );
    let (_, names) = sample(lab);
    let pid = names.boxes["box"];
    printed(
        lab,
        &format!(
            "ip link add br0 type bridge && ip link set br0 up && ip address add 10.9.0.1/24 dev br0 &&
             ip link set v0 master br0 up && ip link set v0 type bridge_slave hairpin on &&
             echo 1 > /proc/sys/net/ipv4/ip_forward && echo 1 > /proc/sys/net/ipv6/conf/all/forwarding &&
             echo 1 > /proc/sys/net/ipv4/conf/br0/route_localnet &&
             ip link add \"$(printf 'w\\033\\342\\200\\256x')\" type bridge && ip route add unreachable 10.99.0.0/16 &&
             ip route add 10.98.0.0/16 via 10.9.0.2 metric 7 && ip route add 10.98.0.0/16 via 10.9.0.3 metric 8 &&
             ip route add 10.97.0.0/16 dev br0 table 77 && ip neighbour add 10.9.0.77 lladdr 02:00:00:00:00:77 dev br0 &&
             ip neighbour add fd00:9::77 lladdr 02:00:00:00:00:78 dev br0 && ip neighbour add 10.9.0.76 dev br0 nud failed &&
             bridge fdb add 02:00:00:00:00:77 dev v0 master static && bridge fdb add 02:00:00:00:00:79 dev v0 master local &&
             nsenter --target {pid} --net sh -c 'ip address add 10.9.0.2/24 dev eth0 && ip link set eth0 up mtu 1400 &&
                ip route add default via 10.9.0.1 && ip address add fd00:9::2/64 dev eth0 nodad' &&
             ping -q -c 1 10.9.0.2"
        ),
    );
}

fn rows_are_what_ip_prints(lab: &mut Lab) {
    build(lab);
    // Addresses are made by and by, and the state of a veth settles: until both agree.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (observation, names) = sample(lab);
        let rows = rows(&observation, &names);
        let pid = names.boxes["box"];
        let places = [
            ("host (pid 1)", String::new()),
            ("box ", format!("nsenter --target {pid} --net ")),
            ("a b, net:[", "nsenter --net='/run/netns/a b' ".to_owned()),
        ];
        let mut faults = Vec::new();
        for (subject, enter) in &places {
            let told: BTreeMap<String, String> = rows
                .iter()
                .filter(|row| row.panel == Panel::Network && row.subject.starts_with(subject))
                .map(|row| (row.key.clone(), row.value.clone()))
                .collect();
            let expected = expected(lab, enter);
            if told != expected {
                faults.push(format!("{subject}: told {told:#?}\nexpected {expected:#?}"));
            }
        }
        if faults.is_empty() {
            return commands_work(lab, &rows);
        }
        assert!(Instant::now() < deadline, "{}", faults.join("\n"));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Every command of the panel prints something that the row's value is about.
fn commands_work(lab: &mut Lab, rows: &[Row]) {
    let mut seen = 0;
    for row in rows.iter().filter(|row| row.panel == Panel::Network && row.subject != "shell") {
        // The name with control characters is escaped in the row, and has to be typed in another way.
        if row.key.contains('\\') {
            continue;
        }
        let text = printed(lab, &row.command);
        let kinds = ["local", "to", "unreachable", "tcp", "neighbour", "fdb"];
        let first = row.key.split([' ', '/']).find(|word| !kinds.contains(word));
        if row.value != "none" && row.key != "pinned" {
            let word = first.expect("a word").trim_end_matches(":8080").trim_end_matches(":8081");
            let word = word.trim_matches(['[', ']']);
            assert!(word == "::" || text.contains(word), "{} {}: {text}", row.command, row.key);
        }
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

fn json(lab: &mut Lab, line: &str) -> Vec<Value> {
    // ip does not escape control characters in names, and so prints what is no JSON.
    let text = printed(lab, line).replace('\x1b', "\\u001b");
    if text.trim().is_empty() { Vec::new() } else { serde_json::from_str(&text).expect("json") }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The rows that ip and ss lead one to expect.
fn expected(lab: &mut Lab, enter: &str) -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    let links = json(lab, &format!("{enter}ip -json -details link"));
    for link in &links {
        let flags: Vec<String> = link["flags"].as_array().expect("flags").iter().map(text).collect();
        let up = if flags.iter().any(|flag| flag == "UP") { "UP" } else { "DOWN" };
        let kind = link["linkinfo"]["info_kind"].as_str().or(link["link_type"].as_str()).expect("a kind");
        let flags = flags.iter().filter(|flag| *flag != "NO-CARRIER").cloned().collect::<Vec<_>>().join(",");
        let state = text(&link["operstate"]);
        let mut told = format!("<{flags}> state {state}");
        let address = text(&link["address"]);
        if address.chars().any(|c| !"0:".contains(c)) {
            told.push_str(&format!(" {address}"));
        }
        let name = escaped(&text(&link["ifname"]));
        rows.insert(format!("{name} flags"), told);
        let mut value = format!("{up} {kind} mtu {}", link["mtu"]);
        if let Some(master) = link["master"].as_str() {
            value.push_str(&format!(" master {master}"));
        }
        if link["linkinfo"]["info_slave_data"]["hairpin"] == true {
            value.push_str(" hairpin");
        }
        if let (Some(peer), Some(namespace)) = (link["link_index"].as_u64(), link["link_netnsid"].as_i64()) {
            value.push_str(&format!(" peer if{peer} in netnsid {namespace}"));
        }
        rows.insert(name, value);
    }
    let mut addresses = 0;
    for link in json(lab, &format!("{enter}ip -json address")) {
        for address in link["addr_info"].as_array().expect("addresses") {
            let key = format!("{} {}/{}", text(&link["ifname"]), text(&address["local"]), address["prefixlen"]);
            rows.insert(escaped(&key), format!("scope {}", text(&address["scope"])));
            addresses += 1;
        }
    }
    let mut routes: BTreeMap<String, usize> = BTreeMap::new();
    for family in ["-4", "-6"] {
        for route in json(lab, &format!("{enter}ip {family} -json -details route show table all")) {
            let kind = route["type"].as_str().unwrap_or("unicast").to_owned();
            if ["broadcast", "multicast", "anycast"].contains(&kind.as_str()) {
                continue;
            }
            // Those to what the kernel makes by itself come a while later, and are left out.
            if route["table"] == "local" && route["dst"].as_str().is_some_and(|to| to.starts_with("fe80:")) {
                continue;
            }
            let to = match route["dst"].as_str().expect("a destination") {
                "default" if family == "-6" => "default (IPv6)",
                to => to,
            };
            let mut words = Vec::new();
            words.extend(route["gateway"].as_str().map(|via| format!("via {via}")));
            words.extend(route["dev"].as_str().map(|dev| format!("dev {dev}")));
            words.extend(route["prefsrc"].as_str().map(|source| format!("src {source}")));
            words.push(format!("proto {}", text(&route["protocol"])));
            words.extend(route["metric"].as_u64().filter(|it| *it != 0).map(|metric| format!("metric {metric}")));
            words.extend(route["table"].as_str().filter(|it| *it != "main").map(|table| format!("table {table}")));
            let key = if kind == "unicast" { format!("to {to}") } else { format!("{kind} {to}") };
            let count = routes.entry(key.clone()).or_default();
            *count += 1;
            let key = if *count == 1 { key } else { format!("{key} #{count}") };
            rows.insert(key, escaped(&words.join(" ")));
        }
    }
    if addresses == 0 {
        rows.insert("addresses".to_owned(), "none".to_owned());
    }
    if routes.is_empty() {
        rows.insert("routes".to_owned(), "none".to_owned());
    }
    on_links(lab, enter, &links, &mut rows);
    let mut ports = BTreeSet::new();
    for line in printed(lab, &format!("{enter}ss --no-header --listening --tcp --numeric")).lines() {
        let at = line.split_whitespace().nth(3).expect("an address").replace('*', "[::]");
        ports.extend(at.rsplit(':').next().map(str::to_owned));
        rows.insert(format!("tcp {at}"), "LISTEN".to_owned());
    }
    for line in printed(lab, &format!("{enter}ss --no-header --tcp --numeric")).lines() {
        let words: Vec<String> =
            line.split_whitespace().map(|word| word.replace("[::ffff:", "").replace("]:", ":")).collect();
        let ((_, port), (peer, _)) =
            (words[3].rsplit_once(':').expect("a port"), words[4].rsplit_once(':').expect("a port"));
        if ports.contains(port) {
            rows.insert(format!("tcp {} from {peer}", words[3]), words[0].clone());
        }
    }
    let sides = links.iter().filter(|link| link["link_type"] != "loopback" && link["master"].is_null()).count();
    let names = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.br0.route_localnet"];
    for name in names.into_iter().filter(|_| links.len() > 1) {
        let file = format!("/proc/sys/{}", name.replace('.', "/"));
        let value = printed(lab, &format!("{enter}cat {file} 2>/dev/null || echo 0"));
        if value.trim() != "0" || (sides > 1 && name == "net.ipv4.ip_forward") {
            rows.insert(name.to_owned(), value.trim().to_owned());
        }
    }
    let pins = printed(lab, "findmnt --noheadings --types nsfs --output TARGET || true");
    if enter.contains("/run/netns") {
        rows.insert("pinned".to_owned(), pins.trim().to_owned());
    }
    rows
}

/// Neighbours, and what bridges have learned: those rows that are not about what makes itself known with every port.
fn on_links(lab: &mut Lab, enter: &str, links: &[Value], rows: &mut BTreeMap<String, String>) {
    for neighbour in json(lab, &format!("{enter}ip -json neighbour")) {
        let state = neighbour["state"].as_array().expect("a state").iter().map(text).collect::<String>();
        let mac = neighbour["lladdr"].as_str().map(|mac| format!("lladdr {mac} ")).unwrap_or_default();
        let key = format!("neighbour {} dev {}", text(&neighbour["dst"]), text(&neighbour["dev"]));
        rows.insert(escaped(&key), format!("{mac}{state}"));
    }
    if links.iter().all(|link| link["master"].is_null()) {
        return;
    }
    let mut learned = 0;
    for entry in json(lab, &format!("{enter}bridge -json fdb show br br0")) {
        let how = match entry["state"].as_str().expect("a state") {
            "permanent" => continue,
            "static" => "static",
            _ => "learned",
        };
        learned += usize::from(how == "learned");
        rows.insert(format!("fdb br0 {}", text(&entry["mac"])), format!("dev {} {how}", text(&entry["ifname"])));
    }
    assert!(learned > 0, "the bridge has seen a frame of the box");
}

/// As rows escape what would act on a terminal: of such characters the names here have an escape and a mark that turns the
/// direction of writing.
fn escaped(text: &str) -> String {
    text.replace('\x1b', "\\u{1b}").replace('\u{202e}', "\\u{202e}")
}

/// A pair made in a box, one end of which goes to the lab host, and from there to another box; what the kernel refuses; and that with
/// one end the other goes.
fn links_move_and_go(lab: &mut Lab) {
    perform(
        lab,
        r#"[{"box":{"name":"left"}}, {"unshare":{"in":"left","namespaces":["net"]}},
            {"add_veth":{"in":"left","link":"eth0","peer":"cable"}},
            {"box":{"name":"right"}}, {"unshare":{"in":"right","namespaces":["net"]}}]"#,
    );
    let (_, names) = sample(lab);
    let [left, right] = ["left", "right"].map(|name| names.boxes[name]);
    let links = |lab: &mut Lab, enter: &str| -> Vec<String> {
        json(lab, &format!("{enter}ip -json link")).iter().map(|link| text(&link["ifname"])).collect()
    };
    let [at_left, at_right] = [left, right].map(|pid| format!("nsenter --target {pid} --net "));
    assert_eq!(links(lab, &at_left), ["lo", "cable", "eth0"]);
    let again = r#"{"add_veth":{"in":"left","link":"eth0","peer":"other"}}"#;
    assert_eq!(refused(lab, again), "EEXIST");
    perform(lab, r#"[{"move_link":{"in":"left","link":"cable","to":"host"}}]"#);
    assert!(links(lab, "").contains(&"cable".to_owned()));
    assert_eq!(refused(lab, r#"{"move_link":{"in":"left","link":"cable","to":"host"}}"#), "ENODEV");
    perform(lab, r#"[{"move_link":{"in":"host","link":"cable","to":"right"}}]"#);
    assert!(!links(lab, "").contains(&"cable".to_owned()));
    assert_eq!(links(lab, &at_right), ["lo", "cable"]);
    perform(lab, r#"[{"add_veth":{"in":"host","link":"cable","peer":"v9"}}]"#);
    assert_eq!(refused(lab, r#"{"move_link":{"in":"host","link":"cable","to":"right"}}"#), "EEXIST");
    assert_eq!(refused(lab, r#"{"move_link":{"in":"left","link":"lo","to":"right"}}"#), "EINVAL");
    assert_eq!(refused(lab, r#"{"delete_link":{"in":"left","link":"lo"}}"#), "EOPNOTSUPP");
    perform(lab, r#"[{"delete_link":{"in":"host","link":"v9"}}, {"delete_link":{"in":"left","link":"eth0"}}]"#);
    assert_eq!(links(lab, &at_left), ["lo"]);
    assert_eq!(links(lab, &at_right), ["lo"]);
}

fn owners_are_what_lsns_prints(lab: &mut Lab) {
    perform(lab, r#"[{"box":{"name":"nested"}}, {"unshare":{"in":"nested","namespaces":["user","uts","net"]}}]"#);
    let (observation, names) = sample(lab);
    let rows = rows(&observation, &names);
    let mut seen = 0;
    for row in rows.iter().filter(|row| row.panel == Panel::Namespaces) {
        let about = row.key.split_once(" of ").filter(|(what, _)| ["owner", "parent", "creator"].contains(what));
        if about.is_none() {
            continue;
        }
        let text = printed(lab, &row.command);
        // What lsns can not ask for it prints as 0.
        let value = if row.value.starts_with("none: EPERM") { "0" } else { &row.value };
        assert_eq!(text.trim(), value, "{} {}: {}", row.subject, row.key, row.command);
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
    let (process, host) =
        (observation.process(names.boxes["nested"]).expect("nested"), observation.process(1).expect("1"));
    let inode = |process: &hardway::probe::Process, kind| process.namespaces.inode(kind).expect("an inode");
    let value = |key: &str| {
        let row = rows.iter().find(|row| row.subject.starts_with("nested ") && row.key == key);
        row.unwrap_or_else(|| panic!("no {key}")).value.clone()
    };
    assert_eq!(value("owner of uts"), inode(process, Namespace::User).to_string());
    assert_eq!(value("owner of ipc"), inode(host, Namespace::User).to_string());
    assert_eq!(value("parent of user"), inode(host, Namespace::User).to_string());
    // Its maps are empty, so that it is the lab's affair to leave it again.
    perform(lab, r#"[{"kill":{"who":"nested","from":"host","signal":"KILL"}}]"#);
}

fn nsenter_lands_where_setns_lands(lab: &mut Lab) {
    perform(
        lab,
        r#"[{"box":{"name":"by-file"}}, {"setns":{"in":"by-file","namespaces":["net"],"at":"/run/netns/a b"}},
            {"box":{"name":"by-pid"}}, {"setns":{"in":"by-pid","namespaces":["net","uts"],"of":"box"}}]"#,
    );
    let (observation, names) = sample(lab);
    let net = |name: &str| {
        let process = observation.process(names.boxes[name]).expect("a box");
        format!("net:[{}]", process.namespaces.inode(Namespace::Net).expect("an inode"))
    };
    let by_file = printed(lab, "nsenter --net='/run/netns/a b' readlink /proc/self/ns/net");
    assert_eq!(by_file.trim(), net("by-file"));
    let pid = names.boxes["box"];
    let by_pid = printed(lab, &format!("nsenter --target {pid} --net readlink /proc/self/ns/net"));
    assert_eq!(by_pid.trim(), net("by-pid"));
    assert_ne!(net("by-pid"), net("by-file"));
    // The last references: after these nothing of the pinned namespace is left.
    perform(
        lab,
        r#"[{"unpin":{"in":"host","at":"/run/netns/a b"}}, {"kill":{"who":"by-file","from":"host","signal":"KILL"}}]"#,
    );
    let (observation, _) = sample(lab);
    assert!(observation.pins.is_empty() && observation.networks.len() == 2, "{:?}", observation.pins);
}

/// Two hundred links, and ten namespaces, do not make a sample slow.
fn many_links_are_read_quickly(lab: &mut Lab) {
    for number in 0..10 {
        let name = format!("n{number}");
        perform(
            lab,
            &format!(r#"[{{"box":{{"name":"{name}"}}}}, {{"unshare":{{"in":"{name}","namespaces":["net"]}}}}]"#),
        );
    }
    let best = |lab: &mut Lab| {
        let time = |lab: &mut Lab| {
            let start = Instant::now();
            sample(lab);
            start.elapsed()
        };
        (0..10).map(|_| time(lab)).min().expect("a time")
    };
    let few = best(lab);
    printed(lab, "for i in $(seq 200); do echo link add x$i group 9 type bridge; done | ip -batch -");
    let many = best(lab);
    let (observation, _) = sample(lab);
    // Together: one by one, at the end of the namespace, they keep the kernel's lock on all networks for seconds.
    printed(lab, "ip link delete group 9");
    let most = observation.networks.values().filter_map(|it| it.value()).map(|it| it.links.len()).max();
    assert!(most > Some(200), "{most:?}");
    println!("a sample of all panels with 12 networks: {few:?}; with 200 links more: {many:?}");
    assert!(many < Duration::from_millis(250), "{many:?}");
}

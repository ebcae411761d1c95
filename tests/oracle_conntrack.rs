//! Connections that the kernel keeps track of, with conntrack inside the lab as an independent oracle.

#[path = "support/labs.rs"]
mod labs;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hardway::agent::client::Lab;
use hardway::kernel::conntrack::Conntrack;
use hardway::kernel::host::Person;
use hardway::kernel::namespace::Namespace;
use hardway::probe::{Row, diff, rows};
use labs::{actions, perform, printed, run, sample};

fn main() -> ExitCode {
    let ready = |lab: &mut Lab| match run(lab, "nft list ruleset && conntrack -L") {
        (Some(0), _) => Ok(()),
        (_, said) => Err(format!("nft and conntrack can not be asked here: {said}")),
    };
    labs::in_each_mode(
        "oracle_conntrack",
        ready,
        &[
            ("nothing_is_asked_where_nothing_is_tracked", nothing_is_asked_where_nothing_is_tracked),
            ("rows_are_what_conntrack_lists", rows_are_what_conntrack_lists),
            ("who_may_not_know_is_told_so", who_may_not_know_is_told_so),
            ("of_many_some_are_shown", of_many_some_are_shown),
        ],
    )
}

/// The connections of the lab host as the probe has them.
fn conntrack(lab: &mut Lab) -> Conntrack {
    let (observation, names) = sample(lab);
    let net = observation.process(names.host).expect("the host").namespaces.inode(Namespace::Net).expect("an inode");
    let network = observation.networks[&net].value().expect("a network");
    network.conntrack.value().unwrap_or_else(|| panic!("{:?}", network.conntrack)).clone()
}

fn of_conntrack(rows: Vec<Row>, subject: &str) -> Vec<Row> {
    let wanted = |row: &Row| row.source.starts_with("IPCTNL_MSG_CT_GET") && row.subject.starts_with(subject);
    rows.into_iter().filter(wanted).collect()
}

fn nothing_is_asked_where_nothing_is_tracked(lab: &mut Lab) {
    printed(lab, "ip link set lo up && ping -q -c 1 127.0.0.1");
    assert_eq!(conntrack(lab), Conntrack::default(), "no rule needs to know connections");
}

/// A line of `conntrack -L` without what counts down or is for others: the number of the protocol, the timeout, mark and use.
fn words_of(line: &str) -> String {
    let mut words = line.split_whitespace();
    let protocol = words.next().expect("a protocol");
    let number = words.next().expect("its number");
    let protocol = if protocol == "unknown" { format!("unknown {number}") } else { protocol.to_owned() };
    let of_others = |word: &str| ["mark=", "use=", "secctx=", "zone="].iter().any(|it| word.starts_with(it));
    let rest: Vec<&str> = words.skip(1).filter(|word| !of_others(word)).collect();
    format!("{protocol} {}", rest.join(" "))
}

/// What conntrack prints; its remark on how many that were goes elsewhere.
fn listed(lab: &mut Lab, command: &str) -> Vec<String> {
    let mut lines: Vec<String> = printed(lab, &format!("{command} 2>/dev/null")).lines().map(words_of).collect();
    lines.sort_unstable();
    lines
}

/// A box behind a bridge, whose packets get the lab host's address, and a port that leads to the box.
const BUILT: &str = r#"[
    {"box":{"name":"web"}}, {"unshare":{"in":"web","namespaces":["net"]}},
    {"box":{"name":"far"}}, {"unshare":{"in":"far","namespaces":["net"]}},
    {"nft_table":{"in":"host","table":"lab"}},
    {"nft_chain":{"in":"host","table":"lab","chain":"pre","type":"nat","hook":"prerouting","priority":"dstnat"}},
    {"nft_chain":{"in":"host","table":"lab","chain":"post","type":"nat","hook":"postrouting","priority":"srcnat"}},
    {"nft_rule":{"in":"host","table":"lab","chain":"pre","rule":"tcp dport 8080 dnat to 10.12.0.2:80"}},
    {"nft_rule":{"in":"host","table":"lab","chain":"post","rule":"ip saddr 10.12.0.0/24 oifname != \"br0\" masquerade"}},
    {"nft_table":{"in":"host","family":"ip6","table":"six"}},
    {"nft_chain":{"in":"host","family":"ip6","table":"six","chain":"in1","type":"filter","hook":"input","priority":0}},
    {"nft_rule":{"in":"host","family":"ip6","table":"six","chain":"in1","rule":"ct state established accept"}}
]"#;

fn rows_are_what_conntrack_lists(lab: &mut Lab) {
    perform(lab, &actions(BUILT));
    let (_, names) = sample(lab);
    let [web, far] = ["web", "far"].map(|name| names.boxes[name]);
    printed(
        lab,
        &format!(
            "ip link add br0 type bridge && ip link set br0 up && ip address add 10.12.0.1/24 dev br0 &&
             ip link add web0 type veth peer name eth0 netns {web} && ip link set web0 master br0 up &&
             ip link add wan type veth peer name eth0 netns {far} && ip link set wan up &&
             ip address add 192.0.2.2/24 dev wan && echo 1 > /proc/sys/net/ipv4/ip_forward &&
             nsenter --target {web} --net sh -c 'ip link set lo up && ip address add 10.12.0.2/24 dev eth0 &&
                ip link set eth0 up && ip route add default via 10.12.0.1' &&
             nsenter --target {far} --net sh -c 'ip link set lo up && ip address add 192.0.2.1/24 dev eth0 &&
                ip link set eth0 up' && ping -q -c 1 ::1"
        ),
    );
    perform(
        lab,
        &actions(
            r#"[{"listen":{"in":"web","at":"10.12.0.2:80"}}, {"listen":{"in":"far","at":"192.0.2.1:80"}},
                {"connect":{"in":"web","to":"192.0.2.1:80"}}, {"connect":{"in":"far","to":"192.0.2.2:8080"}}]"#,
        ),
    );
    // Of these, some are answered, and one has nobody who could.
    printed(
        lab,
        &format!(
            "ping -q -c 1 10.12.0.2 && {{ ping -q -c 1 -W 1 192.0.2.77 || true; }} &&
             nsenter --target {web} --net bash -c 'echo > /dev/udp/192.0.2.1/9'"
        ),
    );
    // States move on for a while: until both say the same.
    let deadline = Instant::now() + Duration::from_secs(10);
    let told = loop {
        let listed = listed(lab, "conntrack -L");
        let (observation, names) = sample(lab);
        let rows = of_conntrack(rows(&observation, &names), "host ");
        let line = |row: &Row| {
            let words: Vec<&str> = row.key.split(' ').skip(1).collect();
            let protocol = if words[0] == "unknown" { words[..2].join(" ") } else { words[0].to_owned() };
            format!("{protocol} {}", row.value)
        };
        let mut told: Vec<String> = rows.iter().map(line).collect();
        told.sort_unstable();
        if told == listed {
            break rows;
        }
        assert!(Instant::now() < deadline, "told {told:#?}\nlisted {listed:#?}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let of = |begin: &str| {
        let found: Vec<&Row> = told.iter().filter(|row| row.key.starts_with(begin)).collect();
        assert!(!found.is_empty(), "{begin}: {told:#?}");
        found[0].clone()
    };
    let out = of("conntrack tcp 10.12.0.2:");
    assert!(out.value.contains(" src=192.0.2.1 dst=192.0.2.2 sport=80 ") && out.meaning.contains("another source"));
    let published = of("conntrack tcp 192.0.2.1:");
    assert!(published.value.contains(" src=10.12.0.2 dst=192.0.2.1 sport=80 "), "{}", published.value);
    assert!(published.meaning.contains("another destination"));
    assert!(of("conntrack icmp 10.12.0.1 to 10.12.0.2").meaning.contains("nothing is translated"));
    assert!(of("conntrack udp 10.12.0.2:").value.contains("[UNREPLIED]"));
    of("conntrack icmpv6 ::1 to ::1");
    // Each row's command prints it.
    for row in &told {
        let lines = listed(lab, &row.command);
        assert!(lines.iter().any(|line| line.contains(&row.value)), "{}: {}: {lines:#?}", row.command, row.value);
    }
    // Nobody has done anything when one of them goes.
    let (observation, names) = sample(lab);
    let before = rows(&observation, &names);
    printed(lab, "conntrack -F 2>/dev/null");
    let (observation, names) = sample(lab);
    let after = rows(&observation, &names);
    assert!(!of_conntrack(before.clone(), "host ").is_empty() && of_conntrack(after.clone(), "host ").is_empty());
    assert_eq!(diff(&before, &after), []);
    printed(lab, "nft flush ruleset");
}

/// An ordinary user may not know what the machine keeps track of. Root is not asked: its answer would be the machine's affair.
fn who_may_not_know_is_told_so(_: &mut Lab) {
    if Person::current().uid != 0 {
        let error = Conntrack::read().expect_err("no capability").raw_os_error();
        assert_eq!(error, Some(libc::EPERM));
    }
}

fn of_many_some_are_shown(lab: &mut Lab) {
    let best = |lab: &mut Lab| {
        let time = |lab: &mut Lab| {
            let start = Instant::now();
            sample(lab);
            start.elapsed()
        };
        (0..10).map(|_| time(lab)).min().expect("a time")
    };
    let none = best(lab);
    perform(
        lab,
        &actions(
            r#"[{"nft_table":{"in":"host","table":"lab"}},
                {"nft_chain":{"in":"host","table":"lab","chain":"c","type":"filter","hook":"input","priority":0}},
                {"nft_rule":{"in":"host","table":"lab","chain":"c","rule":"ct state new accept"}}]"#,
        ),
    );
    printed(lab, "bash -c 'for port in $(seq 2000 2999); do echo > /dev/udp/127.0.0.1/$port; done' 2>/dev/null; true");
    let many = best(lab);
    let told = conntrack(lab);
    let count: usize = printed(lab, "conntrack -L 2>/dev/null | wc -l").trim().parse().expect("a number");
    assert_eq!(told.connections.len(), Conntrack::MOST);
    assert_eq!(told.more + Conntrack::MOST, count);
    let (observation, names) = sample(lab);
    let rows = of_conntrack(rows(&observation, &names), "host ");
    assert_eq!(rows.last().map(|row| row.value.clone()), Some(format!("{} more", told.more)));
    let keys: BTreeMap<&str, usize> = rows.iter().map(|row| (row.key.as_str(), 1)).collect();
    assert_eq!((rows.len(), keys.len()), (Conntrack::MOST + 1, Conntrack::MOST + 1));
    println!("a sample of all panels without connections: {none:?}; with {count}: {many:?}");
    assert!(many < Duration::from_millis(250), "{many:?}");
    printed(lab, "conntrack -F 2>/dev/null; nft flush ruleset");
}

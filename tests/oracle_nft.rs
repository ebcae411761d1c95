//! Tables, chains and rules of nftables, with nft inside the lab as an independent oracle.

#[path = "support/labs.rs"]
mod labs;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use hardway::agent::client::Lab;
use hardway::kernel::namespace::Namespace;
use hardway::kernel::nftables::{Ruleset, Statement};
use hardway::lesson::builtin;
use hardway::probe::rows;
use hardway::runtime::iptables;
use labs::{actions, perform, printed, run, sample};

fn main() -> ExitCode {
    let ready = |lab: &mut Lab| match run(lab, "nft list ruleset") {
        (Some(0), _) => Ok(()),
        (_, said) => Err(format!("nft can not list the ruleset here: {said}")),
    };
    labs::in_each_mode(
        "oracle_nft",
        ready,
        &[
            ("what_actions_make_is_what_nft_lists", what_actions_make_is_what_nft_lists),
            ("what_nft_makes_is_read_as_nft_lists_it", what_nft_makes_is_read_as_nft_lists_it),
            ("iptables_takes_its_lines_as_they_are_told", iptables_takes_its_lines_as_they_are_told),
            ("the_kernels_refusals_are_told", the_kernels_refusals_are_told),
            ("packets_are_counted_and_changed", packets_are_counted_and_changed),
            ("each_sample_is_of_one_ruleset", each_sample_is_of_one_ruleset),
            ("many_rules_are_read_quickly", many_rules_are_read_quickly),
        ],
    )
}

/// The errno with which one action fails, and the call that failed.
fn refused(lab: &mut Lab, action: &str) -> (String, String) {
    let performed = lab.perform(&actions(&format!("[{action}]"))).expect("performed").remove(0);
    let error = performed.result.expect_err(action);
    (error.errno.name(), error.call.to_string())
}

/// The ruleset of the lab host as the probe has it.
fn ruleset(lab: &mut Lab) -> Ruleset {
    let (observation, names) = sample(lab);
    let net = observation.process(names.host).expect("the host").namespaces.inode(Namespace::Net).expect("an inode");
    let network = observation.networks[&net].value().expect("a network");
    network.ruleset.value().unwrap_or_else(|| panic!("{:?}", network.ruleset)).clone()
}

/// Probe and nft say the same, and it is not nothing.
fn both_list(lab: &mut Lab) -> String {
    let told = ruleset(lab).to_string();
    assert_eq!(told, printed(lab, "nft list ruleset"));
    assert!(!told.is_empty());
    told
}

const MADE: &str = r#"[
    {"nft_table":{"in":"host","table":"lab"}},
    {"nft_chain":{"in":"host","table":"lab","chain":"pre","type":"nat","hook":"prerouting","priority":"dstnat"}},
    {"nft_chain":{"in":"host","table":"lab","chain":"out","type":"nat","hook":"output","priority":-100}},
    {"nft_chain":{"in":"host","table":"lab","chain":"post","type":"nat","hook":"postrouting","priority":"srcnat"}},
    {"nft_chain":{"in":"host","table":"lab","chain":"forw","type":"filter","hook":"forward","priority":"filter + 5",
        "policy":"drop"}},
    {"nft_rule":{"in":"host","table":"lab","chain":"post",
        "rule":"ip saddr 10.12.0.0/24 oifname != \"br0\" counter masquerade"}},
    {"nft_rule":{"in":"host","table":"lab","chain":"post","rule":"ip saddr 10.12.1.0/25 snat to 192.0.2.1"}},
    {"nft_rule":{"in":"host","table":"lab","chain":"pre",
        "rule":"fib daddr type local tcp dport 8080 counter dnat to 10.12.0.2:80"}},
    {"nft_rule":{"in":"host","table":"lab","chain":"out","rule":"ip daddr != 127.0.0.0/8 tcp dport 8080 dnat to 10.12.0.2:80"}},
    {"nft_rule":{"in":"host","table":"lab","chain":"forw","rule":"ct state established,related accept"}},
    {"nft_rule":{"in":"host","table":"lab","chain":"forw","rule":"ct status dnat accept"}},
    {"nft_rule":{"in":"host","table":"lab","chain":"forw","rule":"ct state != new drop"}},
    {"nft_rule":{"in":"host","table":"lab","chain":"forw","rule":"iifname \"br0\" oifname != \"veth*\" accept"}},
    {"nft_rule":{"in":"host","table":"lab","chain":"forw","rule":"ip daddr 0.0.0.0/0 udp dport != 53 counter return"}},
    {"nft_rule":{"in":"host","table":"lab","chain":"forw","rule":"meta l4proto tcp counter tcp sport 80 reject"}},
    {"nft_table":{"in":"host","family":"inet","table":"both"}},
    {"nft_chain":{"in":"host","family":"inet","table":"both","chain":"pre","type":"nat","hook":"prerouting","priority":-105}},
    {"nft_chain":{"in":"host","family":"inet","table":"both","chain":"in1","type":"filter","hook":"input","priority":300}},
    {"nft_rule":{"in":"host","family":"inet","table":"both","chain":"pre","rule":"tcp dport 80 dnat ip to 10.0.0.2:80"}},
    {"nft_rule":{"in":"host","family":"inet","table":"both","chain":"pre",
        "rule":"ip saddr 10.0.0.1 tcp dport 81 dnat to 10.0.0.2"}},
    {"nft_rule":{"in":"host","family":"inet","table":"both","chain":"pre","rule":"tcp dport 80 dnat ip6 to [fd00::1]:80"}},
    {"nft_rule":{"in":"host","family":"inet","table":"both","chain":"in1",
        "rule":"ip6 saddr fd00::/61 tcp dport 22 ip6 daddr fd00::1 drop"}},
    {"nft_rule":{"in":"host","family":"inet","table":"both","chain":"in1","rule":"ip saddr 10.0.0.1 reject"}},
    {"nft_rule":{"in":"host","family":"inet","table":"both","chain":"in1","rule":"meta nfproto ipv4 counter"}},
    {"nft_rule":{"in":"host","family":"inet","table":"both","chain":"in1","rule":"reject"}},
    {"nft_table":{"in":"host","family":"ip6","table":"six"}},
    {"nft_chain":{"in":"host","family":"ip6","table":"six","chain":"post","type":"nat","hook":"postrouting","priority":101}},
    {"nft_rule":{"in":"host","family":"ip6","table":"six","chain":"post","rule":"ip6 saddr fd00::/64 masquerade"}}
]"#;

/// By calls, and then by the lines that do the same.
fn what_actions_make_is_what_nft_lists(lab: &mut Lab) {
    assert_eq!(ruleset(lab), Ruleset::default());
    let made = actions(MADE);
    for action in &made {
        assert_eq!(action.mechanism().misuses(), [], "{action:?}");
    }
    perform(lab, &made);
    let by_calls = both_list(lab);
    let bytecode = "nft --debug=netlink --stateless list ruleset";
    let instructions = printed(lab, bytecode);
    // Every row's command prints what the row says.
    let (observation, names) = sample(lab);
    let host = format!("host (pid {})", names.host);
    let mut seen = 0;
    for row in rows(&observation, &names).iter().filter(|row| row.command.starts_with("nft ") && row.subject == host) {
        let text = printed(lab, &row.command);
        let told = match row.key.split_once(" handle ") {
            Some((_, handle)) => format!("{} # handle {handle}\n", row.value),
            None if row.key.starts_with("table ") => format!("{} {{\n", row.key),
            None => format!("{}\n", row.value),
        };
        assert!(text.contains(&told), "{}: {told}\n{text}", row.command);
        seen += 1;
    }
    assert_eq!(seen, made.len(), "a row for each thing that was made");
    // Once more changes nothing: what is there stays.
    perform(lab, &made[..2]);
    assert_eq!(both_list(lab), by_calls);
    for family in ["ip lab", "inet both", "ip6 six"] {
        let (family, table) = family.split_once(' ').expect("two words");
        let delete = format!(r#"[{{"nft_delete_table":{{"in":"host","family":"{family}","table":"{table}"}}}}]"#);
        perform(lab, &actions(&delete));
    }
    assert_eq!(ruleset(lab), Ruleset::default());
    assert_eq!(printed(lab, "nft list ruleset"), "");
    for action in &made {
        printed(lab, &action.mechanism().shell().expect("a line"));
    }
    assert_eq!(both_list(lab), by_calls);
    assert_eq!(without_handles(&printed(lab, bytecode)), without_handles(&instructions));
    printed(lab, "nft flush ruleset");
}

/// nft writes handles into the line above the instructions of a rule, and they go on counting.
fn without_handles(text: &str) -> String {
    let words =
        |line: &str| line.split(' ').take_while(|word| word.parse::<u64>().is_err()).collect::<Vec<_>>().join(" ");
    text.lines().map(|line| if line.starts_with(' ') { line.to_owned() } else { words(line) + "\n" }).collect()
}

fn what_nft_makes_is_read_as_nft_lists_it(lab: &mut Lab) {
    let made = r#"table inet first {
        chain x { type filter hook input priority filter - 5; policy drop;
            meta l4proto tcp iifname "x" tcp dport 80
            meta nfproto ipv4 iifname "x" ip saddr 1.2.3.4
            meta nfproto ipv4 counter ip saddr 1.2.3.4
            ip saddr 1.2.3.4 reject with icmp port-unreachable
            ip6 saddr fd00::/64 ip6 saddr fd00::1 tcp dport 80 ip6 daddr fd00::/63
            ct state new,invalid,untracked ct status snat,dnat counter accept comment "a b"
            ct state != established,related drop
            ip saddr 10.9.8.7/24 counter packets 5 bytes 600 accept
        }
        chain own { counter
        }
        chain z { type route hook output priority mangle
            jump own
            goto own
        }
    }
    table ip second {
        chain a { type nat hook postrouting priority security
            oifname "fifteen-bytes-x" oifname != "abc*" udp dport 53 accept
            ip protocol tcp tcp dport 80 masquerade
            ip saddr != 10.12.0.0/17 ip daddr 10.0.0.0/9 snat to 1.2.3.4
            fib saddr type != unicast fib daddr type broadcast return
        }
    }
    table ip6 third {
    }"#;
    // The one statement here that is not known, `ip protocol`, is left out of what has to be the same.
    printed(lab, &format!("nft -f - <<'END'\n{made}\nEND"));
    let (listed, told) = (printed(lab, "nft list ruleset"), ruleset(lab).to_string());
    let (listed, told): (Vec<_>, Vec<_>) = (listed.lines().collect(), told.lines().collect());
    assert_eq!(told.len(), listed.len(), "{told:#?}");
    for (told, listed) in told.iter().zip(listed) {
        match told.contains('[') {
            true => assert_eq!(
                (*told, listed),
                ("\t\t[payload] [cmp] [payload] [cmp] masquerade", "\t\ttcp dport 80 masquerade")
            ),
            false => assert_eq!(*told, listed),
        }
    }
    printed(lab, "nft flush ruleset");
    let unknown = "table ip a { chain b { type filter hook input priority 0
        limit rate 1/second log prefix \"x\" tcp dport { 1, 2 } meta mark 5 tcp dport 5-7 ip ttl 5 accept
        }
    }";
    printed(lab, &format!("nft -f - <<'END'\n{unknown}\nEND"));
    let rule = ruleset(lab).tables[0].chains[0].rules[0].to_string();
    assert!(
        rule.starts_with("[limit] [log] meta l4proto tcp [payload] [lookup] ") && rule.ends_with(" accept"),
        "{rule}"
    );
    printed(lab, "nft flush ruleset");
}

/// The lines that are shown beside those of nft, for every rule of the lessons: iptables(8) takes them, and finds the rule by the same words.
fn iptables_takes_its_lines_as_they_are_told(lab: &mut Lab) {
    let mut lines = Vec::new();
    for lesson in builtin::all() {
        let told = lesson.actions().filter_map(|action| iptables::line(action, lesson.actions()));
        lines.extend(told);
    }
    assert!(lines.len() > 6, "{lines:?}");
    for line in lines {
        assert_eq!(run(lab, &line), (Some(0), String::new()), "{line}");
        let asked = line.replace(" -A ", " -C ");
        assert_eq!(run(lab, &asked), (Some(0), String::new()), "{asked}");
        let (program, chain) = line.split_once(" -A ").map_or(("iptables", "FORWARD"), |(program, rest)| {
            (program, rest.split_once(' ').map_or(rest, |(chain, _)| chain))
        });
        let listed = printed(lab, &format!("{program} -S {chain} | tail -1"));
        let words = |text: &str| {
            let own = text.split_whitespace().map(str::to_owned);
            own.collect::<std::collections::BTreeSet<_>>()
        };
        // It adds what goes without saying.
        let missing: Vec<_> =
            words(line.split_once(" -").map_or("", |(_, rest)| rest)).difference(&words(&listed)).cloned().collect();
        assert!(
            missing.iter().all(|word| ["t", "nat", "A", "P"].contains(&word.as_str())),
            "{line}: {listed}: {missing:?}"
        );
    }
    // Away with them, as the next test begins with nothing.
    printed(lab, "nft flush ruleset");
}

fn the_kernels_refusals_are_told(lab: &mut Lab) {
    let rule = |chain: &str, rule: &str| {
        format!(r#"{{"nft_rule":{{"in":"host","table":"lab","chain":"{chain}","rule":"{rule}"}}}}"#)
    };
    let (errno, call) = refused(lab, &rule("post", "counter masquerade"));
    assert_eq!(errno, "ENOENT");
    let words = "NFT_MSG_NEWRULE(NFPROTO_IPV4, NFTA_RULE_TABLE=\"lab\", NFTA_RULE_CHAIN=\"post\", \
                 NFTA_RULE_EXPRESSIONS={counter, masq}) = -1 ENOENT";
    assert!(call.starts_with(words), "{call}");
    assert_eq!(refused(lab, r#"{"nft_delete_table":{"in":"host","table":"lab"}}"#).0, "ENOENT");
    let chain = |hook: &str| {
        format!(
            r#"{{"nft_chain":{{"in":"host","table":"lab","chain":"c","type":"nat","hook":"{hook}","priority":0}}}}"#
        )
    };
    assert_eq!(refused(lab, &chain("input")).0, "ENOENT");
    perform(lab, &actions(r#"[{"nft_table":{"in":"host","table":"lab"}}]"#));
    assert_eq!(refused(lab, &chain("forward")).0, "EOPNOTSUPP");
    let filter =
        r#"[{"nft_chain":{"in":"host","table":"lab","chain":"f","type":"filter","hook":"input","priority":0}}]"#;
    perform(lab, &actions(filter));
    assert_eq!(refused(lab, &rule("f", "masquerade")).0, "EOPNOTSUPP");
    assert_eq!(refused(lab, &rule("g", "drop")).0, "ENOENT");
    assert_eq!(both_list(lab).lines().count(), 5, "nothing is left of what was refused");
    // Whoever has no capability in the namespace is told so; a panel of it then has a row with the reason.
    perform(lab, &actions(r#"[{"box":{}}, {"unshare":{"in":"box","namespaces":["user"]}}]"#));
    assert_eq!(refused(lab, r#"{"nft_table":{"in":"box","table":"other"}}"#).0, "EPERM");
    perform(lab, &actions(r#"[{"kill":{"who":"box","from":"host","signal":"KILL"}}]"#));
    printed(lab, "nft flush ruleset");
}

/// A connection to a port that leads to another one by a rule; the counter moves, and the rule stays the same.
fn packets_are_counted_and_changed(lab: &mut Lab) {
    perform(
        lab,
        &actions(
            r#"[{"link_up":{"in":"host","link":"lo"}}, {"box":{}}, {"listen":{"in":"box","at":"127.0.0.1:8081"}},
            {"nft_table":{"in":"host","table":"lab"}},
            {"nft_chain":{"in":"host","table":"lab","chain":"out","type":"nat","hook":"output","priority":-100}},
            {"nft_rule":{"in":"host","table":"lab","chain":"out",
                "rule":"ip daddr 127.0.0.0/8 tcp dport 8080 counter dnat to 127.0.0.1:8081"}}]"#,
        ),
    );
    let rule = |lab: &mut Lab| ruleset(lab).tables[0].chains[0].rules[0].clone();
    let before = rule(lab);
    assert_eq!(before.packets(), Some(0));
    perform(lab, &actions(r#"[{"connect":{"in":"host","to":"127.0.0.1:8080"}}]"#));
    let after = rule(lab);
    assert_eq!(after.packets(), Some(1), "the first packet of the connection");
    assert!(matches!(after.statements[2], Statement::Counter { packets: 1, bytes: 60 }), "{after}");
    assert_eq!((before.bare(), before.handle), (after.bare(), after.handle));
    both_list(lab);
    perform(lab, &actions(r#"[{"kill":{"who":"box","from":"host","signal":"KILL"}}]"#));
    printed(lab, "nft flush ruleset");
}

/// While somebody puts one table after the other there, each of fifty rules about one port.
fn each_sample_is_of_one_ruleset(lab: &mut Lab) {
    // The first one alone: of a table that is made and deleted in one batch, where none was before, the kernel shows the name until
    // the batch ends.
    printed(lab, "nft add table ip x '{ chain c { tcp dport 1 accept; }; }'");
    let writer = "port=1; while [ -e /tmp/writing ]; do port=$((port % 60000 + 1))
        { echo 'delete table ip x'; echo 'table ip x { chain c {'
          for i in 1 2 3 4 5 6 7 8 9 10; do for j in 1 2 3 4 5; do echo \"tcp dport $port accept\"; done; done
          echo '}'; echo '}'; } | nft -f -; done";
    printed(lab, &format!(": > /tmp/writing; setsid sh -c '{}' >/dev/null 2>&1 &", writer.replace('\'', "'\\''")));
    let deadline = Instant::now() + Duration::from_secs(30);
    let (mut ports, mut samples) = (std::collections::HashSet::new(), 0);
    while (ports.len() < 20 || samples < 200) && Instant::now() < deadline {
        samples += 1;
        let ruleset = ruleset(lab);
        let Some(table) = ruleset.tables.first() else { continue };
        let rules = &table.chains[0].rules;
        if rules.len() == 1 && ports.is_empty() {
            continue;
        }
        assert_eq!((ruleset.tables.len(), table.chains.len(), rules.len()), (1, 1, 50));
        assert!(rules.iter().all(|rule| rule.statements == rules[0].statements), "{ruleset}");
        ports.insert(rules[0].to_string());
    }
    assert!(ports.len() >= 20, "{} rulesets in {samples} samples", ports.len());
    printed(
        lab,
        "rm /tmp/writing; for i in $(seq 100); do pgrep -x nft || break; sleep 0.1; done; sleep 0.5; nft flush ruleset",
    );
}

fn many_rules_are_read_quickly(lab: &mut Lab) {
    let best = |lab: &mut Lab| {
        let time = |lab: &mut Lab| {
            let start = Instant::now();
            sample(lab);
            start.elapsed()
        };
        (0..20).map(|_| time(lab)).min().expect("a time")
    };
    let none = best(lab);
    perform(lab, &actions(MADE));
    let few = best(lab);
    // In parts: the whole is more than an ordinary user's socket takes at once.
    printed(
        lab,
        "for part in 1 2 3 4 5 6 7 8 9 10; do
           { echo 'table ip many { chain c {'
             for i in $(seq 200); do echo \"ip saddr 10.0.0.0/17 tcp dport $part$i counter accept\"; done
             echo '}'; echo '}'; } | nft -f - || exit 1
         done",
    );
    let many = best(lab);
    let told = ruleset(lab);
    assert_eq!(told.tables.last().map(|table| table.chains[0].rules.len()), Some(2000));
    printed(lab, "nft flush ruleset");
    println!("a sample of all panels without tables: {none:?}; with 3 tables: {few:?}; with 2000 rules more: {many:?}");
    assert!(many < Duration::from_millis(250), "{many:?}");
}

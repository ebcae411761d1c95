//! A packet's way through a lab host's network namespaces: across a bridge, under translated addresses, refused, and to where it is lost.
//!
//! Not under the usual harness: the keeper must be forked while this process has one thread.

#[path = "support/labs.rs"]
mod labs;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use hardway::agent::client::Lab;
use labs::{actions, printed};

fn main() -> ExitCode {
    labs::in_each_mode(
        "follow",
        ready,
        &[
            ("a_host_that_forwards_nothing_is_where_it_ends", a_host_that_forwards_nothing_is_where_it_ends),
            ("an_echo_needs_the_same_way", an_echo_needs_the_same_way),
            ("without_a_way_back_it_ends_at_the_server", without_a_way_back_it_ends_at_the_server),
            ("a_connection_is_followed_through_masquerade", a_connection_is_followed_through_masquerade),
            ("a_refusal_is_told_with_who_sent_it", a_refusal_is_told_with_who_sent_it),
            ("a_published_port_is_followed_through_dnat", a_published_port_is_followed_through_dnat),
            ("what_drops_is_named_where_it_was_read", what_drops_is_named_where_it_was_read),
            ("a_box_stays_where_it_is", a_box_stays_where_it_is),
            ("of_ipv6_as_well", of_ipv6_as_well),
        ],
    )
}

/// `web` behind a bridge, `internet` on a cable, as in the lesson; both know the host and nothing else, and a server is in each.
fn ready(lab: &mut Lab) -> Result<(), String> {
    let cable = |name: &str, peer: &str, address: &str| {
        format!(
            r#"{{"box":{{"name":"{name}"}}}}, {{"unshare":{{"in":"{name}","namespaces":["net"]}}}},
            {{"pin":{{"in":"{name}","kind":"net","at":"/run/netns/{name}"}}}}, {{"link_up":{{"in":"{name}","link":"lo"}}}},
            {{"add_veth":{{"in":"{name}","link":"eth0","peer":"{peer}"}}}},
            {{"move_link":{{"in":"{name}","link":"{peer}","to":"host"}}}},
            {{"add_address":{{"in":"{name}","link":"eth0","address":"{address}"}}}}, {{"link_up":{{"in":"{name}","link":"eth0"}}}}"#
        )
    };
    let built = format!(
        r#"[{}, {}, {{"add_bridge":{{"in":"host","link":"br0"}}}},
        {{"add_address":{{"in":"host","link":"br0","address":"10.12.0.1/24"}}}}, {{"link_up":{{"in":"host","link":"br0"}}}},
        {{"set_master":{{"in":"host","link":"web0","master":"br0"}}}}, {{"link_up":{{"in":"host","link":"web0"}}}},
        {{"add_address":{{"in":"host","link":"wan","address":"192.0.2.2/24"}}}}, {{"link_up":{{"in":"host","link":"wan"}}}},
        {{"add_route":{{"in":"web","to":"0.0.0.0/0","via":"10.12.0.1"}}}},
        {{"listen":{{"in":"internet","at":"192.0.2.1:80"}}}}, {{"listen":{{"in":"web","at":"10.12.0.2:80"}}}}]"#,
        cable("web", "web0", "10.12.0.2/24"),
        cable("internet", "eth1", "192.0.2.1/24").replace("eth1", "wan"),
    );
    labs::perform(lab, &actions(&built));
    let (status, said) = labs::run(lab, "nft list ruleset");
    if status == Some(0) { Ok(()) } else { Err(format!("nft can not list the ruleset here: {said}")) }
}

/// What following tells, without ports that the kernel has chosen; and the errno, where it fails.
fn follow(lab: &mut Lab, from: &str, to: &str) -> (Vec<String>, Option<String>) {
    let begin = Instant::now();
    let action = actions(&format!(r#"[{{"follow":{{"in":"{from}","to":"{to}"}}}}]"#));
    let performed = lab.perform(&action).expect("performed").remove(0);
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    assert!(performed.calls.iter().any(|call| call.name == "connect"), "{:?}", performed.calls);
    let known = ["80", "81", "8080"];
    let word = |word: &str| match word.rsplit_once(':') {
        Some((ip, port)) if ip.contains(['.', ']']) && !known.contains(&port) => ip.to_owned(),
        _ => word.to_owned(),
    };
    let line = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    (performed.output().lines().map(line).collect(), performed.result.err().map(|error| error.errno.name()))
}

fn a_host_that_forwards_nothing_is_where_it_ends(lab: &mut Lab) {
    let (lines, errno) = follow(lab, "web", "192.0.2.1:80");
    assert_eq!(
        lines,
        [
            "web eth0 out 10.12.0.2 → 192.0.2.1:80 SYN",
            "host web0 in 10.12.0.2 → 192.0.2.1:80 SYN",
            "host br0 in 10.12.0.2 → 192.0.2.1:80 SYN",
            "last seen at host br0 in: it went no further; net.ipv4.ip_forward is 0 there"
        ]
    );
    assert_eq!(errno.as_deref(), Some("ETIMEDOUT"));
    // By hand the same, and the words of `ask` at the end.
    let line = "cd /tmp; ip netns exec web /lab/work follow 192.0.2.1:80 >out 2>err; echo $?; tail -1 out; cat err";
    let told = printed(lab, line);
    assert_eq!(
        told,
        "1\nlast seen at host br0 in: it went no further; net.ipv4.ip_forward is 0 there\nwork: 192.0.2.1:80: Connection timed out\n"
    );
}

/// As ping(8) has it, which is not installed everywhere.
fn an_echo_needs_the_same_way(lab: &mut Lab) {
    let mut ping = |from: &str, to: &str| {
        let action = actions(&format!(r#"[{{"ping":{{"in":"{from}","to":"{to}"}}}}]"#));
        lab.perform(&action).expect("performed").remove(0).result.err().map(|error| error.errno.name())
    };
    assert_eq!(ping("web", "10.12.0.1"), None);
    assert_eq!(ping("host", "192.0.2.1"), None);
    assert_eq!(ping("web", "192.0.2.1").as_deref(), Some("ETIMEDOUT"), "the host forwards nothing");
    assert_eq!(ping("internet", "10.12.0.2").as_deref(), Some("ENETUNREACH"));
    assert!(printed(lab, "ip netns exec web /lab/work ping 10.12.0.1").starts_with("10.12.0.1 answers after "));
}

fn without_a_way_back_it_ends_at_the_server(lab: &mut Lab) {
    printed(lab, "echo 1 > /proc/sys/net/ipv4/ip_forward");
    let (lines, errno) = follow(lab, "web", "192.0.2.1:80");
    assert_eq!(
        lines[3..5],
        ["host wan out 10.12.0.2 → 192.0.2.1:80 SYN", "internet eth0 in 10.12.0.2 → 192.0.2.1:80 SYN"]
    );
    assert_eq!(
        lines[5..],
        ["last seen at internet eth0 in: it went no further; no answer can leave there, the routes to 10.12.0.2 say \
          ENETUNREACH (Network is unreachable)"]
    );
    assert_eq!(errno.as_deref(), Some("ETIMEDOUT"));
    // And where there is no route at all there is no packet.
    let (lines, errno) = follow(lab, "internet", "203.0.113.7:80");
    assert_eq!(
        lines,
        [
            "no packet of it left internet by any link; the routes there refuse it with ENETUNREACH (Network is unreachable)"
        ]
    );
    assert_eq!(errno.as_deref(), Some("ENETUNREACH"));
}

fn a_connection_is_followed_through_masquerade(lab: &mut Lab) {
    let rules = "nft add table ip lab
        nft 'add chain ip lab leaving { type nat hook postrouting priority srcnat; }'
        nft add rule ip lab leaving ip saddr 10.12.0.0/24 oifname != br0 masquerade";
    printed(lab, rules);
    let (lines, errno) = follow(lab, "web", "192.0.2.1:80");
    assert_eq!(
        lines,
        [
            "web eth0 out 10.12.0.2 → 192.0.2.1:80 SYN",
            "host web0 in 10.12.0.2 → 192.0.2.1:80 SYN",
            "host br0 in 10.12.0.2 → 192.0.2.1:80 SYN",
            "host wan out 192.0.2.2 → 192.0.2.1:80 SYN",
            "internet eth0 in 192.0.2.2 → 192.0.2.1:80 SYN",
            "internet eth0 out 192.0.2.1:80 → 192.0.2.2 SYN-ACK",
            "host wan in 192.0.2.1:80 → 192.0.2.2 SYN-ACK",
            "host br0 out 192.0.2.1:80 → 10.12.0.2 SYN-ACK",
            "host web0 out 192.0.2.1:80 → 10.12.0.2 SYN-ACK",
            "web eth0 in 192.0.2.1:80 → 10.12.0.2 SYN-ACK",
            "connected: the answer arrived"
        ]
    );
    assert_eq!(errno, None);
}

fn a_refusal_is_told_with_who_sent_it(lab: &mut Lab) {
    let (lines, errno) = follow(lab, "web", "192.0.2.1:81");
    assert_eq!(lines[5], "internet eth0 out 192.0.2.1:81 → 192.0.2.2 RST");
    assert_eq!(lines[10..], ["refused: internet sent RST, as 192.0.2.1:81"]);
    assert_eq!(errno.as_deref(), Some("ECONNREFUSED"));
    // Not the server, but somebody on the way, in its name or by ICMP.
    printed(lab, "nft 'add chain ip lab passing { type filter hook forward priority filter; }'");
    printed(lab, "nft add rule ip lab passing tcp dport 80 reject");
    let (lines, errno) = follow(lab, "web", "192.0.2.1:80");
    assert_eq!(lines[3], "host br0 out 10.12.0.1 → 10.12.0.2 ICMP port unreachable");
    assert_eq!(lines[6..], ["refused: host sent ICMP port unreachable, as 10.12.0.1"]);
    assert_eq!(errno.as_deref(), Some("ECONNREFUSED"));
    printed(lab, "nft flush chain ip lab passing");
}

fn a_published_port_is_followed_through_dnat(lab: &mut Lab) {
    let rules = "nft 'add chain ip lab arriving { type nat hook prerouting priority dstnat; }'
        nft add rule ip lab arriving tcp dport 8080 fib daddr type local dnat to 10.12.0.2:80";
    printed(lab, rules);
    let (lines, errno) = follow(lab, "internet", "192.0.2.2:8080");
    assert_eq!(
        lines,
        [
            "internet eth0 out 192.0.2.1 → 192.0.2.2:8080 SYN",
            "host wan in 192.0.2.1 → 192.0.2.2:8080 SYN",
            "host br0 out 192.0.2.1 → 10.12.0.2:80 SYN",
            "host web0 out 192.0.2.1 → 10.12.0.2:80 SYN",
            "web eth0 in 192.0.2.1 → 10.12.0.2:80 SYN",
            "web eth0 out 10.12.0.2:80 → 192.0.2.1 SYN-ACK",
            "host web0 in 10.12.0.2:80 → 192.0.2.1 SYN-ACK",
            "host br0 in 10.12.0.2:80 → 192.0.2.1 SYN-ACK",
            "host wan out 192.0.2.2:8080 → 192.0.2.1 SYN-ACK",
            "internet eth0 in 192.0.2.2:8080 → 192.0.2.1 SYN-ACK",
            "connected: the answer arrived"
        ]
    );
    assert_eq!(errno, None);
}

fn what_drops_is_named_where_it_was_read(lab: &mut Lab) {
    printed(lab, "nft add rule ip lab passing tcp dport 80 counter drop");
    let (lines, errno) = follow(lab, "web", "192.0.2.1:80");
    let last = lines.last().expect("lines");
    let told = "last seen at host br0 in: it went no further; in the chain ip lab passing there `tcp dport 80 counter packets ";
    assert!(last.starts_with(told) && last.ends_with(" drop` has counted meanwhile"), "{last}");
    assert_eq!(errno.as_deref(), Some("ETIMEDOUT"));
    printed(lab, "nft flush chain ip lab passing");
    printed(lab, "nft 'add chain ip lab passing { type filter hook forward priority filter; policy drop; }'");
    let (lines, _) = follow(lab, "web", "192.0.2.1:80");
    let told =
        "last seen at host br0 in: it went no further; the chain ip lab passing there, at forward, has the policy drop";
    assert_eq!(lines[3..], [told]);
    // By loopback a packet is not routed anew, so no route speaks against it.
    printed(
        lab,
        "ip link set lo up; nft 'add chain ip lab taking { type filter hook input priority filter; policy drop; }'",
    );
    let (lines, _) = follow(lab, "host", "127.0.0.1:81");
    let told =
        "last seen at host lo in: it went no further; the chain ip lab taking there, at input, has the policy drop";
    assert_eq!(lines[2..], [told]);
    printed(lab, "nft delete chain ip lab taking");
}

fn a_box_stays_where_it_is(lab: &mut Lab) {
    let run = actions(r#"[{"run":{"in":"web","argv":["readlink","/proc/self/ns/net"]}}]"#);
    let link = |lab: &mut Lab| lab.perform(&run).expect("performed").remove(0).result.expect("readlink").output;
    let before = link(lab);
    let (lines, _) = follow(lab, "web", "10.12.0.1:81");
    assert_eq!(lines.last().map(String::as_str), Some("refused: host sent RST, as 10.12.0.1:81"));
    assert_eq!(link(lab), before);
}

fn of_ipv6_as_well(lab: &mut Lab) {
    if !std::path::Path::new("/proc/sys/net/ipv6").exists() {
        return println!("SKIPPED follow, of_ipv6_as_well: this kernel has no IPv6");
    }
    let address = |of: &str, link: &str, address: &str| {
        format!(r#"{{"add_address":{{"in":"{of}","link":"{link}","address":"{address}/64"}}}}"#)
    };
    let given = [
        address("host", "br0", "fd00:12::1"),
        address("web", "eth0", "fd00:12::2"),
        address("host", "wan", "2001:db8::2"),
        address("internet", "eth0", "2001:db8::1"),
    ];
    let rest = r#"{"add_route":{"in":"web","to":"::/0","via":"fd00:12::1"}}, {"listen":{"in":"internet","at":"[2001:db8::1]:80"}}"#;
    labs::perform(lab, &actions(&format!("[{}, {rest}]", given.join(", "))));
    let (lines, errno) = follow(lab, "web", "[2001:db8::1]:80");
    printed(lab, "ip netns exec web /lab/work ping fd00:12::1");
    assert_eq!(
        lines,
        [
            "web eth0 out [fd00:12::2] → [2001:db8::1]:80 SYN",
            "host web0 in [fd00:12::2] → [2001:db8::1]:80 SYN",
            "host br0 in [fd00:12::2] → [2001:db8::1]:80 SYN",
            "last seen at host br0 in: it went no further; net.ipv6.conf.all.forwarding is 0 there"
        ]
    );
    assert_eq!(errno.as_deref(), Some("ETIMEDOUT"));

    printed(lab, "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
    printed(lab, "nft 'add table ip6 lab; add chain ip6 lab post { type nat hook postrouting priority srcnat; }'");
    printed(lab, "nft add rule ip6 lab post oifname wan masquerade");
    let (lines, errno) = follow(lab, "web", "[2001:db8::1]:80");
    assert_eq!(
        lines,
        [
            "web eth0 out [fd00:12::2] → [2001:db8::1]:80 SYN",
            "host web0 in [fd00:12::2] → [2001:db8::1]:80 SYN",
            "host br0 in [fd00:12::2] → [2001:db8::1]:80 SYN",
            "host wan out [2001:db8::2] → [2001:db8::1]:80 SYN",
            "internet eth0 in [2001:db8::2] → [2001:db8::1]:80 SYN",
            "internet eth0 out [2001:db8::1]:80 → [2001:db8::2] SYN-ACK",
            "host wan in [2001:db8::1]:80 → [2001:db8::2] SYN-ACK",
            "host br0 out [2001:db8::1]:80 → [fd00:12::2] SYN-ACK",
            "host web0 out [2001:db8::1]:80 → [fd00:12::2] SYN-ACK",
            "web eth0 in [2001:db8::1]:80 → [fd00:12::2] SYN-ACK",
            "connected: the answer arrived"
        ]
    );
    assert_eq!(errno, None);
}

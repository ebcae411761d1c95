//! Connections that the kernel keeps track of, as rows of the network panel, in the words of conntrack(8).

use std::fs;
use std::path::Path;

use super::Teller;
use crate::kernel::conntrack::{Conntrack, Tracked, TupleKind};
use crate::kernel::nftables::{ChainType, Ruleset, Statement};
use crate::probe::Reading;

/// How many connections the network namespace of the reader has, below `/proc` (nf_conntrack-sysctl of the kernel's documentation).
const COUNT: &str = "sys/net/netfilter/nf_conntrack_count";

/// With more connections than this the kernel is not asked for them: it would take longer than all else that is shown.
const MOST: usize = 4096;

/// The connections of the network namespace that the calling thread is in. To ask makes a kernel load nf_conntrack_netlink, and with it
/// nf_conntrack, so it is asked only where there are connections; where it does not tell how many, as older ones do not
/// in a user namespace, only where a rule needs to know them.
pub(super) fn read(proc: &Path, ruleset: &Reading<Ruleset>) -> Reading<Conntrack> {
    let count = fs::read_to_string(proc.join(COUNT)).ok().and_then(|text| text.trim_end().parse().ok());
    match count {
        Some(0) => Reading::Value(Conntrack::default()),
        Some(count) if count > MOST => Reading::Value(Conntrack { connections: Vec::new(), more: count }),
        None if !ruleset.value().is_some_and(needs) => Reading::Value(Conntrack::default()),
        _ => Conntrack::read().into(),
    }
}

/// Whether some rule asks for connections, or some chain for the first packet of each.
fn needs(ruleset: &Ruleset) -> bool {
    let mut chains = ruleset.tables.iter().flat_map(|table| &table.chains);
    chains.any(|chain| {
        let is_ct = |statement: &Statement| matches!(statement, Statement::Ct { .. });
        chain.base.as_ref().is_some_and(|base| base.kind == ChainType::Nat)
            || chain.rules.iter().any(|rule| rule.statements.iter().any(is_ct))
    })
}

impl Teller<'_, '_, '_> {
    /// One row for each connection, and one that says how many more there are. They come with packets, and go when none has come for a
    /// while.
    pub(super) fn conntrack(&mut self) {
        // Apart from what is written to: the rows.
        let network = self.network;
        let source = self.place.source("IPCTNL_MSG_CT_GET");
        let list = format!("{}conntrack -L", self.place.enter);
        let Conntrack { connections, more } = match &network.conntrack {
            Reading::Value(conntrack) => conntrack,
            missing => {
                let meaning = "The connections that the kernel keeps track of: it does not tell them. EPERM is for whoever has no \
                               CAP_NET_ADMIN here, another errno where it can not (CONFIG_NF_CT_NETLINK).";
                let text = missing.text(|_| String::new());
                return self.passing("conntrack".to_owned(), text, source, list, meaning);
            }
        };
        for one in connections {
            let Tracked { protocol, original, .. } = one;
            let family = if original.source.is_ipv6() { "--family ipv6 " } else { "" };
            let ends = format!("--orig-src {} --orig-dst {}", original.source, original.destination);
            let id = match original.kind {
                TupleKind::Icmp { id, .. } => format!(" id {id}"),
                TupleKind::Ports { .. } | TupleKind::Plain => String::new(),
            };
            let key = format!("conntrack {protocol} {} to {}{id}", original.from(), original.to());
            let command = format!("{list} {family}{ends}");
            self.passing(key, value(one), source.clone(), command, meaning(one));
        }
        if *more > 0 {
            let (text, meaning) = match connections.is_empty() {
                true => (format!("{more} connections"), "So many are not read: it would take too long."),
                false => (format!("{more} more"), "Of many connections the first are shown."),
            };
            self.passing("conntrack".to_owned(), text, source, list, meaning);
        }
    }
}

/// What conntrack(8) prints of a connection: the tuple of its first packet, and that of answers.
fn value(one: &Tracked) -> String {
    let state = one.state.clone();
    let unreplied = (!one.replied).then(|| "[UNREPLIED]".to_owned());
    let assured = one.assured.then(|| "[ASSURED]".to_owned());
    let [original, reply] = [one.original, one.reply].map(|tuple| Some(tuple.to_string()));
    let words = [state, original, unreplied, reply, assured];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn meaning(one: &Tracked) -> &'static str {
    match (one.has_other_source(), one.has_other_destination()) {
        (false, false) if one.replied => {
            "A connection that the kernel keeps track of: the tuple of its first packet, and that of answers. Here they are each other \
             turned round, so nothing is translated; a rule with `ct state established` knows packets of it by this entry."
        }
        (false, false) => {
            "The first packet has passed, and no answer has come yet. One is expected from the second tuple: the first, turned round."
        }
        (true, false) => {
            "The first packet left with another source: answers come to the `dst` of the second tuple, which is not the `src` of the first. \
             By this entry the kernel changes them back, and sends them on to where the first packet came from. No rule is asked again."
        }
        (false, true) => {
            "The first packet got another destination: answers come from the `src` of the second tuple, which is not the `dst` of the first. \
             By this entry the kernel changes them back, so that they seem to come from where the first packet was sent. No rule is asked again."
        }
        (true, true) => {
            "The first packet got another source and another destination: the second tuple has those, turned round. By this entry the kernel \
             changes both back in each answer. No rule is asked again."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Network;
    use super::super::tests::{network, pinned};
    use super::*;
    use crate::kernel::conntrack::Tuple;
    use crate::kernel::nftables::{Chain, Family, Table};
    use crate::probe::{Names, Row, rows};

    fn tuple(source: &str, destination: &str) -> Tuple {
        let end = |text: &str| text.parse::<std::net::SocketAddr>().expect("an address");
        let (source, destination) = (end(source), end(destination));
        let kind = TupleKind::Ports { source: source.port(), destination: destination.port() };
        Tuple { source: source.ip(), destination: destination.ip(), kind }
    }

    fn tcp(original: [&str; 2], reply: [&str; 2]) -> Tracked {
        let [original, reply] = [original, reply].map(|[from, to]| tuple(from, to));
        let (protocol, state) = ("tcp".to_owned(), Some("ESTABLISHED".to_owned()));
        Tracked { protocol, original, reply, state, replied: true, assured: true }
    }

    fn told(conntrack: Reading<Conntrack>) -> Vec<Row> {
        let rows = rows(&pinned(Network { conntrack, ..network() }), &Names::default());
        assert!(rows.iter().all(|row| row.passing == row.source.starts_with("IPCTNL_MSG_CT_GET")));
        rows.into_iter().filter(|row| row.passing).collect()
    }

    #[test]
    fn connections_are_told_as_conntrack_lists_them() {
        let [web, wan, server] = ["10.0.0.2:4711", "192.0.2.2:4711", "203.0.113.7:80"];
        let v6 = ["[fd00::2]:4711", "[fd00::1]:53"];
        let unreplied = Tracked {
            protocol: "udp".to_owned(),
            state: None,
            replied: false,
            assured: false,
            ..tcp(v6, [v6[1], v6[0]])
        };
        let connections = vec![tcp([web, server], [server, wan]), tcp([wan, web], [server, wan]), unreplied];
        let rows = told(Reading::Value(Conntrack { connections, more: 3 }));
        let told: Vec<_> = rows.iter().map(|row| (row.key.as_str(), row.value.as_str())).collect();
        assert_eq!(
            told,
            [
                (
                    "conntrack tcp 10.0.0.2:4711 to 203.0.113.7:80",
                    "ESTABLISHED src=10.0.0.2 dst=203.0.113.7 sport=4711 dport=80 \
                     src=203.0.113.7 dst=192.0.2.2 sport=80 dport=4711 [ASSURED]"
                ),
                (
                    "conntrack tcp 192.0.2.2:4711 to 10.0.0.2:4711",
                    "ESTABLISHED src=192.0.2.2 dst=10.0.0.2 sport=4711 dport=4711 \
                     src=203.0.113.7 dst=192.0.2.2 sport=80 dport=4711 [ASSURED]"
                ),
                (
                    "conntrack udp [fd00::2]:4711 to [fd00::1]:53",
                    "src=fd00::2 dst=fd00::1 sport=4711 dport=53 [UNREPLIED] src=fd00::1 dst=fd00::2 sport=53 dport=4711"
                ),
                ("conntrack", "3 more"),
            ]
        );
        assert!(rows[0].meaning.contains("another source") && rows[1].meaning.contains("another destination"));
        assert!(rows[2].meaning.contains("no answer"));
        let enter = "nsenter --net='/run/netns/a b' conntrack -L";
        assert_eq!(rows[2].command, format!("{enter} --family ipv6 --orig-src fd00::2 --orig-dst fd00::1"));
        assert_eq!((rows[3].command.as_str(), rows[0].source.as_str()), (enter, "IPCTNL_MSG_CT_GET dump in net:[7]"));
    }

    #[test]
    fn where_none_are_told_a_row_says_why_and_where_there_are_none_there_is_no_row() {
        assert_eq!(told(Reading::Value(Conntrack::default())), []);
        let value = |conntrack| told(conntrack).remove(0).value;
        assert_eq!(
            value(Reading::Missing("EPERM".parse().expect("an errno"))),
            "none: EPERM (Operation not permitted)"
        );
        let many = Conntrack { connections: Vec::new(), more: 9999 };
        assert_eq!(value(Reading::Value(many)), "9999 connections");
    }

    #[test]
    fn the_kernel_is_asked_only_where_there_is_something_to_tell() {
        let chain = |rule: &str| {
            let rules = vec![rule.parse().expect("a rule")];
            let chain = Chain { name: "c".to_owned(), base: None, rules };
            Ruleset { tables: vec![Table { family: Family::Ip, name: "t".to_owned(), chains: vec![chain] }] }
        };
        assert!(needs(&chain("ct state established accept")) && !needs(&chain("tcp dport 80 accept")));
        let proc = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(proc.path().join("sys/net/netfilter")).expect("made");
        let count = |text: &str| {
            fs::write(proc.path().join(COUNT), text).expect("written");
            read(proc.path(), &Reading::Value(chain("ct state new accept")))
        };
        assert_eq!(count("0\n"), Reading::Value(Conntrack::default()));
        assert_eq!(count("5000\n"), Reading::Value(Conntrack { connections: Vec::new(), more: 5000 }));
        let nowhere = read(Path::new("/nonexistent"), &Reading::Value(Ruleset::default()));
        assert_eq!(nowhere, Reading::Value(Conntrack::default()));
    }
}

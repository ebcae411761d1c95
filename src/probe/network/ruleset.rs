//! The rules for packets, as rows of the network panel: tables, chains and rules, in the words of nft(8).

use super::{Teller, quote};
use crate::kernel::nftables::{Base, Chain, ChainType, End, Family, Hook, Policy, Rule, Statement, Table};
use crate::probe::Reading;

impl Teller<'_, '_, '_> {
    /// One row for each table, chain and rule; none where there is no table. A rule is known by its handle, so that it stays the same
    /// row while it counts.
    pub(super) fn ruleset(&mut self) {
        // Apart from what is written to: the rows.
        let network = self.network;
        match &network.ruleset {
            Reading::Value(ruleset) => ruleset.tables.iter().for_each(|table| self.table(table)),
            missing => {
                let meaning = "The rules for packets: this kernel does not tell them. EPERM is for whoever has no CAP_NET_ADMIN here, \
                               another errno where it has no nftables (CONFIG_NF_TABLES).";
                let (source, command) = (self.place.source("NFT_MSG_GETTABLE"), self.nft("list ruleset"));
                self.row("nftables".to_owned(), missing.text(|_| String::new()), source, command, meaning);
            }
        }
    }

    fn table(&mut self, table: &Table) {
        let Table { family, name, chains } = table;
        let packets = match family {
            Family::Ip => "for packets of IPv4",
            Family::Ip6 => "for packets of IPv6",
            Family::Inet => "for packets of IPv4 and IPv6",
        };
        let meaning = "A table of nftables: it holds chains, and does nothing by itself. Each network namespace has tables of its own.";
        let command = self.nft(&format!("list table {family} {}", quote(name)));
        let source = self.place.source("NFT_MSG_GETTABLE");
        self.row(format!("table {family} {name}"), packets.to_owned(), source, command, meaning);
        for chain in chains {
            let of = format!("{family} {name} {}", chain.name);
            let list = format!("list chain {family} {} {}", quote(name), quote(&chain.name));
            let value = chain.base.as_ref().map_or_else(|| "no hook".to_owned(), Base::to_string);
            let source = self.place.source("NFT_MSG_GETCHAIN");
            self.row(format!("chain {of}"), value, source, self.nft(&list), chain_meaning(chain));
            for rule in &chain.rules {
                let command = self.nft(&format!("--handle {list}"));
                let source = self.place.source("NFT_MSG_GETRULE");
                let key = format!("rule {of} handle {}", rule.handle);
                self.row(key, rule.to_string(), source, command, rule_meaning(rule));
            }
        }
    }

    fn nft(&self, arguments: &str) -> String {
        format!("{}nft {arguments}", self.place.enter)
    }
}

fn chain_meaning(chain: &Chain) -> &'static str {
    let Some(Base { kind, hook, policy, .. }) = chain.base else {
        return "A chain that the kernel does not ask by itself: a rule with `jump` or `goto` leads to it.";
    };
    match (kind, hook, policy) {
        (ChainType::Nat, Hook::Prerouting, _) => {
            "Asked about the first packet of each connection that arrives, before it is routed: here it can get another destination."
        }
        (ChainType::Nat, Hook::Postrouting, _) => {
            "Asked about the first packet of each connection that is about to leave: here it can get another source."
        }
        (ChainType::Nat, Hook::Output, _) => {
            "Asked about the first packet of each connection that begins here: it does not come by prerouting."
        }
        (ChainType::Nat, _, _) => "Asked about the first packet of each connection: here it can get another address.",
        (_, Hook::Forward, Policy::Drop) => {
            "Asked about each packet on its way from one link to another: what no rule accepts is gone."
        }
        (_, Hook::Forward, Policy::Accept) => "Asked about each packet on its way from one link to another.",
        (_, _, Policy::Drop) => "Asked about each packet at this hook: what no rule accepts is gone.",
        (_, _, Policy::Accept) => "Asked about each packet at this hook; what no rule decides about passes.",
    }
}

fn rule_meaning(rule: &Rule) -> &'static str {
    let last = rule.statements.iter().rev().find(|it| !matches!(it, Statement::Counter { .. }));
    match last {
        Some(Statement::Masquerade) => {
            "Such packets get the address of the link by which they leave as their source; answers are changed back by themselves."
        }
        Some(Statement::Nat { end: End::Destination, .. }) => {
            "Such packets get another destination: so a port is published. Answers are changed back by themselves."
        }
        Some(Statement::Nat { .. }) => "Such packets get another source. Answers are changed back by themselves.",
        Some(Statement::Accept) => "Such packets pass; other chains at later hooks are still asked.",
        Some(Statement::Drop) => "Such packets are gone, and nobody is told.",
        Some(Statement::Reject { .. }) => "Such packets are refused: their sender gets ECONNREFUSED.",
        Some(Statement::Jump(_) | Statement::Goto(_) | Statement::Return) => "Such packets go on at another place.",
        _ => "A rule that decides nothing: packets come to the next one.",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Network;
    use super::super::tests::{network, pinned};
    use crate::kernel::nftables::{Base, Chain, ChainType, Family, Hook, Policy, Priority, Rule, Ruleset, Table};
    use crate::probe::diff::{ChangeKind, diff};
    use crate::probe::{Names, Reading, Row, rows};

    fn told(rules: &[&str]) -> Vec<Row> {
        let rule = |(handle, text): (u64, &&str)| Rule { handle, ..text.parse().expect("a rule") };
        let (kind, hook, priority, policy) = (ChainType::Nat, Hook::Postrouting, Priority(100), Policy::Accept);
        let base = Some(Base { kind, hook, priority, policy });
        let post = Chain { name: "post".to_owned(), base, rules: (2..).zip(rules).map(rule).collect() };
        let own = Chain { name: "own".to_owned(), base: None, rules: Vec::new() };
        let table = Table { family: Family::Ip, name: "lab".to_owned(), chains: vec![post, own] };
        let ruleset = Reading::Value(Ruleset { tables: vec![table] });
        rows(&pinned(Network { ruleset, ..network() }), &Names::default())
    }

    #[test]
    fn tables_chains_and_rules_are_told_as_nft_lists_them() {
        let rows = told(&["ip saddr 10.12.0.0/24 oifname != \"br0\" counter masquerade"]);
        let told: Vec<_> = rows[2..].iter().map(|row| (row.key.as_str(), row.value.as_str())).collect();
        assert_eq!(
            told,
            [
                ("table ip lab", "for packets of IPv4"),
                ("chain ip lab post", "type nat hook postrouting priority srcnat; policy accept;"),
                (
                    "rule ip lab post handle 2",
                    "ip saddr 10.12.0.0/24 oifname != \"br0\" counter packets 0 bytes 0 masquerade"
                ),
                ("chain ip lab own", "no hook"),
                ("pinned", "/run/netns/a b"),
            ]
        );
        let rule = &rows[4];
        assert_eq!(rule.source, "NFT_MSG_GETRULE dump in net:[7]");
        assert_eq!(rule.command, "nsenter --net='/run/netns/a b' nft --handle list chain ip lab post");
        assert!(rule.meaning.contains("answers"));
    }

    #[test]
    fn a_rule_that_counts_stays_the_same_row() {
        let before = told(&["counter packets 1 bytes 60 accept", "drop"]);
        let after = told(&["counter packets 2 bytes 120 accept", "drop"]);
        let changes = diff(&before, &after);
        let before = ChangeKind::Changed { before: "counter packets 1 bytes 60 accept".to_owned() };
        assert_eq!(changes.iter().map(|it| &it.kind).collect::<Vec<_>>(), [&before]);
    }

    #[test]
    fn without_tables_there_is_no_row_and_without_nftables_one_that_says_so() {
        let keys = |ruleset| {
            let rows = rows(&pinned(Network { ruleset, ..network() }), &Names::default());
            rows.into_iter().map(|row| (row.key, row.value)).filter(|(key, _)| key == "nftables").collect::<Vec<_>>()
        };
        assert_eq!(keys(Reading::Value(Ruleset::default())), []);
        let missing = keys(Reading::Missing("EPERM".parse().expect("an errno")));
        assert_eq!(missing, [("nftables".to_owned(), "none: EPERM (Operation not permitted)".to_owned())]);
    }
}

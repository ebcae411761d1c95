//! nftables: tables, chains and rules of a network namespace (nft(8)).

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use super::process::shell_words;
use crate::kernel::errno::Errno;
use crate::kernel::nftables::{Base, ChainType, Family, Hook, Nftables, Policy, PriorityWords, Rule, is_identifier};
use crate::kernel::trace::{CallError, Trace};

/// Makes a table.
pub type NftTable = SetTable<true>;

/// Takes a table away, with all that is in it.
pub type NftDeleteTable = SetTable<false>;

/// Makes a table in the actor's network namespace, or takes one away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetTable<const ADD: bool> {
    /// Who.
    pub r#in: String,
    /// For which packets: `ip` (left out), `ip6` or `inet`.
    #[serde(default)]
    pub family: Family,
    /// The name of the table.
    pub table: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl<const ADD: bool> Mechanism for SetTable<ADD> {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let Self { r#in, family, table, .. } = self;
        match ADD {
            true => format!("{in} makes a table of nftables, {family} {table}, in its network namespace"),
            false => format!("{in} takes the table {family} {table} away, with its chains and rules"),
        }
    }

    fn shell(&self) -> Option<String> {
        let Self { family, table, .. } = self;
        Some(format!("nft {} table {family} {table}", if ADD { "add" } else { "delete" }))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        if !ADD {
            return Vec::new();
        }
        let Self { r#in, family, table, .. } = self;
        vec![Effect { what: format!("the table {family} {table} in the net namespace of {in}"), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused_name("table", &self.table)
    }
}

impl<const ADD: bool> Perform for SetTable<ADD> {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let mut nftables = Nftables::open_traced(trace)?;
        match ADD {
            true => nftables.add_table(trace, self.family, &self.table)?,
            false => nftables.delete_table(trace, self.family, &self.table)?,
        }
        trace.keep(nftables);
        Ok(Outcome::default())
    }
}

/// Makes a base chain in a table: the kernel asks it by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NftChain {
    /// Who.
    pub r#in: String,
    /// That of the table: `ip` (left out), `ip6` or `inet`.
    #[serde(default)]
    pub family: Family,
    /// The name of the table.
    pub table: String,
    /// The name of the chain.
    pub chain: String,
    /// What it is for.
    pub r#type: ChainType,
    /// Where packets meet it.
    pub hook: Hook,
    /// When, among the chains there: `srcnat`, `dstnat`, `filter`, or a number.
    pub priority: WrittenPriority,
    /// What becomes of packets that no rule decides about: `accept` (left out) or `drop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

/// A priority as lessons write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum WrittenPriority {
    /// `-100`.
    Number(i32),
    /// `srcnat`, `filter + 5`.
    Name(String),
}

impl WrittenPriority {
    /// What it means.
    ///
    /// # Errors
    /// Why it means nothing.
    pub fn words(&self) -> Result<PriorityWords, String> {
        match self {
            Self::Number(number) => number.to_string().parse(),
            Self::Name(name) => name.parse(),
        }
    }
}

impl std::fmt::Display for WrittenPriority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl NftChain {
    /// What makes it a base chain; none where the priority is none.
    fn base(&self) -> Option<Base> {
        let priority = self.priority.words().ok()?.priority;
        Some(Base { kind: self.r#type, hook: self.hook, priority, policy: self.policy.unwrap_or_default() })
    }
}

impl Mechanism for NftChain {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let Self { r#in, family, table, chain, r#type, hook, .. } = self;
        let policy = match self.policy {
            Some(Policy::Drop) => "; what no rule of it accepts is dropped",
            _ => "",
        };
        format!("{in} makes a chain {chain} of type {type} at the hook {hook} in the table {family} {table}{policy}")
    }

    fn shell(&self) -> Option<String> {
        let Self { family, table, chain, r#type, hook, priority, .. } = self;
        let policy = self.policy.map(|policy| format!(" policy {policy};")).unwrap_or_default();
        let words =
            format!("add chain {family} {table} {chain} {{ type {type} hook {hook} priority {priority};{policy} }}");
        Some(format!("nft {}", shell_words(&[words])))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let Self { r#in, family, table, chain, .. } = self;
        let what = format!("the chain {chain} of the table {family} {table} in the net namespace of {in}");
        vec![Effect { what, home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        let mut misuses = [misused_name("table", &self.table), misused_name("chain", &self.chain)].concat();
        match self.priority.words() {
            Err(what) => misuses.push(Misuse::new("priority", what, "write `filter`, `srcnat`, `dstnat` or a number")),
            Ok(PriorityWords { only: Some(only), .. }) if only != self.hook => {
                let what = format!("`{}` is for the hook {only}", self.priority);
                misuses.push(Misuse::new("priority", what, "write the number, or another hook"));
            }
            Ok(_) => {}
        }
        if self.r#type == ChainType::Nat && self.hook == Hook::Forward {
            let fix = "write `prerouting`, `input`, `output` or `postrouting`";
            misuses.push(Misuse::new("hook", "addresses are not changed at the hook forward", fix));
        }
        if self.hook == Hook::Ingress {
            misuses.push(Misuse::new("hook", "a chain at the hook ingress is for one link", "write `prerouting`"));
        }
        if self.r#type == ChainType::Nat && self.policy == Some(Policy::Drop) {
            let fix = "leave it out, and drop in a chain of type filter";
            misuses.push(Misuse::new("policy", "a chain of type nat sees the first packet of a connection only", fix));
        }
        misuses
    }
}

impl Perform for NftChain {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let Self { family, table, chain, .. } = self;
        let mut nftables = Nftables::open_traced(trace)?;
        nftables.add_chain(trace, *family, table, chain, self.base().as_ref())?;
        trace.keep(nftables);
        Ok(Outcome::default())
    }
}

/// Adds a rule at the end of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NftRule {
    /// Who.
    pub r#in: String,
    /// That of the table: `ip` (left out), `ip6` or `inet`.
    #[serde(default)]
    pub family: Family,
    /// The name of the table.
    pub table: String,
    /// The name of the chain.
    pub chain: String,
    /// The rule, in the words of nft(8).
    pub rule: WrittenRule,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for NftRule {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let Self { r#in, family, table, chain, rule, .. } = self;
        format!("{in} adds a rule to the chain {chain} of the table {family} {table}: `{rule}`")
    }

    fn shell(&self) -> Option<String> {
        let Self { family, table, chain, rule, .. } = self;
        let words = format!("add rule {family} {table} {chain} {rule}");
        // nft(8) puts its arguments together again: quotes are for the shell, where it would take something for its own.
        let plain = |c: char| c.is_ascii_alphanumeric() || " ./:,_-=".contains(c);
        Some(format!("nft {}", if words.chars().all(plain) { words } else { shell_words(&[words]) }))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let Self { r#in, family, table, chain, .. } = self;
        let what = format!("a rule in the chain {chain} of the table {family} {table} in the net namespace of {in}");
        vec![Effect { what, home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        let mut misuses = [misused_name("table", &self.table), misused_name("chain", &self.chain)].concat();
        misuses.extend(self.rule.misuses("rule", self.family));
        if self.rule.rule().comment.is_some() {
            misuses.push(Misuse::new("rule", "a comment is nft's own, and no part of the rule", "leave it out"));
        }
        misuses
    }
}

impl Perform for NftRule {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let Self { family, table, chain, rule, .. } = self;
        let mut nftables = Nftables::open_traced(trace)?;
        nftables.add_rule(trace, *family, table, chain, rule.rule())?;
        trace.keep(nftables);
        Ok(Outcome::default())
    }
}

/// A rule as lessons write it: its words are kept, and read when the lesson is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct WrittenRule {
    words: String,
    rule: Rule,
}

impl WrittenRule {
    /// The rule.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// What is wrong with it in a table of this family.
    pub fn misuses(&self, field: &'static str, family: Family) -> Vec<Misuse> {
        let fix = "write it as `nft list ruleset` prints rules in a table of that family";
        self.rule.fault(family).map(|what| Misuse::new(field, what, fix)).into_iter().collect()
    }
}

impl FromStr for WrittenRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let rule = text
            .parse()
            .map_err(|fault| format!("`{}` is no rule of nft(8) that is known here: {fault}", text.escape_debug()))?;
        Ok(Self { words, rule })
    }
}

impl TryFrom<String> for WrittenRule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<WrittenRule> for String {
    fn from(rule: WrittenRule) -> Self {
        rule.words
    }
}

impl std::fmt::Display for WrittenRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words)
    }
}

/// What is wrong with the name of a table or chain.
fn misused_name(field: &'static str, name: &str) -> Vec<Misuse> {
    if is_identifier(name) {
        return Vec::new();
    }
    let fix = "begin with a letter, and go on with letters, digits and `_`, and with no word that nft has for itself";
    vec![Misuse::new(field, "nft(8) does not take this name", fix)]
}

#[cfg(test)]
mod tests {
    use crate::runtime::action::Action;

    fn action(json: &str) -> Action {
        serde_json::from_str(json).expect(json)
    }

    fn misused(json: &str) -> Vec<&'static str> {
        action(json).mechanism().misuses().into_iter().map(|it| it.field).collect()
    }

    #[test]
    fn what_is_typed_is_taken_by_the_shell() {
        for (json, line) in [
            (r#"{"nft_table":{"in":"host","table":"lab"}}"#, "nft add table ip lab"),
            (r#"{"nft_delete_table":{"in":"host","family":"inet","table":"lab"}}"#, "nft delete table inet lab"),
            (
                r#"{"nft_chain":{"in":"host","table":"lab","chain":"post","type":"nat","hook":"postrouting",
                    "priority":"srcnat"}}"#,
                "nft 'add chain ip lab post { type nat hook postrouting priority srcnat; }'",
            ),
            (
                r#"{"nft_chain":{"in":"host","table":"lab","chain":"f","type":"filter","hook":"forward","priority":0,
                    "policy":"drop"}}"#,
                "nft 'add chain ip lab f { type filter hook forward priority 0; policy drop; }'",
            ),
            (
                r#"{"nft_rule":{"in":"host","table":"lab","chain":"post",
                    "rule":"ip saddr 10.12.0.0/24  oifname != \"br0\" counter masquerade"}}"#,
                "nft 'add rule ip lab post ip saddr 10.12.0.0/24 oifname != \"br0\" counter masquerade'",
            ),
            (
                r#"{"nft_rule":{"in":"host","table":"lab","chain":"pre","rule":"tcp dport 80 dnat to 10.12.0.2:80"}}"#,
                "nft add rule ip lab pre tcp dport 80 dnat to 10.12.0.2:80",
            ),
        ] {
            assert_eq!(action(json).mechanism().shell().as_deref(), Some(line));
            assert_eq!(misused(json), [""; 0], "{json}");
            let again = serde_json::to_string(&action(json)).expect("json");
            assert_eq!(action(&again), action(json), "{again}");
        }
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        assert_eq!(misused(r#"{"nft_table":{"in":"host","table":"a b"}}"#), ["table"]);
        let chain = |kind: &str, hook: &str, priority: &str, policy: &str| {
            misused(&format!(
                r#"{{"nft_chain":{{"in":"host","table":"lab","chain":"c","type":"{kind}","hook":"{hook}",
                    "priority":"{priority}","policy":"{policy}"}}}}"#
            ))
        };
        assert_eq!(chain("nat", "postrouting", "srcnat", "accept"), [""; 0]);
        assert_eq!(chain("nat", "prerouting", "srcnat", "accept"), ["priority"]);
        assert_eq!(chain("filter", "input", "soon", "accept"), ["priority"]);
        assert_eq!(chain("nat", "forward", "0", "drop"), ["hook", "policy"]);
        assert_eq!(chain("filter", "ingress", "0", "drop"), ["hook"]);
        let rule = |rule: &str| format!(r#"{{"nft_rule":{{"in":"host","table":"lab","chain":"c","rule":"{rule}"}}}}"#);
        assert_eq!(misused(&rule("ip6 saddr fd00::1 drop")), ["rule"]);
        assert_eq!(misused(&rule("accept comment x")), ["rule"]);
        let fault = serde_json::from_str::<Action>(&rule("acept")).expect_err("no rule").to_string();
        assert!(fault.contains("`acept` is no statement"), "{fault}");
    }
}

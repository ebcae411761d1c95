//! nftables of a network namespace: rules, what they have counted, and tables.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Predicate, Seen, View, value};
use crate::kernel::namespace::Namespace;
use crate::kernel::nftables::{Chain, Family, Hook, Policy, Rule, Ruleset};
use crate::runtime::nftables::WrittenRule;

/// A chain is there, and is asked at a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HasChain {
    /// In whose network namespace.
    pub of: String,
    /// The family of the table; left out: `ip`.
    #[serde(default)]
    pub family: Family,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// Where packets meet it.
    pub hook: Hook,
    /// What becomes of packets that no rule decides about; left out: `accept`.
    #[serde(default)]
    pub policy: Policy,
}

impl Predicate for HasChain {
    fn claim(&self) -> String {
        let Self { of, family, table, chain, hook, policy } = self;
        format!("the table {family} {table} of {of} has a chain {chain} at the hook {hook}, with the policy {policy}")
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        match chain(view, &self.of, self.family, &self.table, &self.chain)?.base.as_ref() {
            None => Ok((false, "no hook leads to it".to_owned())),
            Some(base) => Ok(((base.hook, base.policy) == (self.hook, self.policy), base.to_string())),
        }
    }
}

/// A rule is in a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HasRule {
    /// In whose network namespace.
    pub of: String,
    /// The family of the table; left out: `ip`.
    #[serde(default)]
    pub family: Family,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// The rule, in the words of nft(8). What its counters say does not matter.
    pub rule: WrittenRule,
}

impl Predicate for HasRule {
    fn claim(&self) -> String {
        let Self { of, family, table, chain, rule } = self;
        format!("the chain {chain} of the table {family} {table} of {of} has the rule `{rule}`")
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let chain = chain(view, &self.of, self.family, &self.table, &self.chain)?;
        let found = same(chain, &self.rule, self.family).next().is_some();
        Ok((found, rules(chain)))
    }
}

/// A rule has counted so many packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// In whose network namespace.
    pub of: String,
    /// The family of the table; left out: `ip`.
    #[serde(default)]
    pub family: Family,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// The rule, in the words of nft(8), with `counter`.
    pub rule: WrittenRule,
    /// How many packets at least.
    pub packets: u64,
}

impl Predicate for Counts {
    fn claim(&self) -> String {
        let Self { of, family, table, chain, rule, packets } = self;
        let unit = if *packets == 1 { "packet" } else { "packets" };
        format!(
            "at least {packets} {unit} came by the rule `{rule}` in the chain {chain} of the table {family} {table} of {of}"
        )
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let chain = chain(view, &self.of, self.family, &self.table, &self.chain)?;
        match same(chain, &self.rule, self.family).map(Rule::packets).max() {
            None => Err(rules(chain)),
            Some(None) => Ok((false, "that rule has no counter".to_owned())),
            Some(Some(counted)) => Ok((counted >= self.packets, format!("it has counted {counted}"))),
        }
    }
}

/// There is no table of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoTable {
    /// In whose network namespace.
    pub of: String,
    /// The family of the table; left out: `ip`.
    #[serde(default)]
    pub family: Family,
    /// The table.
    pub table: String,
}

impl Predicate for NoTable {
    fn claim(&self) -> String {
        format!("the network namespace of {} has no table {} {}", self.of, self.family, self.table)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let ruleset = ruleset(view, &self.of)?;
        Ok((ruleset.table(self.family, &self.table).is_none(), tables(ruleset)))
    }
}

fn ruleset<'a>(view: &View<'a>, of: &str) -> Seen<&'a Ruleset> {
    let net = view.namespace(of, Namespace::Net)?;
    value(Some(&value(view.observation.networks.get(&net))?.ruleset))
}

fn chain<'a>(view: &View<'a>, of: &str, family: Family, table: &str, name: &str) -> Seen<&'a Chain> {
    let ruleset = ruleset(view, of)?;
    let table = ruleset.table(family, table).ok_or_else(|| tables(ruleset))?;
    table.chain(name).ok_or_else(|| {
        let names: Vec<&str> = table.chains.iter().map(|chain| chain.name.as_str()).collect();
        if names.is_empty() { "it has no chains".to_owned() } else { format!("its chains: {}", names.join(", ")) }
    })
}

/// The rules of a chain that say the same, in whatever order they look at a packet.
fn same<'a>(chain: &'a Chain, wanted: &WrittenRule, family: Family) -> impl Iterator<Item = &'a Rule> {
    let sorted = |rule: &Rule| {
        let mut words: Vec<String> = rule.statements.iter().map(ToString::to_string).collect();
        words.sort_unstable();
        words
    };
    let wanted = sorted(&wanted.rule().canonical(family).bare());
    chain.rules.iter().filter(move |rule| sorted(&rule.bare()) == wanted)
}

fn rules(chain: &Chain) -> String {
    let list = chain.rules.iter().map(|rule| format!("`{rule}`")).collect::<Vec<_>>().join(", ");
    if list.is_empty() { "it has no rules".to_owned() } else { format!("its rules: {list}") }
}

fn tables(ruleset: &Ruleset) -> String {
    let names: Vec<String> = ruleset.tables.iter().map(|table| format!("{} {}", table.family, table.name)).collect();
    if names.is_empty() { "it has no tables".to_owned() } else { format!("its tables: {}", names.join(", ")) }
}

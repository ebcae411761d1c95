//! The same in the words of iptables(8), in which most of what is written about containers puts it: beside the lines of nft(8).
//!
//! There tables and chains have been there from the start, under names that are fixed, and every rule counts. So what a chain was made for
//! says where its rules go.

use super::action::Action;
use super::nftables::{NftChain, NftRule};
use crate::kernel::nftables::{ChainType, CtKey, End, Family, Hook, Policy, Statement, Way};

/// The line of iptables for an action, among those of its lesson; none where iptables has nothing to do, or no words for it.
pub fn line<'a>(action: &Action, lesson: impl IntoIterator<Item = &'a Action>) -> Option<String> {
    match action {
        Action::NftRule(rule) => {
            let chain = lesson.into_iter().find_map(|other| match other {
                Action::NftChain(chain) if is_of(rule, chain) => Some(chain),
                _ => None,
            })?;
            Some(format!("{} -A {} {}", program(chain), chain_name(chain.hook), options(&rule.rule.rule().statements)?))
        }
        Action::NftChain(chain) if chain.policy == Some(Policy::Drop) => {
            Some(format!("{} -P {} DROP", program(chain), chain_name(chain.hook)))
        }
        _ => None,
    }
}

fn is_of(rule: &NftRule, chain: &NftChain) -> bool {
    (&rule.r#in, rule.family, &rule.table, &rule.chain) == (&chain.r#in, chain.family, &chain.table, &chain.chain)
}

/// The program, with the table where that is not `filter`.
fn program(chain: &NftChain) -> String {
    let program = if chain.family == Family::Ip6 { "ip6tables" } else { "iptables" };
    match chain.r#type {
        ChainType::Nat => format!("{program} -t nat"),
        ChainType::Filter => program.to_owned(),
        ChainType::Route => format!("{program} -t mangle"),
    }
}

fn chain_name(hook: Hook) -> String {
    hook.to_string().to_uppercase()
}

/// What a rule asks and does; none where iptables says it in another way.
fn options(statements: &[Statement]) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    let not = |not: bool| if not { "! " } else { "" };
    for statement in statements {
        let word = match statement {
            Statement::Address { end, not: other, network } => {
                format!("{}-{} {network}", not(*other), if *end == End::Source { 's' } else { 'd' })
            }
            Statement::LinkName { way, not: other, name } => {
                let name = name.strip_suffix('*').map_or_else(|| name.clone(), |begin| format!("{begin}+"));
                format!("{}-{} {name}", not(*other), if *way == Way::In { 'i' } else { 'o' })
            }
            Statement::L4Proto(transport) => format!("-p {transport}"),
            Statement::Port { transport, end, not: other, port } => {
                let protocol = format!("-p {transport}");
                if !words.contains(&protocol) {
                    words.push(protocol);
                }
                format!("{}--{}port {port}", not(*other), if *end == End::Source { 's' } else { 'd' })
            }
            Statement::Fib { end, not: other, kind } => {
                let end = if *end == End::Source { "src" } else { "dst" };
                format!("-m addrtype {}--{end}-type {}", not(*other), kind.to_string().to_uppercase())
            }
            Statement::Ct { key, not: other, bits } => {
                format!("-m conntrack {}--ctstate {}", not(*other), states(*key, *bits)?)
            }
            // iptables is for one version, and its rules count by themselves.
            Statement::NfProto(_) | Statement::Counter { .. } => continue,
            Statement::Accept => "-j ACCEPT".to_owned(),
            Statement::Drop => "-j DROP".to_owned(),
            Statement::Reject { .. } => "-j REJECT".to_owned(),
            Statement::Return => "-j RETURN".to_owned(),
            Statement::Jump(chain) => format!("-j {chain}"),
            Statement::Goto(chain) => format!("-g {chain}"),
            Statement::Masquerade => "-j MASQUERADE".to_owned(),
            Statement::Nat { end, to, port, .. } => {
                let (target, option) =
                    if *end == End::Source { ("SNAT", "--to-source") } else { ("DNAT", "--to-destination") };
                let to = match port {
                    Some(port) => std::net::SocketAddr::new(*to, *port).to_string(),
                    None => to.to_string(),
                };
                format!("-j {target} {option} {to}")
            }
            Statement::Other(_) => return None,
        };
        words.push(word);
    }
    Some(words.join(" "))
}

/// The states that iptables-extensions(8) has words for, in its order: to it a translated connection is in a state, too. None where it has no
/// word for one of them.
fn states(key: CtKey, bits: u32) -> Option<String> {
    let known = match key {
        CtKey::State => &["invalid", "new", "related", "established", "untracked"][..],
        CtKey::Status => &["snat", "dnat"],
    };
    let bit = |word: &str| key.words().iter().find(|(own, _)| *own == word).map_or(0, |(_, bit)| *bit);
    let words: Vec<&str> = known.iter().copied().filter(|word| bits & bit(word) != 0).collect();
    let told = words.iter().fold(0, |all, word| all | bit(word));
    (told == bits && bits != 0).then(|| words.join(",").to_uppercase())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn of(kind: &str, hook: &str, rule: &str) -> Option<String> {
        let actions: Vec<Action> = serde_json::from_value(serde_json::json!([
            { "nft_chain": { "in": "host", "table": "lab", "chain": "own", "type": kind, "hook": hook, "priority": "0" } },
            { "nft_rule": { "in": "host", "table": "lab", "chain": "own", "rule": rule } },
        ]))
        .unwrap();
        assert_eq!(line(&actions[0], &actions), None, "the chains are there");
        line(&actions[1], &actions)
    }

    #[test]
    fn rules_of_lessons_in_the_words_of_iptables() {
        let masquerade = of("nat", "postrouting", "ip saddr 10.12.0.0/24 oifname != \"br0\" counter masquerade");
        assert_eq!(masquerade.unwrap(), "iptables -t nat -A POSTROUTING -s 10.12.0.0/24 ! -o br0 -j MASQUERADE");
        let publish = of("nat", "prerouting", "fib daddr type local tcp dport 8080 counter dnat to 10.12.0.2:80");
        assert_eq!(
            publish.unwrap(),
            "iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport 8080 -j DNAT --to-destination 10.12.0.2:80"
        );
        let known = of("filter", "forward", "ct state established,related counter accept");
        assert_eq!(known.unwrap(), "iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
        let own = of("nat", "postrouting", "ct status dnat masquerade");
        assert_eq!(own.unwrap(), "iptables -t nat -A POSTROUTING -m conntrack --ctstate DNAT -j MASQUERADE");
    }

    #[test]
    fn a_rule_of_a_chain_that_nobody_makes_has_no_place() {
        let rule = r#"{"nft_rule":{"in":"host","table":"lab","chain":"own","rule":"accept"}}"#;
        assert_eq!(line(&serde_json::from_str(rule).unwrap(), &[]), None);
        assert_eq!(of("filter", "input", "ct status assured accept"), None);
    }
}

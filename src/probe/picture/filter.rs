//! nftables in the picture: a table, below it its chains, and below them their rules, each with what it has counted first.

use super::{Entry, Part, Tone};
use crate::kernel::nftables::{Rule, Statement};
use crate::probe::{ChangeKind, Row};

/// The lines of a table, a chain or a rule; none for another row. A rule has a line for what it looks at, and one for what it does.
pub(super) fn entries(index: usize, row: &Row, change: Option<&ChangeKind>) -> Option<Vec<Entry>> {
    let lines = lines(row, change)?.into_iter();
    let entry = |(branch, parts): (&str, _)| Entry {
        branch: branch.to_owned(),
        parts,
        rows: vec![index],
        mark: change.cloned(),
        ..Entry::default()
    };
    Some(lines.map(entry).collect())
}

/// The same in words, for one that is gone.
pub(super) fn words(row: &Row) -> Option<Vec<String>> {
    Some(lines(row, None)?.into_iter().flat_map(|(_, parts)| parts).map(|part| part.text).collect())
}

/// What is before each line, and its words.
type Line = (&'static str, Vec<Part>);

fn lines(row: &Row, change: Option<&ChangeKind>) -> Option<Vec<Line>> {
    let part = |text: String, tone, change| Part { text, tone, change };
    // What is new is new in all its words; what has changed has changed in one of them.
    let whole = change.filter(|kind| !matches!(kind, ChangeKind::Changed { .. })).cloned();
    let was = match change {
        Some(ChangeKind::Changed { before }) => Some(before.as_str()),
        _ => None,
    };
    let (what, _) = row.key.split_once(' ')?;
    match what {
        "table" => Some(vec![("", vec![part(row.key.clone(), Tone::Plain, whole)])]),
        "chain" => {
            let name = row.key.rsplit(' ').next()?.to_owned();
            let place = hooked(&row.value);
            let turned = was.map(|before| ChangeKind::Changed { before: hooked(before) });
            let tone = if row.value.contains("policy drop") { Tone::Warn } else { Tone::Plain };
            Some(vec![("  ", vec![part(name, Tone::Name, whole.clone()), part(place, tone, turned.or(whole))])])
        }
        "rule" => {
            let rule: Rule = row.value.parse().ok()?;
            let counted = |rule: &Rule| rule.packets().map(|packets| format!("{packets} ×"));
            let before = was.and_then(|before| counted(&before.parse().ok()?));
            let turned = before.map(|before| ChangeKind::Changed { before });
            let count = counted(&rule).map(|text| part(text, Tone::Up, turned.or(whole.clone())));
            let is_counter = |statement: &Statement| matches!(statement, Statement::Counter { .. });
            let mut rest: Vec<String> =
                rule.statements.iter().filter(|it| !is_counter(it)).map(ToString::to_string).collect();
            let deed = rest.pop().unwrap_or_default();
            let looks = Some(rest.join(" ")).filter(|text| !text.is_empty());
            let deed = part(deed, Tone::Name, whole.clone());
            let looks = looks.map(|text| part(text, Tone::Plain, whole));
            Some(match looks {
                Some(looks) => vec![("    ", count.into_iter().chain([looks]).collect()), ("      ", vec![deed])],
                None => vec![("    ", count.into_iter().chain([deed]).collect())],
            })
        }
        _ => None,
    }
}

/// `type nat hook postrouting priority srcnat; policy drop;` in short: `nat postrouting policy drop`.
fn hooked(value: &str) -> String {
    let words: Vec<&str> = value.split([' ', ';']).collect();
    let after = |word: &str| words.iter().position(|it| *it == word).and_then(|at| words.get(at + 1)).copied();
    match (after("type"), after("hook"), after("policy")) {
        (Some(kind), Some(hook), Some("drop")) => format!("{kind} {hook}, policy drop"),
        (Some(kind), Some(hook), _) => format!("{kind} {hook}"),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Panel;

    fn told(key: &str, value: &str, before: Option<&str>) -> Option<Vec<(String, Option<String>)>> {
        let [subject, source, command, meaning] = ["host", "NFT_MSG_GETRULE", "nft", "a rule"].map(str::to_owned);
        let (key, value) = (key.to_owned(), value.to_owned());
        let row = Row { panel: Panel::Network, subject, key, value, source, command, meaning, passing: false };
        let change = before.map(|before| ChangeKind::Changed { before: before.to_owned() });
        let before = |change| match change {
            Some(ChangeKind::Changed { before }) => Some(before),
            _ => None,
        };
        let parts = entries(0, &row, change.as_ref())?.into_iter().flat_map(|entry| entry.parts);
        Some(parts.map(|part| (part.text, before(part.change))).collect())
    }

    #[test]
    fn of_a_rule_what_it_has_counted_comes_first() {
        let [now, before] =
            [2, 1].map(|packets| format!("ip saddr 10.0.0.1 counter packets {packets} bytes 60 masquerade"));
        let rule = |text: &str| (text.to_owned(), None);
        assert_eq!(
            told("rule ip lab leaving handle 6", &now, None),
            Some(vec![rule("2 ×"), rule("ip saddr 10.0.0.1"), rule("masquerade")])
        );
        assert_eq!(
            told("rule ip lab leaving handle 6", &now, Some(&before)).map(|told| told[0].clone()),
            Some(("2 ×".to_owned(), Some("1 ×".to_owned())))
        );
        assert_eq!(told("rule ip lab leaving handle 6", "drop", None), Some(vec![rule("drop")]));
        assert_eq!(told("rule ip lab leaving handle 6", "[payload] [cmp]", None), None, "as the table tells it");
    }

    #[test]
    fn of_a_chain_it_is_told_where_packets_meet_it() {
        let chain = |value: &str| told("chain ip lab own", value, None).map(|told| told[1].0.clone());
        let base = "type filter hook forward priority filter; policy";
        assert_eq!(chain(&format!("{base} drop;")).as_deref(), Some("filter forward, policy drop"));
        assert_eq!(chain(&format!("{base} accept;")).as_deref(), Some("filter forward"));
        assert_eq!(chain("no hook").as_deref(), Some("no hook"));
        assert_eq!(told("nftables", "EPERM", None), None);
    }
}

//! The address plan on a machine that uses some of the lesson's networks itself (`--real-host`): the whole lesson, its lines, checks and
//! texts, has others then.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Whose numbers can be changed: the networks of containers are of `10.0.0.0/8`, a third byte each (RFC 1918).
const OWN: &str = "10.";

/// The text of a lesson in which no network `10.A.B.0/24` is among those that are `taken`; none where nothing has to change.
pub fn renumber(text: &str, taken: &[(Ipv4Addr, u8)]) -> Option<String> {
    let used: BTreeSet<(u8, u8)> = mentions(text).map(|(_, network)| network).collect();
    let is_taken = |(a, b): (u8, u8)| {
        taken.iter().any(|(to, prefix)| {
            // They overlap if they are the same as far as the shorter of the two prefixes goes.
            let mask = u32::MAX.checked_shl(32 - u32::from((*prefix).min(24))).unwrap_or(0);
            *prefix > 0 && (to.to_bits() ^ Ipv4Addr::new(10, a, b, 0).to_bits()) & mask == 0
        })
    };
    let mut free = (0..=u8::MAX).rev().map(|b| (99, b)).filter(|one| !used.contains(one) && !is_taken(*one));
    let mut changes = Vec::new();
    for own in used.iter().filter(|own| is_taken(**own)) {
        changes.push((*own, free.next()?));
    }
    if changes.is_empty() {
        return None;
    }
    let (mut renumbered, mut end) = (String::new(), 0);
    for (at, network) in mentions(text) {
        if let Some((_, (a, b))) = changes.iter().find(|(own, _)| *own == network) {
            renumbered.push_str(&text[end..at]);
            renumbered.push_str(&format!("{OWN}{a}.{b}."));
            end = at + format!("{OWN}{}.{}.", network.0, network.1).len();
        }
    }
    renumbered.push_str(&text[end..]);
    Some(renumbered)
}

/// Where addresses `10.A.B.C` begin, with A and B.
fn mentions(text: &str) -> impl Iterator<Item = (usize, (u8, u8))> {
    text.match_indices(OWN).filter_map(|(at, _)| {
        if text[..at].ends_with(|before: char| before.is_ascii_digit() || before == '.') {
            return None;
        }
        let mut parts = text[at + OWN.len()..].splitn(3, '.');
        let (a, b) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next()?.starts_with(|digit: char| digit.is_ascii_digit()).then_some((at, (a, b)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_networks_that_are_taken_change_and_everywhere() {
        let text = "10.12.0.2/24 via 10.12.0.1, not 10.13.0.1, 110.12.0.1, 1.10.12.0, 10.12 or version 10.12.0.";
        let taken =
            [(Ipv4Addr::UNSPECIFIED, 0), (Ipv4Addr::new(10, 12, 0, 0), 16), (Ipv4Addr::new(10, 99, 255, 7), 32)];
        assert_eq!(
            renumber(text, &taken).as_deref(),
            Some("10.99.254.2/24 via 10.99.254.1, not 10.13.0.1, 110.12.0.1, 1.10.12.0, 10.12 or version 10.12.0.")
        );
        assert_eq!(renumber(text, &[(Ipv4Addr::new(192, 168, 0, 0), 16)]), None);
        assert_eq!(renumber(text, &[(Ipv4Addr::new(10, 0, 0, 0), 8)]), None, "there is nowhere to go");
    }
}

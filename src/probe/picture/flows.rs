//! Translated connections in the picture: where the first packet went, and below it where its answers really go. Of all that the kernel
//! keeps track of these are what a routing table and rules do not tell.

use super::{Drawing, Entry, Part, Shown, Tone};
use crate::kernel::conntrack::Tracked;
use crate::probe::Reading;

impl Drawing<'_> {
    /// Two lines for each: those that say the same, as connections from one port after the other do, are one.
    pub(super) fn flows(&self, one: &Shown<'_>) -> Vec<Entry> {
        let Some(Reading::Value(conntrack)) = self.network(one.inode).map(|network| &network.conntrack) else {
            return Vec::new();
        };
        let rows = one.rows.iter().filter(|(_, row)| row.source.starts_with("IPCTNL_MSG_CT_GET"));
        let mut told: Vec<([String; 2], Vec<usize>)> = Vec::new();
        for (tracked, (index, _)) in conntrack.connections.iter().zip(rows) {
            let Some(words) = words(tracked) else { continue };
            match told.iter_mut().find(|(before, _)| *before == words) {
                Some((_, rows)) => rows.push(*index),
                None => told.push((words, vec![*index])),
            }
        }
        let entry = |branch: &str, text, tone, rows: &[usize]| Entry {
            branch: branch.to_owned(),
            parts: vec![Part { text, tone, change: None }],
            rows: rows.to_vec(),
            ..Entry::default()
        };
        let lines = |([ends, answers], rows): ([String; 2], Vec<usize>)| {
            [entry("", ends, Tone::Plain, &rows), entry("  ", answers, Tone::Name, &rows)]
        };
        told.into_iter().flat_map(lines).collect()
    }
}

/// The ends of a connection, and which of them are others for answers; none where nothing is translated. The port of who began it is another
/// one each time, and left out.
fn words(tracked: &Tracked) -> Option<[String; 2]> {
    let Tracked { protocol, original, reply, .. } = tracked;
    let from = tracked.has_other_destination().then(|| format!(" from {}", reply.from()));
    let to = tracked.has_other_source().then(|| format!(" to {}", reply.destination));
    if from.is_none() && to.is_none() {
        return None;
    }
    let answers = ["answers".to_owned()].into_iter().chain(from).chain(to).collect();
    Some([format!("{protocol} {} → {}", original.source, original.to()), answers])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::conntrack::{Tuple, TupleKind};

    #[test]
    fn of_a_translated_connection_the_other_end_of_answers_is_told() {
        let tuple = |from: [u8; 4], to: [u8; 4], kind| Tuple { source: from.into(), destination: to.into(), kind };
        let ports = |source, destination| TupleKind::Ports { source, destination };
        let tracked = |protocol: &str, original, reply| {
            let (replied, assured) = (true, false);
            words(&Tracked { protocol: protocol.to_owned(), original, reply, state: None, replied, assured })
        };
        let [web, wan, far] = [[10, 0, 0, 2], [192, 0, 2, 2], [203, 0, 113, 7]];
        let told = |words: Option<[String; 2]>| words.map(|words| words.join("; "));
        let published = tracked("tcp", tuple(far, wan, ports(4711, 8080)), tuple(web, far, ports(80, 4711)));
        assert_eq!(told(published).as_deref(), Some("tcp 203.0.113.7 → 192.0.2.2:8080; answers from 10.0.0.2:80"));
        let [ask, answer] = [8, 0].map(|kind| TupleKind::Icmp { kind, code: 0, id: 7 });
        let outside = tracked("icmp", tuple(web, far, ask), tuple(far, wan, answer));
        assert_eq!(told(outside).as_deref(), Some("icmp 10.0.0.2 → 203.0.113.7; answers to 192.0.2.2"));
        let both = tracked("udp", tuple(web, wan, ports(4711, 53)), tuple(web, wan, ports(53, 4711)));
        assert_eq!(told(both).as_deref(), Some("udp 10.0.0.2 → 192.0.2.2:53; answers from 10.0.0.2:53 to 192.0.2.2"));
        assert_eq!(tracked("icmp", tuple(web, far, ask), tuple(far, web, answer)), None);
    }
}

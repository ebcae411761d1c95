//! TCP sockets, as rows of the network panel.

use std::collections::{BTreeMap, BTreeSet};

use super::Teller;
use crate::kernel::netlink::{Connection, Listener, TcpSockets};
use crate::probe::Reading;

impl Teller<'_, '_, '_> {
    /// One row for each listener, and for each end of connections.
    pub(super) fn sockets(&mut self) {
        let source = self.place.source("SOCK_DIAG_BY_FAMILY");
        let ss = format!("{}ss --no-header --listening --tcp --numeric", self.place.enter);
        match &self.network.tcp {
            Reading::Value(TcpSockets { listeners, connections }) => {
                let meaning = "Somebody in this namespace listens on this TCP port. Each network namespace has all 65535 of them.";
                for Listener { address, class } in listeners {
                    let command = format!("{ss} sport = :{}", address.port());
                    // As tc(8) writes it.
                    let class = match class {
                        0 => String::new(),
                        class => format!(", class {:x}:{:x}", class >> 16, class & 0xffff),
                    };
                    self.row(format!("tcp {address}"), format!("LISTEN{class}"), source.clone(), command, meaning);
                }
                let meaning =
                    "Who is connected, as this end sees it. A translation of addresses on the way shows here.";
                for (key, states) in by_peer(connections) {
                    let command = format!("{}ss --no-header --tcp --numeric", self.place.enter);
                    self.row(key, states, source.clone(), command, meaning);
                }
            }
            missing => {
                let meaning =
                    "Which ports have a listener: this kernel does not tell (sock_diag(7), CONFIG_INET_DIAG).";
                self.row("tcp".to_owned(), missing.text(|_| String::new()), source, ss, meaning);
            }
        }
    }
}

/// Connections by their ends, but for the port of the peer, which is another one each time, with the states they are in.
fn by_peer(connections: &[Connection]) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for Connection { local, peer, state } in connections {
        all.entry(format!("tcp {local} from {}", peer.ip())).or_default().insert(state);
    }
    all.into_iter().map(|(key, states)| (key, states.into_iter().collect::<Vec<_>>().join(", "))).collect()
}

//! The server: it knows a few names, and answers for nobody else.

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::message::{self, LONGEST};

/// Names, and the address of each.
pub type Names = BTreeMap<String, IpAddr>;

/// Answers whoever asks on this socket, for so long; without a limit, for ever.
pub fn serve(socket: &UdpSocket, names: &Names, time: Option<Duration>) {
    let (begin, mut packet) = (Instant::now(), [0; LONGEST]);
    while time.is_none_or(|time| begin.elapsed() < time) {
        // An error is told of a packet before: somebody who has asked is gone by now (udp(7)).
        if let Ok((length, from)) = socket.recv_from(&mut packet)
            && let Some(answer) = message::answer(&packet[..length], names)
        {
            let _ = socket.send_to(&answer, from);
        }
    }
}

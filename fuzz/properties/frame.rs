//! Any bytes from another process are messages, or are refused; a message that was understood can be sent again.

use std::fmt::Debug;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use hardway::agent::protocol::{KeeperReply, KeeperRequest, Reply, Request};
use hardway::kernel::channel::{Channel, FrameError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// So little that even what is sent again, with all that was left out written in, fits into a socket: writing never waits.
const MOST: usize = 8 * 1024;

/// Receives what there is, and sends each message on; returns how many there were.
fn received<T: Debug + Serialize + DeserializeOwned>(bytes: &[u8]) -> usize {
    let (mut from, to) = UnixStream::pair().expect("a pair of sockets");
    from.write_all(bytes).expect("it fits into the socket");
    drop(from);
    let channel = Channel::from_fd(to.into());
    let mut count = 0;
    loop {
        match channel.receive::<T>(Some(Duration::from_secs(5))) {
            Ok(message) => {
                count += 1;
                let (one, other) = Channel::pair().expect("a pair of sockets");
                // What JSON can write in fewer bytes than it is written again in may be too long.
                if one.send(&message).is_ok() {
                    let again: T = other.receive(Some(Duration::from_secs(5))).expect("it was sent");
                    assert_eq!(format!("{message:?}"), format!("{again:?}"));
                }
            }
            Err(FrameError::Late(_)) => panic!("everything was there"),
            // The next message may be a good one.
            Err(FrameError::Malformed(_)) => {}
            Err(FrameError::Closed | FrameError::Io(_)) => return count,
        }
    }
}

/// Checks it; returns how many messages were understood.
pub fn holds(bytes: &[u8]) -> usize {
    let Some((first, rest)) = bytes.get(..MOST.min(bytes.len())).and_then(<[u8]>::split_first) else { return 0 };
    match first % 4 {
        0 => received::<Request>(rest),
        1 => received::<Reply>(rest),
        2 => received::<KeeperRequest>(rest),
        _ => received::<KeeperReply>(rest),
    }
}

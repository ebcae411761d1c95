//! A connection, followed from one network namespace to the next.

use std::net::SocketAddr;

use super::say;
use crate::kernel::follow;
use crate::kernel::program::WORK;
use crate::kernel::trace::Trace;

/// Connects, and says where the packets were seen; at last why there is no connection, as [`super::http::ask`] says it.
pub(super) fn follow(to: SocketAddr) -> Result<(), String> {
    let followed = follow::follow(&mut Trace::new(WORK), to).map_err(|error| format!("{to}: {error}"))?;
    say(&followed.lines.join("\n"));
    followed.failed.map_or(Ok(()), |error| Err(format!("{to}: {}", error.errno.words())))
}

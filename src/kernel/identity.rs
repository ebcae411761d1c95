//! Who a process is, beyond its pid: pids are used again, a pid with its start time on one boot is not.
//!
//! The start time is field 22 of `/proc/PID/stat` (proc_pid_stat(5)). The kernel adds the boot-time offset of the reader's
//! time namespace to it (time_namespaces(7)): write and compare an identity in the same time namespace.

use std::fs;
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use super::sys;

/// What hardway needs of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The pid, as the mounted proc numbers it.
    pub pid: i32,
    /// Name of the program, at most 15 bytes; may hold any character, parentheses and line ends too.
    pub comm: String,
    /// State letter: R, S, D, Z, T …
    pub state: char,
    /// Parent's pid; 0 where the parent is outside the pid namespace.
    pub ppid: i32,
    /// Process group.
    pub pgrp: i32,
    /// Start time in clock ticks since boot.
    pub start_time: u64,
}

impl Stat {
    /// Parses the text of a stat file; none where it is not as proc_pid_stat(5) says.
    ///
    /// The name stands between the first `(` and the *last* `)`: everything after it is numbers.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let open = text.iter().position(|byte| *byte == b'(')?;
        let close = text.iter().rposition(|byte| *byte == b')').filter(|close| *close > open)?;
        let pid = std::str::from_utf8(&text[..open]).ok()?.trim().parse().ok()?;
        let comm = String::from_utf8_lossy(&text[open + 1..close]).into_owned();
        let mut fields = std::str::from_utf8(&text[close + 1..]).ok()?.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let ppid = fields.next()?.parse().ok()?;
        let pgrp = fields.next()?.parse().ok()?;
        // Field 22 of the file; 5 are behind us.
        let start_time = fields.nth(16)?.parse().ok()?;
        Some(Self { pid, comm, state, ppid, pgrp, start_time })
    }

    /// The stat of the process that has this pid now; none where there is none.
    pub fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Whether the process has ended and only waits to be waited for (`Z`), or is being taken apart (`X`).
    pub fn ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// A process that can be told from every other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its pid.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
    /// The boot that it belongs to (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
}

impl ProcessIdentity {
    /// The identity of the process that now has this pid; none where there is none.
    pub fn of(pid: i32) -> Option<Self> {
        Some(Self { pid, start_time: start_time(pid)?, boot_id: boot_id() })
    }

    /// A descriptor of exactly this process, where it still lives.
    pub fn open(&self) -> Option<OwnedFd> {
        // First the descriptor, then the comparison: what the descriptor refers to can not change in between.
        let pidfd = sys::pidfd_open(self.pid).ok()?;
        (Self::of(self.pid)? == *self).then_some(pidfd)
    }

    /// Whether this very process still lives. A zombie does not.
    pub fn is_alive(&self) -> bool {
        boot_id() == self.boot_id
            && Stat::of(self.pid).is_some_and(|stat| stat.start_time == self.start_time && !stat.ended())
    }
}

/// When a process started, in clock ticks since boot; none where there is none of this pid.
pub fn start_time(pid: i32) -> Option<u64> {
    Stat::of(pid).map(|stat| stat.start_time)
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::{ProcessIdentity, Stat, start_time};

    /// A line of stat as do_task_stat() of the kernel writes it, cut one field after the start time.
    fn line(stat: &Stat, comm: &[u8]) -> Vec<u8> {
        let Stat { pid, state, ppid, pgrp, start_time, .. } = stat;
        let mut text = format!("{pid} (").into_bytes();
        text.extend_from_slice(comm);
        text.extend_from_slice(
            format!(") {state} {ppid} {pgrp} 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 {start_time} 99\n").as_bytes(),
        );
        text
    }

    #[test]
    fn a_name_may_look_like_the_rest_of_the_line() {
        let comm = "a) R 1 (b\n) S";
        let stat = Stat { pid: 7, comm: comm.to_owned(), state: 'S', ppid: 1, pgrp: 7, start_time: 4711 };
        assert_eq!(Stat::parse(&line(&stat, comm.as_bytes())), Some(stat));
        for text in ["", ")(", "1 (x", "1 (x) R 1"] {
            assert_eq!(Stat::parse(text.as_bytes()), None);
        }
    }

    #[test]
    fn this_process_is_itself_and_no_other() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let own = ProcessIdentity::of(pid).unwrap();
        assert_eq!(start_time(pid), Some(own.start_time));
        assert!(own.is_alive());
        assert!(own.open().is_some());
        let other = ProcessIdentity { start_time: own.start_time + 1, ..own.clone() };
        assert!(!other.is_alive());
        assert!(other.open().is_none());
        assert!(!ProcessIdentity { boot_id: "another boot".to_owned(), ..own }.is_alive());
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let identity = ProcessIdentity::of(pid).unwrap();
        assert!(identity.is_alive());
        child.kill().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while identity.is_alive() {
            assert!(std::time::Instant::now() < deadline, "killed, and still alive");
            std::thread::yield_now();
        }
        assert_eq!(ProcessIdentity::of(pid), Some(identity.clone()), "the zombie still has its pid and start time");
        child.wait().unwrap();
        assert!(!identity.is_alive());
    }

    proptest! {
        #[test]
        fn stat_round_trips(
            pid in 1i32.., comm in proptest::collection::vec(any::<u8>(), 0..16), state in "[RSDZTtXIPW]",
            ppid in 0i32.., pgrp in 0i32.., start_time in any::<u64>(),
        ) {
            let lossy = String::from_utf8_lossy(&comm).into_owned();
            let stat = Stat { pid, comm: lossy, state: state.chars().next().unwrap(), ppid, pgrp, start_time };
            prop_assert_eq!(Stat::parse(&line(&stat, &comm)), Some(stat));
        }

        #[test]
        fn no_text_makes_it_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Stat::parse(&text);
        }
    }
}

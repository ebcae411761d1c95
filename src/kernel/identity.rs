//! Who a process is, beyond its pid: pids are used again, a pid with its start time on one boot is not.

use std::fs;
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use super::sys;

/// A process that can be told from every other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its pid.
    pub pid: i32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`, proc_pid_stat(5)).
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
}

/// When a process started, in clock ticks since boot.
pub fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_start_time(&String::from_utf8_lossy(&stat))
}

/// Field 22. The name in field 2 may hold spaces and parentheses, so fields are counted from its last `)`.
fn parse_start_time(stat: &str) -> Option<u64> {
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_itself_and_no_other() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        let identity = ProcessIdentity::of(own).expect("it lives");
        assert!(identity.open().is_some());
        let other = ProcessIdentity { start_time: identity.start_time + 1, ..identity };
        assert!(other.open().is_none());
    }

    #[test]
    fn a_name_with_parentheses_is_skipped() {
        let stat = "7 (a) b) ) S 1 7 7 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        assert_eq!(parse_start_time(stat), Some(4711));
        assert_eq!(parse_start_time("7 (x"), None);
    }
}

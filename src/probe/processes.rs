//! The process tree: `/proc/PID/stat`, `status`, `cmdline` (proc(5)).

use serde::{Deserialize, Serialize};

use super::{Credentials, Namespaces, Reading};

/// One process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its pid in the namespace of the reader.
    pub pid: i32,
    /// Its parent's pid there; 0 where the parent is outside.
    pub ppid: i32,
    /// Process group.
    pub pgrp: i32,
    /// Name, `comm` of stat: at most 15 bytes.
    pub comm: String,
    /// State letter: R, S, D, Z, T …
    pub state: char,
    /// Start time in clock ticks since boot: with the pid, its identity.
    pub start_time: u64,
    /// Arguments; empty for a zombie.
    pub cmdline: Vec<String>,
    /// Its pids from the reader's namespace inwards (`NSpid` of status); the last is what it sees itself.
    pub nspid: Vec<i32>,
    /// The links of `/proc/PID/ns`.
    pub namespaces: Namespaces,
    /// User, groups, capabilities, id maps.
    pub credentials: Credentials,
    /// Target of `/proc/PID/root`.
    pub root: Reading<String>,
    /// Target of `/proc/PID/cwd`.
    pub cwd: Reading<String>,
    /// Target of `/proc/PID/exe`.
    pub exe: Reading<String>,
}

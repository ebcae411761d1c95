//! Mounts: `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).

use serde::{Deserialize, Serialize};

/// One line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Unique id of the mount.
    pub id: u32,
    /// Id of the mount that it stands on.
    pub parent: u32,
    /// `major:minor` of the file system.
    pub device: String,
    /// Which directory of the file system is mounted.
    pub root: String,
    /// Where, relative to the process's root.
    pub target: String,
    /// Options of the mount.
    pub options: String,
    /// Propagation: `shared:N`, `master:N`, `propagate_from:N`, `unbindable`; empty = private.
    pub propagation: Vec<String>,
    /// Type of the file system.
    pub fstype: String,
    /// Source, or `none`.
    pub source: String,
    /// Options of the file system (super block).
    pub super_options: String,
}

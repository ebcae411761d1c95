//! Who a process is: ids, capabilities and id maps, from `/proc/PID/status`, `uid_map`, `gid_map`, `setgroups`
//! (credentials(7), capabilities(7), user_namespaces(7)).

use serde::{Deserialize, Serialize};

use super::Reading;

/// One line of uid_map or gid_map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    /// First id inside.
    pub inside: u32,
    /// First id outside, in the user namespace of the reader (or of the parent, when reader and process share one).
    pub outside: u32,
    /// How many ids.
    pub count: u32,
}

/// Ids, capabilities and id maps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Real, effective, saved and file system user id.
    pub uid: [u32; 4],
    /// Real, effective, saved and file system group id.
    pub gid: [u32; 4],
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Inheritable, permitted, effective, bounding and ambient capability sets (`CapInh` … `CapAmb`).
    pub caps: [u64; 5],
    /// `NoNewPrivs`.
    pub no_new_privs: bool,
    /// `Seccomp`: 0 none, 1 strict, 2 filter.
    pub seccomp: u8,
    /// `/proc/PID/uid_map`.
    pub uid_map: Reading<Vec<IdMap>>,
    /// `/proc/PID/gid_map`.
    pub gid_map: Reading<Vec<IdMap>>,
    /// `/proc/PID/setgroups`: `allow` or `deny`.
    pub setgroups: Reading<String>,
}

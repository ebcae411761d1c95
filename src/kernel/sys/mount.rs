//! System calls that change mounts.

pub use nix::mount::{MntFlags, MsFlags};

use super::quoted;
use crate::kernel::trace::{CallError, Trace};

/// mount(2).
///
/// # Errors
/// As mount(2) says, among them `EPERM`, `EBUSY`, `ENOENT`, `EINVAL`.
pub fn mount(
    trace: &mut Trace,
    source: &str,
    target: &str,
    fstype: Option<&str>,
    flags: MsFlags,
    data: Option<&str>,
) -> Result<(), CallError> {
    let names: Vec<&str> = flags.iter_names().map(|(name, _)| name).collect();
    let args = vec![
        quoted(source),
        quoted(target),
        fstype.map_or("NULL".to_owned(), quoted),
        if names.is_empty() { "0".to_owned() } else { names.join("|") },
        data.map_or("NULL".to_owned(), quoted),
    ];
    trace.call("mount", args, || nix::mount::mount(Some(source), target, fstype, flags, data).map(|()| 0)).map(drop)
}

/// umount2(2). With `MNT_DETACH` the mount leaves the tree at once, with all below it, and ends when nobody uses it any more.
///
/// # Errors
/// `EBUSY` for a mount that is in use, `EINVAL` for what is no mount point, or is locked (mount_namespaces(7)).
pub fn umount2(trace: &mut Trace, target: &str, flags: MntFlags) -> Result<(), CallError> {
    let names: Vec<&str> = flags.iter_names().map(|(name, _)| name).collect();
    let args = vec![quoted(target), if names.is_empty() { "0".to_owned() } else { names.join("|") }];
    trace.call("umount2", args, || nix::mount::umount2(target, flags).map(|()| 0)).map(drop)
}

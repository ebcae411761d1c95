//! System calls that change mounts and roots.

pub use nix::mount::MsFlags;

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

//! System calls on a UTS namespace.

use super::quoted;
use crate::kernel::trace::{CallError, Trace};

/// sethostname(2).
///
/// # Errors
/// `EINVAL` for more than 64 bytes, `EPERM` without CAP_SYS_ADMIN in the user namespace that owns the UTS namespace.
pub fn sethostname(trace: &mut Trace, name: &str) -> Result<(), CallError> {
    trace
        .call("sethostname", vec![quoted(name), name.len().to_string()], || nix::unistd::sethostname(name).map(|()| 0))
        .map(drop)
}

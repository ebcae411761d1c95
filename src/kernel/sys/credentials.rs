//! System calls that change who a process is.

use crate::kernel::trace::{CallError, Trace};

/// setresuid(2) and setresgid(2) to one id each, after setgroups(2) with an empty list: becomes an ordinary user for good.
///
/// # Errors
/// `EINVAL` where the id is not mapped in this user namespace, `EPERM` without CAP_SETUID.
pub fn become_user(trace: &mut Trace, id: u32) -> Result<(), CallError> {
    let (uid, gid) = (nix::unistd::Uid::from_raw(id), nix::unistd::Gid::from_raw(id));
    let three = || vec![id.to_string(), id.to_string(), id.to_string()];
    // Groups first, users last: after setresuid the right to change groups is gone.
    trace.call("setgroups", vec!["0".into(), "NULL".into()], || nix::unistd::setgroups(&[]).map(|()| 0))?;
    trace.call("setresgid", three(), || nix::unistd::setresgid(gid, gid, gid).map(|()| 0))?;
    trace.call("setresuid", three(), || nix::unistd::setresuid(uid, uid, uid).map(|()| 0))?;
    Ok(())
}

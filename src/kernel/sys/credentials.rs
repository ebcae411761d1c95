//! System calls that change who a process is.

use std::sync::Mutex;

use nix::unistd::{Gid, Uid, getegid, geteuid};

use crate::kernel::trace::{CallError, Trace};

/// The effective ids that this process had when it last made a user namespace, as the namespace above numbers them.
static BEFORE: Mutex<Option<(u32, u32)>> = Mutex::new(None);

/// Remembers who this process is, because in a new user namespace it can not find out any more: there its ids have no map,
/// and the kernel shows the overflow id for each (user_namespaces(7)).
pub fn remember_ids() {
    if let Ok(mut before) = BEFORE.lock() {
        *before = Some((geteuid().as_raw(), getegid().as_raw()));
    }
}

/// The effective user and group id outside of the user namespace that this process made: the only ones that it may map there
/// by itself. Without such a namespace those that it has.
pub fn own_ids() -> (u32, u32) {
    BEFORE.lock().ok().and_then(|before| *before).unwrap_or_else(|| (geteuid().as_raw(), getegid().as_raw()))
}

/// setresuid(2) and setresgid(2) to one id each, after setgroups(2) with an empty list: becomes an ordinary user for good.
///
/// # Errors
/// `EINVAL` where the id is not mapped in this user namespace, `EPERM` without CAP_SETUID.
pub fn become_user(trace: &mut Trace, id: u32) -> Result<(), CallError> {
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    let three = || vec![id.to_string(), id.to_string(), id.to_string()];
    // Groups first, users last: after setresuid the right to change groups is gone.
    set_groups(trace, &[])?;
    trace.call("setresgid", three(), || nix::unistd::setresgid(gid, gid, gid).map(|()| 0))?;
    trace.call("setresuid", three(), || nix::unistd::setresuid(uid, uid, uid).map(|()| 0))?;
    Ok(())
}

/// setgroups(2).
///
/// # Errors
/// `EPERM` without CAP_SETGID, before gid_map is written, and for ever after `deny` in `/proc/PID/setgroups`.
pub fn set_groups(trace: &mut Trace, groups: &[u32]) -> Result<(), CallError> {
    let list: Vec<Gid> = groups.iter().map(|id| Gid::from_raw(*id)).collect();
    let words: Vec<String> = groups.iter().map(u32::to_string).collect();
    let text = if words.is_empty() { "NULL".to_owned() } else { format!("[{}]", words.join(", ")) };
    trace
        .call("setgroups", vec![groups.len().to_string(), text], || nix::unistd::setgroups(&list).map(|()| 0))
        .map(drop)
}

/// prctl(2), PR_SET_DUMPABLE: whether the files of this process in `/proc` are its own again. A change of ids hands them to
/// root, because the process may still hold secrets of who it was.
///
/// # Errors
/// None are known for 0 and 1.
pub fn set_dumpable(trace: &mut Trace, dumpable: bool) -> Result<(), CallError> {
    let args = vec!["PR_SET_DUMPABLE".into(), u8::from(dumpable).to_string()];
    trace.call("prctl", args, || nix::sys::prctl::set_dumpable(dumpable).map(|()| 0)).map(drop)
}

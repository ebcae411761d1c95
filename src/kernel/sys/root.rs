//! System calls that change where paths begin: the root directory and the working directory.

use super::quoted;
use crate::kernel::trace::{CallError, Trace};

/// chroot(2). The working directory stays where it is, be that outside of the new root.
///
/// # Errors
/// `EPERM` without CAP_SYS_CHROOT, `ENOENT`, `ENOTDIR`, `EACCES` for the path.
pub fn chroot(trace: &mut Trace, path: &str) -> Result<(), CallError> {
    trace.call("chroot", vec![quoted(path)], || nix::unistd::chroot(path).map(|()| 0)).map(drop)
}

/// chdir(2).
///
/// # Errors
/// `ENOENT`, `ENOTDIR`, `EACCES` for the path.
pub fn chdir(trace: &mut Trace, path: &str) -> Result<(), CallError> {
    trace.call("chdir", vec![quoted(path)], || nix::unistd::chdir(path).map(|()| 0)).map(drop)
}

/// pivot_root(2): the mount at `new_root` becomes the root of the mount namespace, the old root is mounted on `put_old`.
///
/// # Errors
/// `EINVAL` where new_root is no mount point, or propagation is shared where it may not be; `EBUSY` where one of the two is
/// on the root mount itself; `EPERM` without CAP_SYS_ADMIN.
pub fn pivot_root(trace: &mut Trace, new_root: &str, put_old: &str) -> Result<(), CallError> {
    let args = vec![quoted(new_root), quoted(put_old)];
    trace.call("pivot_root", args, || nix::unistd::pivot_root(new_root, put_old).map(|()| 0)).map(drop)
}

//! The part of the mount interface that libraries lack.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

/// mount_setattr(2): sets and clears attributes of a mount, with `recursive` of all mounts below it too.
///
/// # Errors
/// `EPERM` for an attribute that is locked by a user namespace above, `EINVAL` for a path that is no mount point.
pub fn set_attributes(path: &Path, set: u64, clear: u64, recursive: bool) -> nix::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 };
    let flags = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: path is a C string and attributes a structure of the size given; the kernel only reads both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(result).map(drop)
}

/// fsopen(2), fsconfig(2), fsmount(2): a file system of this type with these options, mounted nowhere. It is gone with the
/// descriptor of its root.
///
/// # Errors
/// `ENODEV` for a type that the kernel does not know, `EPERM` without CAP_SYS_ADMIN where the file system wants it, `ENOSYS`
/// before Linux 5.2.
pub fn detached(fstype: &CStr, options: &[&CStr]) -> nix::Result<OwnedFd> {
    // SAFETY: a C string that outlives the call, and a number.
    let context: OwnedFd = made(unsafe { libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), libc::FSOPEN_CLOEXEC) })?;
    let (create, null) = (libc::FSCONFIG_CMD_CREATE, std::ptr::null::<libc::c_char>());
    let flag = libc::FSCONFIG_SET_FLAG;
    for option in options {
        // SAFETY: this command takes a key, a C string that outlives the call.
        let set = unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), flag, option.as_ptr(), null, 0) };
        Errno::result(set)?;
    }
    // SAFETY: this command takes neither key nor value.
    let result = unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), create, null, null, 0) };
    Errno::result(result)?;
    // SAFETY: three numbers.
    made(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), libc::FSMOUNT_CLOEXEC, 0) })
}

/// open_tree(2) with OPEN_TREE_CLONE: a copy of what is mounted at a path, mounted nowhere. Whoever works on the copy does not
/// keep the mount itself busy. It is gone with the descriptor, which is like one of O_PATH.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN over the mount namespace, `ENOENT` for no such path, `ENOSYS` before Linux 5.2.
pub fn copy(path: &Path) -> nix::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: a C string that outlives the call, and two numbers.
    made(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
}

/// The descriptor that a call has made.
fn made(result: libc::c_long) -> nix::Result<OwnedFd> {
    let fd = Errno::result(result)?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap_or(-1)) })
}

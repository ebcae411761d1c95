//! The part of the mount interface that libraries lack.

use std::ffi::CString;
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

//! What a namespace belongs to: ioctl(2) on an open link of `/proc/PID/ns` (ioctl_ns(2)).

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;

/// The inode of the user namespace that owns this namespace: rights over it are rights there (user_namespaces(7)).
///
/// # Errors
/// `EPERM` where that user namespace is neither the caller's own nor below it.
pub fn owner(namespace: &File) -> io::Result<u64> {
    related(namespace, libc::NS_GET_USERNS)
}

/// The inode of the namespace above this one, of a kind that forms a tree: pid and user.
///
/// # Errors
/// `EPERM` where there is none, or it is neither the caller's own nor below it.
pub fn parent(namespace: &File) -> io::Result<u64> {
    related(namespace, libc::NS_GET_PARENT)
}

/// The user id of whoever made this user namespace, as the caller's user namespace numbers it.
///
/// # Errors
/// `EINVAL` for any other kind.
pub fn creator(user_namespace: &File) -> io::Result<u32> {
    let mut uid: libc::uid_t = 0;
    // SAFETY: the request writes one uid_t, which outlives the call.
    let result = unsafe { libc::ioctl(user_namespace.as_raw_fd(), libc::NS_GET_OWNER_UID, &raw mut uid) };
    Ok(Errno::result(result).map(|_| uid)?)
}

fn related(namespace: &File, request: libc::Ioctl) -> io::Result<u64> {
    // SAFETY: the request takes no argument; its result is a new descriptor or -1.
    let result = unsafe { libc::ioctl(namespace.as_raw_fd(), request) };
    let fd = Errno::result(result)?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    let other = unsafe { File::from_raw_fd(fd) };
    Ok(other.metadata()?.ino())
}

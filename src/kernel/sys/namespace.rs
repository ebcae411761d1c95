//! System calls by which namespaces that exist are named, joined and kept.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::fcntl::{OFlag, open};
use nix::sched::CloneFlags;
use nix::sys::stat::Mode;

use super::{flag_names, quoted};
use crate::kernel::namespace::Namespace;
use crate::kernel::trace::{CallError, Trace};

/// pidfd_open(2): a descriptor for a process, by which setns(2) joins several of its namespaces at once.
///
/// # Errors
/// `ESRCH` where there is no such process.
pub fn open_process(trace: &mut Trace, pid: i32) -> Result<OwnedFd, CallError> {
    opened(trace, "pidfd_open", vec![pid.to_string(), "0".to_owned()], || super::pidfd_open(pid))
}

/// openat(2) of a file that stands for a namespace: a link of `/proc/PID/ns`, or one that was mounted elsewhere.
///
/// # Errors
/// `ENOENT` where there is no such file.
pub fn open_namespace(trace: &mut Trace, path: &str) -> Result<OwnedFd, CallError> {
    let args = vec!["AT_FDCWD".to_owned(), quoted(path), "O_RDONLY|O_CLOEXEC".to_owned()];
    opened(trace, "openat", args, || open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()))
}

/// setns(2).
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN in the own user namespace and in the one that owns the namespace; `EINVAL` for a file that is
/// none of these kinds of namespace.
pub fn setns(trace: &mut Trace, fd: &impl AsFd, namespaces: &[Namespace]) -> Result<(), CallError> {
    let bits = namespaces.iter().fold(CloneFlags::empty(), |all, one| all | one.bits());
    let args = vec![fd.as_fd().as_raw_fd().to_string(), flag_names(namespaces)];
    trace.call("setns", args, || nix::sched::setns(fd.as_fd(), bits).map(|()| 0)).map(drop)
}

/// openat(2) that makes an empty file: something for a mount to stand on.
///
/// # Errors
/// As open(2) says.
pub fn make_file(trace: &mut Trace, path: &str) -> Result<(), CallError> {
    let args = vec!["AT_FDCWD".to_owned(), quoted(path), "O_RDONLY|O_CREAT|O_CLOEXEC".to_owned(), "0644".to_owned()];
    let flags = OFlag::O_RDONLY | OFlag::O_CREAT | OFlag::O_CLOEXEC;
    opened(trace, "openat", args, || open(path, flags, Mode::from_bits_truncate(0o644))).map(drop)
}

/// unlink(2).
///
/// # Errors
/// `EBUSY` for what a mount stands on, `ENOENT` for what is not there.
pub fn unlink(trace: &mut Trace, path: &str) -> Result<(), CallError> {
    trace.call("unlink", vec![quoted(path)], || nix::unistd::unlink(path).map(|()| 0)).map(drop)
}

/// A call that returns a new descriptor.
pub(super) fn opened(
    trace: &mut Trace,
    name: &str,
    args: Vec<String>,
    made: impl FnOnce() -> nix::Result<OwnedFd>,
) -> Result<OwnedFd, CallError> {
    trace.made(name, args, made, |fd| i64::from(fd.as_raw_fd()))
}

//! System calls, each recorded in a [`Trace`] as it is made: here those by which processes are born, isolated and ended, and in
//! one file each those of a family.
//!
//! Only what a learner should see goes through here; hardway's own housekeeping (sockets, waiting, reading `/proc`) does not.

pub mod bpf;
pub mod credentials;
pub mod file;
pub mod ipc;
pub mod mount;
pub mod namespace;
pub mod net;
pub mod root;
pub mod uts;

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sched::CloneFlags;
pub use nix::sys::signal::Signal;
use nix::unistd::Pid;

pub use self::credentials::{become_user, own_ids, remember_ids, set_dumpable, set_groups};
pub use self::file::{
    OFlag, chmod, close, fchmod, mkdir, open, read_file, rmdir, sendfile, symlink, write, write_bytes, write_file,
};
pub use self::mount::{MntFlags, MsFlags, mount, umount2};
pub use self::namespace::{make_file, open_namespace, open_process, setns, unlink};
pub use self::net::{BACKLOG, bind_udp, connect, connect_from_port, connect_udp, listen, receive, send};
pub use self::root::{chdir, chroot, pivot_root};
pub use self::uts::sethostname;
use super::namespace::Namespace;
use super::trace::{CallError, Trace};

/// Which side of a fork this is.
#[derive(Debug)]
pub enum Forked {
    /// The new process.
    Child,
    /// The caller: the child's pid as it numbers it, and a descriptor that refers to the child and no other (pidfd_open(2)).
    Parent {
        /// The child's pid.
        pid: i32,
        /// Its pidfd.
        pidfd: OwnedFd,
    },
}

/// A flag of clone3(2) that the C library's headers have no portable name for (<linux/sched.h>).
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// clone3(2) like fork, with new namespaces of these kinds for the child, and a pidfd for the parent.
///
/// # Errors
/// `ENOMEM` in a pid namespace whose init has ended; `EPERM` without the right to make a namespace; `ENOSPC` or `EUSERS`
/// beyond a limit of `/proc/sys/user`.
pub fn clone3(trace: &mut Trace, namespaces: &[Namespace]) -> Result<Forked, CallError> {
    clone3_into(trace, namespaces, None)
}

/// [`clone3`], with the child born in a cgroup of version 2 (CLONE_INTO_CGROUP), so that there is no moment at which it is
/// outside of it, and a new cgroup namespace has that group for its root.
///
/// # Errors
/// As [`clone3`]; `EBADF` where the directory is not one of a cgroup of version 2.
pub fn clone3_into(
    trace: &mut Trace,
    namespaces: &[Namespace],
    cgroup: Option<&std::fs::File>,
) -> Result<Forked, CallError> {
    let flags = flag_names(namespaces);
    let bits = namespaces.iter().fold(CloneFlags::empty(), |all, one| all | one.bits()).bits();
    let args = vec![format!(
        "{{flags={}CLONE_PIDFD, exit_signal=SIGCHLD}}",
        if flags.is_empty() { String::new() } else { format!("{flags}|") }
    )];
    let mut pidfd: libc::c_int = -1;
    let pid = trace.call("clone3", args, || {
        // SAFETY: clone_args is plain old data for which all zeroes is a valid value.
        let mut clone: libc::clone_args = unsafe { std::mem::zeroed() };
        clone.flags = u64::from(bits.cast_unsigned()) | libc::CLONE_PIDFD as u64;
        clone.pidfd = (&raw mut pidfd) as u64;
        clone.exit_signal = libc::SIGCHLD as u64;
        if let Some(directory) = cgroup {
            clone.flags |= CLONE_INTO_CGROUP;
            clone.cgroup = u64::from(directory.as_raw_fd().cast_unsigned());
        }
        // SAFETY: the structure is initialised and of the size given; without CLONE_VM the child goes on in a copy of this
        // process, which has one thread (every role but the ui has, and the ui forks before it makes any).
        let result = unsafe { libc::syscall(libc::SYS_clone3, &raw mut clone, size_of::<libc::clone_args>()) };
        Errno::result(result)
    })?;
    if pid == 0 {
        return Ok(Forked::Child);
    }
    // SAFETY: the kernel has just stored a new descriptor there, and nobody else knows of it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Forked::Parent { pid: i32::try_from(pid).unwrap_or(i32::MAX), pidfd })
}

/// unshare(2): leaves the shared namespaces of these kinds for new ones. A new pid namespace takes only children.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN (but for a user namespace), `EINVAL` from a process with several threads.
pub fn unshare(trace: &mut Trace, namespaces: &[Namespace]) -> Result<(), CallError> {
    let bits = namespaces.iter().fold(CloneFlags::empty(), |all, one| all | one.bits());
    trace.call("unshare", vec![flag_names(namespaces)], || nix::sched::unshare(bits).map(|()| 0)).map(drop)
}

/// kill(2).
///
/// # Errors
/// `ESRCH` where no such process lives, `EPERM` where it belongs to somebody else.
pub fn kill(trace: &mut Trace, pid: i32, signal: Signal) -> Result<(), CallError> {
    trace
        .call("kill", vec![pid.to_string(), signal.as_str().to_owned()], || {
            nix::sys::signal::kill(Pid::from_raw(pid), signal).map(|()| 0)
        })
        .map(drop)
}

/// execve(2) with the environment as it is. Returns only when it failed: a success has replaced this program, and whoever
/// waits for it notices by a close-on-exec descriptor.
///
/// The errors are `ENOENT` for a missing program (or a missing loader), `EACCES` for one that may not be executed, and others.
pub fn execve(trace: &mut Trace, program: &str, argv: &[String]) -> CallError {
    let path = c_string(program);
    let args: Vec<CString> = argv.iter().map(|arg| c_string(arg)).collect();
    trace.failure("execve", execve_args(program, argv), || match nix::unistd::execv(&path, &args) {
        Err(errno) => errno,
    })
}

/// The arguments of an execve call, as the trace writes them.
pub fn execve_args(program: &str, argv: &[String]) -> Vec<String> {
    let list: Vec<String> = argv.iter().map(|arg| quoted(arg)).collect();
    vec![quoted(program), format!("[{}]", list.join(", ")), "environ".to_owned()]
}

/// wait4(2) for one child: its exit status, or 128 + n where signal n ended it, as a shell counts.
///
/// # Errors
/// `ECHILD` where there is no such child.
pub fn wait4(trace: &mut Trace, pid: i32) -> Result<i32, CallError> {
    let mut status: libc::c_int = 0;
    trace.call("wait4", vec![pid.to_string(), "&status".into(), "0".into(), "NULL".into()], || {
        loop {
            // SAFETY: status outlives the call; the last argument may be null.
            let result = unsafe { libc::wait4(pid, &raw mut status, 0, std::ptr::null_mut()) };
            match Errno::result(i64::from(result)) {
                Err(Errno::EINTR) => {}
                other => return other,
            }
        }
    })?;
    Ok(exit_status(status))
}

/// A wait status as a shell counts it: the exit status, or 128 + n for signal n.
pub fn exit_status(status: libc::c_int) -> i32 {
    if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}

/// The flags for these kinds as C writes them: `CLONE_NEWUTS|CLONE_NEWPID`.
fn flag_names(namespaces: &[Namespace]) -> String {
    namespaces.iter().map(|kind| kind.flag()).collect::<Vec<_>>().join("|")
}

/// A string as the trace shows it: quoted, escaped, and cut where it is long.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 96;
    if text.chars().count() > LONGEST {
        let start: String = text.chars().take(LONGEST).collect();
        return format!("{start:?}...");
    }
    format!("{text:?}")
}

/// A C string; a NUL inside, which no caller passes, ends it.
fn c_string(text: &str) -> CString {
    let upto = text.split('\0').next().unwrap_or_default();
    CString::new(upto).unwrap_or_default()
}

/// Waits until the process behind a pidfd has ended (pidfd_open(2): it is readable then), at most this long. False when it
/// has not.
pub fn wait_for_end(pidfd: &OwnedFd, at_most: Duration) -> bool {
    let mut poll = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let millis = i32::try_from(at_most.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one valid pollfd, which outlives the call.
    unsafe { libc::poll(&raw mut poll, 1, millis) > 0 }
}

/// pidfd_open(2): a descriptor that refers to this process and no other.
///
/// # Errors
/// `ESRCH` where there is no such process.
pub fn pidfd_open(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: two numbers; the result is a new descriptor or -1.
    let result = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(result).unwrap_or(-1)) })
}

/// pidfd_send_signal(2): a signal for exactly the process that the descriptor refers to.
///
/// # Errors
/// `ESRCH` where it has ended, `EPERM` where it is somebody else's.
pub fn pidfd_kill(pidfd: &OwnedFd, signal: Signal) -> Result<(), Errno> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a descriptor, a number, a null pointer that the call allows, and no flags.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal as i32, none, 0) };
    Errno::result(result).map(drop)
}

/// The signal by which a terminal's suspend key stops a process.
pub const TERMINAL_STOP: i32 = libc::SIGTSTP;

/// Stops this process until somebody continues it (signal(7)): what the suspend key does, after the terminal was given back.
pub fn stop_self() {
    let _ = nix::sys::signal::raise(Signal::SIGSTOP);
}

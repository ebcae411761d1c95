//! System calls on System V IPC objects and POSIX message queues (sysvipc(7), mq_overview(7)).

use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{c_string, quoted};
use crate::kernel::trace::{CallError, Trace};

/// The permissions of objects that lessons make: those of ipcmk(1).
const MODE: libc::c_int = 0o644;

/// A kind of System V IPC object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SysvKind {
    /// A segment of shared memory.
    Shm,
    /// A set of semaphores.
    Sem,
    /// A message queue.
    Msg,
}

/// shmget(2) with IPC_CREAT and IPC_EXCL: makes a segment of shared memory. Its id.
///
/// # Errors
/// `EEXIST` for a key in use, `EINVAL` beyond SHMMAX, `ENOSPC` beyond SHMMNI or SHMALL.
pub fn shm_create(trace: &mut Trace, key: u32, bytes: u64) -> Result<i64, CallError> {
    let size = usize::try_from(bytes).unwrap_or(usize::MAX);
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | MODE;
    trace.call("shmget", vec![hex(key), bytes.to_string(), create_flags()], || {
        // SAFETY: three numbers.
        Errno::result(i64::from(unsafe { libc::shmget(key.cast_signed(), size, flags) }))
    })
}

/// shmget(2) as a program calls it that looks for a segment by its key. Its id.
///
/// # Errors
/// `ENOENT` where this IPC namespace has none of that key, `EACCES` for one that the caller may not use.
pub fn shm_find(trace: &mut Trace, key: u32) -> Result<i64, CallError> {
    trace.call("shmget", vec![hex(key), "0".into(), "0".into()], || {
        // SAFETY: three numbers.
        Errno::result(i64::from(unsafe { libc::shmget(key.cast_signed(), 0, 0) }))
    })
}

/// semget(2) with IPC_CREAT and IPC_EXCL: makes a set of semaphores. Its id.
///
/// # Errors
/// `EEXIST` for a key in use, `EINVAL` for none or too many, `ENOSPC` beyond the limits of `kernel.sem`.
pub fn sem_create(trace: &mut Trace, key: u32, count: u16) -> Result<i64, CallError> {
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | MODE;
    trace.call("semget", vec![hex(key), count.to_string(), create_flags()], || {
        // SAFETY: three numbers.
        Errno::result(i64::from(unsafe { libc::semget(key.cast_signed(), count.into(), flags) }))
    })
}

/// msgget(2) with IPC_CREAT and IPC_EXCL: makes a message queue. Its id.
///
/// # Errors
/// `EEXIST` for a key in use, `ENOSPC` beyond MSGMNI.
pub fn msg_create(trace: &mut Trace, key: u32) -> Result<i64, CallError> {
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | MODE;
    trace.call("msgget", vec![hex(key), create_flags()], || {
        // SAFETY: two numbers.
        Errno::result(i64::from(unsafe { libc::msgget(key.cast_signed(), flags) }))
    })
}

/// IPC_RMID: takes an object away (shmctl(2), semctl(2), msgctl(2)). A segment stays until the last process detaches it.
///
/// # Errors
/// `EINVAL` where this IPC namespace has no object of that id, `EPERM` for somebody else's.
pub fn ipc_remove(trace: &mut Trace, kind: SysvKind, id: i32) -> Result<(), CallError> {
    let null = || "NULL".to_owned();
    let (name, args) = match kind {
        SysvKind::Shm => ("shmctl", vec![id.to_string(), "IPC_RMID".into(), null()]),
        SysvKind::Sem => ("semctl", vec![id.to_string(), "0".into(), "IPC_RMID".into()]),
        SysvKind::Msg => ("msgctl", vec![id.to_string(), "IPC_RMID".into(), null()]),
    };
    trace
        .call(name, args, || {
            // SAFETY: IPC_RMID takes no structure, so the pointers may be null.
            let result = unsafe {
                match kind {
                    SysvKind::Shm => libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()),
                    SysvKind::Sem => libc::semctl(id, 0, libc::IPC_RMID),
                    SysvKind::Msg => libc::msgctl(id, libc::IPC_RMID, std::ptr::null_mut()),
                }
            };
            Errno::result(i64::from(result))
        })
        .map(drop)
}

/// mq_open(3) with O_CREAT and O_EXCL: makes a POSIX message queue, which stays when the descriptor is closed.
///
/// # Errors
/// `EEXIST` for a name in use, `ENOSPC` beyond `fs.mqueue.queues_max`, `ENOSYS` on a kernel without them.
pub fn mq_create(trace: &mut Trace, name: &str) -> Result<OwnedFd, CallError> {
    // The library's function takes the slash that begins each name away; this is what the kernel is asked.
    let path = c_string(name);
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    let args = vec![quoted(name), "O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC".into(), format!("0{MODE:o}"), "NULL".into()];
    let fd = trace.call("mq_open", args, || {
        let none = std::ptr::null::<libc::mq_attr>();
        // SAFETY: a C string that outlives the call, two numbers, and a null pointer, which stands for the defaults.
        Errno::result(unsafe { libc::syscall(libc::SYS_mq_open, path.as_ptr(), flags, MODE, none) })
    })?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap_or(-1)) })
}

/// A key as ipcs(1) writes it.
fn hex(key: u32) -> String {
    format!("{key:#010x}")
}

/// The flags of a call that makes an object, as C writes them.
fn create_flags() -> String {
    format!("IPC_CREAT|IPC_EXCL|0{MODE:o}")
}

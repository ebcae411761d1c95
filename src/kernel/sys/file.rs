//! System calls on files and directories, for the kernel's own file systems: there making, writing and removing them are commands.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::quoted;
use crate::kernel::trace::{CallError, Trace};

/// openat(2), write(2) and close(2) of a whole text at once, as a command for the kernel wants it.
///
/// # Errors
/// As the man pages say; what the file is about can refuse with errnos of its own, and does so at the write.
pub fn write_file(trace: &mut Trace, path: &str, text: &str) -> Result<(), CallError> {
    let mut file: Option<File> = None;
    let fd = trace.call("openat", vec!["AT_FDCWD".into(), quoted(path), "O_WRONLY|O_CLOEXEC".into()], || {
        let opened = open(path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        let number = i64::from(opened.as_fd().as_raw_fd());
        file = Some(File::from(opened));
        Ok(number)
    })?;
    trace
        .call("write", vec![fd.to_string(), quoted(text), text.len().to_string()], || {
            let written = file.as_mut().map_or(Ok(0), |file| file.write(text.as_bytes()));
            written.map(|count| i64::try_from(count).unwrap_or(i64::MAX)).map_err(|error| errno(&error))
        })
        .map(drop)
}

/// mkdir(2).
///
/// # Errors
/// `EEXIST`, `EROFS`, `EACCES` and others.
pub fn mkdir(trace: &mut Trace, path: &str, mode: u32) -> Result<(), CallError> {
    let args = vec![quoted(path), format!("0{mode:o}")];
    trace.call("mkdir", args, || nix::unistd::mkdir(path, Mode::from_bits_truncate(mode)).map(|()| 0)).map(drop)
}

/// rmdir(2).
///
/// # Errors
/// `ENOENT`; `EBUSY` for a cgroup with processes or groups in it; `ENOTEMPTY` for an ordinary directory.
pub fn rmdir(trace: &mut Trace, path: &str) -> Result<(), CallError> {
    trace
        .call("rmdir", vec![quoted(path)], || std::fs::remove_dir(path).map(|()| 0).map_err(|error| errno(&error)))
        .map(drop)
}

/// The errno of an error that came from the kernel.
fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

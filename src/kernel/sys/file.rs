//! System calls that make directories, links and files.

use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
pub use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::quoted;
use crate::kernel::trace::{CallError, Trace};

/// mkdir(2).
///
/// # Errors
/// `EEXIST`, `ENOENT`, `EACCES`, `ENOSPC` and others of the path.
pub fn mkdir(trace: &mut Trace, path: &Path, mode: u32) -> Result<(), CallError> {
    trace.call("mkdir", vec![name(path), octal(mode)], || nix::unistd::mkdir(path, bits(mode)).map(|()| 0)).map(drop)
}

/// rmdir(2).
///
/// # Errors
/// `ENOENT`; `EBUSY` for a cgroup with processes or groups in it; `ENOTEMPTY` for an ordinary directory.
pub fn rmdir(trace: &mut Trace, path: &Path) -> Result<(), CallError> {
    let made = || {
        std::fs::remove_dir(path)
            .map(|()| 0)
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
    };
    trace.call("rmdir", vec![name(path)], made).map(drop)
}

/// chmod(2).
///
/// # Errors
/// `ENOENT`, `EPERM` and others of the path.
pub fn chmod(trace: &mut Trace, path: &Path, mode: u32) -> Result<(), CallError> {
    let made = || {
        nix::sys::stat::fchmodat(nix::fcntl::AT_FDCWD, path, bits(mode), nix::sys::stat::FchmodatFlags::FollowSymlink)
            .map(|()| 0)
    };
    trace.call("chmod", vec![name(path), octal(mode)], made).map(drop)
}

/// symlink(2).
///
/// # Errors
/// `EEXIST`, `ENOENT` and others of the path.
pub fn symlink(trace: &mut Trace, to: &Path, path: &Path) -> Result<(), CallError> {
    let made = || nix::unistd::symlinkat(to, nix::fcntl::AT_FDCWD, path).map(|()| 0);
    trace.call("symlink", vec![name(to), name(path)], made).map(drop)
}

/// open(2); close-on-exec always. `mode` is that of a file that is made.
///
/// # Errors
/// `ENOENT`, `EEXIST`, `EACCES` and others of the path.
pub fn open(trace: &mut Trace, path: &Path, flags: OFlag, mode: Option<u32>) -> Result<OwnedFd, CallError> {
    let flags = flags | OFlag::O_CLOEXEC;
    // O_RDONLY is zero, so that no flag has its name.
    let reads = (flags & OFlag::O_ACCMODE == OFlag::O_RDONLY).then_some("O_RDONLY");
    let names: Vec<&str> = reads.into_iter().chain(flags.iter_names().map(|(name, _)| name)).collect();
    let mut args = vec![name(path), names.join("|")];
    args.extend(mode.map(octal));
    let made = || nix::fcntl::open(path, flags, bits(mode.unwrap_or(0))).map(|fd| i64::from(fd.into_raw_fd()));
    let fd = trace.call("open", args, made)?;
    // SAFETY: the kernel has just made this descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap_or(-1)) })
}

/// close(2).
///
/// # Errors
/// `EIO` and others, of writes that the kernel had put off.
pub fn close(trace: &mut Trace, fd: OwnedFd) -> Result<(), CallError> {
    let fd = fd.into_raw_fd();
    trace.call("close", vec![fd.to_string()], || nix::unistd::close(fd).map(|()| 0)).map(drop)
}

/// sendfile(2): copies from one descriptor to another inside the kernel. Returns how many bytes; 0 at the end of the file.
///
/// # Errors
/// `ENOSPC`, `EIO` and others.
pub fn sendfile(trace: &mut Trace, to: &OwnedFd, from: &OwnedFd, count: usize) -> Result<usize, CallError> {
    let args = vec![to.as_raw_fd().to_string(), from.as_raw_fd().to_string(), "NULL".into(), count.to_string()];
    let made = || nix::sys::sendfile::sendfile64(to, from, None, count).map(|sent| i64::try_from(sent).unwrap_or(0));
    trace.call("sendfile", args, made).map(|sent| usize::try_from(sent).unwrap_or(0))
}

/// write(2), until all is written.
///
/// # Errors
/// `ENOSPC`, and whatever the kernel thinks of what is written to one of its own files.
pub fn write(trace: &mut Trace, to: &OwnedFd, text: &str) -> Result<(), CallError> {
    let mut rest = text;
    loop {
        let args = vec![to.as_raw_fd().to_string(), quoted(rest), rest.len().to_string()];
        let made = || nix::unistd::write(to, rest.as_bytes()).map(|sent| i64::try_from(sent).unwrap_or(0));
        let sent = usize::try_from(trace.call("write", args, made)?).unwrap_or(0);
        rest = rest.get(sent..).unwrap_or_default();
        if rest.is_empty() || sent == 0 {
            return Ok(());
        }
    }
}

/// write(2) of any bytes, until all are written. What they are is not shown.
///
/// # Errors
/// `ENOSPC`.
pub fn write_bytes(trace: &mut Trace, to: &OwnedFd, bytes: &[u8]) -> Result<(), CallError> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let args = vec![to.as_raw_fd().to_string(), "buffer".into(), rest.len().to_string()];
        let made = || nix::unistd::write(to, rest).map(|sent| i64::try_from(sent).unwrap_or(0));
        let sent = usize::try_from(trace.call("write", args, made)?).unwrap_or(0);
        rest = rest.get(sent..).unwrap_or_default();
        if sent == 0 {
            break;
        }
    }
    Ok(())
}

/// fchmod(2).
///
/// # Errors
/// `EPERM` for somebody else's file.
pub fn fchmod(trace: &mut Trace, fd: &OwnedFd, mode: u32) -> Result<(), CallError> {
    let args = vec![fd.as_raw_fd().to_string(), octal(mode)];
    trace.call("fchmod", args, || nix::sys::stat::fchmod(fd, bits(mode)).map(|()| 0)).map(drop)
}

fn bits(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode)
}

fn name(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// Permission bits as C writes them.
fn octal(mode: u32) -> String {
    format!("{mode:#05o}").replacen("0o", "0", 1)
}

/// The most that [`read_file`] reads, in bytes.
const MOST: usize = 4096;

/// Writes a whole text to a file at once, as a command for the kernel wants it.
///
/// # Errors
/// As [`open`] and [`write`]; what the file is about can refuse with errnos of its own, and does so at the write.
pub fn write_file(trace: &mut Trace, path: &str, text: &str) -> Result<(), CallError> {
    let file = open(trace, Path::new(path), OFlag::O_WRONLY, None)?;
    write(trace, &file, text)
}

/// The beginning of a file, by one read(2), made readable.
///
/// # Errors
/// As [`open`], and `EACCES`, `EISDIR` and others of the read.
pub fn read_file(trace: &mut Trace, path: &str) -> Result<String, CallError> {
    let file = open(trace, Path::new(path), OFlag::O_RDONLY, None)?;
    let mut text = vec![0; MOST];
    let args = vec![file.as_raw_fd().to_string(), "buffer".into(), MOST.to_string()];
    let made = || nix::unistd::read(&file, &mut text).map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let count = trace.call("read", args, made)?;
    text.truncate(usize::try_from(count).unwrap_or(0));
    Ok(String::from_utf8_lossy(&text).into_owned())
}

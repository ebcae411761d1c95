//! System calls on files of the kernel's own file systems, where a write is a command and a read a question.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::quoted;
use crate::kernel::trace::{CallError, Trace};

/// The most that [`read_file`] reads, in bytes.
const MOST: usize = 4096;

/// openat(2) and write(2) of a whole text at once, as a command for the kernel wants it.
///
/// # Errors
/// As the man pages say; what the file is about can refuse with errnos of its own, and does so at the write.
pub fn write_file(trace: &mut Trace, path: &str, text: &str) -> Result<(), CallError> {
    let (fd, mut file) = open_file(trace, path, OFlag::O_WRONLY, "O_WRONLY|O_CLOEXEC")?;
    trace
        .call("write", vec![fd.to_string(), quoted(text), text.len().to_string()], || {
            let written = file.as_mut().map_or(Ok(0), |file| file.write(text.as_bytes()));
            written.map(|count| i64::try_from(count).unwrap_or(i64::MAX)).map_err(|error| errno(&error))
        })
        .map(drop)
}

/// openat(2) and one read(2): the beginning of a file, made readable.
///
/// # Errors
/// `EACCES`, `ENOENT` and others, as the man pages say.
pub fn read_file(trace: &mut Trace, path: &str) -> Result<String, CallError> {
    let (fd, mut file) = open_file(trace, path, OFlag::O_RDONLY, "O_RDONLY|O_CLOEXEC")?;
    let mut text = vec![0; MOST];
    let count = trace.call("read", vec![fd.to_string(), "buffer".into(), MOST.to_string()], || {
        let read = file.as_mut().map_or(Ok(0), |file| file.read(&mut text));
        read.map(|count| i64::try_from(count).unwrap_or(i64::MAX)).map_err(|error| errno(&error))
    })?;
    text.truncate(usize::try_from(count).unwrap_or(0));
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn open_file(trace: &mut Trace, path: &str, flags: OFlag, words: &str) -> Result<(i64, Option<File>), CallError> {
    let mut file = None;
    let fd = trace.call("openat", vec!["AT_FDCWD".into(), quoted(path), words.into()], || {
        let opened = open(path, flags | OFlag::O_CLOEXEC, Mode::empty())?;
        let number = i64::from(opened.as_fd().as_raw_fd());
        file = Some(File::from(opened));
        Ok(number)
    })?;
    Ok((fd, file))
}

/// The errno of an error that came from the kernel.
fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

//! What every forked process needs: pipes, standard streams, signals as a program expects them, a report, and the way out.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest report, in bytes.
const MAX_REPORT: u64 = 1 << 20;

/// A close-on-exec pipe: read end, write end.
///
/// # Panics
/// Where the process has no descriptors left; a forked role then ends, and its parent reports that.
pub fn pipe() -> (File, File) {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).expect("pipe2: no descriptors left");
    (read.into(), write.into())
}

/// Makes standard input, output and error of these; input from `/dev/null` where none is given. For children before exec.
pub fn attach(input: Option<BorrowedFd<'_>>, output: &impl AsFd, error: &impl AsFd) {
    let null = File::open("/dev/null").ok();
    let input = input.or_else(|| null.as_ref().map(AsFd::as_fd));
    if let Some(input) = input {
        let _ = nix::unistd::dup2_stdin(input);
    }
    let _ = nix::unistd::dup2_stdout(output.as_fd());
    let _ = nix::unistd::dup2_stderr(error.as_fd());
}

/// Undoes what a role did to its signals: nothing blocked, every handler the default one. A program that is executed keeps
/// the mask and the ignored ones. Returns the mask as it was.
pub fn fresh_signals() -> SigSet {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in Signal::iterator() {
        // SAFETY: the default handler runs no code of ours.
        let _ = unsafe { sigaction(signal, &default) };
    }
    let mut before = SigSet::empty();
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), Some(&mut before));
    before
}

/// Puts a signal mask back.
pub fn restore_mask(mask: &SigSet) {
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(mask), None);
}

/// Closes every descriptor but the standard streams and these: a forked role keeps nothing that belongs to the role that it
/// was copied from, neither its channels nor the lock of its ledger. The process must not use the others any more.
pub fn close_all_but(kept: &[BorrowedFd<'_>]) {
    let mut kept: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).collect();
    kept.sort_unstable();
    let mut next = 3;
    for fd in kept.into_iter().chain([u32::MAX]) {
        if fd > next {
            // SAFETY: close_range(2) takes three numbers; what it closes here is, by contract, used by nobody.
            let _ = unsafe { libc::syscall(libc::SYS_close_range, next, fd - 1, 0) };
        }
        next = fd.saturating_add(1);
    }
}

/// Makes reads from a descriptor return at once.
pub fn nonblocking(fd: &impl AsFd) {
    let _ = fcntl(fd.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
}

/// Writes a report to the parent. One that can not be written is noticed there as missing.
pub fn report(mut to: &File, what: &impl Serialize) {
    if let Ok(text) = serde_json::to_vec(what) {
        let _ = to.write_all(&text);
    }
}

/// Reads a child's report up to the end; none where it sent nothing, or nothing that can be understood.
pub fn read_report<T: DeserializeOwned>(from: File) -> Option<T> {
    read_reports(from).pop()
}

/// Reads all reports of a child up to the end, those left out that can not be understood.
pub fn read_reports<T: DeserializeOwned>(from: File) -> Vec<T> {
    let mut text = Vec::new();
    let _ = from.take(MAX_REPORT).read_to_end(&mut text);
    serde_json::Deserializer::from_slice(&text).into_iter().map_while(Result::ok).collect()
}

/// Ends this process at once: a fork must not run the exit handlers of the process that it was copied from.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(status) }
}

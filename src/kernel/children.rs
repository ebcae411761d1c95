//! Waiting: for children that end, for descriptors that become readable, for workers that report in time.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::sys;
use super::trace::{CallError, Trace};

/// Tells when children end, and reaps them: the duty of every init, since orphans become its children (pid_namespaces(7)).
#[derive(Debug)]
pub struct ChildWatch(SignalFd);

impl ChildWatch {
    /// Blocks SIGCHLD and takes it by signalfd(2) from now on. A child that executes a program must unblock it again
    /// ([`super::stdio::fresh_signals`]).
    ///
    /// # Errors
    /// Those of signalfd(2).
    pub fn new() -> io::Result<Self> {
        let mask = SigSet::from(Signal::SIGCHLD);
        mask.thread_block()?;
        Ok(Self(SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// Takes away every child that has ended.
    pub fn reap(&self) {
        while let Ok(Some(_)) = self.0.read_signal() {}
        while let Ok(status) = waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                break;
            }
        }
    }
}

impl AsFd for ChildWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of these can be read (or has closed); which ones. All false when the time is up.
pub fn readable<const N: usize>(fds: [BorrowedFd<'_>; N], at_most: Option<Duration>) -> [bool; N] {
    let mut polled = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    let timeout = at_most.map_or(PollTimeout::NONE, |limit| {
        // Rounded up: poll(2) counts milliseconds, and shall not be back before the time is up.
        PollTimeout::try_from(limit.as_micros().div_ceil(1000).min(1 << 30)).unwrap_or(PollTimeout::ZERO)
    });
    let _ = poll(&mut polled, timeout);
    polled.map(|fd| fd.any().unwrap_or(false))
}

/// CLOCK_MONOTONIC, in nanoseconds.
pub fn monotonic() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// What a worker sent before it ended.
pub enum Worked {
    /// All that it wrote.
    Report(Vec<u8>),
    /// It took too long, and was killed.
    Late,
    /// It ended without a report: the exit status as a shell counts it.
    Died(i32),
}

/// Forks a worker: it performs `body`, writes its report to the pipe that it is given, and ends.
///
/// # Errors
/// That of clone3(2).
pub fn in_worker(at_most: Duration, max_report: usize, body: impl FnOnce(std::fs::File)) -> Result<Worked, CallError> {
    let (mut read, write) = super::stdio::pipe();
    let (pid, pidfd) = match sys::clone3(&mut Trace::new("agent"), &[])? {
        sys::Forked::Child => {
            drop(read);
            super::process_name("hw-worker");
            body(write);
            super::stdio::exit_now(0);
        }
        sys::Forked::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop(write);
    let deadline = Instant::now() + at_most;
    let mut report = Vec::new();
    // Most reports are shorter. After a fork each page of memory that is written is copied.
    let mut chunk = vec![0; 16 * 1024];
    let complete = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let [ready] = readable([read.as_fd()], Some(left));
        if !ready || report.len() > max_report {
            break false;
        }
        match read.read(&mut chunk) {
            Ok(0) => break true,
            Ok(n) => report.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break false,
        }
    };
    let status = end(pid, &pidfd, complete);
    Ok(match (complete, status) {
        (true, 0) if !report.is_empty() => Worked::Report(report),
        (true, status) => Worked::Died(status),
        (false, _) => Worked::Late,
    })
}

/// Waits for a child, which is killed first unless it is about to end by itself.
fn end(pid: i32, pidfd: &OwnedFd, by_itself: bool) -> i32 {
    if !by_itself || !sys::wait_for_end(pidfd, Duration::from_secs(1)) {
        let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    sys::wait4(&mut Trace::new("agent"), pid).unwrap_or(-1)
}

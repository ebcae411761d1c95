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

/// Has a worker perform `body`, and waits until it has ended.
///
/// # Errors
/// Those of [`Worker::fork`].
pub fn in_worker(at_most: Duration, max_report: usize, body: impl FnOnce(std::fs::File)) -> Result<Worked, CallError> {
    let mut worker = Worker::fork(body)?;
    let report = worker.report(at_most, max_report);
    let status = worker.end();
    Ok(match (report, status) {
        (Some(report), 0) if !report.is_empty() => Worked::Report(report),
        (Some(_), status) => Worked::Died(status),
        (None, _) => Worked::Late,
    })
}

/// A forked process that does one thing, writes a report to a pipe, and ends.
#[derive(Debug)]
pub struct Worker {
    pid: i32,
    pidfd: OwnedFd,
    report: std::fs::File,
    /// Whether it has closed its end of the pipe, so that it is about to end by itself.
    ends: bool,
    ended: Option<i32>,
}

impl Worker {
    /// Forks it; `body` is given the pipe.
    ///
    /// # Errors
    /// That of clone3(2).
    pub fn fork(body: impl FnOnce(std::fs::File)) -> Result<Self, CallError> {
        let (report, write) = super::stdio::pipe();
        match sys::clone3(&mut Trace::new("agent"), &[])? {
            sys::Forked::Child => {
                drop(report);
                super::process_name("hw-worker");
                body(write);
                super::stdio::exit_now(0);
            }
            sys::Forked::Parent { pid, pidfd } => Ok(Self { pid, pidfd, report, ends: false, ended: None }),
        }
    }

    /// Its report up to where it has closed the pipe, which it does also when it dies; none where that takes too long, or the report
    /// is too long.
    pub fn report(&mut self, at_most: Duration, max_report: usize) -> Option<Vec<u8>> {
        let deadline = Instant::now() + at_most;
        let mut report = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let [ready] = readable([self.report.as_fd()], Some(left));
            if !ready || report.len() > max_report {
                return None;
            }
            // As much again as there is, since most are short: after a fork each page of memory that is written is copied.
            let had = report.len();
            report.resize(had + had.max(2048), 0);
            match self.report.read(&mut report[had..]) {
                Ok(0) => {
                    report.truncate(had);
                    self.ends = true;
                    return Some(report);
                }
                Ok(n) => report.truncate(had + n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => report.truncate(had),
                Err(_) => return None,
            }
        }
    }

    /// Waits until it has ended, which is helped along unless it does so by itself. The exit status as a shell counts it.
    pub fn end(&mut self) -> i32 {
        *self.ended.get_or_insert_with(|| {
            if !self.ends || !sys::wait_for_end(&self.pidfd, Duration::from_secs(1)) {
                let _ = nix::sys::signal::kill(Pid::from_raw(self.pid), Signal::SIGKILL);
            }
            sys::wait4(&mut Trace::new("agent"), self.pid).unwrap_or(-1)
        })
    }
}

/// No worker outlives whoever waits for it.
impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

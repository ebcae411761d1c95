//! A program that is given a text and answers with one, of which nothing is taken for granted: not that it reads, not that it ends, not
//! that its answer is short.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Serialize;

use super::stdio::nonblocking;
use super::sys::pidfd_open;

/// How much of a program is borne with.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most bytes of its standard output. One more, and it is killed.
    pub stdout: usize,
    /// So many bytes of its standard error are kept; what follows is read and forgotten.
    pub stderr: usize,
    /// How long it may take.
    pub at_most: Duration,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// By itself, with this status.
    Exited(i32),
    /// By a signal of this number, and not by one of ours.
    Signalled(i32),
    /// It took too long, and was killed.
    Late,
    /// It wrote too much, and was killed.
    TooLong,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its standard output, as far as the limit goes.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: Vec<u8>,
    /// Whether there was more of it.
    pub stderr_cut: bool,
    /// How it ended.
    pub ending: Ending,
    /// How long it took.
    pub took: Duration,
}

/// How long a program is tried again that somebody is just writing.
const BUSY: Duration = Duration::from_secs(1);

/// Runs a program in a process group of its own, writes `input` to it and reads what it answers, all at the same time. It has ended, and has
/// been waited for, when this returns. Where it is killed, its process group is; what left that group lives on.
///
/// What it has started may hold its standard output open for as long as it likes: only what was written before the program itself
/// ended is its answer.
///
/// # Errors
/// Those of execve(2): `ENOENT`, `EACCES`, `ENOEXEC`; `EMFILE` for the pipes.
pub fn run(command: &mut Command, input: &[u8], limits: &Limits) -> io::Result<Ran> {
    let started = Instant::now();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut group = Group(Some(spawn(command, started)?));
    let Some(child) = &mut group.0 else { return Err(io::ErrorKind::NotFound.into()) };
    let pidfd = pidfd_open(i32::try_from(child.id()).unwrap_or(i32::MAX))?;
    let mut stdin = child.stdin.take();
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    stdin.iter().for_each(nonblocking);
    stdout.iter().for_each(nonblocking);
    stderr.iter().for_each(nonblocking);
    let mut ran =
        Ran { stdout: Vec::new(), stderr: Vec::new(), stderr_cut: false, ending: Ending::Late, took: Duration::ZERO };
    let mut rest = input;
    let killed = loop {
        let left = limits.at_most.saturating_sub(started.elapsed());
        if left.is_zero() {
            break Some(Ending::Late);
        }
        let ended = wait(stdin.as_ref(), stdout.as_ref(), stderr.as_ref(), &pidfd, left)?;
        if rest.is_empty() || stdin.as_mut().is_some_and(|pipe| !feed(pipe, &mut rest)) {
            // Its end of file.
            stdin = None;
        }
        // Before the end of the program is acted upon: all that it wrote is in the pipes by now.
        if stdout.as_mut().is_some_and(|pipe| !drain(pipe, &mut ran.stdout, limits.stdout, &mut false)) {
            stdout = None;
        }
        if stderr.as_mut().is_some_and(|pipe| !drain(pipe, &mut ran.stderr, limits.stderr, &mut ran.stderr_cut)) {
            stderr = None;
        }
        if ran.stdout.len() > limits.stdout {
            break Some(Ending::TooLong);
        }
        if ended {
            break None;
        }
    };
    ran.stdout.truncate(limits.stdout);
    let status = group.end(killed.is_some())?;
    ran.ending = killed.unwrap_or_else(|| match status.code() {
        Some(code) => Ending::Exited(code),
        None => Ending::Signalled(status.signal().unwrap_or(0)),
    });
    ran.took = started.elapsed();
    Ok(ran)
}

/// Starts it. A program that is open for writing, because it is just being installed or a fork of another thread still has it open, is
/// `ETXTBSY` for a moment (execve(2)).
fn spawn(command: &mut Command, started: Instant) -> io::Result<Child> {
    loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && started.elapsed() < BUSY => {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => return other,
        }
    }
}

/// Waits until one of the pipes can be used or the program has ended; whether it has.
fn wait(
    stdin: Option<&impl AsFd>,
    stdout: Option<&impl AsFd>,
    stderr: Option<&impl AsFd>,
    pidfd: &OwnedFd,
    at_most: Duration,
) -> io::Result<bool> {
    let mut polled = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    polled.extend(stdin.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)));
    polled.extend(stdout.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
    polled.extend(stderr.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
    // Rounded up: poll(2) counts milliseconds.
    let timeout = PollTimeout::try_from(at_most.as_micros().div_ceil(1000).min(1 << 30)).unwrap_or(PollTimeout::MAX);
    match poll(&mut polled, timeout) {
        Ok(_) => Ok(polled[0].any().unwrap_or(false)),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Writes what fits; false once nobody reads it any more, or nothing is left. A program may end well without having read its input.
fn feed(pipe: &mut impl Write, rest: &mut &[u8]) -> bool {
    while !rest.is_empty() {
        match pipe.write(rest) {
            Ok(written) => *rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
    false
}

/// Reads what is there, up to one byte more than are kept; false at its end. What one pipe has is read in turns with the others.
fn drain(pipe: &mut impl Read, into: &mut Vec<u8>, keep: usize, cut: &mut bool) -> bool {
    let mut chunk = [0; 16 * 1024];
    // More than a pipe holds (pipe(7)): when the program has ended, one turn empties it.
    for _ in 0..128 {
        match pipe.read(&mut chunk) {
            Ok(0) => return false,
            Ok(count) => {
                let room = (keep + 1).saturating_sub(into.len()).min(count);
                into.extend_from_slice(&chunk[..room]);
                *cut |= into.len() > keep;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
    true
}

/// A program and what it has started in its process group. None of it outlives whoever gave up waiting, and no zombie remains.
struct Group(Option<Child>);

impl Group {
    fn end(&mut self, kill: bool) -> io::Result<std::process::ExitStatus> {
        let Some(mut child) = self.0.take() else { return Err(io::ErrorKind::NotFound.into()) };
        if kill && let Ok(pid) = i32::try_from(child.id()) {
            // It has not been waited for yet, so its number, which is the group's, is nobody else's.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
        child.wait()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.end(true);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LIMITS: Limits = Limits { stdout: 1000, stderr: 10, at_most: Duration::from_secs(20) };

    fn sh(line: &str, input: &[u8], limits: Limits) -> Ran {
        run(Command::new("sh").args(["-c", line]), input, &limits).unwrap()
    }

    #[test]
    fn texts_go_both_ways_at_once() {
        let long = vec![b'x'; 3 << 20];
        let ran = sh("cat; printf 0123456789 >&2; exit 3", &long, Limits { stdout: long.len(), ..LIMITS });
        assert_eq!((ran.stdout.len(), ran.ending), (long.len(), Ending::Exited(3)));
        assert_eq!((ran.stderr.as_slice(), ran.stderr_cut), (&b"0123456789"[..], false));
    }

    #[test]
    fn a_program_need_not_read() {
        let ran = sh("exec <&-; printf done", &vec![b'x'; 3 << 20], LIMITS);
        assert_eq!((ran.stdout.as_slice(), ran.ending), (&b"done"[..], Ending::Exited(0)));
    }

    #[test]
    fn what_is_too_long_is_cut_off() {
        let ran = sh("yes", b"", LIMITS);
        assert_eq!((ran.stdout.len(), ran.ending), (1000, Ending::TooLong));
        let ran = sh("head -c 1000000 /dev/zero >&2", b"", LIMITS);
        assert_eq!((ran.stderr.len() <= 11, ran.stderr_cut, ran.ending), (true, true, Ending::Exited(0)));
    }

    #[test]
    fn who_is_late_is_killed_with_the_children() {
        let short = Limits { at_most: Duration::from_millis(300), ..LIMITS };
        let ran = sh("sleep 600 & echo $!; wait", b"", short);
        assert!(ran.ending == Ending::Late && ran.took < Duration::from_secs(10), "{ran:?}");
        let pid: i32 = String::from_utf8(ran.stdout).unwrap().trim().parse().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        // It is not this process's child: whoever adopts it waits for it.
        let lives = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        while lives() {
            assert!(Instant::now() < deadline, "{pid} lives");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn what_it_has_started_is_not_waited_for() {
        let ran = sh("sleep 60 & echo $!", b"", LIMITS);
        assert!(ran.ending == Ending::Exited(0) && ran.took < Duration::from_secs(20), "{ran:?}");
        let pid: i32 = String::from_utf8(ran.stdout).unwrap().trim().parse().unwrap();
        let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
    }

    #[test]
    fn a_signal_is_told() {
        assert_eq!(sh("kill -SEGV $$", b"", LIMITS).ending, Ending::Signalled(11));
        let missing = run(&mut Command::new("/no/such/program"), b"", &LIMITS).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}

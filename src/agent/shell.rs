//! The learner's shell: a terminal of the lab host's own, and a bash on it whose prompt carries a mark.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::pty::{Winsize, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setsid};

use crate::explain::Explanation;
use crate::kernel::sys::{self, Forked};
use crate::kernel::trace::Trace;
use crate::kernel::{program, stdio};
use crate::probe::Process;

/// The prompt. Its first part, which terminals do not show, is the mark `OSC 133 ; D ; status` of shell integration: the
/// command before has ended, with this exit status. Nested shells inherit it by the environment.
const PROMPT: &str = "\\[\x1b]133;D;$?\x07\\]\\u@\\h:\\w\\$ ";

/// The shell pane's shell, as the agent holds it.
#[derive(Debug)]
pub struct Shell {
    /// The pid of the first shell.
    pub pid: i32,
    /// Refers to it.
    pidfd: OwnedFd,
    /// The terminal's master side; a duplicate is the ui's.
    pub master: OwnedFd,
}

impl Shell {
    /// Starts a shell on a new terminal of the lab host.
    ///
    /// # Errors
    /// Where there is no terminal to be had, or no program to run.
    pub fn start(rows: u16, columns: u16) -> Result<Self, Explanation> {
        let failed = |deed: &str, why: &dyn std::fmt::Display| {
            Explanation::new(
                "The shell could not be started",
                format!("{deed}: {why}"),
                "steps can still be done by calls",
            )
        };
        let flags = nix::fcntl::OFlag::O_RDWR | nix::fcntl::OFlag::O_NOCTTY | nix::fcntl::OFlag::O_CLOEXEC;
        let master = posix_openpt(flags).map_err(|errno| failed("open /dev/ptmx", &errno))?;
        grantpt(&master).and_then(|()| unlockpt(&master)).map_err(|errno| failed("unlock the terminal", &errno))?;
        let name = ptsname_r(&master).map_err(|errno| failed("find the terminal's name", &errno))?;
        let slave = File::options()
            .read(true)
            .write(true)
            .open(&name)
            .map_err(|error| failed(&format!("open {name}"), &error))?;
        resize(&master, rows, columns);
        let bash = program::find("bash");
        let argv = ["bash", "--norc", "-i"].map(String::from);
        match sys::clone3(&mut Trace::new("agent"), &[]).map_err(|error| failed("fork", &error))? {
            Forked::Child => {
                let _ = setsid();
                // SAFETY: a plain ioctl on an open terminal; a new session has no controlling terminal yet.
                let _ = unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) };
                stdio::attach(Some(slave.as_fd()), &slave, &slave);
                stdio::fresh_signals();
                set_environment();
                let _ = std::env::set_current_dir("/root");
                let error = sys::execve(&mut Trace::new("shell"), &bash, &argv);
                eprintln!("{error}");
                stdio::exit_now(127);
            }
            Forked::Parent { pid, pidfd } => {
                // SAFETY: the descriptor is open and from here on nobody else's.
                let master = unsafe { owned(master) };
                Ok(Self { pid, pidfd, master })
            }
        }
    }

    /// Whether the first shell lives.
    pub fn lives(&self) -> bool {
        !sys::wait_for_end(&self.pidfd, Duration::ZERO)
    }

    /// The process group in the foreground of the terminal, as the agent numbers it.
    pub fn foreground(&self) -> Option<i32> {
        let mut group: libc::pid_t = 0;
        // TIOCGPGRP on the master: on the slave only the session's own processes may ask.
        // SAFETY: the ioctl stores one pid_t.
        let result = unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCGPGRP, &raw mut group) };
        (result == 0 && group > 0).then_some(group)
    }

    /// Ends the shell and everything that descends from it.
    pub fn end(&self, processes: &[Process]) {
        for pid in descendants(processes, self.pid).into_iter().chain([self.pid]) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        sys::wait_for_end(&self.pidfd, Duration::from_secs(1));
    }
}

/// Takes the descriptor out of nix's own type.
///
/// # Safety
/// The master must not be used otherwise afterwards; it is consumed.
unsafe fn owned(master: nix::pty::PtyMaster) -> OwnedFd {
    use std::os::fd::{FromRawFd, IntoRawFd};
    // SAFETY: into_raw_fd gives up ownership of an open descriptor.
    unsafe { OwnedFd::from_raw_fd(master.into_raw_fd()) }
}

/// Sets the size of a terminal (TIOCSWINSZ); its foreground group gets SIGWINCH.
pub fn resize(master: &impl AsRawFd, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows.max(1), ws_col: columns.max(1), ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the ioctl reads one winsize.
    let _ = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
}

/// What the shell starts with: the lab's environment and the marked prompt.
fn set_environment() {
    for (name, value) in [("TERM", "xterm-256color"), ("PS1", PROMPT), ("HISTFILE", "/lab/.bash_history")] {
        // SAFETY: this process was just forked and has one thread.
        unsafe { std::env::set_var(name, value) };
    }
}

/// All processes below this one, nearest first.
pub fn descendants(processes: &[Process], of: i32) -> Vec<i32> {
    let mut found = vec![of];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(
            processes.iter().filter(|p| p.ppid == parent && !found.contains(&p.pid)).map(|p| p.pid).collect::<Vec<_>>(),
        );
        next += 1;
    }
    found.remove(0);
    found
}

/// The subject of a by-hand check: the deepest descendant of the shell in the terminal's foreground group. Where that is
/// the first shell itself, as it was started (the same program, in the lab host's namespaces), nothing has been made yet.
pub fn subject(processes: &[Process], host: i32, shell: i32, foreground: i32) -> Option<i32> {
    let found = |pid: i32| processes.iter().find(|process| process.pid == pid);
    let below = descendants(processes, shell);
    // `descendants` goes level by level, so the last one of the group is the deepest.
    let deepest =
        below.iter().rev().copied().find(|pid| found(*pid).is_some_and(|p| p.pgrp == foreground && p.state != 'Z'));
    if deepest.is_some() {
        return deepest;
    }
    let (shell, host) = (found(shell)?, found(host)?);
    let as_started = shell.comm == "bash" && shell.namespaces == host.namespaces;
    (!as_started && shell.pgrp == foreground).then_some(shell.pid)
}

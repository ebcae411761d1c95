//! A box, seen from the agent: its birth, what it is told, what it reports.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::server::ACTION_DEADLINE;
use crate::explain::Explanation;
use crate::kernel::channel::{Channel, FrameError};
use crate::kernel::stdio;
use crate::kernel::sys::{self, Forked, Signal};
use crate::kernel::trace::{Answer, Call, Trace};
use crate::runtime::action::{Action, HOST, Outcome, Performed};
use crate::runtime::init::{self, Command, Told};

/// The way on where a box is lost.
const START_AGAIN: &str = "go a step back, or reset the stage: the lab host is made anew";

/// A box as the agent holds it.
pub(super) struct BoxHandle {
    name: String,
    /// Its pid in the lab host.
    pub pid: i32,
    /// Its pidfd.
    pub pidfd: OwnedFd,
    channel: Channel,
}

impl BoxHandle {
    /// Forks the process that becomes a box. Its first commands it has in its memory, as it has all that the agent knew.
    ///
    /// # Errors
    /// Where there is no channel to be had; that the kernel refused the fork is in the report.
    pub fn fork(name: &str, first: &[Command]) -> Result<(Performed, Option<Self>), Explanation> {
        let (ours, theirs) = Channel::pair().map_err(|error| {
            Explanation::new("A box could not be made", error.to_string(), "end something, and try again")
        })?;
        let mut trace = Trace::new(HOST);
        let forked = sys::clone3(&mut trace, &[]);
        let (result, handle) = match forked {
            Ok(Forked::Child) => {
                stdio::close_all_but(&[theirs.as_fd()]);
                // Its parent is the lab host's init: without it there is nothing to be a box in.
                init::serve(name, theirs, first);
            }
            Ok(Forked::Parent { pid, pidfd }) => {
                (Ok(Outcome::default()), Some(Self { name: name.to_owned(), pid, pidfd, channel: ours }))
            }
            Err(error) => (Err(error), None),
        };
        Ok((Performed::new(trace, result), handle))
    }

    pub fn lives(&self) -> bool {
        !sys::wait_for_end(&self.pidfd, Duration::ZERO)
    }

    /// Tells it what to do; [`BoxHandle::reports`] has what came of it.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn tell(&self, commands: &[Command]) -> Result<(), Explanation> {
        self.channel.send(&commands).map_err(|error| self.gone(&error))
    }

    /// Takes the reports of these actions, up to the first that failed. `proc` is the lab host's.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn reports(
        &mut self,
        proc: &File,
        actions: &[Action],
        performed: &mut Vec<Performed>,
    ) -> Result<(), Explanation> {
        let mut rest = actions.iter();
        while rest.len() > 0 {
            let reports = self.receive(rest.len()).map_err(|error| self.gone(&error))?;
            for (one, action) in reports.into_iter().zip(&mut rest) {
                let failed = one.result.is_err();
                performed.push(one);
                if failed {
                    return Ok(());
                }
                if matches!(action, Action::Fork(_)) {
                    // From here on the child is the box.
                    (self.pid, self.pidfd) =
                        only_child(proc, self.pid).ok_or_else(|| self.gone(&FrameError::Closed))?;
                }
            }
        }
        Ok(())
    }

    /// The next reports, of at most so many actions. A box that takes too long is ended: nothing it does later may surprise
    /// anybody.
    fn receive(&self, actions: usize) -> Result<Vec<Performed>, FrameError> {
        let patience = ACTION_DEADLINE * u32::try_from(actions).unwrap_or(u32::MAX);
        let told = self.channel.receive(Some(patience)).inspect_err(|_| {
            let _ = sys::pidfd_kill(&self.pidfd, Signal::SIGKILL);
        })?;
        match told {
            Told::Performed(performed) => Ok(performed),
            Told::Executing(args) => match self.channel.receive(Some(ACTION_DEADLINE)) {
                Ok(Told::Performed(refused)) => Ok(refused),
                // The close-on-exec channel has closed: the kernel has replaced the program.
                Err(FrameError::Closed) if self.lives() => Ok(vec![executed(&self.name, args)]),
                Ok(Told::Executing(_)) => Err(FrameError::Malformed("a second exec".into())),
                Err(error) => Err(error),
            },
        }
    }

    fn gone(&self, error: &FrameError) -> Explanation {
        Explanation::new(format!("The {} did not answer", self.name), error.to_string(), START_AGAIN)
    }
}

/// That there is no such box, or none any more.
pub(super) fn no_such_box(name: &str) -> Explanation {
    let why = format!("the process {name} has ended, or was never made");
    Explanation::new(format!("There is no {name} that could do this"), why, START_AGAIN)
}

/// The report of an exec that succeeded; the call itself never returned, the closed channel proved it.
fn executed(name: &str, args: Vec<String>) -> Performed {
    let call = Call { by: name.to_owned(), name: "execve".into(), args, answer: Answer::Returned(0), nanos: 0 };
    Performed { calls: vec![call], result: Ok(Outcome::default()), told: String::new() }
}

/// The one child of a process, from `/proc/PID/task/PID/children` (proc(5)), and a pidfd of it.
fn only_child(proc: &File, pid: i32) -> Option<(i32, OwnedFd)> {
    let path = format!("{pid}/task/{pid}/children");
    let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_CLOEXEC;
    let file = nix::fcntl::openat(proc, path.as_str(), flags, nix::sys::stat::Mode::empty()).ok()?;
    let text = std::io::read_to_string(File::from(file)).ok()?;
    let child = text.split_whitespace().next()?.parse().ok()?;
    Some((child, sys::pidfd_open(child).ok()?))
}

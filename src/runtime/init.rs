//! The steppable init: the process that is turned into a container, one command at a time.
//!
//! It performs commands on itself while it waits between them, so that `/proc/PID` can be watched as it changes. After a
//! fork the child serves on and the parent only waits; after an exec the program that was executed has replaced all this.

use std::io::Read;
use std::os::fd::AsFd;

use serde::{Deserialize, Serialize};

use super::action::{Action, Outcome, Performed};
use super::process::{Exec, Kill};
use crate::kernel::channel::Channel;
use crate::kernel::children::{ChildWatch, readable};
use crate::kernel::sys::{self, Forked, Signal};
use crate::kernel::trace::{CallError, Trace};
use crate::kernel::{process_name, process_title, program, stdio};

/// What a box is told to do, and where that concerns another process, which number the lab host has for it.
pub type Command = (Action, Option<i32>);

/// What a box answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Told {
    /// Actions that were performed, of which the last may have failed.
    Performed(Vec<Performed>),
    /// The box calls execve now, with these arguments. The channel closes when that succeeds; else [`Told::Performed`] follows.
    Executing(Vec<String>),
}

/// Performs the first commands, which the fork has brought along, and serves more until the agent closes the channel. `name` is
/// the box's, shown as its `comm`.
pub fn serve(name: &str, channel: Channel, first: &[Command]) -> ! {
    process_title(name);
    let forked = perform(name, &channel, first);
    // Only now: the first reports are waited for. Until here SIGCHLD is blocked, as it was in the agent.
    let Ok(mut children) = forked.map_or_else(ChildWatch::new, Ok) else { stdio::exit_now(1) };
    loop {
        let [command, ended] = readable([channel.as_fd(), children.as_fd()], None);
        if ended {
            children.reap();
        }
        if command {
            let Ok(commands) = channel.receive::<Vec<Command>>(None) else { stdio::exit_now(0) };
            children = perform(name, &channel, &commands).unwrap_or(children);
        }
    }
}

/// Performs commands up to the first that fails, and reports. After a fork this is the child, which watches children of its own.
fn perform(name: &str, channel: &Channel, commands: &[Command]) -> Option<ChildWatch> {
    let mut reports = Reports { channel, unsent: Vec::new() };
    let mut children = None;
    for (action, other) in commands {
        let mut trace = Trace::new(name);
        let result = match (action, other) {
            (Action::Fork(_), _) => match fork(name, &mut reports, &mut trace) {
                Ok(own) => {
                    children = Some(own);
                    continue;
                }
                Err(error) => Err(error),
            },
            (Action::Exec(exec), _) => Err(execute(exec, &mut reports, &mut trace)),
            (Action::Kill(kill), _) => {
                reports.send();
                signal_self(kill, &mut trace)
            }
            (action, other) => match (action.on_other(), other, action.alone()) {
                (Some(deed), Some(pid), _) => deed.perform_on(&mut trace, *pid),
                (_, _, Some(deed)) => deed.perform(&mut trace),
                // Only the agent makes boxes, and it never passes that on.
                _ => stdio::exit_now(1),
            },
        };
        let failed = result.is_err();
        reports.unsent.push(Performed::new(trace, result));
        if failed {
            break;
        }
    }
    reports.send();
    children
}

/// Reports of actions, sent together: each frame wakes the agent. Sent at the latest before the box may come to its end.
struct Reports<'a> {
    channel: &'a Channel,
    unsent: Vec<Performed>,
}

impl Reports<'_> {
    fn send(&mut self) {
        let unsent = std::mem::take(&mut self.unsent);
        if !unsent.is_empty() && self.channel.send(&Told::Performed(unsent)).is_err() {
            stdio::exit_now(0);
        }
    }
}

/// Forks. Returns in the child, which serves on; the parent reports the fork, and from then on only waits.
fn fork(name: &str, reports: &mut Reports<'_>, trace: &mut Trace) -> Result<ChildWatch, CallError> {
    // Closed by the parent once it has reported the fork: the child's reports come after that.
    let (mut reported, report) = stdio::pipe();
    match sys::clone3(trace, &[])? {
        Forked::Child => {
            drop(report);
            reports.unsent.clear();
            let _ = reported.read(&mut [0]);
            // A signalfd delivers the signals of whoever reads it, but is woken for those of its maker.
            Ok(ChildWatch::new().unwrap_or_else(|_| stdio::exit_now(1)))
        }
        Forked::Parent { pid, .. } => {
            reports.unsent.push(Performed {
                calls: trace.calls().to_vec(),
                result: Ok(Outcome::default()),
                told: String::new(),
            });
            reports.send();
            // The channel too: when the child executes a program, the agent must see the last copy of it close.
            stdio::close_all_but(&[]);
            process_name(&format!("{name}'s parent"));
            stdio::exit_now(sys::wait4(&mut Trace::new(name), pid).unwrap_or(1));
        }
    }
}

/// Becomes another program. Returns only when the kernel refuses.
fn execute(exec: &Exec, reports: &mut Reports<'_>, trace: &mut Trace) -> CallError {
    let path = program::find(exec.argv.first().map_or("", String::as_str));
    reports.send();
    let _ = reports.channel.send(&Told::Executing(sys::execve_args(&path, &exec.argv)));
    // What execve keeps: blocked signals, ignored signals, and descriptors that are not close-on-exec.
    let mask = stdio::fresh_signals();
    let error = sys::execve(trace, &path, &exec.argv);
    stdio::restore_mask(&mask);
    error
}

/// Sends itself a signal, under the pid that it has in its own pid namespace.
fn signal_self(kill: &Kill, trace: &mut Trace) -> Result<Outcome, CallError> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    sys::kill(trace, own, kill.signal().unwrap_or(Signal::SIGTERM))?;
    Ok(Outcome::default())
}

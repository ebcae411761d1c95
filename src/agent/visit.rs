//! `hardway enter`: a shell in a lab host that runs, or in a box in it, from another terminal.
//!
//! The way in is that of nsenter(1) and of `docker exec`: setns(2) into every namespace of a process that is inside, its
//! root directory, its cgroup, and no more rights than it has.

use std::path::Path;

use super::{door, groups};
use crate::explain::Explanation;
use crate::kernel::enter;
use crate::kernel::identity::ProcessIdentity;
use crate::kernel::sys::{self, Forked};
use crate::kernel::trace::Trace;
use crate::kernel::{program, stdio};
use crate::probe::Names;
use crate::runtime::ledger::{self, Entry};

/// A lab host that runs, as its ledger tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its init.
    pub init: ProcessIdentity,
    /// The cgroups of its session.
    cgroups: Vec<std::path::PathBuf>,
    /// Those in hierarchies that are mounted nowhere: controllers and names.
    private: Vec<(String, String)>,
}

/// The lab hosts of this user that run, the newest first.
pub fn running() -> Vec<Running> {
    let mut all: Vec<Running> = ledger::living(&ledger::base()).iter().filter_map(|path| of_ledger(path)).collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.init.start_time));
    all
}

fn of_ledger(path: &Path) -> Option<Running> {
    let entries = ledger::entries(path);
    let init = entries.iter().rev().find_map(|entry| match entry {
        Entry::Lab(init) => Some(init.clone()),
        _ => None,
    })?;
    let cgroups = entries.iter().filter_map(|entry| match entry {
        Entry::Cgroup(directory) => Some(directory.clone()),
        _ => None,
    });
    let private = entries.iter().filter_map(|entry| match entry {
        Entry::Private { controller, group } => Some((controller.clone(), group.clone())),
        _ => None,
    });
    init.is_alive().then_some(Running { cgroups: cgroups.collect(), private: private.collect(), init })
}

/// Runs a shell in a lab host or, with a name or a pid as the lab host numbers it, where that process is; waits for its end.
/// Its exit status. No thread may exist.
///
/// # Errors
/// Where the kernel refuses, or there is nobody of that name.
pub fn shell(lab: &Running, whom: Option<&str>) -> Result<i32, Explanation> {
    // In a child, which ends with the lab host: this process is to live on and tell how the visit ended.
    in_child(|| {
        go_in(lab)?;
        let proc = Path::new("/proc").join(lab.init.pid.to_string());
        let agent = inner_pid(&proc).ok_or_else(|| failed("There is no lab host any more", &"its init has ended"))?;
        enter::process(&proc).map_err(|error| failed("The lab host could not be entered", &error))?;
        // In a child again: only children are in the pid namespace that was entered.
        in_child(|| match whom {
            None => Err(become_shell()),
            Some(whom) => {
                let sample =
                    door::knock(agent).map_err(|error| failed("The lab host does not tell who is who", &error))?;
                let pid = find(whom, &sample.names).filter(|pid| sample.observation.process(*pid).is_some());
                let pid = pid.ok_or_else(|| unknown(whom, &sample.names))?;
                let proc = Path::new("/proc").join(pid.to_string());
                enter::process(&proc).map_err(|error| failed(&format!("{whom} could not be entered"), &error))?;
                in_child(|| Err(become_shell()))
            }
        })
    })
}

/// Moves this process into the lab host's cgroups, so that a visitor gets what the lab host gets, guards included.
fn go_in(lab: &Running) -> Result<(), Explanation> {
    groups::join(&lab.cgroups).and_then(|()| groups::join_private(&lab.private)).or_else(|error| {
        match crate::kernel::host::effective_uid() {
            0 => Err(failed("The lab host's cgroups could not be entered", &error)),
            // Without root there are no guards to come under, and a terminal elsewhere may not be left for that group.
            _ => Ok(()),
        }
    })
}

fn failed(what: &str, why: &dyn std::fmt::Display) -> Explanation {
    let fix = "hardway enter, without a name, leads into the lab host; ps and lsns show who is there";
    Explanation::new(what, why.to_string(), fix)
}

/// Does something in a child and waits for it: its exit status. Trouble is told there.
fn in_child(deed: impl FnOnce() -> Result<i32, Explanation>) -> Result<i32, Explanation> {
    let error = |error: crate::kernel::trace::CallError| error.explain("The shell could not be started", "try again");
    match sys::clone3(&mut Trace::new("enter"), &[]).map_err(error)? {
        Forked::Child => match deed() {
            Ok(status) => stdio::exit_now(status),
            Err(explanation) => {
                eprintln!("hardway: {explanation}");
                stdio::exit_now(1);
            }
        },
        Forked::Parent { pid, .. } => sys::wait4(&mut Trace::new("enter"), pid).map_err(error),
    }
}

/// The words of lessons, or a number.
fn find(whom: &str, names: &Names) -> Option<i32> {
    match whom {
        "host" => Some(names.host),
        "shell" => names.shell,
        _ => names.boxes.get(whom).copied().or(names.subject.filter(|_| whom == "box")).or_else(|| whom.parse().ok()),
    }
}

fn unknown(whom: &str, names: &Names) -> Explanation {
    let mut known: Vec<&str> = vec!["host"];
    known.extend(names.boxes.keys().map(String::as_str));
    known.extend(names.subject.filter(|_| !names.boxes.contains_key("box")).map(|_| "box"));
    known.extend(names.shell.map(|_| "shell"));
    Explanation::new(
        format!("There is no {whom:?} in this lab host"),
        format!("now there are: {}", known.join(", ")),
        "write one of these, or a pid as the lab host numbers it",
    )
}

/// Returns only when there is no shell that could be run.
fn become_shell() -> Explanation {
    for (name, value) in super::start::ENVIRONMENT {
        // SAFETY: this process was just forked and has one thread.
        unsafe { std::env::set_var(name, value) };
    }
    stdio::fresh_signals();
    let mut refused = Vec::new();
    for argv in [&["bash", "--norc"][..], &["sh"]] {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let error = sys::execve(&mut Trace::new("enter"), &program::find(&argv[0]), &argv);
        refused.push(error.to_string());
    }
    Explanation::new(
        "There is no shell there",
        refused.join("; "),
        "a rootfs without a shell can not be entered by one: enter the lab host, and look from there (ls /proc/PID/root)",
    )
}

/// The pid that a process has in its innermost pid namespace (`NSpid` of status).
fn inner_pid(proc: &Path) -> Option<u32> {
    let status = std::fs::read_to_string(proc.join("status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().next_back()?.parse().ok()
}

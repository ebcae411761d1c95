//! Processes: that they live, what they run, which pids they have, and what `/proc` shows to them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Predicate, Probe, Seen, View, inode, lives, value};
use crate::kernel::namespace::Namespace;
use crate::probe::Process;

/// The longest `comm` of a process, in bytes (`TASK_COMM_LEN` of the kernel, less its NUL).
const MAX_COMM: usize = 15;

/// The process lives (a zombie does not).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exists {
    /// Who.
    pub of: String,
}

impl Predicate for Exists {
    fn claim(&self) -> String {
        format!("{} lives", self.of)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        Ok((true, format!("{} is pid {}", self.of, view.living(&self.of)?.pid)))
    }
}

/// It does not live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gone {
    /// Who.
    pub of: String,
}

impl Predicate for Gone {
    fn claim(&self) -> String {
        format!("{} lives no more", self.of)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        Ok((false, format!("{} is pid {}", self.of, view.living(&self.of)?.pid)))
    }
}

/// It is the very process that was made at first: nobody has forked since. Its parent is the lab host's init, or by hand the shell
/// that the learner began with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unforked {
    /// Who.
    pub of: String,
}

impl Predicate for Unforked {
    fn claim(&self) -> String {
        format!("{} is the process that it was, and no child of that one", self.of)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let process = view.living(&self.of)?;
        let holds = process.ppid == view.names.host || Some(process.ppid) == view.names.shell;
        let parent = view.observation.process(process.ppid).map_or("?", |parent| parent.comm.as_str());
        Ok((holds, format!("its parent is pid {}, `{parent}`", process.ppid)))
    }
}

/// Its program's name (`comm`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comm {
    /// Who.
    pub of: String,
    /// The name.
    pub is: String,
}

impl Predicate for Comm {
    fn claim(&self) -> String {
        format!("{} runs `{}`", self.of, self.is)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let seen = &view.living(&self.of)?.comm;
        Ok((seen == comm(&self.is), format!("{} runs `{seen}`", self.of)))
    }
}

/// The pid that a process has in its own pid namespace (the last of `NSpid`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PidInside {
    /// Who.
    pub of: String,
    /// The pid.
    pub is: i32,
}

impl Predicate for PidInside {
    fn claim(&self) -> String {
        format!("{} is PID {} in its own pid namespace", self.of, self.is)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let numbers = &view.living(&self.of)?.nspid;
        let list = numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        Ok((numbers.last() == Some(&self.is), format!("NSpid of {}: {list}", self.of)))
    }
}

/// The `/proc` that a process sees lists exactly the members of its own pid namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcShowsOwn {
    /// Who.
    pub of: String,
}

impl Predicate for ProcShowsOwn {
    fn claim(&self) -> String {
        format!("the /proc that {} sees lists the processes of its own pid namespace, and no others", self.of)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let process = view.living(&self.of)?;
        let own = inode(process, Namespace::Pid)?;
        let level = process.nspid.len().checked_sub(1).ok_or("no NSpid")?;
        let is_own = |it: &Process| inode(it, Namespace::Pid) == Ok(own);
        let processes = &view.observation.processes;
        // Members of namespaces below its own are in it too, under their number at its level.
        let below = |it: &Process| {
            let mut above = Some(it);
            // A tree has no cycles, but a made-up observation may.
            for _ in 0..processes.len() {
                above = above.and_then(|it| view.observation.process(it.ppid));
                if above.is_some_and(is_own) {
                    return true;
                }
            }
            false
        };
        let mut members: Vec<i32> = processes
            .iter()
            .filter(|it| is_own(it) || (it.nspid.len() > level + 1 && below(it)))
            .filter_map(|it| it.nspid.get(level).copied())
            .collect();
        members.sort_unstable();
        let mut visible = visible(view, process)?.clone();
        visible.sort_unstable();
        let seen = format!("/proc lists {}; the namespace has {}", some(&visible), some(&members));
        Ok((visible == members, seen))
    }
}

/// A program of this name lives in the pid namespace of a process, and its parent is PID 1 of that namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Adopted {
    /// Whose pid namespace.
    pub by: String,
    /// The program's name.
    pub comm: String,
}

impl Predicate for Adopted {
    fn claim(&self) -> String {
        format!("`{}` runs in the pid namespace of {}, as a child of PID 1 there", self.comm, self.by)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let Self { by, comm: name } = self;
        let own = view.namespace(by, Namespace::Pid)?;
        let is_member = |it: &&Process| lives(it) && it.comm == comm(name) && inode(it, Namespace::Pid) == Ok(own);
        let mut found = view.observation.processes.iter().filter(is_member).peekable();
        let Some(first) = found.peek().copied() else {
            return Ok((false, format!("`{name}` does not run in the pid namespace of {by}")));
        };
        let is_init = |pid: i32| {
            view.observation
                .process(pid)
                .is_some_and(|parent| parent.nspid.last() == Some(&1) && inode(parent, Namespace::Pid) == Ok(own))
        };
        Ok(match found.find(|it| is_init(it.ppid)) {
            Some(it) => (true, format!("`{name}` is pid {}, its parent is pid {}", it.pid, it.ppid)),
            None => (false, format!("the parent of `{name}`, pid {}, is pid {}", first.pid, first.ppid)),
        })
    }
}

/// No process of this name lives in the lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoProcess {
    /// The program's name.
    pub comm: String,
}

impl Predicate for NoProcess {
    fn claim(&self) -> String {
        format!("no process called `{}` lives", self.comm)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let name = &self.comm;
        Ok(match view.observation.processes.iter().find(|it| lives(it) && it.comm == comm(name)) {
            Some(process) => (false, format!("`{name}` is pid {}", process.pid)),
            None => (true, format!("`{name}` is nowhere in the process tree")),
        })
    }
}

/// The pid in its own pid namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnPid {
    /// Whose.
    pub of: String,
}

impl Probe for OwnPid {
    fn words(&self) -> String {
        format!("the pid of {} in its own pid namespace", self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        view.living(&self.of)?.nspid.last().map(ToString::to_string).ok_or_else(|| "no NSpid".to_owned())
    }
}

/// The pid as the lab host numbers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pid {
    /// Whose.
    pub of: String,
}

impl Probe for Pid {
    fn words(&self) -> String {
        format!("the pid of {} as the lab host numbers it", self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        Ok(view.living(&self.of)?.pid.to_string())
    }
}

/// The parent's pid as the lab host numbers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ppid {
    /// Whose parent.
    pub of: String,
}

impl Probe for Ppid {
    fn words(&self) -> String {
        format!("the pid of the parent of {} as the lab host numbers it", self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        Ok(view.living(&self.of)?.ppid.to_string())
    }
}

/// How many processes `/proc` shows to a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Visible {
    /// To whom.
    pub of: String,
}

impl Probe for Visible {
    fn words(&self) -> String {
        format!("the number of processes in the /proc that {} sees", self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        Ok(visible(view, view.living(&self.of)?)?.len().to_string())
    }
}

/// `name` as the kernel would cut it for `comm`.
fn comm(name: &str) -> &str {
    let mut end = name.len().min(MAX_COMM);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

fn visible<'a>(view: &View<'a>, process: &Process) -> Seen<&'a Vec<i32>> {
    let mnt = inode(process, Namespace::Mnt)?;
    value(view.observation.visible_pids.get(&mnt))
}

/// Pids for people: not more than a line holds.
fn some(pids: &[i32]) -> String {
    const MOST: usize = 8;
    let mut list = pids.iter().take(MOST).map(ToString::to_string).collect::<Vec<_>>().join(" ");
    if pids.len() > MOST {
        list.push_str(&format!(" … ({} in all)", pids.len()));
    }
    if list.is_empty() { "nothing".to_owned() } else { list }
}

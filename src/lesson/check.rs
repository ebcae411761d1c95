//! Checks: predicates on observations. They look at kernel state, never at what was typed.

use serde::{Deserialize, Serialize};

use crate::kernel::namespace::Namespace;
use crate::probe::{Names, Observation, Process, Reading};
use crate::runtime::action::HOST;

/// A predicate. In a by-hand check `box` means the subject: what the learner's shell made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Check {
    /// The process lives (a zombie does not).
    Exists {
        /// Who.
        of: String,
    },
    /// It does not live.
    Gone {
        /// Who.
        of: String,
    },
    /// Its program's name (`comm`).
    Comm {
        /// Who.
        of: String,
        /// The name.
        is: String,
    },
    /// Two processes are in different namespaces of a kind.
    NamespaceDiffers {
        /// Who.
        of: String,
        /// Which link.
        kind: Namespace,
        /// From whom.
        from: String,
    },
    /// Two processes are in the same namespace of a kind.
    NamespaceSame {
        /// Who.
        of: String,
        /// Which link.
        kind: Namespace,
        /// As whom.
        r#as: String,
    },
    /// The host name that a process sees.
    Hostname {
        /// Who.
        of: String,
        /// The name.
        is: String,
    },
    /// The pid that a process has in its own pid namespace (the last of `NSpid`).
    PidInside {
        /// Who.
        of: String,
        /// The pid.
        is: i32,
    },
    /// The `/proc` that a process sees lists exactly the members of its own pid namespace.
    ProcShowsOwn {
        /// Who.
        of: String,
    },
    /// A program of this name lives in the pid namespace of a process, and its parent is PID 1 of that namespace.
    Adopted {
        /// Whose pid namespace.
        by: String,
        /// The program's name.
        comm: String,
    },
    /// No process of this name lives in the lab.
    NoProcess {
        /// The program's name.
        comm: String,
    },
}

/// A value that a probe can give: the answer to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Value {
    /// The host name that a process sees.
    Hostname {
        /// Who.
        of: String,
    },
    /// The pid in its own pid namespace.
    PidInside {
        /// Who.
        of: String,
    },
    /// The pid as the lab host numbers it.
    Pid {
        /// Who.
        of: String,
    },
    /// The parent's pid as the lab host numbers it.
    Ppid {
        /// Who.
        of: String,
    },
    /// How many namespace links differ from another process's.
    NamespacesThatDiffer {
        /// Who.
        of: String,
        /// From whom.
        from: String,
    },
    /// How many processes `/proc` shows to a process.
    ProcessesVisible {
        /// Who.
        of: String,
    },
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The predicate in words: "box is in another uts namespace than host".
    pub claim: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was seen: "box 4026532201, host 4026531838".
    pub seen: String,
}

/// The longest `comm` of a process, in bytes (`TASK_COMM_LEN` of the kernel, less its NUL).
const MAX_COMM: usize = 15;

impl Check {
    /// The predicate in words: "box is in another uts namespace than host".
    pub fn claim(&self) -> String {
        match self {
            Self::Exists { of } => format!("{of} lives"),
            Self::Gone { of } => format!("{of} lives no more"),
            Self::Comm { of, is } => format!("{of} runs `{is}`"),
            Self::NamespaceDiffers {
                of,
                kind: kind @ (Namespace::PidForChildren | Namespace::TimeForChildren),
                from,
            } => {
                format!("children of {of} are born into another {} namespace than those of {from}", plain(*kind))
            }
            Self::NamespaceDiffers { of, kind, from } => format!("{of} is in another {kind} namespace than {from}"),
            Self::NamespaceSame { of, kind: kind @ (Namespace::PidForChildren | Namespace::TimeForChildren), r#as } => {
                format!("children of {of} are born into the same {} namespace as those of {as}", plain(*kind))
            }
            Self::NamespaceSame { of, kind, r#as } => format!("{of} is in the same {kind} namespace as {as}"),
            Self::Hostname { of, is } => format!("the host name that {of} sees is `{is}`"),
            Self::PidInside { of, is } => format!("{of} is PID {is} in its own pid namespace"),
            Self::ProcShowsOwn { of } => {
                format!("the /proc that {of} sees lists the processes of its own pid namespace, and no others")
            }
            Self::Adopted { by, comm } => {
                format!("`{comm}` runs in the pid namespace of {by}, as a child of PID 1 there")
            }
            Self::NoProcess { comm } => format!("no process called `{comm}` lives"),
        }
    }

    /// Evaluates the predicate. What can not be read does not hold; `seen` then says why.
    pub fn evaluate(&self, observation: &Observation, names: &Names) -> Verdict {
        let view = View { observation, names };
        let (holds, seen) = match view.judge(self) {
            Ok(judged) => judged,
            Err(missing) => (matches!(self, Self::Gone { .. }), missing),
        };
        Verdict { claim: self.claim(), holds, seen }
    }
}

impl Value {
    /// What is asked for, in words: "the host name that box sees".
    pub fn words(&self) -> String {
        match self {
            Self::Hostname { of } => format!("the host name that {of} sees"),
            Self::PidInside { of } => format!("the pid of {of} in its own pid namespace"),
            Self::Pid { of } => format!("the pid of {of} as the lab host numbers it"),
            Self::Ppid { of } => format!("the pid of the parent of {of} as the lab host numbers it"),
            Self::NamespacesThatDiffer { of, from } => {
                format!("the number of namespaces in which {of} differs from {from}")
            }
            Self::ProcessesVisible { of } => format!("the number of processes in the /proc that {of} sees"),
        }
    }

    /// The value as the kernel has it; none where it can not be read.
    pub fn read(&self, observation: &Observation, names: &Names) -> Option<String> {
        let view = View { observation, names };
        let value = match self {
            Self::Hostname { of } => view.hostname(view.living(of).ok()?).ok()?,
            Self::PidInside { of } => view.living(of).ok()?.nspid.last()?.to_string(),
            Self::Pid { of } => view.living(of).ok()?.pid.to_string(),
            Self::Ppid { of } => view.living(of).ok()?.ppid.to_string(),
            Self::NamespacesThatDiffer { of, from } => {
                view.differing(view.living(of).ok()?, view.living(from).ok()?)?.to_string()
            }
            Self::ProcessesVisible { of } => view.visible(view.living(of).ok()?).ok()?.len().to_string(),
        };
        Some(value)
    }

    /// Whether a text, what a learner answered or what a command printed, has the value as a word of its own.
    pub fn is_word_of(value: &str, text: &str) -> bool {
        text.split_whitespace().any(|word| word.trim_matches(|c: char| "\"'`.,;".contains(c)) == value)
    }
}

/// The kind of namespace behind a `…_for_children` link.
fn plain(kind: Namespace) -> &'static str {
    kind.link().trim_end_matches("_for_children")
}

/// `name` as the kernel would cut it for `comm`.
fn comm(name: &str) -> &str {
    let mut end = name.len().min(MAX_COMM);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

fn lives(process: &Process) -> bool {
    !matches!(process.state, 'Z' | 'X')
}

/// An observation, and who is who in it.
struct View<'a> {
    observation: &'a Observation,
    names: &'a Names,
}

/// A value, or in words why there is none.
type Seen<T> = Result<T, String>;

impl<'a> View<'a> {
    fn judge(&self, check: &Check) -> Seen<(bool, String)> {
        Ok(match check {
            Check::Exists { of } => (true, format!("{of} is pid {}", self.living(of)?.pid)),
            Check::Gone { of } => (false, format!("{of} is pid {}", self.living(of)?.pid)),
            Check::Comm { of, is } => {
                let seen = &self.living(of)?.comm;
                (seen == comm(is), format!("{of} runs `{seen}`"))
            }
            Check::NamespaceDiffers { of, kind, from } => {
                let (one, other) = (self.namespace(of, *kind)?, self.namespace(from, *kind)?);
                (one != other, format!("{of} {one}, {from} {other}"))
            }
            Check::NamespaceSame { of, kind, r#as } => {
                let (one, other) = (self.namespace(of, *kind)?, self.namespace(r#as, *kind)?);
                (one == other, format!("{of} {one}, {as} {other}"))
            }
            Check::Hostname { of, is } => {
                let seen = self.hostname(self.living(of)?)?;
                (seen == *is, format!("`{seen}`"))
            }
            Check::PidInside { of, is } => {
                let numbers = &self.living(of)?.nspid;
                let list = numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
                (numbers.last() == Some(is), format!("NSpid of {of}: {list}"))
            }
            Check::ProcShowsOwn { of } => self.proc_shows_own(of)?,
            Check::Adopted { by, comm: name } => self.adopted(by, name)?,
            Check::NoProcess { comm: name } => {
                let living = self.observation.processes.iter().find(|it| lives(it) && it.comm == comm(name));
                match living {
                    Some(process) => (false, format!("`{name}` is pid {}", process.pid)),
                    None => (true, format!("`{name}` is nowhere in the process tree")),
                }
            }
        })
    }

    /// The living process that a word stands for.
    fn living(&self, word: &str) -> Seen<&'a Process> {
        let pid = match word {
            HOST => Some(self.names.host).filter(|pid| *pid != 0),
            _ => self.names.boxes.get(word).copied(),
        };
        let pid = pid.ok_or_else(|| format!("there is no {word}"))?;
        match self.observation.process(pid) {
            Some(process) if lives(process) => Ok(process),
            Some(_) => Err(format!("{word}, pid {pid}, has ended; its parent has not asked how yet (a zombie)")),
            None => Err(format!("{word}, pid {pid}, is not in /proc any more")),
        }
    }

    fn namespace(&self, word: &str, kind: Namespace) -> Seen<u64> {
        let process = self.living(word)?;
        inode(process, kind).map_err(|why| format!("{kind} of {word}: {why}"))
    }

    fn hostname(&self, process: &Process) -> Seen<String> {
        let uts = inode(process, Namespace::Uts)?;
        value(self.observation.hostnames.get(&uts)).cloned()
    }

    fn visible(&self, process: &Process) -> Seen<&'a Vec<i32>> {
        let mnt = inode(process, Namespace::Mnt)?;
        value(self.observation.visible_pids.get(&mnt))
    }

    /// How many links differ. `ENOENT` is a state of its own (`pid_for_children` before the first fork); any other reason
    /// for a missing link means that it can not be known.
    fn differing(&self, one: &Process, other: &Process) -> Option<usize> {
        let state = |process: &Process, kind: Namespace| match process.namespaces.0.get(&kind) {
            Some(Reading::Value(inode)) => Some(Some(*inode)),
            Some(Reading::Missing(errno)) if errno.name() == "ENOENT" => Some(None),
            None => Some(None),
            Some(Reading::Missing(_) | Reading::Unreadable(_)) => None,
        };
        let mut count = 0;
        for kind in Namespace::ALL {
            count += usize::from(state(one, kind)? != state(other, kind)?);
        }
        Some(count)
    }

    fn proc_shows_own(&self, word: &str) -> Seen<(bool, String)> {
        let process = self.living(word)?;
        let own = inode(process, Namespace::Pid)?;
        let level = process.nspid.len().checked_sub(1).ok_or("no NSpid")?;
        let is_own = |it: &Process| inode(it, Namespace::Pid) == Ok(own);
        // Members of namespaces below its own are in it too, under their number at its level.
        let below = |it: &Process| {
            let mut above = Some(it);
            // A tree has no cycles, but a made-up observation may.
            for _ in 0..self.observation.processes.len() {
                above = above.and_then(|it| self.observation.process(it.ppid));
                if above.is_some_and(is_own) {
                    return true;
                }
            }
            false
        };
        let mut members: Vec<i32> = self
            .observation
            .processes
            .iter()
            .filter(|it| is_own(it) || (it.nspid.len() > level + 1 && below(it)))
            .filter_map(|it| it.nspid.get(level).copied())
            .collect();
        members.sort_unstable();
        let mut visible = self.visible(process)?.clone();
        visible.sort_unstable();
        let seen = format!("/proc lists {}; the namespace has {}", some(&visible), some(&members));
        Ok((visible == members, seen))
    }

    fn adopted(&self, by: &str, name: &str) -> Seen<(bool, String)> {
        let own = self.namespace(by, Namespace::Pid)?;
        let mut found = self
            .observation
            .processes
            .iter()
            .filter(|it| lives(it) && it.comm == comm(name) && inode(it, Namespace::Pid) == Ok(own))
            .peekable();
        let Some(first) = found.peek().copied() else {
            return Ok((false, format!("`{name}` does not run in the pid namespace of {by}")));
        };
        let is_init = |pid: i32| {
            self.observation
                .process(pid)
                .is_some_and(|parent| parent.nspid.last() == Some(&1) && inode(parent, Namespace::Pid) == Ok(own))
        };
        Ok(match found.find(|it| is_init(it.ppid)) {
            Some(it) => (true, format!("`{name}` is pid {}, its parent is pid {}", it.pid, it.ppid)),
            None => (false, format!("the parent of `{name}`, pid {}, is pid {}", first.pid, first.ppid)),
        })
    }
}

fn inode(process: &Process, kind: Namespace) -> Seen<u64> {
    value(process.namespaces.0.get(&kind)).copied()
}

fn value<T>(reading: Option<&Reading<T>>) -> Seen<&T> {
    match reading {
        Some(Reading::Value(value)) => Ok(value),
        Some(missing) => Err(missing.text(|_| String::new())),
        None => Err("it was not read".to_owned()),
    }
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

#[cfg(test)]
mod tests;

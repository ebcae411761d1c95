//! Checks: predicates on observations. They look at kernel state, never at what was typed.

use serde::{Deserialize, Serialize};

use crate::kernel::namespace::Namespace;
use crate::probe::{Names, Observation};

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

impl Check {
    /// Evaluates the predicate.
    pub fn evaluate(&self, observation: &Observation, names: &Names) -> Verdict {
        let _ = (observation, names);
        unreachable!("lesson helper writes this")
    }
}

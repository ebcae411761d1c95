//! The trace: every system call that hardway makes for a step, as it was made, with what the kernel answered.
//!
//! A [`Call`] is recorded by the code that makes the call, around the call itself, so that a line of the trace can not
//! exist without it.

use std::any::Any;
use std::fmt;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::errno::Errno;
use crate::explain::Explanation;

/// What the kernel answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The value that the call returned.
    Returned(i64),
    /// The call failed with this errno.
    Failed(Errno),
}

/// One system call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Who made it: `box`, `host worker`, `child of box` …
    pub by: String,
    /// The name of the system call, as in its man page.
    pub name: String,
    /// The arguments, written as in C.
    pub args: Vec<String>,
    /// The kernel's answer.
    pub answer: Answer,
    /// How long the call took, in nanoseconds.
    pub nanos: u64,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}) = ", self.name, self.args.join(", "))?;
        match self.answer {
            Answer::Returned(value) => write!(f, "{value}"),
            Answer::Failed(errno) => write!(f, "-1 {errno}"),
        }
    }
}

/// A call that failed: the reason of an unsuccessful action, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{call}")]
pub struct CallError {
    /// The call as it was made.
    pub call: Call,
    /// Its errno, also in `call.answer`.
    pub errno: Errno,
}

impl CallError {
    /// Tells a person; `what` is the deed that failed, `fix` the way on.
    pub fn explain(&self, what: impl Into<String>, fix: impl Into<String>) -> Explanation {
        Explanation::new(what, self.call.to_string(), fix)
    }
}

/// A part of a trace as it is shown. The trace itself has every call.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A call.
    Call(&'a Call),
    /// Calls that are not shown one by one.
    Folded {
        /// How many.
        count: usize,
        /// How many of which: `40 open, 20 sendfile`.
        kinds: String,
    },
}

/// Traces of up to this many calls are shown whole.
const SHORT: usize = 32;

/// Of a longer one, this many calls are shown at either end.
const ENDS: usize = 10;

/// A trace for a person. Of a long one the calls in the middle are only counted, but for those that the kernel refused.
pub fn folded(calls: &[Call]) -> Vec<Part<'_>> {
    if calls.len() <= SHORT {
        return calls.iter().map(Part::Call).collect();
    }
    let (start, rest) = calls.split_at(ENDS);
    let (middle, end) = rest.split_at(rest.len() - ENDS);
    let refused = |call: &&Call| matches!(call.answer, Answer::Failed(_));
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for call in middle.iter().filter(|call| !refused(call)) {
        match kinds.iter_mut().find(|(name, _)| *name == call.name) {
            Some((_, count)) => *count += 1,
            None => kinds.push((&call.name, 1)),
        }
    }
    let count = kinds.iter().map(|(_, count)| count).sum();
    let kinds = kinds.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ");
    let shown = start.iter().map(Part::Call).chain([Part::Folded { count, kinds }]);
    shown.chain(middle.iter().filter(refused).map(Part::Call)).chain(end.iter().map(Part::Call)).collect()
}

/// Collects the calls of one process while it performs an action.
#[derive(Debug)]
pub struct Trace {
    by: String,
    calls: Vec<Call>,
    told: String,
    kept: Vec<Box<dyn Any>>,
}

impl Trace {
    /// An empty trace of the process `by`.
    pub fn new(by: impl Into<String>) -> Self {
        Self { by: by.into(), calls: Vec::new(), told: String::new(), kept: Vec::new() }
    }

    /// Keeps what would take the kernel long to let go, a descriptor, until the trace itself goes: whoever waits for what came of the calls
    /// need not wait for that.
    pub fn keep(&mut self, thing: impl Any) {
        self.kept.push(Box::new(thing));
    }

    /// Makes a call and records it. `made` returns what the kernel returned.
    ///
    /// # Errors
    /// The call's own errno, with the call.
    pub fn call(
        &mut self,
        name: &str,
        args: Vec<String>,
        made: impl FnOnce() -> nix::Result<i64>,
    ) -> Result<i64, CallError> {
        self.made(name, args, made, |value| *value)
    }

    /// [`Self::call`] for one that makes something, such as a descriptor; `number` is what the kernel returned for it.
    ///
    /// # Errors
    /// The call's own errno, with the call.
    pub fn made<T>(
        &mut self,
        name: &str,
        args: Vec<String>,
        made: impl FnOnce() -> nix::Result<T>,
        number: impl FnOnce(&T) -> i64,
    ) -> Result<T, CallError> {
        let start = Instant::now();
        let result = made();
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let answer = match &result {
            Ok(value) => Answer::Returned(number(value)),
            Err(errno) => Answer::Failed((*errno).into()),
        };
        let call = Call { by: self.by.clone(), name: name.to_owned(), args, answer, nanos };
        let result = result.map_err(|errno| CallError { call: call.clone(), errno: errno.into() });
        self.calls.push(call);
        result
    }

    /// Makes a call that returns only when it fails, and records that.
    pub fn failure(&mut self, name: &str, args: Vec<String>, made: impl FnOnce() -> nix::errno::Errno) -> CallError {
        let start = Instant::now();
        let errno = made().into();
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let call = Call { by: self.by.clone(), name: name.to_owned(), args, answer: Answer::Failed(errno), nanos };
        self.calls.push(call.clone());
        CallError { call, errno }
    }

    /// Adds calls that another process recorded for the same action, in the order in which they were made.
    pub fn append(&mut self, calls: Vec<Call>) {
        self.calls.extend(calls);
    }

    /// Keeps what an action has to tell people although a call of it fails.
    pub fn tell(&mut self, text: String) {
        self.told = text;
    }

    /// What it had to tell.
    pub fn take_told(&mut self) -> String {
        std::mem::take(&mut self.told)
    }

    /// The calls so far.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Ends the trace.
    pub fn into_calls(self) -> Vec<Call> {
        self.calls
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(name: &str, fails: bool) -> Call {
        let answer = if fails { Answer::Failed(nix::errno::Errno::ENOENT.into()) } else { Answer::Returned(0) };
        Call { by: "host".into(), name: name.into(), args: Vec::new(), answer, nanos: 1 }
    }

    proptest! {
        #[test]
        fn folding_loses_no_call_and_hides_no_failure(kinds in proptest::collection::vec((0..3usize, 0..20u8), 0..200)) {
            let names = ["open", "sendfile", "close"];
            let calls: Vec<Call> = kinds.iter().map(|(kind, dice)| call(names[*kind], *dice == 0)).collect();
            let parts = folded(&calls);
            let mut shown = 0;
            let mut hidden = 0;
            for part in &parts {
                match part {
                    Part::Call(_) => shown += 1,
                    Part::Folded { count, .. } => hidden += count,
                }
            }
            prop_assert_eq!(shown + hidden, calls.len());
            let refused = |call: &Call| matches!(call.answer, Answer::Failed(_));
            let told = parts.iter().filter(|part| matches!(part, Part::Call(call) if refused(call))).count();
            prop_assert_eq!(told, calls.iter().filter(|call| refused(call)).count());
        }
    }
}

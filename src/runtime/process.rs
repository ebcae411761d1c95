//! Processes: born by clone3, changed by execve, ended by a signal, waited for (clone(2), execve(2), kill(2), wait4(2)).

use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::action::{Effect, HOST, Home, Mechanism, Misuse, Outcome, Perform};
use super::file::misused_path;
use crate::kernel::errno::Errno;
use crate::kernel::sys::{self, Forked, Signal};
use crate::kernel::trace::{Answer, Call, CallError, Trace};
use crate::kernel::{program, stdio};

/// How much output of a program is kept, in bytes.
pub const MAX_OUTPUT: usize = 16 * 1024;

/// How long a program that a step runs may take before it is killed.
pub const RUN_DEADLINE: Duration = Duration::from_secs(8);

/// The most arguments of a program that a lesson starts.
const MAX_ARGUMENTS: usize = 32;

/// The longest argument, in bytes.
const MAX_ARGUMENT: usize = 1024;

/// The agent makes a new process, the box, and gives it a name. A box of that name that lives is ended first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeBox {
    /// Its name.
    #[serde(default = "default_name")]
    pub name: String,
}

/// The box that most lessons are about; by hand it is what runs in the foreground of the learner's shell.
pub const BOX: &str = "box";

fn default_name() -> String {
    BOX.to_owned()
}

impl Mechanism for MakeBox {
    fn actor(&self) -> &str {
        HOST
    }

    fn sentence(&self) -> String {
        format!("the lab host forks a process: {}", self.name)
    }

    fn shell(&self) -> Option<String> {
        Some("bash --norc".to_owned())
    }

    fn once(&self) -> bool {
        false
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("the process {}", self.name), home: Home::Lab }]
    }
}

/// The box forks. Its handle moves to the child, which is where a new pid namespace begins; the parent only waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    /// Who.
    pub r#in: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for Fork {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} forks; from here on its child goes by that name, and the parent only waits", self.r#in)
    }

    fn shell(&self) -> Option<String> {
        Some("bash --norc".to_owned())
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("a child process, now called {}", self.r#in), home: Home::Lab }]
    }
}

/// The box becomes another program: same process, same pid, same namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// Who.
    pub r#in: String,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for Exec {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} replaces its program by `{}`", self.r#in, shell_words(&self.argv))
    }

    fn shell(&self) -> Option<String> {
        Some(format!("exec {}", shell_words(&self.argv)))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("the program of {}", self.r#in), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused_argv(&self.argv)
    }
}

/// The actor forks a child that runs a program, and waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Who.
    pub r#in: String,
    /// The child makes this directory its root first, as chroot(1) does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The exit status with which the program must end, 128 + n for signal n; without it any will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_with: Option<i32>,
    /// The expected errno: of the fork, or of execve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for Run {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let (who, words) = (&self.r#in, shell_words(&self.argv));
        match &self.root {
            Some(root) => format!("a child of {who} makes {root} its root directory and runs `{words}`"),
            None => format!("{who} runs `{words}` in a child and waits for it"),
        }
    }

    fn shell(&self) -> Option<String> {
        let chroot = self.root.iter().flat_map(|root| ["chroot".to_owned(), root.clone()]);
        Some(shell_words(&chroot.chain(self.argv.iter().cloned()).collect::<Vec<_>>()))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn ends_with(&self) -> Option<i32> {
        self.ends_with
    }

    fn once(&self) -> bool {
        // Nobody knows what a program leaves.
        true
    }

    fn effects(&self) -> Vec<Effect> {
        Vec::new()
    }

    fn misuses(&self) -> Vec<Misuse> {
        let root = self.root.as_ref().and_then(|root| misused_path("root", root));
        misused_argv(&self.argv).into_iter().chain(root).collect()
    }
}

impl Run {
    /// The root directory that the child shall have, before it is too late to ask.
    fn enter_root(&self, trace: &mut Trace) -> Result<(), CallError> {
        let Some(root) = &self.root else { return Ok(()) };
        sys::chroot(trace, root)?;
        sys::chdir(trace, "/")
    }
}

impl Perform for Run {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let path = program::find(self.argv.first().map_or("", String::as_str));
        let (mut output, output_end) = stdio::pipe();
        let (report, report_end) = stdio::pipe();
        let (pid, pidfd) = match sys::clone3(trace, &[])? {
            Forked::Child => {
                let mut own = Trace::new("child");
                stdio::attach(None, &output_end, &output_end);
                stdio::fresh_signals();
                if self.enter_root(&mut own).is_ok() {
                    // Now, because after an execve that succeeds nobody is left to tell it.
                    stdio::report(&report_end, &own.calls());
                    own = Trace::new("child");
                    let _ = sys::execve(&mut own, &path, &self.argv);
                }
                stdio::report(&report_end, &own.into_calls());
                stdio::exit_now(127);
            }
            Forked::Parent { pid, pidfd } => (pid, pidfd),
        };
        drop((output_end, report_end));
        let calls: Vec<Call> = stdio::read_reports::<Vec<Call>>(report).into_iter().flatten().collect();
        let failed = calls.iter().find(|call| matches!(call.answer, Answer::Failed(_))).cloned();
        trace.append(calls);
        if failed.is_none() {
            // The report's write end closed at a successful execve: that no failure arrived is the proof of it.
            trace.append(vec![Call {
                by: "child".into(),
                name: "execve".into(),
                args: sys::execve_args(&path, &self.argv),
                answer: Answer::Returned(0),
                nanos: 0,
            }]);
        }
        let status = wait_or_kill(trace, pid, &pidfd)?;
        if let Some(call) = failed
            && let Answer::Failed(errno) = call.answer
        {
            return Err(CallError { call, errno });
        }
        let mut text = Vec::new();
        // Not to the end of the file: a grandchild that lives on may hold the other end for ever.
        stdio::nonblocking(&output);
        let mut chunk = [0; 4096];
        while text.len() < MAX_OUTPUT {
            match output.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(n) => text.extend_from_slice(&chunk[..n]),
            }
        }
        text.truncate(MAX_OUTPUT);
        Ok(Outcome { output: String::from_utf8_lossy(&text).into_owned(), status: Some(status) })
    }
}

/// A signal for the process that a box is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// Whom.
    pub who: String,
    /// Sent by whom: the host, or the box itself, from inside.
    pub from: String,
    /// The signal's name without `SIG`: `TERM`, `KILL`.
    pub signal: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Kill {
    /// The signal, where its name is one.
    pub fn signal(&self) -> Option<Signal> {
        format!("SIG{}", self.signal).parse().ok()
    }
}

impl Mechanism for Kill {
    fn actor(&self) -> &str {
        &self.from
    }

    fn sentence(&self) -> String {
        let Self { who, from, signal, .. } = self;
        if who == from {
            return format!("{who} sends itself SIG{signal}");
        }
        format!("{from} sends SIG{signal} to {who}")
    }

    fn shell(&self) -> Option<String> {
        Some(format!("kill -{} $$", self.signal))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn once(&self) -> bool {
        // Nobody knows what a program leaves.
        true
    }

    fn effects(&self) -> Vec<Effect> {
        Vec::new()
    }

    fn misuses(&self) -> Vec<Misuse> {
        let mut misuses = Vec::new();
        if self.signal().is_none() {
            let what = format!("`{}` is not the name of a signal", self.signal.escape_debug());
            misuses.push(Misuse::new(
                "signal",
                what,
                "write its name without SIG: `TERM`, `KILL`; `kill -l` lists them",
            ));
        }
        if self.who == HOST {
            let what = "the lab host itself can not be signalled: the lesson would end with it";
            misuses.push(Misuse::new("who", what, "send the signal to a box"));
        }
        misuses
    }
}

/// What is wrong with the arguments of a program.
pub(super) fn misused_argv(argv: &[String]) -> Vec<Misuse> {
    if argv.first().is_none_or(String::is_empty) {
        let fix = "write the program and its arguments: `[sleep, \"1000\"]`";
        return vec![Misuse::new("argv", "no program is named", fix)];
    }
    if argv.len() > MAX_ARGUMENTS || argv.iter().any(|word| word.contains('\0') || word.len() > MAX_ARGUMENT) {
        let what = "an argument has a NUL or is too long, or there are too many";
        return vec![Misuse::new("argv", what, "write fewer, shorter ones")];
    }
    Vec::new()
}

/// Performs calls in a child, because there is no way back from them. The child's calls join the trace. What it gives is the default where it
/// ended without a report.
///
/// # Errors
/// The call that failed, in either process.
pub fn in_child<T: Serialize + DeserializeOwned + Default>(
    trace: &mut Trace,
    deed: impl FnOnce(&mut Trace) -> Result<T, CallError>,
) -> Result<T, CallError> {
    let (report, report_end) = stdio::pipe();
    let (pid, pidfd) = match sys::clone3(trace, &[])? {
        Forked::Child => {
            let mut own = Trace::new("child");
            let result = deed(&mut own);
            stdio::report(&report_end, &(own.into_calls(), &result));
            stdio::exit_now(i32::from(result.is_err()));
        }
        Forked::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop(report_end);
    let (calls, result) = stdio::read_report::<(Vec<Call>, Result<T, CallError>)>(report)
        .unwrap_or_else(|| (Vec::new(), Ok(T::default())));
    // Before the wait, because that is when they were made.
    trace.append(calls);
    wait_or_kill(trace, pid, &pidfd)?;
    result
}

/// Waits for a child, and kills it when it takes longer than [`RUN_DEADLINE`].
fn wait_or_kill(trace: &mut Trace, pid: i32, pidfd: &OwnedFd) -> Result<i32, CallError> {
    if !sys::wait_for_end(pidfd, RUN_DEADLINE) {
        sys::kill(trace, pid, Signal::SIGKILL)?;
    }
    sys::wait4(trace, pid)
}

/// Arguments as a shell line, quoted where needed.
pub fn shell_words(argv: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    argv.iter()
        .map(|word| {
            if !word.is_empty() && word.chars().all(plain) {
                word.clone()
            } else {
                format!("'{}'", word.replace('\'', r"'\''"))
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        let words = ["sh", "-c", "echo it's $HOME; sleep 1 &", ""].map(String::from);
        assert_eq!(shell_words(&words), r"sh -c 'echo it'\''s $HOME; sleep 1 &' ''");
    }
}

//! One run of a plugin: finding it, what it is given, what it answers, and what that means (section 2).

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::attachment::Attachment;
use super::error::{ErrorObject, Failure, advice, shown};
use super::{names, plugins};
use crate::explain::Explanation;
use crate::kernel::piped::{self, Limits};

pub use crate::kernel::piped::Ending;

/// The most bytes that a plugin may answer.
pub const MAX_ANSWER: usize = 1 << 20;
/// So many bytes of what it says to its standard error are kept.
pub const MAX_STDERR: usize = 64 * 1024;
/// Where plugins find programs such as iptables where hardway itself was not told.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a plugin is asked to do: `CNI_COMMAND`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the words of the specification")]
pub enum Command {
    Add,
    Del,
    Check,
    Status,
    Gc,
    Version,
}

impl Command {
    /// As the variable has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Status => "STATUS",
            Self::Gc => "GC",
            Self::Version => "VERSION",
        }
    }
}

/// One run of a plugin, whole.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    /// What it was asked to do.
    pub command: Command,
    /// The path of its program, or which of hardway's own it is.
    pub plugin: String,
    /// Its whole environment.
    pub variables: BTreeMap<String, String>,
    /// What it was given.
    pub stdin: String,
    /// What it answered; what is not UTF-8 is made readable.
    pub stdout: String,
    /// What else it said.
    pub stderr: String,
    /// Whether that went on.
    pub stderr_cut: bool,
    /// How it ended; none where it could not be started.
    pub status: Option<Ending>,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
}

impl Exchange {
    /// As lines for a person, with what acts on a terminal escaped.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{} {}", self.command.as_str(), printable(&self.plugin))];
        lines.extend(self.variables.iter().map(|(key, value)| format!("  {key}={}", printable(value))));
        for (name, text) in [("stdin", &self.stdin), ("stdout", &self.stdout), ("stderr", &self.stderr)] {
            lines.extend(text.lines().map(|line| format!("  {name}: {}", printable(line))));
        }
        if self.stderr_cut {
            lines.push("  stderr: …".to_owned());
        }
        let ended = match self.status {
            Some(Ending::Exited(status)) => format!("status {status}"),
            Some(Ending::Signalled(signal)) => format!("ended by signal {signal}"),
            Some(Ending::Late) => "killed: too late".to_owned(),
            Some(Ending::TooLong) => "killed: too long an answer".to_owned(),
            None => "not started".to_owned(),
        };
        lines.push(format!("  = {ended}, {} ms", self.milliseconds));
        lines
    }
}

/// The text with control characters and those escaped that turn the direction of writing.
fn printable(text: &str) -> String {
    let acts = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().flat_map(|c| if acts(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// How plugins are found and run.
#[derive(Clone, Debug)]
pub struct Plugins {
    /// `CNI_PATH`: directories, parted by colons.
    pub path: String,
    /// How long each may take.
    pub timeout: Duration,
    /// What is hardway's own plugins where the directories have none of a type: this program, called by that type ([`plugins`]).
    pub own: Option<PathBuf>,
}

/// A plugin's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    /// By which name it is called, where that is not its path.
    called: Option<String>,
}

impl Program {
    /// For a run of it.
    pub(super) fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.path);
        if let Some(name) = &self.called {
            command.arg0(name);
        }
        command
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.called {
            Some(name) => write!(f, "hardway's own {name}"),
            None => write!(f, "{}", self.path.display()),
        }
    }
}

impl Plugins {
    /// The program of a plugin: in the first directory that has it (section 3, adding an attachment, 1), or else hardway's own.
    ///
    /// # Errors
    /// That none has it, with the directories.
    pub fn find(&self, kind: &str) -> Result<Program, Explanation> {
        names::plugin(kind)?;
        let mut not_executable = None;
        for directory in self.path.split(':').filter(|directory| !directory.is_empty()) {
            let path = Path::new(directory).join(kind);
            match std::fs::metadata(&path) {
                Ok(file) if file.is_file() && file.permissions().mode() & 0o111 != 0 => {
                    return Ok(Program { path, called: None });
                }
                Ok(file) if file.is_file() => not_executable = Some(path),
                _ => {}
            }
        }
        if let Some(own) = self.own.as_ref().filter(|_| plugins::names().any(|name| name == kind)) {
            return Ok(Program { path: own.clone(), called: Some(kind.to_owned()) });
        }
        let why = match not_executable {
            Some(path) => format!("{} may not be executed", path.display().to_string().escape_debug()),
            None => format!("it is in none of {}", self.path.escape_debug()),
        };
        Err(Explanation::new(
            format!("There is no plugin `{}`", kind.escape_debug()),
            why,
            "install it (Debian: containernetworking-plugins, in /usr/lib/cni), or name its directory with --path",
        ))
    }

    /// Runs a plugin once. The exchange is told to `tell` whatever becomes of it; the answer is standard output where it ended well.
    ///
    /// # Errors
    /// That there is none, or how it failed: its own error object, a status without one, a signal, too long an answer or none in time.
    pub fn run(
        &self,
        kind: &str,
        command: Command,
        attachment: Option<&Attachment>,
        stdin: String,
        tell: &mut dyn FnMut(Exchange),
    ) -> Result<Vec<u8>, Failure> {
        let program = self.find(kind)?;
        let variables = self.variables(command, attachment);
        let limits = Limits { stdout: MAX_ANSWER, stderr: MAX_STDERR, at_most: self.timeout };
        let ran = piped::run(program.command().env_clear().envs(&variables), stdin.as_bytes(), &limits);
        let mut exchange = Exchange {
            command,
            plugin: program.to_string(),
            variables,
            stdin,
            stdout: String::new(),
            stderr: String::new(),
            stderr_cut: false,
            status: None,
            milliseconds: 0,
        };
        let result = match ran {
            Err(error) => Err(Explanation::new(
                format!("The plugin {} could not be started", exchange.plugin.escape_debug()),
                format!("execve: {error}"),
                "see that the file is a program for this machine, and that its interpreter is there",
            )
            .into()),
            Ok(ran) => {
                exchange.stdout = String::from_utf8_lossy(&ran.stdout).into_owned();
                exchange.stderr = String::from_utf8_lossy(&ran.stderr).into_owned();
                exchange.stderr_cut = ran.stderr_cut;
                exchange.status = Some(ran.ending);
                exchange.milliseconds = u64::try_from(ran.took.as_millis()).unwrap_or(u64::MAX);
                self.judged(&exchange, ran.ending, &ran.stdout).map(|()| ran.stdout)
            }
        };
        tell(exchange);
        result
    }

    /// The plugin's whole environment: the variables of the specification that the command has, and PATH, since plugins run programs.
    fn variables(&self, command: Command, attachment: Option<&Attachment>) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        let mut set = |key: &str, value: String| variables.insert(key.to_owned(), value);
        set("CNI_COMMAND", command.as_str().to_owned());
        set("CNI_PATH", self.path.clone());
        if let Some(attachment) = attachment {
            set("CNI_CONTAINERID", attachment.container_id.clone());
            set("CNI_IFNAME", attachment.ifname.clone());
            if let Some(netns) = &attachment.netns {
                set("CNI_NETNS", netns.clone());
            }
            if !attachment.args.is_empty() {
                set("CNI_ARGS", attachment.args_text());
            }
        }
        set("PATH", std::env::var("PATH").unwrap_or_else(|_| PATH.to_owned()));
        variables
    }

    /// What an ending means.
    fn judged(&self, exchange: &Exchange, ending: Ending, stdout: &[u8]) -> Result<(), Failure> {
        let (command, plugin) = (exchange.command.as_str(), exchange.plugin.escape_debug());
        let said = match exchange.stderr.trim() {
            "" => String::new(),
            text => format!("; its standard error: {}", shown(text)),
        };
        let failed = format!("The plugin {plugin} failed ({command})");
        let error = ErrorObject::parse(stdout);
        let (what, why, fix) = match ending {
            Ending::Exited(0) => return Ok(()),
            Ending::Exited(status) => match &error {
                Some(error) => (
                    failed,
                    format!("it says {}; status {status}{said}", error.sentence()),
                    advice(error.code).to_owned(),
                ),
                None if exchange.stdout.trim().is_empty() => (
                    failed,
                    format!("status {status}, and no error object on its standard output{said}"),
                    "look into the plugin: by the specification it says what went wrong".to_owned(),
                ),
                None => (
                    failed,
                    format!(
                        "status {status}, and what it answers is no error object: {}{said}",
                        shown(&exchange.stdout)
                    ),
                    "look into the plugin: by the specification it answers with code and msg".to_owned(),
                ),
            },
            Ending::Signalled(signal) => (
                format!("The plugin {plugin} crashed ({command})"),
                format!("signal {signal} ended it{said}"),
                "look into the plugin and the kernel's log; memory may have been short".to_owned(),
            ),
            Ending::Late => (
                format!("The plugin {plugin} did not end in time ({command})"),
                format!("after {:?} it was killed, with its process group{said}", self.timeout),
                "give it longer with --timeout, or look what it waits for".to_owned(),
            ),
            Ending::TooLong => (
                format!("The plugin {plugin} answered too much ({command})"),
                format!("more than {MAX_ANSWER} bytes on its standard output; it was killed{said}"),
                "a result has a few hundred bytes; logs belong on standard error".to_owned(),
            ),
        };
        Err(Failure { explanation: Explanation::new(what, why, fix), error, also: Vec::new() })
    }
}

/// That a plugin ended well, and what it answered is not what the command has for an answer.
pub(super) fn garbage(kind: &str, command: Command, stdout: &[u8], why: &str) -> Failure {
    let text = String::from_utf8_lossy(stdout);
    let why = match ErrorObject::parse(stdout) {
        Some(error) => format!("its status is 0, and its answer an error: {}", error.sentence()),
        None if text.trim().is_empty() => "its status is 0, and it answered nothing".to_owned(),
        None => format!("its status is 0, and its answer is no result: {}: {}", shown(why), shown(&text)),
    };
    Explanation::new(
        format!("The plugin {} answered what can not be used ({})", kind.escape_debug(), command.as_str()),
        why,
        "look into the plugin, and whether it supports the list's cniVersion",
    )
    .into()
}

//! Cgroups: groups below the lab host's own, who is in them, and what they get (cgroups(7)).
//!
//! Groups are made below `/lab/cgroup`, which leads to the lab host's own group in the hierarchy of version 2, or in one of
//! version 1; or, with a controller's name, in the hierarchy of version 1 that has that controller. What is done by making
//! directories and writing files is the same in all of them; only the names of the files differ. The keeper takes what is left away
//! when the lab host ends, and the ledger has the lab's own groups, with all below them, if the keeper can't.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, HOST, Home, Mechanism, Misuse, Outcome, Perform, PerformOn};
use super::process::shell_words;
use crate::kernel::disk;
use crate::kernel::errno::Errno;
use crate::kernel::sys::{mkdir, read_file, rmdir, write_file};
use crate::kernel::trace::{CallError, Trace};

/// The lab host's own group.
pub const LAB: &str = "/lab/cgroup";

/// The lab host's program for limits to bite into.
pub const WORKLOAD: &str = "/lab/work";

/// Where the hierarchies of version 1 are mounted, each under the names of its controllers.
pub const V1: &str = "/sys/fs/cgroup";

/// The longest name of a group below the lab's, in bytes.
const MAX_NAME: usize = 255;

/// The longest value that is written to a file of a group, in bytes.
const MAX_VALUE: usize = 255;

/// The directory of a group; `/` is the lab's own. With a controller, the one in its hierarchy of version 1.
pub fn directory(group: &str, v1: Option<&str>) -> String {
    let own = v1.map_or_else(|| LAB.to_owned(), |controller| format!("{V1}/{controller}"));
    if group == "/" { own } else { format!("{own}/{group}") }
}

/// Stands in a value for the number of the disk that `/lab/work` is on, as `/lab/work disk` says it: which one that is differs from
/// machine to machine.
const DISK: &str = "{disk}";

/// A group in words: `/web`, `/web of memory`.
pub(super) fn called(group: &str, v1: Option<&str>) -> String {
    let group = group.trim_start_matches('/');
    v1.map_or_else(|| format!("/{group}"), |controller| format!("/{group} of {controller}"))
}

/// What is wrong with the name of a controller.
fn misused_controller(v1: Option<&str>) -> Option<Misuse> {
    let plain = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || "_,".contains(c));
    v1.filter(|name| !plain(name)).map(|name| {
        let what = format!("`{}` is no name of a controller", name.escape_debug());
        Misuse::new("v1", what, "write a name of /proc/cgroups: `memory`, `cpu`, `pids`")
    })
}

/// What is wrong with the name of a group that is to be below the lab's own.
pub(super) fn misused(field: &'static str, name: &str) -> Vec<Misuse> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let good = |part: &str| !["", ".", ".."].contains(&part) && part.chars().all(plain);
    if name.len() <= MAX_NAME && name.split('/').all(good) {
        return Vec::new();
    }
    let fix = "write a name below /lab/cgroup: `web`, or `web/db` for a group in a group";
    vec![Misuse::new(field, format!("`{}` is no name of a group", name.escape_debug()), fix)]
}

/// Makes a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CgroupCreate {
    /// Who.
    pub r#in: String,
    /// Its name below the lab's own group.
    pub name: String,
    /// The controller whose hierarchy of version 1 it is; none for that at `/lab/cgroup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v1: Option<String>,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for CgroupCreate {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} makes the cgroup {}: a directory is a group", self.r#in, called(&self.name, self.v1.as_deref()))
    }

    fn shell(&self) -> Option<String> {
        Some(format!("mkdir {}", directory(&self.name, self.v1.as_deref())))
    }

    fn once(&self) -> bool {
        true
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("the cgroup /{} below the lab host's own", self.name), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused("name", &self.name).into_iter().chain(misused_controller(self.v1.as_deref())).collect()
    }
}

impl Perform for CgroupCreate {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        mkdir(trace, Path::new(&directory(&self.name, self.v1.as_deref())), 0o755)?;
        Ok(Outcome::default())
    }
}

/// Moves a process into a group, with all its threads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CgroupAttach {
    /// Who does it: the host, or the process itself.
    pub r#in: String,
    /// Who is moved.
    pub who: String,
    /// Into which group below the lab's own; `/` for that one.
    pub cgroup: String,
    /// The controller whose hierarchy of version 1 it is; none for that at `/lab/cgroup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v1: Option<String>,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl CgroupAttach {
    /// Moves the process with this pid; 0 is whoever makes the call.
    ///
    /// # Errors
    /// `ENOENT` for a group that is not there, `ESRCH` for a process that is not, `EBUSY` for a group of version 2 that
    /// controls what is in groups below it.
    fn attach(&self, trace: &mut Trace, pid: i32) -> Result<Outcome, CallError> {
        write_file(trace, &format!("{}/cgroup.procs", directory(&self.cgroup, self.v1.as_deref())), &pid.to_string())?;
        Ok(Outcome::default())
    }
}

impl Mechanism for CgroupAttach {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let Self { r#in, who, cgroup, .. } = self;
        let group = called(cgroup, self.v1.as_deref());
        if r#in == who {
            return format!("{who} moves itself into the cgroup {group}");
        }
        format!("{in} moves {who} into the cgroup {group}")
    }

    fn shell(&self) -> Option<String> {
        Some(format!("echo $$ > {}/cgroup.procs", directory(&self.cgroup, self.v1.as_deref())))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let group = called(&self.cgroup, self.v1.as_deref());
        vec![Effect { what: format!("{} is in the cgroup {group}", self.who), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        let mut misuses = if self.cgroup == "/" { Vec::new() } else { misused("cgroup", &self.cgroup) };
        misuses.extend(misused_controller(self.v1.as_deref()));
        if self.who == HOST {
            let what = "the lab host's first process stays in the lab's own group: new lab hosts are born there";
            misuses.push(Misuse::new("who", what, "move a box"));
        } else if self.r#in != HOST && self.r#in != self.who {
            let what = "a box does not know the pid of another one";
            misuses.push(Misuse::new("in", what, format!("write `in: host`, or `in: {}`", self.who)));
        }
        misuses
    }
}

impl PerformOn for CgroupAttach {
    fn whom(&self) -> &str {
        &self.who
    }

    fn perform_on(&self, trace: &mut Trace, pid: i32) -> Result<Outcome, CallError> {
        self.attach(trace, pid)
    }
}

impl Perform for CgroupAttach {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        self.attach(trace, 0)
    }
}

/// Takes a group away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CgroupRemove {
    /// Who.
    pub r#in: String,
    /// Its name below the lab's own group.
    pub name: String,
    /// The controller whose hierarchy of version 1 it is; none for that at `/lab/cgroup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v1: Option<String>,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for CgroupRemove {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} takes the cgroup {} away", self.r#in, called(&self.name, self.v1.as_deref()))
    }

    fn shell(&self) -> Option<String> {
        Some(format!("rmdir {}", directory(&self.name, self.v1.as_deref())))
    }

    fn once(&self) -> bool {
        true
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        Vec::new()
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused("name", &self.name).into_iter().chain(misused_controller(self.v1.as_deref())).collect()
    }
}

impl Perform for CgroupRemove {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        rmdir(trace, Path::new(&directory(&self.name, self.v1.as_deref())))?;
        Ok(Outcome::default())
    }
}

/// Writes a file of a group: a limit, a weight, a switch; then reads it back, because the kernel rounds, and some values are
/// taken without a word and never reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CgroupSet {
    /// Who.
    pub r#in: String,
    /// The group's name below the lab's own; `/` is that one.
    pub cgroup: String,
    /// The controller whose hierarchy of version 1 it is; none for that at `/lab/cgroup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v1: Option<String>,
    /// The file: `memory.max`.
    pub file: String,
    /// What is written, as the kernel takes it: `20M`; `{disk}` stands for the number of the disk that `/lab/work` is on.
    pub to: String,
    /// The expected errno: of the open, or of the write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

/// Files that can only be written.
const WRITE_ONLY: [&str; 3] = ["cgroup.kill", "devices.allow", "devices.deny"];

impl CgroupSet {
    fn path(&self) -> String {
        format!("{}/{}", directory(&self.cgroup, self.v1.as_deref()), self.file)
    }

    /// The value, with the number of the disk as a person would call it.
    fn told(&self) -> String {
        self.to.replace(DISK, "MAJ:MIN")
    }
}

impl Mechanism for CgroupSet {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let (who, group, to) = (&self.r#in, called(&self.cgroup, self.v1.as_deref()), self.told());
        match (self.file.as_str(), to.as_str()) {
            ("cgroup.subtree_control", to) if to.starts_with('-') => {
                format!("{who} takes controllers back from the groups below {group}: {to}")
            }
            ("cgroup.subtree_control", to) => format!("{who} hands controllers down to the groups below {group}: {to}"),
            ("cgroup.kill", _) => format!("{who} kills all processes in {group} and below, at once"),
            ("cgroup.freeze", "1") | ("freezer.state", "FROZEN") => format!("{who} freezes all processes in {group}"),
            ("cgroup.freeze", _) | ("freezer.state", _) => format!("{who} lets all processes in {group} go on"),
            (file, to) => format!("{who} sets {file} of the cgroup {group} to {to}"),
        }
    }

    fn shell(&self) -> Option<String> {
        let text = if self.to.contains(DISK) {
            format!("\"{}\"", self.to.replace(DISK, "$(/lab/work disk)"))
        } else {
            shell_words(std::slice::from_ref(&self.to))
        };
        Some(format!("echo {text} > {}", self.path()))
    }

    fn once(&self) -> bool {
        // The same value again is the same state.
        false
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let group = called(&self.cgroup, self.v1.as_deref());
        vec![Effect { what: format!("{} of the cgroup {group} is {}", self.file, self.told()), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        let mut misuses = if self.cgroup == "/" { Vec::new() } else { misused("cgroup", &self.cgroup) };
        misuses.extend(misused_controller(self.v1.as_deref()));
        let plain = |c: char| c.is_ascii_alphanumeric() || "._".contains(c);
        if !self.file.contains('.') || self.file.starts_with('.') || !self.file.chars().all(plain) {
            let what = format!("`{}` is no file of a group", self.file.escape_debug());
            misuses.push(Misuse::new("file", what, "write its name: `memory.max`, `cpu.weight`, `freezer.state`"));
        }
        if self.to.is_empty() || self.to.len() > MAX_VALUE || self.to.contains(['\n', '\0']) {
            misuses.push(Misuse::new("to", "this is no value", "write one line of at most 255 bytes"));
        }
        misuses
    }
}

impl Perform for CgroupSet {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let path = self.path();
        // Where there is no disk, the word itself is written, and refused.
        let disk = disk::of_file(Path::new(WORKLOAD)).ok();
        let text = disk.map_or_else(|| self.to.clone(), |disk| self.to.replace(DISK, &disk.to_string()));
        write_file(trace, &path, &text)?;
        let output = if WRITE_ONLY.contains(&self.file.as_str()) { String::new() } else { read_file(trace, &path)? };
        Ok(Outcome { output, status: None })
    }
}

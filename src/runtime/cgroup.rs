//! Cgroups: groups below the lab host's own, and who is in them (cgroups(7)).
//!
//! All paths are below `/lab/cgroup`, which leads to the lab host's own group, in a hierarchy of version 2 or 1: making,
//! joining and removing groups are the same in both. The keeper takes what is left away when the lab host ends, and the
//! ledger has the lab's own group, with all below it, if the keeper can't.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, HOST, Home, Mechanism, Misuse, Outcome, Perform, PerformOn};
use crate::kernel::errno::Errno;
use crate::kernel::sys::{mkdir, rmdir, write_file};
use crate::kernel::trace::{CallError, Trace};

/// The lab host's own group.
pub const LAB: &str = "/lab/cgroup";

/// The longest name of a group below the lab's, in bytes.
const MAX_NAME: usize = 255;

/// The directory of a group; `/` is the lab's own.
pub fn directory(group: &str) -> String {
    if group == "/" { LAB.to_owned() } else { format!("{LAB}/{group}") }
}

/// What is wrong with the name of a group that is to be below the lab's own.
fn misused(field: &'static str, name: &str) -> Vec<Misuse> {
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
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for CgroupCreate {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} makes the cgroup /{}: a directory is a group", self.r#in, self.name)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("mkdir {}", directory(&self.name)))
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
        misused("name", &self.name)
    }
}

impl Perform for CgroupCreate {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        mkdir(trace, Path::new(&directory(&self.name)), 0o755)?;
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
        write_file(trace, &format!("{}/cgroup.procs", directory(&self.cgroup)), &pid.to_string())?;
        Ok(Outcome::default())
    }
}

impl Mechanism for CgroupAttach {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let Self { r#in, who, cgroup, .. } = self;
        let group = cgroup.trim_start_matches('/');
        if r#in == who {
            return format!("{who} moves itself into the cgroup /{group}");
        }
        format!("{in} moves {who} into the cgroup /{group}")
    }

    fn shell(&self) -> Option<String> {
        Some(format!("echo $$ > {}/cgroup.procs", directory(&self.cgroup)))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let group = self.cgroup.trim_start_matches('/');
        vec![Effect { what: format!("{} is in the cgroup /{group}", self.who), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        let mut misuses = if self.cgroup == "/" { Vec::new() } else { misused("cgroup", &self.cgroup) };
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
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for CgroupRemove {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} takes the cgroup /{} away", self.r#in, self.name)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("rmdir {}", directory(&self.name)))
    }

    fn once(&self) -> bool {
        true
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("the cgroup /{} is gone", self.name), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused("name", &self.name)
    }
}

impl Perform for CgroupRemove {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        rmdir(trace, Path::new(&directory(&self.name)))?;
        Ok(Outcome::default())
    }
}

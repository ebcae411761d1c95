//! Keeping a namespace without a process: its file of `/proc/PID/ns`, mounted on another file (namespaces(7), mount(2)).

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use super::process::shell_words;
use crate::kernel::errno::Errno;
use crate::kernel::namespace::Namespace;
use crate::kernel::sys::{self, MntFlags, MsFlags};
use crate::kernel::trace::{CallError, Trace};

/// The longest path (`PATH_MAX` of the kernel, less its NUL).
const MAX_PATH: usize = 4095;

/// Mounts a namespace of the actor's on a file, which is made where there is none, with its directory. From then on the
/// namespace lives without a process. The mount is in the actor's mount namespace, and nobody else sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Whose namespace, and in whose mount namespace.
    pub r#in: String,
    /// Which of its namespaces.
    pub kind: Namespace,
    /// The file. ip(8) looks for network namespaces in `/run/netns`.
    pub at: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Pin {
    fn directory(&self) -> Option<&Path> {
        Path::new(&self.at).parent().filter(|it| it.as_os_str().len() > 1)
    }
}

impl Mechanism for Pin {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} mounts its {} namespace on {}, which keeps it alive", self.r#in, self.kind, self.at)
    }

    fn shell(&self) -> Option<String> {
        let file = shell_words(std::slice::from_ref(&self.at));
        Some(format!("touch {file}; mount --bind /proc/self/ns/{} {file}", self.kind))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("a {} namespace, held by the mount on {}", self.kind, self.at), home: Home::Lab }]
    }

    fn once(&self) -> bool {
        // Most boxes share the lab host's mounts, where a second one would cover the first.
        true
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused_path(&self.at)
    }
}

impl Perform for Pin {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        if let Some(directory) = self.directory() {
            match sys::mkdir(trace, directory, 0o755) {
                // It may be there already.
                Err(error) if error.errno.name() != "EEXIST" => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        sys::make_file(trace, &self.at)?;
        sys::mount(trace, &format!("/proc/self/ns/{}", self.kind), &self.at, None, MsFlags::MS_BIND, None)?;
        Ok(Outcome::default())
    }
}

/// Takes a pin away, and its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unpin {
    /// Who.
    pub r#in: String,
    /// The file.
    pub at: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for Unpin {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!(
            "{} unmounts {}, and removes the file; the namespace ends when nothing else holds it",
            self.r#in, self.at
        )
    }

    fn shell(&self) -> Option<String> {
        let file = shell_words(std::slice::from_ref(&self.at));
        Some(format!("umount {file}; rm {file}"))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        Vec::new()
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused_path(&self.at)
    }
}

impl Perform for Unpin {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::umount2(trace, &self.at, MntFlags::empty())?;
        sys::unlink(trace, &self.at)?;
        Ok(Outcome::default())
    }
}

/// What is wrong with the path of a pin.
pub(super) fn misused_path(at: &str) -> Vec<Misuse> {
    if !at.starts_with('/') || at.ends_with('/') || at.contains('\0') || at.len() > MAX_PATH {
        return vec![Misuse::new("at", "this is no absolute path of a file", "write one: `/run/netns/web`")];
    }
    Vec::new()
}

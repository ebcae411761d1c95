//! Sysctls: values of the kernel, or of a namespace, in the files below `/proc/sys` (proc_sys(5)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use crate::kernel::errno::Errno;
use crate::kernel::sys::file::write_file;
use crate::kernel::trace::{CallError, Trace};

/// Writes a sysctl.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sysctl {
    /// Who.
    pub r#in: String,
    /// Its name as sysctl(8) writes it: `kernel.shmmni`.
    pub name: String,
    /// The new value.
    pub value: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Sysctl {
    fn path(&self) -> String {
        format!("/proc/sys/{}", self.name.replace('.', "/"))
    }
}

impl Mechanism for Sysctl {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} writes {:?} to the sysctl {}", self.r#in, self.value, self.name)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("echo {} > {}", self.value, self.path()))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("the sysctl {} as {} sees it", self.name, self.r#in), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        let mut misuses = Vec::new();
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !self.name.split('.').all(|part| !part.is_empty() && part.chars().all(letters)) {
            let fix = "write it with dots, as `sysctl -a` does: `kernel.shmmni`";
            misuses.push(Misuse::new("name", "this is no name of a sysctl", fix));
        }
        if self.value.is_empty() || !self.value.chars().all(|c| letters(c) || c == ' ') {
            misuses.push(Misuse::new("value", "a value that can not be typed as it is", "write a word or numbers"));
        }
        misuses
    }
}

impl Perform for Sysctl {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        write_file(trace, &self.path(), &self.value)?;
        Ok(Outcome::default())
    }
}

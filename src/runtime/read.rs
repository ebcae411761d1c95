//! Reading a file (open(2), read(2)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Mechanism, Misuse, Outcome, Perform};
use super::process::shell_words;
use crate::kernel::errno::Errno;
use crate::kernel::sys;
use crate::kernel::trace::{CallError, Trace};

/// The longest path, in bytes (`PATH_MAX` of the kernel, with its NUL).
const MAX_PATH: usize = 4095;

/// Reads the beginning of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadFile {
    /// Who.
    pub r#in: String,
    /// Which file.
    pub path: String,
    /// The expected errno: of openat, or of read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for ReadFile {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} reads {}", self.r#in, self.path)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("cat {}", shell_words(std::slice::from_ref(&self.path))))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        Vec::new()
    }

    fn misuses(&self) -> Vec<Misuse> {
        let bad = self.path.is_empty() || self.path.len() > MAX_PATH || self.path.contains('\0');
        if bad { vec![Misuse::new("path", "this is no path", "write one of 1 to 4095 bytes")] } else { Vec::new() }
    }
}

impl Perform for ReadFile {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let output = sys::read_file(trace, &self.path)?;
        Ok(Outcome { output, status: None })
    }
}

//! Directories and files that lessons make (mkdir(2), open(2), write(2)).

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use super::process::shell_words;
use crate::kernel::errno::Errno;
use crate::kernel::sys::{self, OFlag};
use crate::kernel::trace::{CallError, Trace};

/// The longest path, in bytes (`PATH_MAX` of the kernel, with its NUL).
const MAX_PATH: usize = 4095;

/// Makes a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mkdir {
    /// Who.
    pub r#in: String,
    /// Where.
    pub at: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for Mkdir {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} makes the directory {}", self.r#in, self.at)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("mkdir {}", shell_words(std::slice::from_ref(&self.at))))
    }

    fn once(&self) -> bool {
        true
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("the directory {}, as {} sees it", self.at, self.r#in), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused_path("at", &self.at).into_iter().collect()
    }
}

impl Perform for Mkdir {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::mkdir(trace, Path::new(&self.at), 0o755)?;
        Ok(Outcome::default())
    }
}

/// Writes a file, which is made where it is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// Who.
    pub r#in: String,
    /// Which file.
    pub at: String,
    /// One line, written with its line end.
    pub text: String,
    /// The expected errno: of open, or of write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for Write {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} writes {:?} to {}", self.r#in, self.text, self.at)
    }

    fn shell(&self) -> Option<String> {
        let (text, at) = (std::slice::from_ref(&self.text), std::slice::from_ref(&self.at));
        Some(format!("echo {} > {}", shell_words(text), shell_words(at)))
    }

    fn once(&self) -> bool {
        false
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("what is in {}, as {} sees it", self.at, self.r#in), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused_path("at", &self.at).into_iter().collect()
    }
}

impl Perform for Write {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC;
        let file = sys::open(trace, Path::new(&self.at), flags, Some(0o644))?;
        let written = sys::write(trace, &file, &format!("{}\n", self.text));
        sys::close(trace, file)?;
        written.map(|()| Outcome::default())
    }
}

/// Takes a name of a file away, and the file with its last name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unlink {
    /// Who.
    pub r#in: String,
    /// Which file.
    pub at: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for Unlink {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} deletes {}", self.r#in, self.at)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("rm {}", shell_words(std::slice::from_ref(&self.at))))
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
        misused_path("at", &self.at).into_iter().collect()
    }
}

impl Perform for Unlink {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::unlink(trace, &self.at)?;
        Ok(Outcome::default())
    }
}

/// Takes an empty directory away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rmdir {
    /// Who.
    pub r#in: String,
    /// Which directory.
    pub at: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for Rmdir {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} takes the empty directory {} away", self.r#in, self.at)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("rmdir {}", shell_words(std::slice::from_ref(&self.at))))
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
        misused_path("at", &self.at).into_iter().collect()
    }
}

impl Perform for Rmdir {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::rmdir(trace, Path::new(&self.at))?;
        Ok(Outcome::default())
    }
}

/// What is wrong with a path.
pub(super) fn misused_path(field: &'static str, path: &str) -> Option<Misuse> {
    let fix = "write a path of 1 to 4095 bytes";
    let bad = path.is_empty() || path.len() > MAX_PATH || path.contains('\0');
    bad.then(|| Misuse::new(field, "this is no path", fix))
}

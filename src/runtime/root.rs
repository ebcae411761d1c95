//! Where paths begin: the root directory and the working directory (chroot(2), chdir(2), pivot_root(2)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use super::file::misused_path;
use super::process::{self, shell_words};
use crate::kernel::errno::Errno;
use crate::kernel::sys;
use crate::kernel::trace::{CallError, Trace};

/// Changes the root directory of the actor, and nothing else: its working directory stays where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chroot {
    /// Who.
    pub r#in: String,
    /// To which directory.
    pub to: String,
    /// Try it in a child that has become this ordinary user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_user: Option<u32>,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for Chroot {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let Self { r#in, to, .. } = self;
        match self.as_user {
            Some(id) => format!("a child of {in} becomes user {id} and tries to make {to} its root directory"),
            None => format!("{in} makes {to} its root directory; its working directory stays where it is"),
        }
    }

    fn shell(&self) -> Option<String> {
        let to = shell_words(std::slice::from_ref(&self.to));
        Some(match self.as_user {
            Some(id) => format!("setpriv --reuid {id} --regid {id} --clear-groups chroot {to}"),
            // chroot(1) goes to the new root's `/`, this does not.
            None => format!("unshare --root={to} --wd=. bash --norc"),
        })
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("the root directory of {}", self.r#in), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused_path("to", &self.to).into_iter().collect()
    }
}

impl Perform for Chroot {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        match self.as_user {
            // In a child, because there is no way back from setresuid.
            Some(id) => process::in_child(trace, |trace| {
                sys::become_user(trace, id)?;
                sys::chroot(trace, &self.to)
            })?,
            None => sys::chroot(trace, &self.to)?,
        }
        Ok(Outcome::default())
    }
}

/// Changes the working directory of the actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chdir {
    /// Who.
    pub r#in: String,
    /// To which directory.
    pub to: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for Chdir {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} makes {} its working directory", self.r#in, self.to)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("cd {}", shell_words(std::slice::from_ref(&self.to))))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("the working directory of {}", self.r#in), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        misused_path("to", &self.to).into_iter().collect()
    }
}

impl Perform for Chdir {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::chdir(trace, &self.to)?;
        Ok(Outcome::default())
    }
}

/// Makes a mount the root of the mount namespace; the old root is mounted elsewhere, from where it can be taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PivotRoot {
    /// Who.
    pub r#in: String,
    /// Which mount.
    pub new_root: String,
    /// Where the old root goes: at or below `new_root`.
    pub put_old: String,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for PivotRoot {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let Self { r#in, new_root, put_old, .. } = self;
        format!(
            "{in} makes the mount at {new_root} the root of its mount namespace, and puts the old root on {put_old}"
        )
    }

    fn shell(&self) -> Option<String> {
        Some(format!("pivot_root {}", shell_words(&[self.new_root.clone(), self.put_old.clone()])))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("the root mount of the mount namespace of {}", self.r#in), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        let paths = [misused_path("new_root", &self.new_root), misused_path("put_old", &self.put_old)];
        paths.into_iter().flatten().collect()
    }
}

impl Perform for PivotRoot {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::pivot_root(trace, &self.new_root, &self.put_old)?;
        Ok(Outcome::default())
    }
}

//! Namespaces: leaving shared ones for new ones (namespaces(7), unshare(2)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use crate::kernel::errno::Errno;
use crate::kernel::namespace::Namespace;
use crate::kernel::sys;
use crate::kernel::trace::{CallError, Trace};

/// A process leaves the namespaces that it shares, and is the first in new ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unshare {
    /// Who.
    pub r#in: String,
    /// Which kinds.
    pub namespaces: Vec<Namespace>,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Unshare {
    fn kinds(&self) -> String {
        self.namespaces.iter().map(|kind| kind.link()).collect::<Vec<_>>().join(", ")
    }
}

impl Mechanism for Unshare {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let who = &self.r#in;
        if let [kind @ (Namespace::Pid | Namespace::Time)] = self.namespaces[..] {
            return format!("{who} stays where it is, but its children will be born into a new {kind} namespace");
        }
        format!("{who} leaves the shared {} namespace for a new one", self.kinds())
    }

    fn shell(&self) -> Option<String> {
        let options: Vec<_> = self.namespaces.iter().map(|kind| kind.option()).collect();
        // Without a word unshare(1) makes all mounts private, which unshare(2) does not.
        let unchanged = if self.namespaces.contains(&Namespace::Mnt) { " --propagation unchanged" } else { "" };
        Some(format!("unshare {}{unchanged} bash --norc", options.join(" ")))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let who = &self.r#in;
        self.namespaces
            .iter()
            .map(|kind| Effect {
                what: format!("{} {kind} namespace, held by {who}", if *kind == Namespace::Ipc { "an" } else { "a" }),
                home: Home::Lab,
            })
            .collect()
    }

    fn misuses(&self) -> Vec<Misuse> {
        let none = Misuse::new("namespaces", "no namespace is named", "write which: `namespaces: [uts]`");
        if self.namespaces.is_empty() { vec![none] } else { Vec::new() }
    }
}

impl Perform for Unshare {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        if self.namespaces.contains(&Namespace::User) {
            sys::remember_ids();
        }
        sys::unshare(trace, &self.namespaces)?;
        Ok(Outcome::default())
    }
}

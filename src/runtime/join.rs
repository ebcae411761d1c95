//! Joining namespaces that exist: those of another process, or one that a file stands for (setns(2), nsenter(1)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, HOST, Home, Mechanism, Misuse, Outcome, Perform, PerformOn};
use super::pin::misused_path;
use super::process::shell_words;
use crate::kernel::errno::Errno;
use crate::kernel::namespace::Namespace;
use crate::kernel::sys;
use crate::kernel::trace::{CallError, Trace};

/// A process leaves its namespaces for those of another process, or for one that was pinned on a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setns {
    /// Who.
    pub r#in: String,
    /// Which kinds.
    pub namespaces: Vec<Namespace>,
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The file on which one is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Setns {
    fn kinds(&self) -> String {
        self.namespaces.iter().map(|kind| kind.link()).collect::<Vec<_>>().join(", ")
    }
}

impl Mechanism for Setns {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let Self { r#in, of, at, .. } = self;
        match (of, at) {
            (Some(of), _) => format!("{in} joins the {} namespace of {of}", self.kinds()),
            (None, Some(at)) => format!("{in} joins the {} namespace that is mounted on {at}", self.kinds()),
            (None, None) => format!("{in} joins a {} namespace", self.kinds()),
        }
    }

    fn shell(&self) -> Option<String> {
        let options = |with: &str| {
            let each = self.namespaces.iter().map(|kind| format!("{}{with}", kind.option()));
            each.collect::<Vec<_>>().join(" ")
        };
        Some(match &self.at {
            Some(at) => {
                let file = shell_words(std::slice::from_ref(at));
                format!("nsenter {} bash --norc", options(&format!("={file}")))
            }
            None => format!("nsenter --target $! {} bash --norc", options("")),
        })
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect {
            what: format!("{} in the {} namespace that it joined", self.r#in, self.kinds()),
            home: Home::Lab,
        }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        let mut misuses = Vec::new();
        if self.namespaces.is_empty() {
            misuses.push(Misuse::new("namespaces", "no namespace is named", "write which: `namespaces: [net]`"));
        }
        if self.r#in == HOST {
            let what = "the lab host does each of its deeds in a process that ends, and nothing would come of it";
            misuses.push(Misuse::new("in", what, "let a box join it"));
        }
        match (&self.of, &self.at) {
            (Some(_), None) => {}
            (None, Some(at)) => {
                misuses.extend(misused_path(at));
                if self.namespaces.len() > 1 {
                    misuses.push(Misuse::new("namespaces", "a file stands for one namespace", "name one kind"));
                }
            }
            _ => {
                let what = "a namespace is joined by a process that is in it, or by a file that it is mounted on";
                misuses.push(Misuse::new("of", what, "write one of the two: `of: web`, or `at: /run/netns/web`"));
            }
        }
        misuses
    }
}

impl PerformOn for Setns {
    fn whom(&self) -> &str {
        self.of.as_deref().unwrap_or_default()
    }

    /// Joins the namespaces of a process.
    fn perform_on(&self, trace: &mut Trace, pid: i32) -> Result<Outcome, CallError> {
        let process = sys::open_process(trace, pid)?;
        sys::setns(trace, &process, &self.namespaces)?;
        Ok(Outcome::default())
    }
}

impl Perform for Setns {
    /// Joins the namespace that a file stands for.
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let file = sys::open_namespace(trace, self.at.as_deref().unwrap_or_default())?;
        sys::setns(trace, &file, &self.namespaces)?;
        Ok(Outcome::default())
    }
}

//! The host name that a process sees.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Predicate, Probe, Seen as Known, View, inode, value};
use crate::kernel::namespace::Namespace;

/// The host name is this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Is {
    /// Whose.
    pub of: String,
    /// The name.
    pub is: String,
}

impl Predicate for Is {
    fn claim(&self) -> String {
        format!("the host name that {} sees is `{}`", self.of, self.is)
    }

    fn judge(&self, view: &View<'_>) -> Known<(bool, String)> {
        let seen = seen(view, &self.of)?;
        Ok((seen == self.is, format!("`{seen}`")))
    }
}

/// The host name itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Whose.
    pub of: String,
}

impl Probe for Seen {
    fn words(&self) -> String {
        format!("the host name that {} sees", self.of)
    }

    fn read(&self, view: &View<'_>) -> Known<String> {
        seen(view, &self.of)
    }
}

fn seen(view: &View<'_>, of: &str) -> Known<String> {
    let uts = inode(view.living(of)?, Namespace::Uts)?;
    value(view.observation.hostnames.get(&uts)).cloned()
}

//! Who a process is: user, groups, and whether groups may be changed at all (credentials(7), user_namespaces(7)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, HOST, Home, Mechanism, Misuse, Outcome, Perform};
use crate::kernel::errno::Errno;
use crate::kernel::sys;
use crate::kernel::trace::{CallError, Trace};

/// Becomes another user: groups, group and user, in this order, for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Become {
    /// Who.
    pub r#in: String,
    /// The user and group id.
    pub user: u32,
    /// Whether its files in `/proc` are given back to it afterwards, as execve(2) would: yes, unless this is `false`.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub dumpable: bool,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

fn yes() -> bool {
    true
}

impl Mechanism for Become {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} becomes user {}, without any group but its own", self.r#in, self.user)
    }

    fn shell(&self) -> Option<String> {
        Some(format!("setpriv --reuid {0} --regid {0} --clear-groups bash --norc", self.user))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("the ids of {}", self.r#in), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        host_can_not(&self.r#in)
    }
}

impl Perform for Become {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::become_user(trace, self.user)?;
        if self.dumpable {
            sys::set_dumpable(trace, true)?;
        }
        Ok(Outcome::default())
    }
}

/// Sets the supplementary groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetGroups {
    /// Who.
    pub r#in: String,
    /// The groups; none to give up all.
    pub groups: Vec<u32>,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Mechanism for SetGroups {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        format!("{} sets its supplementary groups", self.r#in)
    }

    fn shell(&self) -> Option<String> {
        let groups: Vec<String> = self.groups.iter().map(u32::to_string).collect();
        let option =
            if groups.is_empty() { "--clear-groups".to_owned() } else { format!("--groups {}", groups.join(",")) };
        Some(format!("setpriv {option} bash --norc"))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("the groups of {}", self.r#in), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        host_can_not(&self.r#in)
    }
}

impl Perform for SetGroups {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::set_groups(trace, &self.groups)?;
        Ok(Outcome::default())
    }
}

/// Who has no way back is not the lab host itself.
fn host_can_not(who: &str) -> Vec<Misuse> {
    let what = "the lab host itself stays who it is: its worker would change, and end at once";
    if who == HOST { vec![Misuse::new("in", what, "let a box do it")] } else { Vec::new() }
}

/// Allows or denies setgroups(2) in the user namespace of the process that writes. Denied is denied for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteSetgroups {
    /// Who.
    pub r#in: String,
    /// What is written.
    pub to: Permission,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

/// A word for `/proc/PID/setgroups`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// As in a namespace whose parent allows it.
    Allow,
    /// Never again, there and in namespaces below.
    Deny,
}

impl Permission {
    fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl Mechanism for WriteSetgroups {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        match self.to {
            Permission::Allow => format!("{} allows setgroups in its user namespace", self.r#in),
            Permission::Deny => format!("{} gives up setgroups in its user namespace for good", self.r#in),
        }
    }

    fn shell(&self) -> Option<String> {
        Some(format!("echo {} > /proc/self/setgroups", self.to.word()))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let what = format!("the word {} in setgroups of the user namespace of {}", self.to.word(), self.r#in);
        vec![Effect { what, home: Home::Lab }]
    }
}

impl Perform for WriteSetgroups {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::write_file(trace, "/proc/self/setgroups", self.to.word())?;
        Ok(Outcome::default())
    }
}

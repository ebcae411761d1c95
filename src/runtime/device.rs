//! Devices of a cgroup of version 2: a BPF program on the group decides, since there is no file for it (bpf(2)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use super::cgroup::{called, directory, misused};
use super::process::shell_words;
pub use crate::kernel::device::Rule;
use crate::kernel::device::{self, MOST_RULES};
use crate::kernel::errno::Errno;
use crate::kernel::trace::{CallError, Trace};

/// Lets the processes of a group use these devices and no others, by a BPF program on it; a second time, by another one in its
/// place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceRules {
    /// Who.
    pub r#in: String,
    /// The group below the lab's own.
    pub cgroup: String,
    /// What may be used, as in `devices.allow` of version 1: `c 1:3 rwm`. With none, no device.
    pub allow: Vec<Rule>,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

/// What may be used, in words.
pub fn told(allow: &[Rule]) -> String {
    let rules: Vec<String> = allow.iter().map(ToString::to_string).collect();
    if rules.is_empty() { "no device".to_owned() } else { format!("no device but {}", rules.join(", ")) }
}

impl Mechanism for DeviceRules {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let group = called(&self.cgroup, None);
        format!("{} puts a BPF program on the cgroup {group}, which lets it use {}", self.r#in, told(&self.allow))
    }

    fn shell(&self) -> Option<String> {
        let rules: Vec<String> = self.allow.iter().map(ToString::to_string).collect();
        Some(
            format!("/lab/work devices {} {}", directory(&self.cgroup, None), shell_words(&rules))
                .trim_end()
                .to_owned(),
        )
    }

    fn once(&self) -> bool {
        // The same program again, in its place, is the same state.
        false
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let group = called(&self.cgroup, None);
        vec![Effect { what: format!("a BPF program on the cgroup {group}: {}", told(&self.allow)), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        // Not on the lab's own group: new lab hosts are born there.
        let mut misuses = misused("cgroup", &self.cgroup);
        if self.allow.len() > MOST_RULES {
            let what = format!("these are {} rules", self.allow.len());
            misuses.push(Misuse::new("allow", what, format!("write at most {MOST_RULES}; `*` stands for all numbers")));
        }
        misuses
    }
}

impl Perform for DeviceRules {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let put = device::put(trace, &directory(&self.cgroup, None), &self.allow)?;
        let output = format!("program {} is one of {} that are asked\n", put.program.id, put.asked);
        Ok(Outcome { output, status: None })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn rules(cgroup: &str, allow: &[&str]) -> DeviceRules {
        let allow = allow.iter().map(|rule| rule.parse().unwrap()).collect();
        DeviceRules { r#in: "host".into(), cgroup: cgroup.into(), allow, fails_with: None }
    }

    #[test]
    fn the_line_is_what_somebody_types() {
        let shell = |allow: &[&str]| rules("web", allow).shell().unwrap();
        assert_eq!(shell(&["c 1:3 rwm", "b *:* r"]), "/lab/work devices /lab/cgroup/web 'c 1:3 rwm' 'b *:* r'");
        assert_eq!(shell(&[]), "/lab/work devices /lab/cgroup/web");
        assert!(rules("web", &[]).sentence().ends_with("lets it use no device"));
    }

    #[test]
    fn only_groups_below_the_labs_own_get_a_program() {
        assert_eq!(rules("web/db", &["c 1:3 r"]).misuses(), []);
        for cgroup in ["/", "..", "web/../..", ""] {
            assert_eq!(rules(cgroup, &[]).misuses().len(), 1, "{cgroup}");
        }
        assert_eq!(rules("web", &["c 1:3 r"; MOST_RULES + 1]).misuses().len(), 1);
    }
}

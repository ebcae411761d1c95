//! Handing on to the plugin that a configuration names for addresses (section 4): it is given the same variables and the same configuration.

use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use super::OWN_PROGRAM;
use super::frame::{Call, Fault, code, fault};
use crate::cni::error::ErrorObject;
use crate::cni::exchange::{Ending, MAX_ANSWER, MAX_STDERR, Plugins};
use crate::cni::result::AddResult;
use crate::kernel::piped::{self, Limits};

/// How long it may take.
const AT_MOST: Duration = Duration::from_secs(60);

/// Which plugin it is; none for links without addresses.
#[derive(Default, Deserialize)]
pub(super) struct Ipam {
    #[serde(rename = "type", default)]
    kind: String,
}

impl Ipam {
    /// Whether there is one.
    pub fn is_some(&self) -> bool {
        !self.kind.is_empty()
    }

    /// ADD: its result, with at least one address. The caller sees to [`Self::ask`] for DEL where it fails after that.
    pub fn add(&self, call: &Call) -> Result<AddResult, Fault> {
        if !self.is_some() {
            return Ok(AddResult::default());
        }
        let stdout = self.run(call, "ADD")?;
        let bad = |why: String| fault(code::DECODE, format!("{} answered no result", self.kind), why);
        let result = AddResult::parse(&stdout, call.version).map_err(bad)?;
        if result.ips.is_empty() {
            return Err(bad("it has no addresses".to_owned()));
        }
        Ok(result)
    }

    /// Any other command, which has no answer.
    pub fn ask(&self, call: &Call, command: &str) -> Result<(), Fault> {
        if self.is_some() { self.run(call, command).map(drop) } else { Ok(()) }
    }

    fn run(&self, call: &Call, command: &str) -> Result<Vec<u8>, Fault> {
        let path = std::env::var("CNI_PATH").unwrap_or_default();
        let plugins = Plugins { path, timeout: AT_MOST, own: Some(OWN_PROGRAM.into()) };
        let program = plugins.find(&self.kind).map_err(|why| fault(code::CONFIG, why.what, why.why))?;
        let limits = Limits { stdout: MAX_ANSWER, stderr: MAX_STDERR, at_most: AT_MOST };
        let mut run: Command = program.command();
        let ran = piped::run(run.env("CNI_COMMAND", command), call.stdin.as_bytes(), &limits)?;
        if ran.ending == Ending::Exited(0) {
            return Ok(ran.stdout);
        }
        Err(ErrorObject::parse(&ran.stdout).unwrap_or_else(|| {
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            fault(code::STATE, format!("{program} failed ({command})"), format!("{:?} {said}", ran.ending))
        }))
    }
}

//! Offsets of clocks in a time namespace (time_namespaces(7)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Outcome, Perform};
use crate::kernel::errno::Errno;
use crate::kernel::sys;
use crate::kernel::trace::{CallError, Trace};

/// The offsets of the time namespace that children will be born into. A process may write them until it has one.
const OFFSETS: &str = "/proc/self/timens_offsets";

/// Sets the offset of one clock in the time namespace that the children of the process will be born into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetClockOffset {
    /// Who.
    pub r#in: String,
    /// Which clock.
    pub clock: Clock,
    /// Whole seconds ahead of the machine's clock; may be negative.
    pub seconds: i64,
    /// And nanoseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nanos: u32,
    /// The expected errno: of openat, or of write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(nanos: &u32) -> bool {
    *nanos == 0
}

/// A clock, as `timens_offsets` calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// CLOCK_MONOTONIC.
    Monotonic,
    /// CLOCK_BOOTTIME.
    Boottime,
    /// CLOCK_REALTIME, which no time namespace has.
    Realtime,
}

impl Clock {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Monotonic => "monotonic",
            Self::Boottime => "boottime",
            Self::Realtime => "realtime",
        }
    }
}

impl SetClockOffset {
    fn line(&self) -> String {
        format!("{} {} {}", self.clock.word(), self.seconds, self.nanos)
    }
}

impl Mechanism for SetClockOffset {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let Self { r#in, clock, seconds, .. } = self;
        format!("{in} shifts the {} clock of its children to come by {seconds} seconds", clock.word())
    }

    fn shell(&self) -> Option<String> {
        Some(format!("echo \"{}\" > {OFFSETS}", self.line()))
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        let what = format!("the {} offset of the time namespace of the children of {}", self.clock.word(), self.r#in);
        vec![Effect { what, home: Home::Lab }]
    }
}

impl Perform for SetClockOffset {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        sys::write_file(trace, OFFSETS, &format!("{}\n", self.line()))?;
        Ok(Outcome::default())
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, Mechanism, SetClockOffset};

    #[test]
    fn the_line_is_the_files_own() {
        let clock = Clock::Boottime;
        let it = SetClockOffset { r#in: "box".to_owned(), clock, seconds: -5, nanos: 7, fails_with: None };
        assert_eq!(it.shell().as_deref(), Some("echo \"boottime -5 7\" > /proc/self/timens_offsets"));
    }
}

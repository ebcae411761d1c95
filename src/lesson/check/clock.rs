//! What the clocks say that a process sees.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Predicate, Probe, Seen, View, value};
use crate::kernel::namespace::Namespace;
use crate::probe::clocks::Measured;
use crate::runtime::clock::Clock;

/// A clock of a process is so many seconds ahead of the lab host's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AheadIs {
    /// Whose.
    pub of: String,
    /// Which clock.
    pub clock: Clock,
    /// How many seconds.
    pub seconds: i64,
}

impl Predicate for AheadIs {
    fn claim(&self) -> String {
        let Self { of, clock, seconds } = self;
        format!("the {} clock of {of} is {seconds} seconds ahead", clock.word())
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let seen = ahead(&measured(view, &self.of)?, self.clock);
        Ok((seen == self.seconds, format!("{} of {}: {seen:+} s", self.clock.word(), self.of)))
    }
}

/// The seconds by which a clock of a process is ahead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ahead {
    /// Whose.
    pub of: String,
    /// Which clock.
    pub clock: Clock,
}

impl Probe for Ahead {
    fn words(&self) -> String {
        format!("the seconds by which the {} clock of {} is ahead of the lab host's", self.clock.word(), self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        Ok(ahead(&measured(view, &self.of)?, self.clock).to_string())
    }
}

/// For how many days the machine seems to be up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DaysUp {
    /// To whom.
    pub of: String,
}

impl Probe for DaysUp {
    fn words(&self) -> String {
        format!("the whole days for which the machine is up, as {} is told", self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        Ok(measured(view, &self.of)?.days_up.to_string())
    }
}

fn measured(view: &View<'_>, of: &str) -> Seen<Measured> {
    let inode = view.namespace(of, Namespace::Time)?;
    value(view.observation.clocks.get(&inode).and_then(|it| it.measured.as_ref())).copied()
}

fn ahead(measured: &Measured, clock: Clock) -> i64 {
    match clock {
        Clock::Monotonic => measured.monotonic,
        Clock::Boottime => measured.boottime,
        Clock::Realtime => measured.realtime,
    }
}

//! What a walk sees: samples of the kernel's state, their rows, and what a step's check makes of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::walker::Walker;
use crate::agent::protocol::Sample;
use crate::explain::Explanation;
use crate::lesson::Verdict;
use crate::probe::{Change, Names, Panel, Row, diff, rows};

/// How long a check may take to become true after the calls: the kernel ends processes in its own time.
pub const CHECK_DEADLINE: Duration = Duration::from_secs(5);

/// Pause between two looks while a check is waited for.
pub const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl Walker {
    /// Looks until the current step's check holds, or the time is up. `as_seen_by` says who is who.
    pub(super) fn wait_for_check(&mut self, as_seen_by: &dyn Fn(&Names) -> Names) -> Result<Vec<Verdict>, Explanation> {
        let deadline = Instant::now() + CHECK_DEADLINE;
        loop {
            self.observe()?;
            let names = as_seen_by(&self.sample.names);
            let verdicts = self.evaluate(&names);
            if verdicts.iter().all(|verdict| verdict.holds) || Instant::now() > deadline {
                return Ok(verdicts);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Looks until what was done before has come to its end in the kernel, or some seconds are over.
    ///
    /// # Errors
    /// Where the lab host is gone.
    pub fn settle(&mut self) -> Result<(), Explanation> {
        let deadline = Instant::now() + CHECK_DEADLINE;
        self.observe()?;
        while self.sample.observation.networks_are_settling() && Instant::now() < deadline {
            std::thread::sleep(LOOK_AGAIN);
            self.observe()?;
        }
        Ok(())
    }

    /// Evaluates the current step's check on the last sample.
    pub fn evaluate(&self, names: &Names) -> Vec<Verdict> {
        self.step().check.iter().map(|check| check.evaluate(&self.sample.observation, names)).collect()
    }

    /// What the probe says to the current step's question.
    pub fn read_value(&self, names: &Names) -> Option<String> {
        self.step().question.as_ref()?.value.read(&self.sample.observation, names)
    }

    /// Takes a sample of everything. Whether it shows anything else than the last one.
    ///
    /// # Errors
    /// Where the lab host is gone.
    pub fn observe(&mut self) -> Result<bool, Explanation> {
        let paths = self.step().paths();
        let Some(sample) = self.lab()?.observe_anew(&Panel::ALL, &paths)? else { return Ok(false) };
        let rows = rows(&sample.observation, &sample.names);
        // Compared as rows: they leave out what changes all the time and means nothing, such as R and S.
        // What paths lead to is in no row.
        let found = sample.observation.roots != self.sample.observation.roots;
        let differs = rows != *self.rows || sample.names != self.sample.names || found;
        if differs {
            self.rows = Arc::new(rows);
            self.sample = sample;
        }
        Ok(differs)
    }

    /// The last sample.
    pub fn sample(&self) -> &Sample {
        &self.sample
    }

    /// The last sample as rows.
    pub fn rows(&self) -> &Arc<Vec<Row>> {
        &self.rows
    }

    /// What changed since before this step.
    pub fn since_step(&self) -> Vec<Change> {
        diff(&self.before_step, &self.rows)
    }
}

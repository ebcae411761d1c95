//! The group of version 2 that hardway runs in: made its own before anything else, and divided, so that the groups of lessons have
//! controllers. Where that can not be, hardway works without.

use std::path::{Path, PathBuf};

use super::systemd;
use crate::kernel::cgroup::{self, Layout};
use crate::kernel::delegation;
use crate::kernel::identity::ProcessIdentity;
use crate::runtime::ledger::{self, Entry, Ledger};

/// Where hardway runs.
#[derive(Debug, Default)]
pub struct Scope {
    group: Option<PathBuf>,
    by_systemd: bool,
    refused: Option<String>,
    /// Says that the group was divided. Whoever has it takes that back.
    ledger: Option<Ledger>,
}

impl Scope {
    /// Makes sure, on a machine with version 2 only, that this process is in a group that is its own, and hands all controllers of
    /// that group down: in the group that it is in, if nobody else is there; else in one that systemd makes for it. No thread may
    /// exist, and the keeper is not forked yet.
    pub fn settle() -> Self {
        if cgroup::layout() != Layout::V2 {
            return Self::default();
        }
        let Some(here) = delegation::own_group() else { return Self::default() };
        if delegation::is_divided(&here) {
            return Self::default();
        }
        let mut scope = Self::default();
        if delegation::is_ours(&here) && scope.divide(here).is_ok() {
            return scope;
        }
        match systemd::scope().and_then(|group| scope.divide(group)) {
            Ok(()) => scope.by_systemd = true,
            Err(why) => scope.refused = Some(why),
        }
        scope
    }

    /// Moves this process to a leaf of its group, so that the group can hand its controllers down.
    fn divide(&mut self, group: PathBuf) -> Result<(), String> {
        let pid = i32::try_from(std::process::id()).unwrap_or(0);
        let identity = ProcessIdentity::of(pid).ok_or("is /proc mounted?")?;
        let leaf = group.join(format!("hardway-{pid}-{}-self", identity.start_time));
        let mut ledger = Ledger::begin(&ledger::base()).map_err(|error| error.to_string())?;
        let divided = ledger
            .write(&Entry::Leaf(leaf.clone()))
            .map_err(|error| error.to_string())
            .and_then(|()| delegation::divide(&group, &leaf).map_err(|error| format!("{}: {error}", group.display())));
        match divided {
            Ok(()) => {
                self.group = Some(group);
                self.ledger = Some(ledger);
            }
            // What was done of it until then.
            Err(_) => drop(ledger.end()),
        }
        divided
    }

    /// The group below which the groups of sessions are made; none where that is simply the group that this process is in.
    pub fn group(&self) -> Option<&Path> {
        self.group.as_deref()
    }

    /// Whether systemd made that group.
    pub fn is_by_systemd(&self) -> bool {
        self.by_systemd
    }

    /// Why there is no group of hardway's own; none where there is one, or none is needed.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Called by the keeper, just forked: from now on it is the one who takes back.
    pub(super) fn take_over(&mut self) -> Option<Ledger> {
        self.ledger.take().map(Ledger::take_over)
    }

    /// Called by the process that the keeper was forked from.
    pub(super) fn give_away(&mut self) {
        // Lets go of the ledger without reverting it. Its lock is the keeper's now.
        self.ledger = None;
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if let Some(ledger) = self.ledger.take() {
            ledger.end();
        }
    }
}

//! `hardway cleanup`: takes away what sessions that were killed have left.

use std::process::ExitCode;

use hardway::runtime::ledger;

use super::say;
use crate::report::FAILED;

/// `hardway cleanup`.
pub fn cleanup(dry_run: bool) -> ExitCode {
    let dead = ledger::dead(&ledger::base());
    if dead.is_empty() {
        say("nothing was left behind");
        return ExitCode::SUCCESS;
    }
    let mut left = 0;
    for directory in dead {
        if dry_run {
            say(&format!("would revert {}: {:?}", directory.display(), ledger::entries(&directory)));
            continue;
        }
        let reverted = ledger::revert(&directory);
        say(&format!("{}: taken away", directory.display()));
        for one in reverted {
            say(&format!("  {}: {}", one.what, if one.gone { "ended" } else { "still there" }));
            left += usize::from(!one.gone);
        }
    }
    if left > 0 { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}

//! Errors as text, in one place.

use std::process::ExitCode;

use hardway::explain::Explanation;

/// Exit status of a command that failed.
pub const FAILED: u8 = 1;
/// Exit status of `hardway run` when a whole lesson is not available here.
pub const NOT_AVAILABLE: u8 = 3;

/// Tells a person what failed, why, and how to fix it.
pub fn trouble(explanation: &Explanation) -> ExitCode {
    eprintln!("hardway: {explanation}");
    ExitCode::from(FAILED)
}

//! `hardway enter`: a shell in a lab host that runs, from another terminal.

use std::process::ExitCode;

use hardway::agent::visit;
use hardway::explain::Explanation;

use crate::report::FAILED;

/// `hardway enter`.
pub fn enter(whom: Option<&str>) -> Result<ExitCode, Explanation> {
    let running = visit::running();
    let Some(newest) = running.first() else {
        return Err(Explanation::new(
            "No lab host of yours runs",
            "a lab host lives as long as a lesson is open; one that was started with sudo belongs to root",
            "open a lesson in another terminal: hardway 05-pid (with sudo there, then with sudo here)",
        ));
    };
    if running.len() > 1 {
        eprintln!("{} lab hosts run; this is the newest", running.len());
    }
    Ok(ExitCode::from(u8::try_from(visit::shell(newest, whom)?).unwrap_or(FAILED)))
}

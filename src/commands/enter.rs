//! `hardway enter`: a shell in a lab host that runs, from another terminal.

use std::process::ExitCode;

use hardway::agent::visit;
use hardway::explain::Explanation;

use crate::report::FAILED;

/// `hardway enter`.
pub fn enter(whom: Option<&str>, lab: Option<i32>) -> Result<ExitCode, Explanation> {
    let running = visit::running();
    let chosen = running.iter().find(|one| lab.is_none_or(|pid| one.init.pid == pid));
    let Some(chosen) = chosen else {
        return Err(Explanation::new(
            "No lab host of yours runs",
            "a lab host lives as long as a lesson is open; one that was started with sudo belongs to root",
            "open a lesson in another terminal: hardway 05-pid (with sudo there, then with sudo here)",
        ));
    };
    if running.len() > 1 && lab.is_none() {
        let others: Vec<String> = running[1..].iter().map(|one| one.init.pid.to_string()).collect();
        eprintln!("This is the newest lab host; others run: --lab {}", others.join(" or "));
    }
    Ok(ExitCode::from(u8::try_from(visit::shell(chosen, whom)?).unwrap_or(FAILED)))
}

//! `hardway state`: one observation of a process.

use std::process::ExitCode;

use hardway::explain::Explanation;
use hardway::probe::{Names, Panel, Reader, Wanted, rows};
use serde_json::json;

use super::say;

/// `hardway state`.
pub fn state(pid: Option<i32>, as_json: bool) -> Result<ExitCode, Explanation> {
    let pid = pid.unwrap_or_else(|| i32::try_from(std::os::unix::process::parent_id()).unwrap_or(1));
    let observation = Reader::new("/proc").observe(&Wanted::panels(&Panel::ALL).only(pid));
    if observation.process(pid).is_none() {
        return Err(Explanation::new(
            format!("There is no process {pid}"),
            format!("/proc/{pid} does not exist"),
            "ps -e lists the processes there are",
        ));
    }
    let rows = rows(&observation, &Names::default());
    if as_json {
        say(&format!("{:#}", json!({ "pid": pid, "observation": observation, "rows": rows })));
    } else {
        for row in rows {
            say(&format!(
                "{:<12} {:<24} {:<18} {}   [{}]",
                row.panel.to_string(),
                row.subject,
                row.key,
                row.value,
                row.source
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

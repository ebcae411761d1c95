//! `hardway state`: one observation of a process.

use std::process::ExitCode;

use hardway::explain::Explanation;
use hardway::kernel::host::effective_uid;
use hardway::kernel::identity::Stat;
use hardway::kernel::namespace::Namespace;
use hardway::probe::{Names, Panel, Reader, Row, Wanted, rows};
use serde_json::json;

use super::say;

/// How many processes may stand between hardway and the shell that it was typed into.
const MOST_BETWEEN: usize = 8;

/// `hardway state`.
pub fn state(pid: Option<i32>, as_json: bool) -> Result<ExitCode, Explanation> {
    let pid = pid.unwrap_or_else(callers_shell);
    let observation = Reader::new("/proc").observe(&Wanted::panels(&Panel::ALL).only(pid));
    let Some(process) = observation.process(pid) else {
        return Err(Explanation::new(
            format!("There is no process {pid}"),
            format!("/proc/{pid} does not exist"),
            "ps -e lists the processes there are",
        ));
    };
    let rows = rows(&observation, &Names::default());
    if as_json {
        say(&format!("{:#}", json!({ "format": 1, "pid": pid, "rows": rows, "observation": observation })));
    } else {
        text(&rows).iter().for_each(|line| say(line));
        // What is read by way of a namespace needs the right to look at it (ptrace(2), access mode checking).
        let reason = match process.namespaces.inode(Namespace::Mnt) {
            Some(_) => "none",
            None if effective_uid() == 0 => "none that you may read, as with its namespaces above",
            None => "none that you may read, as with its namespaces above; sudo shows more",
        };
        let shown = |panel: &Panel| rows.iter().any(|row| row.panel == *panel);
        for panel in Panel::ALL.iter().filter(|panel| !shown(panel)) {
            say(&format!("\n{panel}: {reason}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The process that hardway was typed into: its parent, or sudo's.
fn callers_shell() -> i32 {
    let mut pid = i32::try_from(std::os::unix::process::parent_id()).unwrap_or(1);
    for _ in 0..MOST_BETWEEN {
        match Stat::of(pid) {
            Some(stat) if stat.comm == "sudo" && stat.ppid > 0 => pid = stat.ppid,
            _ => break,
        }
    }
    pid
}

/// Panel by panel, each value with its source.
fn text(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut before: Option<&Row> = None;
    for row in rows {
        if before.is_none_or(|before| (before.panel, &before.subject) != (row.panel, &row.subject)) {
            if before.is_some() {
                lines.push(String::new());
            }
            lines.push(format!("{}: {}", row.panel, row.subject));
        }
        lines.push(format!("  {:<18} {:<30} [{}]", row.key, row.value, row.source));
        before = Some(row);
    }
    lines
}

//! Asking systemd for a scope: a cgroup that is handed to this process with all that is below it, and that goes with its last
//! process (systemd.scope(5), org.freedesktop.systemd1(5)).

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use zbus::Variant;
use zbus::connection::{Builder, Connection};

use crate::kernel::children::{Worked, in_worker};
use crate::kernel::delegation;
use crate::kernel::host::effective_uid;
use crate::kernel::identity::ProcessIdentity;
use crate::kernel::stdio;

/// Longest wait for systemd: for its answer, and then until it has moved this process.
const DEADLINE: Duration = Duration::from_secs(5);

/// Longest wait for one bus of several.
const BUS_DEADLINE: Duration = Duration::from_secs(2);

/// The longest answer, in bytes.
const MAX_REPORT: usize = 4096;

/// What came of the question.
#[derive(Debug, Serialize, Deserialize)]
struct Answer(Result<(), String>);

/// Has this process moved to a scope of its own; its group. No thread may exist.
///
/// # Errors
/// Why there is none, for people.
pub(super) fn scope() -> Result<PathBuf, String> {
    if !delegation::systemd_runs() {
        return Err("systemd is not the init here".to_owned());
    }
    let pid = std::process::id();
    let identity = i32::try_from(pid).ok().and_then(ProcessIdentity::of).ok_or("is /proc mounted?")?;
    let name = format!("hardway-{pid}-{}.scope", identity.start_time);
    // In a process of its own: what speaks D-Bus starts a runtime and threads, and this process is to stay without.
    let asked = in_worker(DEADLINE, MAX_REPORT, |report| stdio::report(&report, &Answer(ask(&name, pid))));
    match asked {
        Ok(Worked::Report(text)) => {
            let answer: Answer = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
            answer.0?;
        }
        Ok(Worked::Late) => return Err("systemd did not answer in time".to_owned()),
        Ok(Worked::Died(status)) => return Err(format!("the process that asked systemd ended with {status}")),
        Err(error) => return Err(error.to_string()),
    }
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        if let Some(group) = delegation::own_group().filter(|group| group.ends_with(&name)) {
            return Ok(group);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(format!("systemd has not moved this process to {name}"))
}

/// Asks at one bus after the other.
fn ask(name: &str, pid: u32) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let uid = effective_uid();
    let buses = buses(uid, |name| std::env::var(name).ok());
    let mut refused = String::new();
    for address in buses {
        let asked = runtime.block_on(async { tokio::time::timeout(BUS_DEADLINE, ask_at(&address, name, pid)).await });
        match asked {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => refused = format!("{address}: {error}"),
            Err(_) => refused = format!("{address}: no answer"),
        }
    }
    Err(refused)
}

async fn ask_at(address: &str, name: &str, pid: u32) -> zbus::Result<()> {
    let bus: Connection = Builder::address(address).build().await?;
    let properties = [
        ("PIDs", Variant::from(vec![pid])),
        ("Delegate", Variant::from(true)),
        ("Description", Variant::from("hardway, with its lab hosts")),
        // Also after a failure nothing of it is to stay.
        ("CollectMode", Variant::from("inactive-or-failed")),
    ];
    let auxiliary: [(&str, Vec<(&str, Variant<'_>)>); 0] = [];
    let body = (name, "fail", properties.as_slice(), auxiliary.as_slice());
    bus.call_method(
        Some("org.freedesktop.systemd1"),
        "/org/freedesktop/systemd1",
        Some("org.freedesktop.systemd1.Manager"),
        "StartTransientUnit",
        &body,
    )
    .await?;
    Ok(())
}

/// Where a user's systemd can be asked: root's at the bus of the system, another's at their own. The environment may still be that
/// of somebody else, as after su(1).
fn buses(uid: u32, variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let socket = |path: &str| format!("unix:path={path}");
    if uid == 0 {
        return vec![socket("/run/dbus/system_bus_socket")];
    }
    let told = variable("DBUS_SESSION_BUS_ADDRESS").filter(|address| !address.is_empty());
    let in_runtime = variable("XDG_RUNTIME_DIR").filter(|directory| Path::new(directory).is_absolute());
    let mut all: Vec<String> = told.into_iter().collect();
    all.extend(in_runtime.map(|directory| socket(&format!("{directory}/bus"))));
    all.push(socket(&format!("/run/user/{uid}/bus")));
    let mut seen = HashSet::new();
    all.retain(|address| seen.insert(address.clone()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_a_systemd_of_their_own() {
        assert_eq!(buses(0, |_| Some("unix:path=/x".to_owned())), ["unix:path=/run/dbus/system_bus_socket"]);
        assert_eq!(buses(7, |_| None), ["unix:path=/run/user/7/bus"]);
        let session = |name: &str| match name {
            "XDG_RUNTIME_DIR" => Some("/run/user/7".to_owned()),
            _ => Some("unix:abstract=/tmp/x".to_owned()),
        };
        assert_eq!(buses(7, session), ["unix:abstract=/tmp/x", "unix:path=/run/user/7/bus"]);
    }
}

//! Asking systemd for a scope: a cgroup that is handed to this process with all that is below it, and that goes with its last
//! process (systemd.scope(5), org.freedesktop.systemd1(5)).

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zbus::Variant;
use zbus::connection::{Builder, Connection};

use crate::kernel::children::{Worked, in_worker};
use crate::kernel::delegation;
use crate::kernel::host::effective_uid;
use crate::kernel::identity::ProcessIdentity;
use crate::kernel::stdio;

/// Longest wait for systemd in all.
const DEADLINE: Duration = Duration::from_secs(5);

/// Longest wait for it on one way: for its answer, and until it has moved the process.
const WAY_DEADLINE: Duration = Duration::from_secs(2);

/// The longest answer, in bytes.
const MAX_REPORT: usize = 4096;

/// What systemd is asked for.
#[derive(Debug)]
enum Request<'a> {
    /// A scope of this name, for this process.
    Start(&'a str, u32),
    /// To move this process into a group below that of a unit.
    Attach(&'a str, &'a str, u32),
}

impl Request<'_> {
    /// Whether the process is where it was to be moved.
    fn is_done(&self) -> bool {
        let (pid, there) = match self {
            Self::Start(name, pid) => (pid, format!("/{name}")),
            Self::Attach(unit, below, pid) => (pid, format!("/{unit}{below}")),
        };
        let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        cgroup.lines().any(|line| line.starts_with("0::") && line.ends_with(there.trim_end_matches('/')))
    }
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
struct Answer(Result<(), String>);

/// Where a systemd can be asked.
#[derive(Debug, PartialEq, Eq)]
struct Way {
    /// An address of D-Bus.
    address: String,
    /// Whether systemd itself listens there. It does also where no bus was installed.
    direct: bool,
}

/// Has this process moved to a scope of its own; its group. No thread may exist.
///
/// # Errors
/// Why there is none, for people.
pub(super) fn scope() -> Result<PathBuf, String> {
    let pid = std::process::id();
    let identity = i32::try_from(pid).ok().and_then(ProcessIdentity::of).ok_or("is /proc mounted?")?;
    let name = format!("hardway-{pid}-{}.scope", identity.start_time);
    ask(&Request::Start(&name, pid))?;
    delegation::own_group().ok_or_else(|| "the group that it made can not be seen".to_owned())
}

/// Has this process moved to a group in another hardway's scope, where the kernel forbids this user to leave the own group for it.
/// No thread may exist.
///
/// # Errors
/// Why it was not, for people; also where the group is in no scope.
pub(super) fn attach(group: &Path) -> Result<(), String> {
    let (unit, below) = in_scope(group).ok_or_else(|| format!("{} is in no scope", group.display()))?;
    ask(&Request::Attach(&unit, &below, std::process::id()))
}

/// The name of the scope that a group is in, and its path from there.
fn in_scope(group: &Path) -> Option<(String, String)> {
    let scope = group.ancestors().find(|one| one.extension().is_some_and(|ending| ending == "scope"))?;
    let below = group.strip_prefix(scope).ok()?;
    Some((scope.file_name()?.to_str()?.to_owned(), format!("/{}", below.to_str()?)))
}

/// Asks in a process of its own: what speaks D-Bus starts a runtime and threads, and this process is to stay without.
fn ask(request: &Request) -> Result<(), String> {
    if !delegation::systemd_runs() {
        return Err("it is not the init here".to_owned());
    }
    match in_worker(DEADLINE, MAX_REPORT, |report| stdio::report(&report, &Answer(ask_here(request)))) {
        Ok(Worked::Report(text)) => serde_json::from_slice(&text).unwrap_or(Answer(Err("garbled".to_owned()))).0,
        Ok(Worked::Late) => Err("it did not answer in time".to_owned()),
        Ok(Worked::Died(status)) => Err(format!("the process that asked it ended with {status}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Tries one way after the other.
fn ask_here(request: &Request) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let mut refused = Vec::new();
    for way in ways(effective_uid(), |name| std::env::var(name).ok()) {
        let asked = async { tokio::time::timeout(WAY_DEADLINE, ask_at(&way, request)).await };
        match runtime.block_on(asked) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => refused.push(format!("{}: {error}", way.address)),
            Err(_) => refused.push(format!("{}: no answer", way.address)),
        }
    }
    Err(refused.join("; "))
}

async fn ask_at(way: &Way, request: &Request<'_>) -> zbus::Result<()> {
    let builder = Builder::address(way.address.as_str());
    let bus = if way.direct { builder.p2p() } else { builder }.build().await?;
    let answer = match *request {
        Request::Start(name, pid) => {
            let properties = [
                ("PIDs", Variant::from(vec![pid])),
                ("Delegate", Variant::from(true)),
                ("Description", Variant::from("hardway, with its lab hosts")),
                // Also after a failure nothing of it is to stay.
                ("CollectMode", Variant::from("inactive-or-failed")),
            ];
            let auxiliary: [(&str, Vec<(&str, Variant<'_>)>); 0] = [];
            call(&bus, "StartTransientUnit", &(name, "fail", properties.as_slice(), auxiliary.as_slice())).await
        }
        Request::Attach(unit, below, pid) => call(&bus, "AttachProcessesToUnit", &(unit, below, vec![pid])).await,
    };
    // Where no bus is between, systemd signs with a name that zbus does not take for a sender's: then only what it did tells.
    if !way.direct {
        answer?;
    }
    while !request.is_done() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn call<B>(bus: &Connection, method: &str, body: &B) -> zbus::Result<()>
where
    B: Serialize + zbus::wire::DynamicType,
{
    let (whom, manager) = ("org.freedesktop.systemd1", "org.freedesktop.systemd1.Manager");
    bus.call_method(Some(whom), "/org/freedesktop/systemd1", Some(manager), method, body).await.map(drop)
}

/// Where a user's systemd can be asked: root's at the bus of the system, another's at their own; then without a bus. The environment
/// may still be that of somebody else, as after su(1).
fn ways(uid: u32, variable: impl Fn(&str) -> Option<String>) -> Vec<Way> {
    let socket = |path: &str, direct| Way { address: format!("unix:path={path}"), direct };
    if uid == 0 {
        return vec![socket("/run/dbus/system_bus_socket", false), socket("/run/systemd/private", true)];
    }
    let told = variable("DBUS_SESSION_BUS_ADDRESS").filter(|address| !address.is_empty());
    let mut all: Vec<Way> = told.into_iter().map(|address| Way { address, direct: false }).collect();
    let own = format!("/run/user/{uid}");
    for directory in variable("XDG_RUNTIME_DIR").into_iter().filter(|it| Path::new(it).is_absolute()).chain([own]) {
        for way in [socket(&format!("{directory}/bus"), false), socket(&format!("{directory}/systemd/private"), true)] {
            if !all.contains(&way) {
                all.push(way);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(uid: u32, variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
        ways(uid, variable).into_iter().map(|way| way.address).collect()
    }

    #[test]
    fn each_user_has_a_systemd_of_their_own() {
        let system = ["unix:path=/run/dbus/system_bus_socket", "unix:path=/run/systemd/private"];
        assert_eq!(addresses(0, |_| Some("unix:path=/x".to_owned())), system);
        let own = ["unix:path=/run/user/7/bus", "unix:path=/run/user/7/systemd/private"];
        assert_eq!(addresses(7, |_| None), own);
        let session = |name: &str| match name {
            "XDG_RUNTIME_DIR" => Some("/run/user/7".to_owned()),
            _ => Some("unix:abstract=/tmp/x".to_owned()),
        };
        assert_eq!(addresses(7, session), ["unix:abstract=/tmp/x", own[0], own[1]]);
    }

    #[test]
    fn a_group_in_a_scope_is_named_from_there() {
        let named = |path: &str| in_scope(Path::new(path));
        let both = |unit: &str, below: &str| Some((unit.to_owned(), below.to_owned()));
        assert_eq!(
            named("/sys/fs/cgroup/a.slice/hardway-1-2.scope/hardway-3-4/init"),
            both("hardway-1-2.scope", "/hardway-3-4/init")
        );
        assert_eq!(named("/sys/fs/cgroup/a.slice/b.scope"), both("b.scope", "/"));
        assert_eq!(named("/sys/fs/cgroup/a.slice/b.service/c"), None);
    }
}

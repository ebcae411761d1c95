//! Trials: what the kernel really lets this process do, found out by doing it in processes that end at once.

use std::fs;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::children::{Worked, in_worker};
use super::errno::Errno;
use super::namespace::Namespace;
use super::nftables::Nftables;
use super::stdio;
use super::sys::{self, Forked};
use super::trace::Trace;

/// How long one trial may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The longest report of a trial, in bytes.
const MAX_REPORT: usize = 4096;

/// The kinds of namespace that can be made, as unshare(2) counts them.
pub const KINDS: [Namespace; 8] = [
    Namespace::Mnt,
    Namespace::Uts,
    Namespace::Ipc,
    Namespace::Pid,
    Namespace::Net,
    Namespace::Cgroup,
    Namespace::Time,
    Namespace::User,
];

/// Makes a namespace of each kind, the user namespace last because the others would then be inside of it; what the kernel
/// answered. None where the trial itself came to nothing.
pub fn each_namespace() -> Option<Vec<(Namespace, Result<(), Errno>)>> {
    in_trial(|| KINDS.map(|kind| (kind, unshare(&[kind]))).to_vec())
}

/// The same inside of a new user namespace in which this user's own id is root: what an ordinary user may do. The user
/// namespace of the list is a second one, inside of the first.
pub fn each_namespace_as_own_root() -> Option<Vec<(Namespace, Result<(), Errno>)>> {
    in_trial(|| match become_own_root() {
        Ok(()) => KINDS.map(|kind| (kind, unshare(&[kind]))).to_vec(),
        Err(errno) => KINDS.map(|kind| (kind, Err(errno))).to_vec(),
    })
}

/// Mounts a proc of new pid and mount namespaces inside of a new user namespace. The kernel refuses with `EPERM` where the
/// proc that is there has parts hidden, as container engines do (mount_namespaces(7), restrictions).
pub fn proc_in_user_namespace() -> Option<Result<(), Errno>> {
    in_trial(|| {
        become_own_root()?;
        unshare(&[Namespace::Pid, Namespace::Mnt])?;
        // Only a child is in the new pid namespace, whose proc it is.
        let (report, report_end) = stdio::pipe();
        match sys::clone3(&mut Trace::new("trial"), &[]).map_err(|error| error.errno)? {
            Forked::Child => {
                stdio::report(&report_end, &mount_proc());
                stdio::exit_now(0);
            }
            Forked::Parent { pid, .. } => {
                drop(report_end);
                let answer = stdio::read_report::<Result<(), Errno>>(report);
                let _ = sys::wait4(&mut Trace::new("trial"), pid);
                answer.unwrap_or(Err(nix::errno::Errno::ECHILD.into()))
            }
        }
    })
}

/// Whether the rules of a network namespace of one's own can be read.
pub fn nf_tables() -> bool {
    let read = || {
        // Without privilege in a user namespace of one's own; with it that is not needed, and may be forbidden.
        unshare(&[Namespace::Net]).or_else(|_| become_own_root().and_then(|()| unshare(&[Namespace::Net])))?;
        Nftables::open().and_then(|mut nftables| nftables.ruleset()).map_err(|error| Errno::from(&error))?;
        Ok::<_, Errno>(())
    };
    in_trial(|| read().is_ok()).unwrap_or(false)
}

fn mount_proc() -> Result<(), Errno> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none)?;
    Ok(())
}

/// A new user namespace in which the own id is 0. The order of the files is the one that user_namespaces(7) asks for.
fn become_own_root() -> Result<(), Errno> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(&[Namespace::User])?;
    let write = |file: &str, text: &str| fs::write(file, text).map_err(|error| Errno::from(&error));
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/gid_map", &format!("0 {gid} 1"))?;
    write("/proc/self/uid_map", &format!("0 {uid} 1"))
}

fn unshare(kinds: &[Namespace]) -> Result<(), Errno> {
    sys::unshare(&mut Trace::new("trial"), kinds).map_err(|error| error.errno)
}

/// Does something in a process of its own, and brings back what came of it.
fn in_trial<T: Serialize + DeserializeOwned>(deed: impl FnOnce() -> T) -> Option<T> {
    match in_worker(DEADLINE, MAX_REPORT, |report| stdio::report(&report, &deed())) {
        Ok(Worked::Report(text)) => serde_json::from_slice(&text).ok(),
        Ok(Worked::Late | Worked::Died(_)) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_trial_changes_nothing_here() {
        let now = || KINDS.map(|kind| fs::read_link(format!("/proc/self/ns/{}", kind.link())).ok());
        let before = now();
        assert_eq!(each_namespace().unwrap().len(), KINDS.len());
        assert_eq!(each_namespace_as_own_root().unwrap().len(), KINDS.len());
        let _ = proc_in_user_namespace();
        assert_eq!(now(), before);
    }
}

//! The start of a lab host: from a process in new namespaces to the init of one.

use super::groups::Groups;
use super::protocol::{Built, LabSpec};
use super::tree;
use crate::explain::Explanation;
use crate::kernel::host::Mode;
use crate::kernel::netlink::Netlink;
use crate::kernel::trace::Trace;
use crate::runtime::action::HOST;

/// From a process in new namespaces to the init of a lab host.
pub(super) fn become_init(spec: &LabSpec, groups: &Groups) -> Built {
    // A change of credentials would clear this (prctl(2)), so it comes after the id maps are written and not before.
    crate::kernel::end_with_parent();
    // So that processes of the lab may look into /proc/1: they share no exec with us that would have made it so.
    let _ = nix::sys::prctl::set_dumpable(true);
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    if spec.mode == Mode::RootlessRange {
        // The person's supplementary groups are not mapped and would show as 65534.
        let _ = nix::unistd::setgroups(&[]);
    }
    groups.settle(spec.controllers).map_err(|error| {
        let fix = "end what moves processes between cgroups meanwhile, and try again";
        Explanation::new("The lab host could not settle in its cgroups", error.to_string(), fix)
    })?;
    if spec.real_host {
        // Orphans of the lab come to its init, as they would in a pid namespace of its own.
        let _ = nix::sys::prctl::set_child_subreaper(true);
        set_environment();
        return tree::build_on_machine(&groups.hierarchies());
    }
    tree::build(spec.mode, &groups.hierarchies(), &groups.private())?;
    if spec.mode == Mode::Root {
        drop_machine_capabilities(groups.guarded);
    }
    nix::unistd::sethostname("lab")
        .map_err(|errno| Explanation::new("The lab host could not be named", format!("sethostname: {errno}"), ""))?;
    loopback_up()?;
    no_router();
    set_environment();
    Ok(())
}

/// A new network namespace has a loopback device that is down; a machine's is up.
fn loopback_up() -> Result<(), Explanation> {
    let what = "The lab host's loopback device could not be set up";
    let mut netlink = Netlink::open().map_err(|error| Explanation::new(what, error.to_string(), ""))?;
    netlink.set_link(&mut Trace::new(HOST), "lo", true).map_err(|error| error.explain(what, ""))
}

/// A new network namespace forwards if the machine does (devinet_init_net of the kernel), as one with Docker. Lessons begin with a
/// host that is no router. Where the file can not be written there is no forwarding to be switched off, or the step says so.
fn no_router() {
    let _ = std::fs::write("/proc/sys/net/ipv4/ip_forward", "0");
}

/// Programs in the lab have no use for what would reach the machine itself: its clock, modules, ports, kernel log, power;
/// and, where no guard looks after devices, nodes for its disks.
fn drop_machine_capabilities(guarded: bool) {
    // Numbers of <linux/capability.h>: MAC_OVERRIDE 32, MAC_ADMIN 33, SYSLOG 34, WAKE_ALARM 35, BLOCK_SUSPEND 36,
    // AUDIT_CONTROL 30, MKNOD 27, SYS_TIME 25, SYS_BOOT 22, SYS_RAWIO 17, SYS_MODULE 16.
    let mknod = if guarded { None } else { Some(27) };
    for capability in [16, 17, 22, 25, 30, 32, 33, 34, 35, 36_u64].into_iter().chain(mknod) {
        // SAFETY: PR_CAPBSET_DROP takes one number; an unknown one is refused.
        let _ = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
}

/// The environment of everything that is run in the lab.
pub(super) const ENVIRONMENT: [(&str, &str); 6] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("USER", "root"),
    ("LOGNAME", "root"),
    ("SHELL", "/bin/bash"),
    // Lessons quote what programs say; so they must say it in one language.
    ("LC_ALL", "C.UTF-8"),
];

/// Makes it the agent's own, which every process of the lab inherits.
fn set_environment() {
    let names: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    for name in names.iter().filter(|name| *name != "TZ") {
        // SAFETY: the agent has one thread.
        unsafe { std::env::remove_var(name) };
    }
    for (name, value) in ENVIRONMENT {
        // SAFETY: the agent has one thread.
        unsafe { std::env::set_var(name, value) };
    }
}

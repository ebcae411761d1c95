//! The kernel's interfaces: system calls with their trace, errno table, identities, and what this machine allows.

pub mod bpf;
pub mod cgroup;
pub mod channel;
pub mod children;
pub mod conntrack;
pub mod delegation;
pub mod device;
pub mod disk;
pub mod enter;
pub mod errno;
pub mod follow;
pub mod guard;
pub mod heap;
pub mod hierarchy;
pub mod host;
pub mod identity;
pub mod leftover;
pub mod machine_network;
pub mod memory;
pub mod mount;
pub mod names;
pub mod namespace;
pub mod netlink;
pub mod nftables;
pub mod overlay;
pub mod ownership;
pub mod packet;
pub mod path;
pub mod perf;
pub mod ping;
pub mod piped;
pub mod program;
pub mod stdio;
pub mod storage;
pub mod sys;
pub mod trace;
pub mod trial;

use std::sync::OnceLock;

/// Names this process as `/proc/PID/comm` shows it; at most 15 bytes are kept (prctl(2), PR_SET_NAME).
pub fn process_name(name: &str) {
    let short: String = name.chars().filter(|c| *c != '\0').take(15).collect();
    if let Ok(name) = std::ffi::CString::new(short) {
        let _ = nix::sys::prctl::set_name(&name);
    }
}

/// Ends this process when its parent ends (prctl(2), PR_SET_PDEATHSIG). A change of credentials takes that back.
pub fn end_with_parent() {
    let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
}

/// Makes `name` all that `/proc/PID/cmdline`, and so `ps`, shows of this process; a role is not started by the arguments of
/// the process that it was forked from. Names longer than those arguments are cut.
pub fn process_title(name: &str) {
    // Found once: a fork has them where the process has them that it was forked from.
    static ARGUMENTS: OnceLock<Option<(usize, usize)>> = OnceLock::new();
    process_name(name);
    let Some((start, room)) = *ARGUMENTS.get_or_init(arguments) else { return };
    // SAFETY: the kernel says that this process's arguments are there; they are writable, its own since the fork, and a role
    // never reads them again.
    let arguments = unsafe { std::slice::from_raw_parts_mut(start as *mut u8, room) };
    arguments.fill(0);
    let length = name.len().min(room - 1);
    arguments[..length].copy_from_slice(&name.as_bytes()[..length]);
    // A last byte that is not NUL tells the kernel that this is one title, which ends at its first NUL, and not arguments.
    if length + 1 < room {
        arguments[room - 1] = 1;
    }
}

/// Where in memory this process's arguments are, and how many bytes they take.
fn arguments() -> Option<(usize, usize)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Fields 48 and 49: where the arguments begin and end (proc_pid_stat(5)); counted from behind the name, field 2.
    let (_, behind_name) = stat.rsplit_once(") ")?;
    let mut fields = behind_name.split(' ').skip(45).map_while(|field| field.trim().parse().ok());
    let (start, end): (usize, usize) = (fields.next()?, fields.next()?);
    let room = end.checked_sub(start)?;
    (start > 0 && (1..=1 << 20).contains(&room)).then_some((start, room))
}

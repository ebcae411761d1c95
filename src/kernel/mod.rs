//! The kernel's interfaces: system calls with their trace, errno table, identities, and what this machine allows.

pub mod cgroup;
pub mod channel;
pub mod children;
pub mod enter;
pub mod errno;
pub mod host;
pub mod identity;
pub mod leftover;
pub mod mount;
pub mod namespace;
pub mod program;
pub mod stdio;
pub mod sys;
pub mod sysctl_guard;
pub mod trace;

/// Names this process as `/proc/PID/comm` shows it; at most 15 bytes are kept (prctl(2), PR_SET_NAME).
pub fn process_name(name: &str) {
    let short: String = name.chars().filter(|c| *c != '\0').take(15).collect();
    if let Ok(name) = std::ffi::CString::new(short) {
        let _ = nix::sys::prctl::set_name(&name);
    }
}

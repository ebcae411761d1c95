//! Guards for root's lab hosts: what namespaces can not keep from the machine, two BPF programs on the lab's cgroup do.

pub mod bpf;
pub mod device;
pub mod sysctl;

use std::fs::File;
use std::io;

/// Puts both guards on a cgroup of version 2, for all processes in it and below. They are gone with the cgroup.
///
/// # Errors
/// As [`bpf::attach`].
pub fn attach(cgroup: &File) -> io::Result<()> {
    bpf::attach(cgroup, sysctl::KIND, &sysctl::program())?;
    bpf::attach(cgroup, device::KIND, &device::program())
}

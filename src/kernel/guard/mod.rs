//! Guards for root's lab hosts: what namespaces can not keep from the machine, two BPF programs on the lab's cgroup do.

pub mod device;
pub mod sysctl;

use std::fs::File;

use super::bpf::Kind;
use super::sys::bpf::{prog_attach, prog_load};
use super::trace::{CallError, Trace};
use crate::kernel::device as rules;

/// The name of the programs.
const NAME: &str = "hardway";

/// Puts both guards on a cgroup of version 2, for all processes in it and below. They are gone with the cgroup.
///
/// # Errors
/// As [`prog_load`] and [`prog_attach`].
pub fn attach(cgroup: &File) -> Result<(), CallError> {
    put(cgroup, sysctl::KIND, &sysctl::program())?;
    put(cgroup, rules::KIND, &device::program())
}

fn put(cgroup: &File, kind: Kind, program: &[u64]) -> Result<(), CallError> {
    // Housekeeping, which no learner is shown.
    let mut trace = Trace::new(NAME);
    let program = prog_load(&mut trace, kind, NAME, program)?;
    prog_attach(&mut trace, cgroup, &program, kind, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::bpf::assert_jumps_land_inside;

    #[test]
    fn every_jump_lands_inside() {
        assert_jumps_land_inside(&sysctl::program());
        assert_jumps_land_inside(&device::program());
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_jump_lands_inside() {
        for program in [sysctl::program(), device::program()] {
            let jumps = [bpf::code::JUMP, bpf::code::JUMP_UNLESS].map(u64::from);
            for (at, one) in program.iter().enumerate().filter(|(_, one)| jumps.contains(&(**one & 0xff))) {
                let over = usize::from(u16::try_from(one >> 16 & 0xffff).expect("masked"));
                assert!(at + 1 + over < program.len(), "instruction {at} jumps over {over}");
            }
        }
    }
}

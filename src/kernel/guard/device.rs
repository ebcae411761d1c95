//! Devices: a lab may use those that can do no harm, whatever device nodes are made or mounted in it.
//!
//! A devtmpfs that root mounts shows the machine's disks, and mknod makes nodes for them. The program is asked whenever a node
//! is opened or made (BPF_PROG_TYPE_CGROUP_DEVICE): version 2's way of what `devices.allow` was in version 1.

use super::bpf::{ALLOW, DENY, Kind, code, instruction};

/// Character devices that a lab may use: major number, and minor number or all (Documentation/admin-guide/devices.txt).
const HARMLESS: [(i32, Option<i32>); 8] = [
    (1, Some(3)), // null
    (1, Some(5)), // zero
    (1, Some(7)), // full
    (1, Some(8)), // random
    (1, Some(9)), // urandom
    (5, Some(0)), // tty
    (5, Some(2)), // ptmx
    (136, None),  // pts
];

/// BPF_DEVCG_DEV_CHAR, the low half of `access_type`.
const CHARACTER_DEVICE: i32 = 2;

/// The kind of the program.
pub const KIND: Kind = Kind { program: 15, attach: 6 };

/// The program: 1 allows, 0 makes open or mknod fail with EPERM.
pub fn program() -> Vec<u64> {
    use code::{AND_VALUE, JUMP, JUMP_UNLESS, LOAD_WORD};
    // struct bpf_cgroup_dev_ctx: access_type, major, minor.
    let mut program: Vec<u64> =
        [(2, 0), (3, 4), (4, 8)].map(|(register, at)| instruction(LOAD_WORD, register, 1, at, 0)).into();
    program.push(instruction(AND_VALUE, 2, 0, 0, 0xffff));
    // No block device is harmless: to DENY, over which character devices jump.
    program.push(instruction(JUMP_UNLESS, 2, 0, 1, CHARACTER_DEVICE));
    program.push(instruction(JUMP, 0, 0, 2, 0));
    program.extend(DENY);
    for (major, minor) in HARMLESS {
        let over = if minor.is_some() { 3 } else { 2 };
        program.push(instruction(JUMP_UNLESS, 3, 0, over, major));
        program.extend(minor.map(|minor| instruction(JUMP_UNLESS, 4, 0, 2, minor)));
        program.extend(ALLOW);
    }
    program.extend(DENY);
    program
}

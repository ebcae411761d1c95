//! Devices: a lab may use those that can do no harm, whatever device nodes are made or mounted in it.
//!
//! A devtmpfs that root mounts shows the machine's disks, and mknod makes nodes for them.

use crate::kernel::device::{Rule, program as program_of};

/// What a lab may use (Documentation/admin-guide/devices.txt). No block device is harmless.
const HARMLESS: [Rule; 8] = [
    Rule::character(1, Some(3)), // null
    Rule::character(1, Some(5)), // zero
    Rule::character(1, Some(7)), // full
    Rule::character(1, Some(8)), // random
    Rule::character(1, Some(9)), // urandom
    Rule::character(5, Some(0)), // tty
    Rule::character(5, Some(2)), // ptmx
    Rule::character(136, None),  // pts
];

/// The program.
pub fn program() -> Vec<u64> {
    program_of(&HARMLESS)
}

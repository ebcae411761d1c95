//! `/proc/sys`: root in a lab may set what its namespaces have for themselves, and nothing of the machine's.
//!
//! The kernel lets uid 0 write most sysctls whatever its capabilities, and a proc that a learner mounts anew is not under
//! the read-only mounts of the lab's file tree. The program is asked for each access (BPF_PROG_TYPE_CGROUP_SYSCTL).

use crate::kernel::bpf::{ALLOW, DENY, Kind, code, instruction};

/// Sysctls that each namespace has for itself, by what their names begin with; a whole name ends in NUL.
const NAMESPACED: [&[u8]; 10] = [
    b"net/",
    b"fs/mqueue/",
    b"kernel/hostname\0",
    b"kernel/domainname\0",
    b"kernel/msgmax\0",
    b"kernel/msgmnb\0",
    b"kernel/msgmni\0",
    b"kernel/sem\0",
    b"kernel/shm",
    b"kernel/ns_last_pid\0",
];

/// Room for a name on the program's stack; longer names are compared by their beginning.
const ROOM: i16 = 64;

/// bpf_sysctl_get_name, of <linux/bpf.h>.
const HELPER_SYSCTL_GET_NAME: i32 = 101;

/// The kind of the program.
pub const KIND: Kind =
    Kind { program: 23, program_name: "BPF_PROG_TYPE_CGROUP_SYSCTL", attach: 18, attach_name: "BPF_CGROUP_SYSCTL" };

/// The program: 1 allows, 0 makes the write fail with EPERM.
pub fn program() -> Vec<u64> {
    use code::{ADD_VALUE, CALL, JUMP_UNLESS, LOAD_BYTE, LOAD_WORD, MOVE, MOVE_VALUE, STORE_DOUBLE};
    // r6 = context; if context.write == 0, allow.
    let mut program = vec![instruction(MOVE, 6, 1, 0, 0), instruction(LOAD_WORD, 1, 6, 0, 0)];
    program.push(instruction(JUMP_UNLESS, 1, 0, 2, 0));
    program.extend(ALLOW);
    // The verifier wants the stack to be written before it is read.
    program.extend((1..=ROOM / 8).map(|n| instruction(STORE_DOUBLE, 10, 0, -8 * n, 0)));
    // bpf_sysctl_get_name(context, stack, ROOM, 0)
    program.push(instruction(MOVE, 1, 6, 0, 0));
    program.push(instruction(MOVE, 2, 10, 0, 0));
    program.push(instruction(ADD_VALUE, 2, 0, 0, i32::from(-ROOM)));
    program.push(instruction(MOVE_VALUE, 3, 0, 0, i32::from(ROOM)));
    program.push(instruction(MOVE_VALUE, 4, 0, 0, 0));
    program.push(instruction(CALL, 0, 0, 0, HELPER_SYSCTL_GET_NAME));
    // Byte for byte; at the first difference on to the next name.
    for name in NAMESPACED {
        let mut left = i16::try_from(name.len()).unwrap_or(0);
        for (at, byte) in (-ROOM..).zip(name) {
            left -= 1;
            program.push(instruction(LOAD_BYTE, 7, 10, at, 0));
            // Over the pairs of instructions for the bytes that are left, and over ALLOW.
            program.push(instruction(JUMP_UNLESS, 7, 0, 2 * left + 2, i32::from(*byte)));
        }
        program.extend(ALLOW);
    }
    program.extend(DENY);
    program
}

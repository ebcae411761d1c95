//! A guard for `/proc/sys`: root in a lab may set what its namespaces have for themselves, and nothing of the machine's.
//!
//! The kernel lets uid 0 write most sysctls whatever its capabilities, and a proc that a learner mounts anew is not under
//! the read-only mounts of the lab's file tree. So a small BPF program on the lab's cgroup is asked for each access
//! (bpf(2), BPF_PROG_TYPE_CGROUP_SYSCTL): reading is allowed, and writing those names that belong to namespaces.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

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

// Numbers of <linux/bpf.h>.
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const PROG_TYPE_CGROUP_SYSCTL: u32 = 23;
const ATTACH_CGROUP_SYSCTL: u32 = 18;
const F_ALLOW_MULTI: u32 = 2;
const HELPER_SYSCTL_GET_NAME: i32 = 101;

/// Puts the guard on a cgroup of version 2, for all processes in it and below. It is gone with the cgroup.
///
/// # Errors
/// `EPERM` without CAP_BPF and CAP_NET_ADMIN, `EINVAL` where the kernel was built without CONFIG_CGROUP_BPF.
pub fn attach(cgroup: &File) -> io::Result<()> {
    let program = load(&program())?;
    let attributes = AttachAttributes {
        target_fd: cgroup.as_raw_fd(),
        attach_bpf_fd: program.as_raw_fd(),
        attach_type: ATTACH_CGROUP_SYSCTL,
        attach_flags: F_ALLOW_MULTI,
    };
    bpf(BPF_PROG_ATTACH, &attributes).map(drop)
}

/// The part of `union bpf_attr` that BPF_PROG_LOAD reads.
#[repr(C)]
struct LoadAttributes {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

/// The part of `union bpf_attr` that BPF_PROG_ATTACH reads.
#[repr(C)]
struct AttachAttributes {
    target_fd: i32,
    attach_bpf_fd: i32,
    attach_type: u32,
    attach_flags: u32,
}

fn load(instructions: &[u64]) -> io::Result<OwnedFd> {
    let license = c"MIT";
    let mut prog_name = [0; 16];
    prog_name[..14].copy_from_slice(b"hardway_sysctl");
    let attributes = LoadAttributes {
        prog_type: PROG_TYPE_CGROUP_SYSCTL,
        insn_cnt: u32::try_from(instructions.len()).unwrap_or(u32::MAX),
        insns: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name,
        prog_ifindex: 0,
        expected_attach_type: ATTACH_CGROUP_SYSCTL,
    };
    let fd = bpf(BPF_PROG_LOAD, &attributes)?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap_or(-1)) })
}

fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<i64> {
    // SAFETY: the attributes are a prefix of union bpf_attr of the size given; what they point to outlives the call, and the
    // kernel only reads it.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// One instruction: operation, destination and source register, offset, immediate value (BPF instruction set, RFC 9669).
fn instruction(code: u8, destination: u8, source: u8, offset: i16, value: i32) -> u64 {
    u64::from(code)
        | u64::from(destination) << 8
        | u64::from(source) << 12
        | u64::from(offset.cast_unsigned()) << 16
        | u64::from(value.cast_unsigned()) << 32
}

/// The program: 1 allows, 0 makes the write fail with EPERM.
fn program() -> Vec<u64> {
    const MOVE: u8 = 0xbf;
    const MOVE_VALUE: u8 = 0xb7;
    const ADD_VALUE: u8 = 0x07;
    const LOAD_WORD: u8 = 0x61;
    const LOAD_BYTE: u8 = 0x71;
    const STORE_DOUBLE: u8 = 0x7a;
    const JUMP_UNLESS: u8 = 0x55;
    const CALL: u8 = 0x85;
    const EXIT: u8 = 0x95;
    const ALLOW: [u64; 2] = [0x0000_0001_0000_00b7, 0x95];

    // r6 = context; if context.write == 0, allow.
    let mut code = vec![instruction(MOVE, 6, 1, 0, 0), instruction(LOAD_WORD, 1, 6, 0, 0)];
    code.push(instruction(JUMP_UNLESS, 1, 0, 2, 0));
    code.extend(ALLOW);
    // The verifier wants the stack to be written before it is read.
    code.extend((1..=ROOM / 8).map(|n| instruction(STORE_DOUBLE, 10, 0, -8 * n, 0)));
    // bpf_sysctl_get_name(context, stack, ROOM, 0)
    code.push(instruction(MOVE, 1, 6, 0, 0));
    code.push(instruction(MOVE, 2, 10, 0, 0));
    code.push(instruction(ADD_VALUE, 2, 0, 0, i32::from(-ROOM)));
    code.push(instruction(MOVE_VALUE, 3, 0, 0, i32::from(ROOM)));
    code.push(instruction(MOVE_VALUE, 4, 0, 0, 0));
    code.push(instruction(CALL, 0, 0, 0, HELPER_SYSCTL_GET_NAME));
    // Byte for byte; at the first difference on to the next name.
    for name in NAMESPACED {
        let mut left = i16::try_from(name.len()).unwrap_or(0);
        for (at, byte) in (-ROOM..).zip(name) {
            left -= 1;
            code.push(instruction(LOAD_BYTE, 7, 10, at, 0));
            // Over the pairs of instructions for the bytes that are left, and over ALLOW.
            code.push(instruction(JUMP_UNLESS, 7, 0, 2 * left + 2, i32::from(*byte)));
        }
        code.extend(ALLOW);
    }
    code.push(instruction(MOVE_VALUE, 0, 0, 0, 0));
    code.push(instruction(EXIT, 0, 0, 0, 0));
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_laid_out_as_the_kernel_reads_them() {
        // mov r0, 1; exit
        assert_eq!(instruction(0xb7, 0, 0, 0, 1), 0x0000_0001_0000_00b7);
        // r7 = *(u8 *)(r10 - 64)
        assert_eq!(instruction(0x71, 7, 10, -64, 0), 0x0000_0000_ffc0_a771);
    }

    #[test]
    fn every_jump_lands_inside() {
        let code = program();
        for (at, one) in code.iter().enumerate().filter(|(_, one)| **one & 0xff == 0x55) {
            let over = usize::from(u16::try_from(one >> 16 & 0xffff).expect("masked"));
            assert!(at + 1 + over < code.len());
        }
    }
}

//! Small BPF programs on a cgroup: put together, loaded, attached (bpf(2), the instruction set of RFC 9669).

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

// Commands and flags of <linux/bpf.h>.
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const F_ALLOW_MULTI: u32 = 2;

/// What a program is for: numbers of `enum bpf_prog_type` and `enum bpf_attach_type`.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its type.
    pub program: u32,
    /// Where it is attached.
    pub attach: u32,
}

/// The operations that the guards are made of.
#[allow(missing_docs)]
pub mod code {
    pub const MOVE: u8 = 0xbf;
    pub const MOVE_VALUE: u8 = 0xb7;
    pub const ADD_VALUE: u8 = 0x07;
    pub const AND_VALUE: u8 = 0x57;
    pub const LOAD_WORD: u8 = 0x61;
    pub const LOAD_BYTE: u8 = 0x71;
    pub const STORE_DOUBLE: u8 = 0x7a;
    pub const JUMP: u8 = 0x05;
    pub const JUMP_UNLESS: u8 = 0x55;
    pub const CALL: u8 = 0x85;
    pub const EXIT: u8 = 0x95;
}

/// `r0 = 1; exit`: what was asked for may be done.
pub const ALLOW: [u64; 2] = [0x0000_0001_0000_00b7, 0x95];

/// `r0 = 0; exit`: it fails with EPERM.
pub const DENY: [u64; 2] = [0x0000_0000_0000_00b7, 0x95];

/// One instruction: operation, destination and source register, offset, immediate value.
pub fn instruction(code: u8, destination: u8, source: u8, offset: i16, value: i32) -> u64 {
    u64::from(code)
        | u64::from(destination) << 8
        | u64::from(source) << 12
        | u64::from(offset.cast_unsigned()) << 16
        | u64::from(value.cast_unsigned()) << 32
}

/// Puts a program on a cgroup of version 2, for all processes in it and below. It is gone with the cgroup.
///
/// # Errors
/// `EPERM` without CAP_BPF and CAP_NET_ADMIN, `EINVAL` where the kernel was built without CONFIG_CGROUP_BPF or refuses the
/// program.
pub fn attach(cgroup: &File, kind: Kind, program: &[u64]) -> io::Result<()> {
    let program = load(kind, program)?;
    let attributes = AttachAttributes {
        target_fd: cgroup.as_raw_fd(),
        attach_bpf_fd: program.as_raw_fd(),
        attach_type: kind.attach,
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

fn load(kind: Kind, instructions: &[u64]) -> io::Result<OwnedFd> {
    let license = c"MIT";
    let mut prog_name = [0; 16];
    prog_name[..7].copy_from_slice(b"hardway");
    let attributes = LoadAttributes {
        prog_type: kind.program,
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
        expected_attach_type: kind.attach,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_laid_out_as_the_kernel_reads_them() {
        assert_eq!([instruction(code::MOVE_VALUE, 0, 0, 0, 1), instruction(code::EXIT, 0, 0, 0, 0)], ALLOW);
        // r7 = *(u8 *)(r10 - 64)
        assert_eq!(instruction(code::LOAD_BYTE, 7, 10, -64, 0), 0x0000_0000_ffc0_a771);
    }
}

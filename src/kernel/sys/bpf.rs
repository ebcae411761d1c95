//! bpf(2): programs for cgroups are loaded, attached, and asked for.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::namespace::opened;
use super::quoted;
use crate::kernel::bpf::Kind;
use crate::kernel::trace::{CallError, Trace};

// Commands and flags of <linux/bpf.h>.
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_PROG_QUERY: libc::c_long = 16;
const F_ALLOW_MULTI: u32 = 1 << 1;
const F_REPLACE: u32 = 1 << 2;
const F_QUERY_EFFECTIVE: u32 = 1;

/// The most programs that a group can have attached for one purpose (BPF_CGROUP_MAX_PROGS).
const MOST_PROGRAMS: usize = 64;

/// The most instructions that are asked for.
const MOST_INSTRUCTIONS: usize = 4096;

/// What the kernel knows of a loaded program (`struct bpf_prog_info`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Its number, by which it can be found while it is loaded.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// The kernel's hash of its instructions, in hexadecimal.
    pub tag: String,
    /// Its instructions, as the kernel has them after it has verified them.
    pub instructions: Vec<u64>,
}

/// BPF_PROG_LOAD: gives the kernel a program, which it verifies.
///
/// # Errors
/// `EPERM` without CAP_BPF and CAP_NET_ADMIN in the machine's user namespace, `EINVAL` for what the verifier refuses, or where
/// the kernel has no such kind (CONFIG_CGROUP_BPF).
pub fn prog_load(trace: &mut Trace, kind: Kind, name: &str, instructions: &[u64]) -> Result<OwnedFd, CallError> {
    let license = c"MIT";
    let mut prog_name = [0; 16];
    // The last byte stays NUL.
    prog_name[..15].iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    let mut attributes = LoadAttributes {
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
    let told = format!(
        "{{prog_type={}, insn_cnt={}, insns, license=\"MIT\", prog_name={}, expected_attach_type={}}}",
        kind.program_name,
        instructions.len(),
        quoted(name),
        kind.attach_name
    );
    let args = args("BPF_PROG_LOAD", told, &attributes);
    // SAFETY: what the attributes point to outlives the call, and the kernel only reads it.
    opened(trace, "bpf", args, || unsafe { bpf(BPF_PROG_LOAD, &mut attributes) }.map(owned))
}

/// BPF_PROG_ATTACH: puts a program on a cgroup of version 2, for all processes in it and below, beside those of the groups above,
/// which are asked as well (BPF_F_ALLOW_MULTI). It takes the place of `instead_of` where that is given, else it stands beside what
/// is there. It is gone with the group.
///
/// # Errors
/// `EPERM` without CAP_NET_ADMIN in the machine's user namespace, or below a group whose program suffers no others; `EBADF` where
/// the descriptor is not that of a group of version 2.
pub fn prog_attach(
    trace: &mut Trace,
    group: &impl AsFd,
    program: &OwnedFd,
    kind: Kind,
    instead_of: Option<&OwnedFd>,
) -> Result<(), CallError> {
    let (replaces, flags) = if instead_of.is_some() { (F_REPLACE, "|BPF_F_REPLACE") } else { (0, "") };
    let mut attributes = AttachAttributes {
        target_fd: group.as_fd().as_raw_fd(),
        attach_bpf_fd: program.as_raw_fd(),
        attach_type: kind.attach,
        attach_flags: F_ALLOW_MULTI | replaces,
        replace_bpf_fd: instead_of.map_or(0, AsRawFd::as_raw_fd),
    };
    let replaced = instead_of.map_or_else(String::new, |old| format!(", replace_bpf_fd={}", old.as_raw_fd()));
    let told = format!(
        "{{target_fd={}, attach_bpf_fd={}, attach_type={}, attach_flags=BPF_F_ALLOW_MULTI{flags}{replaced}}}",
        attributes.target_fd, attributes.attach_bpf_fd, kind.attach_name
    );
    let args = args("BPF_PROG_ATTACH", told, &attributes);
    // SAFETY: the attributes hold numbers only.
    trace.call("bpf", args, || unsafe { bpf(BPF_PROG_ATTACH, &mut attributes) }).map(drop)
}

/// BPF_PROG_QUERY: the ids of the programs that are attached to a cgroup of version 2; with `effective` of all that are asked for
/// its processes, those of the groups above included.
///
/// # Errors
/// `EPERM` without CAP_NET_ADMIN in the machine's user namespace; `EINVAL` where the kernel has no programs for cgroups; `EBADF` where
/// the descriptor is not that of a group of version 2.
pub fn prog_query(trace: &mut Trace, group: &impl AsFd, kind: Kind, effective: bool) -> Result<Vec<u32>, CallError> {
    let mut ids = vec![0_u32; MOST_PROGRAMS];
    let mut attributes = QueryAttributes {
        target_fd: group.as_fd().as_raw_fd(),
        attach_type: kind.attach,
        query_flags: if effective { F_QUERY_EFFECTIVE } else { 0 },
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: u32::try_from(MOST_PROGRAMS).unwrap_or(0),
        unused: [0; 9],
    };
    let flags = if effective { ", query_flags=BPF_F_QUERY_EFFECTIVE" } else { "" };
    let told = format!("{{target_fd={}, attach_type={}{flags}, prog_ids}}", attributes.target_fd, kind.attach_name);
    let args = args("BPF_PROG_QUERY", told, &attributes);
    // SAFETY: the kernel writes at most prog_cnt numbers behind prog_ids, where there is room for as many, which outlives the call.
    trace.call("bpf", args, || unsafe { bpf(BPF_PROG_QUERY, &mut attributes) })?;
    ids.truncate(usize::try_from(attributes.prog_cnt).unwrap_or(0));
    Ok(ids)
}

/// BPF_PROG_GET_FD_BY_ID: a descriptor for a program that is loaded.
///
/// # Errors
/// `ENOENT` where there is none of that id any more, `EPERM` without CAP_SYS_ADMIN in the machine's user namespace.
pub fn prog_by_id(trace: &mut Trace, id: u32) -> Result<OwnedFd, CallError> {
    let mut attributes = [id];
    let args = args("BPF_PROG_GET_FD_BY_ID", format!("{{prog_id={id}}}"), &attributes);
    // SAFETY: the attributes hold a number only.
    opened(trace, "bpf", args, || unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &mut attributes) }.map(owned))
}

/// BPF_OBJ_GET_INFO_BY_FD: what the kernel knows of a program.
///
/// # Errors
/// `EBADF` where the descriptor is not that of a program.
pub fn prog_info(trace: &mut Trace, program: &OwnedFd) -> Result<Info, CallError> {
    let mut instructions = vec![0_u64; MOST_INSTRUCTIONS];
    let mut info = ProgramInfo {
        xlated_prog_len: u32::try_from(size_of_val(instructions.as_slice())).unwrap_or(0),
        xlated_prog_insns: instructions.as_mut_ptr() as u64,
        ..ProgramInfo::default()
    };
    let mut attributes = InfoAttributes {
        bpf_fd: program.as_raw_fd(),
        info_len: u32::try_from(size_of::<ProgramInfo>()).unwrap_or(0),
        info: (&raw mut info) as u64,
    };
    let args = args("BPF_OBJ_GET_INFO_BY_FD", format!("{{bpf_fd={}, info}}", attributes.bpf_fd), &attributes);
    // SAFETY: the kernel writes at most info_len bytes behind info and xlated_prog_len bytes behind xlated_prog_insns; there is room
    // for as many at both, which outlive the call.
    trace.call("bpf", args, || unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attributes) })?;
    // Bytes; and none without the right to see them.
    let count = if info.xlated_prog_insns == 0 { 0 } else { info.xlated_prog_len / 8 };
    instructions.truncate(usize::try_from(count).unwrap_or(0));
    let name: Vec<u8> = info.name.into_iter().take_while(|byte| *byte != 0).collect();
    Ok(Info {
        id: info.id,
        name: String::from_utf8_lossy(&name).into_owned(),
        tag: info.tag.iter().map(|byte| format!("{byte:02x}")).collect(),
        instructions,
    })
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

/// The part of it that BPF_PROG_ATTACH reads.
#[repr(C)]
struct AttachAttributes {
    target_fd: i32,
    attach_bpf_fd: i32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: i32,
}

/// The part of it that BPF_PROG_QUERY reads and writes. What is not used here must be there all the same: a kernel since 6.17
/// writes a number to its end, whatever size it was told.
#[repr(C)]
struct QueryAttributes {
    target_fd: i32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    unused: [u32; 9],
}

/// The part of it that BPF_OBJ_GET_INFO_BY_FD reads and writes.
#[repr(C)]
struct InfoAttributes {
    bpf_fd: i32,
    info_len: u32,
    info: u64,
}

/// The first part of `struct bpf_prog_info`; the kernel writes as much as it is given room for.
#[repr(C)]
#[derive(Default)]
struct ProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_prog_len: u32,
    xlated_prog_len: u32,
    jited_prog_insns: u64,
    xlated_prog_insns: u64,
    load_time: u64,
    created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    name: [u8; 16],
}

/// The arguments as the trace writes them: the command, what of its attributes is told, and their size.
fn args<T>(command: &str, told: String, attributes: &T) -> Vec<String> {
    vec![command.to_owned(), told, size_of_val(attributes).to_string()]
}

/// bpf(2).
///
/// # Safety
/// The attributes are a prefix of `union bpf_attr`, and what they point to is as large as they say.
unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> nix::Result<i64> {
    // SAFETY: the caller's word; the structure is of the size given.
    Errno::result(unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>()) })
}

/// A descriptor that the kernel has just made.
fn owned(fd: i64) -> OwnedFd {
    // SAFETY: it was returned to us alone, and is none of the standard ones.
    unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap_or(-1)) }
}

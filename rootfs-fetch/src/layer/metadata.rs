//! Owners, extended attributes, modes and times of what a layer made. The order matters: a new owner takes setuid bits and capabilities
//! away (chown(2)), so it comes first; an attribute may need the owner's right to write, so the mode comes after it.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, CWD, Gid, Mode, Timestamps, Uid, XattrFlags, chmod, chownat, setxattr, utimensat};
use rustix::io::{Errno, Result};

use super::archive::Member;
use super::report::{Counts, Reason};
use super::tree::in_proc;

/// Extended attributes by which a storage decides what is shown of a file: overlayfs, fuse-overlayfs, containers/storage.
const STORAGE: [&[u8]; 4] = [b"trusted.overlay.", b"user.overlay.", b"user.fuseoverlayfs.", b"user.containers."];

/// Gives what this descriptor is of the owner and the extended attributes of a member, as far as the process may.
pub(super) fn set_owner_and_xattrs(node: &OwnedFd, member: &Member, counts: &mut Counts) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
    let own = (rustix::process::geteuid(), rustix::process::getegid());
    if own.0.is_root() {
        match chownat(node, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH) {
            // EINVAL: the user namespace has no such id.
            Err(Errno::PERM | Errno::INVAL) => counts.miss(Reason::Owner),
            result => result?,
        }
    } else if own != (uid, gid) {
        counts.miss(Reason::Owner);
    }
    for (name, value) in &member.xattrs {
        if STORAGE.iter().any(|prefix| name.starts_with(prefix)) {
            counts.miss(Reason::StorageXattr);
            continue;
        }
        match setxattr(in_proc(node), OsStr::from_bytes(name), value, XattrFlags::empty()) {
            Err(
                Errno::NOTSUP
                | Errno::PERM
                | Errno::ACCESS
                | Errno::INVAL
                | Errno::RANGE
                | Errno::TOOBIG
                | Errno::NOSPC,
            ) => counts.miss(Reason::Xattr),
            result => result?,
        }
    }
    Ok(())
}

/// The mode of a member; a link has none.
pub(super) fn set_mode(node: &OwnedFd, member: &Member) -> Result<()> {
    chmod(in_proc(node), mode(member))
}

/// The mode of a member, with setuid, setgid and sticky bits.
pub(super) fn mode(member: &Member) -> Mode {
    Mode::from_raw_mode(member.mode)
}

/// The time of a member. When it was read last is nobody's business: that becomes the same.
pub(super) fn set_time(node: &OwnedFd, member: &Member) -> Result<()> {
    let times = Timestamps { last_access: member.mtime, last_modification: member.mtime };
    utimensat(CWD, in_proc(node), &times, AtFlags::empty())
}

//! Owners, extended attributes, modes and times of what a layer made. The order matters: a new owner takes setuid bits and capabilities
//! away (chown(2)), so it comes first; an attribute may need the owner's right to write, so the mode comes after it.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Stat, Timestamps, Uid, XattrFlags, chmod, chownat, fchmod, fstat, futimens, setxattr,
    utimensat,
};
use rustix::io::{Errno, Result};

use super::archive::Member;
use super::report::{Counts, Reason};
use super::tree::in_proc;

/// Extended attributes by which a storage decides what is shown of a file: overlayfs, fuse-overlayfs, containers/storage.
pub(super) const STORAGE: [&[u8]; 4] =
    [b"trusted.overlay.", b"user.overlay.", b"user.fuseoverlayfs.", b"user.containers."];

/// To whom belongs what this process makes.
pub(super) struct Owner {
    uid: Uid,
    gid: Gid,
}

impl Owner {
    pub fn here() -> Self {
        Self { uid: rustix::process::geteuid(), gid: rustix::process::getegid() }
    }

    /// Gives what this descriptor is of the owner and the extended attributes of a member, as far as the process may. Tells what was
    /// made.
    pub fn give(&self, node: &OwnedFd, member: &Member, counts: &mut Counts) -> Result<Stat> {
        let stat = fstat(node)?;
        let (uid, gid) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
        if self.uid.is_root() {
            // Most files belong to who makes them, and the kernel writes to the disk whatever it is told.
            if (stat.st_uid, stat.st_gid) != (member.uid, member.gid) {
                match chownat(node, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH) {
                    // EINVAL: the user namespace has no such id.
                    Err(Errno::PERM | Errno::INVAL) => counts.miss(Reason::Owner),
                    result => result?,
                }
            }
        } else if (self.uid, self.gid) != (uid, gid) {
            counts.miss(Reason::Owner);
        }
        for (name, value) in &member.xattrs {
            if STORAGE.iter().any(|prefix| name.starts_with(prefix)) {
                counts.miss(Reason::StorageXattr);
                continue;
            }
            match setxattr(in_proc(node), OsStr::from_bytes(name), value, XattrFlags::empty()) {
                Err(error) if not_taken(error) => counts.miss(Reason::Xattr),
                result => result?,
            }
        }
        Ok(stat)
    }
}

/// Whether file system or kernel do not take an extended attribute of that name or size from this process.
pub(super) fn not_taken(error: Errno) -> bool {
    matches!(
        error,
        Errno::NOTSUP | Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::RANGE | Errno::TOOBIG | Errno::NOSPC
    )
}

/// Mode and time of a file that is open for writing, and was `made` so.
pub(super) fn complete_file(file: &OwnedFd, made: &Stat, member: &Member) -> Result<()> {
    // An attribute may be a list of rights (acl(5)), which is mode too.
    if !member.xattrs.is_empty() || Mode::from_raw_mode(made.st_mode) != mode(member) {
        fchmod(file, mode(member))?;
    }
    futimens(file, &times(member))
}

/// The mode of a member; a link has none.
pub(super) fn set_mode(node: &OwnedFd, member: &Member) -> Result<()> {
    chmod(in_proc(node), mode(member))
}

/// The mode of a member, with setuid, setgid and sticky bits.
pub(super) fn mode(member: &Member) -> Mode {
    Mode::from_raw_mode(member.mode)
}

/// The time of a member.
pub(super) fn set_time(node: &OwnedFd, member: &Member) -> Result<()> {
    utimensat(CWD, in_proc(node), &times(member), AtFlags::empty())
}

/// When it was read last is nobody's business: that is when it was changed.
fn times(member: &Member) -> Timestamps {
    Timestamps { last_access: member.mtime, last_modification: member.mtime }
}

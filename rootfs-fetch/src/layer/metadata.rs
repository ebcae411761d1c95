//! Owners, extended attributes, modes and times of what a layer made. The order matters: a new owner takes setuid bits and capabilities
//! away (chown(2)), so it comes first; an attribute may need the owner's right to write, so the mode comes after it.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Stat, Timestamps, Uid, XattrFlags, chmod, chownat, fchmod, fstat, futimens, getxattr,
    listxattr, removexattr, setxattr, utimensat,
};
use rustix::io::{Errno, Result};

use super::archive::Member;
use super::report::{Counts, Reason};
use super::tree::in_proc;

/// Extended attributes by which a storage decides what is shown of a file: overlayfs, fuse-overlayfs, containers/storage.
pub(super) const STORAGE: [&[u8]; 4] =
    [b"trusted.overlay.", b"user.overlay.", b"user.fuseoverlayfs.", b"user.containers."];

/// The longest value, and the longest list of names, in bytes: XATTR_SIZE_MAX and XATTR_LIST_MAX of limits.h.
pub(super) const MAX_XATTR: usize = 64 * 1024;

/// Extended attributes that this machine's policy or file system gives to everything, whatever an image says.
const MACHINE: [&[u8]; 5] =
    [b"security.selinux", b"security.SMACK64", b"security.ima", b"security.evm", b"system.nfs4_acl"];

/// The rights that a directory hands down to what is made in it: acl(5), "Object creation and default ACLs".
const DEFAULT_ACL: &CStr = c"system.posix_acl_default";

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

/// Takes from a directory the extended attributes that it had before a member replaces them (image-spec, layer.md, "Modifications").
pub(super) fn take_xattrs(directory: &OwnedFd, member: &Member, counts: &mut Counts) -> Result<()> {
    for name in xattrs(directory)? {
        let bytes = name.as_bytes();
        let stays = STORAGE.iter().chain(&MACHINE).any(|prefix| bytes.starts_with(prefix));
        if stays || member.xattrs.iter().any(|(keyword, _)| keyword == bytes) {
            continue;
        }
        match removexattr(in_proc(directory), &name) {
            // The kernel keeps some lists of rights as the mode alone.
            Ok(()) | Err(Errno::NODATA) => {}
            Err(error) if not_taken(error) => counts.miss(Reason::Xattr),
            result => result?,
        }
    }
    Ok(())
}

/// The names of all extended attributes.
pub(super) fn xattrs(node: &OwnedFd) -> Result<Vec<CString>> {
    let mut names = vec![0; MAX_XATTR];
    let length = match listxattr(in_proc(node), &mut names[..]) {
        Err(Errno::NOTSUP) => 0,
        length => length?,
    };
    let names = names[..length].split_inclusive(|byte| *byte == 0);
    Ok(names.filter_map(|name| CStr::from_bytes_with_nul(name).ok()).map(CString::from).collect())
}

/// Takes from a directory the rights that it hands down, and tells them: until it has them again, what is made in it has what its own
/// entry says and nothing more.
pub(super) fn take_default_acl(directory: &OwnedFd) -> Result<Option<Vec<u8>>> {
    let mut value = vec![0; MAX_XATTR];
    match getxattr(in_proc(directory), DEFAULT_ACL, &mut value[..]) {
        Err(Errno::NODATA | Errno::NOTSUP) => return Ok(None),
        length => value.truncate(length?),
    }
    match give_default_acl(directory, &value) {
        // What could not be given back stays: it may name a user whom this user namespace does not know.
        Err(error) if not_taken(error) => return Ok(None),
        result => result?,
    }
    removexattr(in_proc(directory), DEFAULT_ACL)?;
    Ok(Some(value))
}

/// Gives a directory the rights that it hands down.
pub(super) fn give_default_acl(directory: &OwnedFd, value: &[u8]) -> Result<()> {
    setxattr(in_proc(directory), DEFAULT_ACL, value, XattrFlags::empty())
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

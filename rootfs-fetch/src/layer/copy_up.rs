//! What overlayfs does before something of a lower layer is changed: it is copied to the upper one, with everything that is known of it
//! (Documentation/filesystems/overlayfs.rst, "Non-directories").

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Uid, XattrFlags, chmod, chownat, fstat, getxattr, open, openat,
    readlinkat, setxattr, symlinkat, utimensat,
};
use rustix::io::{Errno, Result};

use super::metadata::{MAX_XATTR, STORAGE, not_taken, xattrs};
use super::tree::{Place, file_type, in_proc, times};

/// Copies a file or a link, which was opened with O_PATH, to a place that is free. Tells how many bytes it has; nothing where it is of another kind.
pub(super) fn copy_up(below: &OwnedFd, place: &Place) -> Result<Option<u64>> {
    let found = fstat(below)?;
    let bytes = match file_type(&found) {
        FileType::RegularFile => {
            let from = openat(CWD, in_proc(below), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let to = openat(&place.at, &place.name, flags, Mode::RUSR | Mode::WUSR)?;
            // With copy_file_range(2), which may share the blocks.
            let copied = io::copy(&mut File::from(from), &mut File::from(to));
            copied.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?
        }
        FileType::Symlink => {
            symlinkat(readlinkat(below, c"", Vec::new())?, &place.at, &place.name)?;
            0
        }
        _ => return Ok(None),
    };
    let copy = place.open()?;
    owner_and_xattrs(below, &found, &copy)?;
    if file_type(&found) == FileType::RegularFile {
        chmod(in_proc(&copy), Mode::from_raw_mode(found.st_mode))?;
    }
    utimensat(CWD, in_proc(&copy), &times(&found), AtFlags::empty())?;
    Ok(Some(bytes))
}

/// Makes the root of a layer that says nothing of it like that of the layer below.
pub(crate) fn root_as_below(root: &Path, below: &Path) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (root, below) = (open(root, flags, Mode::empty())?, open(below, flags, Mode::empty())?);
    let found = fstat(&below)?;
    owner_and_xattrs(&below, &found, &root)?;
    chmod(in_proc(&root), Mode::from_raw_mode(found.st_mode))?;
    utimensat(CWD, in_proc(&root), &times(&found), AtFlags::empty())
}

/// Gives a copy owner and extended attributes of what it is a copy of, as far as the process may; that did not count what it could not
/// set there, and does not here.
pub(super) fn owner_and_xattrs(below: &OwnedFd, found: &Stat, copy: &OwnedFd) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        let (uid, gid) = (Uid::from_raw(found.st_uid), Gid::from_raw(found.st_gid));
        match chownat(copy, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH) {
            // EINVAL: what has no id in this user namespace was not given away either.
            Err(Errno::PERM | Errno::INVAL) => {}
            result => result?,
        }
    }
    for name in xattrs(below)? {
        if STORAGE.iter().any(|prefix| name.as_bytes().starts_with(prefix)) {
            continue;
        }
        let mut value = vec![0; MAX_XATTR];
        let length = match getxattr(in_proc(below), &name, &mut value[..]) {
            Err(error) if not_taken(error) || error == Errno::NODATA => continue,
            length => length?,
        };
        match setxattr(in_proc(copy), &name, &value[..length], XattrFlags::empty()) {
            Err(error) if not_taken(error) => {}
            result => result?,
        }
    }
    Ok(())
}

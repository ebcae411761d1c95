//! The tree that is packed. It may belong to somebody hostile, who changes it meanwhile: everything is found by openat2(2) beneath the root,
//! and no link is followed; what is mounted in it is not entered.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, getxattr, listxattr, listxattr_query, open, openat,
    openat2, readlinkat,
};
use rustix::io::Errno;

use super::error::During;
use super::{Metadata, PackError};

/// The most bytes of an attribute, and of all their names: XATTR_SIZE_MAX and XATTR_LIST_MAX of limits.h.
const MAX_XATTR: usize = 64 * 1024;
/// Extended attributes that are no part of an image: by some, overlayfs, fuse-overlayfs and containers/storage decide what is shown of a file,
/// or rootless programs note an owner that they could not set; by the others, the policy of this machine and not that of another labels it.
const NOT_PACKED: [&[u8]; 9] = [
    b"trusted.overlay.",
    b"user.overlay.",
    b"user.fuseoverlayfs.",
    b"user.containers.",
    b"user.rootlesscontainers",
    b"security.selinux",
    b"security.SMACK64",
    b"security.ima",
    b"security.evm",
];

/// A directory tree.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    path: PathBuf,
}

/// Something in it, opened with O_PATH: no device is told, and no pipe waited for.
#[derive(Debug)]
pub(super) struct Found {
    node: OwnedFd,
    pub stat: Stat,
    /// For errors.
    pub path: PathBuf,
}

impl Tree {
    /// In the directory at `path`.
    pub fn open(path: &Path) -> Result<Self, PackError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open(path, flags, Mode::empty()).during("open the directory", path)?;
        Ok(Self { root, path: path.to_owned() })
    }

    /// What is at a path, relative to the root and empty for the root, where something was.
    pub fn look(&self, path: &Path) -> Result<Found, PackError> {
        let shown = self.path.join(path);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // With these flags a link is opened itself, which NO_SYMLINKS allows.
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let name = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let node = match openat2(&self.root, name, flags, Mode::empty(), resolve) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Err(PackError::Changed { path: shown }),
            Err(Errno::XDEV) => return Err(PackError::refused(&shown, "something is mounted there")),
            opened => opened.during("open", &shown)?,
        };
        let stat = fstat(&node).during("look at", &shown)?;
        Ok(Found { node, stat, path: shown })
    }
}

impl Found {
    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    pub fn is_directory(&self) -> bool {
        self.kind() == FileType::Directory
    }

    pub fn is_socket(&self) -> bool {
        self.kind() == FileType::Socket
    }

    /// Device and inode: what it is, whatever its name.
    pub fn id(&self) -> (u64, u64) {
        (self.stat.st_dev, self.stat.st_ino)
    }

    /// Has, or may have, other names.
    pub fn is_linked(&self) -> bool {
        self.stat.st_nlink > 1 && !self.is_directory()
    }

    /// The names in a directory, unsorted; of no more bytes than `limit`.
    pub fn names(&self, limit: u64) -> Result<Vec<OsString>, PackError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let readable = match openat(&self.node, c".", flags, Mode::empty()) {
            // It was a directory when its name was noted, and not removed.
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(PackError::Changed { path: self.path.clone() }),
            opened => opened.during("open the directory", &self.path)?,
        };
        let (mut names, mut bytes) = (Vec::new(), 0);
        for entry in Dir::new(readable).during("list", &self.path)? {
            let entry = entry.during("list", &self.path)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            bytes += name.len() as u64;
            if bytes > limit {
                return Err(PackError::Limit { what: "bytes of names", limit });
            }
            names.push(OsStr::from_bytes(name).to_owned());
        }
        Ok(names)
    }

    /// A regular file, to be read.
    pub fn read(&self) -> Result<File, PackError> {
        // By way of proc_pid_fd(5) it is the same file, whatever has its name by now.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(open(self.in_proc(), flags, Mode::empty()).during("open", &self.path)?.into())
    }

    /// Where a symbolic link leads.
    pub fn target(&self) -> Result<PathBuf, PackError> {
        let target = readlinkat(&self.node, c"", Vec::new()).during("read the link", &self.path)?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    /// That it is still as it was when it was looked at.
    pub fn is_unchanged(&self) -> Result<(), PackError> {
        let now = fstat(&self.node).during("look at", &self.path)?;
        let state = |stat: &Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec);
        match state(&now) == state(&self.stat) {
            true => Ok(()),
            false => Err(PackError::Changed { path: self.path.clone() }),
        }
    }

    /// As a layer has it.
    pub fn metadata(&self) -> Result<Metadata, PackError> {
        let Stat { st_mode, st_uid, st_gid, .. } = self.stat;
        let packed = |name: &OsStr| !NOT_PACKED.iter().any(|prefix| name.as_bytes().starts_with(prefix));
        let mut xattrs = BTreeMap::new();
        for name in self.attributes()?.into_iter().filter(|name| packed(name)) {
            if let Some(value) = self.attribute(&name)? {
                xattrs.insert(name, value);
            }
        }
        Ok(Metadata { mode: st_mode & 0o7777, uid: st_uid, gid: st_gid, mtime: self.mtime()?, xattrs })
    }

    fn mtime(&self) -> Result<SystemTime, PackError> {
        let seconds = Duration::from_secs(self.stat.st_mtime.unsigned_abs());
        let time = match self.stat.st_mtime {
            0.. => UNIX_EPOCH.checked_add(seconds),
            _ => UNIX_EPOCH.checked_sub(seconds),
        };
        time.and_then(|time| time.checked_add(Duration::from_nanos(self.stat.st_mtime_nsec)))
            .ok_or_else(|| PackError::refused(&self.path, "its time is too far away"))
    }

    /// The names of its extended attributes.
    fn attributes(&self) -> Result<Vec<OsString>, PackError> {
        let path = self.in_proc();
        // Most have none, and most file systems know that without a look.
        match listxattr_query(&path) {
            Ok(0) | Err(Errno::NOTSUP) => return Ok(Vec::new()),
            found => found.during("list the attributes of", &self.path)?,
        };
        let mut list = vec![0; MAX_XATTR];
        let length = listxattr(&path, &mut list[..]).during("list the attributes of", &self.path)?;
        let names = list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| OsStr::from_bytes(name).to_owned()).collect())
    }

    /// The value of one; none where it has none of that name.
    pub fn attribute(&self, name: &OsStr) -> Result<Option<Vec<u8>>, PackError> {
        let mut value = vec![0; MAX_XATTR];
        match getxattr(self.in_proc(), name, &mut value[..]) {
            Err(Errno::NODATA | Errno::NOTSUP) => return Ok(None),
            length => value.truncate(length.during("read an attribute of", &self.path)?),
        }
        Ok(Some(value))
    }

    /// A path for calls that take no descriptor opened with O_PATH: proc_pid_fd(5).
    fn in_proc(&self) -> String {
        format!("/proc/self/fd/{}", self.node.as_raw_fd())
    }
}

//! A directory for overlayfs, and the layers below it: what they have at a path that the layer's entries only pass through.

use std::iter;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, XattrFlags, getxattr, open, openat2, setxattr};
use rustix::io::{Errno, Result};

use super::Xattrs;
use super::tree::in_proc;

/// How overlayfs is told, and what is below.
#[derive(Debug)]
pub(super) struct Overlay {
    xattrs: Xattrs,
    /// The nearest first.
    lower: Vec<OwnedFd>,
}

impl Overlay {
    pub fn open(xattrs: Xattrs, lower: &[PathBuf]) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let lower = lower.iter().map(|path| open(path, flags, Mode::empty()));
        Ok(Self { xattrs, lower: lower.collect::<Result<_>>()? })
    }

    /// Tells overlayfs that lower layers do not show through this directory.
    pub fn make_opaque(&self, directory: &OwnedFd) -> Result<()> {
        setxattr(in_proc(directory), self.xattrs.opaque(), b"y", XattrFlags::empty())
    }

    /// What the layers below have at a path that `upper` does not have; as overlayfs would find it, with a link for itself.
    pub fn below(&self, upper: &OwnedFd, path: &Path) -> Result<Option<OwnedFd>> {
        for layer in iter::once(upper).chain(&self.lower) {
            match find(layer, path) {
                Err(Errno::NOENT) => {}
                // Not a directory, on the way there: that hides all further layers.
                Err(Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                found => return found.map(Some),
            }
            for directory in path.ancestors().skip(1) {
                if self.is_opaque(layer, directory)? {
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    fn is_opaque(&self, layer: &OwnedFd, path: &Path) -> Result<bool> {
        let directory = match find(layer, path) {
            Err(Errno::NOENT) => return Ok(false),
            found => found?,
        };
        let mut value = [0; 2];
        match getxattr(in_proc(&directory), self.xattrs.opaque(), &mut value[..]) {
            Err(Errno::NODATA | Errno::NOTSUP | Errno::RANGE) => Ok(false),
            length => Ok(value[..length?] == *b"y"),
        }
    }
}

fn find(layer: &OwnedFd, path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    openat2(layer, path, flags, Mode::empty(), resolve)
}

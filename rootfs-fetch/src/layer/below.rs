//! A directory for overlayfs, and the layers below it: what they have at a path that the layer's entries only pass through.

use std::cell::OnceCell;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, XattrFlags, getxattr, open, openat2, setxattr};
use rustix::io::{Errno, Result};

use super::Xattrs;
use super::tree::in_proc;

/// How overlayfs is told, and what is below.
pub(crate) struct Overlay<'a> {
    xattrs: Xattrs,
    /// Tells the directories of the layers below, the nearest first.
    find: Box<dyn Fn() -> Result<Vec<PathBuf>> + 'a>,
    lower: OnceCell<Vec<OwnedFd>>,
}

impl<'a> Overlay<'a> {
    /// Above these layers.
    pub fn above(xattrs: Xattrs, lower: &'a [PathBuf]) -> Result<Self> {
        let overlay = Self::later(xattrs, || Ok(lower.to_vec()));
        overlay.lower()?;
        Ok(overlay)
    }

    /// Above layers that need not be there yet: `find` waits for them. It is called when an entry passes through what this layer does not
    /// have, which for most layers never happens.
    pub fn later(xattrs: Xattrs, find: impl Fn() -> Result<Vec<PathBuf>> + 'a) -> Self {
        Self { xattrs, find: Box::new(find), lower: OnceCell::new() }
    }

    fn lower(&self) -> Result<&[OwnedFd]> {
        if self.lower.get().is_none() {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = (self.find)()?.iter().map(|path| open(path, flags, Mode::empty())).collect::<Result<_>>()?;
            return Ok(self.lower.get_or_init(|| opened));
        }
        Ok(self.lower.get().map_or(&[], Vec::as_slice))
    }

    /// Tells overlayfs that lower layers do not show through this directory.
    pub fn make_opaque(&self, directory: &OwnedFd) -> Result<()> {
        setxattr(in_proc(directory), self.xattrs.opaque(), b"y", XattrFlags::empty())
    }

    /// What the layers below have at a path that `upper` does not have; as overlayfs would find it, with a link for itself.
    pub fn below(&self, upper: &OwnedFd, path: &Path) -> Result<Option<OwnedFd>> {
        if let Seen::Here(found) = self.look(upper, path)? {
            return Ok(found);
        }
        for layer in self.lower()? {
            if let Seen::Here(found) = self.look(layer, path)? {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn look(&self, layer: &OwnedFd, path: &Path) -> Result<Seen> {
        match find(layer, path) {
            Err(Errno::NOENT) => {}
            // Not a directory, on the way there: that hides all further layers.
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(Seen::Here(None)),
            found => return found.map(|found| Seen::Here(Some(found))),
        }
        for directory in path.ancestors().skip(1) {
            if self.is_opaque(layer, directory)? {
                return Ok(Seen::Here(None));
            }
        }
        Ok(Seen::Through)
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

/// What a layer says of a path.
enum Seen {
    /// What is there; or that nothing is, whatever further layers have.
    Here(Option<OwnedFd>),
    /// Further layers show through.
    Through,
}

fn find(layer: &OwnedFd, path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    openat2(layer, path, flags, Mode::empty(), resolve)
}

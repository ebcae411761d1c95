//! The directory tree to which a layer is applied. Whatever an image calls its files and wherever its links lead, everything here
//! happens beneath the root:
//!
//! - A directory is found by openat2(2) with RESOLVE_IN_ROOT: for links and `..` the root is the end, as it will be in the container. So
//!   `var/run -> /run` leads to the image's own `/run`.
//! - What is in a directory is made, changed and removed by its last component, relative to the directory's descriptor, and never through
//!   a link.
//! - Nothing that is mounted beneath the root is entered.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, chmod, fstat, mkdirat, open,
    openat2, readlink, readlinkat, statat, unlinkat, utimensat,
};
use rustix::io::{Errno, Result};

use super::below::Overlay;
use super::copy_up::{copy_up, owner_and_xattrs};
use super::metadata::{give_default_acl, take_default_acl};

/// The most links that are followed to make a directory: path_resolution(7).
const MAX_LINKS: usize = 40;
/// How often openat2 is asked again when something was renamed while it went up a `..`.
const MAX_TRIES: usize = 64;
/// What an owner needs to do anything in a directory.
const OWNER: Mode = Mode::RWXU;
/// The mode of a directory that no entry describes.
const IMPLIED: Mode = Mode::from_raw_mode(0o755);

/// Device and inode: what a directory is, whatever its name.
pub(super) type Id = (u64, u64);

/// A name in a directory.
#[derive(Debug)]
pub(super) struct Place {
    /// The directory; opened with O_PATH.
    pub at: Rc<OwnedFd>,
    /// Which directory that is.
    pub id: Id,
    pub name: OsString,
}

/// What a directory gets when everything in it is done: to make something in it changes its time, and may need another mode; and what is
/// made in it would inherit its default ACL.
#[derive(Debug)]
struct Last {
    /// Without links, relative to the root.
    path: PathBuf,
    mode: Option<Mode>,
    times: Timestamps,
    default_acl: Option<Vec<u8>>,
}

/// The tree, and what this layer has done in it.
pub(super) struct Tree<'a> {
    root: OwnedFd,
    /// Where the root is, as /proc says.
    base: PathBuf,
    /// In a directory for overlayfs.
    overlay: Option<Overlay<'a>>,
    /// May do what the modes of files forbid.
    privileged: bool,
    last: HashMap<Id, Last>,
    /// The directory that was found last, by these components: most entries are in the one of the entry before. None after anything was
    /// removed, which may have been on the way there.
    pub(super) found: Option<(Vec<OsString>, Rc<OwnedFd>, Id)>,
    /// The names that this layer made, by directory.
    pub(super) made: HashMap<Id, HashSet<OsString>>,
    /// How many bytes of names were noted in those two.
    pub noted: u64,
}

impl<'a> Tree<'a> {
    /// Of the directory at `path`.
    pub fn open(path: &Path, overlay: Option<Overlay<'a>>) -> Result<Self> {
        let root = open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let base = path_of(&root)?;
        let privileged = rustix::process::geteuid().is_root();
        Ok(Self { root, base, overlay, privileged, last: HashMap::new(), found: None, made: HashMap::new(), noted: 0 })
    }

    /// The directory with these components. A mode that is in the way is changed until the end.
    pub fn directory(&mut self, components: &[OsString]) -> Result<(Rc<OwnedFd>, Id)> {
        self.enter_or(components, &[Errno::ACCESS], false)
    }

    /// As [`Tree::directory`]; what is not there is made, also what a link leads to.
    pub fn make_directory(&mut self, components: &[OsString]) -> Result<(Rc<OwnedFd>, Id)> {
        self.enter_or(components, &[Errno::ACCESS, Errno::NOENT, Errno::NOTDIR], true)
    }

    fn enter_or(&mut self, components: &[OsString], obstacles: &[Errno], make: bool) -> Result<(Rc<OwnedFd>, Id)> {
        if let Some((found, at, id)) = &self.found
            && found == components
        {
            return Ok((Rc::clone(at), *id));
        }
        let at = match self.find(&components.iter().collect::<PathBuf>()) {
            Err(obstacle) if obstacles.contains(&obstacle) => self.walk(components, make)?,
            found => found?,
        };
        let id = self.enter(&at)?;
        let at = Rc::new(at);
        self.found = Some((components.to_vec(), Rc::clone(&at), id));
        Ok((at, id))
    }

    /// The directory at a path, with its links resolved.
    fn find(&self, path: &Path) -> Result<OwnedFd> {
        self.resolve(path, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::empty())
    }

    /// What is at a path, beneath the root.
    fn resolve(&self, path: &Path, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let beneath = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let mut tries = 0;
        loop {
            match openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), beneath | resolve) {
                Err(Errno::AGAIN) if tries < MAX_TRIES => tries += 1,
                result => return result,
            }
        }
    }

    /// Goes to a directory step by step. Each step is taken by the kernel, from the root; here is only what to do where it can not go on.
    fn walk(&mut self, components: &[OsString], make: bool) -> Result<OwnedFd> {
        let mut rest: VecDeque<OsString> = components.iter().cloned().collect();
        let (mut done, mut links) = (PathBuf::new(), 0);
        while let Some(name) = rest.pop_front() {
            let next = done.join(&name);
            if self.find(&next).is_ok() {
                done = next;
                continue;
            }
            let at = self.find(&done)?;
            let id = self.enter(&at)?;
            let place = Place { at: Rc::new(at), id, name };
            let text = match place.look()? {
                None if make => self.imply(&place)?,
                Some(found) if make && is_whiteout(&found) && self.overlay.is_some() => {
                    unlinkat(&place.at, &place.name, AtFlags::empty())?;
                    self.found = None;
                    self.new_directory(&place, true)?;
                    None
                }
                Some(found) if file_type(&found) == FileType::Symlink => {
                    Some(readlinkat(&place.at, &place.name, Vec::new())?)
                }
                // Says why not; or goes on, where a mode was in the way that no longer is.
                _ => self.find(&next).map(|_| None)?,
            };
            let Some(text) = text else {
                done = next;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP);
            }
            if text.as_bytes().starts_with(b"/") {
                done = PathBuf::new();
            }
            let parts = text.as_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty());
            parts.rev().for_each(|part| rest.push_front(OsStr::from_bytes(part).to_owned()));
        }
        self.find(&done)
    }

    /// Makes a directory that no entry of this layer has. For overlayfs it is as the one that it will cover; or, where that is a link,
    /// nothing is made, and this is where the link leads.
    fn imply(&mut self, place: &Place) -> Result<Option<CString>> {
        let below = match &self.overlay {
            Some(overlay) => overlay.below(&self.root, &self.inner_path(&place.at)?.join(&place.name))?,
            None => None,
        };
        let Some(below) = below else { return self.new_directory(place, false).map(|_| None) };
        let found = fstat(&below)?;
        match file_type(&found) {
            FileType::Symlink => return readlinkat(&below, c"", Vec::new()).map(Some),
            FileType::Directory => {}
            _ if is_whiteout(&found) => return self.new_directory(place, false).map(|_| None),
            _ => return Err(Errno::NOTDIR),
        }
        let (directory, _) = self.new_directory(place, false)?;
        owner_and_xattrs(&below, &found, &directory)?;
        self.set_last(&directory, Mode::from_raw_mode(found.st_mode), times(&found).last_modification)?;
        Ok(None)
    }

    /// Copies a file that only lower layers have to its place in this one, as overlayfs does before it gets another name. Tells how
    /// many bytes it has; nothing where there is no such file.
    pub fn copy_up(&mut self, place: &Place) -> Result<Option<u64>> {
        let Some(overlay) = &self.overlay else { return Ok(None) };
        let below = overlay.below(&self.root, &self.inner_path(&place.at)?.join(&place.name))?;
        below.map_or(Ok(None), |below| copy_up(&below, place))
    }

    /// Makes a directory, which for overlayfs is opaque where it is there `instead` of something else. Unless it is told otherwise, it
    /// has the mode that containerd gives it too.
    pub fn new_directory(&mut self, place: &Place, instead: bool) -> Result<(OwnedFd, Id)> {
        mkdirat(&place.at, &place.name, OWNER)?;
        self.mark_made(place);
        let directory = place.open()?;
        if instead {
            self.make_opaque(&directory)?;
        }
        let id = self.enter(&directory)?;
        if let Some(last) = self.last.get_mut(&id) {
            last.mode = Some(IMPLIED);
        }
        Ok((directory, id))
    }

    /// Tells overlayfs, if this is for one, that lower layers do not show through this directory.
    pub fn make_opaque(&self, directory: &OwnedFd) -> Result<()> {
        self.overlay.as_ref().map_or(Ok(()), |overlay| overlay.make_opaque(directory))
    }

    /// Where a directory is, without links, relative to the root.
    fn inner_path(&self, at: &OwnedFd) -> Result<PathBuf> {
        Ok(path_of(at)?.strip_prefix(&self.base).map_err(|_| Errno::STALE)?.to_owned())
    }

    /// Before anything is made or removed in a directory: notes its times and takes its default ACL, which it is to have again, and lets
    /// its owner in.
    pub fn enter(&mut self, at: &OwnedFd) -> Result<Id> {
        let stat = fstat(at)?;
        let id = id_of(&stat);
        if !self.last.contains_key(&id) {
            let path = self.inner_path(at)?;
            self.noted += path.as_os_str().len() as u64;
            self.last.insert(id, Last { path, mode: None, times: times(&stat), default_acl: take_default_acl(at)? });
        }
        if let Some(mode) = self.let_owner_in(at, &stat)?
            && let Some(last) = self.last.get_mut(&id)
        {
            last.mode.get_or_insert(mode);
        }
        Ok(id)
    }

    /// Adds to the mode of a directory what this process needs to do anything in it. Tells what it was, if that was not enough.
    pub(super) fn let_owner_in(&self, at: &OwnedFd, stat: &Stat) -> Result<Option<Mode>> {
        let mode = Mode::from_raw_mode(stat.st_mode);
        if self.privileged || mode.contains(OWNER) {
            return Ok(None);
        }
        chmod(in_proc(at), mode | OWNER)?;
        Ok(Some(mode))
    }

    /// What a directory whose attributes were just set is to have at the end. As an ACL they may have shut its owner out.
    pub fn set_last(&mut self, at: &OwnedFd, mode: Mode, mtime: Timespec) -> Result<()> {
        let id = self.enter(at)?;
        let default_acl = take_default_acl(at)?;
        if let Some(last) = self.last.get_mut(&id) {
            last.mode = Some(mode);
            last.times = Timestamps { last_access: mtime, last_modification: mtime };
            last.default_acl = default_acl;
        }
        Ok(())
    }

    /// Gives all directories their default ACLs, modes and times, those within others first.
    ///
    /// # Errors
    /// With the directory of which it could not be done.
    pub fn finish(mut self) -> std::result::Result<(), (PathBuf, Errno)> {
        let mut last: Vec<(Id, Last)> = self.last.drain().collect();
        last.sort_by_cached_key(|(_, last)| std::cmp::Reverse(last.path.components().count()));
        last.into_iter().try_for_each(|(id, last)| self.complete(id, &last).map_err(|error| (last.path, error)))
    }

    fn complete(&self, id: Id, last: &Last) -> Result<()> {
        let at = self.resolve(&last.path, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::NO_SYMLINKS)?;
        let stat = fstat(&at)?;
        if id_of(&stat) != id {
            return Err(Errno::STALE);
        }
        if let Some(acl) = &last.default_acl {
            give_default_acl(&at, acl)?;
        }
        if let Some(mode) = last.mode {
            chmod(in_proc(&at), mode)?;
        }
        utimensat(CWD, in_proc(&at), &last.times, AtFlags::empty())
    }

    /// Notes that this layer made what is at a place.
    pub fn mark_made(&mut self, place: &Place) {
        self.noted += place.name.len() as u64;
        self.made.entry(place.id).or_default().insert(place.name.clone());
    }

    /// A directory is gone.
    pub(super) fn forget(&mut self, directory: Id) {
        self.last.remove(&directory);
        self.made.remove(&directory);
    }
}

impl Place {
    /// What is there; none where nothing is. A link is what is there itself.
    pub fn look(&self) -> Result<Option<Stat>> {
        look(&self.at, &self.name)
    }

    /// What is there, opened with O_PATH: neither a link is followed nor a device told.
    pub fn open(&self) -> Result<OwnedFd> {
        open_in(&self.at, &self.name)
    }
}

pub(super) fn look(at: &OwnedFd, name: &OsStr) -> Result<Option<Stat>> {
    match statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        found => found.map(Some),
    }
}

pub(super) fn open_in(at: &OwnedFd, name: &OsStr) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // With these flags a link is opened itself, which NO_SYMLINKS allows.
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    openat2(at, name, flags, Mode::empty(), resolve)
}

/// A path to what this descriptor is of, for calls that take no descriptor opened with O_PATH: proc_pid_fd(5).
pub(super) fn in_proc(fd: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

fn path_of(fd: &OwnedFd) -> Result<PathBuf> {
    Ok(PathBuf::from(OsString::from_vec(readlink(in_proc(fd), Vec::new())?.into_bytes())))
}

pub(super) fn times(stat: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds.cast_signed() };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

pub(super) fn id_of(stat: &Stat) -> Id {
    (stat.st_dev, stat.st_ino)
}

pub(super) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// A whiteout of overlayfs: a character device with number 0/0 (Documentation/filesystems/overlayfs.rst).
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    file_type(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

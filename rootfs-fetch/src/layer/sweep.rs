//! Removing what is in the way, and what whiteouts hide.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, unlinkat};
use rustix::io::{Errno, Result};

use super::tree::{Id, Place, Tree, file_type, look, open_in};

/// A directory, and what in it is still to be looked at.
struct Level {
    at: OwnedFd,
    id: Id,
    names: Vec<OsString>,
}

/// What is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Everything.
    All,
    /// What lower layers made. A directory stays if this layer made it, or something in it.
    Lower,
}

impl Tree {
    /// Removes what is at a place with all that is in it, and says how much that was.
    pub fn remove(&mut self, place: &Place, which: Which) -> Result<u64> {
        let level = Level { at: place.at.try_clone().map_err(errno)?, id: place.id, names: vec![place.name.clone()] };
        self.sweep(level, which)
    }

    /// Removes what is in a directory.
    pub fn remove_in(&mut self, at: OwnedFd, id: Id, which: Which) -> Result<u64> {
        let names = list(&at)?;
        self.sweep(Level { at, id, names }, which)
    }

    /// Goes down without calling itself: how deep directories are nested is the layer's to say.
    fn sweep(&mut self, top: Level, which: Which) -> Result<u64> {
        let mut removed = 0;
        let mut levels = vec![top];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.names.last().cloned() else {
                // All in it is done; now it itself, which the level above still has as its last name.
                let id = level.id;
                levels.pop();
                if let Some(above) = levels.last_mut()
                    && let Some(name) = above.names.pop()
                {
                    removed += self.remove_directory(above, &name, id, which)?;
                }
                continue;
            };
            match look(&level.at, &name)? {
                Some(found) if file_type(&found) == FileType::Directory => {
                    let at = open_in(&level.at, &name)?;
                    let id = self.enter(&at)?;
                    let names = list(&at)?;
                    levels.push(Level { at, id, names });
                    continue;
                }
                Some(_) if which == Which::All || !self.is_made(level.id, &name) => {
                    unlinkat(&level.at, &name, AtFlags::empty())?;
                    self.unmark(level.id, &name);
                    removed += 1;
                }
                _ => {}
            }
            level.names.pop();
        }
        Ok(removed)
    }

    fn remove_directory(&mut self, above: &Level, name: &OsStr, id: Id, which: Which) -> Result<u64> {
        if which == Which::Lower && self.is_made(above.id, name) {
            return Ok(0);
        }
        match unlinkat(&above.at, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY) if which == Which::Lower => return Ok(0),
            result => result?,
        }
        self.forget(id);
        self.unmark(above.id, name);
        Ok(1)
    }

    fn is_made(&self, directory: Id, name: &OsStr) -> bool {
        self.made.get(&directory).is_some_and(|names| names.contains(name))
    }

    fn unmark(&mut self, directory: Id, name: &OsStr) {
        if let Some(names) = self.made.get_mut(&directory) {
            names.remove(name);
        }
    }
}

/// The names in a directory.
pub(super) fn list(at: &OwnedFd) -> Result<Vec<OsString>> {
    // What was opened with O_PATH can not be read.
    let readable = openat(at, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let names = Dir::new(readable)?.map(|entry| Ok(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned()));
    names.filter(|name| !name.as_ref().is_ok_and(|name| name == "." || name == "..")).collect()
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

//! Removing what is in the way, and what whiteouts hide.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, unlinkat};
use rustix::io::{Errno, Result};

use super::tree::{Id, Place, Tree, file_type, id_of, look, open_in};

/// A directory, and what in it is still to be looked at.
struct Level {
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

impl Tree<'_> {
    /// Removes what is at a place with all that is in it, and says how much that was.
    pub fn remove(&mut self, place: &Place, which: Which) -> Result<u64> {
        self.sweep(Rc::clone(&place.at), Level { id: place.id, names: vec![place.name.clone()] }, which)
    }

    /// Removes what is in a directory.
    pub fn remove_in(&mut self, at: Rc<OwnedFd>, id: Id, which: Which) -> Result<u64> {
        let names = list(&at)?;
        self.sweep(at, Level { id, names }, which)
    }

    /// Goes down without calling itself, and with one open directory: how deep they are nested is the layer's to say.
    fn sweep(&mut self, mut at: Rc<OwnedFd>, top: Level, which: Which) -> Result<u64> {
        self.found = None;
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
                    at = Rc::new(up(&at, above.id)?);
                    removed += self.remove_directory(&at, above.id, &name, id, which)?;
                }
                continue;
            };
            match look(&at, &name)? {
                Some(found) if file_type(&found) == FileType::Directory => {
                    at = Rc::new(open_in(&at, &name)?);
                    let id = match which {
                        Which::Lower => self.enter(&at)?,
                        // It needs no times any more.
                        Which::All => self.let_owner_in(&at, &found).map(|_| id_of(&found))?,
                    };
                    levels.push(Level { id, names: list(&at)? });
                    continue;
                }
                Some(_) if which == Which::All || !self.is_made(level.id, &name) => {
                    unlinkat(&at, &name, AtFlags::empty())?;
                    self.unmark(level.id, &name);
                    removed += 1;
                }
                _ => {}
            }
            level.names.pop();
        }
        Ok(removed)
    }

    fn remove_directory(&mut self, at: &OwnedFd, above: Id, name: &OsStr, id: Id, which: Which) -> Result<u64> {
        if which == Which::Lower && self.is_made(above, name) {
            return Ok(0);
        }
        match unlinkat(at, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY) if which == Which::Lower => return Ok(0),
            result => result?,
        }
        self.forget(id);
        self.unmark(above, name);
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

/// The directory above, which has to be the one from which this was entered.
fn up(at: &OwnedFd, above: Id) -> Result<OwnedFd> {
    let found = openat(at, c"..", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    if id_of(&fstat(&found)?) == above { Ok(found) } else { Err(Errno::STALE) }
}

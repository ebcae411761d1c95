//! Looking at paths as a process with another root directory does.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::dir::Dir;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// A directory that serves as the root of all lookups: neither `..` nor a symbolic link leads out of it.
#[derive(Debug)]
pub struct Tree(File);

impl Tree {
    /// The tree below a directory, for example `/proc/PID/root`.
    ///
    /// # Errors
    /// `EACCES` where the process may not be looked at (ptrace(2), access mode checking), `ENOENT` where it is gone.
    pub fn at(root: &Path) -> io::Result<Self> {
        File::open(root).map(Self)
    }

    /// Whether the path leads to something.
    pub fn has(&self, path: &Path) -> bool {
        self.open(path, OFlag::O_PATH).is_ok()
    }

    /// The names in a directory, sorted; what is not UTF-8 is made readable.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `EACCES` for the path.
    pub fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::from_fd(self.open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?)?.iter() {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.retain(|name| name != "." && name != "..");
        names.sort();
        Ok(names)
    }

    fn open(&self, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_IN_ROOT);
        Ok(openat2(&self.0, path, how)?)
    }
}

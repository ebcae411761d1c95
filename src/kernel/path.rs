//! Looking at paths from a directory: as a process does that has it for its root, or only quicker than from far above.

use std::ffi::CStr;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::Mode;

/// A directory of which many files are wanted: the way to it is looked up once (openat(2)). Of `/proc/PID` it stays that of the same
/// process, also when another one gets its number.
#[derive(Debug)]
pub struct Directory(OwnedFd);

impl Directory {
    /// Opens it, for lookups only.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `EACCES` for the path.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self(nix::fcntl::open(path, flags, Mode::empty())?))
    }

    /// One of its files, to be read.
    ///
    /// # Errors
    /// As open(2); `ESRCH` for one of a process that has ended.
    pub fn file(&self, name: &str) -> io::Result<File> {
        Ok(openat(&self.0, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?.into())
    }

    /// Where one of its symbolic links leads.
    ///
    /// # Errors
    /// As readlink(2).
    pub fn link(&self, name: &str) -> io::Result<PathBuf> {
        Ok(readlinkat(&self.0, name)?.into())
    }
}

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

    /// What lstat(2) says of it: of a link itself, and not of what it leads to.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `EACCES` for the path.
    pub fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        File::from(self.open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW)?).metadata()
    }

    /// Those of these extended attributes that a directory has (xattr(7)); without what is longer than 256 bytes, and what the reader may
    /// not read.
    pub fn attributes<'a>(&self, directory: &Path, names: &[&'a CStr]) -> Vec<(&'a CStr, Vec<u8>)> {
        let Ok(directory) = self.open(directory, OFlag::O_RDONLY | OFlag::O_DIRECTORY) else { return Vec::new() };
        let attribute = |name: &&'a CStr| {
            let mut value = vec![0_u8; 256];
            let (to, length) = (value.as_mut_ptr().cast(), value.len());
            // SAFETY: a C string and a buffer of the size given, which outlive the call.
            let size = unsafe { libc::fgetxattr(directory.as_raw_fd(), name.as_ptr(), to, length) };
            value.truncate(usize::try_from(size).ok()?);
            Some((*name, value))
        };
        names.iter().filter_map(attribute).collect()
    }

    /// What is in a short file, made readable; none for what is longer, or no plain file.
    pub fn text(&self, path: &Path, most: u64) -> Option<String> {
        Some(String::from_utf8_lossy(&self.bytes(path, most)?).into_owned())
    }

    /// What is in a short file; none for what is longer, or no plain file.
    pub fn bytes(&self, path: &Path, most: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file(path, most)?.take(most).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Opens a short file for reading; none for what is longer, or no plain file.
    pub fn file(&self, path: &Path, most: u64) -> Option<File> {
        self.plain(path).filter(|(about, _)| about.len() <= most).map(|(_, file)| file)
    }

    /// A plain file, opened to be read; none for what is something else.
    pub fn plain(&self, path: &Path) -> Option<(Metadata, File)> {
        // Looked at first: to open a pipe or a device does something.
        let about = File::from(self.open(path, OFlag::O_PATH).ok()?).metadata().ok().filter(Metadata::is_file)?;
        let file = File::from(self.open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).ok()?);
        Some((about, file))
    }

    /// The names in a directory, sorted; what is not UTF-8 is made readable.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `EACCES` for the path.
    pub fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::from_fd(self.open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?)? {
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

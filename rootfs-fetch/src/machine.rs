//! The machine whose programs are taken: a directory that stands for `/`, and paths looked up within it.
//!
//! Symbolic links are followed here, one by one, and not by the kernel: so that an absolute link of a made-up machine
//! stays in it, and so that each link on the way to a file is known and can be made again in the rootfs.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use crate::elf::Elf;
use crate::error::{During, Error, Fault};

/// As many as the kernel follows: path_resolution(7).
const MAX_LINKS: usize = 40;
/// As many components as fit in PATH_MAX.
const MAX_STEPS: usize = 2048;
/// As many names of one directory as are looked at.
const MAX_NAMES: usize = 16 * 1024;

/// Not to wait: fcntl(2). It is this number on x86, ARM, RISC-V and most others; where it is another, it does nothing here.
const O_NONBLOCK: i32 = 0o4000;

/// A machine to take programs from.
#[derive(Clone, Debug)]
pub struct Machine {
    root: PathBuf,
}

/// One step on the way to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A directory that is passed.
    Directory(PathBuf),
    /// A symbolic link that is followed.
    Link { at: PathBuf, to: PathBuf },
}

/// A file that was found, and the way to it.
#[derive(Debug)]
pub(crate) struct Found {
    /// The directories and links in the order in which they were met.
    pub steps: Vec<Step>,
    /// The path without any link.
    pub real: PathBuf,
    /// What is there.
    pub metadata: Metadata,
}

impl Machine {
    /// The machine whose `/` is the directory `root`. `Machine::at("/")` is this machine.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Whether this is the running machine itself and not a directory that plays one.
    pub(crate) fn is_this(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where a path without links is, seen from outside.
    pub(crate) fn outside(&self, real: &Path) -> PathBuf {
        self.root.join(real.strip_prefix("/").unwrap_or(real))
    }

    /// Looks a path up; `None` where there is nothing. `..` at the root stays there, as it does for the kernel.
    pub(crate) fn find(&self, path: &Path) -> Result<Option<Found>, Error> {
        let mut rest: VecDeque<OsString> = names(path);
        let mut real = PathBuf::from("/");
        let mut metadata = fs::metadata(&self.root).during("look at", &self.root)?;
        let (mut steps, mut links, mut passed) = (Vec::new(), 0, 0);
        while let Some(name) = rest.pop_front() {
            passed += 1;
            if passed > MAX_STEPS {
                return Err(Error::unusable(path, format!("its path has more than {MAX_STEPS} steps")));
            }
            if !metadata.is_dir() {
                return Ok(None);
            }
            if name == ".." {
                real.pop();
                continue;
            }
            let next = real.join(&name);
            let outside = self.outside(&next);
            metadata = match fs::symlink_metadata(&outside) {
                Ok(metadata) => metadata,
                Err(error) if nothing_there(error.kind()) => return Ok(None),
                Err(error) => return Err(error).during("look at", &outside),
            };
            if metadata.is_symlink() {
                links += 1;
                if links > MAX_LINKS {
                    let why = format!("more than {MAX_LINKS} symbolic links lead to it, or they lead in a circle");
                    return Err(Error::unusable(path, why));
                }
                let to = fs::read_link(&outside).during("read the link", &outside)?;
                for name in names(&to).into_iter().rev() {
                    rest.push_front(name);
                }
                if to.is_absolute() {
                    real = PathBuf::from("/");
                }
                metadata = fs::symlink_metadata(self.outside(&real)).during("look at", &outside)?;
                steps.push(Step::Link { at: next, to });
                continue;
            }
            if metadata.is_dir() {
                steps.push(Step::Directory(next.clone()));
            }
            real = next;
        }
        Ok(Some(Found { steps, real, metadata }))
    }

    /// Looks up a path at which there has to be a regular file; `None` where there is nothing, or something else.
    pub(crate) fn find_file(&self, path: &Path) -> Result<Option<Found>, Error> {
        Ok(self.find(path)?.filter(|found| found.metadata.is_file()))
    }

    /// Opens what was found. Only a regular file is ever opened: to open a FIFO would wait, to open a device may act.
    pub(crate) fn open(&self, found: &Found) -> Result<File, Error> {
        let outside = self.outside(&found.real);
        // What was a file a moment ago may be a FIFO now.
        let options = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&outside);
        let file = options.during("open", &outside)?;
        let metadata = file.metadata().during("look at", &outside)?;
        if (metadata.dev(), metadata.ino()) != (found.metadata.dev(), found.metadata.ino()) {
            return Err(Error::unusable(&found.real, "it was replaced while it was read"));
        }
        Ok(file)
    }

    /// Reads the ELF header of what was found.
    pub(crate) fn elf(&self, found: &Found) -> Result<Elf, Error> {
        let fault = |fault| Error::Elf { path: found.real.clone(), fault };
        Elf::read(&self.open(found)?).map_err(fault)
    }

    /// The first `limit` bytes of what was found.
    pub(crate) fn beginning(&self, found: &Found, limit: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let read = self.open(found)?.take(limit).read_to_end(&mut bytes);
        read.during("read", &self.outside(&found.real))?;
        Ok(bytes)
    }

    /// The names in a directory, sorted; none where there is no directory.
    pub(crate) fn list(&self, path: &Path) -> Result<Vec<OsString>, Error> {
        let Some(found) = self.find(path)?.filter(|found| found.metadata.is_dir()) else { return Ok(Vec::new()) };
        let outside = self.outside(&found.real);
        let mut names = Vec::new();
        for entry in fs::read_dir(&outside).during("list", &outside)?.take(MAX_NAMES) {
            names.push(entry.during("list", &outside)?.file_name());
        }
        names.sort();
        Ok(names)
    }
}

/// Whether a fault of an ELF file says that it is no ELF file.
pub(crate) fn is_no_elf(error: &Error) -> bool {
    matches!(error, Error::Elf { fault: Fault::Magic, .. })
}

fn names(path: &Path) -> VecDeque<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(name).collect()
}

fn nothing_there(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename)
}

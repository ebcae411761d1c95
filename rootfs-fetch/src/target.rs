//! Writes a plan beneath one directory, and nowhere else; what could not be finished is taken away again.
//!
//! The directory is ours alone while it is filled: mode 0700, so that nobody can put a link where a directory was just
//! made. It is held open and written through `/proc/self/fd` where that works, so it may even be renamed meanwhile.
//! Nothing is ever overwritten: each file is made with O_EXCL, which follows no link.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::cache::{Cache, Copied, Origin};
use crate::error::{During, Error};
use crate::machine::Machine;
use crate::plan::{Plan, What};

/// More than any program or library weighs.
const MAX_FILE: u64 = 512 * 1024 * 1024;
/// More than a rootfs of programs weighs.
const MAX_TOTAL: u64 = 2 * 1024 * 1024 * 1024;

/// What was written to files.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// How many bytes.
    pub bytes: u64,
    /// How many files were read from the machine.
    pub read: usize,
    /// How many came from the cache.
    pub cached: usize,
    /// How many were broken in the cache, and so read from the machine.
    pub repaired: usize,
    /// The first thing that went wrong in the cache.
    pub trouble: Option<io::Error>,
}

/// Makes what is planned in `path`, which must be empty or absent.
pub(crate) fn write(path: &Path, plan: &Plan, machine: &Machine, cache: Option<&Cache>) -> Result<Written, Error> {
    let mut target = Target::open(path)?;
    let written = target.fill(plan, machine, cache)?;
    target.finish()?;
    Ok(written)
}

struct Target<'a> {
    /// As the caller named it.
    path: &'a Path,
    /// Keeps the directory that `base` leads to.
    _directory: File,
    /// Through which everything is written.
    base: PathBuf,
    /// The mode to go back to, of a directory that was there before.
    before: Option<u32>,
    /// What was made, in that order, as a path beneath `base`; and whether it is a directory.
    made: Vec<(PathBuf, bool)>,
    finished: bool,
}

impl<'a> Target<'a> {
    fn open(path: &'a Path) -> Result<Self, Error> {
        let Some(name) = path.file_name() else {
            return Err(Error::target(path, "its path does not end in a name"));
        };
        // Without a slash at the end, which would follow a link.
        let bare = path.parent().unwrap_or(Path::new("")).join(name);
        let before = match DirBuilder::new().mode(0o700).create(&bare) {
            Ok(()) => None,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Some(Self::adopt(path, &bare)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::target(path, "the directory in which it is to be made does not exist"));
            }
            Err(error) => return Err(error).during("make the directory", path),
        };
        let opened = File::open(&bare).and_then(|directory| {
            let ours = directory.metadata()?;
            let named = fs::symlink_metadata(&bare)?;
            Ok((directory, (ours.dev(), ours.ino()) == (named.dev(), named.ino()) && named.is_dir(), ours))
        });
        let (directory, same, ours) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                give_back(&bare, before);
                return Err(error).during("open the directory", path);
            }
        };
        if !same {
            // It is no longer the one that was made, so it is not ours to remove.
            return Err(Error::target(path, "it was replaced while it was opened"));
        }
        let held = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        let works = fs::metadata(&held).is_ok_and(|held| (held.dev(), held.ino()) == (ours.dev(), ours.ino()));
        let base = if works { held } else { bare };
        Ok(Self { path, _directory: directory, base, before, made: Vec::new(), finished: false })
    }

    /// Takes a directory that is there already, and returns its mode.
    fn adopt(path: &Path, bare: &Path) -> Result<u32, Error> {
        let metadata = fs::symlink_metadata(bare).during("look at", path)?;
        if !metadata.is_dir() {
            return Err(Error::target(path, "there is something that is not a directory"));
        }
        if fs::read_dir(bare).during("list", path)?.next().is_some() {
            return Err(Error::target(path, "the directory is not empty; name one that is empty or does not exist"));
        }
        fs::set_permissions(bare, Permissions::from_mode(0o700)).during("change the mode of", path)?;
        Ok(metadata.mode() & 0o7777)
    }

    fn fill(&mut self, plan: &Plan, machine: &Machine, cache: Option<&Cache>) -> Result<Written, Error> {
        let mut written = Written::default();
        for entry in &plan.entries {
            let inner = entry.path.strip_prefix("/").unwrap_or(&entry.path);
            let (at, shown) = (self.base.join(inner), self.path.join(inner));
            match &entry.what {
                What::Directory { mode } => {
                    DirBuilder::new().mode(0o700).create(&at).during("make the directory", &shown)?;
                    self.note(inner, true)?;
                    fs::set_permissions(&at, Permissions::from_mode(*mode)).during("set the mode of", &shown)?;
                }
                What::Link { to } => {
                    symlink(to, &at).during("make the link", &shown)?;
                    self.note(inner, false)?;
                }
                What::Text { text, mode } => {
                    self.file(inner, *mode, |file| file.write_all(text.as_bytes()).during("write", &shown))?;
                    written.bytes += text.len() as u64;
                }
                What::Copy { from, mode, .. } => {
                    let found = machine.find_file(from)?;
                    let found = found.ok_or_else(|| Error::unusable(from, "it is no longer there"))?;
                    let size = found.metadata.len();
                    if size > MAX_FILE || written.bytes + size > MAX_TOTAL {
                        let why = format!("with its {size} bytes the rootfs becomes larger than anyone wants");
                        return Err(Error::unusable(from, why));
                    }
                    let copied = self.file(inner, *mode, |file| match cache {
                        Some(cache) => cache.copy(machine, &found, file),
                        None => {
                            // A file that is being written to ends where it ended when it was looked at.
                            let mut source = machine.open(&found)?.take(size);
                            let bytes = io::copy(&mut source, file).during("write", &shown)?;
                            Ok(Copied { bytes, origin: Origin::Machine, trouble: None })
                        }
                    })?;
                    written.bytes += copied.bytes;
                    written.trouble = written.trouble.or(copied.trouble);
                    match copied.origin {
                        Origin::Machine => written.read += 1,
                        Origin::Cache => written.cached += 1,
                        Origin::Repaired => written.repaired += 1,
                    }
                }
            }
        }
        Ok(written)
    }

    /// Makes a file, which `fill` writes; it has its mode only then.
    fn file<T>(
        &mut self,
        inner: &Path,
        mode: u32,
        fill: impl FnOnce(&mut File) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (at, shown) = (self.base.join(inner), self.path.join(inner));
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(at).during("make the file", &shown)?;
        self.note(inner, false)?;
        let filled = fill(&mut file)?;
        file.set_permissions(Permissions::from_mode(mode)).during("set the mode of", &shown)?;
        Ok(filled)
    }

    /// Remembers what was just made. The first of it shows who we are for the file system.
    fn note(&mut self, inner: &Path, directory: bool) -> Result<(), Error> {
        self.made.push((inner.into(), directory));
        if self.made.len() > 1 {
            return Ok(());
        }
        let ours = fs::symlink_metadata(self.base.join(inner)).during("look at", self.path)?.uid();
        let theirs = fs::metadata(&self.base).during("look at", self.path)?.uid();
        if ours == theirs {
            return Ok(());
        }
        // The directory is not ours alone, whatever its mode: its owner may change that back.
        let why = format!("the directory belongs to user {theirs}, and you are {ours}; name one that does not exist");
        Err(Error::target(self.path, why))
    }

    fn finish(mut self) -> Result<(), Error> {
        fs::set_permissions(&self.base, Permissions::from_mode(0o755)).during("set the mode of", self.path)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Target<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // Last made, first removed: a directory is empty again when its turn comes. What another has put there stays,
        // and so the directories around it. There is nobody to tell of a failure; the caller learns of the first one.
        for (inner, directory) in self.made.iter().rev() {
            let at = self.base.join(inner);
            let _ = if *directory { fs::remove_dir(at) } else { fs::remove_file(at) };
        }
        give_back(self.path, self.before);
    }
}

/// Removes the directory that was made, or gives one that was there its mode back.
fn give_back(path: &Path, before: Option<u32>) {
    let _ = match before {
        None => fs::remove_dir(path),
        Some(mode) => fs::set_permissions(path, Permissions::from_mode(mode)),
    };
}

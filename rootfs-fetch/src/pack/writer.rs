//! One entry after the other.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType};

use super::header::{Headers, Metadata};
use super::name::{Name, PATH_MAX};
use super::out::{Finished, Out};
use super::{Counts, Options, PackError, PackedLayer};
use crate::store::Store;

/// The bytes of the two blocks of zeros that end an archive.
const END: u64 = 1024;

/// What an entry is, but for its name and its metadata.
pub enum Content<'a> {
    /// A regular file.
    File {
        /// Its size, in bytes.
        size: u64,
        /// What is in it: so many bytes, and no more.
        data: &'a mut dyn Read,
    },
    /// A directory.
    Directory,
    /// A symbolic link, and where it leads.
    Symlink(&'a Path),
    /// Another name for an entry that came before, which must have the same metadata.
    Hardlink(&'a Path),
    /// A character device.
    CharacterDevice {
        /// Its driver.
        major: u32,
        /// Which of that driver's.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Its driver.
        major: u32,
        /// Which of that driver's.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// Writes a layer into a store, entry by entry. Dropped before [`LayerWriter::finish`], nothing of it is left.
///
/// What is written has only one form: the same entries in the same [`Options`] are the same bytes. Therefore they come sorted, and each
/// once: what is in a directory follows it, and there whiteouts come first (image-spec, layer.md, "Whiteouts"), and then as the bytes of
/// the names are.
pub struct LayerWriter {
    store: Store,
    options: Options,
    archive: Builder<Out>,
    last: Option<Name>,
    /// An entry was begun that has no end.
    broken: bool,
    counts: Counts,
}

impl LayerWriter {
    /// Begins a layer.
    ///
    /// # Errors
    /// [`PackError::Image`] for a level that the compression has not; [`PackError::Store`].
    pub fn new(store: &Store, options: &Options) -> Result<Self, PackError> {
        let archive = Builder::new(Out::into_store(store, options.compression)?);
        let (store, options) = (store.clone(), options.clone());
        Ok(Self { store, options, archive, last: None, broken: false, counts: Counts::default() })
    }

    /// Adds what is at `path`, which is relative to the root and is empty for the root itself.
    ///
    /// # Errors
    /// [`PackError::Refused`] where that can not be in a layer, or not after what came before; [`PackError::Changed`] where a file has
    /// another size than it was said to have; [`PackError::Limit`]; [`PackError::Write`].
    pub fn add(&mut self, path: &Path, metadata: &Metadata, content: Content<'_>) -> Result<(), PackError> {
        let name = Name::there(path)?;
        let refuse = |why: &str| Err(PackError::refused(path, why));
        let kind = match &content {
            Content::File { .. } => EntryType::Regular,
            Content::Directory => EntryType::Directory,
            Content::Symlink(_) => EntryType::Symlink,
            Content::Hardlink(_) => EntryType::Link,
            Content::CharacterDevice { .. } => EntryType::Char,
            Content::BlockDevice { .. } => EntryType::Block,
            Content::Fifo => EntryType::Fifo,
        };
        if name.path().as_os_str().is_empty() && kind != EntryType::Directory {
            return refuse("it is the root, which is a directory");
        }
        let mut metadata = metadata.clone();
        if let Some(clamp) = self.options.clamp {
            metadata.mtime = metadata.mtime.min(clamp);
        }
        if let Some((uid, gid)) = self.options.owner {
            (metadata.uid, metadata.gid) = (uid, gid);
        }
        // The first name has told the attributes, and they are not said twice.
        if kind == EntryType::Link {
            metadata.xattrs = BTreeMap::new();
        }
        let mut headers = Headers::new(name.path(), kind, &metadata)?;
        match content {
            Content::File { size, data } => {
                if size > self.options.limits.file {
                    return Err(PackError::Limit { what: "bytes in one file", limit: self.options.limits.file });
                }
                headers.size(size);
                self.append(name, headers, &mut Exactly { path, data, left: size })?;
                self.counts.bytes += size;
                return Ok(());
            }
            Content::Hardlink(first) => {
                let first = Name::there(first)?;
                if first >= name {
                    return refuse("a hard link comes after the file that it is a name of");
                }
                headers.link(first.path());
            }
            Content::Symlink(target) => {
                let bytes = target.as_os_str().as_bytes();
                if bytes.is_empty() || bytes.len() >= PATH_MAX || bytes.contains(&0) {
                    return refuse("no link leads to what is no path");
                }
                headers.link(target);
            }
            Content::CharacterDevice { major: 0, minor: 0 } => {
                return refuse("a character device 0/0 hides a file in overlayfs, and a whiteout does in a layer");
            }
            Content::CharacterDevice { major, minor } | Content::BlockDevice { major, minor } => {
                headers.device(major, minor);
            }
            Content::Directory | Content::Fifo => {}
        }
        self.append(name, headers, &mut io::empty())
    }

    /// Hides what lower layers have at `path`.
    ///
    /// # Errors
    /// As [`LayerWriter::add`].
    pub fn whiteout(&mut self, path: &Path) -> Result<(), PackError> {
        self.hide(Name::whiteout(path)?)
    }

    /// Hides what lower layers have in the directory at `path`.
    ///
    /// # Errors
    /// As [`LayerWriter::add`].
    pub fn opaque(&mut self, path: &Path) -> Result<(), PackError> {
        self.hide(Name::opaque(path)?)
    }

    /// By a name that says so. An empty file of nobody's concern has no metadata that would be anybody's.
    pub(super) fn hide(&mut self, name: Name) -> Result<(), PackError> {
        let headers = Headers::new(name.path(), EntryType::Regular, &Metadata::new(0))?;
        self.append(name, headers, &mut io::empty())?;
        self.counts.whiteouts += 1;
        Ok(())
    }

    fn append(&mut self, name: Name, mut headers: Headers, data: &mut dyn Read) -> Result<(), PackError> {
        let limits = &self.options.limits;
        if self.last.as_ref().is_some_and(|last| *last >= name) {
            return Err(PackError::refused(name.path(), "the entries of a layer are sorted, and it comes too late"));
        }
        if self.counts.entries == limits.entries {
            return Err(PackError::Limit { what: "entries", limit: limits.entries });
        }
        self.is_whole()?;
        self.broken = true;
        self.archive.append_pax_extensions(headers.pax.iter().map(|(keyword, value)| (&**keyword, &**value)))?;
        headers.header.set_cksum();
        self.archive.append(&headers.header, data)?;
        self.broken = false;
        if self.archive.get_ref().count + END > limits.uncompressed {
            return Err(PackError::Limit { what: "uncompressed bytes", limit: limits.uncompressed });
        }
        self.last = Some(name);
        self.counts.entries += 1;
        Ok(())
    }

    fn is_whole(&self) -> Result<(), PackError> {
        match self.broken {
            true => Err(PackError::Image("one of the layer's entries could not be written".into())),
            false => Ok(()),
        }
    }

    /// Notes that there was a socket, which no layer can have.
    pub(super) fn left_out(&mut self, sockets: u64) {
        self.counts.sockets += sockets;
    }

    /// Ends the archive, and makes it a blob of the store.
    ///
    /// # Errors
    /// [`PackError::Image`] where an entry could not be added for another reason than what it is; [`PackError::Write`];
    /// [`PackError::Store`].
    pub fn finish(self) -> Result<PackedLayer, PackError> {
        self.is_whole()?;
        let Finished { digest, size, diff_id, uncompressed } = self.archive.into_inner()?.finish(&self.store)?;
        let Self { options: Options { compression, .. }, counts, .. } = self;
        Ok(PackedLayer { digest, size, diff_id, uncompressed, compression, counts })
    }
}

/// So many bytes of a reader, which then is to be at its end.
struct Exactly<'a> {
    path: &'a Path,
    data: &'a mut dyn Read,
    left: u64,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = if self.left == 0 { 1 } else { usize::try_from(self.left).unwrap_or(usize::MAX) };
        let most = buffer.len().min(most);
        let count = loop {
            match self.data.read(&mut buffer[..most]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => {
                    let path = self.path.to_owned();
                    return Err(io::Error::other(PackError::Io { operation: "read", path, source }));
                }
                Ok(count) => break count,
            }
        };
        if (count == 0) != (self.left == 0) && !buffer.is_empty() {
            return Err(io::Error::other(PackError::Changed { path: PathBuf::from(self.path) }));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

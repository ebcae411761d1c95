//! What was done, entry by entry and in sum.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::image::Digest;

/// What an entry of a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name for a file that is there.
    Hardlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// `.wh.NAME`: what lower layers have as NAME is not seen.
    Whiteout,
    /// `.wh..wh..opq`: what lower layers have in the directory is not seen.
    Opaque,
    /// `.wh..wh.ANYTHING`: AUFS's own, which is no part of the file system.
    Aufs,
}

/// What an entry did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Its path was free.
    Added,
    /// Something else was at its path and is gone; or a directory stayed, with new metadata.
    Replaced,
    /// So many files, directories and links of lower layers are gone.
    Deleted(u64),
    /// A mark for overlayfs was made.
    Marked,
    /// It is not in the target.
    LeftOut(Reason),
    /// There was nothing to be done.
    Nothing,
}

/// Why something of an entry was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The process may not give files to that owner, or the id is not mapped in its user namespace.
    Owner,
    /// The process may not make devices.
    Device,
    /// The file system or the kernel takes no extended attribute of that name or size from this process.
    Xattr,
    /// An extended attribute that would tell overlayfs or another storage what to show.
    StorageXattr,
    /// AUFS's own files.
    Aufs,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Owner => "owners that this process may not set",
            Self::Device => "devices that this process may not make",
            Self::Xattr => "extended attributes that were not taken",
            Self::StorageXattr => "extended attributes that belong to overlayfs or another storage",
            Self::Aufs => "files of AUFS",
        })
    }
}

/// One entry, after it was applied.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Its path, relative to the root; of a whiteout, that of what it hides. Empty for the root.
    pub path: &'a Path,
    /// What it is.
    pub kind: Kind,
    /// What it did.
    pub deed: Deed,
}

/// How much was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries.
    pub entries: u64,
    /// Bytes that were written to files.
    pub bytes: u64,
    /// Entries that were put where nothing was.
    pub added: u64,
    /// Entries that took the place of something else, or changed a directory.
    pub replaced: u64,
    /// Files, directories and links of lower layers that were deleted by whiteouts.
    pub deleted: u64,
    /// Marks for overlayfs.
    pub marked: u64,
    /// Things that were not applied, by reason.
    pub not_applied: BTreeMap<Reason, u64>,
}

/// A layer that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The digest of the uncompressed archive.
    pub diff_id: Digest,
    /// Whether an entry says what the root itself is like.
    pub has_root: bool,
    /// How much was done.
    pub counts: Counts,
}

impl Counts {
    /// Adds what was done in another layer.
    pub(crate) fn add(&mut self, other: &Self) {
        self.entries += other.entries;
        self.bytes += other.bytes;
        self.added += other.added;
        self.replaced += other.replaced;
        self.deleted += other.deleted;
        self.marked += other.marked;
        for (reason, count) in &other.not_applied {
            *self.not_applied.entry(*reason).or_default() += count;
        }
    }

    pub(super) fn count(&mut self, deed: Deed) {
        match deed {
            Deed::Added => self.added += 1,
            Deed::Replaced => self.replaced += 1,
            Deed::Deleted(count) => self.deleted += count,
            Deed::Marked => self.marked += 1,
            Deed::LeftOut(reason) => self.miss(reason),
            Deed::Nothing => {}
        }
    }

    pub(super) fn miss(&mut self, reason: Reason) {
        *self.not_applied.entry(reason).or_default() += 1;
    }
}

//! Whether two trees have the same at a path.

use std::io::{BufRead, BufReader};

use rustix::fs::FileType;

use super::PackError;
use super::error::During;
use super::tree::Found;

/// As much is compared at once, in bytes.
const CHUNK: usize = 128 * 1024;

/// Whether a layer would say the same of both. Contents are read whenever all else is equal: that a size and a time are equal proves
/// nothing where times can be set, and reproducible builds set them all to the same. Only an inode is equal to itself without that, so
/// that a tree of hard links to its original costs no reading.
pub(super) fn same(lower: &Found, upper: &Found) -> Result<bool, PackError> {
    if lower.id() == upper.id() {
        return Ok(true);
    }
    let (one, other) = (&lower.stat, &upper.stat);
    // The mode has the kind of file in it.
    if (one.st_mode, one.st_uid, one.st_gid) != (other.st_mode, other.st_uid, other.st_gid)
        || (one.st_mtime, one.st_mtime_nsec) != (other.st_mtime, other.st_mtime_nsec)
        || lower.metadata()?.xattrs != upper.metadata()?.xattrs
    {
        return Ok(false);
    }
    match upper.kind() {
        FileType::RegularFile => Ok(one.st_size == other.st_size && same_contents(lower, upper)?),
        FileType::Symlink => Ok(lower.target()? == upper.target()?),
        FileType::CharacterDevice | FileType::BlockDevice => Ok(one.st_rdev == other.st_rdev),
        _ => Ok(true),
    }
}

fn same_contents(lower: &Found, upper: &Found) -> Result<bool, PackError> {
    let mut one = BufReader::with_capacity(CHUNK, lower.read()?);
    let mut other = BufReader::with_capacity(CHUNK, upper.read()?);
    loop {
        let (left, right) =
            (one.fill_buf().during("read", &lower.path)?, other.fill_buf().during("read", &upper.path)?);
        let length = left.len().min(right.len());
        if length == 0 {
            return Ok(left.len() == right.len());
        }
        if left[..length] != right[..length] {
            return Ok(false);
        }
        one.consume(length);
        other.consume(length);
    }
}

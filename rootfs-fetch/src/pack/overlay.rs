//! What overlayfs says in an upper directory (Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories", "redirect_dir",
//! "Metadata only copy up").

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use rustix::fs::FileType;
use rustix::thread::{CapabilitySet, capabilities};

use super::PackError;
use super::error::During;
use super::tree::Found;
use crate::layer::Xattrs;

/// What something in an upper directory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It is there.
    There,
    /// What lower layers have by its name is not seen.
    Whiteout,
    /// It is a directory, and what lower layers have in it is not seen.
    Opaque,
}

/// What this says.
///
/// # Errors
/// [`PackError::Refused`] where something of it is still in a lower layer, and no layer can say which.
pub(super) fn said(found: &Found, xattrs: Xattrs) -> Result<Said, PackError> {
    let prefix = match xattrs {
        Xattrs::Trusted => "trusted.overlay",
        Xattrs::User => "user.overlay",
    };
    let attribute = |name: &str| found.attribute(OsStr::new(&format!("{prefix}.{name}")));
    let refuse = |why: &str| Err(PackError::refused(&found.path, why));
    match found.kind() {
        FileType::CharacterDevice if found.stat.st_rdev == 0 => Ok(Said::Whiteout),
        FileType::Directory if attribute("redirect")?.is_some() => refuse(
            "overlayfs has renamed the directory and left its files in a lower layer; mount it with redirect_dir=off",
        ),
        FileType::Directory => match attribute("opaque")?.as_deref() {
            None => Ok(Said::There),
            Some(b"y") => Ok(Said::Opaque),
            Some(_) => {
                refuse("it has whiteouts that are files with an attribute, which overlayfs makes in no upper directory")
            }
        },
        FileType::RegularFile if attribute("metacopy")?.is_some() => refuse(
            "overlayfs has changed its metadata and left its contents in a lower layer; mount it with metacopy=off",
        ),
        _ => Ok(Said::There),
    }
}

/// Whether this process sees the attributes. To others the kernel says that there are none (xattr(7), "Trusted extended attributes"), and
/// what is hidden would come to light.
pub(super) fn can_be_seen(upper: &Path, xattrs: Xattrs) -> Result<(), PackError> {
    if xattrs == Xattrs::User {
        return Ok(());
    }
    let ids = Path::new("/proc/self/uid_map");
    let initial = fs::read_to_string(ids).during("read", ids)?.contains("4294967295");
    let set = capabilities(None).during("get the capabilities for", upper)?.effective;
    match initial && set.contains(CapabilitySet::SYS_ADMIN) {
        true => Ok(()),
        false => {
            Err(PackError::refused(upper, "trusted.overlay.* can be read with CAP_SYS_ADMIN on the whole machine only"))
        }
    }
}

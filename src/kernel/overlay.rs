//! Overlays: what they keep in their upper directory, and why the kernel refuses one (Documentation/filesystems/overlayfs.rst).

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};
use serde::{Deserialize, Serialize};

use super::path::Tree;

/// The attributes by which a directory covers those below, and those by which it stands for another one below: for who may write
/// `trusted.*`, and for everybody else.
const ATTRIBUTES: [&CStr; 4] =
    [c"trusted.overlay.opaque", c"user.overlay.opaque", c"trusted.overlay.redirect", c"user.overlay.redirect"];

/// What an overlay leaves in its upper directory, so that a layer below does not show through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// A character device 0,0: what has this name below is deleted.
    Whiteout,
    /// A directory with this attribute: of directories of the same name below nothing is shown.
    Opaque(String),
    /// A directory that was renamed: its attribute says where its files are below, from the top of the layer or beside it.
    Redirect(String),
}

impl Mark {
    /// The mark at a path; none on an ordinary file or directory. Through an overlay itself none is seen.
    pub fn at(tree: &Tree, path: &Path) -> Option<Self> {
        let about = tree.metadata(path).ok()?;
        if about.file_type().is_char_device() {
            return (about.rdev() == 0).then_some(Self::Whiteout);
        }
        let attributes = if about.is_dir() { tree.attributes(path, &ATTRIBUTES) } else { Vec::new() };
        attributes.into_iter().find_map(|(name, value)| {
            let name = name.to_string_lossy();
            if name.ends_with("redirect") {
                return Some(Self::Redirect(String::from_utf8_lossy(&value).into_owned()));
            }
            // Other values than y mean something else.
            (value == b"y").then(|| Self::Opaque(name.into_owned()))
        })
    }

    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Whiteout => "a whiteout, character device 0,0".to_owned(),
            Self::Opaque(name) => format!("an opaque directory, {name}=y"),
            Self::Redirect(path) => format!("a renamed directory, with the files of {path} below"),
        }
    }
}

/// Whether an overlay of this process has to keep its marks in `user.*`: `trusted.*` is for CAP_SYS_ADMIN of the initial user namespace
/// (xattr(7)), in which, and hardly elsewhere, each id stands for itself.
pub fn wants_user_attributes() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Why the kernel answers `EINVAL` to an overlay with this upper and work directory and these options. It tells that to its log alone,
/// which root of a user namespace may not read; so here are the same conditions, in its order (fs/overlayfs/params.c and super.c), by
/// what everybody can see. None where none of them is met.
pub fn refusal(upper: &Path, work: &Path, options: &[&str]) -> Option<String> {
    let has = |option: &str| options.contains(&option);
    if let Some(other) = ["redirect_dir=on", "redirect_dir=follow", "metacopy=on"].into_iter().find(|it| has(it))
        && has("userxattr")
    {
        return Some(format!(
            "{other} would follow an attribute to another file. With userxattr every owner of a file can write that attribute, so the two \
             exclude each other."
        ));
    }
    if statfs(upper).is_ok_and(|about| about.filesystem_type() == OVERLAYFS_SUPER_MAGIC) {
        return Some(format!(
            "{} is itself on an overlay, and that can be no upper: it would have to keep the marks of another one.",
            upper.display()
        ));
    }
    if let (Ok(one), Ok(other)) = (mount_id(upper), mount_id(work))
        && one != other
    {
        return Some(format!(
            "{} is on mount {one} and {} on mount {other}. A file is finished in work and renamed to upper, and rename(2) does not go \
             from mount to mount.",
            upper.display(),
            work.display()
        ));
    }
    let [upper, work] = [upper, work].map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned()));
    (upper.starts_with(&work) || work.starts_with(&upper))
        .then(|| format!("one of {} and {} is inside of the other.", upper.display(), work.display()))
}

/// The id of the mount that a path is on, as in mountinfo (statx(2), STATX_MNT_ID, since Linux 5.8).
fn mount_id(path: &Path) -> nix::Result<u64> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: statx is plain old data for which all zeroes is a valid value.
    let mut about: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: a C string and a structure that outlive the call.
    let result = unsafe { libc::statx(libc::AT_FDCWD, path.as_ptr(), 0, libc::STATX_MNT_ID, &raw mut about) };
    Errno::result(result)?;
    if about.stx_mask & libc::STATX_MNT_ID == 0 { Err(Errno::ENOSYS) } else { Ok(about.stx_mnt_id) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    #[test]
    fn what_can_be_seen_is_told_as_a_reason() {
        let place = tempfile::tempdir().unwrap();
        let [upper, work, inner] = ["upper", "work", "upper/inner"].map(|name| place.path().join(name));
        for directory in [&upper, &work, &inner] {
            fs::create_dir(directory).unwrap();
        }
        assert_eq!(refusal(&upper, &work, &["userxattr"]), None);
        assert!(refusal(&upper, &inner, &[]).unwrap().contains("inside of the other"));
        assert!(refusal(&upper, Path::new("/proc/self"), &[]).unwrap().contains("rename(2)"));
        assert!(refusal(&upper, &work, &["redirect_dir=on", "userxattr"]).unwrap().contains("exclude each other"));
        assert_eq!(refusal(&upper, &work, &["redirect_dir=on"]), None);
    }

    #[test]
    fn a_directory_is_marked_by_its_attributes_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("plain")).unwrap();
        let tree = Tree::at(place.path()).unwrap();
        assert_eq!(Mark::at(&tree, Path::new("/plain")), None);
        let steps = [
            (ATTRIBUTES[1], c"x", None),
            (ATTRIBUTES[3], c"/etc", Some(Mark::Redirect("/etc".into()))),
            (ATTRIBUTES[1], c"y", Some(Mark::Opaque("user.overlay.opaque".into()))),
        ];
        for (name, value, mark) in steps {
            let path = CString::new(place.path().join("plain").as_os_str().as_bytes()).unwrap();
            let (bytes, length) = (value.as_ptr().cast(), value.to_bytes().len());
            // SAFETY: three C strings that outlive the call, and the length of one without its NUL.
            let set = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), bytes, length, 0) };
            if set != 0 {
                println!("skipped: the file system of temporary files keeps no attributes: {}", Errno::last());
                return;
            }
            assert_eq!(Mark::at(&tree, Path::new("/plain")), mark);
        }
        assert_eq!(Mark::at(&tree, Path::new("/missing")), None);
        assert_eq!(Mark::at(&Tree::at(Path::new("/dev")).unwrap(), Path::new("/null")), None, "1,3 is another device");
    }
}

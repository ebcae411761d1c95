//! File systems: of what kind the one below a path is, how much room it has, and files that give rights.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::statfs::statfs;

/// What statfs(2) says of the file system that a path is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its kind, where its number is one of those below; see statfs(2).
    pub name: Option<&'static str>,
    /// The number of its kind.
    pub magic: i64,
    /// Bytes that an ordinary user may still write.
    pub free: u64,
}

/// Numbers of <linux/magic.h> that are common, or that change how hardway works.
const NAMES: [(i64, &str); 16] = [
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x2fc1_2fc1, "zfs"),
    (0xf2f5_2010, "f2fs"),
    (0x0102_1994, "tmpfs"),
    (0x794c_7630, "overlay"),
    (0x6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "fuse"),
    (0xf15f, "ecryptfs"),
    (0x00c3_6400, "ceph"),
    (0x5346_414f, "afs"),
    (0x7371_7368, "squashfs"),
];

impl FileSystem {
    /// The file system below a path.
    pub fn of(path: &Path) -> Option<Self> {
        let found = statfs(path).ok()?;
        // The field's type differs between processors; the numbers are of 32 bits.
        #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
        let magic = (found.filesystem_type().0 as i64) & 0xffff_ffff;
        let name = NAMES.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name);
        #[allow(clippy::useless_conversion)]
        let free = u64::from(found.blocks_available()).saturating_mul(u64::try_from(found.block_size()).unwrap_or(0));
        Some(Self { name, magic, free })
    }
}

/// Whether a program runs with more rights than its caller's: by the set-user-ID bit of root, or by capabilities that are
/// kept with the file (execve(2), capabilities(7): `security.capability`).
pub fn gives_rights(program: &Path) -> bool {
    const SET_USER_ID: u32 = 0o4000;
    let set_uid = program.metadata().is_ok_and(|it| it.mode() & SET_USER_ID != 0 && it.uid() == 0);
    set_uid || has_attribute(program, c"security.capability")
}

/// Whether a file has an extended attribute (getxattr(2)).
pub fn has_attribute(path: &Path, name: &std::ffi::CStr) -> bool {
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: two strings that end with NUL; with a size of 0 nothing is written, and only the length is returned.
    unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) >= 0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_the_kernel_says_of_a_path() {
        let found = FileSystem::of(Path::new("/proc")).unwrap();
        assert_eq!((found.name, found.magic), (None, 0x9fa0));
        assert_eq!(FileSystem::of(Path::new("/no/such/place")), None);
        assert!(!gives_rights(Path::new("/proc/self/status")));
    }
}

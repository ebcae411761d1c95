//! Cgroups of version 2: where this process is, and a child group for a lab host (cgroups(7)).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The directory of this process's cgroup in the version 2 hierarchy, where one is mounted: alone, or beside version 1.
pub fn own_directory() -> Option<PathBuf> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let cgroup = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    let directory = Path::new(mount_point(&mountinfo)?).join(path.trim_start_matches('/'));
    directory.join("cgroup.procs").exists().then_some(directory)
}

/// Where the root of the version 2 hierarchy is mounted.
fn mount_point(mountinfo: &str) -> Option<&str> {
    mountinfo.lines().find_map(|line| {
        let (mount, system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, target) = (fields.next()?, fields.next()?);
        (system.starts_with("cgroup2 ") && root == "/").then_some(target)
    })
}

/// Makes a group and opens its directory, for clone3's CLONE_INTO_CGROUP. One that exists is somebody else's.
///
/// # Errors
/// Those of mkdir(2): `EROFS` and `EACCES` inside of containers, `EEXIST`.
pub fn make(directory: &Path) -> io::Result<File> {
    fs::create_dir(directory)?;
    File::open(directory)
}

/// Takes an empty group away. One that is not there any more is no error.
///
/// # Errors
/// `EBUSY` while a process is in it.
pub fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::mount_point;

    #[test]
    fn version_2_is_found_alone_and_beside_version_1() {
        let hybrid = "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(hybrid), Some("/sys/fs/cgroup/unified"));
        assert_eq!(mount_point("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"), Some("/sys/fs/cgroup"));
        assert_eq!(mount_point("30 23 0:26 /../.. /x rw - cgroup2 cgroup2 rw\n"), None);
        assert_eq!(mount_point(""), None);
    }
}

//! Disks, as the kernel numbers them (`Documentation/admin-guide/devices.txt`, sysfs(5)).

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The number of a device, written `MAJOR:MINOR` as files of cgroups take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// Which driver.
    pub major: u64,
    /// Which of its devices.
    pub minor: u64,
}

impl fmt::Display for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.major, self.minor)
    }
}

/// The disk on which a file is: the whole one, because limits are for disks and not for partitions.
///
/// # Errors
/// Those of stat(2); `ENODEV` where the file is on no disk of this machine: in memory, on the network, or on a file system that
/// gives itself a number of its own, as btrfs does.
pub fn of_file(path: &Path) -> io::Result<Number> {
    let device = fs::metadata(path)?.dev();
    let own = Number { major: nix::sys::stat::major(device), minor: nix::sys::stat::minor(device) };
    whole(Path::new("/sys/dev/block"), own).ok_or_else(|| nix::errno::Errno::ENODEV.into())
}

/// The disk of which a device is a partition, or itself: a partition's directory in sysfs is in that of its disk.
fn whole(numbers: &Path, device: Number) -> Option<Number> {
    let directory = numbers.join(device.to_string());
    let above = if directory.join("partition").exists() { ".." } else { "." };
    let text = fs::read_to_string(directory.join(above).join("dev")).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    Some(Number { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_partition_is_on_its_disk() {
        let sys = tempfile::tempdir().unwrap();
        let disk = sys.path().join("vda");
        fs::create_dir_all(disk.join("vda1")).unwrap();
        fs::write(disk.join("dev"), "254:0\n").unwrap();
        fs::write(disk.join("vda1/dev"), "254:1\n").unwrap();
        fs::write(disk.join("vda1/partition"), "1\n").unwrap();
        std::os::unix::fs::symlink(&disk, sys.path().join("254:0")).unwrap();
        std::os::unix::fs::symlink(disk.join("vda1"), sys.path().join("254:1")).unwrap();
        let of = |minor| whole(sys.path(), Number { major: 254, minor });
        assert_eq!(of(0).unwrap().to_string(), "254:0");
        assert_eq!(of(1).unwrap().to_string(), "254:0");
        assert_eq!(of(2), None);
    }

    #[test]
    fn what_is_in_memory_is_on_no_disk() {
        assert_eq!(of_file(Path::new("/proc/self/stat")).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}

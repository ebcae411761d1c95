//! Counting what the members of a cgroup do, by the kernel's performance events (perf_event_open(2)).

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

// Numbers of <linux/perf_event.h>.
const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_COUNT_SW_CPU_CLOCK: u64 = 0;
const PERF_FLAG_PID_CGROUP: libc::c_ulong = 1 << 2;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;

/// The first version of `struct perf_event_attr`, 64 bytes, which every kernel takes; what is not named here is 0.
#[repr(C)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    rest: [u64; 6],
}

/// The processor time that the members of a cgroup use, from now on: one event on each processor.
#[derive(Debug)]
pub struct ProcessorTime(Vec<File>);

impl ProcessorTime {
    /// Begins to count for the group of this directory: of version 1 with the controller perf_event, or of version 2.
    ///
    /// # Errors
    /// `EBADF` for a directory that is no cgroup's, or one of another hierarchy; `EACCES` without CAP_PERFMON, where
    /// `kernel.perf_event_paranoid` is above 0.
    pub fn of(group: &Path) -> io::Result<Self> {
        let group = File::open(group)?;
        processors()?.into_iter().map(|processor| open(&group, processor)).collect::<Result<_, _>>().map(Self)
    }

    /// How much it was until now, on all processors together.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn read(&mut self) -> io::Result<Duration> {
        let mut sum = 0;
        for event in &mut self.0 {
            let mut nanoseconds = [0; 8];
            event.read_exact(&mut nanoseconds)?;
            sum += u64::from_ne_bytes(nanoseconds);
        }
        Ok(Duration::from_nanos(sum))
    }
}

fn open(group: &File, processor: i32) -> io::Result<File> {
    let size = u32::try_from(size_of::<Attributes>()).unwrap_or(0);
    let attributes = Attributes { kind: PERF_TYPE_SOFTWARE, size, config: PERF_COUNT_SW_CPU_CLOCK, rest: [0; 6] };
    // SAFETY: the structure has the size that it says, and the kernel only reads it; the rest are numbers.
    let fd = Errno::result(unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            group.as_raw_fd(),
            processor,
            -1,
            PERF_FLAG_PID_CGROUP | PERF_FLAG_FD_CLOEXEC,
        )
    })?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap_or(-1)) }.into())
}

/// The processors that run, by their numbers.
fn processors() -> io::Result<Vec<i32>> {
    Ok(numbers(&fs::read_to_string("/sys/devices/system/cpu/online")?))
}

/// The numbers in a list of the kernel's: `0-3,5`.
fn numbers(list: &str) -> Vec<i32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    list.trim().split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_processors_has_ranges() {
        assert_eq!(numbers("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(numbers("0\n"), [0]);
        assert_eq!(numbers("\n"), [0; 0]);
    }
}

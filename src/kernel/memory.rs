//! What workloads use: memory that nobody else does (mmap(2)), files past the page cache, processors and their time.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::NonNull;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// The size of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// As a rule 4 KiB.
    Small,
    /// Those of the machine's pool of huge pages, as a rule 2 MiB (MAP_HUGETLB).
    Huge,
}

/// A private, anonymous mapping.
#[derive(Debug)]
pub struct Taken {
    start: NonNull<u8>,
    length: NonZeroUsize,
}

/// Maps memory; none of it is in use before it is written to.
///
/// # Errors
/// `ENOMEM` beyond a limit, or where the pool has not so many huge pages; `EINVAL` for no bytes.
pub fn take(bytes: usize, pages: Pages) -> io::Result<Taken> {
    let length = NonZeroUsize::new(bytes).ok_or(io::ErrorKind::InvalidInput)?;
    let flags = match pages {
        Pages::Small => MapFlags::MAP_PRIVATE,
        Pages::Huge => MapFlags::MAP_PRIVATE | MapFlags::MAP_HUGETLB,
    };
    // SAFETY: a new mapping, wherever the kernel has room.
    let start = unsafe { mmap_anonymous(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags)? };
    Ok(Taken { start: start.cast(), length })
}

/// Opens a file so that reads of it go to the disk itself (open(2), O_DIRECT); the buffer must begin where a block begins, as that
/// of a [`Taken`] does.
///
/// # Errors
/// Those of open(2); `EINVAL` where the file system can not do it.
pub fn open_direct(path: impl AsRef<Path>) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_DIRECT).open(path)
}

/// The processor time that this process has used (clock_gettime(2), CLOCK_PROCESS_CPUTIME_ID).
///
/// # Errors
/// None that is known.
pub fn processor_time() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

/// The processor time that another process has used (clock_getcpuclockid(3)).
///
/// # Errors
/// `ESRCH` where there is none of that number.
pub fn processor_time_of(pid: i32) -> io::Result<Duration> {
    Ok(clock_getcpuclockid(Pid::from_raw(pid)).and_then(clock_gettime)?.into())
}

/// Ties this process, and those that it forks, to the first of the processors on which it may run (sched_setaffinity(2)).
///
/// # Errors
/// `EINVAL` where that one has just been taken from it.
pub fn one_processor() -> io::Result<()> {
    let this = Pid::from_raw(0);
    let may = sched_getaffinity(this)?;
    let first = (0..CpuSet::count()).find(|number| may.is_set(*number).unwrap_or(false)).unwrap_or(0);
    let mut one = CpuSet::new();
    one.set(first)?;
    Ok(sched_setaffinity(this, &one)?)
}

impl Taken {
    /// All of it.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping has this length, is readable and writable, and belongs to this value alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length.get()) }
    }

    /// Writes to every page, so that each is in use.
    pub fn touch(&mut self) {
        // The kernel does it in one call (madvise(2), MADV_POPULATE_WRITE, Linux 5.14). Page by page from here, a group above its
        // `memory.high` loses the pages of this program's own code meanwhile, and reads them again for each step of the loop.
        // SAFETY: the range is this value's own mapping, whose content stays as it is.
        let populated = unsafe { madvise(self.start.cast(), self.length.get(), MmapAdvise::MADV_POPULATE_WRITE) };
        if populated.is_ok() {
            return;
        }
        for page in self.bytes().chunks_mut(4096) {
            page[0] = 1;
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nobody can have a reference to it any more.
        let _ = unsafe { munmap(self.start.cast(), self.length.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_can_be_used() {
        let mut taken = take(3 * 4096 + 1, Pages::Small).expect("memory");
        taken.touch();
        let mut resident = [0_u8; 4];
        // SAFETY: the mapping is of four pages, and there is a byte for each.
        let result = unsafe { libc::mincore(taken.start.as_ptr().cast(), taken.length.get(), resident.as_mut_ptr()) };
        assert_eq!((result, resident.map(|page| page & 1)), (0, [1; 4]));
        assert!(take(0, Pages::Small).is_err());
    }
}

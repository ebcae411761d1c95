//! The heap of a process that forks often.
//!
//! After a fork each page that either side writes is copied first (fork(2)), and what malloc(3) has free from earlier times is scattered
//! over many pages. So whoever is going to fork much leaves that alone, and begins anew behind it.

/// The largest chunk that malloc(3) keeps for itself, whole, when it is freed: all others become part of what is free beside them.
#[cfg(target_env = "gnu")]
const KEPT: usize = 1032;

/// Gives the kernel back whole pages that are free, and takes what is free between things in use out of use, so that what is allocated
/// from now on lies close together, at the heap's end. That costs some dozen KiB, once.
#[cfg(target_env = "gnu")]
pub fn settle() {
    // From large to small, since of a larger chunk a smaller one is taken and the rest left free.
    let larger = [64 << 10, 32 << 10, 16 << 10, 8 << 10, 4 << 10, 2 << 10];
    // SAFETY: malloc_trim(3) touches free memory only, and of what is allocated only the address is looked at.
    unsafe {
        libc::malloc_trim(0);
        // Where no free chunk is as large as this, it is behind all of them.
        let end = libc::malloc(96 << 10);
        libc::free(end);
        for size in larger.into_iter().chain((0..=KEPT).rev().step_by(16)) {
            let mut chunk = libc::malloc(size);
            while !chunk.is_null() && chunk < end {
                chunk = libc::malloc(size);
            }
            // A smaller one would be kept, and found again before what lies at the end.
            if size > KEPT {
                libc::free(chunk);
            }
        }
    }
}

/// Other C libraries have other heaps.
#[cfg(not(target_env = "gnu"))]
pub fn settle() {}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kernel::children::{Worked, in_worker};
    use crate::kernel::stdio;

    /// How many pages the next hundred allocations lie in, in a process whose heap was used before.
    fn pages(settled: bool) -> usize {
        let worked = in_worker(Duration::from_secs(10), 100, |report| {
            let used: Vec<Vec<u8>> = (0..2000).map(|n: usize| Vec::with_capacity(1 + n * 37 % 900)).collect();
            let kept: Vec<_> = used.into_iter().enumerate().filter(|(n, _)| n % 2 == 0).collect();
            if settled {
                settle();
            }
            let next: Vec<Vec<u8>> = (0..100).map(|n: usize| Vec::with_capacity(1 + n * 53 % 300)).collect();
            let mut pages: Vec<usize> = next.iter().map(|one| one.as_ptr().addr() >> 12).collect();
            pages.sort_unstable();
            pages.dedup();
            drop(kept);
            stdio::report(&report, &pages.len());
        });
        match worked {
            Ok(Worked::Report(body)) => serde_json::from_slice(&body).expect("a number"),
            _ => panic!("no report"),
        }
    }

    #[test]
    fn what_is_allocated_afterwards_lies_close_together() {
        let (scattered, close) = (pages(false), pages(true));
        assert!(close <= 8 && close * 3 < scattered, "{close} pages instead of {scattered}");
    }
}

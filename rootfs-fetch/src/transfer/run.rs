//! What the threads of one transfer share.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::error::{TransferError, Trouble};
use super::progress::{Event, Item, Kind, There};
use super::{Moved, Transfer};
use crate::image::Descriptor;

/// One transfer.
pub(super) struct Run<'a> {
    pub transfer: &'a Transfer,
    /// How messages call the image.
    of: String,
    /// Set by the thread whose error ends it.
    failed: Arc<AtomicBool>,
    moved: Mutex<Moved>,
}

/// A config or a layer.
pub(super) struct Blob {
    pub item: Item,
    pub descriptor: Descriptor,
}

impl Blob {
    pub fn new(kind: Kind, descriptor: &Descriptor) -> Self {
        Self { item: Item::new(kind, descriptor), descriptor: descriptor.clone() }
    }
}

/// What takes longest begins first, so that it is not what all others wait for at the end.
pub(super) fn largest_first(mut blobs: Vec<Blob>) -> Vec<Blob> {
    blobs.sort_by_key(|blob| Reverse(blob.item.size));
    blobs
}

/// The sum of the sizes that are announced, in bytes.
pub(super) fn announced<'b>(blobs: impl Iterator<Item = &'b Blob>) -> u64 {
    blobs.fold(0, |sum, blob| sum.saturating_add(blob.item.size))
}

impl<'a> Run<'a> {
    pub fn new(transfer: &'a Transfer, of: String) -> Self {
        Self { transfer, of, failed: Arc::default(), moved: Mutex::default() }
    }

    /// An error unless it was cancelled or another thread has failed.
    pub fn go_on(&self) -> Result<(), Trouble> {
        if self.failed.load(Ordering::Acquire) {
            return Err(Trouble::Cancelled);
        }
        self.transfer.go_on()
    }

    /// One of these is set when it does not go on.
    pub fn over(&self) -> [Arc<AtomicBool>; 2] {
        [self.transfer.cancel.flag(), Arc::clone(&self.failed)]
    }

    pub fn tell(&self, event: &Event) {
        if let Some(progress) = &self.transfer.progress {
            progress.tell(event);
        }
    }

    /// Tells and counts a blob that need not be moved.
    pub fn there(&self, item: Item, how: There) {
        self.count(|moved| match how {
            There::Mounted(_) => moved.mounted += 1,
            There::Already | There::Meanwhile => moved.there += 1,
        });
        self.tell(&Event::There { item, how });
    }

    /// Tells and counts a blob that was moved.
    pub fn done(&self, item: &Item) {
        self.count(|moved| moved.blobs += 1);
        self.tell(&Event::Done { digest: item.digest.clone() });
    }

    pub fn count(&self, count: impl FnOnce(&mut Moved)) {
        count(&mut unpoisoned(&self.moved));
    }

    /// What was moved.
    pub fn moved(&self) -> Moved {
        *unpoisoned(&self.moved)
    }

    /// What went wrong with a part of the image.
    pub fn wrong(&self, item: &Item, why: Trouble) -> TransferError {
        TransferError { what: format!("{item} of {}", self.of), ..self.wrong_as_a_whole(why) }
    }

    /// What went wrong with all of it. Whatever it was, after a cancellation it is that.
    pub fn wrong_as_a_whole(&self, why: Trouble) -> TransferError {
        TransferError { what: self.of.clone(), why: self.transfer.go_on().err().unwrap_or(why) }
    }

    /// Does something with each of these things, in their order, several at once. After the first error none of them may
    /// [go on](Self::go_on), which each has to ask before it begins and while it is done.
    pub fn each<T: Sync>(
        &self,
        things: &[T],
        run: impl Fn(&T) -> Result<(), TransferError> + Sync,
    ) -> Result<(), TransferError> {
        let (next, first) = (AtomicUsize::new(0), Mutex::new(None));
        let work = || {
            while let Some(thing) = things.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = run(thing) {
                    // It is kept before the others see that there is one: theirs are only what came of it.
                    unpoisoned(&first).get_or_insert(error);
                    self.failed.store(true, Ordering::Release);
                    return;
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.transfer.jobs.min(things.len()) {
                // With fewer threads than were wished for, all is done too.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        first.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

/// A thread that panicked ends the transfer; its count or its error are whole all the same.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

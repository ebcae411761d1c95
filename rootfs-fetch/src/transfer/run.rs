//! What the threads of one transfer share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use super::error::{TransferError, Trouble};
use super::progress::{Event, Item, There};
use super::{Moved, Transfer};

/// One transfer.
pub(super) struct Run<'a> {
    pub transfer: &'a Transfer,
    /// How messages call the image.
    pub of: String,
    /// Set by the thread whose error ends it.
    failed: AtomicBool,
    moved: Mutex<Moved>,
}

impl<'a> Run<'a> {
    pub fn new(transfer: &'a Transfer, of: String) -> Self {
        Self { transfer, of, failed: AtomicBool::new(false), moved: Mutex::default() }
    }

    /// An error unless it was cancelled or another thread has failed.
    pub fn go_on(&self) -> Result<(), Trouble> {
        if self.failed.load(Ordering::Acquire) {
            return Err(Trouble::Cancelled);
        }
        self.transfer.go_on()
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

    pub fn count(&self, count: impl FnOnce(&mut Moved)) {
        count(&mut unpoisoned(&self.moved));
    }

    /// What was moved.
    pub fn moved(&self) -> Moved {
        *unpoisoned(&self.moved)
    }

    /// What went wrong with a part of the image.
    pub fn wrong(&self, item: &Item, why: Trouble) -> TransferError {
        TransferError { what: format!("{item} of {}", self.of), why }
    }

    /// What went wrong with all of it.
    pub fn wrong_as_a_whole(&self, why: Trouble) -> TransferError {
        TransferError { what: self.of.clone(), why }
    }

    /// Does something with each of these things, in their order, several at once. After the first error no other is begun, and those that
    /// were begun do not [go on](Self::go_on).
    pub fn each<T: Sync>(
        &self,
        things: &[T],
        run: impl Fn(&T) -> Result<(), TransferError> + Sync,
    ) -> Result<(), TransferError> {
        let (next, first) = (AtomicUsize::new(0), Mutex::new(None));
        let work = || {
            while let Some(thing) = things.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.failed.load(Ordering::Acquire) {
                    return;
                }
                if let Err(error) = run(thing) {
                    // It is kept before the others see that there is one: theirs are only what came of it.
                    unpoisoned(&first).get_or_insert(error);
                    self.failed.store(true, Ordering::Release);
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

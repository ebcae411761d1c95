//! The bytes of a layer, as the store has them.

use std::fs::File;
use std::io::{self, Read};

use super::workshop::Workshop;
use super::{Progress, Unpack};
use crate::store::{ImageLayer, Store};

/// So many bytes are read before somebody is told again.
const STEP: u64 = 1 << 20;

/// Reads a blob; tells how far it is, and ends where it was cancelled.
pub(super) struct Source<'a> {
    unpack: &'a Unpack<'a>,
    workshop: &'a Workshop,
    given_up: &'a (dyn Fn() -> bool + Sync),
    blob: File,
    progress: Progress,
    told: u64,
}

impl<'a> Source<'a> {
    /// Of the layer with this number; what is made of it is in the workshop.
    pub fn open(
        unpack: &'a Unpack<'_>,
        store: &Store,
        (number, layer): (usize, &ImageLayer),
        workshop: &'a Workshop,
        given_up: &'a (dyn Fn() -> bool + Sync),
    ) -> io::Result<Self> {
        let blob = store.blob(layer.descriptor.digest()).map_err(io::Error::other)?;
        let progress = Progress { layer: number, read: 0, size: layer.descriptor.size(), done: false };
        Ok(Self { unpack, workshop, given_up, blob, progress, told: 0 })
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.given_up)() {
            return Err(io::Error::other("cancelled"));
        }
        let count = self.blob.read(buffer)?;
        self.progress.read += count as u64;
        if self.progress.read - self.told >= STEP || (count == 0 && self.told < self.progress.read) {
            self.told = self.progress.read;
            self.workshop.show_progress();
            self.unpack.tell(self.progress);
        }
        Ok(count)
    }
}

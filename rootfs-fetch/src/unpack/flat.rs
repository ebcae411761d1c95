//! All layers in one directory.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;

use super::source::Source;
use super::workshop::Workshop;
use super::{Progress, Unpack, UnpackError, complete};
use crate::error::During;
use crate::layer::{Counts, LayerError, ahead};
use crate::store::{Image, Store};

/// What was made of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unpacked {
    /// How much was done in all layers, and what could not be.
    pub counts: Counts,
}

impl Unpack<'_> {
    /// Applies all layers, the lowest first, to one directory, which must be absent or empty. It is made beside its place, in
    /// `.NAME.unpacking`, and renamed when it is whole; what was left there by one who was killed is removed first.
    ///
    /// # Errors
    /// [`UnpackError`]; the directory is as before then.
    pub fn flat(&self, store: &Store, image: &Image, dir: &Path) -> Result<Unpacked, UnpackError> {
        let beside = beside(dir)?;
        is_free(dir)?;
        complete(store, image)?;
        let given_up = || self.is_cancelled();
        let cancelled = |error| if given_up() { UnpackError::Cancelled } else { error };
        let workshop = Workshop::open(beside, &given_up).map_err(cancelled)?;
        // Another may have made it while this waited.
        is_free(dir)?;
        let counts = self.all(store, image, &workshop, &given_up).map_err(cancelled)?;
        workshop.give(dir)?;
        Ok(Unpacked { counts })
    }

    /// One thread reads and decompresses, layer after layer, while this one writes.
    fn all(
        &self,
        store: &Store,
        image: &Image,
        workshop: &Workshop,
        given_up: &(dyn Fn() -> bool + Sync),
    ) -> Result<Counts, UnpackError> {
        let (feeder, ahead) = ahead();
        let feed = move || {
            for (number, layer) in image.layers.iter().enumerate() {
                let source = Source::open(self, store, (number, layer), workshop, given_up);
                let stream = source.map_err(LayerError::Read).and_then(|source| self.layer(layer).stream(source));
                if !feeder.feed(stream) {
                    break;
                }
            }
        };
        thread::scope(|scope| {
            // Gone before the scope ends, so that the other thread does not wait for it for ever.
            let mut ahead = ahead;
            thread::Builder::new().spawn_scoped(scope, feed).during("start a thread for", &workshop.tree())?;
            let mut counts = Counts::default();
            for (number, layer) in image.layers.iter().enumerate() {
                let applied = self.layer(layer).apply_next(&mut ahead, &workshop.tree(), None, &mut |_| {});
                let digest = layer.descriptor.digest();
                let applied = applied.map_err(|why| UnpackError::Layer { digest: digest.clone(), why })?;
                counts.add(&applied.counts);
                let size = layer.descriptor.size();
                self.tell(Progress { layer: number, read: size, size, done: true });
            }
            Ok(counts)
        })
    }
}

/// Where the directory is made.
fn beside(dir: &Path) -> Result<PathBuf, UnpackError> {
    let name = dir.file_name().ok_or_else(|| UnpackError::target(dir, "it has no name of its own"))?;
    let mut workshop = OsString::from(".");
    workshop.push(name);
    workshop.push(".unpacking");
    Ok(dir.with_file_name(workshop))
}

/// That nothing is there, or an empty directory.
fn is_free(dir: &Path) -> Result<(), UnpackError> {
    let found = match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found.during("look at", dir)?,
    };
    if !found.is_dir() {
        return Err(UnpackError::target(dir, "something else than a directory is there"));
    }
    match fs::read_dir(dir).during("list", dir)?.next() {
        None => Ok(()),
        Some(_) => Err(UnpackError::target(dir, "it is not empty")),
    }
}

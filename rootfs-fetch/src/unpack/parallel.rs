//! Layers for overlayfs, some at once.
//!
//! Most layers say everything of what they pass through, and so need nothing of the layers below. One that does not waits, at the entry where
//! that shows, until all layers below are whole. They are begun in their order, so the lowest that is not whole never waits, and
//! all come to an end. The root is what most layers say nothing of; there overlayfs shows that of the highest. So they get their names in their
//! order too, each with its root made like that of the layer below.

use std::collections::HashMap;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use super::snapshots::{Held, Snapshots};
use super::source::Source;
use super::workshop::{PATIENCE, Workshop, lock};
use super::{Progress, Unpack, UnpackError};
use crate::error::During;
use crate::layer::{Applied, Counts, LayerError, Overlay, ahead, root_as_below};
use crate::store::{How, Image, ImageLayer, Locked, Store};

/// More at once is more memory, and no faster.
const MOST: usize = 4;
/// How long a layer waits until it looks whether all was cancelled.
const PAUSE: Duration = Duration::from_millis(100);

/// What threads share.
struct Work<'a> {
    unpack: &'a Unpack<'a>,
    snapshots: &'a Snapshots,
    store: &'a Store,
    image: &'a Image,
    next: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Whole layers under their names, from the lowest on.
    held: Vec<Held>,
    /// What comes above those, by number.
    made: HashMap<usize, Made>,
    counts: Counts,
    /// The first thing that went wrong.
    error: Option<UnpackError>,
}

/// A layer that waits for its turn.
enum Made {
    /// It was there before.
    Before(Held),
    Now {
        workshop: Workshop,
        place: PathBuf,
        /// Whether it says what its root is like.
        has_root: bool,
    },
}

/// Holds the layers of an image, the lowest first, and makes those that are not there.
pub(super) fn layers(
    unpack: &Unpack<'_>,
    snapshots: &Snapshots,
    store: &Store,
    image: &Image,
) -> Result<(Vec<Held>, Counts), UnpackError> {
    let count = image.layers.len();
    let state = State { held: Vec::new(), made: HashMap::new(), counts: Counts::default(), error: None };
    let state = Mutex::new(state);
    let work = Work { unpack, snapshots, store, image, next: AtomicUsize::new(0), state, changed: Condvar::new() };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST).min(count);
    thread::scope(|scope| {
        for _ in 1..threads {
            // With fewer threads it takes longer.
            let _ = thread::Builder::new().spawn_scoped(scope, || work.run());
        }
        work.run();
    });
    let State { held, counts, error, .. } = work.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    match error {
        Some(error) => Err(error),
        None => Ok((held, counts)),
    }
}

impl State {
    /// Gives their names to those layers whose turn it is.
    fn settle(&mut self) -> Result<(), UnpackError> {
        while let Some(made) = self.made.remove(&self.held.len()) {
            let held = match made {
                Made::Before(held) => held,
                Made::Now { workshop, place, has_root } => {
                    if let (Some(below), false) = (self.held.last(), has_root) {
                        let like = root_as_below(&workshop.tree(), &below.tree);
                        like.map_err(io::Error::from).during("set the metadata of", &workshop.tree())?;
                    }
                    Held::new(&place, workshop.keep(&place)?)
                }
            };
            self.held.push(held);
        }
        Ok(())
    }
}

impl Work<'_> {
    fn run(&self) {
        while !self.given_up() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(layer) = self.image.layers.get(number) else { break };
            let made = self.hold_or_make(number, layer);
            let mut state = self.state();
            let settled = made.and_then(|(made, counts)| {
                state.counts.add(&counts);
                state.made.insert(number, made);
                state.settle()
            });
            if let Err(error) = settled {
                state.error.get_or_insert(error);
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    fn hold_or_make(&self, number: usize, layer: &ImageLayer) -> Result<(Made, Counts), UnpackError> {
        let place = self.snapshots.place(&layer.chain_id)?;
        let mut held = self.lock(&place)?;
        let mut made = None;
        if held.is_none() {
            let workshop = Workshop::open(self.snapshots.unpacking(&layer.chain_id)?, &|| self.given_up())?;
            // Another may have made it while this waited.
            held = self.lock(&place)?;
            if held.is_none() {
                let applied = self.make(number, layer, &workshop)?;
                let now = Made::Now { workshop, place: place.clone(), has_root: applied.has_root };
                made = Some((now, applied.counts));
            }
        }
        let before = held.map(|lock| (Made::Before(Held::new(&place, lock)), Counts::default()));
        let made = made.or(before).ok_or_else(|| UnpackError::target(&place, "it is gone again"))?;
        let size = layer.descriptor.size();
        self.unpack.tell(Progress { layer: number, read: size, size, done: true });
        Ok(made)
    }

    fn make(&self, number: usize, layer: &ImageLayer, workshop: &Workshop) -> Result<Applied, UnpackError> {
        let failed = |why| UnpackError::Layer { digest: layer.descriptor.digest().clone(), why };
        let given_up = || self.given_up();
        let kind = self.unpack.layer(layer);
        let source = Source::open(self.unpack, self.store, (number, layer), workshop, &given_up);
        let stream = source.map_err(LayerError::Read).and_then(|source| kind.stream(source)).map_err(failed)?;
        let below = || self.below(number, workshop);
        let overlay = Overlay::later(self.snapshots.xattrs(), below);
        let (feeder, ahead) = ahead();
        thread::scope(|scope| {
            // Gone before the scope ends, so that the other thread does not wait for it for ever.
            let mut ahead = ahead;
            let feed = move || feeder.feed(Ok(stream));
            thread::Builder::new().spawn_scoped(scope, feed).during("start a thread for", &workshop.tree())?;
            kind.apply_next(&mut ahead, &workshop.tree(), Some(overlay), &mut |_| {}).map_err(failed)
        })
    }

    /// Waits for the layers below one; tells them, the nearest first.
    fn below(&self, number: usize, workshop: &Workshop) -> Result<Vec<PathBuf>, Errno> {
        let mut state = self.state();
        loop {
            if let Some(below) = state.held.get(..number) {
                return Ok(below.iter().rev().map(|held| held.tree.clone()).collect());
            }
            if state.error.is_some() || self.unpack.is_cancelled() {
                return Err(Errno::CANCELED);
            }
            workshop.show_progress();
            state = self.changed.wait_timeout(state, PAUSE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Locks a layer that is whole; none where it is not there.
    fn lock(&self, place: &Path) -> Result<Option<Locked>, UnpackError> {
        lock(place, How::Shared, PATIENCE, &|| self.given_up())
    }

    fn given_up(&self) -> bool {
        self.unpack.is_cancelled() || self.state().error.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

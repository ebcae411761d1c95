//! Makes root file systems of the images in a store: one directory with everything in it ([`Unpack::flat`]), or one directory for each layer,
//! which overlayfs puts on top of each other, and which images share ([`Snapshots`]).
//!
//! ```no_run
//! use rootfs_fetch::image::here;
//! use rootfs_fetch::store::Store;
//! use rootfs_fetch::unpack::{Snapshots, Unpack};
//!
//! let store = Store::open("images")?;
//! let image = store.image(&store.resolve("busybox")?.ok_or("no such image")?, &here())?;
//! Unpack::new().flat(&store, &image, "/tmp/rootfs".as_ref())?;
//!
//! let snapshots = Snapshots::open("snapshots")?;
//! let taken = snapshots.take(&store, &image)?;
//! println!("the lowest layer is in {:?}", taken.directories()[0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Whatever goes wrong, and whoever is killed, a name has the whole or nothing: everything is made in another place
//! and renamed. Nothing is synced to the disk, since it can be made again of the store, which is.

mod error;
mod flat;
mod parallel;
mod snapshots;
mod source;
mod workshop;

pub use error::UnpackError;
pub use flat::Unpacked;
pub use snapshots::{Removed, Snapshots, Taken};

use crate::Cancel;
use crate::layer::{Layer, Limits};
use crate::store::{Image, ImageLayer, Store, StoreError};

/// How far a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which layer; the lowest is 0.
    pub layer: usize,
    /// How many bytes of its blob were read.
    pub read: u64,
    /// How many it has.
    pub size: u64,
    /// Whether all of it is there, or was there before.
    pub done: bool,
}

type Observer<'a> = dyn Fn(Progress) + Send + Sync + 'a;

/// How images are unpacked.
#[derive(Default)]
pub struct Unpack<'a> {
    limits: Limits,
    observer: Option<Box<Observer<'a>>>,
    cancel: Cancel,
}

impl<'a> Unpack<'a> {
    /// Within the usual limits, without telling anybody how far it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// Each layer within these limits.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Tells how far it is, about once in a million bytes of each layer. Several threads do.
    #[must_use]
    pub fn progress(self, observer: impl Fn(Progress) + Send + Sync + 'a) -> Self {
        Self { observer: Some(Box::new(observer)), ..self }
    }

    /// Ends with [`UnpackError::Cancelled`] soon after this was cancelled.
    #[must_use]
    pub fn cancel(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    fn tell(&self, progress: Progress) {
        if let Some(observer) = &self.observer {
            observer(progress);
        }
    }

    fn layer(&self, layer: &ImageLayer) -> Layer {
        let kind = layer.descriptor.media_type().clone();
        Layer::new(kind).diff_id(layer.diff_id.clone()).limits(self.limits)
    }
}

/// That all layers are there, before anything is made of the first. They are spared then by [`Store::gc`].
fn complete(store: &Store, image: &Image) -> Result<(), StoreError> {
    let mut digests = image.layers.iter().map(|layer| layer.descriptor.digest());
    digests.find(|digest| !store.has(digest)).map_or(Ok(()), |absent| Err(StoreError::NoBlob(absent.clone())))
}

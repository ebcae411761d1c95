//! Images move: from a registry into a store, from a store into a registry, and from store to store.
//!
//! ```no_run
//! use std::sync::Arc;
//! use rootfs_fetch::client::{Client, Options};
//! use rootfs_fetch::store::Store;
//! use rootfs_fetch::transfer::{Event, Transfer};
//!
//! let (client, store) = (Client::new(Options::from_environment())?, Store::open("/tmp/images")?);
//! let transfer = Transfer::new().jobs(4).progress(Arc::new(|event: &Event| println!("{event:?}")));
//! let pulled = transfer.pull(&client, &"localhost:5000/busybox:latest".parse()?, &store, "busybox")?;
//! println!("{} bytes came", pulled.moved.bytes);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Documents lead to configs and layers, so they come first; configs tell whether the layers fit, so they come next; the name comes last,
//! when everything it reaches is in the store. What was broken off goes on with the byte where it stopped, also in another process.
//! Blobs are streamed and never kept in memory; every size and count that others announce has a bound.

mod documents;
mod error;
mod origin;
mod progress;
mod pull;
mod push;
mod referrers;
mod run;

use std::fmt;
use std::sync::Arc;

pub use error::{TransferError, Trouble};
pub use progress::{Event, Item, Kind, Progress, There};

use crate::Cancel;
use crate::client::Client;
use crate::image::{Descriptor, Digest, Platform, Reference, here};
use crate::store::Store;
use origin::Origin;
use push::Push;

/// How many blobs are moved at once, unless told otherwise; and at most.
const JOBS: usize = 3;
const MAX_JOBS: usize = 16;
/// How many bytes of blobs an image may have that the store has not, unless told otherwise.
const LIMIT: u64 = 20 << 30;

/// Which manifests of an index are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platforms {
    /// The one for this platform. It has to be that of an image: with layers that are file trees.
    One(Platform),
    /// All of them, whatever they are of, and the index.
    All,
}

/// How images are moved.
#[derive(Clone)]
pub struct Transfer {
    platforms: Platforms,
    jobs: usize,
    limit: u64,
    mount_from: Vec<String>,
    progress: Option<Arc<dyn Progress>>,
    cancel: Cancel,
}

/// What came into a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pulled {
    /// The document that has the name now.
    pub descriptor: Descriptor,
    /// The index of which it was chosen, which is not in the store. None where there was none, or where all of it was wanted.
    pub index: Option<Digest>,
    /// What had to be moved for that.
    pub moved: Moved,
}

/// What a registry has now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pushed {
    /// The document that was put under the reference.
    pub descriptor: Descriptor,
    /// What had to be moved for that.
    pub moved: Moved,
    /// How many documents that are about another, their subject, had to be listed under its tag: the registry does not list them by itself.
    pub referrers: usize,
}

/// Configs and layers, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moved {
    /// How many were moved, or what was missing of them.
    pub blobs: usize,
    /// How many bytes were moved, those counted again that had to be sent again.
    pub bytes: u64,
    /// How many were there already.
    pub there: usize,
    /// How many the registry took from another of its repositories.
    pub mounted: usize,
}

impl Default for Transfer {
    fn default() -> Self {
        Self {
            platforms: Platforms::One(here()),
            jobs: JOBS,
            limit: LIMIT,
            mount_from: Vec::new(),
            progress: None,
            cancel: Cancel::default(),
        }
    }
}

impl Transfer {
    /// Takes the manifest for this machine's platform, three blobs at once and at most 20 GiB.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets which manifests of an index are taken.
    #[must_use]
    pub fn platforms(self, platforms: Platforms) -> Self {
        Self { platforms, ..self }
    }

    /// Sets how many blobs are moved at once: from 1 to 16.
    #[must_use]
    pub fn jobs(self, jobs: usize) -> Self {
        Self { jobs: jobs.clamp(1, MAX_JOBS), ..self }
    }

    /// Sets how many bytes of blobs may come into a store at once; what announces more is refused before any of them comes.
    #[must_use]
    pub fn limit(self, bytes: u64) -> Self {
        Self { limit: bytes, ..self }
    }

    /// Sets of which other repositories of a registry a blob is asked for before it is pushed (distribution-spec, "Mounting a blob from
    /// another repository"): `library/busybox`.
    #[must_use]
    pub fn mount_from(self, repositories: Vec<String>) -> Self {
        Self { mount_from: repositories, ..self }
    }

    /// Sets who is told how it goes on.
    #[must_use]
    pub fn progress(self, progress: Arc<dyn Progress>) -> Self {
        Self { progress: Some(progress), ..self }
    }

    /// Sets by what it can be stopped.
    #[must_use]
    pub fn cancel(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }

    /// Pulls an image from a registry into a store, and names it there. Blobs that the store has are not asked for. Where another process
    /// pulls one of them just now, it is waited for, for as long as the store's [patience](Store::patience) says.
    ///
    /// Of an index, the manifest for the platform gets the name, and the index does not come: a layout that has one has to have all of its
    /// manifests. With [`Platforms::All`] it does come, and gets the name.
    ///
    /// # Errors
    /// [`TransferError`]. What has come by then stays in the store without a name; blobs that are not whole go on with the next pull.
    pub fn pull(&self, client: &Client, from: &Reference, store: &Store, name: &str) -> Result<Pulled, TransferError> {
        self.take(&Origin::Registry(client, from), store, name)
    }

    /// Copies an image from one store into another, by the same rules as [`Transfer::pull`].
    ///
    /// # Errors
    /// As [`Transfer::pull`].
    pub fn copy(&self, from: &Store, descriptor: &Descriptor, to: &Store, name: &str) -> Result<Pulled, TransferError> {
        self.take(&Origin::Store(from, descriptor), to, name)
    }

    /// Pushes an image of a store into a registry, under the tag of a reference, else under its digest. Of an index, only the manifest for
    /// the platform is pushed, unless all are wanted. Blobs that the repository has are not sent, and layers with `urls` stay here.
    ///
    /// # Errors
    /// [`TransferError`]. The registry keeps the blobs that were whole by then; the tag comes last.
    pub fn push(
        &self,
        client: &Client,
        store: &Store,
        descriptor: &Descriptor,
        to: &Reference,
    ) -> Result<Pushed, TransferError> {
        Push::new(self, client, store, to).run(descriptor)
    }

    /// An error where it was cancelled.
    fn go_on(&self) -> Result<(), Trouble> {
        if self.cancel.is_cancelled() { Err(Trouble::Cancelled) } else { Ok(()) }
    }
}

impl fmt::Debug for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { platforms, jobs, limit, mount_from, progress, cancel } = self;
        let mut shown = f.debug_struct("Transfer");
        shown.field("platforms", platforms).field("jobs", jobs).field("limit", limit).field("mount_from", mount_from);
        shown.field("progress", &progress.is_some()).field("cancel", cancel).finish()
    }
}

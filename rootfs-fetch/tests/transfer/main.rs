//! Images on their way between registries and stores, whatever happens to them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rootfs_fetch::client::{Client, Options, Retry, Timeouts};
use rootfs_fetch::image::{Descriptor, Document, digest_of};
use rootfs_fetch::store::Store;
use rootfs_fetch::transfer::{Event, Pulled, Transfer, TransferError};
use tempfile::TempDir;

mod debian;
#[path = "../lab/mod.rs"]
mod lab;
mod processes;
mod pull;
mod push;
mod registry;
#[path = "../support/server.rs"]
mod server;
#[path = "../support/mod.rs"]
mod support;
mod trouble;

use registry::{Image, Registry};
use server::Request;

const DEADLINE: Duration = Duration::from_secs(60);

/// Options that wait for little, and for long where a slow machine is no failure.
fn options() -> Options {
    let long = Duration::from_secs(20);
    Options {
        timeouts: Timeouts { connect: long, head: long, stall: long },
        retry: Retry { count: 3, first: Duration::from_millis(1), longest: Duration::from_millis(20) },
        ..Options::default()
    }
}

/// One that tries nothing again.
fn hasty() -> Client {
    Client::new(Options { retry: Retry { count: 0, ..options().retry }, ..options() }).expect("a client")
}

fn client() -> Client {
    Client::new(options()).expect("a client")
}

/// A place with a store.
struct Place {
    store: Store,
    _directory: Option<TempDir>,
}

impl Place {
    fn new() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let store = Store::open(directory.path().join("store")).expect("a store");
        Self { store, _directory: Some(directory) }
    }

    fn at(root: &Path) -> Self {
        Self { store: Store::open(root).expect("a store"), _directory: None }
    }

    /// With this image, without a name.
    fn with(image: &Image) -> Self {
        Self::new().and(image)
    }

    fn and(self, image: &Image) -> Self {
        for blob in image.layers.iter().chain([&image.config, &image.manifest]) {
            self.store.add(blob).expect("space");
        }
        self
    }

    fn pull(&self, registry: &Registry, tag: &str) -> Result<Pulled, TransferError> {
        Transfer::new().pull(&client(), &registry.tag(tag), &self.store, "name")
    }

    /// What has come of a blob that is not whole.
    fn partial(&self, bytes: &[u8]) -> PathBuf {
        self.store.root().join(format!(".rootfs-fetch/partial/sha256-{}", digest_of(bytes).digest()))
    }

    /// Checks that the store is sound, and that the name reaches all of this image.
    fn has(&self, image: &Image) {
        assert_eq!(faults(&self.store), Vec::<String>::new());
        let named = self.store.resolve("name").expect("an index").expect("a name");
        assert_eq!(*named.digest(), digest_of(&image.manifest));
        let (bytes, Document::Manifest(_)) = self.store.document(named.digest()).expect("a manifest") else { panic!() };
        assert_eq!(bytes, image.manifest);
        for blob in image.layers.iter().chain([&image.config]) {
            assert_eq!(self.store.size(&digest_of(blob)), Some(blob.len() as u64));
        }
    }

    /// Checks that the store is sound, and has no name.
    fn has_no_name(&self) {
        assert_eq!(faults(&self.store), Vec::<String>::new());
        assert_eq!(self.store.names().expect("an index"), Vec::<(String, Descriptor)>::new());
    }
}

fn faults(store: &Store) -> Vec<String> {
    store.verify().iter().map(ToString::to_string).collect()
}

/// A transfer, and what it tells.
fn watched() -> (Transfer, Arc<Mutex<Vec<Event>>>) {
    let events: Arc<Mutex<Vec<Event>>> = Arc::default();
    let theirs = Arc::clone(&events);
    let tell = move |event: &Event| theirs.lock().expect("no panic").push(event.clone());
    (Transfer::new().progress(Arc::new(tell)), events)
}

/// Whether a request is for the bytes of this blob.
fn asks_for(request: &Request, blob: &[u8]) -> bool {
    request.method == "GET" && request.target.ends_with(&digest_of(blob).to_string())
}

fn once(count: &AtomicUsize) -> bool {
    count.fetch_add(1, Ordering::SeqCst) == 0
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

//! The client of registries against servers that answer what each test says, and go wrong where it says.

#[path = "client/auth.rs"]
mod auth;
#[path = "client/fetch.rs"]
mod fetch;
mod lab;
#[path = "client/push.rs"]
mod push;
#[path = "support/server.rs"]
mod server;
mod support;
#[path = "client/tls.rs"]
mod tls;
#[path = "client/trouble.rs"]
mod trouble;

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rootfs_fetch::client::{Client, ClientError, Exchange, Options, Retry, Timeouts};
use rootfs_fetch::image::{Descriptor, MediaType, Reference, Verified, digest_of};
use server::Server;

/// Small and prime, so that no chunk ends where it does.
const BLOB: &[u8] = b"A blob of fifty-three bytes, each of them at a place.";
const MANIFEST: &[u8] = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#;
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Options that wait for little, and for long where a slow machine is no failure.
fn options() -> Options {
    Options {
        timeouts: Timeouts {
            connect: Duration::from_secs(20),
            head: Duration::from_secs(20),
            stall: Duration::from_secs(20),
        },
        retry: Retry { count: 3, first: Duration::from_millis(1), longest: Duration::from_millis(20) },
        ..Options::default()
    }
}

fn client() -> Client {
    Client::new(options()).expect("a client")
}

/// Options that keep what an observer is told.
fn observed(options: Options) -> (Options, Arc<Mutex<Vec<Exchange>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&seen);
    let observer = move |exchange: &Exchange| theirs.lock().expect("no panic").push(exchange.clone());
    (Options { observer: Some(Arc::new(observer)), ..options }, seen)
}

/// `HOST/team/app:v1`.
fn reference(server: &Server) -> Reference {
    format!("{}/team/app:v1", server.host()).parse().expect("a reference")
}

fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor::new(MediaType::ImageLayer, bytes.len() as u64, digest_of(bytes))
}

/// Fetches a blob whole and verifies it.
fn fetched(client: &Client, server: &Server, bytes: &[u8]) -> Result<Vec<u8>, ClientError> {
    let descriptor = descriptor(bytes);
    let blob = client.blob(&reference(server), &descriptor, 0)?;
    let mut out = Vec::new();
    let mut verified = Verified::new(blob, descriptor.digest(), descriptor.size()).expect("a known algorithm");
    match verified.read_to_end(&mut out) {
        Ok(_) => Ok(out),
        Err(error) => Err(error.downcast().expect("an error of the client")),
    }
}

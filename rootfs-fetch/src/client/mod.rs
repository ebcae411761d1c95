//! A client of registries: the OCI distribution specification 1.1, and Docker's registry API V2, which it grew from.
//!
//! ```no_run
//! use std::io::Read;
//! use rootfs_fetch::client::{Client, Exchange, Options};
//! use rootfs_fetch::image::{Document, Verified};
//!
//! let show = |exchange: &Exchange| println!("{} {} {:?}", exchange.method, exchange.url, exchange.status);
//! let client = Client::new(Options { observer: Some(std::sync::Arc::new(show)), ..Options::from_environment() })?;
//! let reference = "localhost:5000/busybox:latest".parse()?;
//! let fetched = client.manifest(&reference)?;
//! if let Document::Manifest(manifest) = Document::read(&fetched.bytes, fetched.media_type.as_deref())? {
//!     let config = manifest.config();
//!     let blob = client.blob(&reference, config, 0)?;
//!     let mut text = String::new();
//!     Verified::new(blob, config.digest(), config.size())?.read_to_string(&mut text)?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each request is made here, so that each can be seen ([`Observer`]): redirects, challenges, tokens and retries are not hidden in a
//! library, which only speaks HTTP and TLS. Registries are not trusted: every size, count and wait has a bound, credentials go to one
//! origin only, and nothing of them is shown. Bodies are streamed, never kept, but for documents of bounded size.
//!
//! Threads may share a [`Client`]: its connections and tokens serve all of them.

mod auth;
mod blob;
pub mod challenge;
mod credentials;
mod error;
mod exchange;
mod link;
mod list;
mod manifest;
mod options;
mod place;
mod push;
mod send;
mod source;
mod transport;
mod upload;
mod url;

use std::fmt;

use ureq::http::{Method, StatusCode};

pub use blob::Blob;
pub use credentials::{Credentials, Secret};
pub use error::{ClientError, Refusal};
pub use exchange::{Exchange, Observer};
pub(crate) use list::tag_of;
pub use manifest::{Fetched, Head};
pub use options::{Options, Proxies, Retry, Timeouts};
pub use push::Pushed;
pub use source::Source;

use auth::Kept;
use send::{Ask, expected};
use source::Payload;
use transport::Transport;

/// Asks registries.
pub struct Client {
    options: Options,
    transport: Transport,
    kept: Kept,
}

impl Client {
    /// Makes a client. Nobody is asked yet.
    ///
    /// # Errors
    /// [`ClientError::Option`]: a file of certificates can not be read, or a proxy or the user agent is none.
    pub fn new(options: Options) -> Result<Self, ClientError> {
        let transport = Transport::new(&options)?;
        Ok(Self { options, transport, kept: Kept::default() })
    }

    /// Asks whether a host, with its port where it has one, is a registry, and lets this client in: `GET /v2/`.
    ///
    /// # Errors
    /// Any; [`Refusal::Unauthorized`] where it is a registry that wants other credentials.
    pub fn ping(&self, registry: &str) -> Result<(), ClientError> {
        let place = self.registry(registry)?;
        let mut ask = Ask::new(Method::GET, place.root()?, place.scope(""), Payload::Nothing);
        expected(self.send(&mut ask)?, StatusCode::OK).map(transport::Answer::skip_body)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.options).finish_non_exhaustive()
    }
}

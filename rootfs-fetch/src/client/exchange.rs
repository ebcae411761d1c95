//! What can be seen of each exchange of a request and its answer, without anything secret.

use std::time::Duration;

use ureq::http::{HeaderMap, HeaderValue, header};

use super::error::quoted;
use super::url::Url;

/// Of an answer's headers those that say something about the protocol.
const THAT_MATTER: [&str; 17] = [
    "accept-ranges",
    "content-length",
    "content-range",
    "content-type",
    "docker-content-digest",
    "docker-distribution-api-version",
    "docker-upload-uuid",
    "link",
    "location",
    "oci-chunk-min-length",
    "oci-filters-applied",
    "oci-subject",
    "range",
    "ratelimit-limit",
    "ratelimit-remaining",
    "retry-after",
    "www-authenticate",
];

/// A request and what came of it. It is told when the last byte of the answer was read, or when nobody wants the rest.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exchange {
    /// GET, HEAD, POST, PATCH, PUT or DELETE.
    pub method: String,
    /// The URL, without the values of parameters that could be secrets.
    pub url: String,
    /// The request's headers, but for Host; of Authorization only the scheme.
    pub request_headers: Vec<(String, String)>,
    /// How many bytes of a body were sent.
    pub sent: u64,
    /// The answer's status; none where no answer came.
    pub status: Option<u16>,
    /// Those of the answer's headers that say something about the protocol.
    pub response_headers: Vec<(String, String)>,
    /// How many bytes of the answer's body were read.
    pub received: u64,
    /// From the first attempt to connect to the last byte that was read.
    pub duration: Duration,
    /// Why no answer came, or why it ended early.
    pub failure: Option<String>,
}

/// Whoever wants to see the exchanges. It is told by the thread that has made the request, and holds that up.
pub trait Observer: Send + Sync {
    /// An exchange is over.
    fn exchange(&self, exchange: &Exchange);
}

impl<F: Fn(&Exchange) + Send + Sync> Observer for F {
    fn exchange(&self, exchange: &Exchange) {
        self(exchange);
    }
}

/// A request's headers, as they may be shown.
pub(super) fn of_request(headers: &HeaderMap) -> Vec<(String, String)> {
    let shown = headers.iter().map(|(name, value)| {
        let value = if name == header::AUTHORIZATION { scheme(value) } else { quoted(value.as_bytes()) };
        (name.as_str().to_owned(), value)
    });
    shown.collect()
}

/// An answer's headers, as they may be shown. `from` is where it came from.
pub(super) fn of_response(headers: &HeaderMap, from: &Url) -> Vec<(String, String)> {
    let matter = headers.iter().filter(|(name, _)| THAT_MATTER.contains(&name.as_str()));
    let shown = matter.map(|(name, value)| {
        let value = match value.to_str().map(|text| from.join(text)) {
            Ok(Ok(url)) if name == header::LOCATION => url.to_string(),
            _ if name == header::LOCATION => "…".to_owned(),
            _ => quoted(value.as_bytes()),
        };
        (name.as_str().to_owned(), value)
    });
    shown.collect()
}

fn scheme(value: &HeaderValue) -> String {
    let scheme = value.to_str().ok().and_then(|text| text.split(' ').next()).unwrap_or_default();
    format!("{scheme} …")
}

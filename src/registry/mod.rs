//! The embedded registry: the end points of the OCI distribution specification 1.1 over one image layout on disk.
//!
//! A tag of a repository is a name in the layout's `index.json`, `REPOSITORY:TAG`, and a manifest that was pushed by its digest is
//! `REPOSITORY@DIGEST`, so that whoever reads the layout sees what the registry serves, and nothing is kept twice. A blob is one file, but is only seen in the
//! repositories that have it: another one mounts it without a byte moved.

mod answer;
mod auth;
mod incoming;
mod known;
mod manifests;
mod place;
mod trouble;
mod uploads;

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rootfs_fetch::store::Store;
use serde_json::json;
use tokio::net::TcpListener;

use self::auth::Access;
pub use self::auth::{Account, Doorkeeper, Scheme};
use self::incoming::Incoming;
use self::known::Known;
use self::place::{Name, Place};
use self::trouble::Trouble;

/// What a handler comes to.
type Answer = Result<Response, Trouble>;

/// The digest of what is sent or was taken: every end point that has one tells it.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// How much a registry takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest blob, in bytes.
    pub upload: u64,
    /// How many uploads there may be that have neither ended nor been given up.
    pub uploads: usize,
    /// For how long a client may send nothing in the middle of a body.
    pub silence: Duration,
}

impl Default for Limits {
    /// Blobs of 16 GiB, 1000 uploads, and a minute.
    fn default() -> Self {
        Self { upload: 16 << 30, uploads: 1000, silence: Duration::from_secs(60) }
    }
}

/// A registry: what it serves, and whom.
#[derive(Debug)]
pub struct Registry {
    known: Known,
    doorkeeper: Doorkeeper,
    limits: Limits,
    /// Whether a manifest is only given to who accepts its type.
    strict: bool,
    /// For one who counts the uploads, to begin one more.
    beginning: Mutex<()>,
}

impl Registry {
    /// One that serves this store.
    pub fn new(store: Store, doorkeeper: Doorkeeper, limits: Limits) -> Self {
        Self { known: Known::new(store), doorkeeper, limits, strict: false, beginning: Mutex::default() }
    }

    /// The same, that answers 404 where a client asks for a manifest and does not accept its type: the specification allows it, and some
    /// of the large registries do so.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }
}

/// Serves on this socket until `until` is ready, and then lets what has begun come to its end.
///
/// # Errors
/// Those of accept(2).
pub async fn serve(
    listener: TcpListener,
    registry: Registry,
    until: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new().fallback(handle).with_state(Arc::new(registry));
    axum::serve(listener, router).with_graceful_shutdown(until).await
}

/// Answers one request; of what answers HEAD, hyper leaves the body out and tells its length.
async fn handle(State(registry): State<Arc<Registry>>, request: Request) -> Response {
    let mut response = route(&registry, request).await.unwrap_or_else(Trouble::into_response);
    // What old clients of Docker ask for before they go on.
    response.headers_mut().insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
    response
}

/// Finds out what a request names, whether that is allowed, and who answers.
async fn route(registry: &Arc<Registry>, request: Request) -> Answer {
    let place: Place = request.uri().path().parse()?;
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    if place == Place::Token {
        let token = registry.doorkeeper.token(request.headers(), parameters(request.uri(), "scope"))?;
        return Ok(axum::Json(token).into_response());
    }
    if let Err(refused) = registry.doorkeeper.admit(request.headers(), &wanted(&request, &place), host) {
        Incoming::new(request.into_body(), registry.limits.silence).refuse().await;
        return Err(refused);
    }
    let registry = Arc::clone(registry);
    match (request.method().clone(), place) {
        (Method::GET | Method::HEAD, Place::Root) => Ok(axum::Json(json!({})).into_response()),
        (Method::GET | Method::HEAD, Place::Blob(name, digest)) => answer::blob(registry, request, name, digest).await,
        (Method::DELETE, Place::Blob(name, digest)) => answer::delete_blob(registry, name, digest).await,
        (Method::GET | Method::HEAD, Place::Manifest(name, which)) => {
            manifests::get(registry, accepted(request.headers()), name, which).await
        }
        (Method::PUT, Place::Manifest(name, which)) => manifests::put(registry, request, name, which).await,
        (Method::DELETE, Place::Manifest(name, which)) => manifests::delete(registry, name, which).await,
        (Method::GET, Place::Referrers(name, digest)) => {
            let kind = parameter(request.uri(), "artifactType");
            manifests::referrers(registry, name, digest, kind).await
        }
        (Method::GET, Place::Tags(name)) => answer::tags(registry, request.uri().clone(), name).await,
        (Method::GET, Place::Catalog) => answer::catalog(registry, request.uri().clone()).await,
        (Method::POST, Place::Uploads(name)) => uploads::begin(registry, request, name).await,
        (Method::GET, Place::Upload(name, id)) => uploads::status(registry, name, id).await,
        (Method::PATCH, Place::Upload(name, id)) => uploads::append(registry, request, name, id).await,
        (Method::PUT, Place::Upload(name, id)) => uploads::finish(registry, request, name, id).await,
        (Method::DELETE, Place::Upload(_, id)) => uploads::cancel(registry, id).await,
        (method, _) => {
            let message = format!("{method} is nothing that can be done there");
            Err(Trouble::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message))
        }
    }
}

/// The types that a client can read, where it says so (RFC 9110, section 12.5.1). Its preferences are left out: there is no choice.
fn accepted(headers: &HeaderMap) -> Vec<String> {
    let texts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds = texts.flat_map(|text| text.split(',')).filter_map(|kind| kind.split(';').next());
    kinds.map(|kind| kind.trim().to_ascii_lowercase()).collect()
}

/// What a request wants of which repositories: of its own, and of the one that it mounts a blob from.
fn wanted(request: &Request, place: &Place) -> Vec<(Name, Access)> {
    let access = match *request.method() {
        Method::GET | Method::HEAD => Access::Pull,
        Method::DELETE => Access::Delete,
        _ => Access::Push,
    };
    let own = place.repository().map(|name| (name.clone(), access));
    let from = matches!(place, Place::Uploads(_)).then(|| uploads::mounted_from(request.uri())).flatten();
    own.into_iter().chain(from.map(|name| (name, Access::Pull))).collect()
}

/// Does what waits for a disk on a thread that may wait.
async fn blocking<T: Send + 'static>(
    registry: Arc<Registry>,
    deed: impl FnOnce(&Registry) -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(move || deed(&registry)).await.map_err(Trouble::own)?
}

/// The first value that a query has for this parameter.
fn parameter(uri: &Uri, name: &str) -> Option<String> {
    parameters(uri, name).next()
}

/// All of them, in their order.
fn parameters<'a>(uri: &'a Uri, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.filter(move |(key, _)| key == name).map(|(_, value)| value.into_owned())
}

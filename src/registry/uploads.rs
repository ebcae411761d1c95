//! Uploads of blobs: whole, in chunks, gone on with after a cut, or none at all, where another repository has the blob already
//! (distribution-spec 1.1, "Pushing blobs").

use std::sync::{Arc, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rootfs_fetch::image::Digest;
use rootfs_fetch::store::{GRACE, Upload};
use tokio::sync::mpsc;

use super::incoming::Incoming;
use super::place::Name;
use super::trouble::Trouble;
use super::{Answer, CONTENT_DIGEST, Registry, blocking, parameter};

/// The id of an upload, for clients that do not take it from its location.
const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// How many pieces of a body may wait for the disk: with what a socket holds, some hundred kilobytes.
const PIECES_IN_FLIGHT: usize = 8;

/// end-4, end-11: begins an upload; or ends it at once, where the blob came along, or is here.
pub(super) async fn begin(registry: Arc<Registry>, request: Request, name: Name) -> Answer {
    if let Some(digest) = parameter(request.uri(), "mount").and_then(|text| text.parse::<Digest>().ok()) {
        let (from, wanted, of) = (mounted_from(request.uri()), digest.clone(), name.clone());
        if blocking(Arc::clone(&registry), move |registry| registry.mount(&of, from, &wanted)).await? {
            return Ok(created(&name, &digest));
        }
    }
    let digest = parameter(request.uri(), "digest").map(|text| parsed(&text)).transpose()?;
    let upload = blocking(Arc::clone(&registry), Registry::begin).await?;
    let Some(digest) = digest else { return Ok(accepted(&name, &upload, StatusCode::ACCEPTED)) };
    let id = upload.id().to_owned();
    match receive(&registry, request.into_body(), upload).await {
        Ok(upload) => end(registry, upload, name, digest).await,
        Err(error) => {
            // Nobody has been told its id, to go on with it. It may be gone already.
            let _ = blocking(registry, move |registry| Ok(registry.open(&id)?.cancel()?)).await;
            Err(error)
        }
    }
}

/// The repository that a blob is to be mounted from.
pub(super) fn mounted_from(uri: &Uri) -> Option<Name> {
    parameter(uri, "mount")?;
    parameter(uri, "from")?.parse().ok()
}

/// end-13: how much of it is here.
pub(super) async fn status(registry: Arc<Registry>, name: Name, id: String) -> Answer {
    blocking(registry, move |registry| {
        let upload = registry.open(&id)?;
        Ok(accepted(&name, &upload, StatusCode::NO_CONTENT))
    })
    .await
}

/// end-5: a chunk, which has to follow on what is here.
pub(super) async fn append(registry: Arc<Registry>, request: Request, name: Name, id: String) -> Answer {
    let upload = blocking(Arc::clone(&registry), move |registry| registry.open(&id)).await?;
    follows(request.headers(), &upload)?;
    let upload = receive(&registry, request.into_body(), upload).await?;
    Ok(accepted(&name, &upload, StatusCode::ACCEPTED))
}

/// end-6: the last chunk, which may be empty, and the digest of all.
pub(super) async fn finish(registry: Arc<Registry>, request: Request, name: Name, id: String) -> Answer {
    let text = parameter(request.uri(), "digest")
        .ok_or_else(|| Trouble::digest_invalid("an upload ends with ?digest=, the digest of all its bytes"))?;
    let digest = parsed(&text)?;
    let upload = blocking(Arc::clone(&registry), move |registry| registry.open(&id)).await?;
    follows(request.headers(), &upload)?;
    let upload = receive(&registry, request.into_body(), upload).await?;
    end(registry, upload, name, digest).await
}

/// Gives an upload up.
pub(super) async fn cancel(registry: Arc<Registry>, id: String) -> Answer {
    blocking(registry, move |registry| {
        registry.open(&id)?.cancel()?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

impl Registry {
    fn open(&self, id: &str) -> Result<Upload, Trouble> {
        Ok(Upload::open(&self.known.store, id)?)
    }

    /// One upload more, where there are not too many. Those that nobody goes on with make room after a day.
    fn begin(&self) -> Result<Upload, Trouble> {
        let _one = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        let store = &self.known.store;
        let most = self.limits.uploads;
        if store.uploads()?.len() >= most && store.expire_uploads(GRACE)? >= most {
            let message = format!("{most} uploads have begun and not ended");
            return Err(Trouble::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message));
        }
        Ok(store.upload()?)
    }

    /// Whether a repository has a blob now that another one has; that may be any one where nobody is kept from reading any.
    fn mount(&self, name: &Name, from: Option<Name>, digest: &Digest) -> Result<bool, Trouble> {
        let store = &self.known.store;
        let is_there = match from {
            Some(from) => self.known.size(&from, digest)?.is_some(),
            None => self.doorkeeper.sees_all() && store.has(digest),
        };
        if is_there {
            store.link(name.as_str(), digest)?;
        }
        Ok(is_there)
    }
}

/// Writes a body behind what an upload has. The bytes wait for the disk, and the client for the bytes.
async fn receive(registry: &Registry, body: Body, mut upload: Upload) -> Result<Upload, Trouble> {
    let limit = registry.limits.upload;
    let (pieces, mut waiting) = mpsc::channel::<Bytes>(PIECES_IN_FLIGHT);
    let writer = tokio::task::spawn_blocking(move || {
        while let Some(piece) = waiting.blocking_recv() {
            if upload.position() + piece.len() as u64 > limit {
                upload.cancel()?;
                return Err(Trouble::too_large(limit));
            }
            upload.append(&piece)?;
        }
        Ok(upload)
    });
    let mut body = Incoming::new(body, registry.limits.silence);
    let cut = loop {
        match body.piece().await {
            Ok(Some(piece)) => {
                if pieces.send(piece).await.is_err() {
                    // The writer has ended, and says why.
                    break None;
                }
            }
            Ok(None) => break None,
            Err(cut) => break Some(cut),
        }
    };
    drop(pieces);
    let written = writer.await.map_err(Trouble::own)?;
    cut.map_or(written, Err)
}

async fn end(registry: Arc<Registry>, upload: Upload, name: Name, digest: Digest) -> Answer {
    blocking(registry, move |registry| {
        upload.finish(&digest)?;
        registry.known.store.link(name.as_str(), &digest)?;
        Ok(created(&name, &digest))
    })
    .await
}

/// Whether a chunk begins where the last one ended: `Content-Range: FIRST-LAST`, without a unit.
fn follows(headers: &HeaderMap, upload: &Upload) -> Result<(), Trouble> {
    let Some(range) = headers.get(header::CONTENT_RANGE) else { return Ok(()) };
    let first =
        range.to_str().ok().and_then(|text| text.split_once('-')).and_then(|(first, _)| first.parse::<u64>().ok());
    match first {
        Some(first) if upload.position() == first => Ok(()),
        _ => Err(Trouble::out_of_order(upload.position())),
    }
}

fn parsed(text: &str) -> Result<Digest, Trouble> {
    text.parse().map_err(|_| Trouble::digest_invalid(format!("{text} is no digest that is known here")))
}

fn created(name: &Name, digest: &Digest) -> Response {
    let place = format!("/v2/{}/blobs/{digest}", name.as_str());
    (StatusCode::CREATED, [(header::LOCATION, place), (CONTENT_DIGEST, digest.to_string())]).into_response()
}

fn accepted(name: &Name, upload: &Upload, status: StatusCode) -> Response {
    let headers = [
        (header::LOCATION, format!("/v2/{}/blobs/uploads/{}", name.as_str(), upload.id())),
        // The last byte that is here; before the first one there is no way to say so but this.
        (header::RANGE, format!("0-{}", upload.position().saturating_sub(1))),
        (UPLOAD_UUID, upload.id().to_owned()),
    ];
    (status, headers).into_response()
}

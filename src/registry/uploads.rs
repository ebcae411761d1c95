//! Uploads of blobs: whole, in chunks, gone on with after a cut, or none at all, where another repository has the blob already
//! (distribution-spec 1.1, "Pushing blobs").

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use rootfs_fetch::image::Digest;
use rootfs_fetch::store::Upload;
use tokio::sync::mpsc;

use super::place::Name;
use super::trouble::Trouble;
use super::{Answer, CONTENT_DIGEST, Registry, blocking, parameter};

/// The id of an upload, for clients that do not take it from its location.
const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// How many pieces of a body may wait for the disk: with what a socket holds, some hundred kilobytes.
const PIECES_IN_FLIGHT: usize = 8;

/// end-4, end-11: begins an upload; or ends it at once, where the blob came along, or is here.
pub(super) async fn begin(registry: Arc<Registry>, request: Request, name: Name) -> Answer {
    let (mount, digest) = (parameter(request.uri(), "mount"), parameter(request.uri(), "digest"));
    if let Some(digest) = mount.and_then(|text| text.parse::<Digest>().ok()) {
        let (wanted, of) = (digest.clone(), name.clone());
        if blocking(Arc::clone(&registry), move |registry| Ok(registry.store.has(&wanted))).await? {
            return Ok(created(&of, &digest));
        }
    }
    let upload = blocking(Arc::clone(&registry), |registry| Ok(registry.store.upload()?)).await?;
    match digest {
        Some(text) => {
            let digest = parsed(&text)?;
            let upload = receive(request.into_body(), upload).await?;
            end(registry, upload, name, digest).await
        }
        None => Ok(accepted(&name, &upload, StatusCode::ACCEPTED)),
    }
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
    let upload = blocking(registry, move |registry| registry.open(&id)).await?;
    follows(request.headers(), &upload)?;
    let upload = receive(request.into_body(), upload).await?;
    Ok(accepted(&name, &upload, StatusCode::ACCEPTED))
}

/// end-6: the last chunk, which may be empty, and the digest of all.
pub(super) async fn finish(registry: Arc<Registry>, request: Request, name: Name, id: String) -> Answer {
    let text = parameter(request.uri(), "digest")
        .ok_or_else(|| Trouble::digest_invalid("an upload ends with ?digest=, the digest of all its bytes"))?;
    let digest = parsed(&text)?;
    let upload = blocking(Arc::clone(&registry), move |registry| registry.open(&id)).await?;
    follows(request.headers(), &upload)?;
    let upload = receive(request.into_body(), upload).await?;
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
        Ok(Upload::open(&self.store, id)?)
    }
}

/// Writes a body behind what an upload has. The bytes wait for the disk, and the client for the bytes.
async fn receive(body: Body, mut upload: Upload) -> Result<Upload, Trouble> {
    let (pieces, mut waiting) = mpsc::channel::<axum::body::Bytes>(PIECES_IN_FLIGHT);
    let writer = tokio::task::spawn_blocking(move || {
        while let Some(piece) = waiting.blocking_recv() {
            upload.append(&piece)?;
        }
        Ok::<_, Trouble>(upload)
    });
    let mut stream = body.into_data_stream();
    let mut cut = None;
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => {
                if pieces.send(piece).await.is_err() {
                    // The writer has ended, and says why.
                    break;
                }
            }
            Err(error) => {
                cut = Some(Trouble::upload_invalid(format!("the connection was cut: {error}")));
                break;
            }
        }
    }
    drop(pieces);
    let written = writer.await.map_err(Trouble::own)?;
    cut.map_or(written, Err)
}

async fn end(registry: Arc<Registry>, upload: Upload, name: Name, digest: Digest) -> Answer {
    let wanted = digest.clone();
    blocking(registry, move |_| Ok(upload.finish(&wanted)?)).await?;
    Ok(created(&name, &digest))
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

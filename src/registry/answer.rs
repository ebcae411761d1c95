//! What is read: blobs, whole or from any byte on, tags and repositories.

use std::io::{Seek, SeekFrom};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rootfs_fetch::image::Digest;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use super::place::Name;
use super::trouble::Trouble;
use super::{Answer, CONTENT_DIGEST, Registry, blocking, parameter};

/// How many bytes of a blob are read at once.
const PIECE: usize = 64 * 1024;

/// end-2, end-10: a blob, or the rest of it.
pub(super) async fn blob(registry: Arc<Registry>, request: Request, name: Name, digest: Digest) -> Answer {
    let unknown = Trouble::blob_unknown(digest.as_ref());
    let wanted = digest.clone();
    let (mut file, size) = blocking(registry, move |registry| {
        let size = registry.known.size(&name, &wanted)?.ok_or(unknown)?;
        Ok((registry.known.store.blob(&wanted)?, size))
    })
    .await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::ETAG, format!("\"{digest}\"")),
        (CONTENT_DIGEST, digest.to_string()),
    ];
    let Some((first, end)) = range(request.headers(), size)? else {
        return Ok((headers, sized(file, size)).into_response());
    };
    file.seek(SeekFrom::Start(first)).map_err(Trouble::own)?;
    let part = (header::CONTENT_RANGE, format!("bytes {first}-{}/{size}", end - 1));
    Ok((StatusCode::PARTIAL_CONTENT, [part], headers, sized(file, end - first)).into_response())
}

/// A file's next bytes as a body whose length is told, also in answer to HEAD.
fn sized(file: std::fs::File, length: u64) -> impl IntoResponse {
    let bytes = ReaderStream::with_capacity(tokio::fs::File::from_std(file).take(length), PIECE);
    ([(header::CONTENT_LENGTH, length.to_string())], Body::from_stream(bytes))
}

/// What of so many bytes a request asks for (RFC 9110, 14.2): the first, and the one behind the last. None for all: also where there is
/// more than one range, or another unit, which a server may leave out of account. A range that ends before it begins it may refuse.
fn range(headers: &HeaderMap, size: u64) -> Result<Option<(u64, u64)>, Trouble> {
    let Some(text) = headers.get(header::RANGE).and_then(|range| range.to_str().ok()) else { return Ok(None) };
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Ok(None);
    };
    let number = |text: &str| text.parse::<u64>().ok();
    let (first, end) = match (number(first), number(last)) {
        (Some(first), None) if last.is_empty() => (first, size),
        (Some(first), Some(last)) => (first, last.saturating_add(1).min(size)),
        (None, Some(of_end)) if first.is_empty() => (size.saturating_sub(of_end), size),
        _ => return Ok(None),
    };
    if first >= end {
        let message = format!("there are {size} bytes");
        return Err(Trouble::new(StatusCode::RANGE_NOT_SATISFIABLE, "UNSUPPORTED", message)
            .with(header::CONTENT_RANGE, &format!("bytes */{size}")));
    }
    Ok(Some((first, end)))
}

/// end-10: takes a blob away from a repository, unless a manifest there has it. The bytes go when the store is cleared: another repository
/// may be about to need them.
pub(super) async fn delete_blob(registry: Arc<Registry>, name: Name, digest: Digest) -> Answer {
    blocking(registry, move |registry| {
        if registry.known.parts(&name)?.contains_key(&digest) {
            return Err(Trouble::in_use(&name));
        }
        if !registry.known.store.unlink(name.as_str(), &digest)? {
            return Err(Trouble::blob_unknown(digest.as_ref()));
        }
        Ok(StatusCode::ACCEPTED.into_response())
    })
    .await
}

/// end-8: the tags of a repository, in the order of their names.
pub(super) async fn tags(registry: Arc<Registry>, uri: Uri, name: Name) -> Answer {
    let of = name.clone();
    let tags = blocking(registry, move |registry| {
        let all = registry.known.of_repository(&of)?;
        if all.is_empty() {
            let message = format!("there is no repository {}", of.as_str());
            return Err(Trouble::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message));
        }
        let of_key = |key: String| key[of.as_str().len()..].strip_prefix(':').map(str::to_owned);
        Ok(all.into_iter().filter_map(|(key, _)| of_key(key)).collect())
    })
    .await?;
    Ok(page(&uri, tags, |tags| json!({ "name": name.as_str(), "tags": tags })))
}

/// The names of all repositories.
pub(super) async fn catalog(registry: Arc<Registry>, uri: Uri) -> Answer {
    let names = blocking(registry, |registry| {
        let names = registry.known.names()?;
        let of_key =
            |key: &String| key.split_once('@').or_else(|| key.rsplit_once(':')).map(|(name, _)| name.to_owned());
        Ok(names.keys().filter_map(of_key).collect())
    })
    .await?;
    Ok(page(&uri, names, |names| json!({ "repositories": names })))
}

/// Of these words at most `n`, from behind `last` on, and where the next ones are (RFC 8288, `rel="next"`).
fn page(uri: &Uri, mut words: Vec<String>, body: impl Fn(&[String]) -> serde_json::Value) -> Response {
    words.sort_unstable();
    words.dedup();
    let at_most = parameter(uri, "n").and_then(|n| n.parse::<usize>().ok());
    if let Some(last) = parameter(uri, "last") {
        words.retain(|word| *word > last);
    }
    let is_more = at_most.is_some_and(|n| n < words.len());
    words.truncate(at_most.unwrap_or(usize::MAX));
    let mut response = Json(body(&words)).into_response();
    if let (true, Some(last), Some(n)) = (is_more, words.last(), at_most)
        && let Ok(next) = format!("<{}?n={n}&last={last}>; rel=\"next\"", uri.path()).parse()
    {
        response.headers_mut().insert(header::LINK, next);
    }
    response
}

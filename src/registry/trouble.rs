//! What a registry says when it does not do what it was asked (distribution-spec 1.1, "Error codes").

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rootfs_fetch::store::StoreError;
use serde_json::json;

use super::place::{BadPlace, Name};

/// An error of the specification, with what a person wants to know besides.
#[derive(Debug)]
pub struct Trouble {
    status: StatusCode,
    code: &'static str,
    message: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Trouble {
    /// A code of the specification, under the status that belongs to it.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), headers: Vec::new() }
    }

    /// With a header more; left out where it has bytes that a header can not have.
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// code-1: there is no such blob.
    pub fn blob_unknown(digest: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", format!("there is no blob {digest}"))
    }

    /// code-7: there is no such manifest.
    pub fn manifest_unknown(which: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", format!("there is no manifest {which}"))
    }

    /// The same code for a manifest of a type that the client did not name.
    pub fn not_accepted(kind: &str) -> Self {
        let message = format!("it is {kind}, and Accept does not name that");
        Self::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message)
    }

    /// code-3: what was uploaded is not what it should be.
    pub fn upload_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message)
    }

    /// code-2: there is no such upload, or none any more.
    pub fn upload_unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "there is no such upload; it has ended, or never began")
    }

    /// code-4: bytes with another digest than the one they came with, or a digest that is none.
    pub fn digest_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message)
    }

    /// code-6: a manifest that is none.
    pub fn manifest_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", message)
    }

    /// What is to be taken away is part of a manifest.
    pub fn in_use(name: &Name) -> Self {
        let message = format!("a manifest of {} has it", name.as_str());
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message)
    }

    /// More bytes than a blob may have.
    pub fn too_large(limit: u64) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", format!("a blob may have at most {limit} bytes here"))
    }

    /// A range that does not follow on what is there.
    pub fn out_of_order(there: u64) -> Self {
        let message = format!("the next byte to come is number {there}");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", message)
            .with(header::RANGE, &format!("0-{}", there.saturating_sub(1)))
    }

    /// The registry's own trouble: a full disk, a store that is broken.
    pub fn own(error: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", error.to_string())
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NoBlob(digest) => Self::blob_unknown(digest.as_ref()),
            StoreError::NoUpload(_) => Self::upload_unknown(),
            StoreError::Mismatch { .. } => Self::digest_invalid(error.to_string()),
            StoreError::Busy { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNKNOWN", error.to_string()),
            _ => Self::own(error),
        }
    }
}

impl From<BadPlace> for Trouble {
    fn from(bad: BadPlace) -> Self {
        let invalid = |code, message: &str| Self::new(StatusCode::BAD_REQUEST, code, message);
        match bad {
            BadPlace::Unknown => Self::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "there is no such end point"),
            BadPlace::Name => invalid("NAME_INVALID", "that is no name of a repository"),
            BadPlace::Digest => invalid("DIGEST_INVALID", "that is no digest that is known here"),
            BadPlace::Reference => invalid("MANIFEST_INVALID", "that is neither a tag nor a digest"),
        }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let body = Json(json!({ "errors": [{ "code": self.code, "message": self.message }] }));
        let mut response = (self.status, body).into_response();
        response.headers_mut().extend(self.headers.into_iter().map(|(name, value)| (Some(name), value)));
        response
    }
}

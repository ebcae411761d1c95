//! The body of a request, from a client that may be slow, gone, or never come to an end.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::StatusCode;
use futures::StreamExt;

use super::trouble::Trouble;

/// So much of a body is let come from a client that is refused. It reads no answer before it has sent what it wants to, and clients learn
/// from an answer how to say who they are.
const MAX_REFUSED: u64 = 4 << 20;

/// A body, piece by piece.
pub(super) struct Incoming {
    pieces: BodyDataStream,
    /// For how long the client may send nothing.
    silence: Duration,
}

impl Incoming {
    pub fn new(body: Body, silence: Duration) -> Self {
        Self { pieces: body.into_data_stream(), silence }
    }

    /// The next bytes; none behind the last.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Trouble> {
        let silence = self.silence;
        match tokio::time::timeout(silence, self.pieces.next()).await {
            Ok(piece) => {
                let cut = |error| Trouble::upload_invalid(format!("the connection was cut: {error}"));
                piece.transpose().map_err(cut)
            }
            Err(_) => {
                let message = format!("no byte has come for {silence:?}");
                Err(Trouble::new(StatusCode::REQUEST_TIMEOUT, "BLOB_UPLOAD_INVALID", message))
            }
        }
    }

    /// All of it, at most `limit` bytes.
    pub async fn whole(mut self, limit: u64) -> Result<Vec<u8>, Trouble> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await? {
            if (bytes.len() + piece.len()) as u64 > limit {
                let message = format!("at most {limit} bytes are taken");
                return Err(Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID", message));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// Lets it come, and keeps nothing.
    pub async fn refuse(mut self) {
        let mut come = 0;
        while let Ok(Some(piece)) = self.piece().await {
            come += piece.len() as u64;
            if come > MAX_REFUSED {
                return;
            }
        }
    }
}

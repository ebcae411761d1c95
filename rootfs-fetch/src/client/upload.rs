//! The bytes of a blob are pushed, at once or in chunks, and go on from where the registry lost them (distribution-spec, "Pushing blobs").
//!
//! ```text
//! POST  /v2/<name>/blobs/uploads/     → 202, Location: where this upload goes on
//! PATCH <location>  Content-Range     → 202, Location: where it goes on, Range: what is there
//! PUT   <location>?digest=<digest>    → 201
//! GET   <location>                    → 204, Location and Range, for whoever does not know any more
//! ```

use std::thread;

use ureq::http::{Method, StatusCode, header};

use super::Client;
use super::error::{ClientError, Refusal};
use super::place::Place;
use super::send::{Ask, Pauses, expected, location};
use super::source::{Payload, Source};
use super::transport::Answer;
use super::url::Url;
use crate::image::{Descriptor, Reference};

const BYTES: &str = "application/octet-stream";
/// What may be done with a token for pushing.
const ACTIONS: &str = "pull,push";
/// The largest chunk for which a registry may ask, in bytes.
const MAX_CHUNK: u64 = 1 << 30;

/// An upload that was begun.
struct Upload<'c> {
    client: &'c Client,
    place: &'c Place,
    descriptor: &'c Descriptor,
    /// Where it goes on; no two of them need be alike.
    location: Url,
    /// How many bytes the registry has.
    at: u64,
    chunk: u64,
}

impl Client {
    /// Pushes a blob: at once where it is no larger than [`Options::chunk`](super::Options::chunk), else in such chunks. What was lost on
    /// the way is read again from the source; whether the bytes are the right ones, the registry finds out.
    ///
    /// # Errors
    /// Any; [`ClientError::Source`] where the source can not be read, or ends too early.
    pub fn push_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        source: &mut dyn Source,
    ) -> Result<(), ClientError> {
        let place = self.home(reference)?;
        let mut pauses = Pauses::new(self.options.retry);
        let mut furthest = 0;
        let mut upload = Upload::begin(self, &place, descriptor)?;
        loop {
            let error = match upload.step(source) {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    if upload.at > furthest {
                        furthest = upload.at;
                        pauses.reset();
                    }
                    continue;
                }
                Err(error) => error,
            };
            let pause = pauses.next(error.retry_after()).filter(|_| error.may_pass() || is_elsewhere(&error));
            thread::sleep(pause.ok_or(error)?);
            // The answer that was lost may have been the last one.
            if self.has_blob(reference, descriptor.digest())? {
                return Ok(());
            }
            if !upload.find_out()? {
                upload = Upload::begin(self, &place, descriptor)?;
            }
        }
    }
}

impl<'c> Upload<'c> {
    fn begin(client: &'c Client, place: &'c Place, descriptor: &'c Descriptor) -> Result<Self, ClientError> {
        let url = place.url("blobs/uploads/")?;
        let mut ask = Ask::new(Method::POST, url, place.scope(ACTIONS), Payload::Bytes(b""));
        let answer = expected(client.send(&mut ask)?, StatusCode::ACCEPTED)?;
        let least = answer.header("oci-chunk-min-length").and_then(|length| length.parse().ok()).unwrap_or(1);
        let chunk = client.options.chunk.max(least).clamp(1, MAX_CHUNK);
        Ok(Self { client, place, descriptor, location: location(&answer)?, at: 0, chunk })
    }

    /// Sends the next part; tells whether that was the last.
    fn step(&mut self, source: &mut dyn Source) -> Result<bool, ClientError> {
        let size = self.descriptor.size();
        let left = size - self.at;
        if self.at > 0 && left > 0 || left > self.chunk {
            self.patch(source, left.min(self.chunk))?;
            return Ok(false);
        }
        let url = self.location.with("digest", self.descriptor.digest().as_ref());
        let url = url.map_err(|why| ClientError::reference(self.location.to_string(), why))?;
        let payload = Payload::Part { source, from: self.at, length: left, trouble: None };
        let answer = self.send(Method::PUT, url, payload, &[])?;
        expected(answer, StatusCode::CREATED).map(|_| true)
    }

    fn patch(&mut self, source: &mut dyn Source, length: u64) -> Result<(), ClientError> {
        let end = self.at + length;
        let payload = Payload::Part { source, from: self.at, length, trouble: None };
        let range = format!("{}-{}", self.at, end - 1);
        let answer = self.send(Method::PATCH, self.location.clone(), payload, &[&range])?;
        let answer = expected(answer, StatusCode::ACCEPTED)?;
        self.location = location(&answer)?;
        let has = if answer.headers.contains_key(header::RANGE) { range_end(&answer)? } else { end };
        if has <= self.at || has > end {
            return Err(answer.wrong(format!("after {end} bytes it says that it has {has}")));
        }
        self.at = has;
        Ok(())
    }

    /// Asks the registry what it has; tells whether that is known now.
    fn find_out(&mut self) -> Result<bool, ClientError> {
        let mut ask = Ask::new(Method::GET, self.location.clone(), self.place.scope(ACTIONS), Payload::Nothing);
        let answer = match expected(self.client.send(&mut ask)?, StatusCode::NO_CONTENT) {
            Err(error) if matches!(error, ClientError::Protocol { .. }) || error.refusal().is_some() => {
                return Ok(false);
            }
            answer => answer?,
        };
        let has = range_end(&answer)?;
        // Of no byte and of one, `0-0` is said alike.
        if has <= 1 || has > self.descriptor.size() {
            return Ok(false);
        }
        if answer.headers.contains_key(header::LOCATION) {
            self.location = location(&answer)?;
        }
        self.at = has;
        Ok(true)
    }

    /// Sends some of the blob. What is to be done where that fails, the registry has to be asked.
    fn send(&self, method: Method, url: Url, payload: Payload, range: &[&str]) -> Result<Answer, ClientError> {
        let mut ask = Ask::new(method, url, self.place.scope(ACTIONS), payload).once();
        ask = ask.header(header::CONTENT_TYPE, BYTES)?;
        for range in range {
            ask = ask.header(header::CONTENT_RANGE, range)?;
        }
        self.client.send(&mut ask)
    }
}

/// Whether the registry waits for other bytes (416), or for nothing any more (404).
fn is_elsewhere(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { refusal: Refusal::NotFound, .. })
        || matches!(error, ClientError::Refused { status, .. } if status.starts_with("416"))
}

/// How many bytes a registry has, of which it says `Range: 0-LAST`.
fn range_end(answer: &Answer) -> Result<u64, ClientError> {
    let text = answer.header(header::RANGE).ok_or_else(|| answer.wrong("it does not say what it has: no Range"))?;
    let last = text.strip_prefix("bytes=").unwrap_or(text).strip_prefix("0-").and_then(|last| last.parse::<u64>().ok());
    last.and_then(|last| last.checked_add(1)).ok_or_else(|| answer.wrong(format!("its Range is {text:?}")))
}

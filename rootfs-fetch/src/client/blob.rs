//! A blob is fetched, and goes on where it broke off (distribution-spec, "Pulling blobs"; RFC 9110, section 14).

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ureq::http::{Method, StatusCode, header};

use super::Client;
use super::error::ClientError;
use super::place::Place;
use super::send::{Ask, Pauses, succeeded};
use super::source::Payload;
use super::transport::{Answer, Body};
use crate::image::{Descriptor, Digest, Reference};

/// After so many bytes a connection that breaks is a new trouble, and not the same once more.
const PROGRESS: u64 = 1 << 20;

/// Reads a blob. A connection that breaks or stalls is followed by another, as often as the options say. There are never more bytes than
/// its descriptor says; whether they are the right ones, [`crate::image::Verified`] finds out.
///
/// Its errors are [`ClientError`]s within those of `io`.
pub struct Blob<'c> {
    client: &'c Client,
    /// Those that are still tried: mirrors, and last its own registry.
    places: Vec<Place>,
    digest: Digest,
    size: u64,
    position: u64,
    body: Option<Body>,
    /// So many bytes come once more, since the registry does not know ranges.
    again: u64,
    pauses: Pauses,
    /// Where pauses were counted from the beginning.
    counted_from: u64,
    /// When one of these is set, nothing is tried again.
    until: Vec<Arc<AtomicBool>>,
}

impl Client {
    /// Fetches a blob from the offset `from` on, in bytes: `GET /v2/<name>/blobs/<digest>`. The descriptor says its digest and size.
    ///
    /// # Errors
    /// Any. What fails later is an error of reading.
    pub fn blob(&self, reference: &Reference, descriptor: &Descriptor, from: u64) -> Result<Blob<'_>, ClientError> {
        let (digest, size) = (descriptor.digest().clone(), descriptor.size());
        if from > size {
            let why = format!("it has {size} bytes, and is asked for from byte {from} on");
            return Err(ClientError::reference(digest.to_string(), why));
        }
        let mut places = self.mirrors(reference)?;
        places.push(self.home(reference)?);
        let pauses = Pauses::new(self.options.retry);
        let mut blob = Blob {
            client: self,
            places,
            digest,
            size,
            position: from,
            body: None,
            again: 0,
            pauses,
            counted_from: from,
            until: Vec::new(),
        };
        if from < size {
            blob.body = Some(blob.open()?);
        }
        Ok(blob)
    }
}

impl Blob<'_> {
    /// Tries nothing again after this is set: the first connection that breaks or stalls is the last. May be given several, of which one is
    /// enough.
    #[must_use]
    pub fn until(mut self, over: Arc<AtomicBool>) -> Self {
        self.until.push(over);
        self
    }

    /// The offset of the next byte in the blob.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Begins an answer from the position on. A mirror that fails is not asked again.
    fn open(&mut self) -> Result<Body, ClientError> {
        loop {
            let Some(place) = self.places.first() else {
                return Err(ClientError::reference(self.digest.to_string(), "there is nobody to ask for it"));
            };
            match self.open_at(place) {
                Ok((body, again)) => {
                    self.again = again;
                    return Ok(body);
                }
                Err(_) if place.mirror => drop(self.places.remove(0)),
                Err(error) => return Err(error),
            }
        }
    }

    /// The body of an answer, and how many bytes are in it before the position.
    fn open_at(&self, place: &Place) -> Result<(Body, u64), ClientError> {
        let url = place.url(&format!("blobs/{}", self.digest))?;
        let mut ask = Ask::new(Method::GET, url, place.scope("pull"), Payload::Nothing);
        if self.position > 0 {
            ask = ask.header(header::RANGE, &format!("bytes={}-", self.position))?;
        }
        if place.mirror {
            ask = ask.once();
        }
        let answer = succeeded(self.client.send(&mut ask)?)?;
        let (begins, size) = match answer.status {
            StatusCode::OK => (0, answer.header(header::CONTENT_LENGTH).map(str::parse).and_then(Result::ok)),
            StatusCode::PARTIAL_CONTENT if self.position > 0 => {
                (self.position, content_range(&answer, self.position, self.size)?)
            }
            status => return Err(answer.wrong(format!("a status of {status} has no blob"))),
        };
        if size.is_some_and(|size: u64| size != self.size) {
            let found = size.unwrap_or_default();
            return Err(answer.wrong(format!("it has {found} bytes, and its descriptor says {}", self.size)));
        }
        Ok((answer.body, self.position - begins))
    }

    /// Counts what came of an answer, and keeps that for what is to come.
    fn advance(&mut self, count: u64, body: Body) {
        self.position += count;
        if self.position - self.counted_from >= PROGRESS {
            self.counted_from = self.position;
            self.pauses.reset();
        }
        if self.position < self.size {
            self.body = Some(body);
        } else {
            body.end();
        }
    }

    /// Reads of an answer, past what is in it before the position.
    fn read_of(&mut self, body: &mut Body, buffer: &mut [u8]) -> Result<usize, ClientError> {
        let most = buffer.len().min(usize::try_from(self.size - self.position).unwrap_or(usize::MAX));
        let again = std::mem::take(&mut self.again);
        let skipped = io::copy(&mut body.by_ref().take(again), &mut io::sink());
        // An answer that ended before has no more bytes then either.
        let read = skipped.and_then(|_| body.read(&mut buffer[..most]));
        let count = read.and_then(|count| match count {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer ended too early")),
            count => Ok(count),
        });
        count.map_err(|error| body.broken(error))
    }
}

impl fmt::Debug for Blob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digest, size, position, .. } = self;
        write!(f, "Blob {{ {digest}, {position} of {size} bytes }}")
    }
}

impl Read for Blob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position < self.size && !buffer.is_empty() {
            let mut body = match self.body.take() {
                Some(body) => body,
                // Where that fails, it has been tried often enough.
                None => self.open()?,
            };
            let error = match self.read_of(&mut body, buffer) {
                Ok(count) => {
                    self.advance(count as u64, body);
                    return Ok(count);
                }
                Err(error) => error,
            };
            drop(body);
            if self.places.first().is_some_and(|place| place.mirror) {
                self.places.remove(0);
                continue;
            }
            let is_over = self.until.iter().any(|over| over.load(Ordering::Relaxed));
            let pause = self.pauses.next(None).filter(|_| error.may_pass() && !is_over);
            thread::sleep(pause.ok_or(error)?);
        }
        Ok(0)
    }
}

/// Checks that an answer of status 206 begins where it was asked to (RFC 9110, section 14.4: `bytes FIRST-LAST/SIZE`); tells the size
/// that it says.
fn content_range(answer: &Answer, from: u64, size: u64) -> Result<Option<u64>, ClientError> {
    let text = answer.header(header::CONTENT_RANGE).ok_or_else(|| answer.wrong("a part without a Content-Range"))?;
    let read = || -> Option<(u64, u64, Option<u64>)> {
        let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let size = if size == "*" { None } else { Some(size.parse().ok()?) };
        Some((first.parse().ok()?, last.parse().ok()?, size))
    };
    match read() {
        Some((first, last, said)) if first == from && (first..size).contains(&last) => Ok(said),
        _ => Err(answer.wrong(format!("asked for what is from byte {from} on, it sent {text:?}"))),
    }
}

//! Layers are decompressed and hashed on one thread while another writes files of what has come so far.

use std::io::{self, BufRead, ErrorKind, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::error::LayerError;
use super::stream::Stream;
use crate::image::Digest;

/// As much is handed over at once, in bytes.
const PART: usize = 256 * 1024;
/// So many parts may wait to be written: with the two that are being filled and read, 2.5 MiB.
const WAITING: usize = 8;

enum Message {
    /// Bytes of an archive.
    Part(Vec<u8>),
    /// The archive has ended, and this is its digest; or it can not be read on.
    End(Result<Digest, LayerError>),
}

/// What is read: the uncompressed archives of one layer after the other.
pub(crate) struct Ahead {
    messages: Receiver<Message>,
    /// Parts that were read, to be filled again.
    empty: Sender<Vec<u8>>,
    part: Vec<u8>,
    /// How much of that was read.
    at: usize,
    /// The digest of the archive, where all of it was read.
    end: Option<Digest>,
}

/// What runs ahead.
pub(crate) struct Feeder {
    messages: SyncSender<Message>,
    empty: Receiver<Vec<u8>>,
}

/// The two ends. Each notices that the other is gone.
pub(crate) fn ahead() -> (Feeder, Ahead) {
    let (full, messages) = sync_channel(WAITING);
    let (empty, back) = channel();
    (Feeder { messages: full, empty: back }, Ahead { messages, empty, part: Vec::new(), at: 0, end: None })
}

impl Feeder {
    /// Reads a layer to its end, and tells whether there is any use in another.
    pub fn feed(&self, stream: Result<Stream<'_>, LayerError>) -> bool {
        let end = match stream.map(|stream| self.parts(stream)) {
            // Nobody reads any more.
            Ok(Ok(None)) => return false,
            Ok(Ok(Some(digest))) => Ok(digest),
            Ok(Err(error)) | Err(error) => Err(error),
        };
        let goes_on = end.is_ok();
        self.messages.send(Message::End(end)).is_ok() && goes_on
    }

    fn parts(&self, mut stream: Stream<'_>) -> Result<Option<Digest>, LayerError> {
        loop {
            let mut part = self.empty.try_recv().unwrap_or_default();
            part.resize(PART, 0);
            let (filled, read) = fill(&mut stream, &mut part);
            part.truncate(filled);
            // What came before an error is applied, so that it does not depend on threads what the first error is.
            if !part.is_empty() && self.messages.send(Message::Part(part)).is_err() {
                return Ok(None);
            }
            read?;
            if filled < PART {
                return stream.finish().map(Some);
            }
        }
    }
}

/// Fills a part as far as there is anything: how far, and why no further.
fn fill(stream: &mut impl Read, part: &mut [u8]) -> (usize, io::Result<()>) {
    let mut filled = 0;
    while filled < part.len() {
        match stream.read(&mut part[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (filled, Err(error)),
        }
    }
    (filled, Ok(()))
}

impl Ahead {
    /// Reads what is left of an archive, tells its digest, and begins with the next.
    pub fn finish(&mut self) -> Result<Digest, LayerError> {
        loop {
            let count = self.fill_buf()?.len();
            if count == 0 {
                return self.end.take().ok_or_else(gone);
            }
            self.consume(count);
        }
    }
}

impl BufRead for Ahead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.part.len() && self.end.is_none() {
            match self.messages.recv() {
                Ok(Message::Part(part)) => {
                    // Where the feeder has ended nobody needs it.
                    let _ = self.empty.send(std::mem::replace(&mut self.part, part));
                    self.at = 0;
                }
                Ok(Message::End(end)) => self.end = Some(end.map_err(io::Error::other)?),
                Err(_) => return Err(io::Error::other(gone())),
            }
        }
        Ok(&self.part[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let part = self.fill_buf()?;
        let count = part.len().min(buffer.len());
        buffer[..count].copy_from_slice(&part[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// The thread that reads ahead has panicked, which is told by that.
fn gone() -> LayerError {
    LayerError::Read(io::Error::other("it is no longer read"))
}

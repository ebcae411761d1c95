//! Where the bytes of a layer go: archive, digest, compression, digest, store. None of them holds more than a buffer.

use std::io::{self, BufWriter, Write};

use flate2::GzBuilder;
use flate2::write::GzEncoder;

use super::{Compression, PackError};
use crate::image::{Digest, Hasher};
use crate::store::{Store, Upload};

/// As much is written to the store at once, in bytes.
const CHUNK: usize = 128 * 1024;
/// What RFC 1952 has for an operating system that is not known.
const NO_SYSTEM: u8 = 255;

/// Hashes and counts what passes.
pub(super) struct Hashed<W> {
    inner: W,
    hasher: Hasher,
    pub count: u64,
}

impl<W: Write> Hashed<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: Hasher::Sha256(sha2::Digest::new()), count: 0 }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// An upload that is taken away unless it is finished: nobody would go on with half a layer.
pub(super) struct Blob(Option<Upload>);

impl Write for Blob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.as_mut().map_or(Ok(0), |upload| upload.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        if let Some(upload) = self.0.take() {
            // What can not be taken away now, the store's own gc takes.
            let _ = upload.cancel();
        }
    }
}

type Stored = Hashed<BufWriter<Blob>>;

/// Compresses into the store. None of the three writes a time, a name, or how many threads there were.
pub(super) enum Encoder {
    None(Stored),
    Gzip(GzEncoder<Stored>),
    Zstd(zstd::Encoder<'static, Stored>),
}

/// The way of an archive into the store.
pub(super) type Out = Hashed<Encoder>;

/// What came of it.
pub(super) struct Finished {
    pub digest: Digest,
    pub size: u64,
    pub diff_id: Digest,
    pub uncompressed: u64,
}

impl Out {
    pub fn into_store(store: &Store, compression: Compression) -> Result<Self, PackError> {
        let wrong = |levels: &str| Err(PackError::Image(format!("{compression:?} is no level; there are {levels}")));
        match compression {
            Compression::Gzip(level) if level > 9 => return wrong("0 to 9"),
            Compression::Zstd(level) if !(1..=22).contains(&level) => return wrong("1 to 22"),
            _ => {}
        }
        let blob = Hashed::new(BufWriter::with_capacity(CHUNK, Blob(Some(store.upload()?))));
        Ok(Self::new(match compression {
            Compression::None => Encoder::None(blob),
            Compression::Gzip(level) => {
                let header = GzBuilder::new().mtime(0).operating_system(NO_SYSTEM);
                Encoder::Gzip(header.write(blob, flate2::Compression::new(level)))
            }
            Compression::Zstd(level) => Encoder::Zstd(zstd::Encoder::new(blob, level).map_err(PackError::Write)?),
        }))
    }

    /// Ends the compression, and makes the bytes a blob; where the store has that already, only spares it.
    pub fn finish(self, store: &Store) -> Result<Finished, PackError> {
        let (diff_id, uncompressed) = (self.hasher.finish(), self.count);
        let stored = match self.inner {
            Encoder::None(stored) => stored,
            Encoder::Gzip(encoder) => encoder.finish()?,
            Encoder::Zstd(encoder) => encoder.finish()?,
        };
        let (digest, size) = (stored.hasher.finish(), stored.count);
        let mut blob = stored.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
        if store.size(&digest) != Some(size)
            && let Some(upload) = blob.0.take()
        {
            upload.finish(&digest)?;
        }
        Ok(Finished { digest, size, diff_id, uncompressed })
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(stored) => stored.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(stored) => stored.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

//! The bytes of a layer, decompressed, counted and hashed on the way.

use std::io::{self, Cursor, Read};

use flate2::read::MultiGzDecoder;

use super::error::LayerError;
use crate::image::{Digest, Hasher, MediaType};

/// The largest window of zstd, as a power of two: what zstd itself takes unless told otherwise. It is the memory that a layer may ask for.
const WINDOW_LOG: u32 = 27;

/// How a tar archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    /// RFC 1952: members follow each other.
    Gzip,
    /// RFC 8878: frames follow each other.
    Zstd,
}

impl Compression {
    /// As a media type says: image-spec, layer.md, and Docker's for the same.
    fn announced(media_type: &MediaType) -> Result<Self, LayerError> {
        match media_type {
            MediaType::ImageLayer | MediaType::ImageLayerNonDistributable => Ok(Self::None),
            MediaType::ImageLayerGzip | MediaType::ImageLayerNonDistributableGzip => Ok(Self::Gzip),
            MediaType::ImageLayerZstd | MediaType::ImageLayerNonDistributableZstd => Ok(Self::Zstd),
            other => match other.as_ref() {
                "application/vnd.docker.image.rootfs.diff.tar" => Ok(Self::None),
                "application/vnd.docker.image.rootfs.diff.tar.gzip"
                | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Ok(Self::Gzip),
                "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(Self::Zstd),
                unknown => Err(LayerError::MediaType(unknown.to_owned())),
            },
        }
    }

    /// As the first bytes say. No tar archive begins so: its first bytes are a name, and no name has these.
    pub fn found(first: &[u8]) -> Self {
        match first {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Self::Zstd,
            // Frames that a reader skips may come first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Self::Zstd,
            _ => Self::None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::None => "an archive that is not compressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Whether what has this media type is a layer that can be applied.
pub(crate) fn is_layer(media_type: &MediaType) -> bool {
    Compression::announced(media_type).is_ok()
}

/// Reads the uncompressed archive.
pub(crate) struct Stream<'a> {
    inner: Box<dyn Read + Send + 'a>,
    hasher: Hasher,
    wanted: Option<Digest>,
    read: u64,
    limit: u64,
}

impl<'a> Stream<'a> {
    /// Of at most `limit` bytes, which should have the digest `wanted`.
    pub fn new(
        mut layer: impl Read + Send + 'a,
        media_type: &MediaType,
        wanted: Option<&Digest>,
        limit: u64,
    ) -> Result<Self, LayerError> {
        let hasher = match wanted {
            Some(wanted) => {
                let algorithm = wanted.algorithm();
                Hasher::new(algorithm).ok_or_else(|| LayerError::Algorithm(algorithm.to_string()))?
            }
            None => Hasher::Sha256(sha2::Digest::new()),
        };
        let announced = Compression::announced(media_type)?;
        let mut first = Vec::new();
        layer.by_ref().take(4).read_to_end(&mut first)?;
        let found = Compression::found(&first);
        if announced != found {
            return Err(LayerError::Compression { announced: announced.word(), found: found.word() });
        }
        let whole = Cursor::new(first).chain(layer);
        let inner: Box<dyn Read + Send + 'a> = match found {
            Compression::None => Box::new(whole),
            Compression::Gzip => Box::new(MultiGzDecoder::new(whole)),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::new(whole)?;
                decoder.window_log_max(WINDOW_LOG)?;
                Box::new(decoder)
            }
        };
        Ok(Self { inner, hasher, wanted: wanted.cloned(), read: 0, limit })
    }

    /// Reads what is left, and compares the digest of all.
    pub fn finish(mut self) -> Result<Digest, LayerError> {
        io::copy(&mut self, &mut io::sink())?;
        let found = self.hasher.finish();
        match self.wanted {
            Some(wanted) if wanted != found => {
                Err(LayerError::DiffId { found: found.to_string(), wanted: wanted.to_string() })
            }
            _ => Ok(found),
        }
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.read += count as u64;
        if self.read > self.limit {
            return Err(io::Error::other(LayerError::Limit { what: "uncompressed bytes", limit: self.limit }));
        }
        Ok(count)
    }
}

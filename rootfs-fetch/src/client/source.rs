//! What is sent: nothing, some bytes, or a part of something larger that is read on the way.

use std::io::{self, Read, Seek, SeekFrom};

/// What a blob is pushed from. It is read again from wherever the registry lost it.
pub trait Source: Read + Seek {}

impl<S: Read + Seek> Source for S {}

/// The body of a request. It can be sent more than once.
pub(super) enum Payload<'a> {
    /// No body.
    Nothing,
    /// These bytes, of which there may be none.
    Bytes(&'a [u8]),
    /// `length` bytes from the offset `from`. What goes wrong while they are read is kept in `trouble`.
    Part { source: &'a mut dyn Source, from: u64, length: u64, trouble: Option<io::Error> },
}

/// Reads a payload once.
pub(super) struct PayloadReader<'p> {
    inner: Inner<'p>,
    /// How many bytes were read.
    pub read: u64,
}

enum Inner<'p> {
    Bytes(&'p [u8]),
    Part { source: io::Take<&'p mut dyn Source>, trouble: &'p mut Option<io::Error> },
}

impl Payload<'_> {
    /// How many bytes there are; none where there is no body.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Part { length, .. } => Some(*length),
        }
    }

    /// A reader from the beginning; none where there is no body.
    pub fn open(&mut self) -> Result<Option<PayloadReader<'_>>, super::ClientError> {
        let inner = match self {
            Self::Nothing => return Ok(None),
            Self::Bytes(bytes) => Inner::Bytes(bytes),
            Self::Part { source, from, length, trouble } => {
                source.seek(SeekFrom::Start(*from)).map_err(super::ClientError::Source)?;
                Inner::Part { source: (&mut **source as &mut dyn Source).take(*length), trouble }
            }
        };
        Ok(Some(PayloadReader { inner, read: 0 }))
    }

    /// What went wrong while it was read: that is not the registry's fault.
    pub fn trouble(&mut self) -> Option<io::Error> {
        match self {
            Self::Part { trouble, .. } => trouble.take(),
            _ => None,
        }
    }
}

impl Read for PayloadReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.inner {
            Inner::Bytes(bytes) => bytes.read(buffer)?,
            Inner::Part { source, trouble } => {
                let read = match source.read(buffer) {
                    Ok(0) if source.limit() > 0 && !buffer.is_empty() => {
                        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is shorter than its descriptor says"))
                    }
                    read => read,
                };
                read.map_err(|error| {
                    let copy = io::Error::new(error.kind(), error.to_string());
                    **trouble = Some(error);
                    copy
                })?
            }
        };
        self.read += count as u64;
        Ok(count)
    }
}

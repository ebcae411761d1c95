//! What is in an archive, by name. Its entries stand in any order, so that all files are put into the store before it is known which are
//! needed; the few that say that are kept in memory.

use std::collections::HashMap;
use std::io::{self, BufRead, Cursor, Read};

use flate2::read::MultiGzDecoder;

use super::{ArchiveError, Limits};
use crate::image::{Digest, Hasher, MAX_DOCUMENT};
use crate::layer::LayerError;
use crate::layer::archive::{Archive, Type};
use crate::layer::error::lossy;
use crate::layer::stream::Compression;
use crate::store::{Store, Upload};

pub(super) const LAYOUT: &str = "oci-layout";
pub(super) const INDEX: &str = "index.json";
pub(super) const MANIFEST: &str = "manifest.json";

/// The longest name, in bytes: PATH_MAX of limits.h, without the zero byte.
const MAX_NAME: usize = 4095;
/// The most links that are followed to a file: path_resolution(7).
const MAX_LINKS: usize = 40;

/// What has a name. What is there twice must be the same twice.
#[derive(PartialEq, Eq)]
enum Found {
    /// A file, and its blob.
    Blob(Digest),
    /// A link, and the name to which it leads.
    Link(String),
    /// A file that says what the others are.
    Text(Vec<u8>),
}

/// The names in an archive.
pub(super) struct Contents(HashMap<String, Found>);

impl Contents {
    /// Reads the archive to its last entry, and puts its files into the store.
    pub fn read(input: impl BufRead, store: &Store, limits: &Limits) -> Result<Self, ArchiveError> {
        let mut archive = Archive::new(input);
        let mut contents = Self(HashMap::new());
        let mut entries = 0;
        while let Some(member) = archive.next().map_err(ArchiveError::tar)? {
            entries += 1;
            if entries > limits.entries {
                return Err(ArchiveError::Limit { what: "entries", limit: limits.entries });
            }
            let refuse = |why| ArchiveError::Refused { entry: lossy(&member.name), why };
            let name = name(&member.name).map_err(refuse)?;
            let found = match member.kind {
                Type::Directory => continue,
                // Before ustar, and where a file is there under several names, the link is to a name in the archive.
                Type::Hardlink => Found::Link(target("", &member.link).map_err(refuse)?),
                Type::Symlink => Found::Link(target(&name, &member.link).map_err(refuse)?),
                Type::File { size, data } if data == [(0, size)] => match name.as_str() {
                    LAYOUT | INDEX | MANIFEST => Found::Text(text(&mut archive, &name, size)?),
                    _ => Found::Blob(blob(&mut archive, store, of_layout(&name).map_err(refuse)?, size)?),
                },
                Type::File { .. } => return Err(refuse("a file of an image has no holes")),
                _ => return Err(refuse("it is neither a file nor a directory nor a link")),
            };
            // The last one counts for most readers, the first for some.
            if contents.0.get(&name).is_some_and(|other| *other != found) {
                return Err(refuse("it is there twice, and not the same"));
            }
            contents.0.insert(name, found);
        }
        Ok(contents)
    }

    /// Whether it has a part that every layout has. An archive that was cut off before the other is not taken for a docker-archive.
    pub fn is_layout(&self) -> bool {
        [LAYOUT, INDEX].iter().any(|name| self.0.contains_key(*name))
    }

    /// A file that says what the others are.
    pub fn text(&self, name: &str) -> Result<&[u8], ArchiveError> {
        match self.0.get(name) {
            Some(Found::Text(text)) => Ok(text),
            Some(_) => Err(ArchiveError::unusable(name, "it is a link")),
            None => Err(ArchiveError::unusable(name, "it is not in the archive")),
        }
    }

    /// The blob that the file with this name became. Links are followed.
    pub fn blob(&self, name: &str) -> Result<&Digest, ArchiveError> {
        let unusable = |why| ArchiveError::unusable(name, why);
        let mut at = join(Vec::new(), name).map_err(unusable)?;
        for _ in 0..MAX_LINKS {
            match self.0.get(&at) {
                Some(Found::Blob(digest)) => return Ok(digest),
                Some(Found::Link(to)) => at.clone_from(to),
                Some(Found::Text(_)) => return Err(unusable("it is neither a config nor a layer")),
                None => return Err(unusable("it is not in the archive")),
            }
        }
        Err(unusable("too many links lead to each other"))
    }
}

/// Of at most `limit` bytes. No tar archive begins as what is compressed does.
pub(super) fn decompressed<'a>(mut archive: impl Read + 'a, limit: u64) -> Result<Box<dyn Read + 'a>, ArchiveError> {
    let mut first = Vec::new();
    archive.by_ref().take(4).read_to_end(&mut first).map_err(ArchiveError::Read)?;
    let found = Compression::found(&first);
    let whole = Cursor::new(first).chain(archive);
    let inner: Box<dyn Read + 'a> = match found {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(MultiGzDecoder::new(whole)),
        Compression::Zstd => Box::new(zstd::Decoder::new(whole).map_err(ArchiveError::Read)?),
    };
    Ok(Box::new(Bounded { inner, read: 0, limit }))
}

/// Reads no more than it may.
struct Bounded<R> {
    inner: R,
    read: u64,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read += count as u64;
        if self.read > self.limit {
            return Err(io::Error::other(LayerError::Limit { what: "uncompressed bytes", limit: self.limit }));
        }
        Ok(count)
    }
}

/// The name of an entry, relative to the root.
fn name(bytes: &[u8]) -> Result<String, &'static str> {
    let name = in_words(bytes)?;
    if name.split('/').any(|part| part == "..") {
        return Err("there is a \"..\" in its name");
    }
    join(Vec::new(), name)
}

/// Where a link with this name leads, relative to the root.
fn target(name: &str, bytes: &[u8]) -> Result<String, &'static str> {
    let mut above: Vec<&str> = name.split('/').collect();
    above.pop();
    join(above, in_words(bytes)?)
}

fn in_words(bytes: &[u8]) -> Result<&str, &'static str> {
    match std::str::from_utf8(bytes) {
        _ if bytes.len() > MAX_NAME => Err("a name is longer than 4095 bytes"),
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err("a name is not in UTF-8, or has a zero byte"),
    }
}

/// What is at a path, seen from a directory.
fn join<'a>(mut at: Vec<&'a str>, path: &'a str) -> Result<String, &'static str> {
    if path.starts_with('/') {
        return Err("a path from the machine's root leads out of the archive");
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                at.pop().ok_or("it leads out of the archive")?;
            }
            _ => at.push(part),
        }
    }
    Ok(at.join("/"))
}

/// The digest that a file of a layout has in its name (image-layout.md, "Blobs"); none for another file.
fn of_layout(name: &str) -> Result<Option<Digest>, &'static str> {
    let Some((algorithm, encoded)) = name.strip_prefix("blobs/").map(|rest| rest.split_once('/').unwrap_or_default())
    else {
        return Ok(None);
    };
    format!("{algorithm}:{encoded}").parse().map(Some).map_err(|_| "that is not the name of a blob")
}

/// The bytes of a small file.
fn text(archive: &mut Archive<impl BufRead>, name: &str, size: u64) -> Result<Vec<u8>, ArchiveError> {
    if size > MAX_DOCUMENT {
        return Err(ArchiveError::unusable(name, format!("it has {size} bytes; at most {MAX_DOCUMENT} are taken")));
    }
    let mut text = Vec::new();
    each_part(archive, |part| {
        text.extend_from_slice(part);
        Ok(())
    })?;
    Ok(text)
}

/// Makes a file a blob, with the digest that it should have, or else its own. What the store has was verified before, and is not read again.
fn blob(
    archive: &mut Archive<impl BufRead>,
    store: &Store,
    wanted: Option<Digest>,
    size: u64,
) -> Result<Digest, ArchiveError> {
    if let Some(wanted) = wanted.as_ref().filter(|wanted| store.size(wanted) == Some(size)) {
        return Ok(wanted.clone());
    }
    let mut upload = store.upload()?;
    match fill(archive, &mut upload) {
        Ok(found) => {
            let digest = wanted.unwrap_or(found);
            upload.finish(&digest)?;
            Ok(digest)
        }
        Err(error) => {
            // Where that fails too, gc does it.
            let _ = upload.cancel();
            Err(error)
        }
    }
}

/// Appends the data of a member, and tells their digest.
fn fill(archive: &mut Archive<impl BufRead>, upload: &mut Upload) -> Result<Digest, ArchiveError> {
    let mut hasher = Hasher::Sha256(sha2::Digest::new());
    each_part(archive, |part| {
        hasher.update(part);
        Ok(upload.append(part)?)
    })?;
    Ok(hasher.finish())
}

/// Reads the data of a member to their end.
fn each_part(
    archive: &mut Archive<impl BufRead>,
    mut deed: impl FnMut(&[u8]) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    loop {
        let part = archive.data().map_err(ArchiveError::tar)?;
        if part.is_empty() {
            return Ok(());
        }
        let count = part.len();
        deed(part)?;
        archive.consume(count);
    }
}

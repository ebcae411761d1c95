//! Writes archives. The same images become the same bytes: entries are sorted, and have neither times nor owners.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};

use super::{ArchiveError, CHUNK, Format, MAX_LAYER, Named, docker, oci, unambiguous};
use crate::image::{Descriptor, Mismatch, Verified};
use crate::layer::stream::Stream;
use crate::store::{ImageLayer, Store, StoreError};

/// The files of an archive, by name.
pub(super) type Members = BTreeMap<String, Member>;

/// A file of an archive.
pub(super) enum Member {
    /// These bytes.
    Text(Vec<u8>),
    /// A blob, as it is.
    Blob(Descriptor),
    /// A layer, uncompressed.
    Layer {
        /// Which.
        layer: ImageLayer,
        /// Its uncompressed size, in bytes.
        size: u64,
    },
}

/// Writes an archive of these images, which share what they have in common. It can be read again by [`load`](super::load), by skopeo as
/// `oci-archive:` or `docker-archive:`, by `podman load` and `docker load`.
///
/// # Errors
/// The store does not have all of an image, or not for that platform; [`ArchiveError::Twice`]; [`ArchiveError::Name`];
/// [`ArchiveError::Layer`] for a layer that is not the one of its config; it can not be written. What was written by then is no archive.
pub fn save(store: &Store, images: &[Named], format: &Format, writer: impl Write) -> Result<(), ArchiveError> {
    unambiguous(images)?;
    let members = match format {
        Format::Oci => oci::members(store, images)?,
        Format::Docker(platform) => docker::members(store, images, platform)?,
    };
    let mut archive = tar::Builder::new(writer);
    for (name, member) in &members {
        append(&mut archive, store, name, member)?;
    }
    archive.into_inner().and_then(|mut writer| writer.flush()).map_err(ArchiveError::Write)
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    store: &Store,
    name: &str,
    member: &Member,
) -> Result<(), ArchiveError> {
    match member {
        Member::Text(bytes) => file(archive, name, bytes.len() as u64, &bytes[..]).map_err(ArchiveError::Write),
        Member::Blob(blob) => {
            let (digest, size) = (blob.digest(), blob.size());
            let mismatch = |why| StoreError::Mismatch { digest: digest.clone(), why };
            let reader = BufReader::with_capacity(CHUNK, store.blob(digest)?);
            let verified = Verified::new(reader, digest, size).map_err(mismatch)?;
            file(archive, name, size, verified).map_err(|error| match error.downcast::<Mismatch>() {
                Ok(why) => mismatch(why).into(),
                Err(error) => ArchiveError::Write(error),
            })
        }
        Member::Layer { layer, size } => {
            let (digest, kind) = (layer.descriptor.digest(), layer.descriptor.media_type());
            let of_layer = ArchiveError::layer(digest);
            let mut stream =
                Stream::new(store.blob(digest)?, kind, Some(&layer.diff_id), MAX_LAYER).map_err(&of_layer)?;
            file(archive, name, *size, &mut stream).map_err(|error| match error.downcast() {
                Ok(why) => of_layer(why),
                Err(error) => ArchiveError::Write(error),
            })?;
            stream.finish().map(drop).map_err(of_layer)
        }
    }
}

/// Writes an entry, whose header is the same wherever and whenever it is written.
fn file(archive: &mut tar::Builder<impl Write>, name: &str, size: u64, data: impl Read) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    archive.append_data(&mut header, name, data)
}

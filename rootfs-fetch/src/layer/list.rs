//! What is in a layer, without applying it.

use std::io::{BufReader, Read};

use super::Layer;
use super::apply::kind_of;
use super::archive::{Archive, Type};
use super::error::LayerError;
use super::name::Said;
use super::report::Kind;
use crate::image::Digest;

/// A member of a layer's archive, as it stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name, byte for byte: also one that is refused when the layer is applied.
    pub name: Vec<u8>,
    /// What it is; by its name, where that is one of whiteouts.
    pub kind: Kind,
    /// The size of a file, in bytes.
    pub size: u64,
    /// The first of its bytes.
    pub head: Vec<u8>,
}

impl Layer {
    /// Tells `observer` of each member, with at most `head` bytes of its data, until that answers no; then the digest of the archive is not
    /// known, which is returned otherwise. Nothing is written anywhere.
    ///
    /// # Errors
    /// [`LayerError`], where the archive can not be read on; what comes before was told then.
    pub fn list(
        &self,
        bytes: impl Read + Send,
        head: usize,
        observer: &mut dyn FnMut(Listed) -> bool,
    ) -> Result<Option<Digest>, LayerError> {
        let mut input = BufReader::new(self.stream(bytes)?);
        let mut archive = Archive::new(&mut input);
        let mut entries = 0;
        while let Some(member) = archive.next()? {
            entries += 1;
            if entries > self.limits.entries {
                return Err(LayerError::Limit { what: "entries", limit: self.limits.entries });
            }
            let mut first = Vec::new();
            while first.len() < head {
                let data = archive.data()?;
                let count = data.len().min(head - first.len());
                if count == 0 {
                    break;
                }
                first.extend_from_slice(&data[..count]);
                archive.consume(count);
            }
            let kind = match Said::read(&member.name) {
                Ok(Said::Whiteout(_)) => Kind::Whiteout,
                Ok(Said::Opaque(_)) => Kind::Opaque,
                Ok(Said::Aufs(_)) => Kind::Aufs,
                Ok(Said::There(_)) | Err(_) => kind_of(&member.kind),
            };
            let size = if let Type::File { size, .. } = member.kind { size } else { 0 };
            if !observer(Listed { name: member.name, kind, size, head: first }) {
                return Ok(None);
            }
        }
        Ok(Some(input.into_inner().finish()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{MediaType, digest_of};

    #[test]
    fn members_are_told_with_their_names_and_first_bytes_and_those_of_whiteouts_by_their_kind() {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, data) in [("a", &b"hello"[..]), (".wh.b", b""), ("d/.wh..wh..opq", b"")] {
            let mut header = tar::Header::new_ustar();
            header.set_size(data.len() as u64);
            tar.append_data(&mut header, name, data).expect("a member");
        }
        // A name that the builder would refuse.
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..4].copy_from_slice(b"../e");
        header.set_cksum();
        tar.append(&header, &b""[..]).expect("a member");
        let bytes = tar.into_inner().expect("an archive");
        let mut seen = Vec::new();
        let layer = Layer::new(MediaType::ImageLayer);
        let mut tell = |listed: Listed| {
            seen.push((String::from_utf8(listed.name).expect("a name"), listed.kind, listed.size, listed.head));
            true
        };
        let digest = layer.list(&bytes[..], 3, &mut tell).expect("a list");
        assert_eq!(digest, Some(digest_of(&bytes)));
        let one = |name: &str, kind, size, head: &[u8]| (name.to_owned(), kind, size, head.to_vec());
        let wanted = [
            one("a", Kind::File, 5, b"hel"),
            one(".wh.b", Kind::Whiteout, 0, b""),
            one("d/.wh..wh..opq", Kind::Opaque, 0, b""),
            one("../e", Kind::File, 0, b""),
        ];
        assert_eq!(seen, wanted);
        let mut count = 0;
        let mut stop = |_| {
            count += 1;
            false
        };
        assert_eq!(layer.list(&bytes[..], 0, &mut stop).expect("a list"), None);
        assert_eq!(count, 1, "whoever says no is told no more");
    }
}

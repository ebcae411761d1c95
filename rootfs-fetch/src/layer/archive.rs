//! The members of a tar archive, one after the other: ustar and PAX (POSIX.1-2024, pax), and GNU's long names and sparse files
//! (GNU tar's manual, "Basic Tar Format").
//!
//! Where readers are known to differ, so that one of them could be shown another archive, it is refused: two headers of the same kind for
//! one member, a size in PAX that contradicts the header's, data after a member that has none, a single block of zeros.

use std::io::{self, BufRead, Read};

use rustix::fs::Timespec;
use tar::Header;

use super::error::{LayerError, lossy};
use super::pax::{self, Record};
use super::sparse::{self, Announced, Map};

const BLOCK: u64 = 512;
/// The most bytes of extended headers, long names and maps of holes that one member may have.
const MAX_HEADERS: u64 = 1 << 20;
/// A prefix of keywords: what follows is the name of an extended attribute.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// What kind of file a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    File {
        /// Its size, in bytes.
        size: u64,
        /// Where its data go, as offset and length; what is between is holes.
        data: Map,
    },
    Directory,
    Symlink,
    Hardlink,
    CharacterDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
}

/// A member, with everything that its headers say.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub name: Vec<u8>,
    pub kind: Type,
    /// Where a link leads.
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: Timespec,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Headers that describe the next member.
#[derive(Default)]
struct Extensions {
    pax: Option<Vec<u8>>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

/// Reads members, and of each its data.
pub(crate) struct Archive<R> {
    input: R,
    /// How much of the member's data has not been read.
    data: u64,
    /// How much follows them to fill the last block.
    padding: u64,
    /// How much of [`MAX_HEADERS`] is left for this member.
    headers: u64,
    /// The last name that was read.
    last: Vec<u8>,
}

impl<R: BufRead> Archive<R> {
    pub fn new(input: R) -> Self {
        Self { input, data: 0, padding: 0, headers: 0, last: Vec::new() }
    }

    /// The next member; none at the end. Data of the one before that were not read are skipped.
    pub fn next(&mut self) -> Result<Option<Member>, LayerError> {
        self.skip()?;
        self.headers = MAX_HEADERS;
        let mut extensions = Extensions::default();
        loop {
            let Some(header) = self.header()? else {
                let any = extensions.pax.is_some() || extensions.name.is_some() || extensions.link.is_some();
                return if any { Err(self.broken("it ends where a member was announced")) } else { Ok(None) };
            };
            let place = match header.entry_type().as_byte() {
                b'x' => &mut extensions.pax,
                b'L' => &mut extensions.name,
                b'K' => &mut extensions.link,
                b'g' => {
                    let body = self.body(&header)?;
                    self.global(&body)?;
                    continue;
                }
                _ => return self.member(&header, &extensions).map(Some),
            };
            let body = self.body(&header)?;
            if place.replace(body).is_some() {
                return Err(self.broken("two headers of the same kind describe one member"));
            }
        }
    }

    fn broken(&self, why: impl Into<String>) -> LayerError {
        LayerError::Archive { entry: lossy(&self.last), why: why.into() }
    }

    fn skip(&mut self) -> Result<(), LayerError> {
        let (data, rest) = (self.data, self.data + self.padding);
        let skipped = io::copy(&mut self.input.by_ref().take(rest), &mut io::sink())?;
        (self.data, self.padding) = (0, 0);
        // Some writers end an archive with the last byte of data: without padding, as without end blocks, nothing is in doubt.
        if skipped < data { Err(self.broken("it ends in the middle of a member")) } else { Ok(()) }
    }

    /// A block; none at the end of the input.
    fn block(&mut self) -> Result<Option<[u8; BLOCK as usize]>, LayerError> {
        let mut block = [0; BLOCK as usize];
        let mut filled = 0;
        while filled < block.len() {
            match self.input.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(self.broken("it ends in the middle of a header")),
                count => filled += count,
            }
        }
        Ok(Some(block))
    }

    /// A header; none at the end, which is two blocks of zeros or, with many writers, just the end of the input.
    fn header(&mut self) -> Result<Option<Header>, LayerError> {
        let Some(block) = self.block()? else { return Ok(None) };
        if block == [0; BLOCK as usize] {
            return match self.block()? {
                Some(second) if second != block => Err(self.broken("a block of zeros stands alone")),
                _ => Ok(None),
            };
        }
        let header = Header::from_byte_slice(&block);
        // The checksum's own field counts as eight spaces.
        let others = block[..148].iter().chain(&block[156..]);
        let sum = others.fold(8 * u64::from(b' '), |sum, byte| sum + u64::from(*byte));
        if number(&header.as_old().cksum) != Some(sum.cast_signed()) {
            return Err(self.broken("the checksum of a header is wrong"));
        }
        Ok(Some(header.clone()))
    }

    /// The data of a header that describes the next member.
    fn body(&mut self, header: &Header) -> Result<Vec<u8>, LayerError> {
        let size = self.number(&header.as_old().size, "size")?;
        self.headers = self
            .headers
            .checked_sub(size)
            .ok_or(LayerError::Limit { what: "bytes in the headers of one entry", limit: MAX_HEADERS })?;
        (self.data, self.padding) = (size, padding(size));
        let mut body = Vec::new();
        while self.data > 0 {
            let part = self.data()?;
            let count = part.len();
            body.extend_from_slice(part);
            self.consume(count);
        }
        self.skip()?;
        Ok(body)
    }

    /// A global extended header may say who made the archive. What it would say of each member, some readers apply and others do not.
    fn global(&self, body: &[u8]) -> Result<(), LayerError> {
        for (keyword, _) in self.records(body)? {
            let of_members = keyword.starts_with(XATTR) || keyword.starts_with(sparse::KEYWORDS);
            if of_members || [&b"path"[..], b"linkpath", b"size", b"uid", b"gid", b"mtime"].contains(&keyword) {
                let keyword = lossy(keyword);
                return Err(self.broken(format!("a global header sets {keyword:?} for all entries")));
            }
        }
        Ok(())
    }

    fn records<'b>(&self, body: &'b [u8]) -> Result<Vec<Record<'b>>, LayerError> {
        pax::records(body).ok_or_else(|| self.broken("a PAX header is malformed"))
    }

    fn number<T: TryFrom<i64>>(&self, field: &[u8], what: &str) -> Result<T, LayerError> {
        let number = number(field).and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| self.broken(format!("the field {what} has no number that it may have")))
    }

    fn member(&mut self, header: &Header, extensions: &Extensions) -> Result<Member, LayerError> {
        let records = self.records(extensions.pax.as_deref().unwrap_or_default())?;
        // An empty value takes back what was said before, so the header's counts.
        let value = |keyword: &[u8]| {
            let found = records.iter().rev().find(|(found, _)| *found == keyword);
            found.map(|(_, value)| *value).filter(|value| !value.is_empty())
        };
        let name = self.text(value(b"path"), extensions.name.as_deref())?;
        let mut name = name.unwrap_or_else(|| header.path_bytes().into_owned());
        self.last.clone_from(&name);
        let link = self.text(value(b"linkpath"), extensions.link.as_deref())?;
        let link = link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned)).unwrap_or_default();

        let old = header.as_old();
        let decimal = |keyword: &[u8]| match value(keyword).map(pax::decimal) {
            Some(None) => Err(self.broken(format!("{:?} is no number", lossy(keyword)))),
            found => Ok(found.flatten()),
        };
        let id = |keyword: &[u8], field: &[u8]| {
            let id = match decimal(keyword)? {
                Some(id) => u32::try_from(id).ok(),
                None => Some(self.number(field, &lossy(keyword))?),
            };
            // chown(2) takes the last one for "as it is".
            id.filter(|id| *id != u32::MAX).ok_or_else(|| self.broken(format!("no {} is so large", lossy(keyword))))
        };
        let (uid, gid) = (id(b"uid", &old.uid)?, id(b"gid", &old.gid)?);
        let mtime = match value(b"mtime").map(pax::time) {
            Some(time) => time.ok_or_else(|| self.broken("\"mtime\" is no time"))?,
            None => Timespec { tv_sec: self.number(&old.mtime, "mtime")?, tv_nsec: 0 },
        };
        let mode = self.number::<u32>(&old.mode, "mode")? & 0o7777;
        let mut size: u64 = self.number(&old.size, "size")?;
        match decimal(b"size")? {
            // Writers that have too little room in the header leave it 0 there.
            Some(real) if size == 0 || size == real => size = real,
            Some(_) => return Err(self.broken("its PAX header has another size than its own header")),
            None => {}
        }
        let mut holes = sparse::announced(&records).map_err(|why| self.broken(why))?;
        if let Some(real) = holes.as_mut().and_then(|holes| holes.name.take()) {
            name = real;
            self.last.clone_from(&name);
        }
        let xattrs = records.iter().filter_map(|(keyword, value)| Some((keyword.strip_prefix(XATTR)?, *value)));
        let xattrs = xattrs.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        let kind = self.kind(header, &name, size, holes)?;
        Ok(Member { name, kind, link, mode, uid, gid, mtime, xattrs })
    }

    /// A name from PAX, or from GNU's header, which ends at the first zero byte.
    fn text(&self, pax: Option<&[u8]>, gnu: Option<&[u8]>) -> Result<Option<Vec<u8>>, LayerError> {
        let Some(gnu) = gnu else { return Ok(pax.map(<[u8]>::to_vec)) };
        let end = gnu.iter().position(|byte| *byte == 0).unwrap_or(gnu.len());
        let (gnu, rest) = gnu.split_at(end);
        if rest.iter().any(|byte| *byte != 0) {
            return Err(self.broken("something follows a long name"));
        }
        match pax {
            Some(pax) if pax != gnu => Err(self.broken("it has one name in PAX and another in GNU's header")),
            _ => Ok(Some(gnu.to_vec())),
        }
    }

    fn kind(&mut self, header: &Header, name: &[u8], size: u64, holes: Option<Announced>) -> Result<Type, LayerError> {
        let device = |archive: &Self| -> Result<(u32, u32), LayerError> {
            let block = header.as_bytes();
            Ok((archive.number(&block[329..337], "devmajor")?, archive.number(&block[337..345], "devminor")?))
        };
        (self.data, self.padding) = (size, padding(size));
        let is_file = matches!(header.entry_type().as_byte(), b'0' | b'\0' | b'7') && !name.ends_with(b"/");
        let kind = match (header.entry_type().as_byte(), holes) {
            (_, Some(holes)) if is_file => self.with_holes(holes)?,
            (_, Some(_)) => return Err(self.broken("it is told to have holes, and is of a type that has none")),
            (_, None) if is_file => Type::File { size, data: vec![(0, size)] },
            // A file whose name ends with a slash is how tar knew directories before ustar.
            (b'0' | b'\0' | b'7' | b'5', None) => Type::Directory,
            (b'S', None) => self.sparse(header)?,
            (b'1', None) => Type::Hardlink,
            (b'2', None) => Type::Symlink,
            (b'3', None) => device(self).map(|(major, minor)| Type::CharacterDevice { major, minor })?,
            (b'4', None) => device(self).map(|(major, minor)| Type::BlockDevice { major, minor })?,
            (b'6', None) => Type::Fifo,
            (other, None) => return Err(self.broken(format!("{:?} is no type of entry", char::from(other)))),
        };
        if size > 0 && !matches!(kind, Type::File { .. }) {
            return Err(self.broken("it has data, and is of a type that has none"));
        }
        Ok(kind)
    }

    /// A block of a map of holes.
    fn block_of_map(&mut self) -> Result<[u8; BLOCK as usize], LayerError> {
        let left = self.headers.checked_sub(BLOCK);
        self.headers =
            left.ok_or(LayerError::Limit { what: "bytes in the headers of one entry", limit: MAX_HEADERS })?;
        self.block()?.ok_or_else(|| self.broken("it ends in the map of a sparse file"))
    }

    /// A sparse file of GNU tar's own type: its map is in the header, and in blocks between that and the data.
    fn sparse(&mut self, header: &Header) -> Result<Type, LayerError> {
        let (size, mut map, mut more) =
            sparse::in_header(header, number).ok_or_else(|| self.broken("the map of a sparse file is malformed"))?;
        while more {
            let block = self.block_of_map()?;
            more = sparse::in_block(&block, number, &mut map)
                .ok_or_else(|| self.broken("the map of a sparse file is malformed"))?;
        }
        let data = sparse::checked(map, size, self.data).map_err(|why| self.broken(why))?;
        Ok(Type::File { size, data })
    }

    /// A file whose PAX header tells of holes, and where its data go or that they begin with that.
    fn with_holes(&mut self, holes: Announced) -> Result<Type, LayerError> {
        let map = match holes.map {
            Some(map) => map,
            None => {
                let mut reader = sparse::BeforeData::default();
                loop {
                    self.data =
                        self.data.checked_sub(BLOCK).ok_or_else(|| self.broken("the map of its holes has no end"))?;
                    let block = self.block_of_map()?;
                    if let Some(map) = reader.read(&block).map_err(|why| self.broken(why))? {
                        break map;
                    }
                }
            }
        };
        let data = sparse::checked(map, holes.size, self.data).map_err(|why| self.broken(why))?;
        Ok(Type::File { size: holes.size, data })
    }

    /// Some of the member's data, which begin after those that were consumed; nothing at their end.
    pub fn data(&mut self) -> Result<&[u8], LayerError> {
        if self.data > 0 && self.input.fill_buf()?.is_empty() {
            return Err(self.broken("it ends in the middle of a member"));
        }
        // Where there are none, none are waited for.
        let part = if self.data > 0 { self.input.fill_buf()? } else { &[] };
        Ok(&part[..part.len().min(usize::try_from(self.data).unwrap_or(usize::MAX))])
    }

    /// Goes on after so many bytes of [`Archive::data`].
    pub fn consume(&mut self, count: usize) {
        self.input.consume(count);
        self.data -= count as u64;
    }
}

/// What fills the last block of so many bytes.
fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK
}

/// The number in a field of a header: octal digits between spaces and zero bytes, 0 if there are none; or, as GNU tar writes what has too
/// many digits, all bits but the first as a number with a sign.
fn number(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // Six bits with the sign's: what is there is the number's first byte with the flag as a copy of the sign.
        let sign = if first & 0x40 != 0 { i128::from(*first) - 0x100 } else { i128::from(first & 0x3f) };
        return i64::try_from(rest.iter().fold(sign, |number, byte| (number << 8) | i128::from(*byte))).ok();
    }
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let digits = field[..end].trim_ascii();
    digits.iter().try_fold(0_i64, |number, digit| match digit {
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        for (field, found) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"777777777777", Some(0o777_777_777_777)),
            (b"\0\0\0\0", Some(0)),
            (b"\0garbage", Some(0)),
            (b"\x80\0\0\0\0\x30\0\0", Some(0x30_0000)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"+644\0", None),
            (b"-1\0", None),
            (b"0x1f\0", None),
        ] {
            assert_eq!(number(field), found, "{field:?}");
        }
    }

    #[test]
    fn the_last_block_is_filled() {
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
    }
}

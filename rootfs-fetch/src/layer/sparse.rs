//! Where the data of a file with holes go, in each way in which GNU tar has said it (GNU tar's manual, "Storing Sparse Files"): its own
//! type of member, and three versions of records in PAX.

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use super::pax::{Record, decimal};

/// What the keywords of PAX begin with.
pub(super) const KEYWORDS: &[u8] = b"GNU.sparse.";

/// Parts with data as offset and length; what is between them is holes.
pub(super) type Map = Vec<(u64, u64)>;

/// What the records of a file say of its holes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Announced {
    /// The file's name: what the header has is for readers that know nothing of holes.
    pub name: Option<Vec<u8>>,
    /// Its size with its holes, in bytes.
    pub size: u64,
    /// Where its data go; in version 1.0 that is said before the data themselves.
    pub map: Option<Map>,
}

/// What records say of holes; nothing where none is about them.
pub(super) fn announced(records: &[Record<'_>]) -> Result<Option<Announced>, &'static str> {
    let about: Vec<Record<'_>> =
        records.iter().filter_map(|(keyword, value)| Some((keyword.strip_prefix(KEYWORDS)?, *value))).collect();
    if about.is_empty() {
        return Ok(None);
    }
    let of = |keyword: &[u8]| about.iter().rev().find(|(it, _)| *it == keyword).map(|(_, value)| *value);
    let map = match (of(b"major"), of(b"minor"), of(b"map")) {
        (None, None, None) | (Some(b"0"), Some(b"0"), None) => Some(by_pairs(&about)),
        (None, None, Some(map)) | (Some(b"0"), Some(b"1"), Some(map)) => {
            Some(map.split(|byte| *byte == b',').map(decimal).collect())
        }
        (Some(b"1"), Some(b"0"), None) => None,
        _ => return Err("its PAX header tells of holes in a way that nobody knows"),
    };
    let map = match map {
        None => None,
        Some(numbers) => {
            let numbers: Vec<u64> = numbers.ok_or("the map of its holes is malformed")?;
            let parts = of(b"numblocks").and_then(decimal);
            if parts.and_then(|parts| parts.checked_mul(2)) != Some(numbers.len() as u64) {
                return Err("the map of its holes has not as many parts as its header says");
            }
            Some(pairs(&numbers))
        }
    };
    let size = match (of(b"realsize"), of(b"size")) {
        (Some(one), Some(other)) if one != other => None,
        (one, other) => one.or(other).and_then(decimal),
    };
    let size = size.ok_or("its PAX header does not tell how large it is with its holes")?;
    Ok(Some(Announced { name: of(b"name").filter(|name| !name.is_empty()).map(<[u8]>::to_vec), size, map }))
}

/// The numbers of version 0.0: records that take turns.
fn by_pairs(about: &[Record<'_>]) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    for (keyword, value) in about {
        let expected: &[u8] = if numbers.len() % 2 == 0 { b"offset" } else { b"numbytes" };
        match *keyword {
            b"offset" | b"numbytes" if *keyword == expected => numbers.push(decimal(value)?),
            b"offset" | b"numbytes" => return None,
            _ => {}
        }
    }
    Some(numbers)
}

fn pairs(numbers: &[u64]) -> Map {
    numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

/// The map before the data in version 1.0: a count of parts and their numbers, one a line, and zeros to the end of a block.
#[derive(Debug, Default)]
pub(super) struct BeforeData {
    numbers: Vec<u64>,
    line: Vec<u8>,
}

impl BeforeData {
    /// Reads on in the next block; none as long as there is more to come.
    pub fn read(&mut self, block: &[u8]) -> Result<Option<Map>, &'static str> {
        const MALFORMED: &str = "the map of its holes is malformed";
        let mut bytes = block.iter();
        for byte in &mut bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let number = decimal(&self.line).ok_or(MALFORMED)?;
            self.numbers.push(number);
            self.line.clear();
            if self.is_whole() {
                break;
            }
        }
        if !self.is_whole() {
            return Ok(None);
        }
        if bytes.any(|byte| *byte != 0) { Err(MALFORMED) } else { Ok(Some(pairs(&self.numbers[1..]))) }
    }

    fn is_whole(&self) -> bool {
        self.numbers.split_first().is_some_and(|(parts, numbers)| numbers.len() as u64 == parts * 2)
    }
}

/// What the header of a member of type `S` says: the size with its holes, the beginning of the map, and whether a block with more of it
/// follows. `number` reads a field.
pub(super) fn in_header(header: &Header, number: impl Fn(&[u8]) -> Option<i64>) -> Option<(u64, Map, bool)> {
    let gnu = header.as_gnu()?;
    let mut map = Map::new();
    add(&gnu.sparse, &number, &mut map)?;
    Some((number(&gnu.realsize)?.try_into().ok()?, map, gnu.is_extended()))
}

/// Adds what a block between such a header and the data has of the map; whether another one follows.
pub(super) fn in_block(block: &[u8; 512], number: impl Fn(&[u8]) -> Option<i64>, map: &mut Map) -> Option<bool> {
    let mut extended = GnuExtSparseHeader::new();
    extended.as_mut_bytes().copy_from_slice(block);
    add(&extended.sparse, &number, map)?;
    Some(extended.is_extended())
}

fn add(parts: &[GnuSparseHeader], number: &impl Fn(&[u8]) -> Option<i64>, map: &mut Map) -> Option<()> {
    for part in parts.iter().filter(|part| part.numbytes[0] != 0) {
        map.push((number(&part.offset)?.try_into().ok()?, number(&part.numbytes)?.try_into().ok()?));
    }
    Some(())
}

/// The same map without parts that have nothing, if it is one of a file of that size with so many bytes of data.
pub(super) fn checked(mut map: Map, size: u64, stored: u64) -> Result<Map, &'static str> {
    // GNU tar ends a map with an empty part at the file's end.
    map.retain(|(_, length)| *length > 0);
    let mut end = 0;
    for (offset, length) in &map {
        let next = offset.checked_add(*length).filter(|next| *offset >= end && *next <= size);
        end = next.ok_or("the map of a sparse file has no order")?;
    }
    if map.iter().map(|(_, length)| length).sum::<u64>() == stored {
        Ok(map)
    } else {
        Err("the map of a sparse file is not that of its data")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard<'a>(records: &[(&'a str, &'a str)]) -> Result<Option<Announced>, &'static str> {
        let bytes: Vec<Record<'a>> =
            records.iter().map(|(keyword, value)| (keyword.as_bytes(), value.as_bytes())).collect();
        announced(&bytes)
    }

    #[test]
    fn three_versions_say_the_same() {
        assert_eq!(heard(&[("path", "a"), ("mtime", "1")]), Ok(None));
        let map = Some(vec![(0, 5), (512, 1)]);
        let oldest = [
            ("GNU.sparse.size", "600"),
            ("GNU.sparse.numblocks", "2"),
            ("GNU.sparse.offset", "0"),
            ("GNU.sparse.numbytes", "5"),
            ("GNU.sparse.offset", "512"),
            ("GNU.sparse.numbytes", "1"),
        ];
        assert_eq!(heard(&oldest), Ok(Some(Announced { name: None, size: 600, map: map.clone() })));
        let second = [
            ("GNU.sparse.name", "a"),
            ("GNU.sparse.size", "600"),
            ("GNU.sparse.numblocks", "2"),
            ("GNU.sparse.map", "0,5,512,1"),
        ];
        assert_eq!(heard(&second), Ok(Some(Announced { name: Some(b"a".to_vec()), size: 600, map: map.clone() })));
        let newest = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "600")];
        assert_eq!(heard(&newest), Ok(Some(Announced { name: None, size: 600, map: None })));
        let mut reader = BeforeData::default();
        assert_eq!(reader.read(b"2\n0\n5\n51"), Ok(None));
        assert_eq!(reader.read(b"2\n1\n\0\0"), Ok(map));
        assert_eq!(BeforeData::default().read(b"0\n\0"), Ok(Some(vec![])));
    }

    #[test]
    fn what_is_no_map_is_refused() {
        let size = ("GNU.sparse.size", "600");
        for records in [
            &[size][..],
            &[size, ("GNU.sparse.numblocks", "1"), ("GNU.sparse.map", "0,5,512")],
            &[size, ("GNU.sparse.numblocks", "1"), ("GNU.sparse.map", "0,+5")],
            &[size, ("GNU.sparse.numblocks", "2"), ("GNU.sparse.map", "0,5")],
            &[size, ("GNU.sparse.map", "0,5")],
            &[("GNU.sparse.numblocks", "1"), ("GNU.sparse.map", "0,5")],
            &[size, ("GNU.sparse.realsize", "5"), ("GNU.sparse.numblocks", "1"), ("GNU.sparse.map", "0,5")],
            &[size, ("GNU.sparse.numblocks", "1"), ("GNU.sparse.numbytes", "5"), ("GNU.sparse.offset", "0")],
            &[size, ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "1")],
            &[size, ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.map", "0,5")],
        ] {
            assert!(heard(records).is_err(), "{records:?}");
        }
        for blocks in ["x\n", "\n", "1\n0\n5\nrest", "9223372036854775808\n", "1\n-1\n"] {
            assert!(BeforeData::default().read(blocks.as_bytes()).is_err(), "{blocks:?}");
        }
        for blocks in ["", "2", "2\n0\n5\n512\n"] {
            assert_eq!(BeforeData::default().read(blocks.as_bytes()), Ok(None), "{blocks:?}");
        }
        for (map, size, stored) in [
            (vec![(512, 512), (0, 3)], 2000, 515),
            (vec![(0, 4)], 3, 4),
            (vec![(0, 4)], 9, 5),
            (vec![(u64::MAX, 2)], 9, 2),
        ] {
            assert!(checked(map, size, stored).is_err());
        }
        assert_eq!(checked(vec![(0, 2), (9, 0)], 9, 2), Ok(vec![(0, 2)]));
    }
}

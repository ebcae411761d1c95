//! Reads from an ELF file what the kernel and the loader read before a program runs, and nothing more: elf(5).
//!
//! The file may be broken or made to do harm. So every offset is checked against the file, every count and length
//! has a limit, and the file is read in place, never mapped and never run.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;

use crate::error::Fault;

/// More program headers than any linker writes.
const MAX_HEADERS: u64 = 128;
/// More entries than the dynamic section of any program has.
const MAX_DYNAMIC: u64 = 4096;
/// More libraries than any program names itself.
const MAX_NEEDED: u64 = 256;
/// PATH_MAX: the kernel takes no longer name for an interpreter.
const MAX_STRING: u64 = 4096;

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;

const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// Bytes that can be read at an offset: a file, or memory in tests.
pub(crate) trait Bytes {
    /// How many there are.
    fn size(&self) -> io::Result<u64>;
    /// Fills `buffer` from `offset` on.
    fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Bytes for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
    fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

/// What is known of an ELF file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Elf {
    /// ELFCLASS64, else ELFCLASS32.
    pub wide: bool,
    /// `e_machine`.
    pub machine: u64,
    /// `e_type` is ET_DYN: a library or a position-independent program; else ET_EXEC.
    pub shared: bool,
    /// PT_INTERP: the loader that the kernel starts in the program's place.
    pub interpreter: Option<OsString>,
    /// DT_NEEDED, in their order.
    pub needed: Vec<OsString>,
    /// DT_RPATH, not split.
    pub rpath: Option<OsString>,
    /// DT_RUNPATH, not split.
    pub runpath: Option<OsString>,
}

impl Elf {
    /// Reads `file`.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(file: &dyn Bytes) -> Result<Self, Fault> {
        let size = file.size()?;
        let mut ident = [0; 16];
        // A file too short for the magic number is not a broken ELF file, it is none.
        if size < 4 {
            return Err(Fault::Magic);
        }
        file.read(&mut ident[..4], 0)?;
        if &ident[..4] != b"\x7fELF" {
            return Err(Fault::Magic);
        }
        let mut reader = Reader { file, size, wide: true, big: false };
        reader.fill(&mut ident, 0, "e_ident")?;
        reader.wide = match ident[4] {
            1 => false,
            2 => true,
            found => return Err(Fault::Unknown { what: "EI_CLASS", found: found.into() }),
        };
        reader.big = match ident[5] {
            1 => false,
            2 => true,
            found => return Err(Fault::Unknown { what: "EI_DATA", found: found.into() }),
        };
        reader.whole()
    }

    /// Whether the kernel runs it without a loader.
    pub fn is_static(&self) -> bool {
        self.interpreter.is_none() && self.needed.is_empty()
    }
}

/// The fields of a program header that are of use.
struct Header {
    kind: u64,
    offset: u64,
    address: u64,
    size: u64,
}

struct Reader<'a> {
    file: &'a dyn Bytes,
    size: u64,
    wide: bool,
    big: bool,
}

impl Reader<'_> {
    fn whole(&self) -> Result<Elf, Fault> {
        let mut head = [0; 64];
        let head = &mut head[..if self.wide { 64 } else { 52 }];
        self.fill(head, 0, "the ELF header")?;
        let shared = match self.number(head, 16, 2) {
            2 => false,
            3 => true,
            found => return Err(Fault::Unknown { what: "e_type", found }),
        };
        let machine = self.number(head, 18, 2);
        let headers = self.headers(head)?;
        let interpreter = match headers.iter().find(|header| header.kind == PT_INTERP) {
            Some(header) => Some(self.string(header.offset, header.size, "PT_INTERP")?),
            None => None,
        };
        let mut elf =
            Elf { wide: self.wide, machine, shared, interpreter, needed: Vec::new(), rpath: None, runpath: None };
        if let Some(header) = headers.iter().find(|header| header.kind == PT_DYNAMIC) {
            self.dynamic(header, &headers, &mut elf)?;
        }
        Ok(elf)
    }

    fn headers(&self, head: &[u8]) -> Result<Vec<Header>, Fault> {
        let (start, entry, count) = if self.wide {
            (self.number(head, 32, 8), self.number(head, 54, 2), self.number(head, 56, 2))
        } else {
            (self.number(head, 28, 4), self.number(head, 42, 2), self.number(head, 44, 2))
        };
        if count == 0 {
            return Ok(Vec::new());
        }
        if count > MAX_HEADERS {
            return Err(Fault::Limit { what: "e_phnum", found: count, limit: MAX_HEADERS });
        }
        let length: usize = if self.wide { 56 } else { 32 };
        if entry != length as u64 {
            return Err(Fault::Unknown { what: "e_phentsize", found: entry });
        }
        // At most 128 × 56 bytes.
        let mut table = vec![0; length * usize::try_from(count).unwrap_or(0)];
        self.fill(&mut table, start, "the table of program headers")?;
        let header = |bytes: &[u8]| {
            let kind = self.number(bytes, 0, 4);
            if self.wide {
                let (offset, address) = (self.number(bytes, 8, 8), self.number(bytes, 16, 8));
                Header { kind, offset, address, size: self.number(bytes, 32, 8) }
            } else {
                let (offset, address) = (self.number(bytes, 4, 4), self.number(bytes, 8, 4));
                Header { kind, offset, address, size: self.number(bytes, 16, 4) }
            }
        };
        Ok(table.chunks_exact(length).map(header).collect())
    }

    fn dynamic(&self, section: &Header, headers: &[Header], elf: &mut Elf) -> Result<(), Fault> {
        let length: usize = if self.wide { 16 } else { 8 };
        let entries = section.size / length as u64;
        if entries > MAX_DYNAMIC {
            return Err(Fault::Limit { what: "the number of dynamic entries", found: entries, limit: MAX_DYNAMIC });
        }
        // At most 4096 × 16 bytes.
        let mut table = vec![0; length * usize::try_from(entries).unwrap_or(0)];
        self.fill(&mut table, section.offset, "PT_DYNAMIC")?;
        let (mut needed, mut rpath, mut runpath) = (Vec::new(), None, None);
        let (mut strings, mut strings_size) = (None, None);
        for entry in table.chunks_exact(length) {
            let value = self.number(entry, length / 2, length / 2);
            match self.number(entry, 0, length / 2) {
                DT_NULL => break,
                DT_NEEDED => needed.push(value),
                DT_RPATH => rpath = Some(value),
                DT_RUNPATH => runpath = Some(value),
                DT_STRTAB => strings = Some(value),
                DT_STRSZ => strings_size = Some(value),
                _ => {}
            }
        }
        let count = needed.len() as u64;
        if count > MAX_NEEDED {
            return Err(Fault::Limit { what: "the number of needed libraries", found: count, limit: MAX_NEEDED });
        }
        if needed.is_empty() && rpath.is_none() && runpath.is_none() {
            return Ok(());
        }
        // DT_STRTAB is an address in memory: the segment that is loaded there tells where it is in the file.
        let strings = strings.ok_or(Fault::Empty { what: "DT_STRTAB" })?;
        let strings_size = strings_size.ok_or(Fault::Empty { what: "DT_STRSZ" })?;
        let (start, room) = headers
            .iter()
            .filter(|header| header.kind == PT_LOAD)
            .find_map(|load| {
                let within = strings.checked_sub(load.address)?;
                let room = load.size.checked_sub(within)?;
                Some((load.offset.checked_add(within)?, room))
            })
            .ok_or(Fault::Outside { what: "DT_STRTAB" })?;
        let table = room.min(strings_size);
        let string = |index: u64, what| {
            let room = table.checked_sub(index).ok_or(Fault::Outside { what })?;
            self.string(start.checked_add(index).ok_or(Fault::Outside { what })?, room, what)
        };
        elf.needed = needed.into_iter().map(|index| string(index, "DT_NEEDED")).collect::<Result<_, _>>()?;
        elf.rpath = rpath.map(|index| string(index, "DT_RPATH")).transpose().or_else(empty)?;
        elf.runpath = runpath.map(|index| string(index, "DT_RUNPATH")).transpose().or_else(empty)?;
        Ok(())
    }

    /// The string at `offset`, of at most `room` bytes with the zero byte that ends it.
    fn string(&self, offset: u64, room: u64, what: &'static str) -> Result<OsString, Fault> {
        let rest = self.size.checked_sub(offset).ok_or(Fault::Outside { what })?;
        let length = room.min(rest).min(MAX_STRING);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.fill(&mut bytes, offset, what)?;
        let Some(end) = bytes.iter().position(|byte| *byte == 0) else {
            return Err(match length {
                MAX_STRING => Fault::Limit { what, found: room, limit: MAX_STRING },
                _ => Fault::Endless { what },
            });
        };
        if end == 0 {
            return Err(Fault::Empty { what });
        }
        bytes.truncate(end);
        Ok(OsString::from_vec(bytes))
    }

    fn fill(&self, buffer: &mut [u8], offset: u64, what: &'static str) -> Result<(), Fault> {
        match offset.checked_add(buffer.len() as u64) {
            Some(end) if end <= self.size => Ok(self.file.read(buffer, offset)?),
            _ => Err(Fault::Outside { what }),
        }
    }

    /// The number of `length` bytes at `at`, in the file's byte order. Every caller stays within a buffer that was
    /// filled; were it not so, the bytes that are not there would count as zeros.
    fn number(&self, bytes: &[u8], at: usize, length: usize) -> u64 {
        let field = bytes.get(at..at + length).unwrap_or_default();
        let shift = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.big { field.iter().fold(0, shift) } else { field.iter().rev().fold(0, shift) }
    }
}

/// An empty search path is the same as none.
fn empty(fault: Fault) -> Result<Option<OsString>, Fault> {
    if matches!(fault, Fault::Empty { .. }) { Ok(None) } else { Err(fault) }
}

#[cfg(test)]
#[path = "elf_tests.rs"]
mod tests;

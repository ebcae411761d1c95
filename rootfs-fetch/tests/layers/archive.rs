//! Archives, header by header: also those that no writer makes.

use std::os::unix::ffi::OsStrExt;

/// A member, to be changed field by field.
#[derive(Clone, Debug)]
pub struct Entry {
    pub header: Vec<u8>,
    pub data: Vec<u8>,
    pub pax: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    pub fn new(kind: u8, name: impl AsRef<[u8]>) -> Self {
        let mut entry = Self { header: vec![0; 512], data: Vec::new(), pax: Vec::new() };
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        entry.header[156] = kind;
        entry.put(257, b"ustar\x0000");
        entry.octal(100, 8, if kind == b'5' { 0o755 } else { 0o644 });
        entry.octal(136, 12, 1_000_000_000);
        let entry = entry.owner(uid, gid);
        let name = name.as_ref();
        if name.len() <= 100 { entry.field(0, name) } else { entry.pax("path", name) }
    }

    /// Raw bytes at an offset of the header.
    pub fn field(mut self, at: usize, bytes: &[u8]) -> Self {
        self.put(at, bytes);
        self
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.header[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn octal(&mut self, at: usize, length: usize, number: u64) {
        self.put(at, format!("{number:0width$o}\0", width = length - 1).as_bytes());
    }

    pub fn mode(mut self, mode: u32) -> Self {
        self.octal(100, 8, mode.into());
        self
    }

    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.octal(108, 8, uid.into());
        self.octal(116, 8, gid.into());
        self
    }

    pub fn size(mut self, size: u64) -> Self {
        self.octal(124, 12, size);
        self
    }

    pub fn device(mut self, major: u32, minor: u32) -> Self {
        self.octal(329, 8, major.into());
        self.octal(337, 8, minor.into());
        self
    }

    pub fn link(self, to: impl AsRef<[u8]>) -> Self {
        let to = to.as_ref();
        if to.len() <= 100 { self.field(157, to) } else { self.pax("linkpath", to) }
    }

    pub fn pax(mut self, keyword: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.pax.push((keyword.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    pub fn data(self, data: impl AsRef<[u8]>) -> Self {
        let data = data.as_ref().to_vec();
        Self { data: data.clone(), ..self.size(data.len() as u64) }
    }

    /// Its blocks, with the headers before it and the checksum.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if !self.pax.is_empty() {
            let records: Vec<u8> = self.pax.iter().flat_map(|(keyword, value)| record(keyword, value)).collect();
            bytes.extend(Self::new(b'x', "pax").data(records).bytes());
        }
        let mut header = self.header.clone();
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend(header);
        bytes.extend(&self.data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

fn record(keyword: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = [b" ", keyword, b"=", value, b"\n"].concat();
    let length = |digits: usize| rest.len() + digits;
    let digits = (1..20).find(|digits| length(*digits).to_string().len() == *digits).expect("a length");
    [length(digits).to_string().as_bytes(), &rest].concat()
}

pub fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Entry {
    Entry::new(b'0', name).data(data)
}

pub fn directory(name: impl AsRef<[u8]>) -> Entry {
    Entry::new(b'5', name)
}

pub fn symlink(name: impl AsRef<[u8]>, to: impl AsRef<std::ffi::OsStr>) -> Entry {
    Entry::new(b'2', name).link(to.as_ref().as_bytes())
}

pub fn hardlink(name: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Entry {
    Entry::new(b'1', name).link(to)
}

/// A member that only a name is needed of.
pub fn whiteout(name: &str) -> Entry {
    file(name, "")
}

/// The members and the two blocks of zeros.
pub fn archive(entries: impl IntoIterator<Item = Entry>) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries.into_iter().flat_map(|entry| entry.bytes()).collect();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

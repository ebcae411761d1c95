//! Headers: ustar, and PAX for what that has no room for (POSIX.1-2024, pax, "ustar Interchange Format" and "pax Extended Header").

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tar::{EntryType, Header};

use super::PackError;

/// What the fields for owners, and those for sizes and times, have room for, in octal digits.
const MAX_ID: u32 = 0o7_777_777;
const MAX_LONG: u64 = 0o77_777_777_777;
/// The names of the header have so many bytes.
const NAME: usize = 100;
/// The most bytes of PAX records that readers take for one entry.
const MAX_RECORDS: usize = 1 << 20;

/// Of whatever is in a layer: who owns it, and what is known of it but its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Permissions, with setuid, setgid and sticky bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// When its contents were changed last.
    pub mtime: SystemTime,
    /// Extended attributes, by their whole names, such as `user.comment`.
    pub xattrs: BTreeMap<OsString, Vec<u8>>,
}

impl Metadata {
    /// With this mode, of root, of 1970, without extended attributes.
    pub fn new(mode: u32) -> Self {
        Self { mode, uid: 0, gid: 0, mtime: UNIX_EPOCH, xattrs: BTreeMap::new() }
    }
}

/// What ends up before the data of an entry.
pub(super) struct Headers {
    pub header: Header,
    /// In the order of their keywords.
    pub pax: BTreeMap<String, Vec<u8>>,
}

impl Headers {
    /// Of the entry at `path`.
    pub fn new(path: &Path, kind: EntryType, metadata: &Metadata) -> Result<Self, PackError> {
        let mut headers = Self { header: Header::new_ustar(), pax: BTreeMap::new() };
        let mut name = path.as_os_str().as_bytes().to_vec();
        if name.is_empty() {
            name.push(b'.');
        }
        if kind == EntryType::Directory {
            name.push(b'/');
        }
        headers.text("path", &name);
        headers.header.set_entry_type(kind);
        headers.header.set_mode(metadata.mode & 0o7777);
        let (uid, gid) = (headers.id("uid", metadata.uid), headers.id("gid", metadata.gid));
        headers.header.set_uid(uid);
        headers.header.set_gid(gid);
        headers.time(metadata.mtime);
        for (name, value) in &metadata.xattrs {
            let keyword = name.to_str().filter(|name| !name.contains('='));
            let keyword = keyword
                .ok_or_else(|| PackError::refused(path, format!("no keyword can be made of its attribute {name:?}")))?;
            headers.pax.insert(format!("SCHILY.xattr.{keyword}"), value.clone());
        }
        // The length before a record and what separates it have no more than ten bytes.
        if headers.pax.iter().map(|(keyword, value)| keyword.len() + value.len() + 10).sum::<usize>() > MAX_RECORDS {
            return Err(PackError::refused(path, "its extended attributes have more than 1 MiB"));
        }
        Ok(headers)
    }

    /// A name, in the header where it has room. What is no UTF-8 is bytes and nothing else, which PAX wants to be said.
    fn text(&mut self, keyword: &str, text: &[u8]) {
        let old = self.header.as_old_mut();
        let field = if keyword == "path" { &mut old.name } else { &mut old.linkname };
        if text.len() <= NAME {
            field[..text.len()].copy_from_slice(text);
            return;
        }
        if std::str::from_utf8(text).is_err() {
            self.pax.insert("hdrcharset".into(), b"BINARY".to_vec());
        }
        self.pax.insert(keyword.into(), text.to_vec());
    }

    /// Where a link leads.
    pub fn link(&mut self, path: &Path) {
        self.text("linkpath", path.as_os_str().as_bytes());
    }

    /// The numbers of a device.
    pub fn device(&mut self, major: u32, minor: u32) {
        if let Some(ustar) = self.header.as_ustar_mut() {
            ustar.set_device_major(major);
            ustar.set_device_minor(minor);
        }
    }

    /// The size of a file. Where the header has no room for it, it is 0 there.
    pub fn size(&mut self, size: u64) {
        if size > MAX_LONG {
            self.pax.insert("size".into(), size.to_string().into_bytes());
        }
        self.header.set_size(if size > MAX_LONG { 0 } else { size });
    }

    fn id(&mut self, keyword: &str, id: u32) -> u64 {
        if id <= MAX_ID {
            return id.into();
        }
        self.pax.insert(keyword.into(), id.to_string().into_bytes());
        0
    }

    fn time(&mut self, time: SystemTime) {
        let (sign, distance) = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => ("", since),
            Err(before) => ("-", before.duration()),
        };
        let (seconds, nanoseconds) = (distance.as_secs(), distance.subsec_nanos());
        if sign.is_empty() && nanoseconds == 0 && seconds <= MAX_LONG {
            self.header.set_mtime(seconds);
            return;
        }
        let mut text = format!("{sign}{seconds}.{nanoseconds:09}");
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
        self.pax.insert("mtime".into(), text.into_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn mtime(time: SystemTime) -> (u64, Option<String>) {
        let metadata = Metadata { mtime: time, ..Metadata::new(0o644) };
        let headers = Headers::new(Path::new("f"), EntryType::Regular, &metadata).expect("headers");
        let pax = headers.pax.get("mtime").map(|text| String::from_utf8_lossy(text).into_owned());
        (headers.header.mtime().expect("a number"), pax)
    }

    #[test]
    fn times_that_the_header_can_not_hold_are_pax() {
        let second = Duration::from_secs(1);
        assert_eq!(mtime(UNIX_EPOCH + second), (1, None));
        assert_eq!(mtime(UNIX_EPOCH + second * 10), (10, None));
        assert_eq!(mtime(UNIX_EPOCH + Duration::from_millis(1500)), (0, Some("1.5".into())));
        assert_eq!(mtime(UNIX_EPOCH - Duration::from_millis(1500)), (0, Some("-1.5".into())));
        assert_eq!(mtime(UNIX_EPOCH - second * 10), (0, Some("-10".into())));
        let far = Duration::from_secs(MAX_LONG + 1);
        assert_eq!(mtime(UNIX_EPOCH + far), (0, Some("8589934592".into())));
    }

    #[test]
    fn names_and_ids_that_the_header_can_not_hold_are_pax() {
        let metadata = Metadata { uid: MAX_ID, gid: MAX_ID + 1, ..Metadata::new(0o755) };
        let long = "x".repeat(NAME);
        let file = Headers::new(Path::new(&long), EntryType::Regular, &metadata).expect("headers");
        assert_eq!(file.header.as_old().name, long.as_bytes());
        assert_eq!(file.header.uid().expect("a number"), u64::from(MAX_ID));
        assert_eq!(file.pax.into_iter().collect::<Vec<_>>(), [("gid".to_owned(), b"2097152".to_vec())]);
        let directory = Headers::new(Path::new(&long), EntryType::Directory, &metadata).expect("headers");
        assert_eq!(directory.pax["path"], format!("{long}/").into_bytes());
        let mut bytes = Headers::new(Path::new("l"), EntryType::Symlink, &Metadata::new(0o777)).expect("headers");
        bytes.link(Path::new(std::ffi::OsStr::from_bytes(&[0xff; NAME + 1])));
        assert_eq!(bytes.pax["hdrcharset"], b"BINARY");
    }

    #[test]
    fn attributes_without_a_keyword_or_an_end_are_refused() {
        for (name, length) in [("user.a=b", 1), ("user.a", MAX_RECORDS)] {
            let mut metadata = Metadata::new(0o644);
            metadata.xattrs.insert(name.into(), vec![0; length]);
            let headers = Headers::new(Path::new("f"), EntryType::Regular, &metadata);
            assert!(matches!(headers, Err(PackError::Refused { .. })), "{name}");
        }
    }
}

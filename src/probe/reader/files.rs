//! Reading the text of files, and links.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Reader;
use crate::kernel::errno::Errno;
use crate::probe::Reading;

/// The most that is read of one file, in bytes. The longest files, mountinfo of many mounts, stay far below.
const MAX_FILE: u64 = 1 << 20;

/// A read that gives less than this, in bytes, has come to the end of a file of short lines. The kernel gives at least a page at once,
/// but for a line that does not fit any more (seq_file), and none of these is half as long.
const HALF_A_PAGE: usize = PAGE / 2;

/// What is read at once of a file that is mostly shorter, in bytes.
const PAGE: usize = 4096;

impl Reader {
    /// A file, parsed; the error of `parse` is the text that it could not understand.
    pub(in crate::probe) fn parsed<T>(
        &mut self,
        path: &Path,
        parse: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Reading<T> {
        self.parse(File::open(path), parse)
    }

    pub(super) fn parse<T>(
        &mut self,
        file: io::Result<File>,
        parse: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Reading<T> {
        understood(self.text(file), parse)
    }

    /// The same of a file whose lines may be of any length.
    pub(super) fn parsed_to_its_end<T>(
        &mut self,
        path: &Path,
        parse: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Reading<T> {
        self.buffer.clear();
        let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut self.buffer));
        understood(read.map(|_| self.buffer.as_slice()), parse)
    }

    /// The text of a file of short lines, at most [`MAX_FILE`] bytes of it.
    pub(super) fn text(&mut self, file: io::Result<File>) -> io::Result<&[u8]> {
        let mut file = file?.take(MAX_FILE);
        self.buffer.resize(PAGE, 0);
        let read = file.read(&mut self.buffer)?;
        self.buffer.truncate(read);
        if read >= HALF_A_PAGE {
            file.read_to_end(&mut self.buffer)?;
        }
        Ok(&self.buffer)
    }
}

fn understood<T>(text: io::Result<&[u8]>, parse: impl FnOnce(&[u8]) -> Result<T, String>) -> Reading<T> {
    match text.map(parse) {
        Ok(Ok(value)) => Reading::Value(value),
        Ok(Err(text)) => Reading::Unreadable(text),
        Err(error) => Reading::Missing(Errno::from(&error)),
    }
}

/// The target of a link, made readable.
pub(super) fn link(path: &Path) -> Reading<String> {
    target(fs::read_link(path))
}

pub(super) fn target(read: io::Result<PathBuf>) -> Reading<String> {
    Reading::from(read).map(|target| target.to_string_lossy().into_owned())
}

/// The text without its line end, made readable and cut.
pub(in crate::probe) fn readable(text: &[u8]) -> String {
    String::from_utf8_lossy(text.get(..200).unwrap_or(text)).trim_end().to_owned()
}

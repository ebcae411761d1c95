//! The directories in which the loader looks for libraries: ld.so(8), ldconfig(8).
//!
//! `/etc/ld.so.cache` is not read: ldconfig makes it of these same files, and what somebody once added to it by hand, it
//! forgets the next time that a package is installed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::machine::Machine;

/// Where each loader looks, whatever else it is told. The loader's own directory is one of them too.
pub(crate) const DEFAULT: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];
/// Where musl's loader looks when no file tells it otherwise.
const MUSL: [&str; 3] = ["/lib", "/usr/local/lib", "/usr/lib"];

const MAX_FILES: usize = 256;
const MAX_DEPTH: usize = 8;
const MAX_BYTES: u64 = 64 * 1024;
const MAX_DIRECTORIES: usize = 256;

/// What `/etc/ld.so.conf` and the files that it includes name.
///
/// # Errors
/// A file that is there and can not be read, or more of them than anyone has.
pub(crate) fn configured(machine: &Machine) -> Result<Vec<PathBuf>, Error> {
    let mut reading = Reading { machine, files: 0, directories: Vec::new() };
    reading.file(Path::new("/etc/ld.so.conf"), 0)?;
    Ok(reading.directories)
}

/// Where musl's loader for `arch` looks, and the file that says so if there is one.
///
/// # Errors
/// The file is there and can not be read.
pub(crate) fn musl(machine: &Machine, arch: &OsStr) -> Result<(Vec<PathBuf>, Option<PathBuf>), Error> {
    let mut name = OsString::from("/etc/ld-musl-");
    name.push(arch);
    name.push(".path");
    let path = PathBuf::from(name);
    let Some(found) = machine.find_file(&path)? else { return Ok((MUSL.map(PathBuf::from).into(), None)) };
    let bytes = machine.beginning(&found, MAX_BYTES)?;
    let named = bytes.split(|byte| matches!(byte, b':' | b'\n')).filter_map(absolute);
    Ok((named.take(MAX_DIRECTORIES).collect(), Some(path)))
}

struct Reading<'a> {
    machine: &'a Machine,
    files: usize,
    directories: Vec<PathBuf>,
}

impl Reading<'_> {
    fn file(&mut self, path: &Path, depth: usize) -> Result<(), Error> {
        let Some(found) = self.machine.find_file(path)? else { return Ok(()) };
        self.files += 1;
        if self.files > MAX_FILES || depth > MAX_DEPTH {
            let why = format!("/etc/ld.so.conf includes more than {MAX_FILES} files, or includes itself");
            return Err(Error::unusable(path, why));
        }
        for line in self.machine.beginning(&found, MAX_BYTES)?.split(|byte| *byte == b'\n') {
            let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
            let mut words = line.split(|byte| byte.is_ascii_whitespace() || matches!(byte, b':' | b','));
            let mut words = words.by_ref().filter(|word| !word.is_empty()).peekable();
            match words.peek() {
                Some(&b"include") => {
                    for pattern in words.skip(1) {
                        // A relative pattern counts from the directory of the file that it stands in.
                        let base = path.parent().unwrap_or(Path::new("/"));
                        for file in self.matching(&base.join(OsStr::from_bytes(pattern)))? {
                            self.file(&file, depth + 1)?;
                        }
                    }
                }
                Some(&b"hwcap") => {}
                _ => self.directories.extend(words.filter_map(absolute)),
            }
        }
        self.directories.truncate(MAX_DIRECTORIES);
        Ok(())
    }

    /// The paths that a pattern stands for, sorted, at most [`MAX_FILES`].
    fn matching(&self, pattern: &Path) -> Result<Vec<PathBuf>, Error> {
        let mut paths = vec![PathBuf::from("/")];
        for component in pattern.components().skip(1) {
            let component = component.as_os_str();
            if !component.as_bytes().iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
                paths.iter_mut().for_each(|path| path.push(component));
                continue;
            }
            let mut next = Vec::new();
            for path in &paths {
                let names = self.machine.list(path)?;
                let fits = |name: &&OsString| matches(component.as_bytes(), name.as_bytes());
                next.extend(names.iter().filter(fits).map(|name| path.join(name)));
                next.truncate(MAX_FILES);
            }
            paths = next;
        }
        Ok(paths)
    }
}

/// A directory named in a file; older files add its kind after `=`.
fn absolute(word: &[u8]) -> Option<PathBuf> {
    let word = word.split(|byte| *byte == b'=').next().unwrap_or_default();
    (word.first() == Some(&b'/')).then(|| PathBuf::from(OsString::from_vec(word.to_vec())))
}

/// Whether `name` fits `pattern`: glob(7) within one component. It goes back only to the last `*`, so the work is at
/// most the product of both lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // A leading dot has to be matched by a dot.
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, n));
            p += 1;
            continue;
        }
        if let Some(length) = one(&pattern[p.min(pattern.len())..], name[n]) {
            p += length;
            n += 1;
            continue;
        }
        let Some((at, from)) = star else { return false };
        star = Some((at, from + 1));
        (p, n) = (at + 1, from + 1);
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// The length of the beginning of `pattern` that stands for the one byte, if it does.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern.first()? {
        b'?' => Some(1),
        b'[' => {
            let not = matches!(pattern.get(1), Some(b'!' | b'^'));
            let start = 1 + usize::from(not);
            // A `]` that comes first is a member.
            let end = pattern.iter().skip(start + 1).position(|byte| *byte == b']').map(|at| at + start + 1);
            let Some(end) = end else { return (byte == b'[').then_some(1) };
            let (mut set, mut within) = (&pattern[start..end], false);
            while let [first, rest @ ..] = set {
                if let [b'-', last, after @ ..] = rest {
                    within |= (*first..=*last).contains(&byte);
                    set = after;
                } else {
                    within |= *first == byte;
                    set = rest;
                }
            }
            (within != not).then_some(end + 1)
        }
        literal => (*literal == byte).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_glob_does() {
        for (pattern, name, fits) in [
            ("*.conf", "libc.conf", true),
            ("*.conf", ".hidden.conf", false),
            (".*", ".hidden", true),
            ("*.conf", "libc.conf.old", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[", "[", true),
            ("**a*b", "xaxb", true),
            ("*a", "aab", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} and {name}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]
        #[test]
        fn matching_ends_on_anything(pattern in "[a*?\\[\\]!-]{0,40}", name in "[a\\]b-]{0,40}") {
            matches(pattern.as_bytes(), name.as_bytes());
        }
    }
}

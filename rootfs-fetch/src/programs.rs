//! Programs of the machine, with all that they need to run.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::draft::Draft;
use crate::error::Error;
use crate::libraries::Libraries;
use crate::machine::{Found, Machine, is_no_elf};
use crate::plan::Extent;

/// Where programs are looked for by name, in this order.
const SEARCHED: [&str; 6] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"];
/// Where ncurses looks for terminals, and those that people have: terminfo(5).
const TERMINFO: [&str; 3] = ["/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo"];
const TERMINALS: [&str; 8] =
    ["linux", "screen", "screen-256color", "tmux", "tmux-256color", "vt100", "xterm", "xterm-256color"];
/// The kernel reads no more of a script's first line: BINPRM_BUF_SIZE.
const SCRIPT_LINE: u64 = 256;
/// The kernel goes no further from script to script.
const SCRIPT_DEPTH: usize = 5;

/// Finds programs on one machine.
pub(crate) struct Programs<'a> {
    machine: &'a Machine,
    libraries: Libraries<'a>,
    extent: Extent,
}

impl<'a> Programs<'a> {
    /// # Errors
    /// The loader's configuration can not be read.
    pub fn of(machine: &'a Machine, extent: Extent) -> Result<Self, Error> {
        Ok(Self { machine, libraries: Libraries::of(machine, extent)?, extent })
    }

    /// Adds a program, by name or absolute path, with what it needs; returns its path.
    ///
    /// # Errors
    /// It is not there, or something that it needs is not, or is broken. The draft is then as it was.
    pub fn add(&self, name: &OsStr, draft: &mut Draft) -> Result<PathBuf, Error> {
        let path = self.locate(name)?;
        let mut own = Draft::default();
        self.take(&path, 0, &mut own)?;
        draft.merge(own);
        Ok(path)
    }

    /// Adds the file with which glibc before 2.34 turns user ids into names, which no program names itself.
    pub fn add_names(&self, draft: &mut Draft) -> Result<(), Error> {
        let libc = draft.libraries.iter().find(|path| path.file_name() == Some(OsStr::new("libc.so.6")));
        let Some(path) = libc.map(|libc| libc.with_file_name("libnss_files.so.2")) else { return Ok(()) };
        if self.machine.find_file(&path)?.is_some() {
            let found = draft.take(self.machine, &path)?;
            draft.libraries.insert(found.real);
        }
        Ok(())
    }

    /// Adds the descriptions of common terminals, without which a shell can not edit its line.
    pub fn add_terminals(&self, draft: &mut Draft) -> Result<(), Error> {
        for directory in TERMINFO {
            for name in TERMINALS {
                let path = Path::new(directory).join(&name[..1]).join(name);
                if self.machine.find_file(&path)?.is_some() {
                    draft.take(self.machine, &path)?;
                }
            }
        }
        Ok(())
    }

    fn locate(&self, name: &OsStr) -> Result<PathBuf, Error> {
        let absolute = name.as_bytes().first() == Some(&b'/');
        let candidates: Vec<PathBuf> = if absolute {
            vec![PathBuf::from(name)]
        } else if name.is_empty() || name.as_bytes().contains(&b'/') {
            return Err(Error::unusable(name, "a program is given by its name or by its absolute path"));
        } else {
            SEARCHED.iter().map(|directory| Path::new(directory).join(name)).collect()
        };
        for path in candidates {
            let found = self.machine.find_file(&path)?;
            if found.is_some_and(|found| found.metadata.permissions().mode() & 0o111 != 0) {
                return Ok(path);
            }
        }
        let looked =
            if absolute { "that place; a file there would have to be executable".into() } else { SEARCHED.join(", ") };
        Err(Error::NoProgram { name: name.to_owned(), looked })
    }

    fn take(&self, path: &Path, depth: usize, draft: &mut Draft) -> Result<(), Error> {
        let found = draft.take(self.machine, path)?;
        match self.machine.elf(&found) {
            Ok(elf) => self.libraries.add(found, elf, draft),
            Err(error) if is_no_elf(&error) => self.script(&found, depth, draft, error),
            Err(error) => Err(error),
        }
    }

    /// The program that runs a script, and with `env` the one that `env` looks for.
    fn script(&self, found: &Found, depth: usize, draft: &mut Draft, no_elf: Error) -> Result<(), Error> {
        let begin = self.machine.beginning(found, SCRIPT_LINE)?;
        let Some(line) = begin.strip_prefix(b"#!") else { return Err(no_elf) };
        if depth >= SCRIPT_DEPTH {
            return Err(Error::unusable(&found.real, "it is a script that is run by scripts, in a circle or too many"));
        }
        if self.extent < Extent::Loader {
            return Ok(());
        }
        let line = line.split(|byte| matches!(byte, b'\n' | 0)).next().unwrap_or_default();
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        let interpreter = PathBuf::from(OsString::from_vec(words.next().unwrap_or_default().to_vec()));
        let missing = |interpreter: PathBuf| Error::NoInterpreter { path: found.real.clone(), interpreter };
        if !interpreter.is_absolute() || self.machine.find_file(&interpreter)?.is_none() {
            return Err(missing(interpreter));
        }
        self.take(&interpreter, depth + 1, draft)?;
        if interpreter.file_name() == Some(OsStr::new("env")) {
            let is_name = |word: &&[u8]| !word.starts_with(b"-") && !word.contains(&b'=');
            if let Some(name) = words.find(is_name) {
                let name = OsStr::from_bytes(name);
                let path = self.locate(name).map_err(|_| missing(name.into()))?;
                self.take(&path, depth + 1, draft)?;
            }
        }
        Ok(())
    }
}

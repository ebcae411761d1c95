//! Programs of the machine, with all that they need to run.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::machine::{Found, Machine, is_no_elf};
use crate::plan::Plan;
use crate::{directories, libraries};

/// Where programs are looked for by name, in this order.
const SEARCHED: [&str; 6] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"];
/// The kernel reads no more of a script's first line: BINPRM_BUF_SIZE.
const SCRIPT_LINE: u64 = 256;
/// The kernel goes no further from script to script.
const SCRIPT_DEPTH: usize = 5;

/// What a rootfs made of the machine's own programs is to have, and what the learner will miss where it is not.
pub(crate) const WANTED: [(&str, &str); 44] = [
    ("sh", "nothing can be started"),
    ("ls", "looking into directories; `echo *` of the shell lists names"),
    ("cat", "reading files of /proc and /sys"),
    ("ps", "the list of processes; the numbers in /proc tell the same"),
    ("mount", "mounting /proc and tmpfs by hand"),
    ("umount", "unmounting by hand"),
    ("hostname", "showing and setting the host name; /proc/sys/kernel/hostname shows it"),
    ("id", "showing who one is; /proc/self/status shows it"),
    ("sleep", "a process that lasts"),
    ("kill", "sending signals other than by the shell's own `kill`"),
    ("mkdir", "making directories"),
    ("rmdir", "removing directories"),
    ("rm", "removing files"),
    ("ln", "making links"),
    ("cp", "copying files"),
    ("mv", "renaming files"),
    ("echo", "`echo` other than the shell's own"),
    ("env", "showing the environment; scripts that begin with /usr/bin/env"),
    ("grep", "searching in what other commands print"),
    ("sed", "editing what other commands print"),
    ("uname", "showing the kernel's version and the host name"),
    ("head", "the first lines of a file"),
    ("tail", "the last lines of a file"),
    ("wc", "counting"),
    ("sort", "sorting"),
    ("tr", "translating bytes, such as the zero bytes of /proc/PID/environ"),
    ("touch", "making empty files"),
    ("chmod", "changing modes"),
    ("chown", "changing owners"),
    ("chroot", "escaping from a chroot by a second one"),
    ("pivot_root", "changing the root mount by hand"),
    ("unshare", "making namespaces by hand"),
    ("nsenter", "entering namespaces by hand"),
    ("mknod", "making device files by hand"),
    ("readlink", "reading /proc/PID/ns by hand; `ls -l` shows it too"),
    ("stat", "showing inode numbers and owners"),
    ("dd", "writing a given amount, for limits"),
    ("df", "showing how full file systems are"),
    ("free", "showing memory; /proc/meminfo shows it"),
    ("ip", "looking at network interfaces and setting them up by hand"),
    ("ping", "trying a network"),
    ("true", "`true` other than the shell's own"),
    ("test", "`test` other than the shell's own"),
    ("whoami", "showing the user's name"),
];

/// Finds programs on one machine.
pub(crate) struct Programs<'a> {
    machine: &'a Machine,
    configured: Vec<PathBuf>,
}

impl<'a> Programs<'a> {
    /// # Errors
    /// The loader's configuration can not be read.
    pub fn of(machine: &'a Machine) -> Result<Self, Error> {
        Ok(Self { machine, configured: directories::configured(machine)? })
    }

    /// Adds a program, by name or absolute path, with all that it needs; returns its path.
    ///
    /// # Errors
    /// It is not there, or something that it needs is not, or is broken. The plan is then as it was.
    pub fn add(&self, name: &OsStr, plan: &mut Plan) -> Result<PathBuf, Error> {
        let path = self.locate(name)?;
        let mut own = Plan::default();
        self.take(&path, 0, &mut own)?;
        plan.merge(own);
        Ok(path)
    }

    /// Adds the file with which glibc before 2.34 turns user ids into names, which no program names itself.
    pub fn add_names(&self, plan: &mut Plan) -> Result<(), Error> {
        let libc = plan.libraries.iter().find(|path| path.file_name() == Some(OsStr::new("libc.so.6")));
        let Some(path) = libc.map(|libc| libc.with_file_name("libnss_files.so.2")) else { return Ok(()) };
        if self.machine.find_file(&path)?.is_some() {
            let found = plan.take(self.machine, &path)?;
            plan.libraries.insert(found.real);
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

    fn take(&self, path: &Path, depth: usize, plan: &mut Plan) -> Result<(), Error> {
        let found = plan.take(self.machine, path)?;
        match self.machine.elf(&found) {
            Ok(elf) => libraries::add(self.machine, &self.configured, &found, elf, plan),
            Err(error) if is_no_elf(&error) => self.script(&found, depth, plan, error),
            Err(error) => Err(error),
        }
    }

    /// The program that runs a script, and with `env` the one that `env` looks for.
    fn script(&self, found: &Found, depth: usize, plan: &mut Plan, no_elf: Error) -> Result<(), Error> {
        let begin = self.machine.beginning(found, SCRIPT_LINE)?;
        let Some(line) = begin.strip_prefix(b"#!") else { return Err(no_elf) };
        if depth >= SCRIPT_DEPTH {
            return Err(Error::unusable(&found.real, "it is a script that is run by scripts, in a circle or too many"));
        }
        let line = line.split(|byte| matches!(byte, b'\n' | 0)).next().unwrap_or_default();
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        let interpreter = PathBuf::from(OsString::from_vec(words.next().unwrap_or_default().to_vec()));
        let missing = |interpreter: PathBuf| Error::NoInterpreter { path: found.real.clone(), interpreter };
        if !interpreter.is_absolute() || self.machine.find_file(&interpreter)?.is_none() {
            return Err(missing(interpreter));
        }
        self.take(&interpreter, depth + 1, plan)?;
        if interpreter.file_name() == Some(OsStr::new("env")) {
            let is_name = |word: &&[u8]| !word.starts_with(b"-") && !word.contains(&b'=');
            if let Some(name) = words.find(is_name) {
                let name = OsStr::from_bytes(name);
                let path = self.locate(name).map_err(|_| missing(name.into()))?;
                self.take(&path, depth + 1, plan)?;
            }
        }
        Ok(())
    }
}

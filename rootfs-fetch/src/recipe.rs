//! What a rootfs is made of, and the making.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::busybox::{self, Applets};
use crate::error::Error;
use crate::machine::Machine;
use crate::plan::{Entry, Plan};
use crate::programs::{Programs, WANTED};
use crate::target;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
const GROUP: &str = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n";

/// What a rootfs is to be made of.
#[derive(Clone, Debug)]
pub struct Recipe {
    machine: Machine,
    wish: Wish,
}

#[derive(Clone, Debug)]
enum Wish {
    Automatic { busybox: bool },
    Programs(Vec<OsString>),
}

/// A rootfs that was made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rootfs {
    /// Where it is.
    pub path: PathBuf,
    /// What it was made of.
    pub source: Source,
    /// Its programs, as paths within it.
    pub programs: Vec<PathBuf>,
    /// Its loaders and libraries, as paths within it.
    pub libraries: Vec<PathBuf>,
    /// What it should have and has not.
    pub missing: Vec<Missing>,
    /// The sum of its files' lengths.
    pub bytes: u64,
    /// Files that would have been preferred, and why they were passed over.
    pub notes: Vec<String>,
}

/// What a rootfs was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// One static busybox, with a link for each applet.
    Busybox {
        /// The file on the machine.
        path: PathBuf,
        /// Where the names of the links come from.
        applets: Applets,
    },
    /// The machine's programs, with loader and libraries.
    Programs,
}

/// A program that a rootfs has not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// Its name.
    pub program: String,
    /// Why it is not there.
    pub why: String,
    /// What can not be done without it.
    pub lost: &'static str,
}

impl Recipe {
    /// A rootfs to work in: from a static busybox where there is one, else from shell and core programs.
    pub fn automatic() -> Self {
        Self { machine: Machine::at("/"), wish: Wish::Automatic { busybox: true } }
    }

    /// A rootfs of these programs, by name or absolute path, with what they need and nothing else.
    pub fn programs(names: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self { machine: Machine::at("/"), wish: Wish::Programs(names.into_iter().map(Into::into).collect()) }
    }

    /// Takes everything from another machine than this one.
    #[must_use]
    pub fn from(mut self, machine: Machine) -> Self {
        self.machine = machine;
        self
    }

    /// Leaves busybox aside even where there is one.
    #[must_use]
    pub fn without_busybox(mut self) -> Self {
        if let Wish::Automatic { busybox } = &mut self.wish {
            *busybox = false;
        }
        self
    }

    /// Makes the rootfs in `directory`, which must be empty or absent. Nothing outside of it is written.
    ///
    /// # Errors
    /// What could not be found, read or written. Everything that was made is then gone again.
    pub fn make(&self, directory: impl AsRef<Path>) -> Result<Rootfs, Error> {
        let mut plan = Plan::default();
        let mut rootfs = Rootfs {
            path: directory.as_ref().to_owned(),
            source: Source::Programs,
            programs: Vec::new(),
            libraries: Vec::new(),
            missing: Vec::new(),
            bytes: 0,
            notes: Vec::new(),
        };
        match &self.wish {
            Wish::Programs(names) => self.add_all(names, &mut plan, &mut rootfs)?,
            Wish::Automatic { busybox: false } => self.add_wanted(&mut plan, &mut rootfs)?,
            Wish::Automatic { busybox: true } => match busybox::find(&self.machine) {
                Ok(busybox) => add_busybox(busybox, &mut plan, &mut rootfs)?,
                Err(notes) => {
                    rootfs.notes = notes;
                    self.add_wanted(&mut plan, &mut rootfs)?;
                }
            },
        }
        for (path, mode) in
            [("/proc", 0o755), ("/sys", 0o755), ("/dev", 0o755), ("/run", 0o755), ("/home", 0o755), ("/root", 0o700)]
        {
            plan.put(path, Entry::Directory(mode))?;
        }
        plan.put("/tmp", Entry::Directory(0o1777))?;
        plan.put("/etc/passwd", Entry::Text(PASSWD))?;
        plan.put("/etc/group", Entry::Text(GROUP))?;
        plan.put("/etc/hostname", Entry::Text("box\n"))?;
        rootfs.bytes = target::write(&rootfs.path, &plan, &self.machine)?;
        rootfs.libraries = plan.libraries.into_iter().collect();
        Ok(rootfs)
    }

    fn add_all(&self, names: &[OsString], plan: &mut Plan, rootfs: &mut Rootfs) -> Result<(), Error> {
        let programs = Programs::of(&self.machine)?;
        for name in names {
            rootfs.programs.push(programs.add(name, plan)?);
        }
        self.add_aliases(plan)
    }

    /// With a merged `/usr`, what is in `/usr/bin` is in `/bin` too.
    fn add_aliases(&self, plan: &mut Plan) -> Result<(), Error> {
        for path in ["/bin", "/sbin", "/lib", "/lib64", "/usr/sbin"] {
            plan.take_alias(&self.machine, Path::new(path))?;
        }
        Ok(())
    }

    fn add_wanted(&self, plan: &mut Plan, rootfs: &mut Rootfs) -> Result<(), Error> {
        let programs = Programs::of(&self.machine)?;
        for (name, lost) in WANTED {
            match programs.add(name.as_ref(), plan) {
                Ok(path) => rootfs.programs.push(path),
                // A rootfs without a shell is of no use.
                Err(error) if name == "sh" => return Err(error),
                Err(error) => {
                    let why = error.to_string();
                    rootfs.missing.push(Missing { program: name.into(), why, lost });
                }
            }
        }
        self.add_aliases(plan)?;
        // `sh` is asked for as /bin/sh, wherever the machine has it; a link is enough.
        if let Some(sh) = rootfs.programs.first() {
            plan.put("/bin/sh", Entry::Link(sh.clone()))?;
        }
        programs.add_names(plan)
    }
}

fn add_busybox(busybox: busybox::Busybox, plan: &mut Plan, rootfs: &mut Rootfs) -> Result<(), Error> {
    busybox::add(&busybox, plan)?;
    rootfs.programs = busybox.names.iter().map(|name| Path::new("/bin").join(name)).collect();
    for (name, lost) in WANTED.iter().filter(|(name, _)| !busybox.names.contains(*name)) {
        let why = "this busybox was built without it".to_owned();
        rootfs.missing.push(Missing { program: (*name).into(), why, lost });
    }
    rootfs.source = Source::Busybox { path: busybox.path, applets: busybox.applets };
    Ok(())
}

//! What a rootfs is to be made of, and the plan that comes of it.

use std::ffi::OsString;
use std::path::Path;

use crate::busybox::{self, Busybox};
use crate::draft::{Draft, directory, link, text};
use crate::error::Error;
use crate::machine::Machine;
use crate::plan::{Extent, Missing, Plan, Source};
use crate::programs::Programs;
use crate::wanted::WANTED;

/// The directories of a rootfs that are there to be mounted on or written to.
const DIRECTORIES: [(&str, u32); 8] = [
    ("/dev", 0o755),
    ("/home", 0o755),
    ("/mnt", 0o755),
    ("/proc", 0o755),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/sys", 0o755),
    ("/tmp", 0o1777),
];
/// The files without which programs can not give users, groups and addresses their names.
const FILES: [(&str, &str); 4] = [
    ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"),
    ("/etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"),
    ("/etc/hostname", "box\n"),
];

/// What a rootfs is to be made of.
#[derive(Clone, Debug)]
pub struct Recipe {
    machine: Machine,
    wish: Wish,
    extent: Extent,
    bare: bool,
}

#[derive(Clone, Debug)]
enum Wish {
    Automatic,
    Lessons,
    Programs(Vec<OsString>),
}

impl Recipe {
    /// A rootfs to work in: from a static busybox where there is one, else as [`Recipe::lessons`].
    pub fn automatic() -> Self {
        Self::new(Wish::Automatic)
    }

    /// A rootfs with the shells and programs that lessons use, from the machine's own. What the machine has not is left out
    /// and told in [`Plan::missing`].
    pub fn lessons() -> Self {
        Self::new(Wish::Lessons)
    }

    /// A rootfs of these programs, by name or absolute path, with what they need and nothing else.
    pub fn programs(names: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self::new(Wish::Programs(names.into_iter().map(Into::into).collect()))
    }

    fn new(wish: Wish) -> Self {
        Self { machine: Machine::at("/"), wish, extent: Extent::default(), bare: false }
    }

    /// Takes everything from another machine than this one.
    #[must_use]
    pub fn from(mut self, machine: Machine) -> Self {
        self.machine = machine;
        self
    }

    /// Takes no more than this of what each program needs.
    #[must_use]
    pub fn extent(mut self, extent: Extent) -> Self {
        self.extent = extent;
        self
    }

    /// Leaves out what belongs to no program: `/proc`, `/dev`, `/tmp`, `/etc/passwd` and their like.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Looks up on the machine all that the rootfs is to have. Nothing is written, and no program of the machine is started
    /// but its own `busybox --list`, for [`Recipe::automatic`].
    ///
    /// # Errors
    /// What could not be found or read.
    pub fn plan(&self) -> Result<Plan, Error> {
        let mut draft = Draft::default();
        let mut plan = Plan {
            source: Source::Programs,
            entries: Vec::new(),
            programs: Vec::new(),
            libraries: Vec::new(),
            missing: Vec::new(),
            notes: Vec::new(),
        };
        match &self.wish {
            Wish::Programs(names) => self.add_all(names, &mut draft, &mut plan)?,
            Wish::Lessons => self.add_wanted(&mut draft, &mut plan)?,
            Wish::Automatic => match busybox::find(&self.machine) {
                Ok(busybox) => add_busybox(busybox, &mut draft, &mut plan)?,
                Err(notes) => {
                    plan.notes = notes;
                    self.add_wanted(&mut draft, &mut plan)?;
                }
            },
        }
        if !self.bare {
            for (path, mode) in DIRECTORIES {
                draft.put(path, directory(mode))?;
            }
            for (path, content) in FILES {
                draft.put(path, text(content))?;
            }
        }
        plan.libraries = draft.libraries.iter().cloned().collect();
        plan.entries = draft.into_entries();
        Ok(plan)
    }

    /// The machine from which things are taken.
    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    fn add_all(&self, names: &[OsString], draft: &mut Draft, plan: &mut Plan) -> Result<(), Error> {
        let programs = Programs::of(&self.machine, self.extent)?;
        for name in names {
            plan.programs.push(programs.add(name, draft)?);
        }
        self.add_aliases(draft)
    }

    /// With a merged `/usr`, what is in `/usr/bin` is in `/bin` too.
    fn add_aliases(&self, draft: &mut Draft) -> Result<(), Error> {
        for path in ["/bin", "/sbin", "/lib", "/lib64", "/usr/sbin"] {
            draft.take_alias(&self.machine, Path::new(path))?;
        }
        Ok(())
    }

    fn add_wanted(&self, draft: &mut Draft, plan: &mut Plan) -> Result<(), Error> {
        let programs = Programs::of(&self.machine, self.extent)?;
        for (name, lost) in WANTED {
            match programs.add(name.as_ref(), draft) {
                Ok(path) => plan.programs.push(path),
                // A rootfs without a shell is of no use.
                Err(error) if name == "sh" => return Err(error),
                Err(error) => {
                    let why = error.to_string();
                    plan.missing.push(Missing { program: name.into(), why, lost: lost.into() });
                }
            }
        }
        self.add_aliases(draft)?;
        // `sh` is asked for as /bin/sh, wherever the machine has it; a link is enough.
        if let Some(sh) = plan.programs.first() {
            draft.put("/bin/sh", link(sh))?;
        }
        programs.add_terminals(draft)?;
        programs.add_names(draft)
    }
}

fn add_busybox(busybox: Busybox, draft: &mut Draft, plan: &mut Plan) -> Result<(), Error> {
    busybox::add(&busybox, draft)?;
    plan.programs = busybox.names.iter().map(|name| Path::new("/bin").join(name)).collect();
    for (name, lost) in WANTED.iter().filter(|(name, _)| !busybox.names.contains(*name)) {
        let why = "this busybox was built without it".to_owned();
        plan.missing.push(Missing { program: (*name).into(), why, lost: (*lost).into() });
    }
    plan.source = Source::Busybox { path: busybox.found.real, applets: busybox.applets };
    Ok(())
}

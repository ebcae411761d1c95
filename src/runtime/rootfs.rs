//! A rootfs, the tree that becomes a container's `/`, from programs of this machine. What it shall hold is planned by
//! rootfs-fetch, which only looks; the calls that make it are made here, each in the trace.

use std::fs;
use std::path::Path;

use rootfs_fetch::{Entry, Error, Extent, Plan, Recipe, What};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use super::file::misused_path;
use super::process::shell_words;
use crate::kernel::errno::Errno;
use crate::kernel::sys::{self, OFlag};
use crate::kernel::trace::{CallError, Trace};

/// The most programs that a lesson names.
const MAX_PROGRAMS: usize = 64;

/// The bits that the lab's umask takes away from what is made.
const UMASK: u32 = 0o022;

/// Makes a rootfs, or adds what is not there yet to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rootfs {
    /// Who.
    pub r#in: String,
    /// Where: a directory, which is made if need be.
    pub at: String,
    /// Which programs. None: all that lessons use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<String>,
    /// How much of what each program needs comes with it.
    #[serde(default)]
    pub extent: Extent,
    /// Without what belongs to no program: `/proc`, `/tmp`, `/etc/passwd` and their like.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bare: bool,
    /// The expected errno.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_with: Option<Errno>,
}

impl Rootfs {
    /// What the rootfs shall hold, and what it can not, because this machine has not got it.
    fn plan(&self) -> Result<(Plan, Vec<String>), Error> {
        let mut programs = self.programs.clone();
        let mut missing = Vec::new();
        loop {
            let recipe = if self.programs.is_empty() { Recipe::lessons() } else { Recipe::programs(&programs) };
            let recipe = if self.bare { recipe.bare() } else { recipe };
            match recipe.extent(self.extent).plan() {
                Ok(plan) => {
                    let without = |it: &rootfs_fetch::Missing| format!("{}: {}; lost: {}", it.program, it.why, it.lost);
                    missing.extend(plan.missing.iter().map(without));
                    return Ok((plan, missing));
                }
                // A rootfs without one of several programs still teaches what it shall teach.
                Err(Error::NoProgram { name, .. }) if programs.len() > 1 && programs.iter().any(|it| name == **it) => {
                    programs.retain(|it| name != **it);
                    missing.push(format!("{}: this machine does not have it", name.display()));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Mechanism for Rootfs {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let Self { r#in, at, programs, .. } = self;
        if programs.is_empty() {
            return format!("{in} makes a rootfs in {at}, with all programs that lessons use and what they need");
        }
        let programs = programs.join(", ");
        match self.extent {
            Extent::Program => format!("{in} copies {programs} into {at}, and nothing that it needs"),
            Extent::Loader => format!("{in} adds the loader that {programs} names to {at}"),
            Extent::Libraries => format!("{in} copies {programs} into {at}, with loader and libraries"),
        }
    }

    fn shell(&self) -> Option<String> {
        if self.programs.is_empty() {
            return Some(format!(
                "rootfs-fetch build --recipe lessons --no-cache {}",
                shell_words(std::slice::from_ref(&self.at))
            ));
        }
        let at = shell_words(std::slice::from_ref(&self.at));
        let programs = format!("$(type -P {})", shell_words(&self.programs));
        Some(match self.extent {
            Extent::Program => format!("cp --parents {programs} {at}"),
            Extent::Loader => format!("cp --parents $(ldd {programs} | grep -o '/.*/ld-[^ ]*' | sort -u) {at}"),
            Extent::Libraries => format!("cp --parents $(ldd {programs} | grep -o '/[^: ]*' | sort -u) {at}"),
        })
    }

    fn once(&self) -> bool {
        // It adds what is not there.
        false
    }

    fn fails_with(&self) -> Option<Errno> {
        self.fails_with
    }

    fn effects(&self) -> Vec<Effect> {
        vec![Effect { what: format!("a rootfs in {}, as {} sees it", self.at, self.r#in), home: Home::Lab }]
    }

    fn misuses(&self) -> Vec<Misuse> {
        let mut misuses: Vec<Misuse> = misused_path("at", &self.at).into_iter().collect();
        if !self.at.starts_with('/') {
            let what = format!("`{}` is not absolute", self.at.escape_debug());
            misuses.push(Misuse::new("at", what, "write a path that begins with `/`: `/lab/box`"));
        }
        let unusual = |name: &String| name.is_empty() || name.contains('\0') || name.starts_with('-');
        if self.programs.len() > MAX_PROGRAMS || self.programs.iter().any(unusual) {
            let what = format!("there are more than {MAX_PROGRAMS}, or one has a name that no program has");
            misuses.push(Misuse::new("programs", what, "write the names of programs: `[bash, ls]`"));
        }
        misuses
    }
}

impl Perform for Rootfs {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let (plan, missing) = match self.plan() {
            Ok(planned) => planned,
            Err(error) => {
                let output =
                    format!("no rootfs was made: {error}\ninstall it, or take a program that this machine has\n");
                return Ok(Outcome { output, status: Some(1) });
            }
        };
        let root = Path::new(&self.at);
        let above: Vec<&Path> = root.ancestors().collect();
        for directory in above.into_iter().rev().filter(|path| !path.exists()) {
            sys::mkdir(trace, directory, 0o755)?;
        }
        for entry in &plan.entries {
            let path = root.join(entry.path.strip_prefix("/").unwrap_or(&entry.path));
            // An earlier step, or the learner's own hands, may have made a part of it.
            if fs::symlink_metadata(&path).is_err() {
                make(trace, entry, &path)?;
            }
        }
        let output = missing.iter().map(|it| format!("left out: {it}\n")).collect();
        Ok(Outcome { output, status: None })
    }
}

/// Makes one entry of a plan.
fn make(trace: &mut Trace, entry: &Entry, path: &Path) -> Result<(), CallError> {
    match &entry.what {
        What::Directory { mode } => {
            sys::mkdir(trace, path, *mode)?;
            if mode & UMASK != 0 {
                sys::chmod(trace, path, *mode)?;
            }
            Ok(())
        }
        What::Link { to } => sys::symlink(trace, to, path),
        What::Copy { from, mode, bytes } => copy(trace, from, path, *mode, *bytes),
        What::Text { text, mode } => {
            let file = sys::open(trace, path, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL, Some(*mode))?;
            sys::write(trace, &file, text)?;
            sys::close(trace, file)
        }
    }
}

/// Copies a file inside the kernel. copy_file_range(2) would refuse: the two are on different file systems (EXDEV).
fn copy(trace: &mut Trace, from: &Path, to: &Path, mode: u32, bytes: u64) -> Result<(), CallError> {
    let source = sys::open(trace, from, OFlag::O_RDONLY | OFlag::O_NOFOLLOW, None)?;
    let target = sys::open(trace, to, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL, Some(mode))?;
    let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
    while left > 0 {
        match sys::sendfile(trace, &target, &source, left)? {
            // The file has become shorter since it was looked at.
            0 => break,
            sent => left = left.saturating_sub(sent),
        }
    }
    if mode & UMASK != 0 {
        sys::fchmod(trace, &target, mode)?;
    }
    sys::close(trace, target)?;
    sys::close(trace, source)
}

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
    /// What the rootfs shall hold; and which programs it can not have, because this machine lacks them or what they need.
    fn plan(&self) -> Result<(Plan, Vec<String>), Error> {
        if self.programs.is_empty() {
            let plan = self.recipe(Recipe::lessons()).plan()?;
            let missing =
                plan.missing.iter().map(|it| format!("{}: {}; lost: {}", it.program, it.why, it.lost)).collect();
            return Ok((plan, missing));
        }
        let plan_of = |programs: &[&String]| self.recipe(Recipe::programs(programs)).plan();
        let all: Vec<&String> = self.programs.iter().collect();
        let error = match plan_of(&all) {
            Ok(plan) => return Ok((plan, Vec::new())),
            Err(error) => error,
        };
        // A rootfs without one of several programs still teaches what it shall teach.
        let (mut there, mut missing) = (Vec::new(), Vec::new());
        for name in all {
            match plan_of(&[name]) {
                Ok(_) => there.push(name),
                Err(error) => missing.push(format!("{name}: {error}")),
            }
        }
        if there.is_empty() || missing.is_empty() { Err(error) } else { Ok((plan_of(&there)?, missing)) }
    }

    fn recipe(&self, recipe: Recipe) -> Recipe {
        let recipe = recipe.extent(self.extent);
        if self.bare { recipe.bare() } else { recipe }
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
            // The links of a modern distribution first: programs are looked for in /bin.
            Extent::Program => format!(
                "mkdir -p {at}/usr/{{bin,sbin,lib,lib64}}; ln -sf usr/{{bin,sbin,lib,lib64}} {at}; cp --parents {programs} {at}"
            ),
            Extent::Loader => format!("cp --parents $(ldd {programs} | grep -o '/.*/ld-\\S*' | sort -u) {at}"),
            // Of one program ldd(1) does not print the name.
            Extent::Libraries if self.programs.len() == 1 => {
                format!("cp --parents {programs} $(ldd {programs} | grep -o '/\\S*') {at}")
            }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;
    use crate::kernel::trace::Answer;

    fn rootfs(at: &Path, programs: &[&str], extent: Extent) -> Rootfs {
        let programs = programs.iter().map(|name| (*name).to_owned()).collect();
        let (r#in, at) = ("host".to_owned(), at.to_str().unwrap().to_owned());
        Rootfs { r#in, at, programs, extent, bare: extent != Extent::Libraries, fails_with: None }
    }

    fn perform(rootfs: &Rootfs) -> (Outcome, Vec<String>) {
        let mut trace = Trace::new("host");
        let outcome = rootfs.perform(&mut trace).unwrap();
        assert!(trace.calls().iter().all(|call| matches!(call.answer, Answer::Returned(_))));
        (outcome, trace.into_calls().into_iter().map(|call| call.name).collect())
    }

    /// What is there after each stage is what the calls in the trace made, and no stage makes it again.
    #[test]
    fn each_extent_adds_what_the_one_before_has_not() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().join("deep/box");
        let mut files = 0;
        for extent in [Extent::Program, Extent::Loader, Extent::Libraries] {
            let (outcome, calls) = perform(&rootfs(&at, &["ls"], extent));
            assert_eq!(outcome, Outcome::default());
            let made = calls.iter().filter(|name| *name == "sendfile").count();
            let now = below(&at).into_iter().filter(|path| !path.is_symlink() && path.metadata().unwrap().len() > 4096);
            let now = now.count();
            assert!(made >= 1 && now >= files + made, "{extent:?}: {files} + {made}, {now}");
            files = now;
            assert_eq!(perform(&rootfs(&at, &["ls"], extent)).1, Vec::<String>::new(), "{extent:?} a second time");
        }
        assert_eq!(fs::metadata(at.join("tmp")).unwrap().permissions().mode() & 0o7777, 0o1777);
        assert!(at.join("bin/ls").exists() && at.join("etc/passwd").exists());
    }

    fn below(at: &Path) -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() && !path.is_symlink() { below(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn what_the_machine_has_not_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let some = rootfs(&directory.path().join("some"), &["ls", "no-such-program"], Extent::Program);
        let (outcome, calls) = perform(&some);
        assert!(outcome.output.contains("left out: no-such-program"), "{outcome:?}");
        assert!(!calls.is_empty() && outcome.status.is_none());
        let none = rootfs(&directory.path().join("none"), &["no-such-program"], Extent::Program);
        let (outcome, calls) = perform(&none);
        assert_eq!((outcome.status, calls.len()), (Some(1), 0));
        assert!(outcome.output.contains("no-such-program") && outcome.output.contains("install it"), "{outcome:?}");
    }

    /// The line beside the action makes what the action makes.
    #[test]
    fn the_shell_line_copies_the_same_programs() {
        let directory = tempfile::tempdir().unwrap();
        for (name, programs) in [("one", &["ls"][..]), ("two", &["ls", "cat"])] {
            let at = directory.path().join(name);
            fs::create_dir(&at).unwrap();
            let line = rootfs(&at, programs, Extent::Libraries).shell().unwrap();
            let status = Command::new("bash").args(["-c", &line]).status().unwrap();
            assert!(status.success(), "{line}");
            for program in programs {
                let there = below(&at).iter().any(|path| path.ends_with(format!("bin/{program}")));
                assert!(there, "{line} does not copy {program}");
            }
        }
    }
}

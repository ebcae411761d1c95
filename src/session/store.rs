//! Progress on disk: one small JSON file, written atomically, that two hardways may use at once.
//!
//! `progress.json` holds, for each lesson by name, the session and a digest of the lesson's step ids: when a lesson was
//! changed, its old progress is dropped rather than misread. A file that is broken or of a newer format is never
//! overwritten: it is renamed to `progress.json.broken-N` before the first write, and the learner is told.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Session;
use crate::explain::Explanation;
use crate::lesson::Lesson;

/// The version of the file that this hardway writes.
const FORMAT: u64 = 1;
/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;
const FILE: &str = "progress.json";
const NEW: &str = "progress.json.new";
const LOCK: &str = "progress.lock";

/// Where progress is kept.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// The last trouble was told; the same again is not.
    told: bool,
    /// What was kept last, and of which lesson. The same again is not: a disk is not written to each time somebody looks.
    kept: Option<(String, Session)>,
}

/// The file, with entries that are not looked into: those of other lessons are written back as they were.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    format: u64,
    lessons: BTreeMap<String, serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    steps: String,
    session: Session,
}

/// What stands in the way of reading the file.
enum Unusable {
    /// It can not be read at all.
    Unreadable(io::Error),
    /// It is broken, or newer than this hardway.
    Foreign(String),
}

impl Store {
    /// The store in this directory, which need not exist yet. With it comes what the learner should know: that there is
    /// progress which can not be used.
    pub fn open(dir: impl Into<PathBuf>) -> (Self, Option<Explanation>) {
        let mut store = Self { dir: dir.into(), told: false, kept: None };
        let trouble = store.read().err().map(|why| store.explain(&why));
        store.told = trouble.is_some();
        (store, trouble)
    }

    /// The progress through a lesson; none where there is none, or where the lesson has other steps now.
    pub fn load(&self, lesson: &Lesson) -> Option<Session> {
        session_of(&self.read().ok()?, lesson)
    }

    /// How many steps of each lesson have been done, by the lesson's name. Lessons without progress are left out.
    pub fn done_counts(&self, lessons: &[Lesson]) -> BTreeMap<String, usize> {
        let Ok(progress) = self.read() else { return BTreeMap::new() };
        lessons
            .iter()
            .filter_map(|lesson| {
                let session = session_of(&progress, lesson)?;
                let done = session.records.iter().filter(|record| record.how.is_some()).count();
                Some((lesson.name.clone(), done))
            })
            .collect()
    }

    /// Keeps the progress through a lesson. Other lessons' progress, another hardway's included, stays as it is.
    ///
    /// # Errors
    /// That it could not be kept, or that a file was moved aside for it: told once, the lesson can go on.
    pub fn save(&mut self, lesson: &Lesson, session: &Session) -> Result<(), Explanation> {
        if self.kept.as_ref().is_some_and(|(name, kept)| *name == lesson.name && kept == session) {
            self.told = false;
            return Ok(());
        }
        let result = self.try_save(lesson, session);
        self.kept = result.is_ok().then(|| (lesson.name.clone(), session.clone()));
        let tell = match result {
            Ok(None) => {
                self.told = false;
                return Ok(());
            }
            Ok(Some(aside)) => aside,
            Err(error) => Explanation::new(
                "your progress is not being saved",
                format!("{}: {error}", self.dir.display()),
                "the lesson goes on; make the directory writable, or set XDG_STATE_HOME to one that is",
            ),
        };
        if std::mem::replace(&mut self.told, true) { Ok(()) } else { Err(tell) }
    }

    fn try_save(&self, lesson: &Lesson, session: &Session) -> io::Result<Option<Explanation>> {
        make_dir(&self.dir)?;
        let owner = fs::metadata(&self.dir)?;
        // Held until the new file is in place. The lock file stays: removing it would let two hardways hold "the" lock.
        let lock = private(OpenOptions::new().write(true).create(true).truncate(false)).open(self.dir.join(LOCK))?;
        give(&self.dir.join(LOCK), &owner);
        lock.lock()?;
        let (mut progress, aside) = match self.read() {
            Ok(progress) => (progress, None),
            Err(Unusable::Unreadable(error)) => return Err(error),
            Err(why @ Unusable::Foreign(_)) => {
                let tell = self.explain(&why);
                fs::rename(self.dir.join(FILE), self.aside())?;
                (Progress::default(), Some(tell))
            }
        };
        progress.format = FORMAT;
        let entry = Entry { steps: digest(lesson), session: session.clone() };
        progress.lessons.insert(lesson.name.clone(), serde_json::to_value(entry)?);
        let new = self.dir.join(NEW);
        // What a hardway left that was killed here; never written through, it might be a link.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&new)?;
        file.write_all(&serde_json::to_vec_pretty(&progress)?)?;
        give(&new, &owner);
        file.sync_all()?;
        fs::rename(&new, self.dir.join(FILE))?;
        File::open(&self.dir)?.sync_all()?;
        Ok(aside)
    }

    fn read(&self) -> Result<Progress, Unusable> {
        let mut bytes = Vec::new();
        match File::open(self.dir.join(FILE)).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Progress::default()),
            Err(error) => return Err(Unusable::Unreadable(error)),
        }
        if bytes.len() as u64 > MAX_FILE {
            return Err(Unusable::Foreign("it is longer than hardway would ever write".to_owned()));
        }
        // The version first: a newer file need not have our shape.
        let version = serde_json::from_slice::<serde_json::Value>(&bytes)
            .map_err(|error| Unusable::Foreign(format!("it is not JSON: {error}")))?
            .get("format")
            .and_then(serde_json::Value::as_u64);
        match version {
            Some(FORMAT) => serde_json::from_slice(&bytes)
                .map_err(|error| Unusable::Foreign(format!("it is not what hardway writes: {error}"))),
            Some(other) => {
                Err(Unusable::Foreign(format!("it is of format {other}; this hardway knows format {FORMAT}")))
            }
            None => Err(Unusable::Foreign("it does not say which format it is of".to_owned())),
        }
    }

    /// The first name that is free.
    fn aside(&self) -> PathBuf {
        (1_u32..)
            .map(|number| self.dir.join(format!("{FILE}.broken-{number}")))
            .find(|path| path.symlink_metadata().is_err())
            .unwrap_or_else(|| self.dir.join(format!("{FILE}.broken")))
    }

    fn explain(&self, why: &Unusable) -> Explanation {
        let file = self.dir.join(FILE).display().to_string();
        match why {
            Unusable::Unreadable(error) => Explanation::new(
                "your earlier progress can not be read",
                format!("{file}: {error}"),
                "the lesson starts from its beginning; look at the file's owner and permissions",
            ),
            Unusable::Foreign(what) => Explanation::new(
                "your earlier progress can not be used",
                format!("{file}: {what}"),
                format!("it is kept as {} as soon as new progress is saved", self.aside().display()),
            ),
        }
    }
}

/// The directory for progress: that of the person who called sudo, or else `$XDG_STATE_HOME/hardway`, or else
/// `~/.local/state/hardway`. `var` looks up an environment variable, `home_of` the home directory of a user id.
pub fn directory(var: impl Fn(&str) -> Option<OsString>, home_of: impl Fn(u32) -> Option<PathBuf>) -> Option<PathBuf> {
    place(var, home_of, "XDG_STATE_HOME", ".local/state")
}

/// The directory for what a person chose for good: as [`directory`], with `XDG_CONFIG_HOME` and `~/.config`.
pub fn config(var: impl Fn(&str) -> Option<OsString>, home_of: impl Fn(u32) -> Option<PathBuf>) -> Option<PathBuf> {
    place(var, home_of, "XDG_CONFIG_HOME", ".config")
}

fn place(
    var: impl Fn(&str) -> Option<OsString>,
    home_of: impl Fn(u32) -> Option<PathBuf>,
    name: &str,
    usual: &str,
) -> Option<PathBuf> {
    let below = |home: PathBuf| home.join(usual).join("hardway");
    // Under sudo the variables may be root's or the person's, depending on its configuration; the id is certain.
    let sudo = var("SUDO_UID").and_then(|uid| uid.to_str()?.parse().ok());
    if let Some(home) = sudo.and_then(home_of) {
        return Some(below(home));
    }
    let absolute = |name: &str| var(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(name).map(|base| base.join("hardway")).or_else(|| absolute("HOME").map(below))
}

fn session_of(progress: &Progress, lesson: &Lesson) -> Option<Session> {
    let entry: Entry = serde_json::from_value(progress.lessons.get(&lesson.name)?.clone()).ok()?;
    let fits = entry.steps == digest(lesson)
        && entry.session.records.len() == lesson.steps.len()
        && entry.session.position.step < lesson.steps.len();
    fits.then_some(entry.session)
}

/// FNV-1a of the step ids: not a secret, only "are these the same steps?". Twins are: on each machine the one or the other stands
/// in the same place.
fn digest(lesson: &Lesson) -> String {
    let ids = lesson.steps.iter().flat_map(|step| step.twin_of.as_ref().unwrap_or(&step.id).bytes().chain([b'\n']));
    let hash =
        ids.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
}

/// Makes the directory and those above it; each belongs to the owner of the one above.
fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(above) = dir.parent() {
        make_dir(above)?;
        match DirBuilder::new().mode(0o700).create(dir) {
            // Another hardway was quicker.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            made => made?,
        }
        give(dir, &fs::metadata(above)?);
    }
    Ok(())
}

/// Under sudo, what is made in a person's home belongs to that person. An ordinary user owns it anyhow, and may not.
fn give(path: &Path, owner: &fs::Metadata) {
    let theirs = path.symlink_metadata().is_ok_and(|it| (it.uid(), it.gid()) == (owner.uid(), owner.gid()));
    if !theirs {
        // Where it fails, the file is ours and works; only its owner is not the one wished for.
        let _ = chown(path, Some(owner.uid()), Some(owner.gid()));
    }
}

#[cfg(test)]
mod tests;

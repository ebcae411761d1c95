//! What the learner chose for good: keys and theme, in the configuration directory or the environment.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::keymap::Chord;
use super::keys::{Fault, Keys};
use super::theme::{Depth, Theme};
use crate::explain::Explanation;

/// The file of keys; see [`super::keys`].
const KEYS: &str = "keys";
/// The file that names the theme.
const THEME: &str = "theme";
/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// What the screen starts with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which keys mean what.
    pub keys: Keys,
    /// Colours.
    pub theme: Theme,
    /// How many colours there are.
    pub depth: Depth,
    /// What could not be used; the screen goes on without.
    pub troubles: Vec<Explanation>,
}

impl Settings {
    /// Reads the files of this directory. `var` looks up environment variables, which stand above files.
    ///
    /// # Errors
    /// Where `HARDWAY_THEME` or `HARDWAY_LEAVE_KEY` can not be understood.
    pub fn read(dir: Option<&Path>, var: impl Fn(&str) -> Option<String>) -> Result<Self, Explanation> {
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let depth = Depth::of(var);
        let mut troubles = Vec::new();
        let mut text = |name: &str| {
            let path = dir?.join(name);
            read(&path).unwrap_or_else(|error| {
                let fix = "hardway goes on without it; look at the file's owner and permissions";
                troubles.push(Explanation::new(
                    format!("{name} can not be read"),
                    format!("{}: {error}", path.display()),
                    fix,
                ));
                None
            })
        };
        let (mut keys, faults) = text(KEYS).map_or_else(Default::default, |text| Keys::read(&text));
        let chosen = text(THEME).map(|text| text.trim().to_owned());
        if let Some(dir) = dir.filter(|_| !faults.is_empty()) {
            troubles.push(told(&dir.join(KEYS), &faults));
        }
        if let Some(name) = var("HARDWAY_LEAVE_KEY") {
            keys.leave = Chord::parse(&name).filter(|chord| !chord.is_typed()).ok_or_else(|| {
                Explanation::new(
                    format!("{name:?} can not leave the shell pane."),
                    "HARDWAY_LEAVE_KEY names the key that does; it must be a key, and none that one types with.",
                    "Write it as ctrl-], ctrl-g, alt-x or f12.",
                )
            })?;
        }
        let theme = match (var("HARDWAY_THEME"), var("NO_COLOR"), chosen) {
            (Some(name), _, _) => {
                Theme::named(&name, depth).ok_or_else(|| no_theme(&name, "HARDWAY_THEME names it."))?
            }
            (None, Some(_), _) => Theme::mono(),
            (None, None, Some(name)) => Theme::named(&name, depth).unwrap_or_else(|| {
                troubles.push(no_theme(&name, "The file `theme` in the configuration directory names it."));
                Theme::dark(depth)
            }),
            (None, None, None) => Theme::dark(depth),
        };
        Ok(Self { keys, theme, depth, troubles })
    }
}

/// The text of a file; none where there is no such file.
fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Keeps the theme for the next start. The file is put in place whole.
///
/// # Errors
/// Why it could not be written.
pub fn keep_theme(dir: &Path, name: &str) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let new = dir.join(format!("{THEME}.new"));
    fs::write(&new, format!("{name}\n"))?;
    fs::rename(new, dir.join(THEME))
}

fn told(path: &Path, faults: &[Fault]) -> Explanation {
    let lines = if faults.len() == 1 { "a line" } else { "some lines" };
    let why: Vec<String> = faults.iter().map(|fault| format!("line {}: {}", fault.line, fault.why)).collect();
    Explanation::new(
        format!("{lines} of {} can not be used", path.display()),
        why.join("\n"),
        "Write `command = key`, with a name from the list of commands and keys as n, ctrl-x, alt-x, shift-tab, f5, pgdn. \
         All other lines are in force.",
    )
}

fn no_theme(name: &str, why: &str) -> Explanation {
    Explanation::new(format!("There is no theme {name:?}."), why, format!("Take one of {}.", Theme::NAMES.join(", ")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn with(vars: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn a_theme_that_was_kept_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("hardway");
        assert_eq!(Settings::read(Some(&place), with(&[])).unwrap().theme.name, "dark");
        keep_theme(&place, "light").unwrap();
        assert_eq!(Settings::read(Some(&place), with(&[])).unwrap().theme.name, "light");
        assert_eq!(Settings::read(Some(&place), with(&[("NO_COLOR", "1")])).unwrap().theme.name, "mono");
        let both = [("NO_COLOR", "1"), ("HARDWAY_THEME", "dark")];
        let both: &'static [(&str, &str)] = Box::leak(Box::new(both));
        assert_eq!(Settings::read(Some(&place), with(both)).unwrap().theme.name, "dark");
        keep_theme(&place, "pink").unwrap();
        let settings = Settings::read(Some(&place), with(&[])).unwrap();
        assert_eq!((settings.theme.name, settings.troubles.len()), ("dark", 1));
        assert!(Settings::read(None, with(&[("HARDWAY_THEME", "pink")])).is_err());
    }

    #[test]
    fn faults_of_the_file_of_keys_are_told_with_their_lines() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(KEYS), "next = f5\n\nnext = q\nhint = b\n").unwrap();
        let settings = Settings::read(Some(dir.path()), with(&[("HARDWAY_LEAVE_KEY", "ctrl-g")])).unwrap();
        assert_eq!(settings.keys.leave.name(), "Ctrl-G");
        let [trouble] = settings.troubles.as_slice() else { panic!("{:?}", settings.troubles) };
        assert!(trouble.why.contains("line 3: ") && trouble.why.contains("line 4: b belongs to \"back\""), "{trouble}");
        assert!(Settings::read(None, with(&[("HARDWAY_LEAVE_KEY", "x-y")])).is_err());
        assert!(Settings::read(None, with(&[("HARDWAY_LEAVE_KEY", "q")])).is_err());
        fs::write(dir.path().join(KEYS), [0xff, 0xfe]).unwrap();
        assert_eq!(Settings::read(Some(dir.path()), with(&[])).unwrap().troubles.len(), 1);
    }
}

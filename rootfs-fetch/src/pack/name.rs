//! Names of entries, and their order.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::PackError;

/// The prefix of whiteouts, and the name of an opaque directory's mark (image-spec, layer.md, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &str = ".wh..wh..opq";
/// The longest path, in bytes, with the zero byte after it: PATH_MAX of limits.h.
pub(super) const PATH_MAX: usize = 4096;

/// The path of an entry, relative to the root; empty for the root.
///
/// An entry comes after the directory in which it is and before whatever follows that; in a directory whiteouts come first, as layer.md
/// wants them, and else the bytes of the names decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(PathBuf);

impl Name {
    /// Of something that is there.
    ///
    /// # Errors
    /// [`PackError::Refused`] where a path leads up, is none or too long, or has a whiteout's name in it.
    pub fn there(path: &Path) -> Result<Self, PackError> {
        let refuse = |why: &str| Err(PackError::refused(path, why));
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return refuse("an entry has a path beneath the root, without \"..\"");
        }
        if path.components().any(|part| is_whiteout(part.as_os_str())) {
            return refuse("a layer has what begins with \".wh.\" for a whiteout");
        }
        if path.as_os_str().as_bytes().contains(&0) {
            return refuse("there is a zero byte in its path");
        }
        if path.as_os_str().len() + WHITEOUT.len() >= PATH_MAX {
            return refuse("its path is too long");
        }
        // Slashes at the end and doubled are no part of a name.
        Ok(Self(path.components().collect()))
    }

    /// That hides what lower layers have at `path`.
    pub fn whiteout(path: &Path) -> Result<Self, PackError> {
        let Self(path) = Self::there(path)?;
        let Some(hidden) = path.file_name() else {
            return Err(PackError::refused(&path, "the root can not be deleted"));
        };
        let name = [WHITEOUT, hidden.as_bytes()].concat();
        Ok(Self(path.with_file_name(OsString::from_vec(name))))
    }

    /// That hides what lower layers have in the directory at `path`.
    pub fn opaque(path: &Path) -> Result<Self, PackError> {
        Self::there(path).map(|Self(path)| Self(path.join(OPAQUE)))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether it says that something is not there.
    pub fn hides(&self) -> bool {
        self.0.file_name().is_some_and(is_whiteout)
    }

    /// The directories in which it is, the nearest first, without the root.
    pub fn above(&self) -> impl Iterator<Item = Self> + '_ {
        let above = self.0.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
        above.map(|path| Self(path.to_owned()))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        fn key(part: Component<'_>) -> (bool, &OsStr) {
            (!is_whiteout(part.as_os_str()), part.as_os_str())
        }
        self.0.components().map(key).cmp(other.0.components().map(key))
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn is_whiteout(name: &OsStr) -> bool {
    name.as_bytes().starts_with(WHITEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_follow_their_directory_and_whiteouts_come_first() {
        let there = |path: &str| Name::there(Path::new(path)).expect("a name");
        let whiteout = Name::whiteout(Path::new("a/z")).expect("a name");
        let mut names = ["a-b", "a/b", "a/+", "a", "", "b"].map(there).to_vec();
        names.push(whiteout);
        names.push(Name::opaque(Path::new("a")).expect("a name"));
        names.sort();
        let told: Vec<&Path> = names.iter().map(Name::path).collect();
        let wanted = ["", "a", "a/.wh..wh..opq", "a/.wh.z", "a/+", "a/b", "a-b", "b"].map(Path::new);
        assert_eq!(told, wanted);
        assert!(names[2].hides() && !names[4].hides());
    }

    #[test]
    fn what_a_layer_can_not_name_is_refused() {
        for path in ["/a", "../a", "a/../b", "./a", ".wh.a", "a/.wh.b/c", ".wh..wh..opq", "a\0b", &"a/".repeat(2047)] {
            assert!(matches!(Name::there(Path::new(path)), Err(PackError::Refused { .. })), "{path}");
        }
        assert!(Name::whiteout(Path::new("")).is_err());
        assert_eq!(Name::there(Path::new("a//b/")).expect("a name").path(), Path::new("a/b"));
    }
}

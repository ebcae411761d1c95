//! Names of entries: their components, and what whiteouts say by theirs (image-spec, layer.md, "Whiteouts").

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::error::LayerError;

/// The longest path, in bytes, with the zero byte after it: PATH_MAX of limits.h.
const PATH_MAX: usize = 4096;
/// The longest component, in bytes: NAME_MAX.
const NAME_MAX: usize = 255;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What AUFS keeps for itself in its directories.
const AUFS: &[u8] = b".wh..wh.";

/// A path of components that are neither empty nor `.` nor `..`; without any it is the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(Vec<OsString>);

/// What an entry says by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It is there.
    There(Name),
    /// What lower layers have at this path is not seen.
    Whiteout(Name),
    /// What lower layers have in this directory is not seen.
    Opaque(Name),
    /// It is AUFS's own.
    Aufs(Name),
}

impl Name {
    /// Absolute names begin at the root too. `..` is refused: some readers take it for the directory above, others skip the entry.
    pub fn read(bytes: &[u8]) -> Result<Self, LayerError> {
        Self::split_up(bytes)?.if_short(bytes)
    }

    /// As [`Name::read`], with components of any length.
    fn split_up(bytes: &[u8]) -> Result<Self, LayerError> {
        let refuse = |why: &str| Err(LayerError::refused(bytes, why));
        if bytes.is_empty() {
            return refuse("it has no name");
        }
        if bytes.contains(&0) {
            return refuse("there is a zero byte in its name");
        }
        if bytes.len() >= PATH_MAX {
            return refuse("its name is longer than the 4095 bytes that a path may have");
        }
        let components: Vec<&[u8]> =
            bytes.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
        if components.contains(&&b".."[..]) {
            return refuse("there is a \"..\" in its name");
        }
        Ok(Self(components.into_iter().map(|part| OsString::from_vec(part.to_vec())).collect()))
    }

    fn if_short(self, bytes: &[u8]) -> Result<Self, LayerError> {
        if self.0.iter().any(|part| part.len() > NAME_MAX) {
            return Err(LayerError::refused(bytes, "a component of its name is longer than 255 bytes"));
        }
        Ok(self)
    }

    /// The directory and the last component; none for the root.
    pub fn split(&self) -> Option<(&[OsString], &OsStr)> {
        self.0.split_last().map(|(last, above)| (above, last.as_os_str()))
    }

    pub fn components(&self) -> &[OsString] {
        &self.0
    }

    pub fn path(&self) -> PathBuf {
        self.0.iter().collect()
    }
}

impl Said {
    pub fn read(bytes: &[u8]) -> Result<Self, LayerError> {
        // What a whiteout hides may have as long a name as any file, and its own is longer by its prefix.
        let mut name = Name::split_up(bytes)?;
        if name.0.iter().any(|part| part.as_bytes().starts_with(AUFS) && part.as_bytes() != OPAQUE) {
            return name.if_short(bytes).map(Self::Aufs);
        }
        let above = &name.0[..name.0.len().saturating_sub(1)];
        if above.iter().any(|part| part.as_bytes().starts_with(WHITEOUT)) {
            return Err(LayerError::refused(bytes, "it is below a whiteout, in which nothing can be"));
        }
        let Some(last) = name.0.pop_if(|last| last.as_bytes().starts_with(WHITEOUT)) else {
            return name.if_short(bytes).map(Self::There);
        };
        match &last.as_bytes()[WHITEOUT.len()..] {
            _ if last.as_bytes() == OPAQUE => name.if_short(bytes).map(Self::Opaque),
            b"" | b"." | b".." => {
                Err(LayerError::refused(bytes, "it is a whiteout of nothing that can be in a directory"))
            }
            hidden => {
                name.0.push(OsStr::from_bytes(hidden).to_owned());
                name.if_short(bytes).map(Self::Whiteout)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &str) -> Name {
        Name(path.split('/').filter(|part| !part.is_empty()).map(OsString::from).collect())
    }

    #[test]
    fn names_are_paths_below_the_root() {
        for (text, path) in [("/a//b/./c/", "a/b/c"), ("./", ""), ("/", ""), ("a\nb", "a\nb"), ("...", "...")] {
            assert_eq!(Name::read(text.as_bytes()).expect("a name"), name(path), "{text:?}");
        }
        assert!(Name::read(&[b'x'; NAME_MAX]).is_ok());
        let long = "ab/".repeat(1365);
        assert!(Name::read(long.as_bytes()).is_ok(), "{}", long.len());
    }

    #[test]
    fn what_is_no_path_or_leads_up_is_refused() {
        for bytes in
            [&b""[..], b"../x", b"a/../b", b"..", b"a\0b", &[b'x'; NAME_MAX + 1], "ab/".repeat(1366).as_bytes()]
        {
            assert!(matches!(Name::read(bytes), Err(LayerError::Refused { .. })), "{bytes:?}");
        }
    }

    #[test]
    fn the_prefix_of_a_whiteout_does_not_count() {
        let longest = "x".repeat(NAME_MAX);
        let hidden = Said::read(format!("a/.wh.{longest}").as_bytes()).expect("a whiteout");
        assert_eq!(hidden, Said::Whiteout(name(&format!("a/{longest}"))));
        for text in [
            format!(".wh.{longest}x"),
            format!(".wh..wh.{longest}"),
            format!("{longest}x/.wh.a"),
            format!("{longest}x/.wh..wh..opq"),
            format!("{longest}x"),
        ] {
            assert!(matches!(Said::read(text.as_bytes()), Err(LayerError::Refused { .. })), "{text}");
        }
    }

    #[test]
    fn whiteouts_say_what_is_hidden() {
        for (text, said) in [
            ("a/.wh.b", Said::Whiteout(name("a/b"))),
            (".wh..b", Said::Whiteout(name(".b"))),
            (".wh.b/", Said::Whiteout(name("b"))),
            ("a/.wh..wh..opq", Said::Opaque(name("a"))),
            (".wh..wh..opq", Said::Opaque(name(""))),
            ("a/.wh..wh.plnk/1.2", Said::Aufs(name("a/.wh..wh.plnk/1.2"))),
            (".wh", Said::There(name(".wh"))),
        ] {
            assert_eq!(Said::read(text.as_bytes()).expect("a name"), said, "{text}");
        }
        for text in [".wh.", "a/.wh..", ".wh...", ".wh.a/b", ".wh..wh..opq/x"] {
            assert!(matches!(Said::read(text.as_bytes()), Err(LayerError::Refused { .. })), "{text}");
        }
    }
}

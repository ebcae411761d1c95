//! The kernel's error numbers with their names and words (errno(3)).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// An error number as the kernel returned it. Written as its name, `ENOMEM`, in lessons, frames and `--json`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Errno(nix::errno::Errno);

impl Errno {
    /// The number, as in `errno`.
    pub fn number(self) -> i32 {
        self.0 as i32
    }

    /// Whether it means that nobody answered in time (`ETIMEDOUT`).
    pub fn is_timeout(self) -> bool {
        self.0 == nix::errno::Errno::ETIMEDOUT
    }

    /// Whether it is `EINVAL`, by which the kernel refuses what can not be meant, and says no more.
    pub fn is_invalid(self) -> bool {
        self.0 == nix::errno::Errno::EINVAL
    }

    /// The symbolic name, for example `ENOMEM`.
    pub fn name(self) -> String {
        format!("{:?}", self.0)
    }

    /// The C library's words for it, as a shell prints them (strerror(3)).
    pub fn words(self) -> String {
        std::io::Error::from_raw_os_error(self.number())
            .to_string()
            .rsplit_once(" (os error")
            .map_or_else(|| self.0.desc().to_owned(), |(words, _)| words.to_owned())
    }
}

impl From<nix::errno::Errno> for Errno {
    fn from(errno: nix::errno::Errno) -> Self {
        Self(errno)
    }
}

impl From<Errno> for nix::errno::Errno {
    fn from(errno: Errno) -> Self {
        errno.0
    }
}

impl From<&std::io::Error> for Errno {
    /// An error that did not come from the kernel has no number and becomes `EIO`.
    fn from(error: &std::io::Error) -> Self {
        Self(nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
    }
}

impl FromStr for Errno {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        (1..=133)
            .map(nix::errno::Errno::from_raw)
            .find(|errno| format!("{errno:?}") == name)
            .map(Self)
            .ok_or_else(|| format!("`{name}` is not the name of an errno, as `EPERM` is"))
    }
}

impl TryFrom<String> for Errno {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

impl From<Errno> for String {
    fn from(errno: Errno) -> Self {
        errno.name()
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.words())
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// A name of letters and digits; which of them there are, [`FromStr`] knows.
impl JsonSchema for Errno {
    fn schema_name() -> Cow<'static, str> {
        "Errno".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^E[A-Z0-9]+$", "description": "An error of the kernel, as errno(3) names it: ENOMEM" })
    }
}

#[cfg(test)]
mod tests {
    use super::Errno;

    #[test]
    fn names_and_words_are_the_kernels() {
        let errno: Errno = "ENOMEM".parse().expect("a name");
        assert_eq!(errno.number(), 12);
        assert_eq!(errno.to_string(), "ENOMEM (Cannot allocate memory)");
        assert!("ENOSUCH".parse::<Errno>().is_err());
        assert_eq!(serde_json::to_string(&errno).expect("json"), "\"ENOMEM\"");
    }
}

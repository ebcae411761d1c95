//! Versions of the specification, and what differs between them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version of the specification that this runner speaks; later ones are greater.
///
/// Those before 0.3.0 have neither lists of plugins nor results with interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[allow(missing_docs, reason = "the names are the versions")]
pub enum Version {
    V0_3_0,
    V0_3_1,
    V0_4_0,
    V1_0_0,
    V1_1_0,
}

impl Version {
    /// All of them, from the oldest to the newest.
    pub const ALL: [Self; 5] = [Self::V0_3_0, Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];

    /// As configurations write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// Whether there is CHECK, and `prevResult` for DEL: from 0.4.0 on.
    pub fn has_check(self) -> bool {
        self >= Self::V0_4_0
    }

    /// Whether there are STATUS and GC: from 1.1.0 on.
    pub fn has_gc(self) -> bool {
        self >= Self::V1_1_0
    }

    /// Whether addresses of results say their family: `ips[].version`, before 1.0.0.
    pub fn tells_family(self) -> bool {
        self < Self::V1_0_0
    }

    /// All of them in one line, for errors.
    pub fn list() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|version| version.as_str() == text);
        found.ok_or_else(|| format!("`{}` is none of {}", text.escape_debug(), Self::list()))
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.as_str().to_owned()
    }
}

/// Whether a text has the form of a version: three numbers.
pub fn is_semantic(text: &str) -> bool {
    let mut parts = text.split('.');
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.by_ref().take(3).filter(number).count() == 3 && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn versions_are_in_order_and_written_as_they_are_read() {
        assert!(Version::ALL.is_sorted());
        for version in Version::ALL {
            assert_eq!(version.to_string().parse(), Ok(version));
            assert!(is_semantic(version.as_str()));
        }
        assert!("0.2.0".parse::<Version>().unwrap_err().contains("1.1.0"));
        let can = |version: Version| (version.has_check(), version.has_gc(), version.tells_family());
        assert_eq!(can(Version::V0_3_1), (false, false, true));
        assert_eq!(can(Version::V0_4_0), (true, false, true));
        assert_eq!(can(Version::V1_0_0), (true, false, false));
        assert_eq!(can(Version::V1_1_0), (true, true, false));
    }

    #[test]
    fn three_numbers_are_a_version() {
        assert!(["0.2.0", "2.0.0", "1.1.10"].into_iter().all(is_semantic));
        assert!(!["", "1", "1.0", "1.0.0.0", "1.0.x", "a.b.c", "1..0", "1.0.0\n"].into_iter().any(is_semantic));
    }
}

//! A value, or why there is none.

use std::io;

use serde::{Deserialize, Serialize};

use crate::kernel::errno::Errno;

/// What reading a kernel file gave. A missing value is never a default: it says why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading<T> {
    /// The value.
    Value(T),
    /// The kernel refused, with this errno. `ENOENT` can be an observation: `pid_for_children` before the first fork.
    Missing(Errno),
    /// The text of the file is not what its man page says.
    Unreadable(String),
}

impl<T> Reading<T> {
    /// The value, where there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Missing(_) | Self::Unreadable(_) => None,
        }
    }

    /// The value where it stands, or a copy of the reason.
    pub fn as_ref(&self) -> Reading<&T> {
        match self {
            Self::Value(value) => Reading::Value(value),
            Self::Missing(errno) => Reading::Missing(*errno),
            Self::Unreadable(text) => Reading::Unreadable(text.clone()),
        }
    }

    /// Changes the value, keeps the reason.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Value(value) => Reading::Value(change(value)),
            Self::Missing(errno) => Reading::Missing(errno),
            Self::Unreadable(text) => Reading::Unreadable(text),
        }
    }

    /// Parses the value; what can not be parsed becomes [`Reading::Unreadable`].
    pub fn parse<U>(self, parse: impl FnOnce(&T) -> Option<U>) -> Reading<U>
    where
        T: std::fmt::Debug,
    {
        match self {
            Self::Value(value) => {
                parse(&value).map_or_else(|| Reading::Unreadable(format!("{value:?}")), Reading::Value)
            }
            Self::Missing(errno) => Reading::Missing(errno),
            Self::Unreadable(text) => Reading::Unreadable(text),
        }
    }

    /// The value as `show` writes it, or the reason why it is missing.
    pub fn text(&self, show: impl FnOnce(&T) -> String) -> String {
        match self {
            Self::Value(value) => show(value),
            Self::Missing(errno) => format!("none: {errno}"),
            Self::Unreadable(text) => format!("not understood: {text}"),
        }
    }
}

impl<T> From<io::Result<T>> for Reading<T> {
    fn from(result: io::Result<T>) -> Self {
        match result {
            Ok(value) => Self::Value(value),
            Err(error) => Self::Missing(Errno::from(&error)),
        }
    }
}

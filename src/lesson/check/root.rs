//! Root and working directories, and what can be found from there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Predicate, Probe, Seen, View, value};
use crate::probe::Root;
use crate::probe::root::is_within;

/// The root directory has this path, as the lab host names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Is {
    /// Whose.
    pub of: String,
    /// The path.
    pub is: String,
}

impl Predicate for Is {
    fn claim(&self) -> String {
        format!("the root directory of {} is {}", self.of, self.is)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let root = value(Some(&view.living(&self.of)?.root))?;
        Ok((*root == self.is, format!("/proc/PID/root of {} leads to {root}", self.of)))
    }
}

/// Two processes have the same directory for their root, in the same mount namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Same {
    /// Who.
    pub of: String,
    /// As whom.
    pub r#as: String,
}

impl Predicate for Same {
    fn claim(&self) -> String {
        format!("{} and {} have the same root directory", self.of, self.r#as)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        compare(view, &self.of, &self.r#as)
    }
}

/// They have not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Differs {
    /// Who.
    pub of: String,
    /// From whom.
    pub from: String,
}

impl Predicate for Differs {
    fn claim(&self) -> String {
        format!("{} has another root directory than {}", self.of, self.from)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        compare(view, &self.of, &self.from).map(|(same, seen)| (!same, seen))
    }
}

/// The working directory is outside of the root directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CwdOutside {
    /// Whose.
    pub of: String,
}

impl Predicate for CwdOutside {
    fn claim(&self) -> String {
        format!("the working directory of {} is outside of its root directory", self.of)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let process = view.living(&self.of)?;
        let (root, cwd) = (value(Some(&process.root))?, value(Some(&process.cwd))?);
        Ok((!is_within(cwd, root), format!("root {root}, working directory {cwd}")))
    }
}

/// A path leads to something, looked at with the root directory of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Whose root directory.
    pub of: String,
    /// An absolute path; a `*` in a part of it stands for any characters.
    pub path: String,
}

impl Predicate for Found {
    fn claim(&self) -> String {
        format!("{} finds {}", self.of, self.path)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        found(view, &self.of, &self.path)
    }

    fn path(&self) -> Option<&str> {
        Some(&self.path)
    }
}

/// It leads to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotFound {
    /// Whose root directory.
    pub of: String,
    /// An absolute path; a `*` in a part of it stands for any characters.
    pub path: String,
}

impl Predicate for NotFound {
    fn claim(&self) -> String {
        format!("{} does not find {}", self.of, self.path)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        found(view, &self.of, &self.path).map(|(there, seen)| (!there, seen))
    }

    fn path(&self) -> Option<&str> {
        Some(&self.path)
    }
}

/// A short file has a line, looked at with the root directory of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileLine {
    /// Whose root directory.
    pub of: String,
    /// An absolute path to a file of at most 4096 bytes.
    pub path: String,
    /// The line; how its words are kept apart does not matter.
    pub line: String,
}

impl Predicate for FileLine {
    fn claim(&self) -> String {
        format!("{} has the line \"{}\", as {} sees it", self.path, self.line, self.of)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let text = root_of(view, &self.of)?.texts.get(&self.path);
        let text = text.ok_or_else(|| format!("{} is no short file", self.path))?;
        let has = text.lines().any(|line| line.split_whitespace().eq(self.line.split_whitespace()));
        Ok((has, format!("it has: {}", text.lines().collect::<Vec<_>>().join("; "))))
    }

    fn path(&self) -> Option<&str> {
        Some(&self.path)
    }
}

/// The path of the root directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Whose.
    pub of: String,
}

impl Probe for Link {
    fn words(&self) -> String {
        format!("the path of the root directory of {}", self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        value(Some(&view.living(&self.of)?.root)).cloned()
    }
}

/// The inode of the root directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inode {
    /// Whose.
    pub of: String,
}

impl Probe for Inode {
    fn words(&self) -> String {
        format!("the inode number of the root directory of {}", self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        Ok(root_of(view, &self.of)?.inode.to_string())
    }
}

pub(super) fn root_of<'a>(view: &View<'a>, word: &str) -> Seen<&'a Root> {
    let pid = view.living(word)?.pid;
    view.observation.root(pid).ok_or_else(|| format!("the root directory of {word} could not be looked at"))
}

fn compare(view: &View<'_>, one: &str, other: &str) -> Seen<(bool, String)> {
    let (first, second) = (root_of(view, one)?, root_of(view, other)?);
    let seen = format!("{one}: {}, {other}: {}", first.identity(), second.identity());
    Ok((std::ptr::eq(first, second), seen))
}

fn found(view: &View<'_>, of: &str, path: &str) -> Seen<(bool, String)> {
    let there = *root_of(view, of)?.found.get(path).ok_or_else(|| format!("{path} was not looked for"))?;
    Ok((there, if there { format!("{path} is there") } else { format!("{path} is not there") }))
}

//! Overlays: what their upper directory has instead of what is below.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::root::root_of;
use super::{Predicate, Probe, Seen, View};
use crate::probe::Mark;

/// A path leads to a whiteout, looked at with the root directory of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Whiteout {
    /// Whose root directory.
    pub of: String,
    /// An absolute path into an upper directory.
    pub path: String,
}

impl Predicate for Whiteout {
    fn claim(&self) -> String {
        format!("{} is a whiteout, as {} sees it", self.path, self.of)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let mark = mark(view, &self.of, &self.path)?;
        Ok((mark == Some(&Mark::Whiteout), words(&self.path, mark)))
    }

    fn path(&self) -> Option<&str> {
        Some(&self.path)
    }
}

/// A path leads to an opaque directory, looked at with the root directory of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Opaque {
    /// Whose root directory.
    pub of: String,
    /// An absolute path into an upper directory.
    pub path: String,
}

impl Predicate for Opaque {
    fn claim(&self) -> String {
        format!("{} is an opaque directory, as {} sees it", self.path, self.of)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let mark = mark(view, &self.of, &self.path)?;
        Ok((matches!(mark, Some(Mark::Opaque(_))), words(&self.path, mark)))
    }

    fn path(&self) -> Option<&str> {
        Some(&self.path)
    }
}

/// A path leads to a directory that was renamed and left its files in a layer below, looked at with the root directory of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Renamed {
    /// Whose root directory.
    pub of: String,
    /// An absolute path into an upper directory.
    pub path: String,
    /// What its attribute says: the old name, from the top of the layer with a slash, beside it without.
    pub old: String,
}

impl Predicate for Renamed {
    fn claim(&self) -> String {
        format!("{} is a directory that stands for {} below, as {} sees it", self.path, self.old, self.of)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let mark = mark(view, &self.of, &self.path)?;
        Ok((mark == Some(&Mark::Redirect(self.old.clone())), words(&self.path, mark)))
    }

    fn path(&self) -> Option<&str> {
        Some(&self.path)
    }
}

/// What the upper directory of an overlay takes on the disk, in KiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpperKib {
    /// In whose mount namespace.
    pub of: String,
    /// Where the overlay is mounted; its layers must be below `/lab`.
    pub at: String,
}

impl Probe for UpperKib {
    fn words(&self) -> String {
        format!(
            "the KiB that the upper directory of the overlay on {} takes on the disk, as {} sees it",
            self.at, self.of
        )
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        let overlay = view.observation.overlay(view.living(&self.of)?, &self.at);
        let upper = overlay.and_then(|it| it.layers.first().filter(|layer| layer.is_upper && !layer.is_cut));
        let upper =
            upper.ok_or_else(|| format!("no overlay on {} whose upper directory could be looked through", self.at))?;
        Ok(upper.kib.to_string())
    }
}

fn mark<'a>(view: &View<'a>, of: &str, path: &str) -> Seen<Option<&'a Mark>> {
    Ok(root_of(view, of)?.marks.get(path))
}

fn words(path: &str, mark: Option<&Mark>) -> String {
    mark.map_or_else(
        || format!("{path} is neither a whiteout nor opaque"),
        |mark| format!("{path} is {}", mark.words()),
    )
}

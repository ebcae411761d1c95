//! Mounts: what is mounted where, and what it passes on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Predicate, Probe, Seen, View, inode, value};
use crate::kernel::namespace::Namespace;
use crate::probe::Mount;
use crate::runtime::mount::Kind;

/// Something is mounted at a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mounted {
    /// In whose mount namespace.
    pub of: String,
    /// Where.
    pub at: String,
    /// Of which type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fstype: Option<String>,
}

/// A type of file system with its article: `a tmpfs`, `an overlay`.
fn a(fstype: &str) -> String {
    let article = if fstype.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {fstype}")
}

impl Predicate for Mounted {
    fn claim(&self) -> String {
        let what = self.fstype.as_deref().map_or_else(|| "something".to_owned(), a);
        format!("in the mount namespace of {}, {what} is mounted on {}", self.of, self.at)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        Ok(match find(view, &self.of, &self.at)? {
            Some(mount) => {
                let fits = self.fstype.as_ref().is_none_or(|fstype| *fstype == mount.fstype);
                (fits, format!("{} is mounted on {}", a(&mount.fstype), self.at))
            }
            None => (false, format!("nothing is mounted on {}", self.at)),
        })
    }
}

/// Nothing is mounted there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotMounted {
    /// In whose mount namespace.
    pub of: String,
    /// Where.
    pub at: String,
}

impl Predicate for NotMounted {
    fn claim(&self) -> String {
        format!("in the mount namespace of {}, nothing is mounted on {}", self.of, self.at)
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        Ok(match find(view, &self.of, &self.at)? {
            Some(mount) => (false, format!("{} is mounted on {}", a(&mount.fstype), self.at)),
            None => (true, format!("nothing is mounted on {}", self.at)),
        })
    }
}

/// A mount has this propagation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Propagation {
    /// In whose mount namespace.
    pub of: String,
    /// Which mount.
    pub at: String,
    /// Its propagation.
    pub is: Kind,
}

impl Predicate for Propagation {
    fn claim(&self) -> String {
        format!("in the mount namespace of {}, the mount at {} is {}", self.of, self.at, self.is.word())
    }

    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)> {
        let Some(mount) = find(view, &self.of, &self.at)? else {
            return Ok((false, format!("nothing is mounted on {}", self.at)));
        };
        let has = |field: &str| mount.propagation.iter().any(|it| it.split(':').next() == Some(field));
        let holds = match self.is {
            Kind::Private => mount.propagation.is_empty(),
            Kind::Shared => has("shared"),
            Kind::Slave => has("master") && !has("shared"),
            Kind::Unbindable => has("unbindable"),
        };
        let fields =
            if mount.propagation.is_empty() { "no tag: private".to_owned() } else { mount.propagation.join(" ") };
        Ok((holds, format!("mountinfo has, for {}: {fields}", self.at)))
    }
}

/// The type of the file system at a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fstype {
    /// In whose mount namespace.
    pub of: String,
    /// Where.
    pub at: String,
}

impl Probe for Fstype {
    fn words(&self) -> String {
        format!("the type of the file system mounted on {}, in the mount namespace of {}", self.at, self.of)
    }

    fn read(&self, view: &View<'_>) -> Seen<String> {
        let mount = find(view, &self.of, &self.at)?.ok_or_else(|| format!("nothing is mounted on {}", self.at))?;
        Ok(mount.fstype.clone())
    }
}

fn mounts<'a>(view: &View<'a>, of: &str) -> Seen<&'a Vec<Mount>> {
    let mnt = inode(view.living(of)?, Namespace::Mnt)?;
    value(view.observation.mounts.get(&mnt))
}

/// The mount that is seen at a place: the last one there covers the others.
fn find<'a>(view: &View<'a>, of: &str, at: &str) -> Seen<Option<&'a Mount>> {
    Ok(mounts(view, of)?.iter().rfind(|mount| mount.target == at))
}

//! What is to be in a layer: its names, in their order. Contents are read later, one after the other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::PackError;
use super::compare::same;
use super::links::Links;
use super::name::Name;
use super::overlay::{self, Said};
use super::tree::{Found, Tree};
use crate::layer::{Limits, Xattrs};

/// With what a tree is compared.
pub(super) enum Against<'a> {
    /// With nothing: all of it is in the layer.
    Nothing,
    /// With the tree to which the layer will be applied.
    Lower(&'a Tree),
    /// It is a difference itself, as overlayfs keeps it.
    Overlay(Xattrs),
}

/// The names, and what they cost.
pub(super) struct Plan<'a> {
    limits: &'a Limits,
    pub names: BTreeSet<Name>,
    bytes: u64,
    /// How many sockets are left out.
    pub sockets: u64,
}

impl<'a> Plan<'a> {
    /// Looks at everything in `upper`.
    pub fn new(upper: &Tree, against: &Against<'_>, limits: &'a Limits) -> Result<Self, PackError> {
        let mut plan = Self { limits, names: BTreeSet::new(), bytes: 0, sockets: 0 };
        let mut links = Links::default();
        let lower = if let Against::Lower(lower) = against { Some(*lower) } else { None };
        let root = upper.look(Path::new(""))?;
        let under = lower.map(|lower| lower.look(Path::new(""))).transpose()?;
        if under.map_or(Ok(true), |under| same(&under, &root).map(|same| !same))? {
            plan.note(Name::there(Path::new(""))?)?;
        }
        let mut left = vec![(PathBuf::new(), lower)];
        // Goes down without calling itself: how deep directories are nested is somebody else's to say. Nothing stays open meanwhile.
        while let Some((directory, lower)) = left.pop() {
            let mut below = BTreeSet::new();
            if let Some(lower) = lower {
                below.extend(lower.look(&directory)?.names(limits.names)?);
            }
            for name in upper.look(&directory)?.names(limits.names)? {
                let path = directory.join(&name);
                let there = Name::there(&path)?;
                let found = upper.look(&path)?;
                // As far as a layer is concerned it is not there.
                if found.is_socket() {
                    plan.sockets += 1;
                    continue;
                }
                if let Against::Overlay(xattrs) = against {
                    match overlay::said(&found, *xattrs)? {
                        Said::There => {}
                        Said::Opaque => plan.note(Name::opaque(&path)?)?,
                        Said::Whiteout => {
                            plan.note(Name::whiteout(&path)?)?;
                            continue;
                        }
                    }
                }
                let lower = lower.filter(|_| below.remove(&name));
                let under = lower.map(|lower| lower.look(&path)).transpose()?.filter(|under| !under.is_socket());
                let changed = under.as_ref().map_or(Ok(true), |under| same(under, &found).map(|same| !same))?;
                if changed {
                    plan.note(there.clone())?;
                }
                if found.is_directory() {
                    left.push((path, lower.filter(|_| under.is_some_and(|under| under.is_directory()))));
                } else if found.is_linked() || under.as_ref().is_some_and(Found::is_linked) {
                    links.note(there, found.id(), under.as_ref().map(Found::id), changed);
                }
            }
            for name in below {
                let path = directory.join(name);
                let whiteout = Name::whiteout(&path)?;
                if lower.map(|lower| lower.look(&path)).transpose()?.is_some_and(|under| !under.is_socket()) {
                    plan.note(whiteout)?;
                }
            }
        }
        links.changed().into_iter().try_for_each(|name| plan.note(name))?;
        Ok(plan)
    }

    /// A name, with the directories in which it is: some readers would make those anew, with another owner and mode, where no entry
    /// describes them.
    fn note(&mut self, name: Name) -> Result<(), PackError> {
        for above in name.above() {
            // Where it is known, so are those above it.
            if self.names.contains(&above) {
                break;
            }
            self.bytes += above.path().as_os_str().len() as u64;
            self.names.insert(above);
        }
        self.bytes += name.path().as_os_str().len() as u64;
        self.names.insert(name);
        if self.bytes > self.limits.names {
            return Err(PackError::Limit { what: "bytes of names", limit: self.limits.names });
        }
        Ok(())
    }
}

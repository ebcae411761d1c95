//! A rootfs that was made.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::error::Error;
use crate::plan::Plan;
use crate::recipe::Recipe;
use crate::target::{self, Written};

/// A rootfs that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rootfs {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub plan: Plan,
    /// The sum of its files' lengths.
    pub bytes: u64,
    /// How many files were read from the machine.
    pub read: usize,
    /// How many files came from the cache, and so were not read from the machine.
    pub cached: usize,
    /// How many files were broken in the cache, and so were read from the machine; the cache has them whole again.
    pub repaired: usize,
    /// What went wrong in the cache. The rootfs is whole without it.
    pub cache_trouble: Option<String>,
}

impl Recipe {
    /// Makes the rootfs in `directory`, which must be empty or absent. Nothing outside of it is written.
    ///
    /// # Errors
    /// What could not be found, read or written. Everything that was made is then gone again.
    pub fn make(&self, directory: impl AsRef<Path>) -> Result<Rootfs, Error> {
        self.make_by(directory.as_ref(), None)
    }

    /// Makes the rootfs in `directory` as [`Recipe::make`] does, and reads no file from the machine that `cache` has.
    ///
    /// # Errors
    /// As for [`Recipe::make`]; a cache that fails is done without.
    pub fn make_with(&self, directory: impl AsRef<Path>, cache: &Cache) -> Result<Rootfs, Error> {
        let mut rootfs = self.make_by(directory.as_ref(), Some(cache))?;
        let trimmed = cache.trim().err().map(|error| error.to_string());
        rootfs.cache_trouble = rootfs.cache_trouble.or(trimmed);
        Ok(rootfs)
    }

    fn make_by(&self, directory: &Path, cache: Option<&Cache>) -> Result<Rootfs, Error> {
        let plan = self.plan()?;
        let path = directory.to_owned();
        let Written { bytes, read, cached, repaired, trouble } = target::write(&path, &plan, self.machine(), cache)?;
        Ok(Rootfs { path, plan, bytes, read, cached, repaired, cache_trouble: trouble.map(|error| error.to_string()) })
    }
}

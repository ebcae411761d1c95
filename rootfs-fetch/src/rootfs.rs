//! A rootfs that was made.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::plan::Plan;
use crate::recipe::Recipe;
use crate::target;

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
}

impl Recipe {
    /// Makes the rootfs in `directory`, which must be empty or absent. Nothing outside of it is written.
    ///
    /// # Errors
    /// What could not be found, read or written. Everything that was made is then gone again.
    pub fn make(&self, directory: impl AsRef<Path>) -> Result<Rootfs, Error> {
        let plan = self.plan()?;
        let path = directory.as_ref().to_owned();
        let bytes = target::write(&path, &plan, self.machine())?;
        Ok(Rootfs { path, plan, bytes })
    }
}

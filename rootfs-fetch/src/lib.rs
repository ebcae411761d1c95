//! Makes a rootfs, the file tree that becomes a container's `/`, from the programs of this machine, offline.
//!
//! A static busybox is taken where the machine has one. Else the shell and the core programs are taken with the loader
//! and the libraries that they need, which are found by reading ELF files and never by running them (as `ldd` does).
//!
//! ```no_run
//! use rootfs_fetch::Recipe;
//!
//! let rootfs = Recipe::automatic().make("/tmp/rootfs")?;
//! println!("{rootfs}");
//! // Just one program with what it needs, to see in a chroot what it can not do without.
//! Recipe::programs(["ls"]).make("/tmp/only-ls")?;
//! # Ok::<(), rootfs_fetch::Error>(())
//! ```

mod busybox;
mod directories;
mod elf;
mod error;
mod libraries;
mod machine;
mod plan;
mod programs;
mod recipe;
mod report;
mod target;

pub use busybox::Applets;
pub use error::{Error, Fault};
pub use machine::Machine;
pub use recipe::{Missing, Recipe, Rootfs, Source};

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
//!
//! A [`Plan`] is the same as plain data, for those who make the rootfs themselves:
//!
//! ```no_run
//! use rootfs_fetch::{Extent, Recipe, What};
//!
//! let alone = Recipe::programs(["ls"]).bare().extent(Extent::Program).plan()?;
//! let whole = Recipe::programs(["ls"]).bare().plan()?.beyond(&alone);
//! for entry in &whole.entries {
//!     match &entry.what {
//!         What::Directory { mode } => println!("mkdir -m {mode:o} {:?}", entry.path),
//!         What::Link { to } => println!("ln -s {to:?} {:?}", entry.path),
//!         What::Copy { from, .. } => println!("cp {from:?} {:?}", entry.path),
//!         What::Text { text, .. } => println!("printf %s {text:?} >{:?}", entry.path),
//!     }
//! }
//! # Ok::<(), rootfs_fetch::Error>(())
//! ```
//!
//! And it handles images, from which a rootfs comes elsewhere: [`image`] has what they are made of, [`store`] keeps them, [`layer`] applies their
//! layers, [`unpack`] makes whole root file systems of them, [`pack`] makes layers and images of file trees, [`client`] speaks to registries,
//! [`transfer`] moves images between those and stores, [`archive`] carries them in one file, [`sign`] tells who made them.

pub mod archive;
mod busybox;
mod cache;
mod cancel;
pub mod client;
mod directories;
mod draft;
mod elf;
mod error;
pub mod image;
pub mod layer;
mod libraries;
mod machine;
pub mod pack;
mod plan;
mod programs;
mod recipe;
mod report;
mod rootfs;
pub mod sign;
pub mod store;
mod target;
pub mod transfer;
pub mod unpack;
mod wanted;

pub use cache::{Cache, Cleared, DEFAULT_LIMIT, Held};
pub use cancel::Cancel;
pub use error::{Error, Fault};
pub use machine::Machine;
pub use plan::{Applets, Entry, Extent, Missing, Plan, Source, What};
pub use recipe::Recipe;
pub use rootfs::Rootfs;

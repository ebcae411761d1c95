//! A made-up machine, and a place beside it for a rootfs.

// Each test file takes what it needs of this.
#![allow(dead_code)]

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use rootfs_fetch::{Cache, Error, Machine, Recipe, Rootfs};
use tempfile::TempDir;

use crate::support::{Made, link, put};

/// A machine, and a place beside it for the rootfs.
pub struct Lab {
    pub place: TempDir,
}

impl Lab {
    /// A machine with a loader.
    pub fn new() -> Self {
        let lab = Self::empty();
        put(&lab.root(), "/lib/ld.so", Made::library().bytes());
        lab
    }
    /// A machine with nothing.
    pub fn empty() -> Self {
        Self { place: TempDir::new().expect("a temporary directory") }
    }
    pub fn root(&self) -> PathBuf {
        self.place.path().join("machine")
    }
    pub fn target(&self) -> PathBuf {
        self.place.path().join("rootfs")
    }
    pub fn put(&self, path: &str, bytes: impl AsRef<[u8]>) {
        put(&self.root(), path, bytes);
    }
    pub fn link(&self, path: &str, to: &str) {
        link(&self.root(), path, to);
    }
    pub fn make(&self, programs: &[&str]) -> Result<Rootfs, Error> {
        Recipe::programs(programs).from(Machine::at(self.root())).make(self.target())
    }
    pub fn automatic(&self) -> Result<Rootfs, Error> {
        Recipe::automatic().from(Machine::at(self.root())).make(self.target())
    }
    pub fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.target().join(path.trim_start_matches('/'))).is_ok()
    }
    pub fn link_text(&self, path: &str) -> PathBuf {
        fs::read_link(self.target().join(path.trim_start_matches('/'))).expect("a link")
    }
    /// The message of an attempt that must fail and leave nothing.
    pub fn refused(&self, program: &str) -> String {
        let error = self.make(&[program]).expect_err("it can not work");
        assert!(!self.target().exists(), "something is left after: {error}");
        error.to_string()
    }
    /// A cache beside the machine.
    pub fn cache(&self) -> Cache {
        Cache::open(self.place.path().join("cache")).expect("a cache")
    }
    /// Makes the rootfs `name` of these programs by way of the cache.
    pub fn cached(&self, name: &str, programs: &[&str]) -> Rootfs {
        let recipe = Recipe::programs(programs).from(Machine::at(self.root()));
        recipe.make_with(self.place.path().join(name), &self.cache()).expect("a rootfs")
    }
}

/// Paths from texts.
pub fn paths(list: &[&str]) -> Vec<PathBuf> {
    list.iter().map(PathBuf::from).collect()
}
/// Tells that something could not be tested, past the capture of the test harness, and in the file of skips.
pub fn skip(what: &str, why: &str) {
    let line = format!("SKIPPED rootfs-fetch {what}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("the test's own stderr");
    if let Some(path) = std::env::var_os("HARDWAY_SKIPS") {
        let file = fs::OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the file named by HARDWAY_SKIPS");
    }
}

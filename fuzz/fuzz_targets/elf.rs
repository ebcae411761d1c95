#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

#[path = "../properties/elf.rs"]
mod property;

/// `fuzz/run` gives a directory for temporary files, and takes it away.
static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = std::env::temp_dir().join(format!("elf-{}", std::process::id()));
    property::machine(&root);
    root
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::holds(&ROOT, bytes));

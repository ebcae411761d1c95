#![no_main]

use std::sync::LazyLock;

#[path = "../properties/mended.rs"]
mod mended;
#[path = "../properties/layer.rs"]
mod property;

/// `fuzz/run` gives a directory for temporary files, and takes it away.
static PLACE: LazyLock<property::Place> =
    LazyLock::new(|| property::Place::new(&std::env::temp_dir().join(format!("layer-{}", std::process::id()))));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    PLACE.holds(bytes);
});

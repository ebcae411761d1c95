#![no_main]

#[path = "../properties/manifest.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    property::holds(bytes);
});

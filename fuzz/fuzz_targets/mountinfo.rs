#![no_main]

#[path = "../properties/mountinfo.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::holds(bytes));

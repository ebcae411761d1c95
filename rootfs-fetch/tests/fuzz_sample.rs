//! What the fuzzer of ELF files looks for, on a few that are nearly right: so that it is looked for at every run.

use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

#[path = "../../fuzz/properties/elf.rs"]
mod elf;
mod support;
use support::Made;

thread_local! {
    static MACHINE: TempDir = {
        let place = TempDir::new().expect("a temporary directory");
        elf::machine(place.path());
        place
    };
}

fn seeds() -> Vec<Vec<u8>> {
    let program = Made::program().needs(&["libx.so", "libc.so.6"]);
    let musl = Made { interpreter: Some("/lib/ld-musl-x86_64.so.1".into()), ..program.clone() };
    let paths = Made { runpath: Some("$ORIGIN/../lib:/lib/$LIB".into()), ..program.clone() };
    let narrow = Made { wide: false, big: true, ..program.clone() };
    let made = [program, musl, paths, narrow, Made::library()].map(|made| made.bytes());
    made.into_iter().chain([b"#! /bin/sh -e\ninclude /etc/*.conf\n/lib:/srv\n".to_vec()]).collect()
}

#[test]
fn seeds_are_refused_or_planned_and_written_down_where_that_is_wished() {
    for (number, seed) in seeds().into_iter().enumerate() {
        if let Some(corpus) = std::env::var_os("HARDWAY_FUZZ_CORPUS") {
            std::fs::write(Path::new(&corpus).join(format!("elf/{number}")), &seed).expect("a directory for seeds");
        }
        MACHINE.with(|machine| elf::holds(machine.path(), &seed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn programs_are_planned_or_refused(
        mut bytes in prop::sample::select(seeds()),
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just(0), Just(255), any::<u8>()]), 0..5),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        MACHINE.with(|machine| elf::holds(machine.path(), &bytes));
    }
}

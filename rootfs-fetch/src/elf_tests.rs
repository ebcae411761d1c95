//! Whole, broken and hostile ELF files, in memory.

use proptest::prelude::*;

use super::*;

#[path = "../tests/support/mod.rs"]
mod support;
use support::Made;

impl Bytes for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
    fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let from = self.get(start..start + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(from);
        Ok(())
    }
}

fn read(bytes: impl Into<Vec<u8>>) -> Result<Elf, Fault> {
    Elf::read(&bytes.into())
}

fn said(bytes: impl Into<Vec<u8>>) -> String {
    read(bytes).expect_err("a fault").to_string()
}

fn example(wide: bool, big: bool) -> Made {
    let mut made = Made { wide, big, ..Made::program().needs(&["libc.so.6", "libm.so.6"]) };
    made.rpath = Some("/a:/b".into());
    made.runpath = Some("$ORIGIN/lib".into());
    made
}

#[test]
fn every_class_and_byte_order_is_read() {
    for (wide, big) in [(true, false), (true, true), (false, false), (false, true)] {
        let elf = read(example(wide, big).bytes()).expect("a whole file");
        let wanted = Elf {
            wide,
            machine: 62,
            shared: true,
            interpreter: Some("/lib/ld.so".into()),
            needed: vec!["libc.so.6".into(), "libm.so.6".into()],
            rpath: Some("/a:/b".into()),
            runpath: Some("$ORIGIN/lib".into()),
        };
        assert_eq!(elf, wanted, "wide {wide}, big {big}");
        assert!(!elf.is_static());
    }
    assert!(read(Made::library().bytes()).expect("a whole file").is_static());
}

#[test]
fn the_running_test_is_read() {
    let file = File::open("/proc/self/exe").expect("the test's own file");
    let elf = Elf::read(&file).expect("a whole file");
    assert_eq!(elf.wide, cfg!(target_pointer_width = "64"));
}

#[test]
fn faults_say_what_is_wrong() {
    assert_eq!(said(b"#!/bin/sh".to_vec()), "it does not begin with the four bytes 7f 45 4c 46");
    assert_eq!(said(b"\x7fEL".to_vec()), "it does not begin with the four bytes 7f 45 4c 46");
    assert_eq!(said(b"\x7fELF".to_vec()), "e_ident reaches beyond the end of the file");
    let whole = example(true, false).bytes();
    let with = |at: usize, bytes: &[u8]| {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        said(file)
    };
    assert_eq!(with(4, &[9]), "EI_CLASS has the value 9, which has no meaning there");
    assert_eq!(with(5, &[0]), "EI_DATA has the value 0, which has no meaning there");
    assert_eq!(with(16, &[4]), "e_type has the value 4, which has no meaning there");
    assert_eq!(with(54, &[57]), "e_phentsize has the value 57, which has no meaning there");
    assert_eq!(with(56, &[255, 255]), "e_phnum is 65535; no more than 128 is taken");
    assert_eq!(with(32, &[255; 8]), "the table of program headers reaches beyond the end of the file");
    // PT_INTERP is the first program header here: its p_offset, then its p_filesz.
    assert_eq!(with(64 + 8, &[255; 8]), "PT_INTERP reaches beyond the end of the file");
    assert_eq!(with(64 + 32, &[3, 0]), "PT_INTERP does not end with a zero byte");
    assert_eq!(with(64 + 32, &[0; 8]), "PT_INTERP does not end with a zero byte");
    // PT_DYNAMIC is the third.
    let dynamic = 64 + 2 * 56;
    assert_eq!(with(dynamic + 8, &[255; 8]), "PT_DYNAMIC reaches beyond the end of the file");
    assert_eq!(with(dynamic + 32, &[255; 8]), {
        format!("the number of dynamic entries is {}; no more than 4096 is taken", u64::MAX / 16)
    });
    // Nothing is loaded where DT_STRTAB points when PT_LOAD is gone.
    assert_eq!(with(64 + 56, &[7]), "DT_STRTAB reaches beyond the end of the file");
    let mut many = Made::program();
    many.needed = vec!["x".into(); 257];
    assert_eq!(said(many.bytes()), "the number of needed libraries is 257; no more than 256 is taken");
    many.needed = vec!["x".repeat(5000)];
    assert!(said(many.bytes()).starts_with("DT_NEEDED is "));
    assert_eq!(said(Made::program().needs(&[""]).bytes()), "DT_NEEDED is empty");
}

#[test]
fn every_beginning_of_a_file_is_taken_or_refused() {
    for (wide, big) in [(true, false), (false, true)] {
        let whole = example(wide, big).bytes();
        for length in 0..whole.len() {
            // Nothing stands after the dynamic section, so no shorter file is whole.
            read(whole[..length].to_vec()).expect_err("a file that was cut off");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = read(bytes);
    }

    #[test]
    fn random_bytes_after_the_magic_never_panic(
        wide in any::<bool>(), big in any::<bool>(), bytes in prop::collection::vec(any::<u8>(), 10..512),
    ) {
        let mut file = vec![0x7f, b'E', b'L', b'F', 1 + u8::from(wide), 1 + u8::from(big)];
        file.extend(bytes);
        let _ = read(file);
    }

    #[test]
    fn changed_files_never_panic_and_stay_within_limits(
        wide in any::<bool>(), big in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just(0), Just(255), any::<u8>()]), 1..12),
    ) {
        let mut file = example(wide, big).bytes();
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        if let Ok(elf) = read(file) {
            prop_assert!(elf.needed.len() <= 256);
            prop_assert!(elf.needed.iter().chain(&elf.interpreter).all(|name| !name.is_empty() && name.len() < 4096));
        }
    }
}

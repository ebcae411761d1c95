//! Writes small ELF files into a directory: what a fuzzer begins with. `fuzz/run` calls it.

use std::fs;
use std::io;
use std::path::PathBuf;

#[path = "../tests/support/mod.rs"]
mod support;
use support::Made;

fn main() -> io::Result<()> {
    let directory = PathBuf::from(std::env::args_os().nth(1).ok_or(io::ErrorKind::InvalidInput)?);
    for (wide, big) in [(true, false), (true, true), (false, false), (false, true)] {
        let program = Made { wide, big, ..Made::program().needs(&["libx.so", "libc.so.6"]) };
        let musl = Made { interpreter: Some("/lib/ld-musl-x86_64.so.1".into()), ..program.clone() };
        let paths =
            Made { rpath: Some("$ORIGIN/../lib:/a".into()), runpath: Some("/lib/$LIB".into()), ..program.clone() };
        for (name, made) in [("program", program), ("musl", musl), ("paths", paths), ("library", Made::library())] {
            fs::write(directory.join(format!("{name}-{wide}-{big}")), made.bytes())?;
        }
    }
    fs::write(directory.join("script"), "#! /bin/sh -e\n")?;
    fs::write(directory.join("env"), "#!/usr/bin/env -S A=b sh\n")?;
    fs::write(directory.join("configuration"), "include /etc/*.conf # all\nhwcap 1 x\n/lib:/srv, /opt=libc6\n")
}

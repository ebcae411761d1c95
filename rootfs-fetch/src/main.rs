//! `rootfs-fetch DIR [PROGRAM...]`: the library at a prompt.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use rootfs_fetch::Recipe;

const HELP: &str = "\
Make a rootfs in a directory from the programs of this machine, offline.

Usage: rootfs-fetch [--no-busybox] DIR [PROGRAM...]

  DIR            must be empty or absent; nothing outside of it is written
  PROGRAM        a name or an absolute path; with the loader and the libraries that it needs.
                 Without any: the machine's static busybox, or its shell and core programs
  --no-busybox   take the shell and core programs even where there is a static busybox
  -h, --help     this text

Exit status: 0 made, 1 not made (and nothing left of it), 2 the arguments are wrong

Examples:
  rootfs-fetch /tmp/rootfs             a rootfs to work in
  chroot /tmp/rootfs /bin/sh           enter it, as root
  unshare -r chroot /tmp/rootfs sh     enter it, as an ordinary user
  rootfs-fetch /tmp/two sh ls          a rootfs that has two programs and no more
";

fn main() -> ExitCode {
    let mut busybox = true;
    let mut names: Vec<OsString> = Vec::new();
    let mut options = true;
    for argument in std::env::args_os().skip(1) {
        match argument.to_str() {
            Some("--") if options => options = false,
            Some("-h" | "--help") if options => return print(HELP, ExitCode::SUCCESS),
            Some("--no-busybox") if options => busybox = false,
            Some(other) if options && other.starts_with('-') => {
                return wrong(&format!("there is no option {other:?}"));
            }
            _ => names.push(argument),
        }
    }
    if names.is_empty() {
        return wrong("name the directory in which the rootfs is to be made");
    }
    let directory = PathBuf::from(names.remove(0));
    let recipe = match (names.is_empty(), busybox) {
        (true, true) => Recipe::automatic(),
        (true, false) => Recipe::lessons(),
        (false, _) => Recipe::programs(names),
    };
    match recipe.make(directory) {
        Ok(rootfs) => print(&format!("{rootfs}\n"), ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("rootfs-fetch: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wrong(what: &str) -> ExitCode {
    eprintln!("rootfs-fetch: {what}\nTry: rootfs-fetch --help");
    ExitCode::from(2)
}

/// A reader that has gone away, as in `rootfs-fetch … | head -1`, does not undo what was made.
fn print(text: &str, status: ExitCode) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    status
}

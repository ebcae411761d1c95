//! Any bytes, as a program, its loader, its library, its script's interpreter and the loader's configuration on a made-up
//! machine: a plan that stays within the rootfs, or an error that names the file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path};

use rootfs_fetch::{Machine, Recipe, What};

/// All places are one file.
const PLACES: [&str; 7] = [
    "bin/sh",
    "lib/ld.so",
    "lib/ld-musl-x86_64.so.1",
    "lib/libx.so",
    "lib/libc.so.6",
    "etc/ld.so.conf",
    "etc/ld-musl-x86_64.path",
];

/// Makes the machine in an empty directory.
pub fn machine(root: &Path) {
    for directory in ["bin", "lib", "etc"] {
        fs::create_dir_all(root.join(directory)).expect("an empty directory");
    }
    let file = root.join("bin/p");
    fs::write(&file, "").expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a mode");
    for place in PLACES {
        fs::hard_link(&file, root.join(place)).expect("a link");
    }
}

/// Checks it on that machine.
pub fn holds(root: &Path, bytes: &[u8]) {
    fs::write(root.join("bin/p"), bytes).expect("the file");
    match Recipe::programs(["p"]).from(Machine::at(root)).plan() {
        Ok(plan) => {
            for entry in &plan.entries {
                let mut parts = entry.path.components();
                assert_eq!(parts.next(), Some(Component::RootDir));
                assert!(parts.all(|part| matches!(part, Component::Normal(_))), "{entry:?}");
                if let What::Link { to } = &entry.what {
                    assert!(to.is_relative(), "{entry:?}");
                }
                if let What::Copy { from, .. } = &entry.what {
                    assert!(root.join(from.strip_prefix("/").expect("a path of the machine")).is_file());
                }
            }
            assert!(plan.programs == [Path::new("/bin/p")]);
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains('/') && !text.contains('\x1b'), "{text}");
        }
    }
}

//! Finding programs.

use std::path::Path;

use nix::unistd::{AccessFlags, access};

/// The name under which hardway's own binary does work for limits to bite into.
pub const WORK: &str = "work";

/// The path of a program as execvp(3) would find it; a name that is not found is returned as it is, so that the kernel
/// itself says `ENOENT`.
pub fn find(name: &str) -> String {
    if name.contains('/') {
        return name.to_owned();
    }
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    path.split(':')
        .map(|dir| Path::new(dir).join(name))
        .find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
        .map_or_else(|| name.to_owned(), |file| file.to_string_lossy().into_owned())
}

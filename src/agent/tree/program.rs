//! What a lab host has of hardway itself: one file, under the names by which it does different work.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::mount::MsFlags;

use super::{NONE, attach, failed, make_dir};
use crate::explain::Explanation;
use crate::kernel::program::WORK;
use crate::runtime::cni::{HARDWAY, PLUGINS, plugin_names};

/// Shows this program as `/lab/work`, under which name it does work for limits to bite into; and by links under its own, and under
/// those of CNI plugins.
pub(super) fn show(root: &Path, program: Option<&File>) -> Result<(), Explanation> {
    let Some(program) = program else { return Ok(()) };
    let place = root.join("lab").join(WORK);
    fs::write(&place, "").map_err(|error| failed(&format!("make {}", place.display()), &error))?;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID;
    attach(Some(&format!("/proc/self/fd/{}", program.as_raw_fd())), &place, None, MsFlags::MS_BIND, None)?;
    attach(NONE, &place, None, flags, None)?;
    // Absolute paths, of which the tree has the end.
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    make_dir(&below(PLUGINS), 0o755)?;
    let links = plugin_names().into_iter().map(|name| (below(PLUGINS).join(name), Path::new("..").join(WORK)));
    for (link, to) in links.chain([(below(HARDWAY), WORK.into())]) {
        symlink(to, &link).map_err(|error| failed(&format!("make the link {}", link.display()), &error))?;
    }
    Ok(())
}

/// The program that lab hosts show instead of this one.
static NAMED: OnceLock<PathBuf> = OnceLock::new();

/// Lets lab hosts show this program, for who uses hardway as a library and is none of its programs. The first call counts.
pub fn show_another(path: impl Into<PathBuf>) {
    let _ = NAMED.set(path.into());
}

/// The program's file as this mount namespace has it, opened while nothing hides it. None where it was replaced or removed while
/// it runs; `/proc/self/exe` leads to the mount of another namespace, and that can not be bound here.
pub(super) fn file() -> Option<File> {
    let path = NAMED.get().cloned().or_else(|| fs::read_link("/proc/self/exe").ok())?;
    File::open(path).ok()
}

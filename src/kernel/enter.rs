//! Entering a namespace to read what only its members are told. For throw-away processes: there is no way back in here.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::sched::{CloneFlags, setns};

/// Moves the calling thread into the UTS namespace behind a link of `/proc/PID/ns` (setns(2)), **for good**, and returns the
/// host name there (uname(2)). A name that is not UTF-8 is made readable.
///
/// # Errors
/// `ENOENT` where the process is gone, `EACCES` where its link may not be opened (ptrace(2), access mode checking), `EPERM`
/// without CAP_SYS_ADMIN in the own user namespace and in the one that owns the UTS namespace.
pub fn uts_hostname(link: &Path) -> io::Result<String> {
    let namespace = File::open(link)?;
    setns(&namespace, CloneFlags::CLONE_NEWUTS)?;
    Ok(nix::unistd::gethostname()?.to_string_lossy().into_owned())
}

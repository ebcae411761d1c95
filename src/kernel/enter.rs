//! Entering a namespace to read what only its members are told. For throw-away processes: there is no way back in here.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::sched::setns;

use super::namespace::Namespace;

/// Moves the calling thread into the namespace behind a link of `/proc/PID/ns` (setns(2)), **for good**.
///
/// # Errors
/// `ENOENT` where the process is gone, `EACCES` where its link may not be opened (ptrace(2), access mode checking), `EPERM`
/// without CAP_SYS_ADMIN in the own user namespace and in the one that owns the namespace.
pub fn namespace(link: &Path, kind: Namespace) -> io::Result<()> {
    Ok(setns(File::open(link)?, kind.bits())?)
}

/// [`namespace`] for a UTS namespace, and the host name there (uname(2)). A name that is not UTF-8 is made readable.
///
/// # Errors
/// As [`namespace`].
pub fn uts_hostname(link: &Path) -> io::Result<String> {
    namespace(link, Namespace::Uts)?;
    Ok(nix::unistd::gethostname()?.to_string_lossy().into_owned())
}

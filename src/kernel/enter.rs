//! Entering a namespace to read what only its members are told. For throw-away processes: there is no way back in here.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::sched::setns;
use nix::sys::stat::Mode;

use super::mount;
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

/// The names of the POSIX message queues in the IPC namespace that the calling thread is in: a mqueue file system shows those
/// of the namespace that it was mounted from (mq_overview(7)), so this one is mounted for the occasion, and nowhere.
///
/// # Errors
/// As [`mount::detached`].
pub fn message_queues() -> io::Result<Vec<String>> {
    let root = mount::detached(c"mqueue")?;
    // Such a descriptor is like one of O_PATH: what is listed is opened below it.
    let mut root = Dir::openat(&root, c".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut names = Vec::new();
    for entry in root.iter() {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| name != "." && name != "..");
    Ok(names)
}

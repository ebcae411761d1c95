//! Being told by the kernel when groups or networks change, where it tells, so that what happened is not seen a second later.
//!
//! inotify(7) tells of groups that come and go and of writes to their files in both versions, and in version 2 of changes that the
//! kernel itself makes to `cgroup.events`, `memory.events` and `pids.events`. A trigger of pressure (PSI, the kernel's
//! `Documentation/accounting/psi.rst`) tells when tasks had to wait; it stands on the lab's own group, and so counts for all below
//! it. Where version 2 is mounted with `nsdelegate`, as systemd does, nobody may write to that from inside (the kernel's
//! `cgroup-v2.rst`, Delegation): then it stands on the first group that takes it. Where the kernel refuses any, one goes without: the
//! state is sampled once a second all the same.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::explain::Explanation;
use crate::kernel::channel::Channel;
use crate::kernel::stdio;

/// The files of version 2 on which the kernel notifies.
const FILES: [&str; 3] = ["cgroup.events", "memory.events", "pids.events"];

/// The files in which a trigger of pressure can be set.
const PRESSURE: [&str; 3] = ["cpu.pressure", "memory.pressure", "io.pressure"];

/// Some task waited for 150 of 2000 milliseconds. Without CAP_SYS_RESOURCE a window must be a multiple of two seconds.
const TRIGGER: &str = "some 150000 2000000";

/// How long a worker's descriptors are waited for after it has ended.
const PATIENCE: Duration = Duration::from_secs(1);

/// In how many directories a trigger is tried.
const MAX_TRIED: usize = 4;

/// The most directories that are watched.
const MAX_DIRECTORIES: usize = 512;

/// Descriptors of what happens in these directories of groups: one of inotify, then one for each trigger. Made by a worker, since
/// paths in the lab host may lead anywhere by now; none where the kernel gives none.
///
/// # Errors
/// Where the worker failed.
pub(super) fn watch(directories: &[String]) -> Result<Vec<OwnedFd>, Explanation> {
    let Ok((ours, theirs)) = Channel::pair() else { return Ok(Vec::new()) };
    let made: bool = super::server::reported(|report| {
        let fds = make(directories);
        let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        let sent = theirs.send_with(&(), &borrowed).is_ok();
        stdio::report(report, &sent);
    })?;
    if !made {
        return Ok(Vec::new());
    }
    Ok(ours.receive_with::<()>(Some(PATIENCE)).map(|((), fds)| fds).unwrap_or_default())
}

/// A socket on which the kernel tells of links, addresses and routes; none where it gives none.
pub(super) fn watch_networks() -> Option<OwnedFd> {
    crate::kernel::netlink::notices().ok()
}

fn make(directories: &[String]) -> Vec<OwnedFd> {
    // The triggers first: they are written to files of a directory that is watched after that.
    let first =
        |file| directories.iter().take(MAX_TRIED).find_map(|directory| trigger(&Path::new(directory).join(file)));
    let triggers: Vec<OwnedFd> = PRESSURE.into_iter().filter_map(first).collect();
    let Ok(inotify) = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK) else { return Vec::new() };
    let come_and_go = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_ONLYDIR;
    for directory in directories.iter().take(MAX_DIRECTORIES).map(Path::new) {
        let _ = inotify.add_watch(directory, come_and_go | AddWatchFlags::IN_MODIFY);
        for file in FILES {
            let _ = inotify.add_watch(&directory.join(file), AddWatchFlags::IN_MODIFY);
        }
    }
    std::iter::once(OwnedFd::from(inotify)).chain(triggers).collect()
}

/// A trigger lasts as long as its descriptor.
fn trigger(file: &Path) -> Option<OwnedFd> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = File::options().read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(file).ok()?;
    file.write_all(TRIGGER.as_bytes()).ok()?;
    Some(file.into())
}

/// Whether events that were read of inotify's descriptor say that a group came or went, or that some were lost.
pub fn came_or_went(events: &[u8]) -> bool {
    // struct inotify_event: wd, mask, cookie and len, of four bytes each, and a name of that length.
    let telling = AddWatchFlags::IN_ISDIR | AddWatchFlags::IN_IGNORED | AddWatchFlags::IN_Q_OVERFLOW;
    let mut rest = events;
    while let [_, _, _, _, m0, m1, m2, m3, _, _, _, _, l0, l1, l2, l3, names @ ..] = rest {
        if u32::from_ne_bytes([*m0, *m1, *m2, *m3]) & telling.bits() != 0 {
            return true;
        }
        let length = u32::from_ne_bytes([*l0, *l1, *l2, *l3]) as usize;
        rest = names.get(length..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read;

    use super::*;

    fn read(fd: &OwnedFd) -> Vec<u8> {
        let mut events = vec![0; 4096];
        let length = File::from(fd.try_clone().unwrap()).read(&mut events).unwrap_or(0);
        events.truncate(length);
        events
    }

    #[test]
    fn directories_that_come_and_go_are_told_apart_from_writes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap().to_owned();
        std::fs::write(directory.path().join("memory.events"), "max 0\n").unwrap();
        let fds = make(&[path.clone(), format!("{path}/gone")]);
        assert_eq!(fds.len(), 1, "a trigger needs a file of the kernel's");
        assert!(read(&fds[0]).is_empty());
        std::fs::write(directory.path().join("memory.events"), "max 1\n").unwrap();
        let events = read(&fds[0]);
        assert!(!events.is_empty() && !came_or_went(&events));
        std::fs::create_dir(directory.path().join("web")).unwrap();
        assert!(came_or_went(&read(&fds[0])));
        std::fs::remove_dir(directory.path().join("web")).unwrap();
        assert!(came_or_went(&read(&fds[0])));
        assert!(!came_or_went(&[0xff; 15]));
    }
}

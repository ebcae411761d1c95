//! Reading network namespaces: by entering them, one after the other.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Reader, Wanted, each, nothing};
use crate::kernel::enter;
use crate::kernel::errno::Errno;
use crate::kernel::mount;
use crate::kernel::namespace::Namespace;
use crate::probe::{Network, Observation, Pin, Process, Reading};

impl Reader {
    /// The namespaces that are mounted on files where this thread is. Where some processes are wanted, theirs only; where the
    /// lab host is the machine itself, those that the machine had before are its own affair.
    pub(super) fn pins(&mut self, observation: &Observation, wanted: &Wanted) -> Vec<Pin> {
        let own = self.own_mountinfo(observation);
        let mut pins = own.value().map_or_else(Vec::new, |mounts| Pin::all(mounts));
        let is_wanted = |pin: &Pin| {
            let inodes = |process: &Process| process.namespaces.0.values().any(|it| it.value() == Some(&pin.inode));
            wanted.only.is_none() || observation.processes.iter().any(inodes)
        };
        pins.retain(is_wanted);
        if wanted.below.is_some() {
            let machine = self.mountinfo_of("1");
            let machine = machine.value().map_or_else(Vec::new, |mounts| Pin::all(mounts));
            pins.retain(|pin| !machine.contains(pin));
        }
        pins
    }

    /// Every network namespace: first the one that this thread is in, then the others by entering them one after the other.
    pub(super) fn networks(&mut self, observation: &Observation) -> BTreeMap<u64, Reading<Network>> {
        let own = self.own_inode(Namespace::Net);
        let here = Network::read(&self.proc);
        let proc = self.proc.clone();
        let mut networks =
            each(observation, Namespace::Net, |process| match process.namespaces.inode(Namespace::Net) {
                inode if inode.is_some() && inode == own => here.clone(),
                _ => entered(self.namespace(process, Namespace::Net), &proc),
            });
        for pin in observation.pins.iter().filter(|pin| pin.kind == Namespace::Net.link()) {
            networks.entry(pin.inode).or_insert_with(|| match own == Some(pin.inode) {
                true => here.clone(),
                false => self.pinned(pin),
            });
        }
        networks
    }
    /// The network namespace that is mounted on a file. It is entered through a copy of the mount, so that a learner's umount does
    /// not find it busy; somebody without the right to copy mounts has none to take away either.
    fn pinned(&self, pin: &Pin) -> Reading<Network> {
        let copy = mount::copy(Path::new(&pin.at));
        let path = match &copy {
            Ok(copy) => self.proc.join(format!("self/fd/{}", copy.as_raw_fd())),
            Err(_) => PathBuf::from(&pin.at),
        };
        // Another mount may cover the file.
        let is_there = fs::metadata(&path).is_ok_and(|it| it.ino() == pin.inode);
        if is_there { entered(File::open(&path), &self.proc) } else { Reading::Missing(nothing()) }
    }
}

/// The network namespace behind an open file. This thread stays there.
fn entered(file: io::Result<impl Borrow<File>>, proc: &Path) -> Reading<Network> {
    match file.and_then(|file| enter::namespace(file.borrow(), Namespace::Net)) {
        Ok(()) => Network::read(proc),
        Err(error) => Reading::Missing(Errno::from(&error)),
    }
}

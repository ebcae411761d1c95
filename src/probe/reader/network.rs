//! Reading network namespaces: by entering them, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{Reader, Wanted, each, nothing};
use crate::kernel::enter;
use crate::kernel::errno::Errno;
use crate::kernel::mount;
use crate::kernel::namespace::Namespace;
use crate::kernel::netlink::Netlink;
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
        let mut met = Met::default();
        let here = Network::read(&self.proc);
        if let Some(own) = own {
            met.keep(own, &here, File::open(self.proc.join(self.own).join("ns/net")).map(Rc::new));
        }
        let proc = self.proc.clone();
        let mut networks =
            each(observation, Namespace::Net, |process| match process.namespaces.inode(Namespace::Net) {
                inode if inode.is_some() && inode == own => here.clone(),
                inode => entered(inode, self.namespace(process, Namespace::Net), &proc, &mut met),
            });
        for pin in observation.pins.iter().filter(|pin| pin.kind == Namespace::Net.link()) {
            networks.entry(pin.inode).or_insert_with(|| match own == Some(pin.inode) {
                true => here.clone(),
                false => self.pinned(pin, &mut met),
            });
        }
        met.ask(&mut networks);
        networks
    }

    /// The network namespace that is mounted on a file. It is entered through a copy of the mount, so that a learner's umount does
    /// not find it busy; somebody without the right to copy mounts has none to take away either.
    fn pinned(&self, pin: &Pin, met: &mut Met) -> Reading<Network> {
        let copy = mount::copy(Path::new(&pin.at));
        let path = match &copy {
            Ok(copy) => self.proc.join(format!("self/fd/{}", copy.as_raw_fd())),
            Err(_) => PathBuf::from(&pin.at),
        };
        // Another mount may cover the file.
        if fs::metadata(&path).is_ok_and(|it| it.ino() == pin.inode) {
            entered(Some(pin.inode), File::open(&path).map(Rc::new), &self.proc, met)
        } else {
            Reading::Missing(nothing())
        }
    }
}

/// The network namespace behind an open file. This thread stays there.
fn entered(inode: Option<u64>, file: io::Result<Rc<File>>, proc: &Path, met: &mut Met) -> Reading<Network> {
    let enter = |file: Rc<File>| enter::namespace(&file, Namespace::Net).map(|()| file);
    match file.and_then(enter) {
        Ok(file) => {
            let network = Network::read(proc);
            if let Some(inode) = inode {
                met.keep(inode, &network, Ok(file));
            }
            network
        }
        Err(error) => Reading::Missing(Errno::from(&error)),
    }
}

/// The most namespaces that are asked by which number each knows the others. With more of them, cables are found by what their ends
/// say of each other.
const MAX_MET: usize = 64;

/// The namespaces that were read, to be asked about each other.
#[derive(Default)]
struct Met {
    files: Vec<(u64, Rc<File>)>,
    /// A socket goes on belonging to the namespace in which it was made. Only of those that some link is connected to another from:
    /// nobody else pays for it.
    sockets: Vec<(u64, Netlink)>,
}

impl Met {
    /// Remembers a namespace, which this thread is in now.
    fn keep(&mut self, inode: u64, network: &Reading<Network>, file: io::Result<Rc<File>>) {
        let Ok(file) = file else { return };
        if self.files.len() == MAX_MET {
            return;
        }
        self.files.push((inode, file));
        if network.value().is_some_and(Network::is_connected)
            && let Ok(socket) = Netlink::open()
        {
            self.sockets.push((inode, socket));
        }
    }

    /// Finds out which namespace each number stands for. Asking makes no numbers.
    fn ask(&mut self, networks: &mut BTreeMap<u64, Reading<Network>>) {
        let connected: BTreeSet<u64> = self.sockets.iter().map(|(inode, _)| *inode).collect();
        for (inode, socket) in &mut self.sockets {
            let Some(Reading::Value(network)) = networks.get_mut(inode) else { continue };
            // The other end of a cable is in a namespace that is connected, too.
            let others = self.files.iter().filter(|(other, _)| other != inode && connected.contains(other));
            for (other, file) in others {
                if let Ok(Some(id)) = socket.namespace_id(file.as_fd()) {
                    network.ids.insert(id, *other);
                }
            }
        }
    }
}

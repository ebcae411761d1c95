//! Reading what IPC namespaces hold: the own one as it is, the others by entering them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::files::readable;
use super::{Reader, each};
use crate::kernel::enter::{self, SYSV_LIMITS, SysV};
use crate::kernel::namespace::Namespace;
use crate::probe::ipc::{Directories, Ipc, KINDS, MQUEUE_LIMITS, file, parse};
use crate::probe::{Observation, Reading};

/// The most names of one directory that are read: `/dev/shm` of a real machine may hold any number of files.
const MAX_NAMES: usize = 1000;

impl Reader {
    /// What every IPC namespace holds: first the one that this thread is in, then the others by entering them one after the
    /// other, **for good**.
    pub(super) fn ipc(&mut self, observation: &Observation) -> BTreeMap<u64, Reading<Ipc>> {
        let own = self.own_inode(Namespace::Ipc);
        let here = self.ipc_here();
        each(observation, Namespace::Ipc, |process| match process.namespaces.inode(Namespace::Ipc) {
            inode if inode.is_some() && inode == own => Reading::Value(here.clone()),
            _ => Reading::from(self.enter(process, Namespace::Ipc)).map(|()| self.ipc_here()),
        })
    }

    /// What the namespace holds that this thread is in.
    fn ipc_here(&mut self) -> Ipc {
        let sysv = Reading::from(SysV::read());
        let none = |at: usize| sysv.value().is_some_and(|sysv| sysv.objects[at] == 0);
        let objects = [0, 1, 2].map(|at| match KINDS[at] {
            kind if none(at) => (kind, Reading::Value(Vec::new())),
            kind => (kind, self.parsed(&self.proc.join("sysvipc").join(file(kind)), |text| parse(kind, text))),
        });
        let sysv = SYSV_LIMITS
            .iter()
            .enumerate()
            .map(|(at, name)| (format!("kernel.{name}"), sysv.as_ref().map(|sysv| sysv.limits[at].clone())));
        let files = MQUEUE_LIMITS.map(|name| {
            let path = self.proc.join("sys/fs/mqueue").join(name);
            (format!("fs.mqueue.{name}"), self.parsed(&path, |text| Ok(readable(text))))
        });
        let limits = sysv.chain(files).collect();
        let queues = Reading::from(enter::message_queues()).map(sorted);
        Ipc { objects: objects.into(), queues, limits }
    }

    /// `/dev/mqueue` and `/dev/shm` of every mount namespace.
    pub(super) fn ipc_directories(&self, observation: &Observation) -> BTreeMap<u64, Directories> {
        let seen = each(observation, Namespace::Mnt, |process| {
            let dev = self.proc.join(format!("{}/root/dev", process.pid));
            // The link of a process that has ended is gone: then another member is asked.
            Reading::from(fs::symlink_metadata(self.proc.join(format!("{}/stat", process.pid))))
                .map(|_| Directories { mqueue: file_names(&dev.join("mqueue")), shm: file_names(&dev.join("shm")) })
        });
        seen.into_iter().filter_map(|(inode, reading)| Some((inode, reading.value()?.clone()))).collect()
    }
}

fn file_names(directory: &Path) -> Reading<Vec<String>> {
    let names = |entries: fs::ReadDir| {
        entries
            .take(MAX_NAMES)
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .collect()
    };
    Reading::from(fs::read_dir(directory)).map(|entries| sorted(names(entries)))
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

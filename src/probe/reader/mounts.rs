//! Reading mount namespaces: their mounts, and what the `/proc` among these lists.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Reader, each, link, nothing, numbers};
use crate::kernel::namespace::Namespace;
use crate::probe::mounts::parse_mountinfo;
use crate::probe::{Mount, Observation, Reading};

impl Reader {
    /// The mounts of every mount namespace, as its representative sees them.
    pub(super) fn mounts(&mut self, observation: &Observation) -> BTreeMap<u64, Reading<Vec<Mount>>> {
        each(observation, Namespace::Mnt, |process| (*self.mountinfo(process.pid)).clone())
    }

    /// The mounts that a process sees, by its name in `/proc`.
    pub(super) fn mountinfo(&mut self, of: impl ToString) -> Rc<Reading<Vec<Mount>>> {
        let of = of.to_string();
        if let Some(known) = self.mountinfo.get(&of) {
            return Rc::clone(known);
        }
        let mounts = Rc::new(self.parsed(&self.proc.join(&of).join("mountinfo"), parse_mountinfo));
        self.mountinfo.insert(of, Rc::clone(&mounts));
        mounts
    }

    /// The pids in the `/proc` of every mount namespace, the reader's own left out. `ENOENT` where none is mounted there.
    pub(super) fn visible_pids(
        &self,
        observation: &Observation,
        mounts: &BTreeMap<u64, Reading<Vec<Mount>>>,
        without: Option<i32>,
    ) -> BTreeMap<u64, Reading<Vec<i32>>> {
        // A file system lists the same wherever it is mounted; and copies of one mount are what most namespaces have.
        let mut known: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        each(observation, Namespace::Mnt, |process| {
            let seen = process.namespaces.inode(Namespace::Mnt).and_then(|inode| mounts.get(&inode));
            let device = match seen {
                // The last mount at a place covers the others.
                Some(Reading::Value(list)) => match list.iter().rfind(|mount| mount.target == "/proc") {
                    Some(mount) if mount.fstype == "proc" && mount.root == "/" => mount.device.as_str(),
                    _ => return Reading::Missing(nothing()),
                },
                Some(Reading::Missing(errno)) => return Reading::Missing(*errno),
                Some(Reading::Unreadable(text)) => return Reading::Unreadable(text.clone()),
                None => return Reading::Missing(nothing()),
            };
            if let Some(list) = known.get(device) {
                return Reading::Value(list.clone());
            }
            let proc = self.proc.join(format!("{}/root/proc", process.pid));
            // What this process is called there: `self` answers in the pid namespace that the proc belongs to.
            let own = without.and_then(|_| link(&proc.join("self")).value().and_then(|text| text.parse().ok()));
            Reading::from(numbers(&proc)).map(|mut list| {
                list.retain(|pid| Some(*pid) != own);
                known.insert(device, list.clone());
                list
            })
        })
    }
}

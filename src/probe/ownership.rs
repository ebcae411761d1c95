//! Whose a namespace is: the user namespace that owns it, and its parent where namespaces of its kind form a tree
//! (ioctl_ns(2)).

use std::collections::HashSet;
use std::fs::File;

use serde::{Deserialize, Serialize};

use super::rows::Sheet;
use super::{Panel, Process, Reading};
use crate::kernel::namespace::Namespace;
use crate::kernel::ownership::{creator, owner, parent};

/// What a namespace belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ownership {
    /// The inode of the user namespace that owns it.
    pub owner: Reading<u64>,
    /// The inode of the namespace above it, for the kinds that form a tree: pid and user.
    pub parent: Option<Reading<u64>>,
    /// The user who made a user namespace, as the reader numbers users.
    pub creator: Option<Reading<u32>>,
}

impl Ownership {
    /// Asks the kernel about a namespace.
    pub(super) fn read(namespace: &File, kind: Namespace) -> Self {
        Self {
            owner: owner(namespace).into(),
            parent: matches!(kind, Namespace::Pid | Namespace::User).then(|| parent(namespace).into()),
            creator: (kind == Namespace::User).then(|| creator(namespace).into()),
        }
    }
}

/// The kinds of namespace that processes are in themselves.
pub(super) const KINDS: [Namespace; 8] = [
    Namespace::Mnt,
    Namespace::Uts,
    Namespace::Ipc,
    Namespace::Pid,
    Namespace::Net,
    Namespace::User,
    Namespace::Cgroup,
    Namespace::Time,
];

/// Rows about the ownership of namespaces, for each process with a word of its own and for one of the others: what they share
/// is said once.
pub(super) struct Tellers {
    told: HashSet<u64>,
}

impl Tellers {
    pub fn new(sheet: &Sheet<'_>) -> Self {
        let named = |process: &&Process| sheet.names.of(process.pid).is_some();
        let inodes = |process: &Process| KINDS.map(|kind| process.namespaces.inode(kind));
        Self { told: sheet.observation.processes.iter().filter(named).flat_map(inodes).flatten().collect() }
    }

    /// The rows of one process.
    pub fn rows(&mut self, sheet: &mut Sheet<'_>, process: &Process) {
        let observation = sheet.observation;
        let named = sheet.names.of(process.pid).is_some();
        for kind in KINDS {
            let Some(inode) = process.namespaces.inode(kind) else { continue };
            let Some(reading) = observation.ownership.get(&inode) else { continue };
            if named || self.told.insert(inode) {
                tell(sheet, process, kind, reading);
            }
        }
    }
}

fn tell(sheet: &mut Sheet<'_>, process: &Process, kind: Namespace, reading: &Reading<Ownership>) {
    let path = format!("/proc/{}/ns/{kind}", process.pid);
    let lsns = |column: &str| format!("lsns --noheadings --output {column} --task {} --type {kind}", process.pid);
    let who = |inode: &Reading<u64>, kind: Namespace| {
        let member = inode.value().and_then(|inode| sheet.member(kind, *inode))?;
        Some(sheet.names.of(member.pid).map_or_else(|| format!("pid {}", member.pid), str::to_owned))
    };
    let whose = |inode: &Reading<u64>, kind: Namespace| match (inode.value(), who(inode, kind)) {
        (Some(inode), _) if initial(*inode) => " It is the machine's initial one.".to_owned(),
        (_, Some(who)) => format!(" It is that of {who}."),
        _ => String::new(),
    };
    let (owner, parent, creator) = match reading {
        Reading::Value(it) => (it.owner.clone(), it.parent.clone(), it.creator.clone()),
        Reading::Missing(errno) => (Reading::Missing(*errno), None, None),
        Reading::Unreadable(text) => (Reading::Unreadable(text.clone()), None, None),
    };
    let (of_owner, of_parent) = (whose(&owner, Namespace::User), parent.as_ref().map(|it| whose(it, kind)));
    let is_initial = process.namespaces.inode(kind).is_some_and(initial);

    let mut about = sheet.about(Panel::Namespaces, process);
    if kind != Namespace::User {
        let source = format!("ioctl NS_GET_USERNS on {path}");
        let meaning =
            format!("The user namespace that owns it.{of_owner} A capability counts here only if it is held there.");
        about.row(&format!("owner of {kind}"), owner.text(u64::to_string), source, lsns("ONS"), meaning);
    }
    if let Some(parent) = parent {
        let source = format!("ioctl NS_GET_PARENT on {path}");
        let gives = match kind {
            Namespace::User => "Who has a capability there has it here too.",
            _ => "It sees all its processes.",
        };
        let meaning = match &parent {
            Reading::Value(_) => format!("The {kind} namespace above it.{} {gives}", of_parent.unwrap_or_default()),
            _ if is_initial => format!("There is none above the machine's initial {kind} namespace."),
            _ => format!("The {kind} namespace above it is outside of the lab, and can not be seen from here."),
        };
        about.row(&format!("parent of {kind}"), parent.text(u64::to_string), source, lsns("PNS"), meaning);
    }
    if let Some(creator) = creator {
        let source = format!("ioctl NS_GET_OWNER_UID on {path}");
        // No common program prints it; perl can make the call.
        let command = format!(
            "perl -e 'open F, \"{path}\"; $uid = \"\\0\" x 4; ioctl F, 0xb704, $uid; print unpack(\"L\", $uid), \"\\n\"'"
        );
        let meaning = "The user who made it, as the lab host numbers users: from the namespace above, that user has every \
                       right over it.";
        about.row(&format!("creator of {kind}"), creator.text(u32::to_string), source, command, meaning);
    }
}

/// Whether the kernel made this namespace when it booted: such numbers lie below those of all later ones (PROC_DYNAMIC_FIRST
/// of the kernel; since Linux 6.18 <linux/nsfs.h> names each).
fn initial(inode: u64) -> bool {
    inode < 0xF000_0000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Names, Observation, Wanted};

    #[test]
    fn each_namespace_is_told_once_and_by_all_with_a_name() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        let parent = i32::try_from(std::os::unix::process::parent_id()).expect("a pid");
        let wanted = Wanted::panels(&[Panel::Namespaces]).only(own).only(parent);
        let observation: Observation = crate::probe::Reader::new("/proc").observe(&wanted);
        let told = |names: &Names| {
            let rows = crate::probe::rows(&observation, names);
            rows.iter().filter(|row| row.key == "owner of uts").count()
        };
        assert_eq!(told(&Names::default()), 1);
        let boxes = [("box".to_owned(), parent)].into();
        assert_eq!(told(&Names { host: own, boxes, ..Names::default() }), 2);
    }
}

//! The reader: one observation of the processes under a `/proc`.

mod cgroups;
pub(super) mod files;
mod ipc;
mod links;
mod mounts;
mod network;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use self::files::{link, readable, target};
use super::cgroups::membership;
use super::credentials::{IdMap, parse_id_map};
use super::mounts::shared::Known;
use super::processes::{parse_cmdline, parse_cpus_allowed, parse_nspid};
use super::{
    Credentials, Mount, Namespaces, Observation, Overflow, Ownership, Panel, Process, Reading, clocks, exchange,
    hostname, ids, image, layers, namespaces, overlay, ownership, root,
};
use crate::kernel::enter;
use crate::kernel::errno::Errno;
use crate::kernel::identity::Stat;
use crate::kernel::namespace::Namespace;
use crate::kernel::path::Directory;

/// What to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    panels: BTreeSet<Panel>,
    without: Option<i32>,
    only: Option<BTreeSet<i32>>,
    below: Option<i32>,
    paths: Vec<String>,
    files: Option<PathBuf>,
    layers: Option<PathBuf>,
}

impl Wanted {
    /// What these panels show. Processes are read whole for each of them; [`Observation::visible_pids`] for
    /// [`Panel::Processes`], [`Observation::hostnames`] for [`Panel::Hostname`], [`Observation::mounts`] for
    /// [`Panel::Mounts`], [`Observation::overlays`] for [`Panel::Overlay`], [`Observation::layouts`] for [`Panel::Image`], [`Observation::layers`] for [`Panel::Layers`], [`Observation::roots`] for [`Panel::Root`], [`Observation::ownership`] for [`Panel::Namespaces`],
    /// [`Observation::overflow`] for [`Panel::Credentials`], [`Observation::clocks`] for [`Panel::Clocks`],
    /// [`Observation::ipc`] and [`Observation::ipc_directories`] for [`Panel::Ipc`], [`Observation::cgroups`] for [`Panel::Cgroups`],
    /// [`Observation::networks`] for [`Panel::Network`],
    /// [`Observation::exchanges`] and [`Observation::contents`] for [`Panel::Exchanges`].
    pub fn panels(panels: &[Panel]) -> Self {
        Self { panels: panels.iter().copied().collect(), ..Self::default() }
    }

    /// Leaves out this process: the reader itself, which no list shall show.
    pub fn without(self, pid: i32) -> Self {
        Self { without: Some(pid), ..self }
    }

    /// Reads this process and its descendants, and no others.
    pub fn below(self, pid: i32) -> Self {
        Self { below: Some(pid), ..self }
    }

    /// Tells of these paths whether they lead to something in each root directory, with [`Panel::Root`]. A `*` in a part of
    /// one stands for any characters.
    pub fn paths(self, paths: Vec<String>) -> Self {
        Self { paths, ..self }
    }

    /// Reads the owners of the files in this directory as well, for [`Panel::Credentials`].
    pub fn files(self, directory: impl Into<PathBuf>) -> Self {
        Self { files: Some(directory.into()), ..self }
    }

    /// Looks through overlays whose layers are all below this directory, with [`Panel::Overlay`] and [`Panel::Mounts`]; for image layouts
    /// right below it, with [`Panel::Image`] and [`Panel::Layers`]; and through the requests and answers that are kept in its directory `pull`, with
    /// [`Panel::Exchanges`].
    pub fn layers(self, directory: impl Into<PathBuf>) -> Self {
        Self { layers: Some(directory.into()), ..self }
    }

    /// Reads this process and no others; called again, this one as well.
    pub fn only(mut self, pid: i32) -> Self {
        self.only.get_or_insert_default().insert(pid);
        self
    }
}

/// Reads observations from a tree that looks like `/proc`.
#[derive(Debug)]
pub struct Reader {
    pub(super) proc: PathBuf,
    /// The directory that `/proc` has for this thread.
    own: &'static str,
    /// For the text of one file at a time.
    buffer: Vec<u8>,
    /// What this observation has read already: the mounts that a process sees, the longest files of all, by its number; and
    /// what all processes of a user namespace share, by its inode.
    mountinfo: BTreeMap<String, Reading<Rc<Vec<Mount>>>>,
    mounted: Known,
    memberships: membership::Known,
    id_maps: BTreeMap<u64, IdMaps>,
    /// Namespaces that it has opened, by inode. They are kept until the next observation begins.
    opened: HashMap<u64, Rc<File>>,
    /// The cgroup namespace that this thread has entered, by its inode.
    cgroup_namespace: Option<u64>,
}

/// What the three files on ids say: `uid_map`, `gid_map` and `setgroups`. To one reader they say the same of every process in
/// a user namespace (user_namespaces(7)).
#[derive(Clone, Debug)]
struct IdMaps {
    uid_map: Reading<Vec<IdMap>>,
    gid_map: Reading<Vec<IdMap>>,
    setgroups: Reading<String>,
}

impl Reader {
    /// A reader of `/proc`, or of a made-up tree.
    pub fn new(proc: impl Into<PathBuf>) -> Self {
        let proc = proc.into();
        Self {
            own: if proc.join("thread-self").symlink_metadata().is_ok() { "thread-self" } else { "self" },
            proc,
            buffer: Vec::with_capacity(16 * 1024),
            mountinfo: BTreeMap::new(),
            mounted: Known::default(),
            memberships: membership::Known::default(),
            id_maps: BTreeMap::new(),
            opened: HashMap::new(),
            cgroup_namespace: None,
        }
    }

    /// Reads what is wanted. A process that ends meanwhile is left out; a `/proc` that lists nothing gives nothing.
    ///
    /// What only members of a namespace are told is read by entering it: the calling thread **enters foreign namespaces and
    /// stays in the last one of each kind**, UTS with [`Panel::Hostname`], network with [`Panel::Network`], IPC with
    /// [`Panel::Ipc`], those time namespaces that have processes with [`Panel::Clocks`], and cgroup with [`Panel::Cgroups`],
    /// [`Panel::Mounts`] and [`Panel::Processes`]. Call it in a worker, or in a process that reads nothing else. Where that is
    /// not allowed, what foreign namespaces hold is missing with the kernel's reason (setns(2): `EPERM`).
    pub fn observe(&mut self, wanted: &Wanted) -> Observation {
        self.id_maps.clear();
        self.opened.clear();
        let mut pids = match (&wanted.only, wanted.below) {
            (Some(only), _) => only.iter().copied().collect(),
            (None, Some(root)) => self.family(root),
            (None, None) => numbers(&self.proc).unwrap_or_default(),
        };
        pids.retain(|pid| Some(*pid) != wanted.without);
        let processes = pids.into_iter().filter_map(|pid| self.process(pid)).collect();
        let mut observation = Observation { processes, ..Observation::default() };
        let is_wanted = |panel| wanted.panels.contains(&panel);
        if is_wanted(Panel::Network) {
            observation.pins = self.pins(&observation, wanted);
        }
        if is_wanted(Panel::Root) {
            observation.roots = root::read(&self.proc, &observation.processes, &wanted.paths);
        }
        if is_wanted(Panel::Namespaces) {
            observation.ownership = self.ownership(&observation);
        }
        // A tree without processes is no proc.
        if is_wanted(Panel::Credentials) && !observation.processes.is_empty() {
            observation.overflow = Some(Overflow::read(&self.proc));
            observation.files = wanted.files.as_deref().map(ids::owners).unwrap_or_default();
        }
        if is_wanted(Panel::Ipc) {
            observation.ipc_directories = self.ipc_directories(&observation);
        }
        // From here on this thread changes. Cgroups come first, because they are told from the reader's own namespace too.
        if is_wanted(Panel::Cgroups) {
            observation.cgroups = self.cgroups(&observation, wanted.without);
        }
        if is_wanted(Panel::Processes) {
            observation.visible_pids = self.visible_pids(&observation, wanted.without);
        }
        if is_wanted(Panel::Network) {
            observation.networks = self.networks(&observation);
        }
        if is_wanted(Panel::Hostname) {
            observation.hostnames = self.hostnames(&observation);
        }
        if is_wanted(Panel::Clocks) {
            observation.clocks = clocks::read(self, &observation);
        }
        if is_wanted(Panel::Ipc) {
            observation.ipc = self.ipc(&observation);
        }
        if is_wanted(Panel::Mounts) {
            observation.mounts = self.mounts(&observation);
        }
        if let (true, Some(below)) = (is_wanted(Panel::Overlay), &wanted.layers) {
            observation.overlays = overlay::read(&self.proc, &observation, below);
        }
        if let (true, Some(below)) = (is_wanted(Panel::Image), &wanted.layers) {
            observation.layouts = image::read(&self.proc, &observation, below);
        }
        if let (true, Some(below)) = (is_wanted(Panel::Exchanges), &wanted.layers) {
            exchange::read(&self.proc, &mut observation, &below.join(exchange::KEPT));
        }
        if let (true, Some(below)) = (is_wanted(Panel::Layers), &wanted.layers) {
            observation.layers = layers::read(&self.proc, &observation, below);
        }
        self.mountinfo.clear();
        observation
    }

    /// A process and its descendants, in ascending order (`/proc/PID/task/PID/children`, proc_pid_task(5)).
    fn family(&mut self, root: i32) -> Vec<i32> {
        let mut found = vec![root];
        let mut next = 0;
        while let Some(pid) = found.get(next).copied() {
            let path = self.proc.join(format!("{pid}/task/{pid}/children"));
            let children =
                self.text(File::open(path)).map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
            let new = children.split_ascii_whitespace().filter_map(|child| child.parse().ok());
            let new: Vec<i32> = new.filter(|child| !found.contains(child)).collect();
            found.extend(new);
            next += 1;
        }
        found.sort_unstable();
        found
    }

    /// One process; none where it is gone, or where its stat and status can not be understood.
    fn process(&mut self, pid: i32) -> Option<Process> {
        let dir = Directory::open(&self.proc.join(pid.to_string())).ok()?;
        let stat = Stat::parse(self.text(dir.file("stat")).ok()?)?;
        let mut process = self.parts(pid, &dir, stat)?;
        // Links of a process that ended between two reads are missing, as those of a zombie are: look again which it is.
        if !matches!(process.state, 'Z' | 'X') && process.namespaces.inode(Namespace::Mnt).is_none() {
            process.state = Stat::parse(self.text(dir.file("stat")).ok()?)?.state;
        }
        Some(process)
    }

    fn parts(&mut self, pid: i32, dir: &Directory, stat: Stat) -> Option<Process> {
        let link = |name: &str| target(dir.link(name));
        let inode = |kind: Namespace| link(&format!("ns/{kind}")).parse(|text| namespaces::parse_link(text));
        let namespaces = Namespaces(Namespace::ALL.into_iter().map(|kind| (kind, inode(kind))).collect());
        let IdMaps { uid_map, gid_map, setgroups } = self.id_maps(dir, namespaces.inode(Namespace::User));
        let cmdline = parse_cmdline(self.text(dir.file("cmdline")).ok()?);
        let status = self.text(dir.file("status")).ok()?;
        let credentials = Credentials::parse(status, uid_map, gid_map, setgroups)?;
        let cpus_allowed = parse_cpus_allowed(status);
        let nspid = parse_nspid(status).unwrap_or_else(|| vec![pid]);
        Some(Process {
            pid,
            ppid: stat.ppid,
            pgrp: stat.pgrp,
            comm: stat.comm,
            state: stat.state,
            start_time: stat.start_time,
            cmdline,
            nspid,
            cpus_allowed,
            namespaces,
            credentials,
            root: link("root"),
            cwd: link("cwd"),
            exe: link("exe"),
        })
    }

    /// The id maps of the user namespace that a process is in.
    fn id_maps(&mut self, dir: &Directory, user: Option<u64>) -> IdMaps {
        if let Some(known) = user.and_then(|inode| self.id_maps.get(&inode)) {
            return known.clone();
        }
        let map = |text: &[u8]| parse_id_map(text).ok_or_else(|| readable(text));
        let maps = IdMaps {
            uid_map: self.parse(dir.file("uid_map"), map),
            gid_map: self.parse(dir.file("gid_map"), map),
            setgroups: self.parse(dir.file("setgroups"), |text| Ok(readable(text))),
        };
        // Not the errors of a process that ended meanwhile.
        if let (Some(inode), Reading::Value(_)) = (user, &maps.setgroups) {
            self.id_maps.insert(inode, maps.clone());
        }
        maps
    }

    /// What every namespace belongs to, asked through a process in it.
    fn ownership(&mut self, observation: &Observation) -> BTreeMap<u64, Reading<Ownership>> {
        let mut ask = |process: &Process, kind| {
            Reading::from(self.namespace(process, kind)).map(|file| Ownership::read(&file, kind))
        };
        let of_kind = |kind| each(observation, kind, |process| ask(process, kind));
        ownership::KINDS.into_iter().flat_map(of_kind).collect()
    }

    /// The host name of every UTS namespace: first that of the namespace this thread is in, then the others by entering
    /// them one after the other.
    fn hostnames(&mut self, observation: &Observation) -> BTreeMap<u64, Reading<String>> {
        let own = self.own_inode(Namespace::Uts);
        let here = match self.text(File::open(self.proc.join("sys/kernel/hostname"))) {
            Ok(text) => hostname::parse(text),
            Err(error) => Reading::Missing(Errno::from(&error)),
        };
        each(observation, Namespace::Uts, |process| match process.namespaces.inode(Namespace::Uts) {
            inode if inode.is_some() && inode == own => here.clone(),
            _ => self.enter(process, Namespace::Uts).and_then(|()| enter::hostname()).into(),
        })
    }

    /// The inode of a namespace that this thread is in.
    pub(super) fn own_inode(&self, kind: Namespace) -> Option<u64> {
        let link = link(&self.proc.join(self.own).join(format!("ns/{kind}")));
        link.value().and_then(|text| namespaces::parse_link(text))
    }
}

/// What `read` gives for each namespace of a kind, asked through its representative; where that process ended meanwhile,
/// through the next one.
pub(super) fn each<T>(
    observation: &Observation,
    kind: Namespace,
    mut read: impl FnMut(&Process) -> Reading<T>,
) -> BTreeMap<u64, Reading<T>> {
    let inodes: BTreeSet<u64> = observation.processes.iter().filter_map(|it| it.namespaces.inode(kind)).collect();
    let mut readings = BTreeMap::new();
    for inode in inodes {
        let first = observation.representative(kind, inode);
        let others = observation.members(kind, inode).filter(|it| first.is_none_or(|first| first.pid != it.pid));
        for process in first.into_iter().chain(others) {
            let reading = read(process);
            let gone =
                matches!(&reading, Reading::Missing(errno) if ["ENOENT", "ESRCH"].contains(&errno.name().as_str()));
            if gone {
                readings.entry(inode).or_insert(reading);
            } else {
                readings.insert(inode, reading);
                break;
            }
        }
    }
    readings
}

/// The entries of a directory that are numbers, in ascending order.
fn numbers(dir: &Path) -> io::Result<Vec<i32>> {
    let mut numbers: Vec<i32> =
        fs::read_dir(dir)?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// What the kernel says of something that is not there.
fn nothing() -> Errno {
    // Number 2 on every architecture (errno-base.h).
    Errno::from(&io::Error::from_raw_os_error(2))
}

#[cfg(test)]
mod tests;

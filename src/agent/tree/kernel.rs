//! What of the kernel the lab's tree shows: proc, sysfs with the file systems of cgroups, and devices.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, umount2};

use super::{NONE, attach, failed, make_dir, read_only_copy};
use crate::explain::Explanation;
use crate::kernel::cgroup::Hierarchy;
use crate::kernel::host::Mode;

/// Files of `/proc/sys` that each namespace has for itself, so that writing them in the lab is writing the lab's.
const NAMESPACED: [&str; 12] = [
    "net",
    "fs/mqueue",
    "kernel/hostname",
    "kernel/domainname",
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
];

/// Parts of `/proc`, besides `/proc/sys`, through which root could reach the whole machine.
const DANGEROUS: [&str; 8] = ["sysrq-trigger", "irq", "bus", "fs", "acpi", "mtrr", "latency_stats", "timer_list"];

/// Where machines have their cgroup file systems: one of version 2 alone, or a directory with one for each hierarchy.
const CGROUPS: &str = "/sys/fs/cgroup";

/// In which directory there that of version 2 is, beside those of version 1 (systemd's `hybrid` layout).
const UNIFIED: &str = "unified";

/// A proc of the lab's own pid namespace.
pub fn proc(target: &Path, mode: Mode) -> Result<(), Explanation> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    make_dir(target, 0o555)?;
    attach(Some("proc"), target, Some("proc"), flags, None)?;
    if mode != Mode::Root {
        // Files for the whole machine belong to the machine's root there: the kernel itself refuses. And a proc that has
        // other mounts on it could not be mounted again in a user namespace below this one (mount_namespaces(7)).
        return Ok(());
    }
    for name in DANGEROUS.iter().chain(&["sys"]).map(|name| target.join(name)).filter(|path| path.exists()) {
        attach(Some(&name), &name, None, MsFlags::MS_BIND, None)?;
        attach(NONE, &name, None, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | flags, None)?;
    }
    for name in NAMESPACED.map(|name| target.join("sys").join(name)).iter().filter(|path| path.exists()) {
        attach(Some(name), name, None, MsFlags::MS_BIND, None)?;
        attach(NONE, name, None, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | flags, None)?;
    }
    Ok(())
}

/// A proc without other mounts on it. The kernel lets a user namespace mount proc only where it sees one that hides nothing
/// (mount_namespaces(7)), and the lab's own does. This one has processes and nothing else, so there is nothing in it to hide.
pub fn bare_proc(target: &Path) -> Result<(), Explanation> {
    make_dir(target, 0o555)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    attach(Some("proc"), target, Some("proc"), flags, Some("subset=pid"))
}

/// The same for sysfs: `ip netns exec` takes `/sys` away before it mounts that of another network namespace there (ip-netns(8)), and
/// a user namespace may mount one only where it still sees one. Where the kernel refuses it the lab has the machine's, and goes on.
pub fn bare_sys(target: &Path) -> Result<(), Explanation> {
    make_dir(target, 0o555)?;
    let _ = own_sys(target);
    Ok(())
}

/// A sysfs of the lab's network namespace. The mount is read-only and not the file system: that would hold for whatever a user
/// namespace mounts of it later, and ip(8) asks for one that is not.
fn own_sys(target: &Path) -> Result<(), Explanation> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    attach(Some("sysfs"), target, Some("sysfs"), flags, None)?;
    attach(NONE, target, None, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | flags, None)
}

/// sysfs, read-only, with the machine's cgroup file systems, read-only.
pub fn sys(target: &Path, private: &[&str]) -> Result<(), Explanation> {
    make_dir(target, 0o555)?;
    if own_sys(target).is_err() {
        return read_only_copy(Path::new("/sys"), target);
    }
    let cgroups = Path::new(CGROUPS);
    let shown = target.join("fs/cgroup");
    match private {
        _ if !cgroups.exists() || !shown.exists() => Ok(()),
        [] => read_only_copy(cgroups, &shown),
        _ => more_cgroups(cgroups, &shown, private),
    }
}

/// The same with more hierarchies beside the machine's, each of one controller: what this process mounts of them has its own group for
/// a root, since that is the root of its cgroup namespace.
fn more_cgroups(original: &Path, shown: &Path, private: &[&str]) -> Result<(), Explanation> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    attach(Some("lab"), shown, Some("tmpfs"), flags, Some("mode=755,size=1m"))?;
    if shown_at(original, private) != original {
        let v2 = shown.join(UNIFIED);
        make_dir(&v2, 0o555)?;
        read_only_copy(original, &v2)?;
    } else {
        let entries = fs::read_dir(original).map_err(|error| failed("read the directory /sys/fs/cgroup", &error))?;
        for entry in entries.flatten() {
            let (from, to) = (entry.path(), shown.join(entry.file_name()));
            if let Ok(link) = fs::read_link(&from) {
                symlink(link, &to).map_err(|error| failed(&format!("make the link {}", from.display()), &error))?;
            } else if from.is_dir() {
                make_dir(&to, 0o555)?;
                read_only_copy(&from, &to)?;
            }
        }
    }
    for controller in private {
        let place = shown.join(controller);
        make_dir(&place, 0o555)?;
        attach(Some("cgroup"), &place, Some("cgroup"), flags, Some(controller))?;
    }
    attach(NONE, shown, None, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | flags, None)
}

/// Where the lab shows a hierarchy that the machine has mounted here. A machine with version 2 alone has it on the directory that has to
/// have room for more where the lab gets hierarchies of its own; so it goes to where machines with both have it.
fn shown_at(mount: &Path, private: &[&str]) -> PathBuf {
    let is_alone = mount == Path::new(CGROUPS) && mount.join("cgroup.controllers").exists();
    if is_alone && !private.is_empty() { mount.join(UNIFIED) } else { mount.to_owned() }
}

/// Shows the lab's own parts of the cgroup hierarchies, in which lessons may make groups, where the machine has the whole of each.
/// `/lab/cgroup` leads to the first on every machine.
pub fn own_cgroups(root: &Path, hierarchies: &[Hierarchy], private: &[&str]) -> Result<(), Explanation> {
    for hierarchy in hierarchies {
        let mount = shown_at(&hierarchy.mount, private);
        let target = root.join(mount.strip_prefix("/").unwrap_or(&mount));
        // The machine's whole tree is not shown underneath, unless a user namespace forbids to take it away.
        if root != Path::new("/") {
            let _ = umount2(&target, MntFlags::MNT_DETACH);
        }
        // A bind, because the kernel refuses to mount a file system anew on top of itself (EBUSY).
        attach(Some(&hierarchy.own), &target, None, MsFlags::MS_BIND, None)?;
    }
    let Some(first) = hierarchies.first() else { return Ok(()) };
    let link = root.join("lab/cgroup");
    symlink(shown_at(&first.mount, private), &link).map_err(|error| failed("make the link /lab/cgroup", &error))
}

/// `/dev` with the harmless devices, terminals of its own, shared memory and message queues of its own.
pub fn dev(target: &Path, mode: Mode) -> Result<(), Explanation> {
    make_dir(target, 0o755)?;
    // No node that is made here is a device; those below are mounts of their own.
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    attach(Some("lab"), target, Some("tmpfs"), flags, Some("mode=755,size=1m"))?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let node = target.join(name);
        fs::write(&node, "").map_err(|error| failed(&format!("make /dev/{name}"), &error))?;
        attach(Some(&Path::new("/dev").join(name)), &node, None, MsFlags::MS_BIND, None)?;
    }
    for (link, to) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(to, target.join(link)).map_err(|error| failed(&format!("make the link /dev/{link}"), &error))?;
    }
    // Group 5 is `tty`; with a single id it is not mapped, and devpts refuses it.
    let tty = if mode == Mode::RootlessSingle { "" } else { ",gid=5" };
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let places = [
        ("pts", "devpts", quiet, format!("newinstance,ptmxmode=0666,mode=620{tty}")),
        ("shm", "tmpfs", quiet | MsFlags::MS_NODEV, "mode=1777,size=64m".to_owned()),
        ("mqueue", "mqueue", quiet | MsFlags::MS_NODEV, String::new()),
    ];
    for (name, fstype, flags, options) in places {
        let place = target.join(name);
        make_dir(&place, 0o755)?;
        attach(Some(fstype), &place, Some(fstype), flags, Some(&options))?;
    }
    Ok(())
}

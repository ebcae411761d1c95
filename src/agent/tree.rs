//! The lab host's own file tree.
//!
//! Everything that a learner types happens in a copy: each top directory of the machine lies under an overlay whose writes
//! go to a tmpfs of limited size; directories of people and of running programs are fresh; `/proc` is the lab's own; what
//! the kernel has only once for the whole machine, `/sys` and most of `/proc/sys`, is read-only.

mod names;
mod program;

pub use program::show_another;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::explain::Explanation;
use crate::kernel::cgroup::Hierarchy;
use crate::kernel::host::Mode;

/// Where the tree is put together: a directory that every machine has, hidden by the first mount.
const STAGE: &str = "/tmp";

/// Limit of everything that is written in the lab.
const LAYER_OPTIONS: &str = "mode=755,size=256m,nr_inodes=64k";

/// Directories that are not the machine's but fresh in every lab, with their modes.
const FRESH: [(&str, u32); 6] =
    [("tmp", 0o1777), ("run", 0o755), ("home", 0o755), ("root", 0o700), ("lab", 0o755), ("mnt", 0o755)];

/// Those of them that are fresh also where the machine itself is the lab host; people's homes are theirs there.
const FRESH_ON_MACHINE: [&str; 4] = ["tmp", "run", "lab", "mnt"];

/// Where lessons put their files; [`FRESH`] in a lab host.
pub const LAB_DIRECTORY: &str = "/lab";

/// Directories that the lab makes in its own way; the last two are there where hardway runs in a lab host.
const OWN: [&str; 5] = ["proc", "sys", "dev", ".proc", ".sys"];

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

/// Directories in [`VAR_LIB`] of who keeps what he knows of containers: CNI's plugins, and hardway as their runner. In a lab host they
/// begin with nothing, and what they keep goes to [`KEPT`]: in a user namespace nobody may write beside files of the machine's root.
pub const KEEPERS: [&str; 2] = ["cni", "hardway"];

/// Where programs keep what is to outlive a boot (hier(7)).
pub const VAR_LIB: &str = "/var/lib";

/// Where that goes.
const KEPT: &str = "/run/lib";

/// Where machines have their cgroup file systems: one of version 2 alone, or a directory with one for each hierarchy.
const CGROUPS: &str = "/sys/fs/cgroup";

/// In which directory there that of version 2 is, beside those of version 1 (systemd's `hybrid` layout).
const UNIFIED: &str = "unified";

/// mount(2) without a source.
const NONE: Option<&str> = None;

/// Builds the tree and makes it the root of this mount namespace. The caller is the init of new namespaces, and has groups in these
/// hierarchies; of those of the `private` controllers the machine shows none.
///
/// # Errors
/// The call that failed, explained.
pub fn build(mode: Mode, cgroups: &[Hierarchy], private: &[&str]) -> Result<(), Explanation> {
    // First of all: nothing that is mounted from here on may propagate to the machine.
    attach(NONE, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)?;
    let program = program::file();
    attach(Some("lab"), STAGE, Some("tmpfs"), MsFlags::MS_NODEV, Some(LAYER_OPTIONS))?;
    let root = Path::new(STAGE).join("root");
    let layers = Path::new(STAGE).join("layers");
    make_dir(&root, 0o755)?;
    make_dir(&layers, 0o755)?;
    // pivot_root wants a mount point.
    attach(Some("lab"), &root, Some("tmpfs"), MsFlags::MS_NODEV, Some("mode=755,size=1m"))?;
    for name in top_directories()? {
        copy_top(&name, &root, &layers, mode)?;
    }
    for (name, permissions) in FRESH {
        let target = root.join(name);
        make_dir(&target, permissions)?;
        let options = format!("mode={permissions:o},size=128m");
        attach(Some("lab"), &target, Some("tmpfs"), MsFlags::MS_NODEV, Some(&options))?;
    }
    let kept = root.join(KEPT.trim_start_matches('/'));
    make_dir(&kept, 0o755)?;
    KEEPERS.iter().try_for_each(|keeper| make_dir(&kept.join(keeper), 0o755))?;
    program::show(&root, program.as_ref())?;
    proc(&root.join("proc"), mode)?;
    if mode == Mode::Root {
        bare_proc(&root.join(".proc"))?;
    }
    sys(&root.join("sys"), private)?;
    if mode != Mode::Root {
        bare_sys(&root.join(".sys"))?;
    }
    own_cgroups(&root, cgroups, private)?;
    dev(&root.join("dev"), mode)?;
    pivot(&root)
}

/// What of it there is where the machine itself is the lab host: a mount namespace that nothing leaks out of, a place for
/// lessons' files, and the lab's cgroups.
///
/// # Errors
/// The call that failed, explained.
pub fn build_on_machine(cgroups: &[Hierarchy]) -> Result<(), Explanation> {
    attach(NONE, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)?;
    let program = program::file();
    // Where lessons make files, so that none of them stays.
    for (name, permissions) in FRESH.iter().filter(|(name, _)| FRESH_ON_MACHINE.contains(name)) {
        let (place, options) = (Path::new("/").join(name), format!("mode={permissions:o},size=128m"));
        if place.is_dir() {
            attach(Some("lab"), &place, Some("tmpfs"), MsFlags::MS_NODEV, Some(&options))?;
        }
    }
    program::show(Path::new("/"), program.as_ref())?;
    make_dir(Path::new(KEPT), 0o755)?;
    for keeper in KEEPERS {
        let (place, kept) = (Path::new(VAR_LIB).join(keeper), Path::new(KEPT).join(keeper));
        make_dir(&kept, 0o755)?;
        attach(Some(kept.as_path()), &place, None, MsFlags::MS_BIND, None)?;
    }
    // The same of shared memory; and a mqueue must show the IPC namespace that the lab host has.
    for (name, fstype, options) in [("shm", "tmpfs", "mode=1777,size=64m"), ("mqueue", "mqueue", "")] {
        let place = Path::new("/dev").join(name);
        if place.is_dir() {
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_NODEV;
            attach(Some(fstype), &place, Some(fstype), flags, Some(options))?;
        }
    }
    own_cgroups(Path::new("/"), cgroups, &[])
}

/// The entries of `/` that the lab shows, sorted.
fn top_directories() -> Result<Vec<String>, Explanation> {
    let entries = fs::read_dir("/").map_err(|error| failed("read the directory /", &error))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !OWN.contains(&name.as_str()) && !FRESH.iter().any(|(fresh, _)| fresh == name))
        .collect();
    names.sort();
    Ok(names)
}

/// Shows one entry of `/` in the lab: a link as a link, a directory under an overlay. Files in `/` are left out.
fn copy_top(name: &str, root: &Path, layers: &Path, mode: Mode) -> Result<(), Explanation> {
    let (original, target) = (Path::new("/").join(name), root.join(name));
    let Ok(kind) = fs::symlink_metadata(&original) else { return Ok(()) };
    if kind.is_symlink() {
        let to = fs::read_link(&original).map_err(|error| failed(&format!("read the link /{name}"), &error))?;
        return symlink(to, &target).map_err(|error| failed(&format!("make the link /{name}"), &error));
    }
    if !kind.is_dir() {
        return Ok(());
    }
    make_dir(&target, kind.permissions().mode() & 0o7777)?;
    let (upper, work) = (layers.join(name).join("upper"), layers.join(name).join("work"));
    make_dir(&layers.join(name), 0o755)?;
    make_dir(&upper, kind.permissions().mode() & 0o7777)?;
    make_dir(&work, 0o755)?;
    if name == "var" {
        let lib = upper.join("lib");
        make_dir(&lib, 0o755)?;
        for keeper in KEEPERS {
            let (link, to) = (lib.join(keeper), Path::new(KEPT).join(keeper));
            symlink(to, &link).map_err(|error| failed(&format!("make the link {}", link.display()), &error))?;
        }
    }
    names::add(name, &upper)?;
    let mut options =
        format!("lowerdir={},upperdir={},workdir={}", original.display(), upper.display(), work.display());
    if mode != Mode::Root {
        // Without privilege over the upper file system overlayfs may not write trusted.* attributes.
        options.push_str(",userxattr");
    }
    let plain = !name.contains([',', ':', '\\']);
    if plain && attach(Some("lab"), &target, Some("overlay"), MsFlags::MS_NODEV, Some(&options)).is_ok() {
        return Ok(());
    }
    // Overlay refuses some lower directories (an overlay of too many levels, some network file systems).
    read_only_copy(&original, &target)
}

/// Shows a directory with all that is mounted below it, read-only.
fn read_only_copy(original: &Path, target: &Path) -> Result<(), Explanation> {
    attach(Some(original), target, None, MsFlags::MS_BIND | MsFlags::MS_REC, None)?;
    set_read_only(target)
}

/// mount_setattr(2): read-only, the whole tree below.
fn set_read_only(target: &Path) -> Result<(), Explanation> {
    crate::kernel::mount::set_attributes(target, libc::MOUNT_ATTR_RDONLY, 0, true)
        .map_err(|errno| failed(&format!("make {} read-only", target.display()), &errno.into()))
}

/// A proc of the lab's own pid namespace.
fn proc(target: &Path, mode: Mode) -> Result<(), Explanation> {
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
fn bare_proc(target: &Path) -> Result<(), Explanation> {
    make_dir(target, 0o555)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    attach(Some("proc"), target, Some("proc"), flags, Some("subset=pid"))
}

/// The same for sysfs: `ip netns exec` takes `/sys` away before it mounts that of another network namespace there (ip-netns(8)), and
/// a user namespace may mount one only where it still sees one. Where the kernel refuses it the lab has the machine's, and goes on.
fn bare_sys(target: &Path) -> Result<(), Explanation> {
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
fn sys(target: &Path, private: &[&str]) -> Result<(), Explanation> {
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
fn own_cgroups(root: &Path, hierarchies: &[Hierarchy], private: &[&str]) -> Result<(), Explanation> {
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
fn dev(target: &Path, mode: Mode) -> Result<(), Explanation> {
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

/// Makes the tree the root, and lets go of the old one.
fn pivot(root: &Path) -> Result<(), Explanation> {
    std::env::set_current_dir(root).map_err(|error| failed("enter the new root", &error))?;
    // With both paths the same, the old root ends up on top of the new one, and is what `.` leads to (pivot_root(2)).
    nix::unistd::pivot_root(".", ".").map_err(|errno| failed("pivot_root(\".\", \".\")", &errno.into()))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(|errno| failed("umount2(\".\", MNT_DETACH)", &errno.into()))?;
    std::env::set_current_dir("/").map_err(|error| failed("chdir(\"/\")", &error))
}

fn make_dir(path: &Path, mode: u32) -> Result<(), Explanation> {
    fs::create_dir(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .map_err(|error| failed(&format!("make the directory {}", path.display()), &error))
}

fn attach<S: AsRef<Path> + ?Sized, T: AsRef<Path> + ?Sized>(
    source: Option<&S>,
    target: &T,
    fstype: Option<&str>,
    flags: MsFlags,
    options: Option<&str>,
) -> Result<(), Explanation> {
    let target = target.as_ref();
    mount(source.map(AsRef::as_ref), target, fstype, flags, options).map_err(|errno| {
        let what = format!("mount {} on {}", fstype.unwrap_or("(bind)"), target.display());
        failed(&format!("{what} with {flags:?} and {}", options.unwrap_or("no options")), &errno.into())
    })
}

fn failed(deed: &str, error: &std::io::Error) -> Explanation {
    Explanation::new(
        "The lab host's file tree could not be built",
        format!("{deed}: {error}"),
        "inside of a container hardway needs one that may mount: --privileged, or CAP_SYS_ADMIN without the default seccomp \
         and AppArmor profiles",
    )
}

//! The lab host's own file tree.
//!
//! Everything that a learner types happens in a copy: each top directory of the machine lies under an overlay whose writes
//! go to a tmpfs of limited size; directories of people and of running programs are fresh; `/proc` is the lab's own; what
//! the kernel has only once for the whole machine, `/sys` and most of `/proc/sys`, is read-only.

mod kernel;
mod names;
mod program;

pub use program::show_another;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

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

/// Directories in [`VAR_LIB`] of who keeps what he knows of containers: CNI's plugins, and hardway as their runner. In a lab host they
/// begin with nothing, and what they keep goes to [`KEPT`]: in a user namespace nobody may write beside files of the machine's root.
pub const KEEPERS: [&str; 2] = ["cni", "hardway"];

/// Where programs keep what is to outlive a boot (hier(7)).
pub const VAR_LIB: &str = "/var/lib";

/// Where that goes.
const KEPT: &str = "/run/lib";

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
    kernel::proc(&root.join("proc"), mode)?;
    if mode == Mode::Root {
        kernel::bare_proc(&root.join(".proc"))?;
    }
    kernel::sys(&root.join("sys"), private)?;
    if mode != Mode::Root {
        kernel::bare_sys(&root.join(".sys"))?;
    }
    kernel::own_cgroups(&root, cgroups, private)?;
    kernel::dev(&root.join("dev"), mode)?;
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
    kernel::own_cgroups(Path::new("/"), cgroups, &[])
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

//! Entering a namespace to read what only its members are told. For throw-away processes: there is no way back in here.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::sched::setns;
use nix::sys::stat::Mode;

use super::mount;
use super::namespace::Namespace;

/// Moves the calling thread into the namespace behind an open link of `/proc/PID/ns` (setns(2)), **for good**.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN in the own user namespace and in the one that owns the namespace; `EUSERS` for a time namespace, in a
/// process with several threads.
pub fn namespace(link: &File, kind: Namespace) -> io::Result<()> {
    Ok(setns(link, kind.bits())?)
}

/// Does something in another network namespace, in a thread that ends with it: sockets that are made there belong to that namespace, and
/// `/proc/sys/net` is the one of there.
///
/// # Errors
/// As [`namespace`]; `EINVAL` for a file that is no network namespace.
pub fn in_network<T: Send>(link: &File, deed: impl FnOnce() -> T + Send) -> io::Result<T> {
    let there = || namespace(link, Namespace::Net).map(|()| deed());
    let ended = std::thread::scope(|scope| scope.spawn(there).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The host name in the UTS namespace that the calling thread is in (uname(2)). One that is not UTF-8 is made readable.
///
/// # Errors
/// None on Linux.
pub fn hostname() -> io::Result<String> {
    Ok(nix::unistd::gethostname()?.to_string_lossy().into_owned())
}

/// The names of the POSIX message queues in the IPC namespace that the calling thread is in: a mqueue file system shows those
/// of the namespace that it was mounted from (mq_overview(7)), so this one is mounted for the occasion, and nowhere.
///
/// # Errors
/// As [`mount::detached`].
pub fn message_queues() -> io::Result<Vec<String>> {
    let mount = mount::detached(c"mqueue", &[])?;
    // Such a descriptor is like one of O_PATH: what is listed is opened below it.
    let root = Dir::openat(&mount, c".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut names = Vec::new();
    for entry in root {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| name != "." && name != "..");
    Ok(names)
}

/// The sysctls of `kernel` that [`SysV`] has, in its order.
pub const SYSV_LIMITS: [&str; 7] = ["shmmax", "shmall", "shmmni", "sem", "msgmax", "msgmnb", "msgmni"];

/// System V IPC in the namespace that the calling thread is in: its limits, and how much there is.
pub struct SysV {
    /// As `/proc/sys/kernel` writes them.
    pub limits: [String; SYSV_LIMITS.len()],
    /// How many segments of shared memory there are, sets of semaphores, and message queues.
    pub objects: [u32; 3],
}

impl SysV {
    /// Asks the kernel. `SHM_INFO` and its like tell all of a kind in one call (shmctl(2), semctl(2), msgctl(2)), where the files would
    /// take four calls for each limit and each list.
    ///
    /// # Errors
    /// `ENOSYS` where the kernel lacks System V IPC.
    pub fn read() -> io::Result<Self> {
        // SAFETY: four structures of numbers, for which zeros are values.
        let (mut limits, mut shm, mut sem, mut msg): (ShmLimits, ShmUse, libc::seminfo, libc::msginfo) =
            unsafe { std::mem::zeroed() };
        // SAFETY: with these commands each call writes a structure of its kind, which outlives it, and looks at no object.
        unsafe {
            nix::errno::Errno::result(libc::shmctl(0, libc::IPC_INFO, (&raw mut limits).cast()))?;
            nix::errno::Errno::result(libc::shmctl(0, SHM_INFO, (&raw mut shm).cast()))?;
            nix::errno::Errno::result(libc::semctl(0, 0, libc::SEM_INFO, &raw mut sem))?;
            nix::errno::Errno::result(libc::msgctl(0, libc::MSG_INFO, (&raw mut msg).cast()))?;
        }
        let limits = [
            limits.max.to_string(),
            limits.all.to_string(),
            limits.mni.to_string(),
            format!("{} {} {} {}", sem.semmsl, sem.semmns, sem.semopm, sem.semmni),
            msg.msgmax.to_string(),
            msg.msgmnb.to_string(),
            msg.msgmni.to_string(),
        ];
        // Here semusz is the number of sets, and msgpool that of queues.
        let objects = [shm.used_ids, sem.semusz, msg.msgpool].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        Ok(Self { limits, objects })
    }
}

/// As <linux/shm.h> has it.
const SHM_INFO: libc::c_int = 14;

/// `struct shm_info` of shmctl(2), which the libc crate lacks.
#[repr(C)]
struct ShmUse {
    used_ids: libc::c_int,
    /// Pages of all segments, those in memory and those swapped out, and two numbers that are always 0.
    rest: [libc::c_ulong; 5],
}

/// `struct shminfo` of shmctl(2), which it lacks as well; the reserved rest is that of the kernel's `struct shminfo64`.
#[repr(C)]
struct ShmLimits {
    max: libc::c_ulong,
    min: libc::c_ulong,
    mni: libc::c_ulong,
    segments: libc::c_ulong,
    all: libc::c_ulong,
    reserved: [libc::c_ulong; 4],
}

/// Brings the calling process to where another one is: into its namespaces, its root directory and under its limits of
/// capabilities. For its pid and time namespaces that holds for the children that it makes from then on. `proc` is the other
/// one's directory in a proc. The calling process has one thread.
///
/// # Errors
/// As [`namespace`]; `EPERM` where the other process may do more than this one.
pub fn process(proc: &Path) -> io::Result<()> {
    let root = File::open(proc.join("root"))?;
    let bounding = bounding_set(proc)?;
    // All are opened first: in another mount namespace this path means nothing. The user namespace is entered first, because
    // the right to enter the others comes from it, and the mount namespace last, because the others are found by its files.
    let kinds = [
        Namespace::User,
        Namespace::Cgroup,
        Namespace::Ipc,
        Namespace::Uts,
        Namespace::Net,
        Namespace::Pid,
        Namespace::Time,
        Namespace::Mnt,
    ];
    let mut foreign = Vec::new();
    for kind in kinds {
        let link = proc.join("ns").join(kind.link());
        let same = std::fs::read_link(&link)? == std::fs::read_link(Path::new("/proc/self/ns").join(kind.link()))?;
        if !same {
            foreign.push((kind, File::open(&link)?));
        }
    }
    for (kind, file) in &foreign {
        setns(file, kind.bits())?;
    }
    nix::unistd::fchdir(&root)?;
    nix::unistd::chroot(".")?;
    if foreign.iter().any(|(kind, _)| *kind == Namespace::User) {
        // Whoever it was outside, inside it is the user namespace's root. Groups stay where they may not be changed.
        let _ = nix::unistd::setgroups(&[]);
        nix::unistd::setresgid(0.into(), 0.into(), 0.into())?;
        nix::unistd::setresuid(0.into(), 0.into(), 0.into())?;
    }
    for capability in (0..64_u64).filter(|number| bounding >> number & 1 == 0) {
        // SAFETY: PR_CAPBSET_DROP takes one number; an unknown one is refused.
        let _ = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
    Ok(())
}

/// `CapBnd` of a process's status: what no program that it executes may ever do more than.
fn bounding_set(proc: &Path) -> io::Result<u64> {
    let status = std::fs::read_to_string(proc.join("status"))?;
    let set = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no CapBnd in its status"))
}

/// The clocks that [`clocks`] reads, in its order: monotonic and boot time, which a time namespace shifts, and real time, which it
/// does not (time_namespaces(7)).
const CLOCKS: [libc::clockid_t; 3] = [libc::CLOCK_MONOTONIC, libc::CLOCK_BOOTTIME, libc::CLOCK_REALTIME];

/// CLOCK_MONOTONIC, CLOCK_BOOTTIME and CLOCK_REALTIME as this process is told them, in nanoseconds (clock_gettime(2)).
///
/// # Errors
/// `EINVAL` where the kernel lacks one.
pub fn clocks() -> io::Result<[i128; 3]> {
    let mut read = [0; 3];
    for (nanos, clock) in read.iter_mut().zip(CLOCKS) {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call writes one timespec, which outlives it.
        nix::errno::Errno::result(unsafe { libc::clock_gettime(clock, &raw mut time) })?;
        *nanos = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    }
    Ok(read)
}

/// [`namespace`] for a time namespace, and by how many nanoseconds each of [`clocks`] is ahead of what it was before.
///
/// Only for a namespace that has processes: entering one freezes its offsets, so that nobody could set them any more.
///
/// # Errors
/// As [`namespace`].
pub fn time_ahead(link: &File) -> io::Result<[i128; 3]> {
    let before = clocks()?;
    namespace(link, Namespace::Time)?;
    let after = clocks()?;
    Ok([0, 1, 2].map(|at| after[at] - before[at]))
}

//! What this machine allows the person who started hardway: root, or a user namespace, and with which ids.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cgroup::{self, Hierarchy};
use super::device;
use super::hierarchy;
use super::machine_network::MachineNetwork;
use super::trial;
use crate::explain::Explanation;

/// How ids are mapped in the lab host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Root on the machine; no user namespace.
    Root,
    /// A user namespace with a range of ids, by newuidmap(1) and newgidmap(1).
    RootlessRange,
    /// A user namespace with the user's own id alone.
    RootlessSingle,
}

impl Mode {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::RootlessRange => "rootless, a range of ids",
            Self::RootlessSingle => "rootless, a single id",
        }
    }
}

/// What this machine and this person's rights offer to lessons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// How ids are mapped in the lab host.
    pub mode: Mode,
    /// The cgroup hierarchies in which the lab host has groups of its own; that at `/lab/cgroup` first.
    pub cgroups: Vec<Hierarchy>,
    /// The controllers for which the keeper can make a hierarchy of version 1, because the machine has them in none.
    pub unmounted: Vec<String>,
    /// Whether the lab host is the machine itself.
    pub real_host: bool,
    /// Its network, where it is.
    pub network: Option<MachineNetwork>,
    /// Whether BPF programs can be put on groups of version 2.
    pub device_programs: bool,
    /// Whether the kernel has nftables.
    pub nf_tables: bool,
}

impl Offer {
    /// Which kind of lab host this is, for people.
    pub fn words(&self) -> &'static str {
        if self.real_host { "root, on the machine itself" } else { self.mode.words() }
    }
}

/// What the person wishes for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// A user namespace, also where it could be done without.
    pub rootless: bool,
    /// The own id alone in it.
    pub single_id: bool,
    /// The machine itself for a lab host.
    pub real_host: bool,
}

/// A range of subordinate ids (subuid(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubIds {
    /// The first id.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// Who runs hardway, and what follows for the lab host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Whether CAP_SYS_ADMIN is effective: namespaces can be made without a user namespace.
    pub sys_admin: bool,
    /// Subordinate user and group ids, where there are both and newuidmap(1) and newgidmap(1) are installed.
    pub sub_ids: Option<(SubIds, SubIds)>,
    /// Where this person may make cgroups.
    pub cgroups: Vec<Hierarchy>,
    /// Whether this person may put BPF programs on those of version 2.
    pub device_programs: bool,
    /// Whether the kernel has nftables, and lets this person use them in a network namespace of their own.
    pub nf_tables: bool,
}

impl Person {
    /// Looks at this process and at this machine.
    pub fn current() -> Self {
        let uid = nix::unistd::geteuid().as_raw();
        let name = nix::unistd::User::from_uid(uid.into()).ok().flatten().map(|user| user.name);
        let ids = |file: &str| fs::read_to_string(file).ok().and_then(|text| find_sub_ids(&text, name.as_deref(), uid));
        let installed = helper("newuidmap").is_some() && helper("newgidmap").is_some();
        let cgroups = cgroup::places();
        let v2 = cgroups.iter().find(|one| one.version == cgroup::Version::V2);
        Self {
            uid,
            gid: nix::unistd::getegid().as_raw(),
            sys_admin: has_sys_admin(&fs::read_to_string("/proc/self/status").unwrap_or_default()),
            sub_ids: if installed { ids("/etc/subuid").zip(ids("/etc/subgid")) } else { None },
            device_programs: v2.is_some_and(|one| device::are_offered(&one.own)),
            // The module is loaded when it is asked for the first time; what is built in has no directory there.
            nf_tables: Path::new("/sys/module/nf_tables").exists() || trial::nf_tables(),
            cgroups,
        }
    }

    /// The same with this group of version 2 as the one below which groups are made, where the person's own process is in a leaf of
    /// it.
    pub fn in_group(mut self, group: Option<&Path>) -> Self {
        let v2 = self.cgroups.iter_mut().find(|one| one.version == cgroup::Version::V2);
        if let Some((own, group)) = v2.zip(group) {
            group.clone_into(&mut own.own);
        }
        self
    }

    /// What lessons get here.
    ///
    /// # Errors
    /// Where the wish can not be met; says what to do instead.
    pub fn offer(&self, wish: Wish) -> Result<Offer, Explanation> {
        let mode = self.mode(wish.rootless, wish.single_id)?;
        let refused =
            |why: &str, fix: &str| Err(Explanation::new("The machine itself can not be the lab host", why, fix));
        if wish.real_host && mode != Mode::Root {
            return refused(
                "only root may change it",
                "sudo hardway --real-host; or without that option, in a lab host",
            );
        }
        if wish.real_host && self.cgroups.is_empty() {
            let why =
                "there is no cgroup hierarchy in which a group can be made, and only that tells what has to be ended";
            return refused(why, "mount -t cgroup2 cgroup2 /sys/fs/cgroup; or without that option, in a lab host");
        }
        // On the machine itself there is no place where it could be shown.
        let makes = mode == Mode::Root && !wish.real_host;
        let unmounted = if makes { hierarchy::possible(&self.cgroups) } else { Vec::new() };
        // What can not be read there is as in a lab host, and then the kernel's own words tell more.
        let network = if wish.real_host { MachineNetwork::read().ok() } else { None };
        let Self { cgroups, device_programs, nf_tables, .. } = self.clone();
        Ok(Offer { mode, cgroups, unmounted, real_host: wish.real_host, network, device_programs, nf_tables })
    }

    /// The mode for the lab host.
    fn mode(&self, rootless: bool, single: bool) -> Result<Mode, Explanation> {
        if self.uid == 0 && rootless {
            return Err(Explanation::new(
                "A rootless lab can not be made by root",
                "its ids would be the machine's own: uid 0 inside would be uid 0 outside",
                "start hardway as an ordinary user; under sudo it becomes that user by itself",
            ));
        }
        if self.uid == 0 && self.sys_admin {
            return Ok(Mode::Root);
        }
        if self.uid == 0 {
            return Err(Explanation::new(
                "hardway is root here, but without CAP_SYS_ADMIN",
                "this looks like a container; capabilities(7): only CAP_SYS_ADMIN may make namespaces without a user namespace",
                "run hardway outside of the container, as an ordinary user, or give the container CAP_SYS_ADMIN",
            ));
        }
        Ok(if single || self.sub_ids.is_none() { Mode::RootlessSingle } else { Mode::RootlessRange })
    }
}

/// The person behind this process: under sudo the one who called it (sudo(8), `SUDO_UID`), else its own user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoker {
    uid: u32,
    gid: u32,
}

impl Invoker {
    /// Looks at the environment and the user database.
    pub fn current() -> Self {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
        let own = effective_uid();
        // Also after this process has become them: the environment is still the one that sudo made.
        let caller = number("SUDO_UID").zip(number("SUDO_GID"));
        let sudo = caller.filter(|(uid, _)| *uid != 0 && (own == 0 || own == *uid));
        let (uid, gid) = sudo.unwrap_or_else(|| (own, nix::unistd::getegid().as_raw()));
        Self { uid, gid }
    }

    /// Makes this process theirs, for good. Does nothing where it is already.
    ///
    /// # Errors
    /// Where the kernel refuses, so that nothing goes on as root by mistake.
    pub fn become_them(&self) -> Result<(), Explanation> {
        if self.uid == effective_uid() {
            return Ok(());
        }
        let (uid, gid) = (nix::unistd::Uid::from_raw(self.uid), nix::unistd::Gid::from_raw(self.gid));
        let groups = nix::unistd::User::from_uid(uid)
            .ok()
            .flatten()
            .and_then(|user| nix::unistd::getgrouplist(&std::ffi::CString::new(user.name).ok()?, gid).ok());
        // Groups first, the user last: afterwards there is no right to change groups.
        nix::unistd::setgroups(&groups.unwrap_or_default())
            .and_then(|()| nix::unistd::setresgid(gid, gid, gid))
            .and_then(|()| nix::unistd::setresuid(uid, uid, uid))
            .map_err(|errno| {
                Explanation::new(
                    format!("hardway could not become user {} again", self.uid),
                    format!("setgroups, setresgid, setresuid: {errno}"),
                    "start it without sudo",
                )
            })
    }
}

/// The effective user id of this process.
pub fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// The home directory of a user, from the user database (getpwuid(3)).
pub fn home_of(uid: u32) -> Option<PathBuf> {
    nix::unistd::User::from_uid(uid.into()).ok().flatten().map(|user| user.dir)
}

/// The path of newuidmap(1) or newgidmap(1).
pub fn helper(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|p| p.is_file())
}

/// Why a user namespace could not be made: what this machine says about it, and what helps.
pub fn userns_obstacle() -> (String, String) {
    if let Some((why, fix)) = userns_restriction().or_else(userns_limit) {
        return (why, format!("{fix} – or run hardway with sudo"));
    }
    if !Path::new("/proc/self/ns/user").exists() {
        return ("this kernel has no user namespaces (CONFIG_USER_NS)".into(), "run hardway with sudo".into());
    }
    (
        "something forbids it: a seccomp filter (inside of a container?) or a security module".into(),
        "run hardway outside of the container, or with sudo".into(),
    )
}

/// What keeps ordinary users, but not root, from making user namespaces, and what helps.
pub fn userns_restriction() -> Option<(String, String)> {
    if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        return Some((
            "AppArmor keeps user namespaces from programs without a profile of their own \
             (kernel.apparmor_restrict_unprivileged_userns = 1, as on Ubuntu since 23.10)"
                .into(),
            "give hardway a profile that allows it, as vagrant/provision.sh does: then the restriction stays for all others; or, \
             for all programs: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
                .into(),
        ));
    }
    let forbidden = setting("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0");
    forbidden.then(|| {
        ("kernel.unprivileged_userns_clone is 0".into(), "sudo sysctl -w kernel.unprivileged_userns_clone=1".into())
    })
}

/// What keeps everybody, root included, from making user namespaces, and what helps.
pub fn userns_limit() -> Option<(String, String)> {
    let none = setting("/proc/sys/user/max_user_namespaces").as_deref() == Some("0");
    none.then(|| ("user.max_user_namespaces is 0".into(), "sudo sysctl -w user.max_user_namespaces=10000".into()))
}

/// The kernel's version: the first two numbers of its release (uname(2)).
pub fn release() -> (u32, u32) {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Whether the kernel has a type of file system, or a module for it that the first mount loads (proc_filesystems(5)).
pub fn knows_file_system(name: &str) -> bool {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let modules = Path::new("/lib/modules").join(release.trim()).join("modules.dep");
    let module = format!("/{name}.ko");
    known.lines().any(|line| line.split_whitespace().last() == Some(name))
        || fs::read_to_string(modules).is_ok_and(|text| {
            text.lines().any(|line| line.split(':').next().is_some_and(|file| file.contains(&module)))
        })
}

/// What is not for everybody to count (`kernel.perf_event_paranoid`, perf_event_open(2)): above 0 whatever concerns more than one's own
/// processes. 4, as where all is forbidden, if that can not be read.
pub fn perf_paranoia() -> i32 {
    setting("/proc/sys/kernel/perf_event_paranoid").and_then(|text| text.parse().ok()).unwrap_or(4)
}

fn setting(path: &str) -> Option<String> {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).ok()
}

/// The range for a user in the text of subuid(5), given by name or by number.
fn find_sub_ids(text: &str, name: Option<&str>, uid: u32) -> Option<SubIds> {
    let number = uid.to_string();
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let who = fields.next()?;
        if Some(who) != name && who != number {
            return None;
        }
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (count > 0).then_some(SubIds { first, count })
    })
}

/// Whether bit 21, CAP_SYS_ADMIN, is set in `CapEff` of `/proc/PID/status`.
fn has_sys_admin(status: &str) -> bool {
    const CAP_SYS_ADMIN: u32 = 21;
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|caps| caps >> CAP_SYS_ADMIN & 1 == 1)
}

/// Whether something is mounted below a directory, whose path ends in `/`, as this process sees it (proc(5), mountinfo: the fifth field).
pub fn is_mounted_below(directory: &str) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().filter_map(|line| line.split(' ').nth(4)).any(|at| at.starts_with(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_ids_by_name_or_number() {
        let text = "ann:100000:65536\n1001:200000:10\nbad:x:y\n";
        assert_eq!(find_sub_ids(text, Some("ann"), 7), Some(SubIds { first: 100_000, count: 65_536 }));
        assert_eq!(find_sub_ids(text, None, 1001), Some(SubIds { first: 200_000, count: 10 }));
        assert_eq!(find_sub_ids(text, Some("bad"), 8), None);
    }

    #[test]
    fn sys_admin_is_bit_21() {
        assert!(has_sys_admin("CapEff:\t000001fffeffffff\n"));
        assert!(!has_sys_admin("CapEff:\t00000000a80425fb\n"));
        assert!(!has_sys_admin(""));
    }
}

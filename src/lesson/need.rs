//! What a lesson or a step needs of the machine, and why it may not be there.

mod groups;

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::groups::{home, no_group, without_controller, without_programs};
use crate::kernel::cgroup::{self, Version};
use crate::kernel::disk;
use crate::kernel::host::{self, Mode, Offer};
use crate::kernel::namespace::Namespace;

/// Something that a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// The kernel has mount namespaces.
    MntNamespace,
    /// The kernel has UTS namespaces.
    UtsNamespace,
    /// The kernel has IPC namespaces.
    IpcNamespace,
    /// The kernel has pid namespaces.
    PidNamespace,
    /// The kernel has network namespaces.
    NetNamespace,
    /// The host has no default route: what leaves it is what the lesson says.
    NoUplink,
    /// It has one: the machine itself, which is connected.
    Uplink,
    /// The host forwards nothing yet, so that nobody relies on it.
    NoRouter,
    /// What is written to `/etc` stays in the lab host, and does not go to the machine.
    OwnFiles,
    /// The kernel has IPv6, and it is not switched off.
    Ipv6,
    /// The kernel has user namespaces, and they are not forbidden.
    UserNamespace,
    /// The kernel has cgroup namespaces.
    CgroupNamespace,
    /// The kernel has time namespaces.
    TimeNamespace,
    /// More than one id is mapped in the lab host: root, or a range from newuidmap(1).
    IdRange,
    /// Somebody who is not root of the machine may make user namespaces in the lab host.
    OrdinaryUser,
    /// setgroups(2) is not given up in the lab host.
    Setgroups,
    /// newuidmap(1) and newgidmap(1) are installed.
    IdHelpers,
    /// perl(1) is there: the by-hand way to listen on a port.
    Perl,
    /// The kernel has nftables, and nft(8) is there: the by-hand way to write rules.
    NfTables,
    /// The lab host has a cgroup of its own, below which groups can be made.
    OwnCgroup,
    /// It has, in the hierarchy of version 2.
    OwnCgroupV2,
    /// It has, in the hierarchy of version 1 with the controller `pids`.
    OwnCgroupV1,
    /// Groups of version 1 can be made that have the controller `cpu`.
    CpuV1,
    /// They can, in version 2.
    CpuV2,
    /// Groups of version 1 can be made that have the controller `cpuacct`; those of version 2 count without one.
    CpuacctV1,
    /// Groups of version 1 can be made that have the controller `cpuset`.
    CpusetV1,
    /// They can, in version 2.
    CpusetV2,
    /// Groups of version 1 can be made that have the controller `memory`.
    MemoryV1,
    /// They can, in version 2.
    MemoryV2,
    /// Groups of version 1 can be made that have the controller `pids`.
    PidsV1,
    /// They can, in version 2.
    PidsV2,
    /// Groups of version 1 can be made that have the controller `blkio`.
    BlkioV1,
    /// Groups of version 2 can be made that have the controller `io`, as it is called there.
    IoV2,
    /// Groups of version 1 can be made that have the controller `freezer`.
    FreezerV1,
    /// Groups of version 2 can be frozen, and there is no controller for that in version 1.
    FreezerV2,
    /// Groups of version 1 can be made that have the controller `devices`.
    DevicesV1,
    /// hardway's own file is on a disk: then that can be read slowly.
    Disk,
    /// BPF programs that decide on devices can be put on groups of version 2.
    DevicesBpf,
    /// Groups of version 1 can be made that have the controller `net_cls`, if need be in a hierarchy that is made for them.
    NetClsV1,
    /// They can, with `net_prio`.
    NetPrioV1,
    /// They can, with `perf_event`, and this person may count what a group does.
    PerfEventV1,
    /// The same of groups of version 2, which all have it.
    PerfEventV2,
    /// Groups of version 1 can be made that have the controller `hugetlb`, and limit what is reserved.
    HugetlbV1,
    /// They can, in version 2.
    HugetlbV2,
    /// This machine has two processors that may be used.
    TwoCpus,
    /// The limits of an IPC namespace can be set.
    IpcLimits,
    /// There is a directory /dev/mqueue.
    DevMqueue,
    /// An overlay can be mounted over a tmpfs, and keep its attributes there.
    Overlay,
    /// Attributes `trusted.*` can be written.
    TrustedAttributes,
}

impl Need {
    /// The name by which lessons call it.
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Whether a step that needs it stands beside one for the other kind of machine, which does the same there: where it is not
    /// met, nothing is lost.
    pub fn has_twin(self, offer: &Offer) -> bool {
        match self.controller() {
            Some(("devices", _)) => Self::DevicesBpf.unmet(offer).is_none(),
            Some((name, _)) => home(name, offer).is_some(),
            _ if self == Self::Uplink => true,
            _ if self == Self::DevicesBpf => Self::DevicesV1.unmet(offer).is_none(),
            _ => {
                let twins = [Self::OwnCgroupV1, Self::OwnCgroupV2, Self::FreezerV1, Self::FreezerV2];
                twins.contains(&self) && !offer.cgroups.is_empty()
            }
        }
    }

    /// The controller that groups must have for it, and in which version.
    pub fn controller(self) -> Option<(&'static str, Version)> {
        match self {
            Self::CpuV1 => Some(("cpu", Version::V1)),
            Self::CpuV2 => Some(("cpu", Version::V2)),
            Self::CpuacctV1 => Some(("cpuacct", Version::V1)),
            Self::CpusetV1 => Some(("cpuset", Version::V1)),
            Self::CpusetV2 => Some(("cpuset", Version::V2)),
            Self::MemoryV1 => Some(("memory", Version::V1)),
            Self::MemoryV2 => Some(("memory", Version::V2)),
            Self::PidsV1 => Some(("pids", Version::V1)),
            Self::PidsV2 => Some(("pids", Version::V2)),
            Self::BlkioV1 => Some(("blkio", Version::V1)),
            Self::IoV2 => Some(("io", Version::V2)),
            Self::DevicesV1 => Some(("devices", Version::V1)),
            Self::NetClsV1 => Some(("net_cls", Version::V1)),
            Self::NetPrioV1 => Some(("net_prio", Version::V1)),
            Self::PerfEventV1 => Some(("perf_event", Version::V1)),
            Self::PerfEventV2 => Some(("perf_event", Version::V2)),
            Self::HugetlbV1 => Some(("hugetlb", Version::V1)),
            Self::HugetlbV2 => Some(("hugetlb", Version::V2)),
            _ => None,
        }
    }

    /// Why it is not met, with a way on; none where it is.
    pub fn unmet(self, offer: &Offer) -> Option<String> {
        if let Some((name, version)) = self.controller() {
            return without_controller(name, version, offer).or_else(|| self.unmet_besides(offer));
        }
        match self {
            Self::MntNamespace => kernel(Namespace::Mnt, "every kernel has mount namespaces: is /proc mounted?"),
            Self::UtsNamespace => kernel(Namespace::Uts, "this kernel was built without UTS namespaces (CONFIG_UTS_NS)"),
            Self::IpcNamespace => kernel(Namespace::Ipc, "this kernel was built without IPC namespaces (CONFIG_IPC_NS)"),
            Self::PidNamespace => kernel(Namespace::Pid, "this kernel was built without pid namespaces (CONFIG_PID_NS)"),
            Self::NetNamespace => {
                kernel(Namespace::Net, "this kernel was built without network namespaces (CONFIG_NET_NS)")
            }
            Self::NoUplink => {
                let link = offer.network.as_ref()?.uplink.as_ref()?;
                Some(format!("this machine has a default route by {link}: what has no other route leaves it there"))
            }
            Self::Uplink => (offer.network.as_ref().is_none_or(|network| network.uplink.is_none()))
                .then(|| "the host has no default route by a link of the machine's; with --real-host it may".to_owned()),
            Self::NoRouter => offer.network.as_ref()?.forwards.then(|| {
                "this machine forwards packets already (net.ipv4.ip_forward is 1), and somebody may rely on it".to_owned()
            }),
            Self::OwnFiles if offer.real_host => {
                Some("it writes to /etc, and with --real-host that is the machine's; a lab host has its own".to_owned())
            }
            Self::OwnFiles => (offer.mode != Mode::Root && host::is_mounted_below("/etc/")).then(|| {
                "something is mounted below /etc, as in containers: without root no overlay goes over that, to write to".to_owned()
            }),
            Self::UserNamespace => {
                kernel(Namespace::User, "this kernel was built without user namespaces (CONFIG_USER_NS)")
                    .or_else(|| host::userns_limit().map(|(why, fix)| format!("user namespaces are forbidden here: {why}; {fix}")))
            }
            Self::CgroupNamespace => {
                kernel(Namespace::Cgroup, "this kernel has no cgroup namespaces (Linux 4.6 and later have, with CONFIG_CGROUPS)")
            }
            Self::TimeNamespace => {
                kernel(Namespace::Time, "this kernel has no time namespaces (Linux 5.6 and later have, with CONFIG_TIME_NS)")
            }
            Self::IdRange => (offer.mode == Mode::RootlessSingle).then(|| {
                "it needs a second user id, and only one is mapped here; with newuidmap(1) and a line in /etc/subuid, or as root, it works"
                    .to_owned()
            }),
            Self::OrdinaryUser => {
                // Without root the lab host itself is the proof that it is allowed.
                let forbidden = if offer.mode == Mode::Root { host::userns_restriction() } else { None };
                forbidden.map(|(why, fix)| format!("here only root may make user namespaces: {why}; {fix}"))
            }
            Self::Setgroups => (offer.mode == Mode::RootlessSingle).then(|| {
                "setgroups is given up in this lab host already: its own ids were mapped without privilege; with newuidmap(1) and a \
                 line in /etc/subuid, or as root, it works"
                    .to_owned()
            }),
            Self::IdHelpers => ["newuidmap", "newgidmap"].iter().any(|name| host::helper(name).is_none()).then(|| {
                "newuidmap(1) and newgidmap(1) are not installed; on Debian and Ubuntu: sudo apt install uidmap".to_owned()
            }),
            Self::Ipv6 => (!Path::new("/proc/net/if_inet6").exists())
                .then(|| "this kernel has no IPv6 (CONFIG_IPV6, or ipv6.disable=1 where it was booted)".to_owned()),
            Self::Perl => {
                let there = ["/usr/local/bin/perl", "/usr/bin/perl", "/bin/perl"].iter().any(|path| Path::new(path).exists());
                (!there).then(|| {
                    "it needs a program that listens on a port, and perl is not installed (Debian: perl-base)".to_owned()
                })
            }
            Self::NfTables => {
                let there = ["/usr/local/sbin/nft", "/usr/sbin/nft", "/sbin/nft"].iter().any(|path| Path::new(path).exists());
                if !there {
                    Some("nft(8) is not installed; on Debian and Ubuntu: sudo apt install nftables".to_owned())
                } else {
                    (!offer.nf_tables).then(|| "this kernel has no nftables (CONFIG_NF_TABLES)".to_owned())
                }
            }
            Self::OwnCgroup => offer.cgroups.is_empty().then(no_group),
            Self::OwnCgroupV2 => match offer.cgroups.first() {
                None => Some(no_group()),
                Some(own) => (own.version == Version::V1).then(|| {
                    "it is for groups of version 2, and /lab/cgroup is one of version 1 here; the step beside it does the same there"
                        .to_owned()
                }),
            },
            Self::OwnCgroupV1 => match offer.cgroups.first() {
                None => Some(no_group()),
                Some(own) => (own.version == Version::V2 || own.options != "pids").then(|| {
                    "it is for groups of version 1 with the controller pids, and /lab/cgroup is none here; the step beside it does the same \
                     in version 2"
                        .to_owned()
                }),
            },
            Self::FreezerV1 | Self::FreezerV2 if offer.cgroups.is_empty() => Some(no_group()),
            // In version 2 it is no controller: every group can be frozen.
            Self::FreezerV1 => cgroup::home_of("freezer", &offer.cgroups).is_none().then(|| {
                "it is for the controller freezer of cgroups of version 1, which this machine has not; the step beside it is for version 2"
                    .to_owned()
            }),
            Self::FreezerV2 => cgroup::home_of("freezer", &offer.cgroups).is_some().then(|| {
                "it is for machines without the controller freezer of version 1; the step beside it is for that".to_owned()
            }),
            Self::Disk => std::env::current_exe().and_then(|file| disk::of_file(&file)).err().map(|_| {
                "it reads hardway's own file from a disk, and that file is on none here (but in memory, on the network, or on a file \
                 system with a number of its own); installed on a disk, it works"
                    .to_owned()
            }),
            Self::DevicesBpf => without_programs(offer),
            Self::TwoCpus => std::thread::available_parallelism().is_ok_and(|count| count.get() < 2).then(|| {
                "it needs two processors, and here is one; in a virtual machine: give it a second".to_owned()
            }),
            Self::DevMqueue => (offer.real_host && !Path::new("/dev/mqueue").is_dir()).then(|| {
                "this machine has no /dev/mqueue on which message queues could be shown; without --real-host there is one".to_owned()
            }),
            Self::IpcLimits => (offer.mode != Mode::Root && host::release() < (6, 9)).then(|| {
                "without root the limits of an IPC namespace can be set since Linux 6.9; with sudo it works on older kernels too".to_owned()
            }),
            Self::Overlay if !host::knows_file_system("overlay") => {
                Some("this kernel has no overlay (CONFIG_OVERLAY_FS, or the module overlay)".to_owned())
            }
            Self::Overlay => (offer.mode != Mode::Root && host::release() < (6, 6)).then(|| {
                "a tmpfs keeps attributes user.* since Linux 6.6, and without root an overlay needs them; with sudo it works on older kernels too"
                    .to_owned()
            }),
            Self::TrustedAttributes => (offer.mode != Mode::Root)
                .then(|| "attributes trusted.* are for root of the machine alone (xattr(7)); with sudo".to_owned()),
            // Controllers: answered above.
            _ => None,
        }
    }

    /// What else is in the way where groups have the controller.
    fn unmet_besides(self, offer: &Offer) -> Option<String> {
        match self {
            // perf_event_open(2): without CAP_PERFMON only what one's own processes do may be counted, and a group's is that of all.
            Self::PerfEventV1 | Self::PerfEventV2 if offer.mode != Mode::Root && host::perf_paranoia() > 0 => Some(format!(
                "kernel.perf_event_paranoid is {}: who is not root may count what a process of theirs does, and not what a group does; \
                 with sudo it works",
                host::perf_paranoia()
            )),
            Self::HugetlbV1 | Self::HugetlbV2 if !Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB").exists() => Some(
                "this machine has no huge pages of 2 MiB; ls /sys/kernel/mm/hugepages shows which it has".to_owned(),
            ),
            Self::HugetlbV1 | Self::HugetlbV2 if host::release() < (5, 7) => Some(
                "this kernel limits huge pages when they are touched and not when they are reserved; Linux 5.7 and later have rsvd"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

fn kernel(kind: Namespace, missing: &str) -> Option<String> {
    let there = Path::new("/proc/self/ns").join(kind.link()).symlink_metadata().is_ok();
    (!there).then(|| missing.to_owned())
}

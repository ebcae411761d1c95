//! Checks and values: predicates on observations, and what they read. They look at kernel state, never at what was typed.
//!
//! One file a family. A check is a struct that implements [`Predicate`], a value one that implements [`Probe`]; [`Check`] and
//! [`Value`] only gather them, under the names that lessons use.

pub mod cgroup;
pub mod clock;
pub mod credentials;
pub mod device;
pub mod exchange;
pub mod hostname;
pub mod image;
pub mod ipc;
pub mod keep;
pub mod layers;
pub mod limit;
pub mod mount;
pub mod namespace;
pub mod network;
pub mod nftables;
pub mod overlay;
pub mod process;
pub mod root;
pub mod traffic;
mod view;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use self::view::{Seen, View, inode, lives, value};
use crate::probe::{Names, Observation};

/// Defines an enum that gathers structs under the names that lessons use, and the way from it to what all of them implement.
macro_rules! gather {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $($(#[$doc:meta])* $one:ident($of:ty),)* }
        fn $method:ident(&self) -> &dyn $what:ident;
    ) => {
        $(#[$meta])*
        pub enum $name {
            $($(#[$doc])* $one($of),)*
        }

        impl $name {
            fn $method(&self) -> &dyn $what {
                match self {
                    $(Self::$one(it) => it,)*
                }
            }
        }
    };
}

gather! {
    /// A predicate. In a by-hand check `box` means the subject: what the learner's shell made.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum Check {
        /// The process lives (a zombie does not).
        Exists(process::Exists),
        /// It does not live.
        Gone(process::Gone),
        /// Nobody has forked since it was made.
        Unforked(process::Unforked),
        /// Its program's name (`comm`).
        Comm(process::Comm),
        /// The pid that it has in its own pid namespace.
        PidInside(process::PidInside),
        /// The `/proc` that it sees lists exactly the members of its own pid namespace.
        ProcShowsOwn(process::ProcShowsOwn),
        /// A program runs in its pid namespace, as a child of PID 1 there.
        Adopted(process::Adopted),
        /// No process of this name lives in the lab.
        NoProcess(process::NoProcess),
        /// Two processes are in different namespaces of a kind.
        NamespaceDiffers(namespace::Differs),
        /// Two processes are in the same namespace of a kind.
        NamespaceSame(namespace::Same),
        /// The user namespace of a process owns a namespace.
        OwnedBy(namespace::OwnedBy),
        /// The host name that a process sees.
        Hostname(hostname::Is),
        /// The path of a root directory.
        RootIs(root::Is),
        /// Two processes have the same root directory.
        RootSame(root::Same),
        /// Two processes have different root directories.
        RootDiffers(root::Differs),
        /// A working directory is outside of the root directory.
        CwdOutsideRoot(root::CwdOutside),
        /// A path leads to something, seen from a root directory.
        Found(root::Found),
        /// A path leads to nothing, seen from a root directory.
        NotFound(root::NotFound),
        /// A file has a line, seen from a root directory.
        FileLine(root::FileLine),
        /// Something is mounted at a place.
        Mounted(mount::Mounted),
        /// Nothing is mounted at a place.
        NotMounted(mount::NotMounted),
        /// What a layer below has is deleted.
        Whiteout(overlay::Whiteout),
        /// A directory hides those of its name below.
        Opaque(overlay::Opaque),
        /// A directory stands for one of another name below.
        Renamed(overlay::Renamed),
        /// A name leads to an image that is whole.
        Image(image::Is),
        /// A name leads to an image that is not whole.
        ImageBroken(image::Broken),
        /// An image layout has no such name.
        ImageUnnamed(image::Unnamed),
        /// Two images have the same part.
        ImageSame(image::Same),
        /// Two images differ in a part.
        ImageDiffers(image::Differs),
        /// An answer of a server has come.
        Answered(exchange::Answered),
        /// A file has the digest that an answer names.
        DigestRight(exchange::DigestRight),
        /// It has another.
        DigestWrong(exchange::DigestWrong),
        /// A layer of an image has an entry of a name.
        LayerHolds(layers::Holds),
        /// The propagation of a mount.
        Propagation(mount::Propagation),
        /// A user id, as the lab host knows it.
        Uid(credentials::UidIs),
        /// A user id, as the process itself is told.
        UidInside(credentials::UidInsideIs),
        /// An id is mapped in a user namespace.
        Maps(credentials::Maps),
        /// No id is mapped there.
        NoMap(credentials::NoMap),
        /// What the file setgroups says.
        Setgroups(credentials::Setgroups),
        /// A capability is effective.
        Capable(credentials::Capable),
        /// A file belongs to the user that a process is.
        FileOwnedBy(credentials::FileOwnedBy),
        /// A clock is so many seconds ahead of the lab host's.
        ClockAhead(clock::AheadIs),
        /// How many objects of a kind are in a process's IPC namespace.
        IpcCount(ipc::Count),
        /// A segment of shared memory there.
        ShmSegment(ipc::Segment),
        /// A POSIX message queue there.
        PosixQueue(ipc::Queue),
        /// A limit of that namespace.
        IpcLimit(ipc::Limit),
        /// The cgroup in which the lab host sees a process.
        Cgroup(cgroup::In),
        /// The cgroup in which a process sees itself.
        CgroupInside(cgroup::InsideIs),
        /// There is a cgroup below the lab host's own.
        CgroupExists(cgroup::Exists),
        /// There is none.
        CgroupGone(cgroup::Gone),
        /// The root of a cgroup mount, as a process sees it.
        CgroupMounted(cgroup::Mounted),
        /// What a file of a cgroup says.
        CgroupFile(limit::FileIs),
        /// The least that a number in a file of a cgroup is.
        CgroupAtLeast(limit::AtLeast),
        /// How many processes are in a cgroup.
        CgroupMembers(limit::Members),
        /// How many times a number in a file of one cgroup is that of another.
        CgroupTimes(limit::Times),
        /// The processors on which a process may run.
        CpusAllowed(limit::CpusAllowed),
        /// Which devices a cgroup may use, by a BPF program.
        DeviceRules(device::Rules),
        /// A link is in the network namespace of a process.
        LinkExists(network::LinkExists),
        /// No link of that name is in the network namespace of a process.
        LinkGone(network::LinkGone),
        /// A link is up, or down.
        LinkState(network::LinkState),
        /// A link is a port of a bridge.
        LinkMaster(network::LinkMaster),
        /// A port of a bridge may send back what came in by it.
        Hairpin(network::Hairpin),
        /// There is no link but the loopback device.
        OnlyLoopback(network::OnlyLoopback),
        /// A link has an address.
        AddressOn(network::AddressOn),
        /// A link has no address that was given to it.
        NoAddress(network::NoAddress),
        /// A route leads to a network.
        RouteTo(traffic::RouteTo),
        /// No route leads to a network.
        NoRoute(traffic::NoRoute),
        /// A setting of a network namespace has a value.
        Sysctl(traffic::Sysctl),
        /// Somebody listens on a TCP port.
        Listens(traffic::Listens),
        /// Somebody has a UDP port.
        UdpBound(traffic::UdpBound),
        /// Somebody from an address is connected to a TCP port.
        ConnectedFrom(traffic::ConnectedFrom),
        /// A chain of nftables is there.
        NftChain(nftables::HasChain),
        /// A rule is in a chain of nftables.
        NftRule(nftables::HasRule),
        /// A rule has counted so many packets.
        NftCounts(nftables::Counts),
        /// There is no table of a name.
        NoNftTable(nftables::NoTable),
        /// A namespace is mounted on a file.
        Pinned(keep::Pinned),
        /// A process is in the namespace that is mounted on a file.
        InPinned(keep::InPinned),
        /// No namespace of a kind is left but that of a process.
        NoOther(keep::NoOther),
        /// A process shares a namespace with a program.
        SharesWith(keep::SharesWith),
    }
    fn predicate(&self) -> &dyn Predicate;
}

gather! {
    /// A value that a probe can give: the answer to a question.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum Value {
        /// The host name that a process sees.
        Hostname(hostname::Seen),
        /// The pid in its own pid namespace.
        PidInside(process::OwnPid),
        /// The pid as the lab host numbers it.
        Pid(process::Pid),
        /// The parent's pid as the lab host numbers it.
        Ppid(process::Ppid),
        /// How many processes `/proc` shows to a process.
        ProcessesVisible(process::Visible),
        /// How many namespace links differ from another process's.
        NamespacesThatDiffer(namespace::HowManyDiffer),
        /// The path of a root directory.
        Root(root::Link),
        /// The inode of a root directory.
        RootInode(root::Inode),
        /// The type of a mounted file system.
        Fstype(mount::Fstype),
        /// What the upper directory of an overlay takes on the disk.
        UpperKib(overlay::UpperKib),
        /// How many blobs an image layout has.
        Blobs(image::Blobs),
        /// The digest of a part of an image.
        ImageDigest(image::ImageDigest),
        /// The SHA-256 of a file that came with an answer.
        Sha256(exchange::Sha256),
        /// How many whiteouts a layer of an image has.
        LayerWhiteouts(layers::Whiteouts),
        /// What a file in a layer of an image says.
        LayerText(layers::Text),
        /// The user id, as the lab host knows it.
        Uid(credentials::Uid),
        /// The user id, as the process itself is told.
        UidInside(credentials::UidInside),
        /// Which id outside stands behind one inside.
        IdOutside(credentials::IdOutside),
        /// The seconds by which a clock is ahead of the lab host's.
        ClockAhead(clock::Ahead),
        /// The whole days for which the machine seems to be up.
        DaysUp(clock::DaysUp),
        /// How many objects of a kind are in a process's IPC namespace.
        IpcCount(ipc::HowMany),
        /// How many files are in `/dev/shm`.
        DevShmFiles(ipc::DevShm),
        /// The cgroup in which the lab host sees a process.
        Cgroup(cgroup::Path),
        /// The cgroup in which a process sees another one, or itself.
        CgroupSeen(cgroup::PathSeen),
        /// The root of the lab host's cgroup mount, as a process sees it.
        CgroupMountRoot(cgroup::MountRoot),
        /// What a file of a cgroup says.
        CgroupFile(limit::File),
        /// The id of the BPF program that decides on a cgroup's devices.
        DeviceProgram(device::Id),
        /// How many cgroup hierarchies a process is in.
        Hierarchies(cgroup::Hierarchies),
        /// How many links a network namespace has.
        Links(network::Links),
        /// The flags of a link.
        LinkFlags(network::LinkFlags),
        /// An address of a link.
        Address(network::AddressOf),
        /// How many routes lead to a network.
        RoutesTo(traffic::RoutesTo),
        /// By which link what has no other route leaves.
        DefaultLink(traffic::DefaultLink),
        /// Who is connected to a TCP port.
        PeersOf(traffic::PeersOf),
        /// The index of a link.
        LinkIndex(network::LinkIndex),
    }
    fn probe(&self) -> &dyn Probe;
}

impl Check {
    /// The path that has to be looked at for it.
    pub fn path(&self) -> Option<&str> {
        self.predicate().path()
    }

    /// The predicate in words: "box is in another uts namespace than host".
    pub fn claim(&self) -> String {
        self.predicate().claim()
    }

    /// Evaluates the predicate. What can not be read does not hold; `seen` then says why.
    pub fn evaluate(&self, observation: &Observation, names: &Names) -> Verdict {
        let (holds, seen) = match self.predicate().judge(&View { observation, names }) {
            Ok(judged) => judged,
            // That a process can not be found is just what this one claims.
            Err(missing) => (matches!(self, Self::Gone(_)), missing),
        };
        Verdict { claim: self.claim(), holds, seen }
    }
}

impl Value {
    /// What is asked for, in words: "the host name that box sees".
    pub fn words(&self) -> String {
        self.probe().words()
    }

    /// The value as the kernel has it; none where it can not be read.
    pub fn read(&self, observation: &Observation, names: &Names) -> Option<String> {
        self.probe().read(&View { observation, names }).ok()
    }

    /// Whether a text, what a learner answered or what a command printed, has the value as a word of its own.
    pub fn is_word_of(value: &str, text: &str) -> bool {
        // As it stands first: `/..` is a path.
        text.split_whitespace().any(|word| word == value || word.trim_matches(|c: char| "\"'`.,;".contains(c)) == value)
    }
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The predicate in words: "box is in another uts namespace than host".
    pub claim: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was seen: "box 4026532201, host 4026531838".
    pub seen: String,
}

/// What every check can tell.
pub(super) trait Predicate {
    /// The predicate in words.
    fn claim(&self) -> String;

    /// Whether it holds, and what was seen; or what is missing to know that.
    fn judge(&self, view: &View<'_>) -> Seen<(bool, String)>;

    /// The path that has to be looked at for it.
    fn path(&self) -> Option<&str> {
        None
    }
}

/// What every value can tell.
pub(super) trait Probe {
    /// What is asked for, in words.
    fn words(&self) -> String;

    /// The value, or why there is none.
    fn read(&self, view: &View<'_>) -> Seen<String>;
}

#[cfg(test)]
mod tests;

//! An action: one typed thing that a step does. One definition gives its execution, sentence, shell line and effects.
//!
//! Each mechanism is one file of this module and implements [`Mechanism`]; [`Action`] only gathers them, under the names
//! that lessons use. Adding a mechanism is: a file, and a line in one of the two lists.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cgroup::{CgroupAttach, CgroupCreate, CgroupRemove, CgroupSet};
use super::clock::SetClockOffset;
use super::device::DeviceRules;
use super::id_map::{NewIdMap, WriteGidMap, WriteUidMap};
use super::ipc::{IpcRemove, MqCreate, MsgCreate, SemCreate, ShmCreate, ShmFind};
pub use super::misuse::Misuse;
use super::process::{Exec, Fork, Kill, MakeBox, Run};
use super::read::ReadFile;
use super::user::{Become, SetGroups, WriteSetgroups};
use super::{
    bridge, cni, file, follow, image, join, link, mount, mount::MountProc, names, namespace::Unshare, nftables,
    overlay, pin, ping, request, root, rootfs::Rootfs, route, socket, uts::SetHostname, veth,
};
use crate::kernel::errno::Errno;
use crate::kernel::trace::{CallError, Trace};

/// The name by which lessons call the lab host's own processes.
pub const HOST: &str = "host";

/// Defines [`Action`] and the ways from it to its mechanism, from two lists: the actions that their actor performs alone, and those
/// that the lab host, or another process, has a part in.
macro_rules! actions {
    (
        $(#[$meta:meta])*
        alone { $($(#[$doc:meta])* $one:ident($of:ty),)* }
        together { $($(#[$its_doc:meta])* $other:ident($of_other:ty),)* }
    ) => {
        $(#[$meta])*
        pub enum Action {
            $($(#[$doc])* $one($of),)*
            $($(#[$its_doc])* $other($of_other),)*
        }

        impl Action {
            /// The mechanism behind the name.
            pub fn mechanism(&self) -> &dyn Mechanism {
                match self {
                    $(Self::$one(it) => it,)*
                    $(Self::$other(it) => it,)*
                }
            }

            /// The deed of an action that its actor performs alone.
            pub fn alone(&self) -> Option<&dyn Perform> {
                match self {
                    $(Self::$one(it) => Some(it),)*
                    $(Self::$other(_) => None,)*
                }
            }
        }
    };
}

actions! {
    /// One typed thing that a step does, as lessons write it.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    alone {
        /// Run a program and wait for it.
        Run(Run),
        /// Leave shared namespaces for new ones.
        Unshare(Unshare),
        /// Set the host name.
        SetHostname(SetHostname),
        /// Mount a new proc on `/proc`.
        MountProc(MountProc),
        /// Make a rootfs.
        Rootfs(Rootfs),
        /// Make a directory.
        Mkdir(file::Mkdir),
        /// Write a file.
        Write(file::Write),
        /// Take a file away.
        Unlink(file::Unlink),
        /// Take an empty directory away.
        Rmdir(file::Rmdir),
        /// Change the root directory.
        Chroot(root::Chroot),
        /// Change the working directory.
        Chdir(root::Chdir),
        /// Change the root mount of a mount namespace.
        PivotRoot(root::PivotRoot),
        /// Mount a file system, or a directory.
        Mount(mount::Mount),
        /// Mount several directories as one.
        Overlay(overlay::Overlay),
        /// Change the propagation of a mount.
        Propagation(mount::Propagation),
        /// Take a mount away.
        Umount(mount::Umount),
        /// Become another user.
        Become(Become),
        /// Set the supplementary groups.
        SetGroups(SetGroups),
        /// Allow or deny setgroups in the own user namespace.
        WriteSetgroups(WriteSetgroups),
        /// Write the map of group ids of the own user namespace.
        WriteGidMap(WriteGidMap),
        /// Write the map of user ids of the own user namespace.
        WriteUidMap(WriteUidMap),
        /// Read a file.
        ReadFile(ReadFile),
        /// Shift a clock in the time namespace of the children to come.
        SetClockOffset(SetClockOffset),
        /// Make a segment of shared memory.
        ShmCreate(ShmCreate),
        /// Look for a segment by its key.
        ShmFind(ShmFind),
        /// Make a set of semaphores.
        SemCreate(SemCreate),
        /// Make a System V message queue.
        MsgCreate(MsgCreate),
        /// Take a System V IPC object away.
        IpcRemove(IpcRemove),
        /// Make a POSIX message queue.
        MqCreate(MqCreate),
        /// Make a cgroup.
        CgroupCreate(CgroupCreate),
        /// Move a process into a cgroup.
        CgroupAttach(CgroupAttach),
        /// Write a file of a cgroup: a limit, a switch.
        CgroupSet(CgroupSet),
        /// Let a cgroup of version 2 use these devices only.
        DeviceRules(DeviceRules),
        /// Take a cgroup away.
        CgroupRemove(CgroupRemove),
        /// Set a link up.
        LinkUp(link::LinkUp),
        /// Set a link down.
        LinkDown(link::LinkDown),
        /// Give a link an address.
        AddAddress(link::AddAddress),
        /// Take an address from a link.
        DeleteAddress(link::DeleteAddress),
        /// Make a route.
        AddRoute(route::AddRoute),
        /// Take a route away.
        DeleteRoute(route::DeleteRoute),
        /// Make a pair of links.
        AddVeth(veth::AddVeth),
        /// Make a bridge.
        AddBridge(bridge::AddBridge),
        /// Make a link a port of a bridge.
        SetMaster(bridge::SetMaster),
        /// Let a port of a bridge send back what came in by it.
        Hairpin(bridge::Hairpin),
        /// Take a link away.
        DeleteLink(veth::DeleteLink),
        /// Open a TCP connection.
        Connect(socket::Connect),
        /// Send a request of HTTP, and keep the answer.
        Request(request::Request),
        /// Open a TCP connection, and tell where its packets were seen.
        Follow(follow::Follow),
        /// Ask for an echo.
        Ping(ping::Ping),
        /// Listen on a TCP port.
        Listen(socket::Listen),
        /// Serve names by DNS.
        ServeNames(names::ServeNames),
        /// Ask for the addresses of a name.
        Resolve(names::Resolve),
        /// Make a table of nftables.
        NftTable(nftables::NftTable),
        /// Make a chain in it.
        NftChain(nftables::NftChain),
        /// Add a rule to a chain.
        NftRule(nftables::NftRule),
        /// Take a table away.
        NftDeleteTable(nftables::NftDeleteTable),
        /// Run one CNI plugin.
        CniPlugin(cni::CniPlugin),
        /// Carry out a network configuration of CNI.
        CniNetwork(cni::CniNetwork),
        /// Make an image, or look at one.
        Image(image::Image),
        /// Join namespaces that exist.
        Setns(join::Setns),
        /// Keep a namespace by a mount.
        Pin(pin::Pin),
        /// Take that mount away.
        Unpin(pin::Unpin),
    }
    together {
        /// Make a new box.
        Box(MakeBox),
        /// The box forks; its handle moves to the child.
        Fork(Fork),
        /// The box becomes another program.
        Exec(Exec),
        /// Send a signal.
        Kill(Kill),
        /// Map ranges of ids for a box, by the set-uid helpers.
        NewIdMap(NewIdMap),
        /// Move a link into another network namespace.
        MoveLink(veth::MoveLink),
    }
}

/// What every action can tell.
pub trait Mechanism {
    /// The process that performs it: `host` (a worker) or the name of a box.
    fn actor(&self) -> &str;

    /// What it does, in a sentence of the learner's language: "box leaves its uts namespace for a new one".
    fn sentence(&self) -> String;

    /// The line that does the same in a shell; none where a shell has nothing to do (making a box is starting a shell).
    fn shell(&self) -> Option<String>;

    /// The errno that the lesson expects, where the action is there to fail.
    fn fails_with(&self) -> Option<Errno> {
        None
    }

    /// Whether the lesson expects it to fail.
    fn is_meant_to_fail(&self) -> bool {
        self.fails_with().is_some()
    }

    /// Whether all that it does is to ask, or to wait in vain. Whoever performs steps again, to be where they lead, does without it.
    fn only_asks(&self) -> bool {
        self.fails_with().is_some_and(Errno::is_timeout)
    }

    /// The exit status with which the program must end that it runs, where the lesson expects one.
    fn ends_with(&self) -> Option<i32> {
        None
    }

    /// What it creates or changes when it succeeds; nothing where it takes something away.
    fn effects(&self) -> Vec<Effect>;

    /// Whether a second time in the same lab host would find what the first one made: a directory, an object, a mount. What a
    /// process does to itself can be done again by another one; what is done to the lab host can not.
    fn once(&self) -> bool {
        self.actor() == HOST
    }

    /// What is wrong with it as it is written, before anybody performs it.
    fn misuses(&self) -> Vec<Misuse> {
        Vec::new()
    }
}

/// What an action does when the actor can do it alone, by plain calls. Actions that concern the life of a box itself
/// (making, forking, executing, signalling it) need to know its process: the agent and [`super::init`] perform those.
pub trait Perform: Mechanism {
    /// Makes the calls.
    ///
    /// # Errors
    /// The call that failed.
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError>;
}

/// What an actor does to another process, or with what that has, and for which its pid has to be known.
pub trait PerformOn: Mechanism {
    /// The name of the other one.
    fn whom(&self) -> &str;

    /// Makes the calls; `pid` is the other one's, as the lab host numbers it.
    ///
    /// # Errors
    /// The call that failed.
    fn perform_on(&self, trace: &mut Trace, pid: i32) -> Result<Outcome, CallError>;
}

/// What an action created or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// What it is, for people: "a uts namespace, held by box".
    pub what: String,
    /// Where it lives; decides who takes it away.
    pub home: Home,
}

/// Where an effect lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Home {
    /// In the lab host: it ends with it, and needs no inverse.
    Lab,
}

impl Home {
    /// When, and by whom, an effect that lives here is taken away.
    pub fn end(self) -> &'static str {
        match self {
            Self::Lab => "it ends with the lab host",
        }
    }
}

/// What an action gave besides its calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What a program that was run wrote to its standard output and error, cut at [`super::process::MAX_OUTPUT`] bytes.
    pub output: String,
    /// How a program that was run ended: its exit status, 128 + n for signal n.
    pub status: Option<i32>,
}

/// The report of one performed action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Performed {
    /// The calls made, in order.
    pub calls: Vec<crate::kernel::trace::Call>,
    /// What came of it, or the call that failed.
    pub result: Result<Outcome, CallError>,
    /// What it told before a call failed ([`Trace::tell`]).
    pub told: String,
}

impl Performed {
    /// Of an action that has made these calls.
    pub fn new(mut trace: Trace, result: Result<Outcome, CallError>) -> Self {
        let told = trace.take_told();
        Self { calls: trace.into_calls(), result, told }
    }

    /// What it gave besides its calls, for people; also where a call failed.
    pub fn output(&self) -> &str {
        self.result.as_ref().map_or(&self.told, |outcome| &outcome.output)
    }

    /// Whether a call failed, or the program that was run.
    pub fn has_failed(&self) -> bool {
        self.result.as_ref().map_or(true, |outcome| outcome.status.is_some_and(|status| status != 0))
    }
}

impl Action {
    /// Whether who performs it is afterwards as before, but for a descriptor at most: of the lab host's actions these need no process each.
    pub fn leaves_its_actor(&self) -> bool {
        matches!(
            self,
            Self::Write(_)
                | Self::Mkdir(_)
                | Self::ReadFile(_)
                | Self::LinkUp(_)
                | Self::LinkDown(_)
                | Self::AddAddress(_)
                | Self::DeleteAddress(_)
                | Self::AddRoute(_)
                | Self::DeleteRoute(_)
                | Self::AddVeth(_)
                | Self::AddBridge(_)
                | Self::MoveLink(_)
                | Self::SetMaster(_)
                | Self::Hairpin(_)
                | Self::DeleteLink(_)
                | Self::NftTable(_)
                | Self::NftChain(_)
                | Self::NftRule(_)
                | Self::NftDeleteTable(_)
        )
    }

    /// The deed of an action that the lab host performs on a box.
    pub fn on_box(&self) -> Option<&dyn PerformOn> {
        match self {
            Self::NewIdMap(it) => Some(it),
            Self::CgroupAttach(it) if it.r#in == HOST => Some(it),
            Self::MoveLink(it) if it.r#in == HOST => Some(it),
            _ => None,
        }
    }

    /// The deed of an action that a box performs with another process.
    pub fn on_other(&self) -> Option<&dyn PerformOn> {
        match self {
            Self::Setns(it) if it.of.is_some() => Some(it),
            Self::MoveLink(it) if it.r#in != HOST => Some(it),
            _ => None,
        }
    }
}

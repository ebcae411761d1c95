//! The messages between ui, keeper and agent.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::explain::Explanation;
use crate::kernel::cgroup::Hierarchy;
use crate::kernel::host::{Mode, SubIds};
use crate::probe::cgroups::gauges::Gauged;
use crate::probe::{Names, Observation, Panel};
use crate::runtime::action::{Action, Performed};
use crate::runtime::lasting::Lasting;

/// ui → keeper.
#[derive(Debug, Serialize, Deserialize)]
pub enum KeeperRequest {
    /// Start a lab host; the ui's end of the agent's channel travels with the answer. One that runs is ended first.
    Start(LabSpec),
    /// End the lab host.
    End,
}

/// keeper → ui.
#[derive(Debug, Serialize, Deserialize)]
pub enum KeeperReply {
    /// The lab host is ready; its init has this pid on the machine. The channel to it travels with this.
    Started(i32),
    /// The lab host has ended, and nothing of it is left.
    Ended,
    /// It could not be done.
    Failed(Explanation),
}

/// What kind of lab host is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabSpec {
    /// How ids are mapped.
    pub mode: Mode,
    /// The person's ids on the machine.
    pub uid: u32,
    /// The person's group on the machine.
    pub gid: u32,
    /// Subordinate ids for [`Mode::RootlessRange`].
    pub sub_ids: Option<(SubIds, SubIds)>,
    /// The cgroup hierarchies in which the lab host gets groups of its own; that at `/lab/cgroup` first.
    pub cgroups: Vec<Hierarchy>,
    /// Whether groups of version 2 below that one are to have its controllers; then its first process is in a leaf of its own.
    pub controllers: bool,
    /// The controllers, mounted nowhere on the machine, of which it gets hierarchies of version 1.
    pub private: Vec<String>,
    /// Whether the machine itself is to be the lab host.
    pub real_host: bool,
    /// What the lesson is going to make in its network, if so.
    pub lasting: BTreeSet<Lasting>,
    /// Whether BPF programs can be put on groups of version 2.
    pub device_programs: bool,
}

/// agent → keeper, once, when the lab host stands or could not be built.
pub type Built = Result<(), Explanation>;

/// ui → agent. Each is answered by exactly one [`Reply`].
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Perform these actions, one after the other, up to the first that fails. One request for a step: the way to the agent
    /// and back costs more than most calls.
    Perform(Vec<Action>),
    /// Take a sample of what these panels show, and of whether these paths lead to something in each root directory.
    Observe(Vec<Panel>, Vec<String>),
    /// Read these files of groups, by their paths in the lab host.
    Gauge(Vec<String>),
    /// Tell when something happens in these directories of groups: descriptors travel with the answer.
    Watch(Vec<String>),
    /// Tell when something happens to links, addresses and routes: a socket travels with the answer.
    WatchNetworks,
    /// Make sure that a shell runs, on a terminal of this size (rows, columns). Its master travels with the answer.
    OpenShell(u16, u16),
    /// End the shell and all that runs under it.
    EndShell,
}

/// agent → ui.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The actions that were tried, each with its calls, successful or not; and why the next one could not be tried.
    Performed(Vec<Performed>, Option<Explanation>),
    /// The sample.
    Observed(Box<Sample>),
    /// What the files said.
    Gauged(Gauged),
    /// These descriptors become ready when it does; none where the kernel gives none.
    Watching,
    /// A shell runs.
    ShellOpened,
    /// No shell runs any more.
    ShellEnded,
    /// The request could not be carried out.
    Failed(Explanation),
}

/// One sample of the lab host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What was read.
    pub observation: Observation,
    /// Who is who.
    pub names: Names,
}

//! The ui's side: the keeper that it forked, and the lab host that it walks through.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::keeper;
use super::protocol::{KeeperReply, KeeperRequest, LabSpec, Reply, Request, Sample};
use super::scope::Scope;
use super::shell;
use crate::explain::Explanation;
use crate::kernel::channel::{Channel, FrameError, understood};
use crate::kernel::host::{Offer, Person};
use crate::kernel::leftover::LabMark;
use crate::kernel::sys::{self, Forked};
use crate::kernel::trace::Trace;
use crate::probe::Panel;
use crate::probe::cgroups::gauges::Gauged;
use crate::runtime::action::{Action, Performed};
use crate::runtime::lasting;
use crate::runtime::ledger::{self, Reverted};

/// Longest wait for the keeper: it may have to build a lab host.
const KEEPER_DEADLINE: Duration = Duration::from_secs(30);

/// Longest wait for the agent: an action's own deadline, and some.
const AGENT_DEADLINE: Duration = Duration::from_secs(12);

/// The keeper, as the ui holds it.
#[derive(Debug)]
pub struct Keeper {
    channel: Option<Channel>,
    pid: i32,
    pidfd: OwnedFd,
    spec: LabSpec,
    offer: Box<Offer>,
    scope: Box<Scope>,
    /// By what the lab hosts that it made would be told, were something left of them.
    marks: Vec<LabMark>,
}

impl Keeper {
    /// Forks the keeper. Must be called before this process makes any thread, opens the terminal or drops privileges.
    ///
    /// # Errors
    /// That of the fork.
    pub fn fork(person: &Person, offer: &Offer) -> Result<Self, Explanation> {
        Self::fork_in(person, offer, Scope::default())
    }

    /// The same in a group that this process has made its own; the keeper takes that back at its end.
    ///
    /// # Errors
    /// That of the fork.
    pub fn fork_in(person: &Person, offer: &Offer, mut scope: Scope) -> Result<Self, Explanation> {
        let failed =
            |why: String| Explanation::new("hardway could not start its keeper", why, "end something, and try again");
        let (ours, theirs) = Channel::pair().map_err(|error| failed(error.to_string()))?;
        match sys::clone3(&mut Trace::new("ui"), &[]).map_err(|error| failed(error.to_string()))? {
            Forked::Child => {
                drop(ours);
                keeper::run(&theirs, scope.take_over())
            }
            Forked::Parent { pid, pidfd } => {
                scope.give_away();
                let spec = LabSpec {
                    mode: offer.mode,
                    uid: person.uid,
                    gid: person.gid,
                    sub_ids: person.sub_ids,
                    cgroups: offer.cgroups.clone(),
                    controllers: false,
                    private: Vec::new(),
                    real_host: offer.real_host,
                    lasting: BTreeSet::new(),
                    device_programs: offer.device_programs,
                };
                let (channel, offer, scope, marks) = (Some(ours), Box::new(offer.clone()), Box::new(scope), Vec::new());
                Ok(Self { channel, pid, pidfd, spec, offer, scope, marks })
            }
        }
    }

    /// What the lab hosts of this keeper offer.
    pub fn offer(&self) -> Offer {
        Offer::clone(&self.offer)
    }

    /// The group that hardway runs in.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether the keeper lives. Without it there are no lab hosts, and nobody else who could take things back.
    pub fn lives(&self) -> bool {
        !sys::wait_for_end(&self.pidfd, Duration::ZERO)
    }

    /// Calls `then` when the keeper ends, on a thread of its own: for a ui that waits for something else meanwhile. The ordinary
    /// end of a session comes this way too.
    pub fn when_it_ends(&self, then: impl FnOnce() + Send + 'static) {
        let Ok(pidfd) = self.pidfd.try_clone() else { return };
        std::thread::spawn(move || {
            while !sys::wait_for_end(&pidfd, Duration::from_secs(3600)) {}
            then();
        });
    }

    /// Whether groups of version 2 in the lab hosts to come are to have controllers.
    pub fn hand_down(&mut self, controllers: bool) {
        self.spec.controllers = controllers;
    }

    /// In which controllers of version 1 the lab hosts to come are to have groups, also where the machine has mounted them
    /// nowhere and the keeper can.
    pub fn provide(&mut self, controllers: &[&str]) {
        let wanted = self.offer.unmounted.iter().filter(|name| controllers.contains(&name.as_str()));
        self.spec.private = wanted.cloned().collect();
    }

    /// What these actions make in the host's network is to be taken away at the end, where that is the machine's.
    pub fn announce<'a>(&mut self, actions: impl Iterator<Item = &'a Action>) {
        self.spec.lasting = if self.spec.real_host { lasting::of(actions) } else { BTreeSet::new() };
    }

    /// Makes a new lab host; one that runs is ended first.
    ///
    /// # Errors
    /// Why the kernel, or the machine's settings, refused.
    pub fn start_lab(&mut self) -> Result<Lab, Explanation> {
        match self.ask(&KeeperRequest::Start(self.spec.clone()))? {
            (KeeperReply::Started(pid), Some(channel)) => {
                self.marks.retain(|mark| !mark.left().is_empty());
                self.marks.push(LabMark::of(pid));
                Ok(Lab { channel: Channel::from_fd(channel), pid, observed: Vec::new() })
            }
            (KeeperReply::Failed(explanation), _) => Err(explanation),
            (other, _) => Err(lost("keeper", &FrameError::Malformed(format!("{other:?}")))),
        }
    }

    /// Ends the lab host, and waits until nothing of it is left.
    ///
    /// # Errors
    /// Where the keeper itself is gone.
    pub fn end_lab(&mut self) -> Result<(), Explanation> {
        self.ask(&KeeperRequest::End).map(drop)
    }

    /// Ends everything, and tells what is left of the lab hosts, which should be nothing.
    pub fn end(mut self) -> Vec<String> {
        let marks = std::mem::take(&mut self.marks);
        drop(self);
        marks.iter().flat_map(LabMark::left).collect()
    }

    fn ask(&self, request: &KeeperRequest) -> Result<(KeeperReply, Option<OwnedFd>), Explanation> {
        let channel = self.channel.as_ref().ok_or_else(|| lost("keeper", &FrameError::Closed))?;
        channel.send(request).map_err(|error| lost("keeper", &error))?;
        let (reply, fds) = channel.receive_with(Some(KEEPER_DEADLINE)).map_err(|error| lost("keeper", &error))?;
        Ok((reply, fds.into_iter().next()))
    }
}

impl Drop for Keeper {
    /// Ends everything: the keeper reverts when its channel closes; where it can not, this process does.
    fn drop(&mut self) {
        self.channel = None;
        if !sys::wait_for_end(&self.pidfd, Duration::from_secs(8)) {
            let _ = sys::pidfd_kill(&self.pidfd, sys::Signal::SIGKILL);
        }
        let _ = sys::wait4(&mut Trace::new("ui"), self.pid);
        revert_dead();
    }
}

/// Takes back what sessions that have died have left.
pub fn revert_dead() -> Vec<Reverted> {
    ledger::dead(&ledger::base()).iter().flat_map(|ledger| ledger::revert(ledger)).collect()
}

/// A lab host, as the ui holds it.
#[derive(Debug)]
pub struct Lab {
    channel: Channel,
    /// The pid of its init on the machine.
    pub pid: i32,
    /// The last reply to [`Lab::observe_anew`], as it was sent.
    observed: Vec<u8>,
}

impl Lab {
    /// Performs actions up to the first that fails; one report for each that was tried. An action that the kernel refused
    /// is no error here: the refusal is in its report.
    ///
    /// # Errors
    /// Where one could not be tried, or the lab host is gone.
    pub fn perform(&mut self, actions: &[Action]) -> Result<Vec<Performed>, Explanation> {
        let patience = AGENT_DEADLINE * u32::try_from(actions.len().max(1)).unwrap_or(u32::MAX);
        match self.ask_for(&Request::Perform(actions.to_vec()), patience)? {
            (Reply::Performed(performed, None), _) => Ok(performed),
            (Reply::Performed(_, Some(explanation)), _) => Err(explanation),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Takes a sample of what these panels show, and of whether these paths lead to something in each root directory.
    ///
    /// # Errors
    /// Where the worker failed, or the lab host is gone.
    pub fn observe(&mut self, panels: &[Panel], paths: &[String]) -> Result<Sample, Explanation> {
        match self.ask(&Request::Observe(panels.to_vec(), paths.to_vec()))? {
            (Reply::Observed(sample), _) => Ok(*sample),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// The same, where the sample differs from the last one that this gave: most of the time nothing happens, and then no more is done
    /// with it than to compare its bytes.
    ///
    /// # Errors
    /// As [`Lab::observe`].
    pub fn observe_anew(&mut self, panels: &[Panel], paths: &[String]) -> Result<Option<Sample>, Explanation> {
        let sent = self.channel.send(&Request::Observe(panels.to_vec(), paths.to_vec()));
        let received = sent.and_then(|()| self.channel.receive_body(Some(AGENT_DEADLINE)));
        let (body, _) = received.map_err(|error| lost("lab host", &error))?;
        if body == self.observed {
            return Ok(None);
        }
        match understood(&body).map_err(|error| lost("lab host", &error))? {
            Reply::Observed(sample) => {
                self.observed = body;
                Ok(Some(*sample))
            }
            other => Err(unexpected(other)),
        }
    }

    /// Reads these files of groups, by their paths in the lab host, and nothing else.
    ///
    /// # Errors
    /// Where the worker failed, or the lab host is gone.
    pub fn gauge(&mut self, paths: &[String]) -> Result<Gauged, Explanation> {
        match self.ask(&Request::Gauge(paths.to_vec()))? {
            (Reply::Gauged(gauged), _) => Ok(gauged),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Descriptors that become ready when something happens in these directories of groups: the first is one of inotify, with
    /// events to be read; the others are triggers of pressure. None where the kernel gives none.
    ///
    /// # Errors
    /// Where the worker failed, or the lab host is gone.
    pub fn watch(&mut self, directories: &[String]) -> Result<Vec<OwnedFd>, Explanation> {
        match self.ask_all(&Request::Watch(directories.to_vec()), AGENT_DEADLINE)? {
            (Reply::Watching, fds) => Ok(fds),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// A socket that can be read when something has happened to links, addresses or routes, of the lab host or of namespaces to which
    /// a cable leads from there. None where the kernel gives none.
    ///
    /// # Errors
    /// Where the lab host is gone.
    pub fn watch_networks(&mut self) -> Result<Vec<OwnedFd>, Explanation> {
        match self.ask_all(&Request::WatchNetworks, AGENT_DEADLINE)? {
            (Reply::Watching, fds) => Ok(fds),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Makes sure that the learner's shell runs; a duplicate of its terminal's master.
    ///
    /// # Errors
    /// Where it can not be started.
    pub fn open_shell(&mut self, rows: u16, columns: u16) -> Result<OwnedFd, Explanation> {
        match self.ask(&Request::OpenShell(rows, columns))? {
            (Reply::ShellOpened, Some(master)) => Ok(master),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Ends the learner's shell and all that runs under it.
    ///
    /// # Errors
    /// Where the lab host is gone.
    pub fn end_shell(&mut self) -> Result<(), Explanation> {
        self.ask(&Request::EndShell).map(drop)
    }

    fn ask(&mut self, request: &Request) -> Result<(Reply, Option<OwnedFd>), Explanation> {
        self.ask_for(request, AGENT_DEADLINE)
    }

    fn ask_for(&mut self, request: &Request, at_most: Duration) -> Result<(Reply, Option<OwnedFd>), Explanation> {
        self.ask_all(request, at_most).map(|(reply, fds)| (reply, fds.into_iter().next()))
    }

    fn ask_all(&mut self, request: &Request, at_most: Duration) -> Result<(Reply, Vec<OwnedFd>), Explanation> {
        self.channel.send(request).map_err(|error| lost("lab host", &error))?;
        self.channel.receive_with(Some(at_most)).map_err(|error| lost("lab host", &error))
    }
}

/// Sets the size of the learner's terminal.
pub fn resize(master: &OwnedFd, rows: u16, columns: u16) {
    shell::resize(master, rows, columns);
}

fn unexpected(reply: Reply) -> Explanation {
    match reply {
        Reply::Failed(explanation) => explanation,
        other => lost("lab host", &FrameError::Malformed(format!("{other:?}"))),
    }
}

fn lost(whom: &str, error: &FrameError) -> Explanation {
    Explanation::new(
        format!("The {whom} does not answer"),
        format!("{error}; it was ended from outside, or crashed"),
        "start the lesson again: a new lab host is made and your progress is kept",
    )
}

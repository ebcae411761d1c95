//! The agent: init of the lab host. One thread, one loop. After it has built the lab host it changes nothing of itself:
//! workers, boxes and shells do.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::boxes::{BoxHandle, no_such_box};
use super::door::Door;
use super::groups::Groups;
use super::notices;
use super::protocol::{Built, LabSpec, Reply, Request, Sample};
use super::shell::{self, Shell};
use super::start;
use super::tree::LAB_DIRECTORY;
use crate::explain::Explanation;
use crate::kernel::channel::{Channel, FrameError, MAX_BODY};
use crate::kernel::children::{ChildWatch, Worked, Worker, in_worker, readable};
use crate::kernel::sys::{self, Signal};
use crate::kernel::trace::{CallError, Trace};
use crate::kernel::{heap, process_title, stdio};
use crate::probe::cgroups::gauges::Gauged;
use crate::probe::{Names, Panel, Reader, Wanted};
use crate::runtime::action::{Action, HOST, Outcome, Performed};
use crate::runtime::init::Command;
use crate::runtime::process::{Kill, MakeBox, RUN_DEADLINE};

/// How long a sample may take.
const SAMPLE_DEADLINE: Duration = Duration::from_secs(5);

/// How long an action may take: a program's own deadline, and some.
pub(super) const ACTION_DEADLINE: Duration = RUN_DEADLINE.saturating_add(Duration::from_secs(2));

/// In how large pieces a sample goes to the agent, in bytes: half of what a pipe holds (pipe(7)).
const PIECE: usize = 32 * 1024;

/// What ends a sample that was written whole: white space to whoever reads its JSON.
const WHOLE: u8 = b'\n';

/// How long the end of a signalled process is waited for, so that the next sample shows it.
const END_DEADLINE: Duration = Duration::from_millis(300);

/// Builds the lab host around this process, tells the keeper, and serves the ui until either is gone.
pub(super) fn run(spec: &LabSpec, groups: &Groups, keeper: &Channel, ui: Channel) -> ! {
    process_title("hw-agent");
    let built: Built = start::become_init(spec, groups);
    let sent = keeper.send(&built);
    let (Ok(()), Ok(()), Ok(children), Ok(proc), Ok(door)) =
        (built, sent, ChildWatch::new(), File::open("/proc"), Door::open())
    else {
        stdio::exit_now(1)
    };
    // The lab's own, for the agent and for every box.
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        stdio::attach(Some(null.as_fd()), &null, &null);
    }
    heap::settle();
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut server =
        Server { own, only_below: spec.real_host, boxes: BTreeMap::new(), ended: BTreeMap::new(), shell: None, proc };
    loop {
        let [asked, keeper_gone, ended, knocked] =
            readable([ui.as_fd(), keeper.as_fd(), children.as_fd(), door.as_fd()], None);
        if keeper_gone {
            stdio::exit_now(0);
        }
        if ended {
            children.reap();
        }
        if knocked && let Some(visitor) = door.knocked() {
            // Whether the visitor is still there to hear it is its own affair.
            let _ = server.sample(&[Panel::Processes], &[], |body| visitor.send_body(body, &[]));
        }
        if asked && server.answer(&ui).is_err() {
            // The end of an init is the end of all in its pid namespace.
            stdio::exit_now(0);
        }
    }
}

struct Server {
    /// The agent's pid in the lab host: 1, but for a lab host that is the machine itself.
    own: i32,
    /// Whether other processes than the lab's can be seen, which are nobody's business.
    only_below: bool,
    boxes: BTreeMap<String, BoxHandle>,
    /// Last pid of boxes that have ended, so that a lesson can signal one that is no more.
    ended: BTreeMap<String, i32>,
    shell: Option<Shell>,
    /// The lab's own proc, held open: a learner may mount something else over `/proc`, and the live state must go on.
    proc: File,
}

impl Server {
    /// Answers one request.
    fn answer(&mut self, ui: &Channel) -> Result<(), FrameError> {
        let reply = match ui.receive(Some(SAMPLE_DEADLINE))? {
            Request::Perform(actions) => {
                let (reply, ending) = self.perform_all(&actions);
                let sent = ui.send(&reply);
                drop(ending);
                return sent;
            }
            Request::Observe(panels, paths) => match self.sample(&panels, &paths, |body| ui.send_body(body, &[])) {
                // The worker's report was the reply, as it stands.
                Ok(sent) => return sent,
                Err(explanation) => Reply::Failed(explanation),
            },
            Request::Gauge(paths) => reported(|report| stdio::report(report, &Gauged::read(&paths)))
                .map_or_else(Reply::Failed, Reply::Gauged),
            Request::Watch(directories) => match notices::watch(&directories) {
                Ok(made) => {
                    let fds: Vec<BorrowedFd<'_>> = made.iter().map(AsFd::as_fd).collect();
                    return ui.send_with(&Reply::Watching, &fds);
                }
                Err(explanation) => Reply::Failed(explanation),
            },
            Request::WatchNetworks => {
                // In the agent itself: it is in the lab host's namespace and never leaves it, and no path is looked up.
                let made = notices::watch_networks();
                let fds: Vec<BorrowedFd<'_>> = made.iter().map(AsFd::as_fd).collect();
                return ui.send_with(&Reply::Watching, &fds);
            }
            Request::OpenShell(rows, columns) => {
                return match self.open_shell(rows, columns) {
                    Ok(shell) => ui.send_with(&Reply::ShellOpened, &[shell.master.as_fd()]),
                    Err(explanation) => ui.send(&Reply::Failed(explanation)),
                };
            }
            Request::EndShell => {
                self.end_shell();
                Reply::ShellEnded
            }
        };
        ui.send(&reply)
    }

    /// Performs actions up to the first that fails; those that follow each other in one box go there together, and those of the host that
    /// leave no trace in who performs them to one worker: a fork costs more than most of them.
    fn perform_all(&mut self, actions: &[Action]) -> (Reply, Vec<Worker>) {
        let mut performed: Vec<Performed> = Vec::with_capacity(actions.len());
        let mut ending = Vec::new();
        let mut rest = actions;
        while let Some(first) = rest.first() {
            let doer = match first {
                Action::Box(make) => make.name.as_str(),
                other => other.mechanism().actor(),
            };
            let joins = |next: &&Action| {
                next.mechanism().actor() == doer
                    && (doer != HOST || (first.leaves_its_actor() && next.leaves_its_actor()))
            };
            let together = 1 + rest[1..].iter().take_while(joins).count();
            let trouble = match first {
                Action::Box(make) => self.make_box(make, &rest[1..together], &mut performed),
                Action::Kill(kill) if kill.from == HOST => self.kill(kill).map(|one| performed.push(one)),
                other if other.mechanism().actor() == HOST => self.on_host(&rest[..together]).map(|(done, worker)| {
                    performed.extend(done);
                    ending.push(worker);
                }),
                _ => self.in_box(&rest[..together], &mut performed),
            };
            if let Err(explanation) = trouble {
                return (Reply::Performed(performed, Some(explanation)), ending);
            }
            if performed.last().is_some_and(|one| one.result.is_err()) {
                break;
            }
            rest = &rest[together..];
        }
        (Reply::Performed(performed, None), ending)
    }

    /// Forks the process that becomes a box, and has it perform what follows.
    fn make_box(
        &mut self,
        make: &MakeBox,
        actions: &[Action],
        performed: &mut Vec<Performed>,
    ) -> Result<(), Explanation> {
        if let Some(old) = self.boxes.remove(&make.name) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(old.pid), Signal::SIGKILL);
            sys::wait_for_end(&old.pidfd, END_DEADLINE);
        }
        // What can be said only of a box that lives is said after the fork.
        let first: Option<Vec<Command>> = actions.iter().map(|action| self.command(action).ok()).collect();
        let (fork, handle) = BoxHandle::fork(&make.name, first.as_deref().unwrap_or_default())?;
        performed.push(fork);
        let Some(mut handle) = handle else { return Ok(()) };
        let reported = first.map(|_| handle.reports(&self.proc, actions, performed));
        self.boxes.insert(make.name.clone(), handle);
        reported.unwrap_or_else(|| self.in_box(actions, performed))
    }

    /// Has a box perform actions on itself, up to the first that fails.
    fn in_box(&mut self, actions: &[Action], performed: &mut Vec<Performed>) -> Result<(), Explanation> {
        let name = actions.first().map_or("", |action| action.mechanism().actor());
        let commands = actions.iter().map(|action| self.command(action)).collect::<Result<Vec<_>, _>>()?;
        let handle = self.boxes.get_mut(name).filter(|handle| handle.lives()).ok_or_else(|| no_such_box(name))?;
        handle.tell(&commands)?;
        handle.reports(&self.proc, actions, performed)
    }

    /// An action as a box is told of it: with the number of the other process that it concerns.
    fn command(&self, action: &Action) -> Result<Command, Explanation> {
        let Some(deed) = action.on_other() else { return Ok((action.clone(), None)) };
        let (of, r#in) = (deed.whom(), deed.actor());
        let pid_of = |name: &str| match name {
            HOST => Some(self.own),
            name => self.boxes.get(name).filter(|other| other.lives()).map(|other| other.pid),
        };
        let trouble = |why: String| {
            Explanation::new(format!("It could not be done: {}", deed.sentence()), why, "name a process that it sees")
        };
        let pid = pid_of(of).ok_or_else(|| trouble(format!("the process {of} has ended, or was never made")))?;
        let numbers = |pid: i32| nix::fcntl::readlinkat(&self.proc, format!("{pid}/ns/pid").as_str()).ok();
        if pid_of(r#in).and_then(numbers) != numbers(self.own) {
            return Err(trouble(format!(
                "{in} is in a pid namespace of its own, where that process has another number"
            )));
        }
        Ok((action.clone(), Some(pid)))
    }

    /// A signal from the host, that is from outside of every namespace that the box may have.
    fn kill(&mut self, kill: &Kill) -> Result<Performed, Explanation> {
        let handle = self.boxes.get(&kill.who);
        let known = handle.map(|handle| handle.pid).or_else(|| self.ended.get(&kill.who).copied());
        let (Some(pid), Some(signal)) = (known, kill.signal()) else {
            return Err(Explanation::new(
                format!("There is no {} to send SIG{} to", kill.who, kill.signal),
                "it was never made, or the signal does not exist",
                "go back to the step that makes it",
            ));
        };
        let performed = worker(|trace| sys::kill(trace, pid, signal).map(|()| Outcome::default()))?;
        if performed.result.is_ok() && handle.is_some_and(|handle| sys::wait_for_end(&handle.pidfd, END_DEADLINE)) {
            self.boxes.remove(&kill.who);
            self.ended.insert(kill.who.clone(), pid);
            // Taken away here and not at the next turn of the loop: a zombie still has its number.
            let _ =
                nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), Some(nix::sys::wait::WaitPidFlag::WNOHANG));
        }
        Ok(performed)
    }

    /// Performs actions of the host's in a worker, up to the first that fails; and the worker, which is about to end.
    fn on_host(&self, actions: &[Action]) -> Result<(Vec<Performed>, Worker), Explanation> {
        let whom = |action: &Action| action.on_box().map(|deed| self.boxes.get(deed.whom()).filter(|it| it.lives()));
        if let Some(gone) = actions.iter().find(|action| matches!(whom(action), Some(None))) {
            return Err(no_such_box(gone.on_box().map_or("", |deed| deed.whom())));
        }
        if actions.iter().any(|action| action.on_box().is_none() && action.alone().is_none()) {
            return Err(worker_trouble("the lab host itself neither forks nor executes; only a box does"));
        }
        let worker = Worker::fork(|report| {
            let (mut done, mut traces) = (Vec::with_capacity(actions.len()), Vec::new());
            for action in actions {
                let mut trace = Trace::new(HOST);
                let pid = whom(action).flatten().map(|handle| handle.pid);
                let result = match (action.on_box(), pid, action.alone()) {
                    (Some(deed), Some(pid), _) => deed.perform_on(&mut trace, pid),
                    (_, _, Some(deed)) => deed.perform(&mut trace),
                    _ => break,
                };
                let failed = result.is_err();
                let told = trace.take_told();
                done.push(Performed { calls: trace.calls().to_vec(), result, told });
                traces.push(trace);
                if failed {
                    break;
                }
            }
            // Told before it lets go of anything: of a socket of nftables the kernel takes milliseconds.
            stdio::report(&report, &done);
            drop(report);
            stdio::exit_now(0);
        });
        let mut worker = worker.map_err(unforked)?;
        let patience = ACTION_DEADLINE * u32::try_from(actions.len()).unwrap_or(u32::MAX);
        let report =
            worker.report(patience, MAX_BODY).ok_or_else(|| worker_trouble("it took too long and was killed"))?;
        let done = serde_json::from_slice(&report)
            .map_err(|_| worker_trouble(&format!("it ended with status {} and no report", worker.end())))?;
        Ok((done, worker))
    }

    fn names(&self) -> Names {
        let boxes = self.boxes.iter().filter(|(_, it)| it.lives()).map(|(name, it)| (name.clone(), it.pid)).collect();
        let shell = self.shell.as_ref().filter(|shell| shell.lives());
        Names {
            host: self.own,
            boxes,
            shell: shell.map(|shell| shell.pid),
            subject: None,
            foreground: shell.and_then(Shell::foreground),
        }
    }

    /// One sample, taken by a worker: a whole reply, serialised, which `deliver` is given while the worker is still ending.
    fn sample<T>(
        &self,
        panels: &[Panel],
        paths: &[String],
        deliver: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, Explanation> {
        let mut names = self.names();
        let worker = Worker::fork(|report| {
            let own = i32::try_from(std::process::id()).unwrap_or(0);
            let wanted = self.wanted(panels).paths(paths.to_vec()).files("/tmp").layers(LAB_DIRECTORY).without(own);
            let mut reader = self.reader();
            let observation = reader.observe(&wanted);
            if let (Some(shell), Some(foreground)) = (names.shell, names.foreground) {
                names.subject = shell::subject(&observation.processes, self.own, shell, foreground);
            }
            let reply = Reply::Observed(Box::new(Sample { observation, names }));
            // Piece by piece: while the agent reads one, the next is written.
            let mut pieces = BufWriter::with_capacity(PIECE, report);
            let _ = serde_json::to_writer(&mut pieces, &reply).is_ok() && pieces.write_all(&[WHOLE]).is_ok();
            // What is left in the buffer goes out, and the pipe is closed: the agent has all.
            drop(pieces);
            // Without giving memory back piece by piece before the kernel takes all of it.
            stdio::exit_now(0);
        });
        let unread =
            |error: CallError| error.explain("The live state could not be read", "end something, and try again");
        let mut worker = worker.map_err(unread)?;
        match worker.report(SAMPLE_DEADLINE, MAX_BODY) {
            Some(body) if body.last() == Some(&WHOLE) => Ok(deliver(&body)),
            Some(_) => Err(worker_trouble(&format!("it ended with status {} and no report", worker.end()))),
            None => Err(worker_trouble("it took longer than 5 seconds and was killed")),
        }
    }

    fn open_shell(&mut self, rows: u16, columns: u16) -> Result<&Shell, Explanation> {
        if self.shell.as_ref().is_some_and(|shell| !shell.lives()) {
            self.shell = None;
        }
        match &mut self.shell {
            Some(shell) => shell::resize(&shell.master, rows, columns),
            none => *none = Some(Shell::start(rows, columns)?),
        }
        self.shell.as_ref().ok_or_else(|| worker_trouble("the shell has ended at once"))
    }

    fn end_shell(&mut self) {
        let Some(shell) = self.shell.take() else { return };
        // In a worker, because the reader changes its directory; the report only tells that it came to its end.
        let _ = in_worker(SAMPLE_DEADLINE, MAX_BODY, |report| {
            shell.end(&self.reader().observe(&self.wanted(&[Panel::Processes])).processes);
            stdio::report(&report, &());
        });
    }

    fn wanted(&self, panels: &[Panel]) -> Wanted {
        let wanted = Wanted::panels(panels);
        if self.only_below { wanted.below(self.own) } else { wanted }
    }

    /// A reader of the lab's own proc. Only for workers: it moves the process there.
    fn reader(&self) -> Reader {
        let _ = nix::unistd::fchdir(&self.proc);
        Reader::new(".")
    }
}

/// Performs calls in a worker, which reports them.
fn worker(deed: impl FnOnce(&mut Trace) -> Result<Outcome, CallError>) -> Result<Performed, Explanation> {
    reported(|report| {
        let mut trace = Trace::new(HOST);
        let result = deed(&mut trace);
        stdio::report(report, &Performed::new(trace, result));
    })
}

/// What a worker reports.
pub(super) fn reported<T: DeserializeOwned>(body: impl FnOnce(&File)) -> Result<T, Explanation> {
    match in_worker(ACTION_DEADLINE, MAX_BODY, |report| body(&report)) {
        Ok(Worked::Report(body)) => serde_json::from_slice(&body).map_err(|error| worker_trouble(&error.to_string())),
        Ok(Worked::Late) => Err(worker_trouble("it took too long and was killed")),
        Ok(Worked::Died(status)) => Err(worker_trouble(&format!("it ended with status {status} and no report"))),
        Err(error) => Err(unforked(error)),
    }
}

fn unforked(error: CallError) -> Explanation {
    error.explain("A worker could not be started", "end something, and try again")
}

fn worker_trouble(why: &str) -> Explanation {
    Explanation::new("A worker of the lab host failed", why, "try again; if it happens again, reset the stage")
}

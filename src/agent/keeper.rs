//! The keeper: outside of every lab, in a session of its own. It starts lab hosts, maps their ids, owns the ledger, and
//! when the ui is gone takes everything back.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::groups::Groups;
use super::protocol::{Built, KeeperReply, KeeperRequest, LabSpec};
use super::server;
use super::tree::{KEEPERS, LAB_DIRECTORY, VAR_LIB};
use crate::explain::Explanation;
use crate::kernel::channel::Channel;
use crate::kernel::children::readable;
use crate::kernel::host::{self, Mode, SubIds};
use crate::kernel::identity::ProcessIdentity;
use crate::kernel::machine_network::MachineNetwork;
use crate::kernel::namespace::Namespace;
use crate::kernel::sys::{self, Forked, Signal};
use crate::kernel::trace::{CallError, Trace};
use crate::kernel::{process_title, stdio};
use crate::runtime::lasting::{self, Lasting, Noted};
use crate::runtime::ledger::{self, Entry, Ledger};

/// The namespaces of every lab host. A time namespace is for lessons to make.
const LAB: [Namespace; 6] =
    [Namespace::Mnt, Namespace::Pid, Namespace::Net, Namespace::Uts, Namespace::Ipc, Namespace::Cgroup];

/// The namespaces of its own that hardway has where the machine itself is the lab host: of what is in these nothing can be left.
const REAL_HOST: [Namespace; 3] = [Namespace::Mnt, Namespace::Ipc, Namespace::Cgroup];

/// How long a lab host may take to be built, on a slow emulated machine.
const BUILD_DEADLINE: Duration = Duration::from_secs(20);

/// Serves the ui until it is gone, then reverts everything, with what a ledger says that was begun before.
pub fn run(ui: &Channel, ledger: Option<Ledger>) -> ! {
    process_title("hw-keeper");
    // Away from the terminal and its signals: Ctrl-C and a hang-up are the ui's to answer.
    let _ = nix::unistd::setsid();
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        stdio::attach(Some(null.as_fd()), &null, &null);
    }
    let mut keeper = Keeper { ledger, groups: None, machine: None, noted: Vec::new(), lab: None };
    loop {
        // Its end of the channel closes as soon as an init begins to end; the pidfd tells only when all in its pid namespace has
        // ended, and what is frozen does not end by itself.
        let (init, channel) =
            keeper.lab.as_ref().map_or((ui.as_fd(), ui.as_fd()), |lab| (lab.pidfd.as_fd(), lab.channel.as_fd()));
        let [asked, ended, closed] = readable([ui.as_fd(), init, channel], None);
        if (ended || closed) && keeper.lab.is_some() {
            // Where the machine is the lab host, no pid namespace ends with it.
            keeper.end_lab();
        }
        if !asked {
            continue;
        }
        let Ok(request) = ui.receive::<KeeperRequest>(None) else { break };
        let sent = match request {
            KeeperRequest::Start(spec) => match keeper.start(&spec) {
                Ok((pid, channel)) => ui.send_with(&KeeperReply::Started(pid), &[channel.as_fd()]),
                Err(explanation) => {
                    keeper.end_lab();
                    ui.send(&KeeperReply::Failed(explanation))
                }
            },
            KeeperRequest::End => {
                keeper.end_lab();
                ui.send(&KeeperReply::Ended)
            }
        };
        if sent.is_err() {
            break;
        }
    }
    keeper.end_lab();
    if let Some(ledger) = keeper.ledger.take() {
        ledger.end();
    }
    stdio::exit_now(0);
}

struct Keeper {
    ledger: Option<Ledger>,
    groups: Option<Groups>,
    /// The directory that is locked while the machine itself is this session's lab host.
    machine: Option<File>,
    /// What this lab host makes in the machine's network.
    noted: Vec<Noted>,
    lab: Option<Lab>,
}

/// A lab host as the keeper holds it.
struct Lab {
    pid: i32,
    pidfd: OwnedFd,
    /// Open as long as the lab shall live: its end tells the agent to end.
    channel: Channel,
}

impl Keeper {
    /// Starts a lab host; its pid and the ui's end of the channel to it.
    fn start(&mut self, spec: &LabSpec) -> Result<(i32, Channel), Explanation> {
        self.end_lab();
        if self.ledger.is_none() {
            self.ledger = Some(Ledger::begin(&ledger::base())?);
        }
        let Some(ledger) = &mut self.ledger else { return Err(trouble(&"it has no ledger")) };
        let groups = match &mut self.groups {
            Some(groups) => groups,
            none => none.insert(Groups::make(spec, ledger)?),
        };
        groups.fit(spec, ledger)?;
        ledger.write(&Entry::Intent)?;
        if spec.real_host && self.machine.is_none() {
            self.machine = Some(take_machine(ledger)?);
        }
        // All names are looked for before the first of them is written down.
        let noted = spec.lasting.iter().map(Lasting::note).collect::<Result<Vec<_>, _>>()?;
        let mut note = |noted: Noted, ledger: &mut Ledger| {
            let written = ledger.write(&Entry::Network(noted.clone()));
            self.noted.push(noted);
            written
        };
        noted.into_iter().try_for_each(|noted| note(noted, ledger))?;
        if spec.lasting.iter().any(|one| matches!(one, Lasting::Bridge(_))) {
            let filters = MachineNetwork::read().map_err(|error| trouble(&error))?.filters;
            for pass in lasting::passes(&spec.lasting, &filters) {
                note(pass.note()?, ledger)?;
                pass.make()?;
            }
        }
        let pair = || {
            Channel::pair().map_err(|error| {
                Explanation::new("The lab host could not be started", format!("socketpair: {error}"), "")
            })
        };
        let (ours, theirs) = pair()?;
        let (ui_end, agent_end) = pair()?;
        let mut namespaces = if spec.real_host { REAL_HOST.to_vec() } else { LAB.to_vec() };
        if spec.mode != Mode::Root {
            // clone(2): the user namespace is made first, and owns the others.
            namespaces.push(Namespace::User);
        }
        let born_in = groups.birthplace();
        let (pid, pidfd) = match sys::clone3_into(&mut Trace::new("keeper"), &namespaces, born_in) {
            Ok(Forked::Child) => {
                stdio::close_all_but(&[theirs.as_fd(), agent_end.as_fd()]);
                // Not before the ids are mapped: until then this process is nobody in its user namespace.
                match theirs.receive::<()>(Some(BUILD_DEADLINE)) {
                    Ok(()) => server::run(spec, groups, &theirs, agent_end),
                    Err(_) => stdio::exit_now(1),
                }
            }
            Ok(Forked::Parent { pid, pidfd }) => (pid, pidfd),
            Err(error) => return Err(no_namespaces(&error, spec.mode)),
        };
        // So that the end of the agent is the end of its channels.
        drop((theirs, agent_end));
        let identity = ProcessIdentity::of(pid);
        self.lab = Some(Lab { pid, pidfd, channel: ours });
        if let Some(identity) = identity {
            ledger.write(&Entry::Lab(identity))?;
        }
        map_ids(pid, spec)?;
        groups.admit(pid).map_err(|error| trouble(&error))?;
        let channel = &self.lab.as_ref().ok_or_else(|| trouble(&"it is gone"))?.channel;
        channel.send(&()).map_err(|error| trouble(&error))?;
        let built: Built = channel.receive(Some(BUILD_DEADLINE)).map_err(|error| trouble(&error))?;
        built?;
        if spec.controllers {
            groups.hand_down();
        }
        Ok((pid, ui_end))
    }

    /// Ends the lab host, and waits until all in it has ended: the kernel ends an init only after its whole pid namespace.
    fn end_lab(&mut self) {
        if let Some(lab) = self.lab.take() {
            let _ = sys::pidfd_kill(&lab.pidfd, Signal::SIGKILL);
            ledger::wait_until(|| {
                self.groups.iter().for_each(Groups::thaw);
                sys::wait_for_end(&lab.pidfd, Duration::from_millis(50))
            });
            let _ = sys::wait4(&mut Trace::new("keeper"), lab.pid);
            // What is left in the groups, where there was no pid namespace to end, and what lessons made below them.
            match (&self.machine, self.groups.take()) {
                // The next lab host gets others: Linux 6.14 and later kill what is born into a group that was killed.
                (Some(_), Some(groups)) => groups.remove(),
                (_, groups) => self.groups = groups.inspect(Groups::clear),
            }
        }
        // It would be in the way of the next one. What can not be taken away now, the ledger still has.
        let noted = std::mem::take(&mut self.noted);
        let left = noted.iter().rev().filter(|one| one.revert() == Some(false)).count();
        if let (Some(ledger), false, 0) = (&mut self.ledger, noted.is_empty(), left) {
            let _ = ledger.write(&Entry::NetworkIsClear);
        }
    }
}

fn trouble(error: &dyn std::fmt::Display) -> Explanation {
    Explanation::new(
        "The lab host did not come up",
        format!("its init: {error}"),
        "try again; `hardway cleanup` takes away what may be left",
    )
}

/// Takes the machine itself for a lab host, one session at a time: the directory for lessons' files, locked.
fn take_machine(ledger: &mut Ledger) -> Result<File, Explanation> {
    let kept = KEEPERS.iter().map(|keeper| Path::new(VAR_LIB).join(keeper));
    for directory in kept.chain([LAB_DIRECTORY.into()]).filter(|directory| !directory.exists()) {
        ledger.write(&Entry::Directory(directory.clone()))?;
        fs::create_dir(&directory).map_err(|error| trouble(&error))?;
    }
    let file = File::open(LAB_DIRECTORY).map_err(|error| trouble(&error))?;
    file.try_lock().map_err(|_| {
        let fix = "end that one; or start without --real-host, in a lab host of your own";
        Explanation::new("The machine itself is the lab host of another hardway", "one at a time may be", fix)
    })?;
    Ok(file)
}

/// Why namespaces could not be made.
fn no_namespaces(error: &CallError, mode: Mode) -> Explanation {
    let (reason, fix) = if mode == Mode::Root {
        (
            "this root may not make namespaces: a container without CAP_SYS_ADMIN, or a limit of /proc/sys/user".into(),
            "run hardway outside of the container, or as an ordinary user".into(),
        )
    } else {
        host::userns_obstacle()
    };
    Explanation::new(
        "The lab host needs namespaces of its own, and the kernel refused",
        format!("{}: {reason}", error.call),
        fix,
    )
}

/// Writes the id maps of a new user namespace (user_namespaces(7)).
fn map_ids(pid: i32, spec: &LabSpec) -> Result<(), Explanation> {
    match (spec.mode, spec.sub_ids) {
        (Mode::Root, _) => Ok(()),
        (Mode::RootlessRange, Some((users, groups))) => {
            with_helper("newuidmap", pid, spec.uid, users)?;
            with_helper("newgidmap", pid, spec.gid, groups)
        }
        (Mode::RootlessRange | Mode::RootlessSingle, _) => {
            // Before gid_map: without privilege it may be written only after setgroups(2) has been given up for good.
            write_map(pid, "setgroups", "deny")?;
            write_map(pid, "gid_map", &format!("0 {} 1", spec.gid))?;
            write_map(pid, "uid_map", &format!("0 {} 1", spec.uid))
        }
    }
}

fn write_map(pid: i32, file: &str, text: &str) -> Result<(), Explanation> {
    let path = format!("/proc/{pid}/{file}");
    fs::write(&path, text).map_err(|error| {
        let (reason, fix) = host::userns_obstacle();
        Explanation::new(
            "The ids of the lab host could not be mapped",
            format!("write {text:?} to {path}: {error}; {reason}"),
            fix,
        )
    })
}

/// The person's own id becomes 0, the subordinate ids follow from 1 on. Only a set-uid helper may map more than one's own.
fn with_helper(name: &str, pid: i32, own: u32, ids: SubIds) -> Result<(), Explanation> {
    let failed = |why: String| {
        Explanation::new(
            "The range of ids for the lab host could not be mapped",
            why,
            "check /etc/subuid and /etc/subgid, or start with --single-id",
        )
    };
    let program = host::helper(name).ok_or_else(|| failed(format!("{name} is not installed")))?;
    let args = [
        pid.to_string(),
        "0".into(),
        own.to_string(),
        "1".into(),
        "1".into(),
        ids.first.to_string(),
        ids.count.to_string(),
    ];
    let output = Command::new(&program).args(&args).output().map_err(|error| failed(format!("{name}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(format!("{name} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim())))
}

//! The process tree: `/proc/PID/stat`, `status`, `cmdline` (proc(5)).

use serde::{Deserialize, Serialize};

use super::rows::{Sheet, pids};
use super::{Credentials, Names, Namespaces, Panel, Reading};
use crate::kernel::namespace::Namespace;

/// One process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its pid in the namespace of the reader.
    pub pid: i32,
    /// Its parent's pid there; 0 where the parent is outside.
    pub ppid: i32,
    /// Process group.
    pub pgrp: i32,
    /// Name, `comm` of stat: at most 15 bytes.
    pub comm: String,
    /// State letter: R, S, D, Z, T …
    pub state: char,
    /// Start time in clock ticks since boot: with the pid, its identity.
    pub start_time: u64,
    /// Arguments; empty for a zombie.
    pub cmdline: Vec<String>,
    /// Its pids from the reader's namespace inwards (`NSpid` of status); the last is what it sees itself.
    pub nspid: Vec<i32>,
    /// The processors on which it may run, as a list: `0-3`.
    pub cpus_allowed: String,
    /// The links of `/proc/PID/ns`.
    pub namespaces: Namespaces,
    /// User, groups, capabilities, id maps.
    pub credentials: Credentials,
    /// Target of `/proc/PID/root`.
    pub root: Reading<String>,
    /// Target of `/proc/PID/cwd`.
    pub cwd: Reading<String>,
    /// Target of `/proc/PID/exe`.
    pub exe: Reading<String>,
}

/// The longest command line that is kept, in bytes: room for what a person types, and an observation stays small.
const MAX_CMDLINE: usize = 4096;

/// The arguments in the text of a cmdline file: each ends with a NUL (proc_pid_cmdline(5)). What is not UTF-8 is made
/// readable; after 4096 bytes it is cut.
pub fn parse_cmdline(text: &[u8]) -> Vec<String> {
    let text = text.get(..MAX_CMDLINE).unwrap_or(text);
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|byte| *byte == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
}

/// The value of a line of a status file: `NSpid`, `Uid` … (proc_pid_status(5)).
pub(super) fn status_field<'a>(text: &'a [u8], key: &str) -> Option<&'a str> {
    text.split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b":"))
        .and_then(|value| std::str::from_utf8(value).ok())
        .map(str::trim)
}

/// The pids of a process from the reader's pid namespace inwards; none where the file has no such line (a kernel without
/// pid namespaces).
pub fn parse_nspid(status: &[u8]) -> Option<Vec<i32>> {
    status_field(status, "NSpid")?.split_ascii_whitespace().map(|pid| pid.parse().ok()).collect()
}

/// The processors on which a process may run; empty where the file has no such line (a kernel for one processor).
pub fn parse_cpus_allowed(status: &[u8]) -> String {
    status_field(status, "Cpus_allowed_list").unwrap_or_default().to_owned()
}

/// What a state letter means, in a word. `R` and `S` are both `alive`: which of them it is changes from moment to moment
/// and tells nothing.
pub fn state_word(state: char) -> String {
    match state {
        'R' | 'S' | 'I' => "alive".to_owned(),
        'Z' => "zombie (Z)".to_owned(),
        'T' => "stopped (T)".to_owned(),
        't' => "traced (t)".to_owned(),
        'D' => "waits, uninterruptible (D)".to_owned(),
        'X' | 'x' => format!("dead ({state})"),
        other => other.to_string(),
    }
}

/// The rows of the process panel: each process, then what lists of processes are visible to whom.
pub(super) fn rows(sheet: &mut Sheet<'_>) {
    for process in &sheet.observation.processes {
        let pid = process.pid;
        let names = sheet.names;
        let mut about = sheet.about(Panel::Processes, process);
        about.row(
            "comm",
            process.comm.clone(),
            format!("/proc/{pid}/stat"),
            format!("cat /proc/{pid}/comm"),
            "The name of its program, cut at 15 bytes; execve(2) changes it, the process stays the same.",
        );
        about.row(
            "cmdline",
            process.cmdline.join(" "),
            format!("/proc/{pid}/cmdline"),
            format!("tr '\\0' ' ' < /proc/{pid}/cmdline"),
            "The arguments that its program was started with; a zombie has none any more.",
        );
        about.row(
            "state",
            state_word(process.state),
            format!("/proc/{pid}/stat"),
            format!("grep State /proc/{pid}/status"),
            state_meaning(process.state),
        );
        about.row(
            "PPid",
            process.ppid.to_string(),
            format!("/proc/{pid}/stat"),
            format!("grep PPid /proc/{pid}/status"),
            parent_meaning(process, names),
        );
        about.row(
            "NSpid",
            pids(&process.nspid),
            format!("/proc/{pid}/status"),
            format!("grep NSpid /proc/{pid}/status"),
            nspid_meaning(process),
        );
        about.row(
            "pgrp",
            process.pgrp.to_string(),
            format!("/proc/{pid}/stat"),
            format!("ps -o pgid= -p {pid}"),
            "Its process group: the unit in which a shell puts jobs in the foreground and a terminal sends signals.",
        );
        let links = [
            ("exe", &process.exe, "The file of the program that it runs."),
            ("cwd", &process.cwd, "Its working directory, where relative paths start."),
            (
                "root",
                &process.root,
                "Its root directory, where absolute paths start; chroot(2) and pivot_root(2) change it.",
            ),
        ];
        for (link, reading, meaning) in links {
            let path = format!("/proc/{pid}/{link}");
            about.row(link, reading.text(Clone::clone), path.clone(), format!("readlink {path}"), meaning);
        }
    }
    visible(sheet);
}

/// The key of the rows that tell which pids a mount namespace's `/proc` lists.
pub const VISIBLE_PIDS: &str = "pids in /proc";

/// One row for each mount namespace, told of the process that stands for it: the pids in its `/proc`.
fn visible(sheet: &mut Sheet<'_>) {
    let observation = sheet.observation;
    for (inode, reading) in &observation.visible_pids {
        let inode = *inode;
        let Some(process) = sheet.member(Namespace::Mnt, inode) else { continue };
        let read_from = observation.representative(Namespace::Mnt, inode).map_or(process.pid, |it| it.pid);
        sheet.about(Panel::Processes, process).row(
            VISIBLE_PIDS,
            reading.text(|list| pids(list)),
            format!("/proc/{read_from}/root/proc"),
            format!("ls /proc/{read_from}/root/proc"),
            "The processes that ps finds there: those of the pid namespace that its /proc was mounted from.",
        );
    }
}

fn state_meaning(state: char) -> &'static str {
    match state {
        'Z' => "It has ended; its number stays taken until its parent asks how it ended (wait(2)).",
        'T' => "A signal has stopped it; SIGCONT lets it go on.",
        't' => "A tracer, such as strace or a debugger, holds it.",
        'D' => "It waits in the kernel and takes no signals; so does a process in a frozen cgroup of version 1.",
        _ => "It runs or waits for something (R or S of /proc/PID/status, which change all the time).",
    }
}

fn parent_meaning(process: &Process, names: &Names) -> String {
    match (process.ppid, names.of(process.ppid)) {
        (0, _) => "Its parent is not in this pid namespace.".to_owned(),
        (_, Some(word)) => format!("Its parent is {word}."),
        (_, None) => "Its parent, which alone may wait for it.".to_owned(),
    }
}

fn nspid_meaning(process: &Process) -> String {
    match process.nspid.as_slice() {
        [] | [_] => "Its number in this pid namespace; it is not in a deeper one.".to_owned(),
        [outer, .., inner] => {
            format!(
                "One process, a number in each pid namespace: {outer} as seen from here, {inner} as it sees itself."
            )
        }
    }
}

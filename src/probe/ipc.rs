//! What an IPC namespace holds: `/proc/sysvipc`, message queues and limits (ipc_namespaces(7), proc_sysvipc(5)); and the
//! directories that look as if they belonged to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rows::{About, Sheet, quote};
use super::{Panel, Reading};
use crate::kernel::namespace::Namespace;
pub use crate::kernel::sys::ipc::SysvKind;

/// What one IPC namespace holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipc {
    /// System V objects, in the order of the kernel.
    pub objects: BTreeMap<SysvKind, Reading<Vec<Object>>>,
    /// The names of POSIX message queues, sorted, without the slash.
    pub queues: Reading<Vec<String>>,
    /// The limits, by the names of their sysctls.
    pub limits: BTreeMap<String, Reading<String>>,
}

/// A System V object: a line of a file of `/proc/sysvipc`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its id in this namespace.
    pub id: i32,
    /// The key by which programs find it; 0 for a private one.
    pub key: u32,
    /// Its permissions.
    pub mode: u32,
    /// Its owner, as the reader's user namespace numbers it.
    pub uid: u32,
    /// What objects of its kind have besides, in the order of [`columns`].
    pub numbers: Vec<u64>,
}

/// The directories of `/dev` that have to do with IPC, as a mount namespace shows them: file names, sorted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directories {
    /// `/dev/mqueue`: queues of the IPC namespace that it was mounted from.
    pub mqueue: Reading<Vec<String>>,
    /// `/dev/shm`: POSIX shared memory, which is files and no IPC namespace's.
    pub shm: Reading<Vec<String>>,
}

/// The kinds in the order in which ipcs(1) is taught.
pub const KINDS: [SysvKind; 3] = [SysvKind::Shm, SysvKind::Sem, SysvKind::Msg];

/// The sysctls of `fs.mqueue` that are limits of an IPC namespace, as [`SYSV_LIMITS`] are those of `kernel` (mq_overview(7)).
///
/// [`SYSV_LIMITS`]: crate::kernel::enter::SYSV_LIMITS
pub const MQUEUE_LIMITS: [&str; 3] = ["queues_max", "msg_max", "msgsize_max"];

/// The most names of a directory that a row shows.
const MOST_NAMES: usize = 12;

/// The name of the kind's file in `/proc/sysvipc`.
pub fn file(kind: SysvKind) -> &'static str {
    match kind {
        SysvKind::Shm => "shm",
        SysvKind::Sem => "sem",
        SysvKind::Msg => "msg",
    }
}

/// The name of the column with the id.
fn id_column(kind: SysvKind) -> &'static str {
    match kind {
        SysvKind::Shm => "shmid",
        SysvKind::Sem => "semid",
        SysvKind::Msg => "msqid",
    }
}

/// The columns of the kind's file that are read besides those that all kinds have.
pub fn columns(kind: SysvKind) -> &'static [&'static str] {
    match kind {
        SysvKind::Shm => &["size", "nattch", "cpid"],
        SysvKind::Sem => &["nsems"],
        SysvKind::Msg => &["qnum", "cbytes"],
    }
}

/// What objects of the kind are called.
pub fn plural(kind: SysvKind) -> &'static str {
    match kind {
        SysvKind::Shm => "shm segments",
        SysvKind::Sem => "semaphore sets",
        SysvKind::Msg => "message queues",
    }
}

impl Object {
    /// The number in a column of its kind.
    pub fn number(&self, kind: SysvKind, column: &str) -> Option<u64> {
        let at = columns(kind).iter().position(|name| *name == column)?;
        self.numbers.get(at).copied()
    }
}

/// The objects in the text of a file of `/proc/sysvipc`, whose first line names its columns.
///
/// # Errors
/// The line that can not be understood.
pub fn parse(kind: SysvKind, text: &[u8]) -> Result<Vec<Object>, String> {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    lines.map(|line| parse_line(kind, &head, line).ok_or_else(|| line.chars().take(200).collect())).collect()
}

fn parse_line(kind: SysvKind, head: &[&str], line: &str) -> Option<Object> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let word = |column: &str| words.get(head.iter().position(|name| *name == column)?).copied();
    Some(Object {
        id: word(id_column(kind))?.parse().ok()?,
        // Written as a signed number; ipcs(1) and programs write it in hexadecimal.
        key: word("key")?.parse::<i32>().ok()?.cast_unsigned(),
        mode: u32::from_str_radix(word("perms")?, 8).ok()?,
        uid: word("uid")?.parse().ok()?,
        numbers: columns(kind).iter().map(|column| word(column)?.parse().ok()).collect::<Option<_>>()?,
    })
}

/// The rows of the ipc panel: for each process with a word of its own, and for each namespace without any.
pub(super) fn rows(sheet: &mut Sheet<'_>) {
    let observation = sheet.observation;
    let mut viewers = sheet.viewers(Namespace::Ipc, observation.ipc.keys());
    let also = sheet.viewers(Namespace::Mnt, observation.ipc_directories.keys());
    viewers.extend(
        also.into_iter().filter(|(_, one)| !viewers.iter().any(|(_, other)| one.pid == other.pid)).collect::<Vec<_>>(),
    );
    viewers.sort_by_key(|(_, process)| process.pid);
    let hosts = observation.process(sheet.names.host).and_then(|it| it.namespaces.inode(Namespace::Ipc));
    for (_, process) in viewers {
        let pid = process.pid;
        let inode = |kind: Namespace| process.namespaces.inode(kind).unwrap_or(0);
        let mut about = sheet.about(Panel::Ipc, process);
        if let Some(reading) = observation.ipc.get(&inode(Namespace::Ipc)) {
            let own = hosts.is_none_or(|hosts| hosts != inode(Namespace::Ipc));
            namespace(&mut about, reading, pid, own);
        }
        if let Some(directories) = observation.ipc_directories.get(&inode(Namespace::Mnt)) {
            for (path, reading, meaning) in [
                (
                    "/dev/mqueue",
                    &directories.mqueue,
                    "The queues of the ipc namespace that this file system was mounted from, which need not be that of the process.",
                ),
                (
                    "/dev/shm",
                    &directories.shm,
                    "POSIX shared memory: files of a tmpfs, which belongs to whoever has it mounted, and to no ipc namespace.",
                ),
            ] {
                let seen = format!("/proc/{pid}/root{path}");
                about.row(
                    &format!("files in {path}"),
                    reading.text(|list| names(list)),
                    seen.clone(),
                    format!("ls {seen}"),
                    meaning,
                );
            }
        }
    }
}

/// The rows of what a namespace holds; `own` where it is not the host's.
fn namespace(about: &mut About<'_, '_>, reading: &Reading<Ipc>, pid: i32, own: bool) {
    let enter = if own { format!("nsenter --target {pid} --ipc ") } else { String::new() };
    let within = |file: &str| format!("{file} in the ipc namespace of pid {pid}");
    let Some(ipc) = reading.value() else {
        let reason = reading.text(|_| String::new());
        let command = format!("{enter}ipcs");
        about.row(
            "objects",
            reason,
            within("/proc/sysvipc"),
            command,
            "Only a member, or whoever may become one (setns(2)), is told what is in it.",
        );
        return;
    };
    for (kind, objects) in &ipc.objects {
        let (file, option) = (file(*kind), option(*kind));
        let source = within(&format!("/proc/sysvipc/{file}"));
        let count = objects.text(|list| list.len().to_string());
        about.row(plural(*kind), count, source.clone(), format!("{enter}ipcs {option} | grep -c ^0x"), meaning(*kind));
        for object in objects.value().into_iter().flatten() {
            about.row(
                &format!("{file} {}", object.id),
                words(*kind, object),
                source.clone(),
                format!("{enter}ipcs {option} --id {}", object.id),
                "An object that stays until somebody removes it or its namespace ends, whether or not a process uses it.",
            );
        }
    }
    let mount = "mount -t mqueue mqueue /dev/mqueue; ls /dev/mqueue";
    about.row(
        "POSIX queues",
        ipc.queues.text(|list| names(list)),
        within("a mqueue file system mounted"),
        if own { format!("{enter}unshare --mount sh -c {}", quote(mount)) } else { "ls /dev/mqueue".to_owned() },
        "Message queues with names, as mq_open(3) makes them; a mqueue shows those of the namespace that mounted it.",
    );
    for (name, limit) in &ipc.limits {
        let file = format!("/proc/sys/{}", name.replace('.', "/"));
        let source = match name.get(.."kernel.shm".len()) {
            Some("kernel.shm") => "shmctl(IPC_INFO)",
            Some("kernel.sem") => "semctl(SEM_INFO)",
            Some("kernel.msg") => "msgctl(MSG_INFO)",
            _ => &file,
        };
        let command = format!("{enter}cat {file}");
        about.row(name, limit.text(String::clone), within(source), command, limit_meaning(name));
    }
}

/// The option of ipcs(1) for a kind.
fn option(kind: SysvKind) -> &'static str {
    match kind {
        SysvKind::Shm => "--shmems",
        SysvKind::Sem => "--semaphores",
        SysvKind::Msg => "--queues",
    }
}

/// An object under the kernel's own words.
fn words(kind: SysvKind, object: &Object) -> String {
    let mut words = format!("key {:#010x}, perms {:o}, uid {}", object.key, object.mode, object.uid);
    for (column, number) in columns(kind).iter().zip(&object.numbers) {
        words.push_str(&format!(", {column} {number}"));
    }
    words
}

fn names(list: &[String]) -> String {
    if list.is_empty() {
        return "none".to_owned();
    }
    let shown = list.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(" ");
    if list.len() > MOST_NAMES { format!("{shown} … ({} in all)", list.len()) } else { shown }
}

fn meaning(kind: SysvKind) -> &'static str {
    match kind {
        SysvKind::Shm => "Memory that several processes put into their address space (shmget(2), shmat(2)).",
        SysvKind::Sem => "Counters that processes wait for, several in one set (semget(2), semop(2)).",
        SysvKind::Msg => "Queues of messages with a type (msgget(2), msgsnd(2)).",
    }
}

fn limit_meaning(name: &str) -> &'static str {
    match name {
        "kernel.shmmax" => "The most bytes of one segment; each ipc namespace has its own limits.",
        "kernel.shmall" => "The most pages of all segments together.",
        "kernel.shmmni" => "The most segments.",
        "kernel.sem" => "Semaphores: the most in a set, in all sets, operations in one call, and sets.",
        "kernel.msgmax" => "The most bytes of one message.",
        "kernel.msgmnb" => "The most bytes in one queue.",
        "kernel.msgmni" => "The most queues.",
        "fs.mqueue.queues_max" => "The most POSIX message queues.",
        "fs.mqueue.msg_max" => "The most messages in one POSIX queue.",
        _ => "The most bytes of one message of a POSIX queue.",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const SHM: &str = "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n\
         -55975733          3   644                  4096  5627     0      2  1000     0     0     0          0          0 1795239535                     0                     0\n";

    #[test]
    fn objects_are_read_by_the_names_of_columns() {
        let expected = Object { id: 3, key: 0xfca9_e0cb, mode: 0o644, uid: 1000, numbers: vec![4096, 2, 5627] };
        assert_eq!(parse(SysvKind::Shm, SHM.as_bytes()).unwrap(), std::slice::from_ref(&expected));
        assert_eq!(expected.number(SysvKind::Shm, "nattch"), Some(2));
        assert_eq!(expected.number(SysvKind::Sem, "nattch"), None);
        assert_eq!(
            words(SysvKind::Shm, &expected),
            "key 0xfca9e0cb, perms 644, uid 1000, size 4096, nattch 2, cpid 5627"
        );
        let sem = "key semid perms nsems uid gid cuid cgid otime ctime\n0 0 600 2 0 0 0 0 0 1\n";
        assert_eq!(parse(SysvKind::Sem, sem.as_bytes()).unwrap()[0].numbers, [2]);
        let msg = "key msqid perms cbytes qnum lspid lrpid uid gid\n7 1 644 90 3 0 0 0 0\n";
        assert_eq!(parse(SysvKind::Msg, msg.as_bytes()).unwrap()[0].numbers, [3, 90]);
        assert_eq!(parse(SysvKind::Msg, b""), Ok(Vec::new()));
        assert_eq!(
            parse(SysvKind::Sem, SHM.as_bytes()).unwrap_err(),
            SHM.lines().nth(1).unwrap()[..].chars().take(200).collect::<String>()
        );
    }

    #[test]
    fn many_names_are_cut() {
        assert_eq!(names(&[]), "none");
        let many: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        assert_eq!(names(&many), "0 1 2 3 4 5 6 7 8 9 10 11 … (20 in all)");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<Vec<u8>>(), lines in "(key|shmid|perms|size|cpid|nattch|uid|-?[0-9]{1,12}|\\s|\n){0,40}") {
            for kind in KINDS {
                let _ = parse(kind, &text);
                let _ = parse(kind, lines.as_bytes());
            }
        }

        #[test]
        fn numbers_round_trip(id in 0i32.., key: i32, mode in 0u32..0o1000, uid: u32, count: u64) {
            let text = format!("key semid perms nsems uid gid\n{key:10} {id:10} {mode:4o} {count:10} {uid:5} 0\n");
            let object = Object { id, key: key.cast_unsigned(), mode, uid, numbers: vec![count] };
            prop_assert_eq!(parse(SysvKind::Sem, text.as_bytes()), Ok(vec![object]));
        }
    }
}

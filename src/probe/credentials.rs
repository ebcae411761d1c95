//! Who a process is: ids, capabilities and id maps, from `/proc/PID/status`, `uid_map`, `gid_map`, `setgroups`
//! (credentials(7), capabilities(7), user_namespaces(7)).

use serde::{Deserialize, Serialize};

use super::ids::seen_inside;
use super::processes::status_field;
use super::rows::Sheet;
use super::{Panel, Process, Reading, capabilities};
use crate::kernel::namespace::Namespace;

/// One line of uid_map or gid_map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    /// First id inside.
    pub inside: u32,
    /// First id outside, in the user namespace of the reader (or of the parent, when reader and process share one).
    pub outside: u32,
    /// How many ids.
    pub count: u32,
}

/// Ids, capabilities and id maps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Real, effective, saved and file system user id.
    pub uid: [u32; 4],
    /// Real, effective, saved and file system group id.
    pub gid: [u32; 4],
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Inheritable, permitted, effective, bounding and ambient capability sets (`CapInh` … `CapAmb`).
    pub caps: [u64; 5],
    /// `NoNewPrivs`.
    pub no_new_privs: bool,
    /// `Seccomp`: 0 none, 1 strict, 2 filter.
    pub seccomp: u8,
    /// `/proc/PID/uid_map`.
    pub uid_map: Reading<Vec<IdMap>>,
    /// `/proc/PID/gid_map`.
    pub gid_map: Reading<Vec<IdMap>>,
    /// `/proc/PID/setgroups`: `allow` or `deny`.
    pub setgroups: Reading<String>,
}

impl Credentials {
    /// Parses the lines of a status file (proc_pid_status(5)); id maps are files of their own. None where a line that
    /// every kernel writes is missing or not as the man page says.
    pub fn parse(
        status: &[u8],
        uid_map: Reading<Vec<IdMap>>,
        gid_map: Reading<Vec<IdMap>>,
        setgroups: Reading<String>,
    ) -> Option<Self> {
        let mut caps = [0; 5];
        for (at, key) in CAPS.iter().enumerate() {
            // Kernels before 4.3 have no ambient set.
            let text = status_field(status, key.0);
            caps[at] = match text {
                None if at == 4 => 0,
                text => u64::from_str_radix(text?, 16).ok()?,
            };
        }
        Some(Self {
            uid: four(status_field(status, "Uid")?)?,
            gid: four(status_field(status, "Gid")?)?,
            groups: status_field(status, "Groups")?
                .split_ascii_whitespace()
                .map(|id| id.parse().ok())
                .collect::<Option<_>>()?,
            caps,
            no_new_privs: status_field(status, "NoNewPrivs").is_some_and(|text| text == "1"),
            seccomp: status_field(status, "Seccomp").map_or(Some(0), |text| text.parse().ok())?,
            uid_map,
            gid_map,
            setgroups,
        })
    }
}

fn four(text: &str) -> Option<[u32; 4]> {
    let ids: Vec<u32> = text.split_ascii_whitespace().map(|id| id.parse().ok()).collect::<Option<_>>()?;
    ids.try_into().ok()
}

/// Parses the text of uid_map or gid_map (user_namespaces(7)): on each line inside, outside, count.
pub fn parse_id_map(text: &[u8]) -> Option<Vec<IdMap>> {
    std::str::from_utf8(text)
        .ok()?
        .lines()
        .map(|line| {
            let mut numbers = line.split_ascii_whitespace().map(|number| number.parse().ok());
            let map = IdMap { inside: numbers.next()??, outside: numbers.next()??, count: numbers.next()?? };
            numbers.next().is_none().then_some(map)
        })
        .collect()
}

/// The sets in the order of [`Credentials::caps`]: line of status, meaning.
const CAPS: [(&str, &str); 5] = [
    ("CapInh", "Inheritable: kept across execve(2) of a program whose file allows it."),
    ("CapPrm", "Permitted: what the process may make effective."),
    ("CapEff", "Effective: what the kernel checks, within the user namespace of the process and those below."),
    ("CapBnd", "Bounding: the most that execve(2) can ever give again; what is dropped here never comes back."),
    ("CapAmb", "Ambient: kept across execve(2) of an ordinary program, without being root."),
];

/// The rows of the credentials panel: those of each process, the id maps of each user namespace, and the owners of files.
/// Securebits are not among them: the kernel tells them to the process itself and to nobody else (prctl(2)).
pub(super) fn rows(sheet: &mut Sheet<'_>) {
    let namespaces: Vec<u64> = {
        let all = sheet.observation.processes.iter().filter_map(|it| it.namespaces.inode(Namespace::User));
        all.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    };
    let mappers: Vec<i32> =
        sheet.viewers(Namespace::User, namespaces.iter()).iter().map(|(_, process)| process.pid).collect();
    for process in &sheet.observation.processes {
        who(sheet, process);
        if mappers.contains(&process.pid) {
            maps(sheet, process);
        }
        rights(sheet, process);
    }
    super::ids::rows(sheet);
}

/// Ids and groups, and what the process itself is told of them.
fn who(sheet: &mut Sheet<'_>, process: &Process) {
    let (pid, it) = (process.pid, &process.credentials);
    let status = format!("/proc/{pid}/status");
    let inside = seen_inside(sheet.observation, sheet.names, process);
    let mut about = sheet.about(Panel::Credentials, process);
    for (key, four, told, file) in
        [("Uid", it.uid, inside.map(|it| it.0), "uid_map"), ("Gid", it.gid, inside.map(|it| it.1), "gid_map")]
    {
        let meaning = "Real, effective, saved and file system id, as the lab host's user namespace knows them.";
        about.row(key, ids(four), status.clone(), format!("grep {key} {status}"), meaning);
        let Some(told) = told else { continue };
        let source = format!("{key} of {status} through /proc/{pid}/{file}");
        let command = format!("nsenter --target {pid} --user --preserve-credentials grep {key} {status}");
        let meaning = if told.unmapped {
            "What it is told in its own user namespace: its id has no map there, so the kernel shows the overflow id."
        } else {
            "What it is told in its own user namespace: the same id, through the map."
        };
        about.row(&format!("{} inside", key.to_lowercase()), told.number.to_string(), source, command, meaning);
    }
    let groups = it.groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let groups = if groups.is_empty() { "none".to_owned() } else { groups };
    about.row("Groups", groups, status.clone(), format!("grep Groups {status}"), "Supplementary groups.");
}

/// Capabilities, and what else decides on what the process may do.
fn rights(sheet: &mut Sheet<'_>, process: &Process) {
    let it = &process.credentials;
    let status = format!("/proc/{}/status", process.pid);
    let mut about = sheet.about(Panel::Credentials, process);
    let mut line = |key: &str, value: String, meaning: &str| {
        about.row(key, value, status.clone(), format!("grep {key} {status}"), meaning);
    };
    for ((key, meaning), set) in CAPS.iter().zip(it.caps) {
        let named = capabilities::meanings(set);
        let list = if named.is_empty() { String::new() } else { format!(" Named here: {named}.") };
        line(key, capabilities::words(set), &format!("{meaning}{list}"));
    }
    let no_new_privs = if it.no_new_privs { "1" } else { "0" };
    line("NoNewPrivs", no_new_privs.to_owned(), "1: no program that it executes can gain rights, setuid or not.");
    let seccomp = match it.seccomp {
        0 => "0 (none)".to_owned(),
        1 => "1 (strict)".to_owned(),
        2 => "2 (filter)".to_owned(),
        other => other.to_string(),
    };
    line("Seccomp", seccomp, "Whether a filter decides which system calls it may make.");
}

/// The maps of a user namespace, as one of its processes has them.
fn maps(sheet: &mut Sheet<'_>, process: &Process) {
    let pid = process.pid;
    let it = &process.credentials;
    let mut about = sheet.about(Panel::Credentials, process);
    for (file, map, what) in [("uid_map", &it.uid_map, "user"), ("gid_map", &it.gid_map, "group")] {
        let path = format!("/proc/{pid}/{file}");
        about.row(file, map.text(|map| map_text(map)), path.clone(), format!("cat {path}"), map_meaning(map, what));
    }
    let path = format!("/proc/{pid}/setgroups");
    about.row(
        "setgroups",
        it.setgroups.text(Clone::clone),
        path.clone(),
        format!("cat {path}"),
        "Whether setgroups(2) is allowed in its user namespace; who maps gids without privilege must deny it first.",
    );
}

/// Four ids: one number where all are equal.
fn ids([real, effective, saved, fs]: [u32; 4]) -> String {
    if [effective, saved, fs] == [real; 3] {
        return real.to_string();
    }
    format!("real {real}, effective {effective}, saved {saved}, file system {fs}")
}

fn map_text(map: &[IdMap]) -> String {
    let lines: Vec<String> =
        map.iter().map(|IdMap { inside, outside, count }| format!("{inside} {outside} {count}")).collect();
    if lines.is_empty() { "empty".to_owned() } else { lines.join(", ") }
}

fn map_meaning(map: &Reading<Vec<IdMap>>, what: &str) -> String {
    match map.value().map(Vec::as_slice) {
        Some([]) => format!(
            "No {what} id is mapped yet: in its user namespace everybody is 65534 until somebody writes this file."
        ),
        Some([IdMap { inside: 0, outside: 0, count: u32::MAX }]) => {
            format!("Every {what} id is itself: the map of the first user namespace of a machine.")
        }
        Some([IdMap { inside, outside, count }, ..]) => format!(
            "First inside, first outside, how many: {what} id {inside} inside is {outside} outside; {count} in this line."
        ),
        None => format!("How {what} ids inside its user namespace stand for those outside."),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::super::processes::{parse_cmdline, parse_nspid};
    use super::{Credentials, IdMap, Reading, parse_id_map};

    fn parse(status: &str) -> Option<Credentials> {
        let none = || Reading::Value(Vec::new());
        Credentials::parse(status.as_bytes(), none(), none(), Reading::Value("allow".to_owned()))
    }

    const STATUS: &str = "Name:\tNSpid:\\n 9\nUid:\t0\t1000\t0\t1000\nGid:\t5\t5\t5\t5\nGroups:\t4 20 \nNSpid:\t12\t1\n\
        CapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000000001\nCapBnd:\t000001fffeffffff\n\
        CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";

    #[test]
    fn the_lines_of_status() {
        let it = parse(STATUS).unwrap();
        assert_eq!((it.uid, it.gid, it.groups), ([0, 1000, 0, 1000], [5; 4], vec![4, 20]));
        assert_eq!(it.caps, [0, 0x1ff_ffff_ffff, 1, 0x1ff_feff_ffff, 0]);
        assert_eq!((it.no_new_privs, it.seccomp), (true, 2));
        assert_eq!(parse_nspid(STATUS.as_bytes()), Some(vec![12, 1]));
        assert_eq!(parse(&STATUS.replace("Uid:\t0", "Uid:\tx")), None);
        assert_eq!(parse(""), None);
        assert_eq!(parse_nspid(b"Name:\tx\n"), None);
    }

    #[test]
    fn arguments_end_with_nul() {
        assert_eq!(parse_cmdline(b""), Vec::<String>::new());
        assert_eq!(parse_cmdline(b"sh\0-c\0\0"), ["sh", "-c", ""]);
        assert_eq!(parse_cmdline(b"daemon: idle"), ["daemon: idle"]);
        assert_eq!(parse_cmdline(b"\xff\0"), ["\u{fffd}"]);
        assert_eq!(parse_cmdline(&vec![b'x'; 1 << 20])[0].len(), 4096);
    }

    #[test]
    fn id_maps() {
        assert_eq!(parse_id_map(b""), Some(Vec::new()));
        let text = b"         0       1000          1\n         1     100000      65536\n";
        let expected =
            [IdMap { inside: 0, outside: 1000, count: 1 }, IdMap { inside: 1, outside: 100_000, count: 65_536 }];
        assert_eq!(parse_id_map(text), Some(expected.to_vec()));
        for text in ["0 0", "0 0 1 1", "0 0 -1", "0 0 4294967296", "\n"] {
            assert_eq!(parse_id_map(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn id_maps_round_trip(map in proptest::collection::vec(any::<(u32, u32, u32)>(), 0..8)) {
            let map: Vec<IdMap> =
                map.into_iter().map(|(inside, outside, count)| IdMap { inside, outside, count }).collect();
            let text: String =
                map.iter().map(|it| format!("{:10} {:10} {:10}\n", it.inside, it.outside, it.count)).collect();
            prop_assert_eq!(parse_id_map(text.as_bytes()), Some(map));
        }

        #[test]
        fn arguments_round_trip(args in proptest::collection::vec("[^\0]{0,20}", 1..8)) {
            let text: String = args.iter().map(|arg| format!("{arg}\0")).collect();
            // A single empty argument is the one list that the file can not tell from none.
            prop_assume!(text != "\0");
            prop_assert_eq!(parse_cmdline(text.as_bytes()), args);
        }

        #[test]
        fn no_text_makes_them_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (parse_id_map(&text), parse_cmdline(&text), parse_nspid(&text));
            let none = || Reading::Value(Vec::new());
            let _ = Credentials::parse(&text, none(), none(), Reading::Value(String::new()));
        }
    }
}

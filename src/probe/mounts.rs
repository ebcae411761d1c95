//! Mounts: `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).

use std::collections::{BTreeMap, HashSet};
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::shared::Known;
use super::rows::{Sheet, quote};
use super::{Panel, Process};
use crate::kernel::namespace::Namespace;

pub mod shared;

/// One line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Unique id of the mount.
    pub id: u32,
    /// Id of the mount that it stands on.
    pub parent: u32,
    /// Propagation: `shared:N`, `master:N`, `propagate_from:N`, `unbindable`; empty = private.
    pub propagation: Vec<String>,
    /// What is mounted, and where: the same in copies of a mount.
    pub mounted: Arc<Mounted>,
}

/// What is mounted, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounted {
    /// `major:minor` of the file system.
    pub device: String,
    /// Which directory of the file system is mounted.
    pub root: String,
    /// Where, relative to the process's root.
    pub target: String,
    /// Options of the mount.
    pub options: String,
    /// Type of the file system.
    pub fstype: String,
    /// Source, or `none`.
    pub source: String,
    /// Options of the file system (super block).
    pub super_options: String,
}

impl Deref for Mount {
    type Target = Mounted;

    fn deref(&self) -> &Mounted {
        &self.mounted
    }
}

impl Mounted {
    /// Parses the fields of a line of mountinfo, but for its ids and optional ones. A source may be empty, and options of a file
    /// system may have spaces.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut fields = text.split(|byte| *byte == b' ');
        let device = unescape(fields.next()?);
        device.split_once(':')?;
        let [root, target, options] = [(); 3].map(|()| fields.next().map(unescape));
        let (fstype, source) = (unescape(fields.next()?), unescape(fields.next()?));
        let mut super_options = unescape(fields.next()?);
        for more in fields {
            super_options.push(' ');
            super_options.push_str(&unescape(more));
        }
        Some(Self { device, root: root?, target: target?, options: options?, fstype, source, super_options })
    }
}

impl Mount {
    /// The number of the peer group that an optional field names: `shared`, `master`, `propagate_from`.
    pub fn group(&self, field: &str) -> Option<u32> {
        self.propagation.iter().find_map(|it| it.strip_prefix(field)?.strip_prefix(':')?.parse().ok())
    }

    /// The mount on one line: type, source with the mounted directory, options, propagation.
    pub fn summary(&self) -> String {
        let root = if self.root == "/" { String::new() } else { format!("[{}]", self.root) };
        let mut text = format!("{} {}{root} {}", self.fstype, self.source, self.options);
        text.push(' ');
        text.push_str(&if self.propagation.is_empty() { "private".to_owned() } else { self.propagation.join(",") });
        // Options of the file system that those of the mount do not repeat.
        let own: Vec<&str> = self.options.split(',').collect();
        let more: Vec<&str> = self.super_options.split(',').filter(|option| !own.contains(option)).collect();
        if !more.is_empty() {
            text.push_str(&format!("; file system: {}", more.join(",")));
        }
        text
    }
}

/// Parses a whole mountinfo file.
///
/// # Errors
/// The first line that can not be understood, made readable and cut.
pub fn parse_mountinfo(text: &[u8]) -> Result<Vec<Mount>, String> {
    Known::default().mountinfo(text)
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Undoes the kernel's octal escapes, `\040` for a space (seq_path(), mangle()); any other backslash stands for itself.
fn unescape(text: &[u8]) -> String {
    if !text.contains(&b'\\') {
        return String::from_utf8_lossy(text).into_owned();
    }
    let octal = |byte: u8| (b'0'..=b'7').contains(&byte).then(|| u32::from(byte - b'0'));
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let code = match text.get(at..at + 4) {
            Some(&[b'\\', a, b, c]) => match (octal(a), octal(b), octal(c)) {
                (Some(a), Some(b), Some(c)) => u8::try_from(a * 64 + b * 8 + c).ok(),
                _ => None,
            },
            _ => None,
        };
        bytes.push(code.unwrap_or(text[at]));
        at += if code.is_some() { 4 } else { 1 };
    }
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

/// The rows of the mount panel: the mounts of each mount namespace, under the name of a process in it.
pub(super) fn rows(sheet: &mut Sheet<'_>) {
    let observation = sheet.observation;
    let groups = Groups::of_all(sheet);
    for (inode, reading) in &observation.mounts {
        let Some(read_from) = observation.representative(Namespace::Mnt, *inode) else { continue };
        let source = format!("/proc/{}/mountinfo", read_from.pid);
        let member = sheet.member(Namespace::Mnt, *inode).unwrap_or(read_from);
        let cgroup = |process: &Process| process.namespaces.inode(Namespace::Cgroup);
        let host = observation.process(sheet.names.host);
        let is_foreign = host.is_some_and(|host| cgroup(host) != cgroup(read_from));
        let mut about = sheet.about(Panel::Mounts, member);
        let Some(mounts) = reading.value() else {
            let why = reading.text(|_| String::new());
            about.row("mountinfo", why, source.clone(), format!("cat {source}"), "The mounts of its mount namespace.");
            continue;
        };
        let mut keys: HashSet<String> = HashSet::new();
        for mount in mounts {
            let mut key = mount.target.clone();
            let mut times = 1;
            while !keys.insert(key.clone()) {
                times += 1;
                key = format!("{} #{times}", mount.target);
            }
            // Of cgroups the kernel tells each reader another root, as it is called in the reader's cgroup namespace.
            let enter = match is_foreign && mount.fstype.starts_with("cgroup") {
                true => format!("nsenter --target {} --cgroup ", read_from.pid),
                false => String::new(),
            };
            let command = format!("{enter}findmnt --task {} {}", read_from.pid, quote(&mount.target));
            let meaning = format!("{} {}", meaning(mount, times), groups.of(mount));
            about.row(&key, mount.summary(), source.clone(), command, meaning.trim_end());
        }
    }
}

/// Who is in which peer group: members and listeners by its number, as places in mount namespaces.
#[derive(Default)]
struct Groups {
    members: BTreeMap<u32, Vec<String>>,
    slaves: BTreeMap<u32, Vec<String>>,
}

impl Groups {
    fn of_all(sheet: &Sheet<'_>) -> Self {
        let mut groups = Self::default();
        for (inode, reading) in &sheet.observation.mounts {
            let whose = sheet.member(Namespace::Mnt, *inode).map(|it| sheet.subject(it)).unwrap_or_default();
            for mount in reading.value().into_iter().flatten() {
                let place = || format!("{} of {whose}", mount.target);
                if let Some(group) = mount.group("shared") {
                    groups.members.entry(group).or_default().push(place());
                }
                if let Some(group) = mount.group("master") {
                    groups.slaves.entry(group).or_default().push(place());
                }
            }
        }
        groups
    }

    /// Who else is in the groups of a mount, in words.
    fn of(&self, mount: &Mount) -> String {
        let list = |map: &BTreeMap<u32, Vec<String>>, group| map.get(&group).map(|it: &Vec<String>| it.join(", "));
        let mut words = Vec::new();
        if let Some(group) = mount.group("shared") {
            words.extend(list(&self.members, group).map(|all| format!("Peer group {group}: {all}.")));
            words.extend(list(&self.slaves, group).map(|all| format!("Slaves of it: {all}.")));
        }
        if let Some(group) = mount.group("master") {
            let master = list(&self.members, group);
            let master = master.unwrap_or_else(|| "in no mount namespace that can be seen here".to_owned());
            words.push(format!("Its master is peer group {group}: {master}."));
        }
        if let Some(group) = mount.group("propagate_from") {
            words.push(format!("Of the groups below this root, {group} is the nearest that mounts come from."));
        }
        words.join(" ")
    }
}

fn meaning(mount: &Mount, times: u32) -> String {
    let what = match mount.fstype.as_str() {
        "proc" => "A proc: it shows the processes of the pid namespace that it was mounted from".to_owned(),
        "overlay" => {
            "An overlay: what is written goes to the upper directory, what is not there comes from below".to_owned()
        }
        "tmpfs" => "A tmpfs: files in memory, gone with the last mount of it".to_owned(),
        "sysfs" => "A sysfs: the kernel's devices, as its network namespace sees them".to_owned(),
        "cgroup" | "cgroup2" => "The tree of cgroups: directories are groups, files are their limits".to_owned(),
        other if mount.root == "/" => format!("A file system of type {other}"),
        other => format!("The directory {} of a file system of type {other}", mount.root),
    };
    let stacked = if times > 1 { "; it hides the mount below it at the same place" } else { "" };
    let propagation = match mount.propagation.first().map(|field| field.split(':').next().unwrap_or_default()) {
        None => "Private: what is mounted below it stays in this mount namespace.",
        Some("shared") => "Shared: what is mounted below it appears at every peer of its group as well.",
        Some("master") => "A slave: it receives mounts from its master group, and passes none back.",
        Some("unbindable") => "Unbindable: private, and it can not be bind mounted.",
        Some(_) => "It takes part in propagation (mount_namespaces(7)).",
    };
    format!("{what}{stacked}. {propagation}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// A field as the kernel writes it.
    fn escape(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in text {
            match byte {
                b' ' | b'\t' | b'\n' | b'\\' | b'#' => out.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
                other => out.push(*other),
            }
        }
        out
    }

    fn line(mount: &Mount) -> Vec<u8> {
        let field = |text: &str| String::from_utf8(escape(text.as_bytes())).unwrap();
        let optional: String = mount.propagation.iter().map(|it| format!(" {it}")).collect();
        format!(
            "{} {} {} {} {} {}{optional} - {} {} {}",
            mount.id,
            mount.parent,
            mount.device,
            field(&mount.root),
            field(&mount.target),
            field(&mount.options),
            field(&mount.fstype),
            field(&mount.source),
            field(&mount.super_options),
        )
        .into_bytes()
    }

    #[test]
    fn the_example_of_the_man_page() {
        let text =
            b"36 35 98:0 /mnt1 /mnt2\\040x rw,noatime master:1 propagate_from:7 - ext3 /dev/root rw,errors=continue\n";
        let mounts = parse_mountinfo(text).unwrap();
        let [mount] = mounts.as_slice() else { panic!("one line") };
        assert_eq!((mount.id, mount.parent, mount.device.as_str()), (36, 35, "98:0"));
        assert_eq!((mount.root.as_str(), mount.target.as_str()), ("/mnt1", "/mnt2 x"));
        assert_eq!(mount.propagation, ["master:1", "propagate_from:7"]);
        assert_eq!((mount.fstype.as_str(), mount.source.as_str()), ("ext3", "/dev/root"));
        assert_eq!(
            mount.summary(),
            "ext3 /dev/root[/mnt1] rw,noatime master:1,propagate_from:7; file system: errors=continue"
        );
    }

    #[test]
    fn a_source_may_be_empty_and_a_line_may_not_be_cut() {
        let mount = parse_mountinfo(b"1 0 0:1 / / rw - tmpfs  rw").unwrap().remove(0);
        assert_eq!((mount.source.as_str(), mount.super_options.as_str()), ("", "rw"));
        assert_eq!(mount.summary(), "tmpfs  rw private");
        for text in
            [&b"1 0 0:1 / / rw"[..], b"1 0 0:1 / / rw -", b"1 0 0:1 / / rw - tmpfs", b"1 0 0:1 / / rw - tmpfs x", b"x"]
        {
            assert!(parse_mountinfo(text).is_err());
        }
        assert_eq!(parse_mountinfo(b"").unwrap(), []);
    }

    #[test]
    fn escapes_are_undone_once_and_only_whole_ones() {
        assert_eq!(unescape(b"a\\040b\\134040\\04\\9\\400\\"), "a b\\040\\04\\9\\400\\");
        assert_eq!(unescape(b"\xff\\377"), "\u{fffd}\u{fffd}");
    }

    proptest! {
        #[test]
        fn lines_round_trip(
            id in any::<u32>(), parent in any::<u32>(), (major, minor) in any::<(u16, u16)>(),
            root in ".*", target in "/.*", options in "[a-z,=]{1,40}",
            propagation in proptest::collection::vec("(shared|master|propagate_from):[0-9]{1,4}", 0..4),
            fstype in "[a-z0-9.]{1,12}", source in ".*", super_options in ".*",
        ) {
            let device = format!("{major}:{minor}");
            let mounted = Mounted { device, root, target, options, fstype, source, super_options };
            let mount = Mount { id, parent, propagation, mounted: Arc::new(mounted) };
            prop_assert_eq!(parse_mountinfo(&line(&mount)), Ok(vec![mount]));
        }

        #[test]
        fn fields_round_trip(text in any::<String>()) {
            prop_assert_eq!(unescape(&escape(text.as_bytes())), text);
        }

        #[test]
        fn no_text_makes_it_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_mountinfo(&text);
        }

        #[test]
        fn no_nearly_right_text_makes_it_panic(text in "[0-9]{1,11} ?[0-9]{0,3} ?[0-9:]{0,5}[ /a-z\\\\0-9:-]{0,60}") {
            let _ = parse_mountinfo(text.as_bytes());
        }
    }
}

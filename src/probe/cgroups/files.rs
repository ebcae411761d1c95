//! The files of a cgroup that are shown: names of both versions, and what they mean (cgroups(7), the kernel's
//! `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/`).

/// The longest value on one line of the screen, in characters.
const LONGEST: usize = 90;

/// The files that are read, sorted by name, with their meanings. Of long ones only what a lesson speaks of is shown.
pub const ALL: &[(&str, &str)] = &[
    (
        "blkio.throttle.io_service_bytes",
        "Version 1: bytes that passed the throttle, for each disk. Version 2: io.stat.",
    ),
    (
        "blkio.throttle.read_bps_device",
        "Version 1: the most bytes a second that are read from a disk. Version 2: io.max, rbps.",
    ),
    (
        "blkio.throttle.write_bps_device",
        "Version 1: the most bytes a second that are written to a disk. Version 2: io.max, wbps.",
    ),
    (
        "cgroup.controllers",
        "The controllers that this group may use and hand down: those in cgroup.subtree_control of the group above.",
    ),
    ("cgroup.events", "populated: whether a process lives in it or below. frozen: whether all of them stand still."),
    ("cgroup.freeze", "1 stops every process in it and below. Version 1: freezer.state."),
    (
        "cgroup.subtree_control",
        "The controllers that the groups below this one have. A group with one here holds no process itself.",
    ),
    (
        "cpu.cfs_period_us",
        "Version 1: the length of a period in microseconds. Version 2: the second number of cpu.max.",
    ),
    (
        "cpu.cfs_quota_us",
        "Version 1: the microseconds of processor time in each period; -1: no limit. Version 2: the first number of cpu.max.",
    ),
    (
        "cpu.max",
        "Microseconds of processor time in each period, and the length of a period. `max`: no limit. Version 1: cpu.cfs_quota_us.",
    ),
    (
        "cpu.pressure",
        "PSI: the share of time in which some task waited for a processor, in the last 10, 60 and 300 seconds.",
    ),
    (
        "cpu.shares",
        "Version 1: its part of the processors when there are not enough, 1024 by default. Version 2: cpu.weight.",
    ),
    ("cpu.stat", "Processor time used, and nr_throttled: how many periods ended early because the quota was used up."),
    ("cpu.weight", "Its part of the processors when there are not enough, 100 by default. Version 1: cpu.shares."),
    ("cpuacct.usage", "Version 1: the processor time that was used, in nanoseconds. Version 2: cpu.stat, usage_usec."),
    ("cpuset.cpus", "The processors on which its tasks may run. Empty in version 2: those of the group above."),
    ("cpuset.cpus.effective", "The processors on which its tasks may run after all."),
    (
        "cpuset.mems",
        "The memory nodes that its tasks may use. In version 1 it must be set before a process can be in the group.",
    ),
    (
        "devices.list",
        "Version 1: which devices may be used: type, major:minor, read, write, mknod. Version 2 has no file; a BPF program decides.",
    ),
    ("freezer.state", "Version 1: FROZEN: all its processes stand still; THAWED: they run. Version 2: cgroup.freeze."),
    ("hugetlb.2MB.current", "Bytes in huge pages of 2 MiB that are in use."),
    ("hugetlb.2MB.events", "max: how often a limit of huge pages refused some."),
    ("hugetlb.2MB.limit_in_bytes", "Version 1: the most bytes in huge pages of 2 MiB. Version 2: hugetlb.2MB.max."),
    ("hugetlb.2MB.max", "The most bytes in huge pages of 2 MiB."),
    ("hugetlb.2MB.rsvd.current", "Bytes in huge pages of 2 MiB that are reserved: mapped, and touched or not."),
    (
        "hugetlb.2MB.rsvd.failcnt",
        "Version 1: how often the limit of reserved huge pages refused some. Version 2: hugetlb.2MB.events, max.",
    ),
    (
        "hugetlb.2MB.rsvd.limit_in_bytes",
        "Version 1: the most bytes in huge pages of 2 MiB that may be reserved. Version 2: hugetlb.2MB.rsvd.max.",
    ),
    (
        "hugetlb.2MB.rsvd.max",
        "The most bytes in huge pages of 2 MiB that may be reserved; beyond it mmap(2) fails. Version 1: rsvd.limit_in_bytes.",
    ),
    (
        "hugetlb.2MB.usage_in_bytes",
        "Version 1: bytes in huge pages of 2 MiB that are in use. Version 2: hugetlb.2MB.current.",
    ),
    ("io.max", "The most bytes and operations a second for each disk. Version 1: blkio.throttle.*_device."),
    ("io.pressure", "PSI: the share of time in which some task waited for a disk, in the last 10, 60 and 300 seconds."),
    ("io.stat", "Bytes and operations for each disk."),
    ("memory.current", "Bytes in use, page cache included. Version 1: memory.usage_in_bytes."),
    ("memory.events", "high, max: how often these limits were met. oom_kill: how many processes were killed for it."),
    ("memory.failcnt", "Version 1: how often the limit was met. Version 2: memory.events, max."),
    ("memory.high", "Above this many bytes its tasks are slowed down and must give memory back; nobody is killed."),
    ("memory.limit_in_bytes", "Version 1: the most bytes; beyond them processes are killed. Version 2: memory.max."),
    ("memory.max", "The most bytes; beyond them processes are killed. Version 1: memory.limit_in_bytes."),
    (
        "memory.memsw.limit_in_bytes",
        "Version 1: the most bytes of memory and swap together. Version 2: memory.swap.max, for swap alone.",
    ),
    (
        "memory.oom_control",
        "Version 1: whether processes are paused instead of killed, and oom_kill: how many were killed.",
    ),
    (
        "memory.pressure",
        "PSI: the share of time in which some task waited for memory, in the last 10, 60 and 300 seconds.",
    ),
    ("memory.swap.max", "The most bytes that may be swapped out."),
    ("memory.usage_in_bytes", "Version 1: bytes in use, page cache included. Version 2: memory.current."),
    (
        "net_cls.classid",
        "Version 1: the mark that the group's packets carry. Version 2 has none: nft looks at the cgroup itself.",
    ),
    ("net_prio.ifpriomap", "Version 1: the priority of its packets on each link. Version 2 has none."),
    ("pids.current", "How many tasks (processes and threads) are in it and below."),
    ("pids.events", "max: how often a fork was refused because of the limit."),
    ("pids.max", "The most tasks; a fork beyond it fails with EAGAIN."),
];

/// Whether a file is one of those that are read.
pub fn is_shown(name: &str) -> bool {
    ALL.binary_search_by(|(known, _)| known.cmp(&name)).is_ok()
}

/// Files that tell how much of a processor, of memory and of disks is used.
const USE: [&str; 9] = [
    "blkio.throttle.io_service_bytes",
    "cpu.pressure",
    "cpu.stat",
    "cpuacct.usage",
    "io.pressure",
    "io.stat",
    "memory.current",
    "memory.pressure",
    "memory.usage_in_bytes",
];

/// Whether a file changes by whatever a process of the group does, a call that fails included.
pub fn is_use(name: &str) -> bool {
    USE.contains(&name)
}

/// What a file means.
pub fn meaning(name: &str) -> &'static str {
    ALL.iter().find(|(known, _)| *known == name).map_or("A file of the group.", |(_, meaning)| meaning)
}

/// The word for the number behind that of a disk, in [`number`].
pub const OF_DISK: &str = "MAJ:MIN";

/// A number in the text of a file: the first word of all, or behind a word: `oom_kill 1`, `rbps=1048576`; the first one where
/// several are. Behind [`OF_DISK`] it is the one after the number of the first disk: `254:0 1048576`.
pub fn number(text: &str, key: Option<&str>) -> Option<u64> {
    let number = match key {
        None => text.split_whitespace().next()?,
        Some(OF_DISK) => text.lines().find_map(|line| line.split_once(' ').filter(|(disk, _)| disk.contains(':')))?.1,
        Some(key) => {
            let line = || text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
            let pair = || text.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            line().or_else(pair)?
        }
    };
    number.trim().parse().ok()
}

/// A text of several lines on one, cut where it is too long.
pub(super) fn on_one_line(text: &str) -> String {
    let line = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ");
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None if line.is_empty() => "(empty)".to_owned(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_found() {
        assert!(ALL.is_sorted_by(|one, other| one.0 < other.0));
        assert!(is_shown("memory.max") && !is_shown("memory.maximum"));
        assert!(meaning("cpu.max").contains("period"));
        assert!(USE.into_iter().all(is_shown) && !is_use("pids.current"));
    }

    #[test]
    fn numbers_stand_alone_or_behind_a_word() {
        assert_eq!(number("20971520\n", None), Some(20_971_520));
        assert_eq!(number("max\n", None), None);
        assert_eq!(number("low 0\noom 3\noom_kill 2\n", Some("oom_kill")), Some(2));
        assert_eq!(number("low 0\n", Some("oom")), None);
        assert_eq!(number("254:0 rbps=1048576 wbps=max riops=max wiops=max\n", Some("rbps")), Some(1_048_576));
        assert_eq!(number("254:0 rbps=1048576 wbps=max\n", Some("wbps")), None);
        assert_eq!(number("some avg10=0.00 total=7\nfull avg10=0.00 total=3\n", Some("total")), Some(7));
        assert_eq!(number("254:0 1048576\n254:16 9\n", Some(OF_DISK)), Some(1_048_576));
        assert_eq!(number("254:0 Read 4096\n254:0 Total 4096\nTotal 4096\n", Some("Total")), Some(4096));
        assert_eq!(number("", Some(OF_DISK)), None);
        assert_eq!(on_one_line("a 1\nb 2\n"), "a 1, b 2");
    }
}

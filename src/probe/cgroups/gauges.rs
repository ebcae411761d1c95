//! What of a group is worth a look several times a second: how much it uses, beside its limit. A few files and no more.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::{Group, files};
use crate::kernel::children::monotonic;
use crate::probe::Reading;

/// The most files that are read in one go.
const MAX_FILES: usize = 512;

/// The most that is read of one file, in bytes.
const MAX_FILE: u64 = 4096;

/// From here on a limit of version 1 is none: it is the largest number of pages that the kernel counts, in bytes.
const UNLIMITED: u64 = 1 << 62;

/// What is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Bytes of memory.
    Memory,
    /// Processes and threads.
    Tasks,
    /// Processor time, in thousandths of one processor.
    Cpu,
    /// Time for which tasks were held back because the quota was used up, in thousandths of the time that passed.
    Throttled,
    /// Bytes in huge pages.
    HugePages,
}

/// A file whose number can be drawn over time.
#[derive(Debug, PartialEq, Eq)]
pub struct Gauge {
    /// What it tells of.
    pub what: What,
    /// The file.
    pub file: &'static str,
    /// The word before the number, where it is not the first of the file.
    key: Option<&'static str>,
    /// Of a number that only grows: how many nanoseconds one of it is.
    nanos: Option<u64>,
    /// The files with the limit: a number, or a quota and its period.
    pub limits: &'static [&'static str],
}

/// Those that there are. Of a group that has several for one thing, the first is taken.
const ALL: [Gauge; 8] = [
    gauge(What::Memory, "memory.current", &["memory.max"]),
    gauge(What::Memory, "memory.usage_in_bytes", &["memory.limit_in_bytes"]),
    gauge(What::Tasks, "pids.current", &["pids.max"]),
    Gauge { key: Some("usage_usec"), nanos: Some(1000), ..gauge(What::Cpu, "cpu.stat", &["cpu.max"]) },
    Gauge { nanos: Some(1), ..gauge(What::Cpu, "cpuacct.usage", &[]) },
    // Where cpuacct is a hierarchy of its own, the groups of cpu do not tell what they have used.
    Gauge {
        key: Some("throttled_time"),
        nanos: Some(1),
        ..gauge(What::Throttled, "cpu.stat", &["cpu.cfs_quota_us", "cpu.cfs_period_us"])
    },
    gauge(What::HugePages, "hugetlb.2MB.current", &["hugetlb.2MB.max"]),
    gauge(What::HugePages, "hugetlb.2MB.usage_in_bytes", &["hugetlb.2MB.limit_in_bytes"]),
];

const fn gauge(what: What, file: &'static str, limits: &'static [&'static str]) -> Gauge {
    Gauge { what, file, key: None, nanos: None, limits }
}

impl Gauge {
    /// Those of a group: where the file has been read, and the limit's files with it.
    pub fn of(group: &Group) -> impl Iterator<Item = &'static Self> {
        let has = |file: &&str| group.files.contains_key(*file);
        ALL.iter().filter(move |gauge| gauge.limits.iter().all(has) && group.number(gauge.file, gauge.key).is_some())
    }

    /// The number in the text of its file.
    pub fn number(&self, text: &str) -> Option<u64> {
        files::number(text, self.key)
    }

    /// How much of a group is used, where the file says that by itself and not only by what it has grown.
    pub fn level(&self, group: &Group) -> Option<u64> {
        group.number(self.file, self.key).filter(|_| self.nanos.is_none())
    }

    /// How much is used, in the unit of [`What`]: the number itself; or of one that grows what it has grown by in so many
    /// nanoseconds. None where it has become less: it is another group's.
    pub fn used(&self, before: Option<(u64, u64)>, now: (u64, u64)) -> Option<u64> {
        let Some(nanos) = self.nanos else { return Some(now.1) };
        let (at, number) = before?;
        let (time, grown) = (now.0.checked_sub(at)?, now.1.checked_sub(number)?);
        let thousandths = u128::from(grown) * u128::from(nanos) * 1000 / u128::from(time.max(1));
        u64::try_from(thousandths).ok()
    }

    /// The limit in the unit of [`What`], and that of processors for [`What::Throttled`]; none where there is none.
    pub fn limit(&self, group: &Group) -> Option<u64> {
        match (self.what, self.limits) {
            (What::Cpu, [file]) => {
                let text = group.files.get(*file)?.value()?;
                let (quota, period) = text.split_once(' ')?;
                share(quota.parse().ok()?, period.trim().parse().ok()?)
            }
            (_, [quota, period]) => share(group.number(quota, None)?, group.number(period, None)?),
            (_, [file]) => group.number(file, None).filter(|bytes| *bytes < UNLIMITED),
            _ => None,
        }
    }
}

/// A quota in thousandths of its period.
fn share(quota: u64, period: u64) -> Option<u64> {
    quota.checked_mul(1000)?.checked_div(period)
}

/// What a few files said at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauged {
    /// When: CLOCK_MONOTONIC in nanoseconds.
    pub at: u64,
    /// Their texts, by their paths.
    pub texts: BTreeMap<String, Reading<String>>,
}

impl Gauged {
    /// Reads these files, by their paths here, and nothing else.
    pub fn read(paths: &[String]) -> Self {
        let mut buffer = Vec::with_capacity(1024);
        let mut text = |path: &String| -> io::Result<String> {
            buffer.clear();
            File::open(path)?.take(MAX_FILE).read_to_end(&mut buffer)?;
            Ok(String::from_utf8_lossy(&buffer).into_owned())
        };
        let at = monotonic();
        Self { at, texts: paths.iter().take(MAX_FILES).map(|path| (path.clone(), text(path).into())).collect() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn group(files: &[(&str, &str)]) -> Group {
        let read = |(name, text): &(&str, &str)| ((*name).to_owned(), Reading::Value((*text).to_owned()));
        let members = Reading::Value(Vec::new());
        Group {
            directory: "/lab/cgroup/web".to_owned(),
            members,
            device_programs: None,
            files: files.iter().map(read).collect(),
        }
    }

    fn seen(files: &[(&str, &str)]) -> Vec<(What, &'static str, Option<u64>)> {
        let group = group(files);
        Gauge::of(&group).map(|gauge| (gauge.what, gauge.file, gauge.limit(&group))).collect()
    }

    #[test]
    fn both_versions_have_their_files() {
        let v2 = [
            ("memory.current", "4096"),
            ("memory.max", "20971520"),
            ("pids.current", "2"),
            ("pids.max", "max"),
            ("cpu.stat", "usage_usec 5\nnr_throttled 1"),
            ("cpu.max", "20000 100000"),
        ];
        let expected = [
            (What::Memory, "memory.current", Some(20_971_520)),
            (What::Tasks, "pids.current", None),
            (What::Cpu, "cpu.stat", Some(200)),
        ];
        assert_eq!(seen(&v2), expected);
        let v1 = [
            ("memory.usage_in_bytes", "0"),
            ("memory.limit_in_bytes", "9223372036854771712"),
            ("cpu.stat", "nr_periods 9\nthrottled_time 3"),
            ("cpu.cfs_quota_us", "50000"),
            ("cpu.cfs_period_us", "100000"),
            ("cpuacct.usage", "77"),
        ];
        let expected = [
            (What::Memory, "memory.usage_in_bytes", None),
            (What::Cpu, "cpuacct.usage", None),
            (What::Throttled, "cpu.stat", Some(500)),
        ];
        assert_eq!(seen(&v1), expected);
        // Without the controller the file is there, but there is no limit to look at.
        assert_eq!(seen(&[("cpu.stat", "usage_usec 5")]), []);
        assert_eq!(seen(&[("cpu.stat", "usage_usec 5"), ("cpu.max", "max 100000")]), [(What::Cpu, "cpu.stat", None)]);
    }

    #[test]
    fn what_grows_is_a_share_of_the_time() {
        let cpu = &ALL[3];
        assert_eq!(cpu.number("usage_usec 250\nuser_usec 1\n"), Some(250));
        // 50 ms of processor time in a quarter of a second.
        assert_eq!(cpu.used(Some((0, 1000)), (250_000_000, 51_000)), Some(200));
        assert_eq!(cpu.used(None, (250_000_000, 51_000)), None);
        assert_eq!(cpu.used(Some((0, 1000)), (250_000_000, 999)), None);
        assert_eq!(cpu.used(Some((5, 0)), (5, u64::MAX)), None);
        let memory = &ALL[0];
        assert_eq!(memory.used(None, (7, 4096)), Some(4096));
    }

    #[test]
    fn files_are_read_as_they_are_and_missing_ones_say_why() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pids.current");
        std::fs::write(&path, "3\n").unwrap();
        let path = path.to_str().unwrap().to_owned();
        let gone = format!("{path}.gone");
        let read = Gauged::read(&[path.clone(), gone.clone()]);
        assert_eq!(read.texts[&path], Reading::Value("3\n".to_owned()));
        assert!(matches!(read.texts[&gone], Reading::Missing(_)));
        assert!(Gauged::read(&[]).at >= read.at);
    }
}

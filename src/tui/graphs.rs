//! What the graphs of the cgroup panel are drawn from: the last samples of each value that is seen, and no more of them.

use std::collections::{BTreeMap, VecDeque};

use crate::probe::cgroups::gauges::{Gauge, Gauged};

/// How many samples are kept of each value: a quarter of a minute.
pub const KEPT: usize = 60;

/// One value over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// When it was read last (nanoseconds), and the number.
    last: Option<(u64, u64)>,
    /// How much was used, the newest last; none where nobody looked, or nothing could be read.
    values: VecDeque<Option<u64>>,
}

impl Series {
    /// The values, the newest last.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = Option<u64>> + ExactSizeIterator {
        self.values.iter().copied()
    }

    /// The newest one.
    pub fn now(&self) -> Option<u64> {
        self.values.back().copied().flatten()
    }

    /// The largest one; none where there are none.
    pub fn most(&self) -> Option<u64> {
        self.values().flatten().max()
    }

    fn push(&mut self, value: Option<u64>) {
        if self.values.len() == KEPT {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }

    /// From here on nobody looked: what comes next does not join what was.
    fn pause(&mut self) {
        self.last = None;
        if self.now().is_some() {
            self.push(None);
        }
    }
}

/// The graphs that are seen, and the values of all whose groups are there.
#[derive(Debug, Default)]
pub struct Graphs {
    /// Files and what is in them; empty where no graph is seen.
    seen: BTreeMap<String, &'static Gauge>,
    series: BTreeMap<String, Series>,
    /// Whether an answer is awaited: while the walker is busy with a step, nothing piles up.
    asked: bool,
    version: u64,
    /// When the first process of the lab host began.
    lab: Option<u64>,
    /// The directories of groups of which the kernel was asked to tell.
    pub watched: Vec<String>,
    /// Whether it was asked to tell of networks.
    pub networks: bool,
}

impl Graphs {
    /// The value of a group's gauge over time; the group is called by its directory.
    pub fn series(&self, directory: &str, gauge: &Gauge) -> Option<&Series> {
        self.series.get(&path(directory, gauge))
    }

    /// Whether any graph is seen, and so anything is to be asked for.
    pub fn any(&self) -> bool {
        !self.seen.is_empty()
    }

    /// Counts what came that makes a graph look otherwise.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The lab host is the one that began then; of another one everything is forgotten.
    pub fn begin(&mut self, lab: Option<u64>) {
        if self.lab != lab {
            self.clear();
            self.watched.clear();
            self.networks = false;
            self.lab = lab;
        }
    }

    /// Forgets what was seen.
    pub fn clear(&mut self) {
        self.seen.clear();
        self.series.clear();
    }

    /// These are the gauges of the groups that there are, by the groups' directories, and whether they are seen. What is not
    /// among them any more is forgotten; what is seen again has a gap for the time between.
    pub fn see<'a>(&mut self, there: impl Iterator<Item = (&'a str, &'static Gauge)>, are_seen: bool) {
        let there: BTreeMap<String, &'static Gauge> =
            there.map(|(directory, gauge)| (path(directory, gauge), gauge)).collect();
        self.series.retain(|file, _| there.contains_key(file));
        if are_seen && self.seen.is_empty() {
            self.series.values_mut().for_each(Series::pause);
        }
        self.seen = if are_seen { there } else { BTreeMap::new() };
    }

    /// The files to be read now; none where no graph is seen, or where those before have not come yet.
    pub fn ask(&mut self) -> Option<Vec<String>> {
        if self.asked || self.seen.is_empty() {
            return None;
        }
        self.asked = true;
        Some(self.seen.keys().cloned().collect())
    }

    /// Takes in what the files said. What was asked for and is not seen any more is left out.
    pub fn take(&mut self, gauged: &Gauged) {
        self.asked = false;
        for (path, text) in &gauged.texts {
            let Some(gauge) = self.seen.get(path) else { continue };
            let series = self.series.entry(path.clone()).or_default();
            let before = series.values.clone();
            let now = text.value().and_then(|text| gauge.number(text)).map(|number| (gauged.at, number));
            let used = now.and_then(|now| gauge.used(series.last, now));
            series.last = now;
            // The first number of one that grows says nothing yet.
            if used.is_some() || series.now().is_some() {
                series.push(used);
            }
            self.version += u64::from(before != series.values);
        }
    }
}

fn path(directory: &str, gauge: &Gauge) -> String {
    format!("{directory}/{}", gauge.file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::probe::Reading;
    use crate::probe::cgroups::Group;

    const WEB: &str = "/lab/cgroup/web";

    fn gauges(names: &[(&str, &str)]) -> Vec<&'static Gauge> {
        let files = names.iter().map(|(name, text)| ((*name).to_owned(), Reading::Value((*text).to_owned()))).collect();
        Gauge::of(&Group {
            directory: WEB.to_owned(),
            members: Reading::Value(Vec::new()),
            device_programs: None,
            files,
        })
        .collect()
    }

    fn memory() -> &'static Gauge {
        gauges(&[("memory.current", "0"), ("memory.max", "max")])[0]
    }

    fn cpu() -> &'static Gauge {
        gauges(&[("cpu.stat", "usage_usec 0"), ("cpu.max", "max 100000")])[0]
    }

    fn said(at: u64, texts: &[(&str, &str)]) -> Gauged {
        let text = |(file, text): &(&str, &str)| (format!("{WEB}/{file}"), Reading::Value((*text).to_owned()));
        Gauged { at, texts: texts.iter().map(text).collect() }
    }

    fn values(graphs: &Graphs, gauge: &Gauge) -> Vec<Option<u64>> {
        graphs.series(WEB, gauge).map(|series| series.values().collect()).unwrap_or_default()
    }

    #[test]
    fn only_what_is_seen_is_asked_for_and_once() {
        let mut graphs = Graphs::default();
        assert_eq!(graphs.ask(), None);
        graphs.see([(WEB, memory())].into_iter(), false);
        assert!(!graphs.any() && graphs.ask().is_none());
        graphs.see([(WEB, memory())].into_iter(), true);
        assert_eq!(graphs.ask(), Some(vec![format!("{WEB}/memory.current")]));
        assert_eq!(graphs.ask(), None);
        graphs.take(&said(1, &[("memory.current", "4096\n")]));
        assert!(graphs.ask().is_some());
        // The answer comes when nobody looks any more.
        graphs.see([(WEB, memory())].into_iter(), false);
        graphs.take(&said(2, &[("memory.current", "8192")]));
        assert_eq!(values(&graphs, memory()), [Some(4096)]);
    }

    #[test]
    fn no_more_is_kept_than_a_quarter_of_a_minute() {
        let mut graphs = Graphs::default();
        graphs.see([(WEB, memory())].into_iter(), true);
        for at in 0..200_u64 {
            graphs.take(&said(at, &[("memory.current", &at.to_string())]));
        }
        let kept = values(&graphs, memory());
        assert_eq!((kept.len(), kept[0], kept[KEPT - 1]), (KEPT, Some(140), Some(199)));
        let version = graphs.version();
        for at in 200..260 {
            graphs.take(&said(at, &[("memory.current", "7")]));
        }
        let still = graphs.version();
        assert!(still > version);
        graphs.take(&said(260, &[("memory.current", "7")]));
        assert_eq!(graphs.version(), still, "a flat line that shifts looks the same");
    }

    #[test]
    fn what_was_not_seen_is_a_gap_and_what_is_gone_is_forgotten() {
        let mut graphs = Graphs::default();
        let both = || [(WEB, memory()), (WEB, cpu())].into_iter();
        graphs.see(both(), true);
        graphs.take(&said(0, &[("memory.current", "1"), ("cpu.stat", "usage_usec 0")]));
        graphs.take(&said(1_000_000, &[("memory.current", "2"), ("cpu.stat", "usage_usec 500")]));
        assert_eq!(values(&graphs, cpu()), [Some(500)]);
        graphs.see(both(), false);
        graphs.see(both(), true);
        graphs.see(both(), true);
        graphs.take(&said(9_000_000, &[("memory.current", "3"), ("cpu.stat", "usage_usec 900")]));
        assert_eq!(values(&graphs, memory()), [Some(1), Some(2), None, Some(3)]);
        assert_eq!(values(&graphs, cpu()), [Some(500), None], "time in which nobody looked is not measured");
        // Another group of that name: its number begins again.
        graphs.take(&said(10_000_000, &[("cpu.stat", "usage_usec 5")]));
        graphs.take(&said(11_000_000, &[("cpu.stat", "usage_usec 105")]));
        assert_eq!(values(&graphs, cpu()), [Some(500), None, Some(100)]);
        graphs.see([(WEB, cpu())].into_iter(), true);
        assert!(graphs.series(WEB, memory()).is_none());
    }
}

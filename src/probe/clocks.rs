//! Clocks: what a time namespace shifts, as it was written and as it is measured (time_namespaces(7)).

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::reader::each;
use super::reader::files::readable;
use super::rows::Sheet;
use super::{Observation, Panel, Process, Reader, Reading};
use crate::kernel::enter;
use crate::kernel::namespace::Namespace;

/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// What is known of a time namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// `timens_offsets`, read through a process whose children are born there; none where there is no such process.
    pub written: Option<Reading<Offsets>>,
    /// What the clocks said there; none where no process is there yet. Then nobody may look either: who enters a time
    /// namespace freezes its offsets.
    pub measured: Option<Reading<Measured>>,
}

/// The offsets of a time namespace, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offsets {
    /// Of CLOCK_MONOTONIC: seconds, nanoseconds.
    pub monotonic: (i64, u32),
    /// Of CLOCK_BOOTTIME: seconds, nanoseconds.
    pub boottime: (i64, u32),
}

/// What the clocks of a time namespace say, compared with those of the reader. Whole seconds, because everything finer would
/// be another number each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// By how much CLOCK_MONOTONIC is ahead, in seconds.
    pub monotonic: i64,
    /// By how much CLOCK_BOOTTIME is ahead, in seconds.
    pub boottime: i64,
    /// By how much CLOCK_REALTIME is ahead, in seconds.
    pub realtime: i64,
    /// Whole days of CLOCK_BOOTTIME: how long the machine seems to be up.
    pub days_up: i64,
}

impl Measured {
    /// From nanoseconds ahead of the reader's clocks, and the reader's CLOCK_BOOTTIME.
    fn new([monotonic, boottime, realtime]: [i128; 3], up: i128) -> Self {
        let whole = |nanos: i128| i64::try_from((nanos + SECOND / 2).div_euclid(SECOND)).unwrap_or(i64::MAX);
        let days_up = i64::try_from((up + boottime).div_euclid(SECOND * i128::from(DAY))).unwrap_or(i64::MAX);
        Self { monotonic: whole(monotonic), boottime: whole(boottime), realtime: whole(realtime), days_up }
    }
}

/// Parses the text of timens_offsets (time_namespaces(7)): on each line clock, seconds, nanoseconds.
pub fn parse_offsets(text: &[u8]) -> Option<Offsets> {
    let (mut monotonic, mut boottime) = (None, None);
    for line in std::str::from_utf8(text).ok()?.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [clock, seconds, nanos] = words[..] else { return None };
        let offset = (seconds.parse().ok()?, nanos.parse().ok()?);
        match clock {
            "monotonic" => monotonic = Some(offset),
            "boottime" => boottime = Some(offset),
            // A kernel to come may shift more clocks.
            _ => {}
        }
    }
    Some(Offsets { monotonic: monotonic?, boottime: boottime? })
}

/// The clocks of every time namespace, by its inode. The calling thread **enters every foreign one that has processes, and stays
/// in the last**.
pub(super) fn read(reader: &mut Reader, observation: &Observation) -> BTreeMap<u64, Clocks> {
    let mut clocks: BTreeMap<u64, Clocks> = BTreeMap::new();
    let written = each(observation, Namespace::TimeForChildren, |process| {
        let path = reader.proc.join(format!("{}/timens_offsets", process.pid));
        reader.parsed(&path, |text| parse_offsets(text).ok_or_else(|| readable(text)))
    });
    for (inode, written) in written {
        clocks.entry(inode).or_default().written = Some(written);
    }
    for (inode, measured) in measure(reader, observation) {
        clocks.entry(inode).or_default().measured = Some(measured);
    }
    clocks
}

fn measure(reader: &mut Reader, observation: &Observation) -> BTreeMap<u64, Reading<Measured>> {
    let own = reader.own_inode(Namespace::Time);
    let home = enter::clocks();
    // How far the namespace that this thread is in now is ahead of the one in which it began.
    let mut here = [0; 3];
    let mut enter_and_compare = |process: &Process| -> io::Result<Measured> {
        let up = home.as_ref().map_err(|error| io::Error::from(error.kind()))?[1];
        if process.namespaces.inode(Namespace::Time) == own {
            return Ok(Measured::new([0; 3], up));
        }
        let step = enter::time_ahead(&*reader.namespace(process, Namespace::Time)?)?;
        here = [0, 1, 2].map(|at| here[at] + step[at]);
        Ok(Measured::new(here, up))
    };
    each(observation, Namespace::Time, |process| enter_and_compare(process).into())
}

/// The rows of the clocks panel: for each process with a word of its own, and for each time namespace without any.
pub(super) fn rows(sheet: &mut Sheet<'_>) {
    let observation = sheet.observation;
    for (inode, process) in sheet.viewers(Namespace::Time, observation.clocks.keys()) {
        let Some(measured) = observation.clocks.get(&inode).and_then(|it| it.measured.as_ref()) else { continue };
        let pid = process.pid;
        let enter = if pid == sheet.names.host { String::new() } else { format!("nsenter --target {pid} --time ") };
        let born = process.namespaces.inode(Namespace::TimeForChildren);
        let written = born.and_then(|born| Some((born, observation.clocks.get(&born)?.written.as_ref()?)));
        let mut about = sheet.about(Panel::Clocks, process);
        let uptime = format!("{enter}cat /proc/uptime");
        let file = format!("/proc/{pid}/timens_offsets");
        let mut clock = |name: &str, ahead: fn(&Measured) -> i64, command: String, meaning: &str| {
            let source = format!("clock_gettime({name}) in the time namespace of pid {pid}, less that of the reader");
            let meaning = format!("Seconds ahead of the lab host's. {meaning}");
            about.row(name, measured.text(|it| format!("{:+} s", ahead(it))), source, command, meaning);
        };
        clock(
            "CLOCK_MONOTONIC",
            |it| it.monotonic,
            format!("cat {file}"),
            "Runs since some moment and never backwards; programs measure how long something takes by it.",
        );
        clock(
            "CLOCK_BOOTTIME",
            |it| it.boottime,
            uptime.clone(),
            "Time since the machine was started, sleep included; what uptime prints.",
        );
        clock(
            "CLOCK_REALTIME",
            |it| it.realtime,
            format!("{enter}date +%s"),
            "The time of day. No namespace shifts it: there is one for the whole machine.",
        );
        let days = measured.text(|it| format!("{} days", it.days_up));
        let source = format!("clock_gettime(CLOCK_BOOTTIME) in the time namespace of pid {pid}");
        about.row("up", days, source, uptime, "Whole days since the machine was started, as the process is told.");
        if let Some((born, written)) = written {
            let meaning = if born == inode {
                "The offsets of its time namespace, seconds and nanoseconds. They can't be changed any more."
            } else {
                "Not its own: the offsets of the time namespace that its children will be born into. They can be set until then."
            };
            about.row("timens_offsets", written.text(offsets_text), file.clone(), format!("cat {file}"), meaning);
        }
    }
}

fn offsets_text(it: &Offsets) -> String {
    let ((mono, mono_nanos), (boot, boot_nanos)) = (it.monotonic, it.boottime);
    format!("monotonic {mono} {mono_nanos}, boottime {boot} {boot_nanos}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Measured, Offsets, SECOND, offsets_text, parse_offsets};

    #[test]
    fn the_lines_of_the_file() {
        let text = b"monotonic      864000         0\nboottime           -5 500000000\n";
        let expected = Offsets { monotonic: (864_000, 0), boottime: (-5, 500_000_000) };
        assert_eq!(parse_offsets(text), Some(expected));
        assert_eq!(offsets_text(&expected), "monotonic 864000 0, boottime -5 500000000");
        for text in ["", "monotonic 0 0\n", "monotonic 0 0\nboottime 0\n", "monotonic x 0\nboottime 0 0\n"] {
            assert_eq!(parse_offsets(text.as_bytes()), None, "{text}");
        }
        assert!(parse_offsets(b"monotonic 0 0\nboottime 0 0\nother 1 1\n").is_some());
    }

    #[test]
    fn what_is_measured_is_rounded() {
        let it = Measured::new([864_000 * SECOND + 40_000, -SECOND + 900, 200], 3 * 86_400 * SECOND);
        assert_eq!((it.monotonic, it.boottime, it.realtime, it.days_up), (864_000, -1, 0, 2));
    }

    proptest! {
        #[test]
        fn offsets_round_trip(mono: i64, boot: i64, nanos in 0u32..1_000_000_000) {
            let it = Offsets { monotonic: (mono, nanos), boottime: (boot, 0) };
            prop_assert_eq!(parse_offsets(offsets_text(&it).replace(", ", "\n").as_bytes()), Some(it));
        }

        #[test]
        fn no_text_makes_it_panic(text in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = parse_offsets(&text);
        }
    }
}

//! What the clocks panel says, against /proc/uptime and timens_offsets as cat and nsenter print them.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hardway::kernel::children::{Worked, in_worker};
use hardway::probe::{Names, Observation, Panel, Reader, Row, Wanted, rows};

/// A child that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn own() -> i32 {
    i32::try_from(std::process::id()).unwrap()
}

fn printed(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// As one who may be an ordinary user enters: through the user namespace first.
fn entered(command: &str) -> String {
    printed(&command.replace("--time", "--user --preserve-credentials --time"))
}

/// Whether a worker may enter time namespaces: it needs CAP_SYS_ADMIN in its own user namespace as well. In a lab host it has it.
fn may_enter() -> bool {
    let seen = Reader::new("/proc").observe(&Wanted::panels(&[]).only(own()));
    seen.process(own()).unwrap().credentials.caps[2] >> 21 & 1 == 1
}

/// A whole number at the beginning of a text.
fn whole(text: &str) -> i64 {
    text.split(['.', ' ']).next().unwrap().parse().unwrap()
}

/// One observation, taken as in life: by a process with a single thread, which ends afterwards.
fn observe(pids: &[i32]) -> Observation {
    let pids = pids.to_vec();
    let worked = in_worker(Duration::from_secs(5), 1 << 20, move |report| {
        let wanted = pids.iter().fold(Wanted::panels(&[Panel::Clocks]), |wanted, pid| wanted.only(*pid));
        serde_json::to_writer(report, &Reader::new("/proc").observe(&wanted)).unwrap();
    });
    let Ok(Worked::Report(body)) = worked else { panic!("no report") };
    serde_json::from_slice(&body).unwrap()
}

/// `unshare` with these options, and the process that it has forked into the time namespace; none, with a word why, where that
/// is not allowed.
fn shifted(test: &str, options: &[&str]) -> Option<(Ended, i32, i32)> {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--time", "--fork", "--kill-child"]).args(options);
    command.args(["sleep", "60"]).stderr(Stdio::piped());
    let mut child = Ended(command.spawn().unwrap());
    let unshare = i32::try_from(child.0.id()).unwrap();
    let mut inner = None;
    support::eventually(Duration::from_secs(10), || {
        if child.0.try_wait().unwrap().is_some() {
            return Ok(());
        }
        let children = std::fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).unwrap_or_default();
        inner = children.split_whitespace().next().and_then(|pid| pid.parse::<i32>().ok());
        let comm = inner.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok());
        if comm.as_deref() == Some("sleep\n") { Ok(()) } else { Err("no sleep".into()) }
    });
    if let Some(inner) = inner {
        return Some((child, unshare, inner));
    }
    let mut why = String::new();
    let _ = std::io::Read::read_to_string(&mut child.0.stderr.take().unwrap(), &mut why);
    support::skip(test, why.trim());
    None
}

fn row<'a>(rows: &'a [Row], subject: &str, key: &str) -> &'a Row {
    rows.iter().find(|row| row.subject.starts_with(subject) && row.key == key).unwrap()
}

/// The number in `+864000 s`.
fn ahead(row: &Row) -> i64 {
    row.value.strip_suffix(" s").unwrap().parse().unwrap()
}

fn offsets_agree(row: &Row) {
    let said = printed(&row.command);
    let told = said.split_whitespace().collect::<Vec<_>>().join(" ").replace(" boottime", ", boottime");
    assert_eq!(row.value, told, "{row:?}");
}

#[test]
fn clocks_are_what_uptime_and_date_say() {
    let options = ["--monotonic", "172800", "--boottime", "864000"];
    let Some((_child, unshare, inner)) = shifted("oracle_clocks::clocks", &options) else { return };
    let seen = observe(&[own(), unshare, inner]);
    let boxes = [("box".to_owned(), inner), ("parent".to_owned(), unshare)].into();
    let rows = rows(&seen, &Names { host: own(), boxes, ..Names::default() });

    for subject in ["host ", "parent ", "box "] {
        offsets_agree(row(&rows, subject, "timens_offsets"));
    }
    let uptime = row(&rows, "box ", "CLOCK_BOOTTIME");
    if !may_enter() {
        assert!(uptime.value.starts_with("none: EPERM"), "{uptime:?}");
        return;
    }
    let (inside, outside) = (whole(&entered(&uptime.command)), whole(&printed("cat /proc/uptime")));
    assert!((inside - outside - ahead(uptime)).abs() <= 1, "{inside} {outside} {uptime:?}");
    assert_eq!(ahead(uptime), 864_000);
    let date = row(&rows, "box ", "CLOCK_REALTIME");
    let (inside, outside) = (whole(&entered(&date.command)), whole(&printed("date +%s")));
    assert!((inside - outside - ahead(date)).abs() <= 1, "{inside} {outside} {date:?}");
    assert_eq!(ahead(date), 0);
    // No program prints CLOCK_MONOTONIC: the file must do.
    let monotonic = row(&rows, "box ", "CLOCK_MONOTONIC");
    let file = printed(&monotonic.command);
    assert_eq!(ahead(monotonic).to_string(), file.split_whitespace().nth(1).unwrap());
    assert_eq!(ahead(monotonic), 172_800);
    let up = row(&rows, "box ", "up");
    // A day may end between the two.
    let days = whole(&up.value);
    assert!((whole(&entered(&up.command)) / 86_400 - days).abs() <= 1, "{up:?}");
    assert!((days - whole(&row(&rows, "host ", "up").value) - 10).abs() <= 1);

    // unshare itself has stayed where it was.
    assert_eq!(ahead(row(&rows, "parent ", "CLOCK_BOOTTIME")), 0);
    assert_eq!(ahead(row(&rows, "host ", "CLOCK_BOOTTIME")), 0);
    assert_eq!(row(&rows, "parent ", "timens_offsets").value, "monotonic 172800 0, boottime 864000 0");
    assert!(row(&rows, "parent ", "timens_offsets").meaning.starts_with("Not its own"));
}

#[test]
fn two_looks_show_no_difference() {
    let Some((_child, unshare, inner)) = shifted("oracle_clocks::two_looks", &["--boottime", "-1"]) else { return };
    let names = Names { host: own(), ..Names::default() };
    let pids = [own(), unshare, inner];
    let before = rows(&observe(&pids), &names);
    std::thread::sleep(Duration::from_millis(1100));
    let after = rows(&observe(&pids), &names);
    let clocks = |rows: &[Row]| rows.iter().filter(|row| row.panel == Panel::Clocks).cloned().collect::<Vec<_>>();
    assert_eq!(clocks(&before), clocks(&after));
    let value = if may_enter() { "-1 s" } else { "none: EPERM (Operation not permitted)" };
    assert!(clocks(&before).iter().any(|row| row.key == "CLOCK_BOOTTIME" && row.value == value));
}

#[test]
fn with_several_threads_the_kernel_refuses_and_the_panel_says_so() {
    let Some((_child, _, inner)) = shifted("oracle_clocks::several_threads", &["--boottime", "60"]) else { return };
    // setns(2) into a time namespace is EUSERS for a process with several threads, as a test is.
    let seen = Reader::new("/proc").observe(&Wanted::panels(&[Panel::Clocks]).only(own()).only(inner));
    let rows = rows(&seen, &Names { host: own(), boxes: [("box".to_owned(), inner)].into(), ..Names::default() });
    let said = &row(&rows, "box ", "CLOCK_BOOTTIME").value;
    assert!(said.starts_with("none: EUSERS") || said.starts_with("none: EPERM"), "{said}");
    assert_eq!(row(&rows, "host ", "CLOCK_BOOTTIME").value, "+0 s");
}

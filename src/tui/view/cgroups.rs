//! Cgroups: the groups of each hierarchy as a tree, with what they use beside their limits, now and over time; below them, in
//! which groups processes are. Folded, a group is what is used, what happened, and what changed.

use std::collections::{BTreeMap, HashMap, HashSet};

use ratatui::text::{Line, Span};

use super::state::{State, mark, value};
use super::{graph, table};
use crate::probe::cgroups::files;
use crate::probe::cgroups::gauges::{Gauge, What};
use crate::probe::cgroups::{Cgroups, Group};
use crate::probe::{ChangeKind, Panel, Reading, Row};
use crate::tui::command::Command;
use crate::tui::doc::{Doc, Target, clean, cut, fit, width};
use crate::tui::graphs::{KEPT, Series};

/// How many files without a number to watch are shown of a group while the panel is folded.
const FOLDED: usize = 4;
/// How many lines of one value are shown while the panel is folded.
const LINES: usize = 3;
/// How many members of a group are named.
const NAMED: usize = 16;
/// Rows of a graph while the panel is folded, and unfolded.
const HEIGHTS: [usize; 2] = [2, 4];
/// From so many columns on there is room.
const ROOMY: usize = 50;
/// The columns of the names of what is used, where there is no room, and where there is.
const NAMES: [usize; 2] = [6, 10];
/// The fewest columns of a graph.
const NARROWEST: usize = 8;
/// The columns of how many seconds a graph tells of.
const SECONDS: usize = 4;

/// The files in which the kernel counts what happened to a group, and what of them is told.
const EVENTS: [(&str, &[&str]); 6] = [
    ("cgroup.events", &["frozen"]),
    ("cpu.stat", &["nr_periods", "nr_throttled"]),
    ("hugetlb.2MB.events", &["max"]),
    ("memory.events", &["high", "max", "oom_kill"]),
    ("memory.oom_control", &["under_oom", "oom_kill"]),
    ("pids.events", &["max"]),
];

/// Files that say nothing as long as they say 0.
const ZERO: [&str; 2] = ["cgroup.freeze", "memory.failcnt"];

/// A group with its rows.
struct Shown<'a> {
    name: &'a str,
    group: &'a Group,
    /// By their keys: where they are among all rows.
    rows: BTreeMap<&'a str, (usize, &'a Row)>,
    /// The columns before its lines.
    indent: usize,
}

/// Adds the panel. Says whether there is anything to fold.
pub(super) fn add(doc: &mut Doc, state: &State<'_>) -> bool {
    let cgroups = &state.view.observation.cgroups;
    let groups = groups(state, cgroups);
    let mut hierarchy = None;
    for shown in &groups {
        let own = cgroups.hierarchy_of(shown.name);
        if own != hierarchy {
            doc.cut(Line::styled(own.clone().unwrap_or_default(), state.theme.dim), None);
            hierarchy = own;
        }
        group(doc, state, shown);
    }
    let subjects: HashSet<String> = groups.iter().map(|shown| subject(shown.name)).collect();
    let foldable = table::part(doc, state, Panel::Cgroups, &|row| !subjects.contains(&row.subject));
    foldable || !groups.is_empty()
}

fn subject(name: &str) -> String {
    format!("group {name}")
}

/// The groups that there are rows of: the lab host's own hierarchy first, and each group before those below it.
fn groups<'a>(state: &State<'a>, cgroups: &'a Cgroups) -> Vec<Shown<'a>> {
    let mut rows: HashMap<&str, BTreeMap<&str, (usize, &Row)>> = HashMap::new();
    for (index, row) in state.view.rows.iter().enumerate().filter(|(_, row)| row.panel == Panel::Cgroups) {
        rows.entry(&row.subject).or_default().insert(&row.key, (index, row));
    }
    let shown = |(name, group): (&'a String, &'a Group)| {
        let rows = rows.remove(subject(name).as_str())?;
        let (_, path) = place(name);
        Some(Shown { name, group, rows, indent: 2 + 2 * path.len().saturating_sub(1).min(8) })
    };
    let mut shown: Vec<Shown<'a>> = cgroups.groups.iter().filter_map(shown).collect();
    shown.sort_by_cached_key(|shown| place(shown.name));
    shown
}

/// The hierarchy of a group by its name, empty for the lab host's own, and its path in parts: so sorted, each group comes before
/// those below it.
fn place(name: &str) -> (&str, Vec<&str>) {
    let (hierarchy, path) = if name.starts_with('/') { ("", name) } else { name.split_once(':').unwrap_or(("", name)) };
    (hierarchy, path.trim_matches('/').split('/').collect())
}

fn group(doc: &mut Doc, state: &State<'_>, shown: &Shown<'_>) {
    head(doc, state, shown);
    let mut told: Vec<usize> = shown.rows.get("members").map(|(index, _)| *index).into_iter().collect();
    for gauge in Gauge::of(shown.group) {
        told.extend(used(doc, state, shown, gauge));
    }
    let whole = state.model.unfolded;
    for (index, row) in shown.rows.values() {
        if !whole && counted(doc, state, shown, *index, row) {
            told.push(*index);
        }
    }
    let rest: Vec<(usize, &Row)> = shown
        .rows
        .values()
        .filter(|(index, row)| row.key != "members" && (whole || !told.contains(index)))
        .copied()
        .collect();
    let mut room = FOLDED;
    let mut kept: Vec<(usize, &Row)> = Vec::new();
    for (index, row) in &rest {
        // What happened to nobody, and how nobody waits, can wait; the totals of pressure change all the time.
        let waits = row.key.ends_with(".pressure");
        let changed = !waits && matches!(state.kind(*index), Some(ChangeKind::Changed { .. }));
        let is_zero = ZERO.contains(&row.key.as_str()) && row.value == "0";
        let still = waits || is_zero || row.value == "(empty)" || EVENTS.iter().any(|(file, _)| *file == row.key);
        if whole || changed || (!still && room > 0) {
            room = room.saturating_sub(1);
            kept.push((*index, row));
        }
    }
    plain(doc, state, shown, &kept);
    if kept.len() < rest.len() {
        let more = rest.len() - kept.len();
        let text = format!("… {more} more: {} unfolds", state.model.key(Command::Unfold));
        let line = Line::styled(format!("{}{text}", " ".repeat(shown.indent + 2)), state.theme.dim);
        doc.cut(line, Some(Target::Unfold));
    }
}

/// The group's path, and who is in it.
fn head(doc: &mut Doc, state: &State<'_>, shown: &Shown<'_>) {
    let theme = state.theme;
    let (_, path) = place(shown.name);
    let path = Span::styled(clean(&format!("/{}", path.join("/"))), theme.strong);
    let indent = Span::raw(" ".repeat(shown.indent - 2));
    let Some((index, row)) = shown.rows.get("members") else {
        doc.cut(
            Line::from(vec![mark(None, theme), indent, path, Span::styled("  the lab host's own", theme.dim)]),
            None,
        );
        return;
    };
    let kind = state.kind(*index);
    let style = match kind {
        None => theme.text,
        Some(ChangeKind::Changed { .. }) => theme.changed,
        Some(_) => theme.added,
    };
    let members = match shown.group.members.value().map(Vec::as_slice) {
        None => row.value.clone(),
        Some([]) => "nobody in it".to_owned(),
        Some(pids) => {
            let names: Vec<String> = pids.iter().take(NAMED).map(|pid| called(state, *pid)).collect();
            let more = if pids.len() > NAMED { ", …" } else { "" };
            let count = if pids.len() > 1 { format!("{} members: ", pids.len()) } else { String::new() };
            format!("{count}{}{more}", names.join(", "))
        }
    };
    let mut spans = vec![mark(kind, theme), indent, path, Span::raw("  "), Span::styled(clean(&members), style)];
    if let Some(ChangeKind::Changed { before }) = kind {
        spans.push(Span::styled(format!("  was {}", clean(before)), theme.dim));
    }
    state.line(doc, spans, Target::Rows(vec![(0, *index)]));
}

/// A process in a few letters: the word of lessons or its program, and its pid.
fn called(state: &State<'_>, pid: i32) -> String {
    let program = || state.view.observation.process(pid).map(|process| process.comm.as_str());
    match state.view.names.of(pid).or_else(program) {
        Some(name) => format!("{name} {pid}"),
        None => pid.to_string(),
    }
}

/// One thing that is used: how much of how much, and over time. The rows that its lines stand for.
fn used(doc: &mut Doc, state: &State<'_>, shown: &Shown<'_>, gauge: &'static Gauge) -> Vec<usize> {
    let find = |file: &&str| shown.rows.get(file).map(|(index, _)| *index);
    let limits: Vec<usize> = gauge.limits.iter().filter_map(find).collect();
    let limit_changed = limits.iter().any(|index| matches!(state.kind(*index), Some(ChangeKind::Changed { .. })));
    let usage: Vec<usize> = find(&gauge.file).into_iter().collect();
    // What one wants to know of first comes first.
    let rows = if limit_changed { [limits, usage].concat() } else { [usage, limits].concat() };
    let target = Target::Rows(rows.iter().map(|index| (0, *index)).collect());
    let series = state.model.graphs.series(&shown.group.directory, gauge);
    let name = match gauge.what {
        What::Memory => "memory",
        What::Tasks => "tasks",
        What::Cpu | What::Throttled => "cpu",
        What::HugePages => "huge pages",
    };
    let columns = NAMES[usize::from(doc.width >= ROOMY)].max(width(name));
    let mut spans = vec![
        state.mark(&rows),
        Span::raw(" ".repeat(shown.indent)),
        Span::styled(fit(name, columns), state.theme.dim),
        Span::raw("  "),
    ];
    let before = limit_changed.then(|| gauge.limit(&as_before(state, shown, gauge)));
    spans.extend(now(state, shown.group, gauge, series, before));
    state.wrapped(doc, spans, shown.indent + 2 + columns + 2, target.clone());
    // Its place is there before the first sample.
    over_time(doc, state, shown, gauge, series.unwrap_or(&Series::default()), &target);
    rows
}

/// How much is used of how much, now; and how much it might be before this step.
fn now(
    state: &State<'_>,
    group: &Group,
    gauge: &Gauge,
    series: Option<&Series>,
    before: Option<Option<u64>>,
) -> Vec<Span<'static>> {
    let theme = state.theme;
    let amount = |number: u64| amount(gauge.what, number);
    let words = |limit: Option<u64>| limit.map_or_else(|| "no limit".to_owned(), amount);
    let throttled = gauge.what == What::Throttled;
    let (now, limit) = (series.and_then(Series::now).or_else(|| gauge.level(group)), gauge.limit(group));
    let is_near = now.zip(limit).is_some_and(|(now, limit)| graph::is_near(now, limit)) && !throttled;
    let mut spans = Vec::new();
    if let Some(now) = now {
        let held = if throttled { "held back " } else { "" };
        spans.push(Span::styled(format!("{held}{}", amount(now)), if is_near { theme.warn } else { theme.text }));
    }
    let joined = match (now, limit, before) {
        (None, None, None) => "",
        (Some(_), None, None) => ", ",
        (None, ..) => "at most ",
        (Some(_), ..) if throttled => ", at most ",
        (Some(_), ..) => " of ",
    };
    spans.push(Span::raw(joined));
    let kind = before.map(|before| ChangeKind::Changed { before: words(before) });
    spans.extend(value(kind.as_ref(), &words(limit), theme));
    spans
}

/// The graph of what is used; none of what has no limit and is always the same.
fn over_time(doc: &mut Doc, state: &State<'_>, shown: &Shown<'_>, gauge: &Gauge, series: &Series, target: &Target) {
    let limit = gauge.limit(shown.group).filter(|_| gauge.what != What::Throttled);
    let steady = series.most() == series.values().flatten().min();
    if limit.is_none() && steady {
        return;
    }
    let least = if gauge.what == What::Throttled { 1000 } else { 1 };
    let most = series.most().unwrap_or(0).max(least);
    let top = amount(gauge.what, limit.unwrap_or(most));
    let lead = shown.indent + 4;
    let beside = 1 + width(&top).max(SECONDS);
    let columns = doc.width.saturating_sub(lead + beside).min(KEPT);
    if columns < NARROWEST {
        return;
    }
    let height = HEIGHTS[usize::from(state.model.unfolded)];
    for (at, line) in graph::lines(series, (limit, most), (columns, height), state.theme).into_iter().enumerate() {
        let label = match at {
            0 => format!(" {top}"),
            at if at + 1 == height => format!(" {} s", columns / 4),
            _ => String::new(),
        };
        let mut spans = vec![Span::raw("  "), Span::raw(" ".repeat(lead - 2))];
        spans.extend(line);
        spans.push(Span::styled(label, state.theme.dim));
        state.line(doc, spans, target.clone());
    }
}

/// The group with the limits that it had.
fn as_before(state: &State<'_>, shown: &Shown<'_>, gauge: &Gauge) -> Group {
    let mut group = shown.group.clone();
    for file in gauge.limits {
        let kind = shown.rows.get(file).and_then(|(index, _)| state.kind(*index));
        if let Some(ChangeKind::Changed { before }) = kind {
            group.files.insert((*file).to_owned(), Reading::Value(before.clone()));
        }
    }
    group
}

/// What the kernel counted in a file, and how much tasks waited: in a line, where there is anything of it.
fn counted(doc: &mut Doc, state: &State<'_>, shown: &Shown<'_>, index: usize, row: &Row) -> bool {
    let theme = state.theme;
    let Some(text) = shown.group.files.get(&row.key).and_then(|text| text.value()) else { return false };
    let kind = state.kind(index);
    let mut items: Vec<Span<'static>> = Vec::new();
    let mut any = false;
    if row.key.ends_with(".pressure") {
        for line in text.lines() {
            let mut words = line.split(' ');
            let (who, share) = (words.next().unwrap_or_default(), words.find_map(|word| word.strip_prefix("avg10=")));
            let Some(share) = share else { return false };
            let waited = !share.trim_matches(['0', '.']).is_empty();
            any |= waited;
            items.push(Span::styled(clean(&format!("{who} {share} %")), if waited { theme.warn } else { theme.dim }));
        }
    } else {
        let Some((_, words)) = EVENTS.iter().find(|(file, _)| *file == row.key) else { return false };
        for word in *words {
            let Some(now) = files::number(text, Some(word)) else { continue };
            let before = match kind {
                Some(ChangeKind::Changed { before }) => earlier(before, word).filter(|before| *before != now),
                _ => None,
            };
            any |= now > 0 || before.is_some();
            let told = before.map_or_else(|| format!("{word} {now}"), |before| format!("{word} {before} → {now}"));
            let style = match (before, now) {
                (Some(_), _) => theme.changed,
                (None, 0) => theme.dim,
                (None, _) => theme.warn,
            };
            items.push(Span::styled(told, style));
        }
    }
    if !any || items.is_empty() {
        return false;
    }
    let mut spans = vec![
        mark(kind, theme),
        Span::raw(" ".repeat(shown.indent)),
        Span::styled(clean(&row.key), theme.dim),
        Span::raw("  "),
    ];
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            spans.push(Span::raw("  "));
        }
        spans.push(item);
    }
    state.wrapped(doc, spans, shown.indent + 4, Target::Rows(vec![(0, index)]));
    true
}

/// The number behind a word in a row as it was: its lines are on one.
fn earlier(row: &str, word: &str) -> Option<u64> {
    row.split(", ").find_map(|part| part.strip_prefix(word)?.strip_prefix(' ')?.parse().ok())
}

/// Files as they are.
fn plain(doc: &mut Doc, state: &State<'_>, shown: &Shown<'_>, rows: &[(usize, &Row)]) {
    let theme = state.theme;
    let column = rows.iter().map(|(_, row)| width(&row.key)).max().unwrap_or(0).min(doc.width * 2 / 5);
    let hang = shown.indent + 2 + column + 2;
    let room = doc.width.saturating_sub(hang).max(8) * LINES;
    let text = |text: &str| if state.model.unfolded { text.to_owned() } else { cut(text, room) };
    for (index, row) in rows {
        let kind = match state.kind(*index) {
            Some(ChangeKind::Changed { before }) => Some(ChangeKind::Changed { before: text(before) }),
            other => other.cloned(),
        };
        let mut spans = vec![
            mark(kind.as_ref(), theme),
            Span::raw(" ".repeat(shown.indent)),
            Span::styled(fit(&row.key, column), theme.dim),
            Span::raw("  "),
        ];
        spans.extend(value(kind.as_ref(), &text(&row.value), theme));
        state.wrapped(doc, spans, hang, Target::Rows(vec![(0, *index)]));
    }
}

/// An amount as people write it: `20 MiB`, `3`, `19.8 %`.
fn amount(what: What, number: u64) -> String {
    match what {
        What::Memory | What::HugePages => bytes(number),
        What::Tasks => number.to_string(),
        What::Cpu | What::Throttled if number.is_multiple_of(10) => format!("{} %", number / 10),
        What::Cpu | What::Throttled => format!("{}.{} %", number / 10, number % 10),
    }
}

/// Bytes in the kernel's units, each 1024 times the one before.
fn bytes(number: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, shift)| number >> shift > 0) {
        None => format!("{number} B"),
        Some((unit, shift)) if number.trailing_zeros() >= shift => format!("{} {unit}", number >> shift),
        Some((unit, shift)) => {
            let tenths = (u128::from(number) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
    }
}

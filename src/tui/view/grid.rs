//! Which process is in which namespace: processes as rows, kinds as columns.

use std::collections::HashMap;

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::state::{State, removed};
use crate::kernel::namespace::Namespace;
use crate::probe::{ChangeKind, Panel, Process, Reading};
use crate::tui::doc::{Doc, Target, fit};

/// Columns of one kind: a space and the last digits of the inode number.
const CELL: usize = 6;
/// So many inodes have different last digits.
const DIGITS: u64 = 100_000;

/// What every row of the grid needs.
struct Grid<'a> {
    state: &'a State<'a>,
    /// The process that the others are compared with.
    host: &'a Process,
    columns: Vec<Namespace>,
    /// Columns of the process's name.
    label: usize,
    /// For each namespace that is not the host's, which of its kind it is: equal ones look equal.
    order: HashMap<(Namespace, u64), usize>,
}

pub(super) fn add(doc: &mut Doc, state: &State<'_>) {
    let theme = state.theme;
    let processes = &state.view.observation.processes;
    let Some(host) = state.view.observation.process(state.view.names.host).or(processes.first()) else { return };
    let all: Vec<Namespace> = Namespace::ALL.into_iter().filter(|kind| worth_a_column(processes, *kind)).collect();
    let label = (doc.width / 3).clamp(12, 26);
    let room = doc.width.saturating_sub(2 + label) / CELL;
    let columns = choose(&all, processes, host, room);
    let shared: Vec<&str> = all.iter().filter(|kind| !columns.contains(kind)).map(|kind| kind.link()).collect();
    let mut head = format!("  {}", fit("PID process", label));
    for kind in &columns {
        head.push_str(&format!(" {:>width$}", short(*kind), width = CELL - 1));
    }
    doc.cut(Line::styled(head, theme.dim), None);
    let grid = Grid { state, host, columns, label, order: order(processes, host) };
    for process in processes {
        grid.row(doc, process);
    }
    if !shared.is_empty() {
        doc.wrap(&Line::styled(format!("  all share: {}", shared.join(" ")), theme.dim), 13, None);
    }
    removed(doc, state, Panel::Namespaces);
}

impl Grid<'_> {
    fn row(&self, doc: &mut Doc, process: &Process) {
        let (state, theme) = (self.state, self.state.theme);
        let indices = state.rows_of(Panel::Namespaces, process.pid);
        let name = state.view.names.of(process.pid);
        let who = format!("{:>3} {}", process.pid, name.unwrap_or(&process.comm));
        let mut spans = vec![
            state.mark(indices),
            Span::styled(fit(&who, self.label), name.map_or(theme.text, |name| theme.who(name))),
        ];
        let mut rows = Vec::new();
        for (at, kind) in self.columns.iter().enumerate() {
            let is = |index: &&usize| state.view.rows.get(**index).is_some_and(|row| row.key == kind.link());
            let index = indices.iter().find(is).copied();
            spans.push(Span::raw(" "));
            spans.push(Span::styled(fit(&cell(process, *kind), CELL - 1), self.style(process, *kind, index)));
            if let Some(index) = index {
                rows.push((u16::try_from(2 + self.label + at * CELL).unwrap_or(u16::MAX), index));
            }
        }
        // Kinds without a column can be explained too.
        let others = indices.iter().filter(|index| !rows.iter().any(|(_, have)| have == *index));
        let others: Vec<(u16, usize)> = others.map(|index| (u16::MAX, *index)).collect();
        rows.extend(others);
        state.line(doc, spans, Target::Rows(rows));
    }

    fn style(&self, process: &Process, kind: Namespace, row: Option<usize>) -> Style {
        let theme = self.state.theme;
        let change = row.and_then(|row| self.state.kind(row));
        if matches!(change, Some(ChangeKind::Changed { .. })) {
            return theme.changed;
        }
        let which = process.namespaces.inode(kind).and_then(|inode| self.order.get(&(family(kind), inode)).copied());
        match which {
            Some(which) if differs(process, self.host, kind) => {
                let distinct = [theme.boxed, theme.mine, theme.call, theme.warn];
                distinct[which % distinct.len()]
            }
            _ => theme.dim,
        }
    }
}

/// The last digits of the inode, or why there are none.
fn cell(process: &Process, kind: Namespace) -> String {
    match process.namespaces.0.get(&kind) {
        Some(Reading::Value(inode)) => format!("{:05}", inode % DIGITS),
        Some(Reading::Missing(errno)) => errno.name(),
        Some(Reading::Unreadable(_)) | None => "?".to_owned(),
    }
}

/// All kinds where they fit; else first those that tell processes apart, then the usual ones.
fn choose(all: &[Namespace], processes: &[Process], host: &Process, room: usize) -> Vec<Namespace> {
    let apart = |kind: &Namespace| processes.iter().any(|process| differs(process, host, *kind));
    let (first, then): (Vec<Namespace>, Vec<Namespace>) = all.iter().copied().partition(apart);
    let mut columns: Vec<Namespace> = first.into_iter().chain(then).take(room).collect();
    columns.sort_by_key(|kind| all.iter().position(|other| other == kind));
    columns
}

/// `pid_for_children` and `time_for_children` say something new only where they are not the process's own.
fn worth_a_column(processes: &[Process], kind: Namespace) -> bool {
    let own = family(kind);
    let says_more = |process: &Process| {
        let links = &process.namespaces.0;
        links.contains_key(&kind) && links.get(&kind) != links.get(&own)
    };
    own == kind || processes.iter().any(says_more)
}

/// The kind of namespace that a link leads to.
fn family(link: Namespace) -> Namespace {
    match link {
        Namespace::PidForChildren => Namespace::Pid,
        Namespace::TimeForChildren => Namespace::Time,
        other => other,
    }
}

fn differs(process: &Process, host: &Process, kind: Namespace) -> bool {
    process.namespaces.0.get(&kind).is_some_and(|reading| Some(reading) != host.namespaces.0.get(&kind))
}

/// Counts the namespaces that are not the host's, by kind, in the order of the processes.
fn order(processes: &[Process], host: &Process) -> HashMap<(Namespace, u64), usize> {
    let mut order = HashMap::new();
    let mut counts: HashMap<Namespace, usize> = HashMap::new();
    for process in processes {
        for (kind, reading) in &process.namespaces.0 {
            if let Some(inode) = reading.value().filter(|_| differs(process, host, *kind)) {
                order.entry((family(*kind), *inode)).or_insert_with(|| {
                    let count = counts.entry(family(*kind)).or_default();
                    *count += 1;
                    *count - 1
                });
            }
        }
    }
    order
}

/// A kind in at most five columns.
fn short(kind: Namespace) -> &'static str {
    match kind {
        Namespace::PidForChildren => "pid↓",
        Namespace::TimeForChildren => "time↓",
        Namespace::Cgroup => "cgrp",
        other => other.link(),
    }
}

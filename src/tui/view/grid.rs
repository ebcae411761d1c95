//! Which process is in which namespace: processes as rows, kinds as columns.

use ratatui::text::{Line, Span};

use super::state::{State, removed};
use crate::kernel::namespace::Namespace;
use crate::probe::{ChangeKind, Panel, Process, Reading};
use crate::tui::doc::{Doc, Target, fit};

/// Columns of one kind: a space and the last digits of the inode number.
const CELL: usize = 6;
const DIGITS: u64 = 100_000;

pub(super) fn add(doc: &mut Doc, state: &State<'_>) {
    let theme = state.theme;
    let processes = &state.view.observation.processes;
    let host = state.view.observation.process(state.view.names.host).or(processes.first());
    let Some(host) = host else { return };
    let all: Vec<Namespace> = Namespace::ALL.into_iter().filter(|kind| worth_a_column(processes, *kind)).collect();
    let differing: Vec<Namespace> =
        all.iter().copied().filter(|kind| processes.iter().any(|process| differs(process, host, *kind))).collect();
    let label = (doc.width / 3).clamp(12, 26);
    let room = doc.width.saturating_sub(2 + label) / CELL;
    // All kinds where they fit; else those that tell processes apart, and the others in a sentence.
    let (columns, shared) = if all.len() <= room { (all.clone(), Vec::new()) } else { split(&all, &differing, room) };
    let mut head = format!("  {}", fit("PID process", label));
    for kind in &columns {
        head.push_str(&format!(" {:>width$}", short(*kind), width = CELL - 1));
    }
    doc.cut(Line::styled(head, theme.dim), None);
    for process in processes {
        row(doc, state, process, host, &columns, label);
    }
    if !shared.is_empty() {
        let names: Vec<&str> = shared.iter().map(|kind| kind.link()).collect();
        let text = format!("  all share: {}", names.join(" "));
        doc.wrap(&Line::styled(text, theme.dim), 13, None);
    }
    removed(doc, state, Panel::Namespaces);
}

/// Those that differ, as many as fit, and the rest.
fn split(all: &[Namespace], differing: &[Namespace], room: usize) -> (Vec<Namespace>, Vec<Namespace>) {
    let mut columns: Vec<Namespace> = differing.iter().copied().take(room).collect();
    // Room that is left goes to the usual ones, so that the grid is a grid before anything differs.
    for kind in all {
        if columns.len() < room && !columns.contains(kind) {
            columns.push(*kind);
        }
    }
    columns.sort_by_key(|kind| all.iter().position(|other| other == kind));
    let shared = all.iter().copied().filter(|kind| !columns.contains(kind)).collect();
    (columns, shared)
}

/// `pid_for_children` and `time_for_children` say something new only where they are not the process's own.
fn worth_a_column(processes: &[Process], kind: Namespace) -> bool {
    let own = match kind {
        Namespace::PidForChildren => Namespace::Pid,
        Namespace::TimeForChildren => Namespace::Time,
        _ => return true,
    };
    processes.iter().any(|process| process.namespaces.0.contains_key(&kind) && differs_between(process, kind, own))
}

fn differs_between(process: &Process, one: Namespace, other: Namespace) -> bool {
    process.namespaces.0.get(&one) != process.namespaces.0.get(&other)
}

fn differs(process: &Process, host: &Process, kind: Namespace) -> bool {
    process.namespaces.0.get(&kind).is_some_and(|reading| Some(reading) != host.namespaces.0.get(&kind))
}

fn row(doc: &mut Doc, state: &State<'_>, process: &Process, host: &Process, columns: &[Namespace], label: usize) {
    let theme = state.theme;
    let indices = state.rows_of(Panel::Namespaces, process.pid);
    let find = |kind: Namespace| {
        indices.iter().copied().find(|index| state.view.rows.get(*index).is_some_and(|row| row.key == kind.link()))
    };
    let name = state.view.names.of(process.pid);
    let who = format!("{:>3} {}", process.pid, name.unwrap_or(&process.comm));
    let mut spans =
        vec![state.mark(indices), Span::styled(fit(&who, label), name.map_or(theme.text, |name| theme.who(name)))];
    let mut rows = Vec::new();
    for (at, kind) in columns.iter().enumerate() {
        let text = match process.namespaces.0.get(kind) {
            Some(Reading::Value(inode)) => format!("{:05}", inode % DIGITS),
            Some(Reading::Missing(errno)) => errno.name(),
            Some(Reading::Unreadable(_)) | None => "?".to_owned(),
        };
        let changed = find(*kind).and_then(|index| state.view.rows.get(index)).and_then(|row| state.kind(row));
        let style = match changed {
            Some(ChangeKind::Changed { .. }) => theme.changed,
            _ if process.pid == host.pid => theme.dim,
            _ if differs(process, host, *kind) => theme.boxed,
            _ => theme.dim,
        };
        spans.push(Span::raw(" "));
        let cell = fit(&text, CELL - 1);
        spans.push(Span::styled(cell, style));
        if let Some(index) = find(*kind) {
            rows.push((u16::try_from(2 + label + at * CELL).unwrap_or(u16::MAX), index));
        }
    }
    // Kinds without a column can still be explained.
    rows.extend(
        indices
            .iter()
            .filter(|index| !rows.iter().any(|(_, have)| have == *index))
            .map(|index| (u16::MAX, *index))
            .collect::<Vec<_>>(),
    );
    state.line(doc, spans, Target::Rows(rows));
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

//! The process tree.

use std::collections::BTreeMap;

use ratatui::text::{Line, Span};

use super::state::{State, removed};
use crate::probe::{Panel, Process};
use crate::tui::doc::{Doc, Target, clean};

pub(super) fn add(doc: &mut Doc, state: &State<'_>) {
    let processes = &state.view.observation.processes;
    let known: BTreeMap<i32, &Process> = processes.iter().map(|process| (process.pid, process)).collect();
    let mut children: BTreeMap<i32, Vec<&Process>> = BTreeMap::new();
    for process in processes {
        let parent = if known.contains_key(&process.ppid) && process.ppid != process.pid { process.ppid } else { 0 };
        children.entry(parent).or_default().push(process);
    }
    let nested = processes.iter().any(|process| process.nspid.len() > 1);
    let head = if nested { "    PID  inside  process" } else { "    PID  process" };
    doc.cut(Line::styled(head, state.theme.dim), None);
    // A stack, not recursion: a learner can nest processes as deep as they like. What is pushed last comes first.
    let push = |stack: &mut Vec<(i32, String, bool, bool)>, parent: i32, prefix: &str, root: bool| {
        let list = children.get(&parent).map_or(&[][..], Vec::as_slice);
        for (index, child) in list.iter().enumerate().rev() {
            stack.push((child.pid, prefix.to_owned(), index + 1 == list.len(), root));
        }
    };
    let mut stack: Vec<(i32, String, bool, bool)> = Vec::new();
    push(&mut stack, 0, "", true);
    while let Some((pid, prefix, last, root)) = stack.pop() {
        let Some(process) = known.get(&pid) else { continue };
        let branch = match (root, last) {
            (true, _) => "",
            (false, true) => "└─ ",
            (false, false) => "├─ ",
        };
        line(doc, state, process, &format!("{prefix}{branch}"), nested);
        let below = match (root, last) {
            (true, _) => String::new(),
            (false, true) => format!("{prefix}   "),
            (false, false) => format!("{prefix}│  "),
        };
        push(&mut stack, pid, &below, false);
    }
    removed(doc, state, Panel::Processes);
}

fn line(doc: &mut Doc, state: &State<'_>, process: &Process, branch: &str, nested: bool) {
    let theme = state.theme;
    let rows = state.rows_of(Panel::Processes, process.pid);
    let mut spans = vec![state.mark(rows), Span::raw(format!("{:>5}  ", process.pid))];
    if nested {
        // What it calls itself, where that is another number.
        let inside = match process.nspid.as_slice() {
            [_, .., inner] => inner.to_string(),
            _ => String::new(),
        };
        spans.push(Span::styled(format!("{inside:>6}  "), theme.boxed));
    }
    spans.push(Span::styled(branch.to_owned(), theme.border));
    let name = state.view.names.of(process.pid);
    let style = name.map_or(theme.text, |name| theme.who(name));
    spans.push(Span::styled(clean(&process.comm), style));
    if let Some(name) = name {
        spans.push(Span::styled(format!(" ‹{}›", clean(name)), style));
    }
    if state.view.names.subject == Some(process.pid) && name.is_none() {
        spans.push(Span::styled(" ‹by hand›", theme.mine));
    }
    match process.state {
        'Z' => spans.push(Span::styled(" zombie", theme.warn)),
        'T' | 't' => spans.push(Span::styled(" stopped", theme.warn)),
        'D' => spans.push(Span::styled(" in the kernel", theme.warn)),
        _ => {}
    }
    let arguments = arguments(process);
    if !arguments.is_empty() {
        spans.push(Span::styled(format!(" {}", clean(&arguments)), theme.dim));
    }
    let target = Target::Rows(rows.iter().map(|index| (0, *index)).collect());
    state.line(doc, spans, target);
}

/// The words behind its program's name. A process that was forked and has renamed itself still has the command line of the
/// program that it comes from; that would say something false.
fn arguments(process: &Process) -> String {
    let file = |word: &str| word.rsplit('/').next().unwrap_or_default().trim_start_matches('-').to_owned();
    // Of a script the second word is its name; the kernel keeps 15 bytes of a name.
    let own = |word: &String| file(word).get(..15).unwrap_or(&file(word)) == process.comm;
    if process.cmdline.iter().take(2).any(own) {
        return process.cmdline.get(1..).unwrap_or_default().join(" ");
    }
    String::new()
}

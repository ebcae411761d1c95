//! Networks as lines: each namespace with what it holds below it, and of each cable in words where it leads.

use std::io::{Result, Write};

use crate::probe::picture::{Entry, Part, Peer, Picture};
use crate::probe::{Change, ChangeKind};
use crate::walk::View;

/// The picture of the networks, with what the step has changed. Says whether there is any.
pub(super) fn picture(view: &View, out: &mut dyn Write) -> Result<bool> {
    let changes: &[Change] = &view.since_step;
    let picture = Picture::of(&view.observation, &view.names, &view.rows, changes, false);
    for (at, space) in picture.spaces.iter().enumerate() {
        writeln!(out, "network: {}{}", space.name, if space.new { "   [new]" } else { "" })?;
        for entry in &space.lines {
            // As deep as its branch: a port below its bridge.
            let indent = " ".repeat(2 + entry.branch.chars().count());
            writeln!(out, "{indent}{}", line(&picture, at, entry, space.new))?;
        }
    }
    for (name, _) in &picture.gone {
        writeln!(out, "network: {name}: its network namespace is gone")?;
    }
    Ok(!picture.spaces.is_empty())
}

fn line(picture: &Picture, at: usize, entry: &Entry, all_new: bool) -> String {
    if !entry.gone.is_empty() {
        let words: Vec<&str> = entry.parts.iter().map(|part| part.text.as_str()).collect();
        return format!("gone: {}", words.join(" "));
    }
    let is_new = |part: &Part| part.change == Some(ChangeKind::Added);
    let whole = entry.parts.iter().all(is_new);
    let mut words = Vec::new();
    for (nth, part) in entry.parts.iter().enumerate() {
        let change = match &part.change {
            Some(ChangeKind::Changed { before }) => format!(" [was {before}]"),
            Some(ChangeKind::Added) if !whole && !all_new => " [new]".to_owned(),
            _ => String::new(),
        };
        words.push(format!("{}{change}", part.text));
        if let Some(end) = picture.other_end(at, entry).filter(|_| nth == 0) {
            words.push(format!("⇄ {end}"));
        }
    }
    if let Peer::Unknown(told) = &entry.peer {
        words.push(format!("→ {told}"));
    }
    format!("{}{}", words.join(" "), if whole && !all_new { "   [new]" } else { "" })
}

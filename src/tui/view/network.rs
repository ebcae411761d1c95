//! Networks as a picture: each namespace is a box, each cable a wire between two lines. Where wires have no room they are words; and
//! unfolded, all rows stand below.

use std::collections::HashSet;

use ratatui::style::Style;
use ratatui::text::Span;

use super::state::{State, is_selected, mark, value};
use super::table;
use super::wires::{self, Cell, Drawing, Frame, Wire};
use crate::probe::picture::{Entry, Part, Peer, Tone, namespace_of};
use crate::probe::{ChangeKind, Panel, Picture};
use crate::tui::app::Pane;
use crate::tui::doc::{Doc, Target, clean};
use crate::tui::theme::Theme;

/// Adds the panel. Says whether there is anything to fold.
pub(super) fn add(doc: &mut Doc, state: &State<'_>) -> bool {
    let view = state.view;
    let picture = Picture::of(&view.observation, &view.names, &view.rows, state.model.changes(), state.model.unfolded);
    if picture.spaces.is_empty() {
        return table::add(doc, state, Panel::Network);
    }
    for (line, targets) in drawing(&picture, state, doc.width).lines {
        doc.lines.push((line, Some(Target::Beside(targets))));
    }
    for (name, changes) in &picture.gone {
        let told = format!("{}  its network namespace is gone", clean(name));
        let spans = vec![mark(Some(&ChangeKind::Removed), state.theme), Span::styled(told, state.theme.removed)];
        state.line(doc, spans, Target::Changes(changes.clone()));
    }
    if state.model.unfolded {
        doc.gap();
        table::add(doc, state, Panel::Network);
        return true;
    }
    let drawn: HashSet<&str> =
        view.rows.iter().filter(|row| namespace_of(row).is_some()).map(|row| row.subject.as_str()).collect();
    let others = |subject: &str| !drawn.contains(subject);
    if view.rows.iter().any(|row| row.panel == Panel::Network && others(&row.subject)) {
        table::part(doc, state, Panel::Network, &|row| others(&row.subject));
    }
    true
}

fn drawing(picture: &Picture, state: &State<'_>, columns: usize) -> Drawing {
    let mut wires = Vec::new();
    for (at, space) in picture.spaces.iter().enumerate() {
        for (line, entry) in space.lines.iter().enumerate() {
            let Peer::Line(other, there) = entry.peer else { continue };
            if (at, line) < (other, there) {
                let carries = entry.carries && picture.spaces[other].lines[there].carries;
                let style = if carries { state.theme.call } else { state.theme.dim };
                wires.push(Wire { ends: [(at, line), (other, there)], style });
            }
        }
    }
    let drawn = wires::draw(&frames(picture, state, false), &wires, columns, state.theme.border);
    drawn.or_else(|| wires::draw(&frames(picture, state, true), &[], columns, state.theme.border)).unwrap_or_default()
}

/// The boxes; where wires are not drawn, with words in their place.
fn frames(picture: &Picture, state: &State<'_>, words: bool) -> Vec<Frame> {
    let theme = state.theme;
    let mut frames = Vec::new();
    for (at, space) in picture.spaces.iter().enumerate() {
        let style = theme.who(space.word()).patch(theme.strong);
        let mut title = vec![Span::styled(clean(&space.name), style)];
        if space.new {
            title.push(Span::styled(" new", theme.added));
        }
        let cell = |entry: &Entry| {
            let wire = if words { picture.other_end(at, entry) } else { None };
            cell(state, entry, wire)
        };
        frames.push(Frame { title, lines: space.lines.iter().map(cell).collect() });
    }
    frames
}

fn cell(state: &State<'_>, entry: &Entry, wire: Option<String>) -> Cell {
    let theme = state.theme;
    let mut spans = vec![mark(entry.mark.as_ref(), theme), Span::styled(entry.branch.clone(), theme.border)];
    for (nth, part) in entry.parts.iter().enumerate() {
        if nth > 0 {
            spans.push(Span::raw(" "));
        }
        spans.extend(words(part, theme));
        if let Some(wire) = wire.as_deref().filter(|_| nth == 0) {
            spans.push(Span::styled(format!(" ⇄ {}", clean(wire)), theme.call));
        }
    }
    if let Peer::Unknown(told) = &entry.peer {
        spans.push(Span::styled(format!(" → {told}"), theme.dim));
    }
    let target = if entry.gone.is_empty() {
        Target::Rows(entry.rows.iter().map(|index| (0, *index)).collect())
    } else {
        Target::Changes(entry.gone.clone())
    };
    let chosen = state.model.focus == Pane::State && is_selected(state.model, &target);
    Cell { spans, target: Some(target), style: if chosen { theme.selected } else { Style::new() } }
}

fn words(part: &Part, theme: &Theme) -> Vec<Span<'static>> {
    let style = match part.tone {
        Tone::Name => theme.strong,
        Tone::Plain => theme.text,
        Tone::Up => theme.good,
        Tone::Down => theme.bad,
        Tone::Warn => theme.warn,
    };
    let plain = matches!(part.tone, Tone::Name | Tone::Plain);
    match &part.change {
        Some(kind) if plain || matches!(kind, ChangeKind::Changed { .. }) => value(Some(kind), &part.text, theme),
        _ => vec![Span::styled(clean(&part.text), style)],
    }
}

#[cfg(test)]
mod tests;

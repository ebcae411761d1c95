//! Boxes of lines, and wires from line to line: a drawing of characters as a function of a width. What it tells of it does not know.
//!
//! Where two columns fit, the first box stands at the left and the others at the right of a gutter; else all stand below each other,
//! with the gutter at their right. Each wire has a lane of its own in the gutter, and where it crosses another one, that is seen.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::tui::doc::{Target, truncate, width};

/// From so many columns on there are two, though not all text fits.
const TWO: usize = 88;
/// The fewest columns of a box beside which wires are drawn.
const NARROWEST: usize = 24;

/// A box.
pub(super) struct Frame {
    /// In its upper edge.
    pub title: Vec<Span<'static>>,
    /// What is in it.
    pub lines: Vec<Cell>,
}

/// A line in a box.
pub(super) struct Cell {
    /// Its words.
    pub spans: Vec<Span<'static>>,
    /// What it stands for.
    pub target: Option<Target>,
    /// What all of it stands out by.
    pub style: Style,
}

/// A wire: at each end the number of a box and of a line in it. No line has two.
pub(super) struct Wire {
    /// Where it ends.
    pub ends: [(usize, usize); 2],
    /// How it is drawn.
    pub style: Style,
}

/// A drawing.
#[derive(Default)]
pub(super) struct Drawing {
    /// Its lines, each with what stands in them beside each other.
    pub lines: Vec<(Line<'static>, Vec<(u16, Target)>)>,
}

/// Where the columns are.
#[derive(Clone, Copy)]
struct Plan {
    /// Columns of the boxes at the left, of the gutter, and of the boxes at the right.
    left: usize,
    gutter: usize,
    right: usize,
    /// Columns from one lane to the next.
    step: usize,
}

/// Draws boxes and wires in at most so many columns; none where there is no room for the wires.
pub(super) fn draw(frames: &[Frame], wires: &[Wire], columns: usize, border: Style) -> Option<Drawing> {
    let whole = frames.iter().map(natural).max().unwrap_or(0);
    // Lanes are close to each other where text would be cut otherwise.
    let roomy = Some(below(frames, wires.len(), columns, 2)).filter(|plan| plan.left >= whole);
    let below = [roomy, Some(below(frames, wires.len(), columns, 1))];
    let plans = std::iter::once(beside(frames, wires.len(), columns)).chain(below);
    let enough = |plan: &Plan| wires.is_empty() || plan.right > 0 || plan.left >= NARROWEST;
    plans.flatten().filter(enough).find_map(|plan| drawn(frames, wires, plan, border))
}

/// The columns that a box needs.
fn natural(frame: &Frame) -> usize {
    let of = |spans: &[Span<'_>]| spans.iter().map(|span| width(&span.content)).sum::<usize>();
    let lines = frame.lines.iter().map(|cell| of(&cell.spans) + 3).max().unwrap_or(0);
    lines.max(of(&frame.title) + 6)
}

fn beside(frames: &[Frame], wires: usize, columns: usize) -> Option<Plan> {
    let (first, others) = frames.split_first()?;
    let right = others.iter().map(natural).max()?;
    let left = natural(first);
    let gutter = (2 * wires + 1).max(3);
    let room = columns.checked_sub(gutter)?;
    let (left, right) = match () {
        () if left + right <= room => (left, right),
        () if room < TWO => return None,
        () if left <= room / 2 => (left, room - left),
        () if right <= room / 2 => (room - right, right),
        () => (room / 2, room - room / 2),
    };
    Some(Plan { left, gutter, right, step: 2 })
}

fn below(frames: &[Frame], wires: usize, columns: usize, step: usize) -> Plan {
    let gutter = if wires == 0 { 0 } else { step * wires + 2 - step };
    let wanted = frames.iter().map(natural).max().unwrap_or(0).max(NARROWEST);
    Plan { left: wanted.min(columns.saturating_sub(gutter)), gutter, right: 0, step }
}

/// An end of a wire in a plan.
#[derive(Clone, Copy)]
struct End {
    row: usize,
    at_right: bool,
}

fn drawn(frames: &[Frame], wires: &[Wire], plan: Plan, border: Style) -> Option<Drawing> {
    let mut heights = [0, 0];
    let mut tops = Vec::new();
    for (at, frame) in frames.iter().enumerate() {
        let side = usize::from(plan.right > 0 && at > 0);
        tops.push((side, heights[side]));
        heights[side] += frame.lines.len() + 2;
    }
    let end = |(frame, line): (usize, usize)| End { row: tops[frame].1 + 1 + line, at_right: tops[frame].0 == 1 };
    let ends: Vec<[End; 2]> = wires.iter().map(|wire| wire.ends.map(end)).collect();
    let rows = heights[0].max(heights[1]);
    let order = order(&ends)?;
    let mut gutter = vec![vec![(0_u8, border); plan.gutter]; rows];
    for (lane, at) in order.into_iter().enumerate() {
        let x = 1 + lane * plan.step;
        lay(&mut gutter, ends[at], x, wires[at].style, border);
    }
    let wired = |row: usize, at_right: bool| {
        let here = |end: &End| end.row == row && end.at_right == at_right;
        ends.iter().position(|ends| ends.iter().any(here)).map(|at| wires[at].style)
    };
    let mut lines = Vec::new();
    for (row, gutter) in gutter.into_iter().enumerate() {
        let mut spans = Vec::new();
        let mut targets = Vec::new();
        for (side, columns) in [plan.left, plan.right].into_iter().enumerate() {
            let here = |at: &usize| {
                tops[*at].0 == side && (tops[*at].1..tops[*at].1 + frames[*at].lines.len() + 2).contains(&row)
            };
            let x = if side == 0 { 0 } else { plan.left + plan.gutter };
            match (0..frames.len()).find(here) {
                Some(at) => {
                    let line = row - tops[at].1;
                    let target = line.checked_sub(1).and_then(|line| frames[at].lines.get(line)?.target.clone());
                    targets.extend(target.map(|target| (u16::try_from(x).unwrap_or(u16::MAX), target)));
                    let wire = wired(row, side == 1);
                    let edges = if side == 1 { [wire, None] } else { [None, wire] };
                    part(&mut spans, &frames[at], line, columns, border, edges);
                }
                None => spans.push(Span::raw(" ".repeat(columns))),
            }
            if side == 0 {
                spans.extend(gutter.iter().map(|(bits, style)| Span::styled(sign(*bits), *style)));
            }
        }
        lines.push((Line::from(spans), targets));
    }
    Some(Drawing { lines })
}

/// One line of a box, its edges included; those to which a wire leads are of the wire's style.
fn part(
    spans: &mut Vec<Span<'static>>,
    frame: &Frame,
    line: usize,
    columns: usize,
    border: Style,
    wired: [Option<Style>; 2],
) {
    let inner = columns.saturating_sub(2);
    if line == 0 {
        let title = truncate(Line::from(frame.title.clone()), inner.saturating_sub(4));
        let rest = inner.saturating_sub(3 + title.width());
        spans.push(Span::styled("┌─ ", border));
        spans.extend(title.spans);
        spans.push(Span::styled(format!(" {}┐", "─".repeat(rest)), border));
        return;
    }
    let Some(cell) = frame.lines.get(line - 1) else {
        spans.push(Span::styled(format!("└{}┘", "─".repeat(inner)), border));
        return;
    };
    let [left, right] = wired;
    spans.push(Span::styled(if left.is_some() { "┤" } else { "│" }, left.unwrap_or(border)));
    let words = truncate(Line::from(cell.spans.clone()), inner);
    let used: usize = words.spans.iter().map(|span| width(&span.content)).sum();
    spans.extend(words.spans.into_iter().map(|span| Span::styled(span.content, span.style.patch(cell.style))));
    spans.push(Span::styled(" ".repeat(inner.saturating_sub(used)), cell.style));
    spans.push(Span::styled(if right.is_some() { "├" } else { "│" }, right.unwrap_or(border)));
}

/// In which order the wires have their lanes, from the left: where in one line a wire comes from the left and another one from the
/// right, they must not meet. None where that can not be.
fn order(ends: &[[End; 2]]) -> Option<Vec<usize>> {
    let before = |one: usize, other: usize| {
        one != other
            && ends[one]
                .iter()
                .any(|left| !left.at_right && ends[other].iter().any(|right| right.at_right && right.row == left.row))
    };
    let mut left: Vec<usize> = (0..ends.len()).collect();
    // Short ones are nearest to their boxes: so fewer cross.
    left.sort_by_key(|at| {
        let [one, other] = ends[*at];
        let long = one.row.abs_diff(other.row);
        match (one.at_right, other.at_right) {
            (false, false) => (0, long),
            (true, true) => (2, usize::MAX - long),
            _ => (1, long),
        }
    });
    let mut order = Vec::new();
    while !left.is_empty() {
        let next = left.iter().position(|at| !left.iter().any(|other| before(*other, *at)))?;
        order.push(left.remove(next));
    }
    Some(order)
}

const LEFT: u8 = 1;
const RIGHT: u8 = 2;
const UP: u8 = 4;
const DOWN: u8 = 8;

/// Lays a wire into the gutter, with its lane in this column.
fn lay(gutter: &mut [Vec<(u8, Style)>], ends: [End; 2], lane: usize, style: Style, border: Style) {
    let columns = gutter.first().map_or(0, Vec::len);
    let mut put = |row: usize, x: usize, bits: u8| {
        if let Some(cell) = gutter.get_mut(row).and_then(|row| row.get_mut(x)) {
            // What two wires cross in is of neither.
            *cell = (cell.0 | bits, if cell.0 == 0 || cell.1 == style { style } else { border });
        }
    };
    for end in ends {
        if end.at_right {
            put(end.row, lane, RIGHT);
            (lane + 1..columns).for_each(|x| put(end.row, x, LEFT | RIGHT));
        } else {
            put(end.row, lane, LEFT);
            (0..lane).for_each(|x| put(end.row, x, LEFT | RIGHT));
        }
    }
    let [top, bottom] = [ends[0].row.min(ends[1].row), ends[0].row.max(ends[1].row)];
    if top < bottom {
        put(top, lane, DOWN);
        (top + 1..bottom).for_each(|row| put(row, lane, UP | DOWN));
        put(bottom, lane, UP);
    }
}

/// The character that leads to these sides.
fn sign(bits: u8) -> &'static str {
    const SIGNS: [&str; 16] = [" ", "─", "─", "─", "│", "┘", "└", "┴", "│", "┐", "┌", "┬", "│", "┤", "├", "┼"];
    SIGNS[usize::from(bits & 15)]
}

#[cfg(test)]
mod tests;

//! A small graph: values over time in blocks of eighths, with the limit as the line at the top.

use ratatui::style::Style;
use ratatui::text::Span;

use crate::tui::graphs::Series;
use crate::tui::theme::Theme;

/// Blocks of no eighth up to eight.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The line at the top.
const LIMIT: char = '▔';

/// Whether so much is used that the limit is met, or is going to be: from 95 in 100 on.
pub(super) fn is_near(used: u64, limit: u64) -> bool {
    u128::from(used) * 100 >= u128::from(limit) * 95
}

/// The lines of a graph of so many columns and rows, the newest value at the right. Its height is the limit, or where there is
/// none the largest value.
pub(super) fn lines(
    series: &Series,
    (limit, most): (Option<u64>, u64),
    (columns, rows): (usize, usize),
    theme: &Theme,
) -> Vec<Vec<Span<'static>>> {
    let top = limit.unwrap_or(most).max(1);
    let shown: Vec<Option<u64>> = series.values().rev().take(columns).collect();
    let blank = columns - shown.len();
    let values: Vec<Option<u64>> = std::iter::repeat_n(None, blank).chain(shown.into_iter().rev()).collect();
    let eighths = |value: u64| -> usize {
        let all = u128::from(value) * (rows as u128 * 8);
        usize::try_from(all.div_ceil(u128::from(top))).unwrap_or(usize::MAX).min(rows * 8)
    };
    let line = |row: usize| {
        let below = (rows - 1 - row) * 8;
        let cell = |value: &Option<u64>| {
            let filled = value.map_or(0, |value| eighths(value).saturating_sub(below).min(8));
            match value {
                Some(value) if filled > 0 => {
                    let near = limit.is_some_and(|limit| is_near(*value, limit));
                    (EIGHTHS[filled], if near { theme.warn } else { theme.focus })
                }
                _ if row == 0 && limit.is_some() => (LIMIT, theme.dim),
                // Nothing is used, which is not the same as that nobody looked.
                Some(_) if below == 0 => (EIGHTHS[1], theme.dim),
                _ => (EIGHTHS[0], theme.dim),
            }
        };
        gather(values.iter().map(cell))
    };
    (0..rows).map(line).collect()
}

/// Joins neighbouring cells of one style.
fn gather(cells: impl Iterator<Item = (char, Style)>) -> Vec<Span<'static>> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    for (cell, style) in cells {
        match spans.last_mut() {
            Some(span) if span.style == style => span.content.to_mut().push(cell),
            _ => spans.push(Span::styled(cell.to_string(), style)),
        }
    }
    spans
}

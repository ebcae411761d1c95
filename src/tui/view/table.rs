//! Panels of keys and values: host names, credentials.

use std::collections::HashMap;

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::state::{State, mark, removed, value};
use crate::probe::{ChangeKind, Panel, Row};
use crate::tui::app::pid_of;
use crate::tui::doc::{Doc, Target, clean, fit, width};
use crate::tui::theme::Theme;

/// How many values of one subject are shown while the panel is folded.
const FOLDED: usize = 10;

/// The values of one subject: those that are shown, and how many are folded away.
struct Group<'a> {
    subject: &'a str,
    shown: Vec<(usize, &'a Row)>,
    /// Rows that say the same as the host's.
    as_host: Vec<usize>,
    more: usize,
}

/// Adds a panel: values under their subject, aligned. Folded, it shows what differs from the lab host.
pub(super) fn add(doc: &mut Doc, state: &State<'_>, panel: Panel) {
    let theme = state.theme;
    let groups = groups(state, panel);
    // One value a subject: the subject is the key.
    let single = groups.iter().all(|group| group.shown.len() == 1 && group.as_host.is_empty() && group.more == 0);
    let label = |row: &Row| if single { row.subject.clone() } else { row.key.clone() };
    let widest = groups.iter().flat_map(|group| &group.shown).map(|(_, row)| width(&label(row))).max().unwrap_or(0);
    let column = widest.min(doc.width * 2 / 5);
    for group in groups {
        if !single {
            let subject = Span::styled(clean(group.subject), style(group.subject, theme));
            let mut spans = vec![state.mark(&group.as_host), subject];
            let as_host = group.as_host.len();
            if as_host > 0 {
                let words = if group.shown.is_empty() { "all as on host" } else { "others as on host" };
                spans.push(Span::styled(format!("  {words}: {as_host}"), theme.dim));
            }
            doc.cut(Line::from(spans), (as_host > 0).then_some(Target::Unfold));
        }
        for (index, row) in group.shown {
            let (style, indent) = if single { (style(&row.subject, theme), "") } else { (theme.dim, "  ") };
            let mut spans = vec![
                mark(state.kind(index), theme),
                Span::raw(indent),
                Span::styled(fit(&label(row), column), style),
                Span::raw("  "),
            ];
            spans.extend(value(state.kind(index), &row.value, theme));
            state.line(doc, spans, Target::Rows(vec![(0, index)]));
        }
        if group.more > 0 {
            let line = Line::styled(format!("    … {} more: x unfolds", group.more), theme.dim);
            doc.cut(line, Some(Target::Unfold));
        }
    }
    removed(doc, state, panel);
}

fn groups<'a>(state: &State<'a>, panel: Panel) -> Vec<Group<'a>> {
    let mut groups: Vec<(&str, Vec<(usize, &Row)>)> = Vec::new();
    for (index, row) in state.view.rows.iter().enumerate().filter(|(_, row)| row.panel == panel) {
        match groups.last_mut() {
            Some((subject, group)) if *subject == row.subject => group.push((index, row)),
            _ => groups.push((&row.subject, vec![(index, row)])),
        }
    }
    let folded = !state.model.unfolded && groups.iter().any(|(_, group)| group.len() > 1);
    let is_host = |subject: &str| pid_of(subject) == Some(state.view.names.host);
    let host: HashMap<&str, &str> = groups
        .iter()
        .filter(|(subject, _)| is_host(subject))
        .flat_map(|(_, group)| group.iter().map(|(_, row)| (row.key.as_str(), row.value.as_str())))
        .collect();
    let fold = |(subject, rows): (&'a str, Vec<(usize, &'a Row)>)| {
        let mut group = Group { subject, shown: rows, as_host: Vec::new(), more: 0 };
        if folded {
            let changed = |index: usize| matches!(state.kind(index), Some(ChangeKind::Changed { .. }));
            if !is_host(subject) {
                let own =
                    |index: usize, row: &Row| changed(index) || host.get(row.key.as_str()) != Some(&row.value.as_str());
                group.as_host =
                    group.shown.iter().filter(|(index, row)| !own(*index, row)).map(|(index, _)| *index).collect();
                group.shown.retain(|(index, row)| own(*index, row));
            }
            let before = group.shown.len();
            let mut room = FOLDED;
            group.shown.retain(|(index, _)| {
                let keep = room > 0 || state.kind(*index).is_some();
                room = room.saturating_sub(1);
                keep
            });
            group.more = before - group.shown.len();
        }
        group
    };
    groups.into_iter().map(fold).collect()
}

/// A subject that begins with a name of lessons has that name's style.
pub(super) fn style(subject: &str, theme: &Theme) -> Style {
    match subject.split([' ', '(']).next() {
        Some(name) if !name.is_empty() && pid_of(subject).is_some() && name != "pid" => theme.who(name),
        _ => theme.strong,
    }
}

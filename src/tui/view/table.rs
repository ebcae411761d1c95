//! Keys and values under their subjects: the shape of every panel that has none of its own.

use std::collections::HashMap;

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::state::{State, mark, removed, value};
use crate::probe::{ChangeKind, Panel, Row};
use crate::tui::app::pid_of;
use crate::tui::command::Command;
use crate::tui::doc::{Doc, Target, clean, cut, fit, width};
use crate::tui::theme::Theme;

/// How many values of one subject are shown while the panel is folded.
const FOLDED: usize = 10;
/// How many lines of one value are shown while the panel is folded.
const LINES: usize = 3;

/// Rows with their indices.
type Rows<'a> = Vec<(usize, &'a Row)>;

/// The values of one subject: those that are shown, and how many are folded away.
struct Group<'a> {
    subject: &'a str,
    shown: Rows<'a>,
    /// Rows that say the same as the host's.
    as_host: Vec<usize>,
    more: usize,
}

/// Adds a panel: values under their subject, aligned. Folded, it shows what differs from the lab host. Says whether there is
/// anything to fold.
pub(super) fn add(doc: &mut Doc, state: &State<'_>, panel: Panel) -> bool {
    part(doc, state, panel, &|_| true)
}

/// As [`add`], with those rows only that are to be `shown`, and with all that are gone.
pub(super) fn part(doc: &mut Doc, state: &State<'_>, panel: Panel, shown: &dyn Fn(&Row) -> bool) -> bool {
    let theme = state.theme;
    let all = by_subject(state, panel, shown);
    let foldable = all.iter().any(|(_, rows)| rows.len() > 1);
    let groups = groups(state, all, foldable && !state.model.unfolded);
    // One value a subject, and everywhere the same one: the subject is the key.
    let single = !foldable && groups.windows(2).all(|two| two[0].shown[0].1.key == two[1].shown[0].1.key);
    let label = |row: &Row| if single { row.subject.clone() } else { row.key.clone() };
    let widest = groups.iter().flat_map(|group| &group.shown).map(|(_, row)| width(&label(row))).max().unwrap_or(0);
    let column = widest.min(doc.width * 2 / 5);
    let indent = if single { "" } else { "  " };
    let hang = 2 + indent.len() + column + 2;
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
            let style = if single { style(&row.subject, theme) } else { theme.dim };
            let mut spans = vec![
                mark(state.kind(index), theme),
                Span::raw(indent),
                Span::styled(fit(&label(row), column), style),
                Span::raw("  "),
            ];
            let room = doc.width.saturating_sub(hang).max(8) * LINES;
            let text = |text: &str| if state.model.unfolded { text.to_owned() } else { cut(text, room) };
            let kind = match state.kind(index) {
                Some(ChangeKind::Changed { before }) => Some(ChangeKind::Changed { before: text(before) }),
                other => other.cloned(),
            };
            spans.extend(value(kind.as_ref(), &text(&row.value), theme));
            state.wrapped(doc, spans, hang, Target::Rows(vec![(0, index)]));
        }
        if group.more > 0 {
            let line = Line::styled(
                format!("    … {} more: {} unfolds", group.more, state.model.key(Command::Unfold)),
                theme.dim,
            );
            doc.cut(line, Some(Target::Unfold));
        }
    }
    removed(doc, state, panel);
    foldable
}

/// The rows of a panel, those of one subject together.
fn by_subject<'a>(state: &State<'a>, panel: Panel, shown: &dyn Fn(&Row) -> bool) -> Vec<(&'a str, Rows<'a>)> {
    let mut groups: Vec<(&str, Rows<'a>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (index, row) in state.view.rows.iter().enumerate().filter(|(_, row)| row.panel == panel && shown(row)) {
        let place = *places.entry(&row.subject).or_insert_with(|| {
            groups.push((&row.subject, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push((index, row));
    }
    groups
}

fn groups<'a>(state: &State<'a>, groups: Vec<(&'a str, Rows<'a>)>, folded: bool) -> Vec<Group<'a>> {
    let is_host = |subject: &str| pid_of(subject) == Some(state.view.names.host);
    let host: HashMap<&str, &str> = groups
        .iter()
        .filter(|(subject, _)| is_host(subject))
        .flat_map(|(_, group)| group.iter().map(|(_, row)| (row.key.as_str(), row.value.as_str())))
        .collect();
    let fold = |(subject, rows): (&'a str, Rows<'a>)| {
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

//! The mounts of each mount namespace. Folded, a namespace is a count and what sets it apart.

use std::collections::HashMap;

use ratatui::text::{Line, Span};

use super::state::{State, mark};
use super::table;
use crate::kernel::namespace::Namespace;
use crate::probe::{ChangeKind, Mount, Panel, Row};
use crate::tui::app::{Base, pid_of};
use crate::tui::command::Command;
use crate::tui::doc::{Doc, Target, clean, cut, fit, width};

/// How many lines without a change one namespace may have while the panel is folded.
const FOLDED: usize = 12;

/// The mounts of one namespace, as the process sees them that stands for it.
struct Group<'a> {
    subject: &'a str,
    host: bool,
    rows: Vec<(usize, &'a Row)>,
    /// What was read, in the order of the rows; none where it could not be.
    mounts: Option<&'a [Mount]>,
}

/// Adds the panel.
pub(super) fn add(doc: &mut Doc, state: &State<'_>) {
    let groups = groups(state);
    let host: HashMap<&str, &str> = groups.iter().find(|group| group.host).map_or_else(HashMap::new, values);
    for group in &groups {
        let new = |index: usize| state.kind(index) == Some(&ChangeKind::Added);
        // All mounts of a new namespace are new, and that they are copies is what there is to see.
        let fresh = group.rows.iter().all(|(index, _)| new(*index));
        let changed = |index: usize| state.kind(index).is_some() && !fresh;
        let as_host = |row: &Row| host.get(row.key.as_str()) == Some(&row.value.as_str());
        let own = |index: usize, row: &Row| changed(index) || (!group.host && !as_host(row));
        let whole = state.model.unfolded || group.mounts.is_none();
        let mut room = FOLDED;
        let shown: Vec<usize> = (0..group.rows.len())
            .filter(|at| {
                let (index, row) = group.rows[*at];
                let keep = own(index, row) && (room > 0 || changed(index));
                room -= usize::from(keep && room > 0);
                whole || keep
            })
            .collect();
        let same = group.rows.iter().filter(|(_, row)| as_host(row)).count();
        head(doc, state, group, fresh, same);
        let widest = |of: &dyn Fn(usize) -> usize| shown.iter().map(|at| of(*at)).max().unwrap_or(0);
        let columns = (
            widest(&|at| width(&group.rows[at].1.key)).min(doc.width * 2 / 5),
            widest(&|at| group.mounts.and_then(|all| all.get(at)).map_or(0, |mount| width(&mount.fstype))).min(12),
        );
        for at in &shown {
            line(doc, state, group, columns, *at, fresh && as_host(group.rows[*at].1));
        }
        let differing = group.rows.iter().filter(|(index, row)| own(*index, row)).count();
        if differing > shown.len() {
            let text = format!(
                "    … {} more that differ: {} unfolds",
                differing - shown.len(),
                state.model.key(Command::Unfold)
            );
            doc.cut(Line::styled(text, state.theme.dim), Some(Target::Unfold));
        }
        lacking(doc, state, group, &groups);
        gone(doc, state, Some(group.subject));
    }
    gone(doc, state, None);
}

fn groups<'a>(state: &State<'a>) -> Vec<Group<'a>> {
    let observation = &state.view.observation;
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (index, row) in state.view.rows.iter().enumerate().filter(|(_, row)| row.panel == Panel::Mounts) {
        if groups.last().is_none_or(|group| group.subject != row.subject) {
            let pid = pid_of(&row.subject);
            let inode = pid.and_then(|pid| observation.process(pid)).and_then(|it| it.namespaces.inode(Namespace::Mnt));
            let mounts = inode.and_then(|inode| observation.mounts.get(&inode)).and_then(|reading| reading.value());
            let host = pid == Some(state.view.names.host);
            groups.push(Group { subject: &row.subject, host, rows: Vec::new(), mounts: mounts.map(Vec::as_slice) });
        }
        if let Some(group) = groups.last_mut() {
            group.rows.push((index, row));
        }
    }
    groups
}

fn values<'a>(group: &Group<'a>) -> HashMap<&'a str, &'a str> {
    group.rows.iter().map(|(_, row)| (row.key.as_str(), row.value.as_str())).collect()
}

/// Whose mounts, how many, and in a few words what is to be said of them.
fn head(doc: &mut Doc, state: &State<'_>, group: &Group<'_>, fresh: bool, same: usize) {
    let theme = state.theme;
    let sign = if fresh { Some(&ChangeKind::Added) } else { None };
    let subject = Span::styled(clean(group.subject), table::style(group.subject, theme));
    let mut spans = vec![mark(sign, theme), subject];
    if group.mounts.is_some() {
        let all = group.rows.len();
        let words = match (group.host, changed(state, group, state.model.base)) {
            (true, 0) if changed(state, group, Base::Start) == 0 => "as at the start".to_owned(),
            (true, 0) => "as before this step".to_owned(),
            (true, count) => format!("{count} changed"),
            (false, _) if same == all => "all as on host".to_owned(),
            (false, _) => format!("{same} as on host"),
        };
        spans.push(Span::styled(format!("  {all} mounts, {words}"), theme.dim));
    }
    doc.wrap(&Line::from(spans), 4, Some(Target::Unfold));
}

/// One mount: what matters most comes first, and long options of file systems are what is cut.
fn line(doc: &mut Doc, state: &State<'_>, group: &Group<'_>, columns: (usize, usize), at: usize, copy: bool) {
    let theme = state.theme;
    let (index, row) = group.rows[at];
    let kind = state.kind(index).filter(|_| !copy);
    let style = match kind {
        None => theme.text,
        Some(ChangeKind::Changed { .. }) => theme.changed,
        Some(_) => theme.added,
    };
    let (targets, types) = columns;
    let mut spans = vec![mark(kind, theme), Span::raw("  "), Span::styled(fit(&row.key, targets), style)];
    match group.mounts.and_then(|mounts| mounts.get(at)) {
        Some(mount) => {
            let root = if mount.root == "/" { String::new() } else { format!("[{}]", mount.root) };
            let propagation = if mount.propagation.is_empty() { "private" } else { &mount.propagation.join(",") };
            // Of a file system without a device the source is mostly its type once more, and takes the room of what matters.
            let source = match format!("{}{root}", mount.source) {
                same if same == mount.fstype => String::new(),
                source => format!(" {}", cut(&source, doc.width / 3)),
            };
            spans.extend([
                Span::styled(format!("  {}", fit(&mount.fstype, types)), style),
                Span::raw(source),
                Span::styled(format!(" {}", clean(propagation)), theme.argument),
                Span::styled(format!(" {}", clean(&mount.options)), theme.dim),
            ]);
            let own: Vec<&str> = mount.options.split(',').collect();
            let more: Vec<&str> = mount.super_options.split(',').filter(|option| !own.contains(option)).collect();
            if !more.is_empty() {
                spans.push(Span::styled(format!("; {}", clean(&more.join(","))), theme.dim));
            }
        }
        None => spans.push(Span::styled(format!("  {}", clean(&row.value)), theme.warn)),
    }
    state.line(doc, spans, Target::Rows(vec![(0, index)]));
    if let Some(ChangeKind::Changed { before }) = kind {
        doc.cut(Line::styled(format!("      was {}", clean(before)), theme.dim), Some(Target::Rows(vec![(0, index)])));
    }
}

/// What the host has and this namespace has not.
fn lacking(doc: &mut Doc, state: &State<'_>, group: &Group<'_>, groups: &[Group<'_>]) {
    let Some(host) = groups.iter().find(|other| other.host && !group.host && group.mounts.is_some()) else { return };
    let own = values(group);
    let lacks: Vec<&str> =
        host.rows.iter().map(|(_, row)| row.key.as_str()).filter(|key| !own.contains_key(key)).collect();
    if !lacks.is_empty() {
        let text = format!("    without {} of the host's: {}", lacks.len(), clean(&lacks.join(" ")));
        doc.cut(Line::styled(text, state.theme.dim), None);
    }
}

/// How many mounts of a namespace came, went or became others since then.
fn changed(state: &State<'_>, group: &Group<'_>, base: Base) -> usize {
    let changes = if base == Base::Step { &state.view.since_step } else { &state.view.since_start };
    changes.iter().filter(|change| is_of(&change.row, group.subject)).count()
}

/// The mounts that are gone from a namespace that is there, each; or in one line those of namespaces that are gone.
fn gone(doc: &mut Doc, state: &State<'_>, subject: Option<&str>) {
    let changes = state.model.changes();
    for group in &state.model.index().groups {
        let group = &group.changes;
        let first = &changes[group[0]];
        if first.kind != ChangeKind::Removed || first.row.panel != Panel::Mounts {
            continue;
        }
        let sign = || vec![mark(Some(&first.kind), state.theme)];
        if subject == Some(first.row.subject.as_str()) {
            for index in group {
                let row = &changes[*index].row;
                let text = format!("  {}  {}", clean(&row.key), clean(&row.value));
                let spans = [sign(), vec![Span::styled(text, state.theme.removed)]].concat();
                state.line(doc, spans, Target::Changes(vec![*index]));
            }
        } else if subject.is_none() && !state.view.rows.iter().any(|row| is_of(row, &first.row.subject)) {
            let text = format!("{}  its {} mounts are gone", clean(&first.row.subject), group.len());
            let spans = [sign(), vec![Span::styled(text, state.theme.removed)]].concat();
            state.line(doc, spans, Target::Changes(group.clone()));
        }
    }
}

fn is_of(row: &Row, subject: &str) -> bool {
    row.panel == Panel::Mounts && row.subject == subject
}

//! What is worked out once for each view that arrives, and not again for each frame.

use std::collections::{HashMap, HashSet};

use super::app::{Base, pid_of};
use crate::course::glossary::{Term, words_in};
use crate::probe::diff::groups;
use crate::probe::{Change, ChangeKind, Panel, Row};
use crate::walk::View;

/// Indices into the rows and the changes of one view.
#[derive(Clone, Debug, Default)]
pub struct Derived {
    /// The rows about a process, by panel: with hundreds of processes, looking through all rows for each would be felt.
    rows_of: HashMap<(Panel, i32), Vec<usize>>,
    step: Index,
    start: Index,
    /// The words of the glossary that stand in the step's texts.
    words: Vec<&'static Term>,
}

/// One list of changes, by what it is asked for.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// For each row, which change it has.
    of_row: Vec<Option<usize>>,
    /// The changes that are told together, in the order of the list.
    pub groups: Vec<Vec<usize>>,
}

impl Derived {
    /// Works everything out.
    pub fn of(view: &View) -> Self {
        let mut rows_of: HashMap<(Panel, i32), Vec<usize>> = HashMap::new();
        for (index, row) in view.rows.iter().enumerate() {
            if let Some(pid) = pid_of(&row.subject) {
                rows_of.entry((row.panel, pid)).or_default().push(index);
            }
        }
        let watch = view.lesson.steps.get(view.position.step).map_or(&[][..], |step| &step.watch);
        let index = |changes: &[Change]| Index::of(&view.rows, changes, watch);
        let texts = view
            .lesson
            .steps
            .get(view.position.step)
            .into_iter()
            .flat_map(|step| [&step.title, &step.explain, &step.debrief].into_iter().map(String::as_str));
        Self { rows_of, step: index(&view.since_step), start: index(&view.since_start), words: words_in(texts) }
    }

    /// The indices of the rows of a panel that are about a process.
    pub fn rows_of(&self, panel: Panel, pid: i32) -> &[usize] {
        self.rows_of.get(&(panel, pid)).map_or(&[], Vec::as_slice)
    }

    /// The words of the glossary that stand in the step's texts.
    pub fn words(&self) -> &[&'static Term] {
        &self.words
    }

    /// What is known of the changes since then.
    pub fn since(&self, base: Base) -> &Index {
        match base {
            Base::Step => &self.step,
            Base::Start => &self.start,
        }
    }
}

impl Index {
    fn of(rows: &[Row], changes: &[Change], watch: &[Panel]) -> Self {
        let now = changes.iter().enumerate().filter(|(_, change)| change.kind != ChangeKind::Removed);
        let by_identity: HashMap<_, usize> = now.map(|(index, change)| (change.row.identity(), index)).collect();
        let of_row = match by_identity.is_empty() {
            true => Vec::new(),
            false => rows.iter().map(|row| by_identity.get(&row.identity()).copied()).collect(),
        };
        let mut groups = groups(changes);
        // Panel by panel: first those that the step watches, of them those with another value than before; and so in each.
        let turned = |change: &Change| matches!(change.kind, ChangeKind::Changed { .. });
        let turned_in: HashSet<Panel> = changes.iter().filter(|it| turned(it)).map(|it| it.row.panel).collect();
        groups.sort_by_key(|group| {
            let change = &changes[group[0]];
            let panel = watch.iter().position(|panel| *panel == change.row.panel).unwrap_or(watch.len());
            let unwatched = panel == watch.len();
            (unwatched, !turned_in.contains(&change.row.panel), panel, change.row.panel, !turned(change))
        });
        Self { of_row, groups }
    }

    /// The change of a row, as an index into the list.
    pub fn change(&self, row: usize) -> Option<usize> {
        self.of_row.get(row).copied().flatten()
    }
}

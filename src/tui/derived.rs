//! What is worked out once for each view that arrives, and not again for each frame.

use std::collections::{HashMap, HashSet};

use super::app::{Base, pid_of};
use super::doc::clean;
use crate::course::glossary::{Term, words_in};
use crate::probe::diff::groups;
use crate::probe::{Change, ChangeKind, Panel};
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
    pub groups: Vec<Group>,
}

/// Changes that are told together.
#[derive(Clone, Debug)]
pub struct Group {
    /// Indices into the list of changes; at least one.
    pub changes: Vec<usize>,
    /// All of them in a few words: `pid 17 ls  has ended`; or the one value that it is.
    pub told: String,
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
        let index = |changes: &[Change]| Index::of(view, changes, watch);
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
    fn of(view: &View, changes: &[Change], watch: &[Panel]) -> Self {
        let now = changes.iter().enumerate().filter(|(_, change)| change.kind != ChangeKind::Removed);
        let by_identity: HashMap<_, usize> = now.map(|(index, change)| (change.row.identity(), index)).collect();
        let of_row = match by_identity.is_empty() {
            true => Vec::new(),
            false => view.rows.iter().map(|row| by_identity.get(&row.identity()).copied()).collect(),
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
        let pids = Pids::of(view, changes);
        let group = |of: Vec<usize>| Group { told: pids.tell(&changes[of[0]], of.len()), changes: of };
        Self { of_row, groups: groups.into_iter().map(group).collect() }
    }

    /// The change of a row, as an index into the list.
    pub fn change(&self, row: usize) -> Option<usize> {
        self.of_row.get(row).copied().flatten()
    }
}

/// What the words for a process that came or went depend on.
struct Pids {
    alive: HashSet<i32>,
    /// Those about which something else has changed than that it came.
    known: HashSet<i32>,
}

impl Pids {
    fn of(view: &View, changes: &[Change]) -> Self {
        let known = changes.iter().filter(|it| it.row.panel == Panel::Processes && it.kind != ChangeKind::Added);
        Self {
            alive: view.observation.processes.iter().map(|process| process.pid).collect(),
            known: known.filter_map(|change| pid_of(&change.row.subject)).collect(),
        }
    }

    /// So many changes, of which this is the first, in a few words.
    fn tell(&self, first: &Change, count: usize) -> String {
        let Change { kind, row } = first;
        let is_in = |pids: &HashSet<i32>| pid_of(&row.subject).is_some_and(|pid| pids.contains(&pid));
        let words = match (count, row.panel, kind) {
            (1, ..) => format!("{}  {}", row.key, row.value),
            (_, Panel::Mounts, _) => format!(" {count} mounts"),
            (_, Panel::Processes, ChangeKind::Removed) if !is_in(&self.alive) => " has ended".to_owned(),
            // A process that goes by another name now is neither new nor gone.
            (_, Panel::Processes, ChangeKind::Added) if !is_in(&self.known) => " is a new process".to_owned(),
            (_, panel, _) => format!(" {panel}: {count} values"),
        };
        clean(&format!("{} {words}", row.subject))
    }
}

//! Which graphs are seen: those are sampled, and no others.

use std::collections::HashSet;

use super::doc;
use crate::probe::Panel;
use crate::probe::cgroups::gauges::Gauge;
use crate::tui::app::{Model, Pane};
use crate::tui::doc::Target;
use crate::walk::View;

/// Looks whether a graph is on the screen now, or any of the numbers beside it.
pub(super) fn follow(model: &mut Model) {
    let Some(view) = model.view.clone() else { return model.graphs.clear() };
    let host = view.observation.process(view.names.host).map(|host| host.start_time);
    model.graphs.begin(host);
    let seen = are_seen(model, &view);
    let gauges = view.observation.cgroups.groups.values();
    let gauges = gauges.flat_map(|group| Gauge::of(group).map(|gauge| (group.directory.as_str(), gauge)));
    model.graphs.see(gauges, seen);
}

fn are_seen(model: &Model, view: &View) -> bool {
    let watched = model.step().is_some_and(|step| step.watch.contains(&Panel::Cgroups));
    if !watched || model.on_course() || model.frozen.is_some() || model.ending {
        return false;
    }
    let groups = view.observation.cgroups.groups.values();
    let files: HashSet<String> =
        groups.flat_map(|group| Gauge::of(group).map(|gauge| format!("{}/{}", group.directory, gauge.file))).collect();
    if files.is_empty() {
        return false;
    }
    let is_gauge = |(_, index): &(u16, usize)| view.rows.get(*index).is_some_and(|row| files.contains(&row.source));
    let Some((doc, height)) = doc(model, Pane::State) else { return false };
    let lines = doc.lines.iter().skip(model.scroll_of(Pane::State)).take(height);
    lines.into_iter().any(|(_, target)| matches!(target, Some(Target::Rows(rows)) if rows.iter().any(is_gauge)))
}

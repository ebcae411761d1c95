//! Which graphs are seen: those are sampled, and no others. And of which groups, and whether of networks, the kernel is
//! asked to tell by itself.

use std::collections::HashSet;

use super::{Effect, doc};
use crate::probe::Panel;
use crate::probe::cgroups::gauges::Gauge;
use crate::tui::app::{Model, Pane};
use crate::tui::doc::Target;
use crate::walk::{Order, View};

/// Looks whether a graph is on the screen now, or any of the numbers beside it, and which groups there are.
pub(super) fn follow(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(view) = model.view.clone() else {
        model.graphs.clear();
        watch_networks(model, false, effects);
        return watch(model, Vec::new(), effects);
    };
    let host = view.observation.process(view.names.host).map(|host| host.start_time);
    model.graphs.begin(host);
    let seen = are_seen(model, &view);
    let gauges = view.observation.cgroups.groups.values();
    let gauges = gauges.flat_map(|group| Gauge::of(group).map(|gauge| (group.directory.as_str(), gauge)));
    model.graphs.see(gauges, seen);
    watch_networks(model, watches(model, Panel::Network), effects);
    let wanted = if is_watched(model) { directories(&view) } else { Vec::new() };
    watch(model, wanted, effects);
}

/// Has the kernel asked to tell of these directories, where that is not so already.
fn watch(model: &mut Model, wanted: Vec<String>, effects: &mut Vec<Effect>) {
    if model.graphs.watched != wanted && model.busy.is_none() && !model.ending {
        model.graphs.watched.clone_from(&wanted);
        effects.push(Effect::Send(Order::Watch(wanted)));
    }
}

/// The same for networks.
fn watch_networks(model: &mut Model, wanted: bool, effects: &mut Vec<Effect>) {
    if model.graphs.networks != wanted && model.busy.is_none() && !model.ending {
        model.graphs.networks = wanted;
        effects.push(Effect::Send(Order::WatchNetworks(wanted)));
    }
}

/// Whether the step is about groups.
fn is_watched(model: &Model) -> bool {
    watches(model, Panel::Cgroups)
}

fn watches(model: &Model, panel: Panel) -> bool {
    model.step().is_some_and(|step| step.watch.contains(&panel))
}

/// The lab host's own groups, the one at `/lab/cgroup` first, and those below them.
fn directories(view: &View) -> Vec<String> {
    let cgroups = &view.observation.cgroups;
    let others = cgroups.others.iter().map(|one| one.mount.display().to_string());
    let own = cgroups.own.iter().map(|_| "/lab/cgroup".to_owned()).chain(others);
    let groups = cgroups.groups.values().map(|group| group.directory.clone());
    let mut all: Vec<String> = own.collect();
    all.extend(groups.filter(|group| group != "/lab/cgroup"));
    all
}

fn are_seen(model: &Model, view: &View) -> bool {
    if !is_watched(model) || model.on_course() || model.frozen.is_some() || model.ending {
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

/// The next samples of the graphs that are seen.
pub(super) fn on_beat(model: &mut Model, effects: &mut Vec<Effect>) {
    if model.busy.is_none()
        && !model.ending
        && let Some(files) = model.graphs.ask()
    {
        effects.push(Effect::Send(Order::Gauge(files)));
    }
}

/// What the kernel tells of is looked at now, and not when the second is over.
pub(super) fn on_notice(model: &mut Model, groups: bool, effects: &mut Vec<Effect>) {
    if groups {
        // Another group may have the name of one that was watched.
        model.graphs.watched.clear();
    }
    if model.view.is_some() && model.frozen.is_none() && model.busy.is_none() && !model.ending {
        effects.push(Effect::Send(Order::Sample));
    }
}

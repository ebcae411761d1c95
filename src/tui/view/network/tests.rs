#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;

use ratatui::style::Color;

use crate::kernel::namespace::Namespace;
use crate::probe::{Panel, Reading, Row, diff};
use crate::tui::app::{Model, Pane, Popup};
use crate::tui::doc::Target;
use crate::tui::fixture::network::{INTERNET, network_view};
use crate::tui::fixture::{in_lesson, press};
use crate::tui::theme::{Depth, Theme};
use crate::tui::update::commands::choices;
use crate::tui::view::state;

fn screen() -> Model {
    let mut model = in_lesson(200, 60, network_view());
    model.focus = Pane::State;
    model
}

fn text(model: &Model, columns: u16) -> String {
    let doc = state::doc(model, columns);
    assert!(doc.lines.iter().all(|(line, _)| line.width() <= usize::from(columns)));
    doc.lines.iter().map(|(line, _)| format!("{}\n", line.to_string().trim_end())).collect()
}

#[test]
fn networks_at_every_width() {
    for columns in [20, 36, 46, 78, 118, 198] {
        insta::assert_snapshot!(format!("network_{columns}"), text(&screen(), columns));
    }
    let mut model = screen();
    press(&mut model, "x");
    insta::assert_snapshot!("network_unfolded", text(&model, 118));
}

#[test]
fn every_line_can_be_chosen_and_explained() {
    let mut model = screen();
    let (lines, _) = choices(&model, Pane::State);
    let mut seen = BTreeSet::new();
    for _ in 0..lines.len() {
        press(&mut model, "j");
        seen.insert(model.selected.clone());
        let doc = state::doc(&model, 80);
        assert!(doc.lines.iter().any(|(_, target)| target.as_ref().is_some_and(|it| state::is_selected(&model, it))));
    }
    assert_eq!(seen.len(), lines.len(), "{seen:#?}");
    press(&mut model, "home j j e");
    assert!(matches!(model.popup, Some(Popup::Explain { .. })));
    assert!(state::changed_lines(&state::doc(&model, 118)).is_some());
}

#[test]
fn what_is_chosen_stands_out_alone_and_mono_has_no_colour() {
    let mut model = screen();
    model.theme = Theme::dark(Depth::Many);
    press(&mut model, "j j");
    let doc = state::doc(&model, 198);
    let styled = |(line, _): &&(ratatui::text::Line<'_>, Option<Target>)| {
        line.spans.iter().any(|span| span.style.bg.is_some() && span.style.bg == model.theme.selected.bg)
    };
    assert_eq!(doc.lines.iter().filter(styled).count(), 1);
    model.theme = Theme::mono();
    let doc = state::doc(&model, 118);
    let plain = |color: Option<Color>| color.is_none();
    assert!(
        doc.lines.iter().all(|(line, _)| line.spans.iter().all(|span| plain(span.style.fg) && plain(span.style.bg)))
    );
}

/// A shell that opens and a process that goes into a namespace are no change of the network.
#[test]
fn who_stands_for_a_namespace_is_no_change_of_it() {
    let mut shown = network_view();
    let before: Vec<Row> = shown.rows.to_vec();
    let mut observation = (*shown.observation).clone();
    for process in observation.processes.iter_mut().filter(|it| it.pid == 19) {
        process.namespaces.0.insert(Namespace::Net, Reading::Value(INTERNET));
    }
    let mut rows = crate::probe::rows(&observation, &shown.names);
    rows.retain(|row| row.panel == Panel::Network);
    rows.push(before.last().unwrap().clone());
    shown.since_step = Arc::new(diff(&before, &rows));
    assert!(shown.since_step.len() > 6, "the rows have other names: {:#?}", shown.since_step);
    (shown.rows, shown.observation) = (Arc::new(rows), Arc::new(observation));
    let model = in_lesson(200, 60, shown);
    let drawn = text(&model, 198);
    assert!(drawn.contains("─ internet ─") && state::changed_lines(&state::doc(&model, 198)).is_none(), "{drawn}");
}
